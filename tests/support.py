"""What several tests need."""

import asyncio
import time


async def eventually(condition, timeout_s=5.0, every_s=0.01):
    """Wait until `condition()` is true; fail after `timeout_s`."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, f"did not come true within {timeout_s} s"
        await asyncio.sleep(every_s)
