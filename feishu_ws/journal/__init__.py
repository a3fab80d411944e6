"""The durable, ordered log of events. `contract.py` says what it promises."""
