"""Dedupe keys: two payloads that share one are the same event. Pure.

Source of the rule: CONTRACT 2.3. Only strings that are there count: an empty event
id would make one event of all that lack it.
"""

from hashlib import blake2b, sha256
from typing import Final

from feishu_ws.model import Envelope

KEY_BYTES: Final = 16

_EVENT: Final = b"feishu-ws event"  # blake2b's `person`, at most 16 bytes
_MESSAGE: Final = b"feishu-ws msg"
_PAYLOAD: Final = b"feishu-ws body"


def dedupe_keys(envelope: Envelope, payload: bytes) -> tuple[bytes, ...]:
    """Return the keys of an event, 16 bytes each, at least one."""
    if envelope.event_id and envelope.message_id:
        event_key = _key(_EVENT, envelope.tenant, envelope.event_id)
        return event_key, _key(_MESSAGE, envelope.tenant, envelope.message_id)
    if envelope.event_id:
        return (_key(_EVENT, envelope.tenant, envelope.event_id),)
    if envelope.message_id:
        return (_key(_MESSAGE, envelope.tenant, envelope.message_id),)
    return (blake2b(sha256(payload).digest(), digest_size=KEY_BYTES, person=_PAYLOAD).digest(),)


def _key(kind: bytes, tenant: str, name: str) -> bytes:
    # The length in front keeps ("a", "bc") apart from ("ab", "c").
    text = f"{len(tenant)}:{tenant}{name}".encode()
    return blake2b(text, digest_size=KEY_BYTES, person=kind).digest()
