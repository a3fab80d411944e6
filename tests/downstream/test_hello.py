"""What a hello asks for. What is refused stands in `test_seats.py`, seen from outside."""

import pytest

from feishu_ws.downstream.hello import is_move, wanted_by
from feishu_ws.model import ConsumerRecord, Filter
from feishu_ws.wire.native import HelloParams

KNOWN = ConsumerRecord("bot", Filter(), 0)


@pytest.mark.parametrize(
    ("known", "start", "force", "moves"),
    [
        (None, "resume", False, True),
        (None, 5, False, True),
        (KNOWN, "resume", False, False),
        (KNOWN, "earliest", False, False),
        (KNOWN, "resume", True, False),
        (KNOWN, 5, True, True),
    ],
)
def test_whether_it_moves_its_consumer(known, start, force, moves):
    """A new consumer is put somewhere; a known one only by force, and not to where it stands."""
    assert is_move(known, HelloParams("bot", start=start, force=force)) is moves


def test_what_it_wants():
    """What the hello says counts, the empty list and false too; the rest stays as it was."""
    known = Filter(("im.*",), ("oc_1",), ignore_own=True)

    def wanted(**said):
        return wanted_by(known, HelloParams("bot", **said))

    assert wanted() is known
    assert wanted(types=["x"]) == Filter(("x",), ("oc_1",), ignore_own=True)
    assert wanted(types=[]) == Filter((), ("oc_1",), ignore_own=True)
    assert wanted(chats=["oc_2"]) == Filter(("im.*",), ("oc_2",), ignore_own=True)
    assert wanted(chats=[]) == Filter(("im.*",), (), ignore_own=True)
    assert wanted(ignore_own=False) == Filter(("im.*",), ("oc_1",), ignore_own=False)
