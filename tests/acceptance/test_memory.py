"""Memory does not grow: with events, lost links, hostile frames, lines or requests.

The same parts run by hand with a million events and the like, see `tests/soak`.
"""

import pytest
from soak.parts import PARTS

COUNTS = {"events": 20_000, "reconnects": 300, "frames": 10_000, "lines": 5_000, "requests": 5_000}
GROWTH_MB = 3.0  # in seconds not everything that is bounded has reached its bound
GROWTH_OF_LINES_MB = 15.0  # the first of the longest lines


@pytest.mark.parametrize("name", PARTS)
async def test_memory(name, record_property):
    """Memory, descriptors, threads and tasks stay as they are, whatever is done a lot."""
    part, _ = PARTS[name]
    figures = await part(COUNTS[name], GROWTH_OF_LINES_MB if name == "lines" else GROWTH_MB)
    print(f"\n{name} {COUNTS[name]:,}: {figures}")
    record_property("memory", figures)
