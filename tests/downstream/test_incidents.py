"""What became of the links, as the method `incidents` tells it."""

import json

import pytest
from downstream.rig import manual_world

from feishu_ws.downstream.incidents import incidents_object
from feishu_ws.faults import CATALOGUE, Fault
from feishu_ws.model import LinkLife, Tried
from feishu_ws.wire.admin import MOST_INCIDENTS, IncidentsParams
from feishu_ws.wire.native import Code, RpcError

NOW = 1_000_000
LOSS = LinkLife(
    0, 500_000, Fault.CONNECTION_LOST, 400.00049, "reset by peer", 1006, 3, 0.123456,
    {"dns": 0.000012, "tcp": 0.1}, (Tried(Fault.FEISHU_BUSY, "discovery", 1000040350, 7, 501_000, 540_000),),
    545_000,
)  # fmt: skip
START = LinkLife(1, 99_000, Fault.LOCAL_STOP, None, back_ms=100_000)


def told(lives, fleet=None, since=0, limit=9):
    """Return the answer at `NOW`."""
    return incidents_object(lives, fleet, since, NOW, limit)


def test_everything_of_a_life_is_told():
    """Keys and values as documented; what only notes a start is none."""
    [incident] = told([START, LOSS])["incidents"]

    assert incident == {
        "link": 0, "ended_ms": 500_000, "fault": "connection_lost",
        "title": CATALOGUE[Fault.CONNECTION_LOST].title, "lived_s": 400.0, "detail": "reset by peer",
        "close_code": 1006, "unconfirmed": 3, "took_s": 0.1235,
        "phases_s": {"dns": 0.0, "tcp": 0.1},
        "tried": [
            {
                "fault": "feishu_busy", "phase": "discovery", "code": 1000040350, "times": 7,
                "first_ms": 501_000, "last_ms": 540_000,
            }
        ],
        "back_ms": 545_000, "away_s": 45.0,
    }  # fmt: skip


def test_the_answer_is_json():
    """Outages and stretches come with their keys, the sums with the span they are of."""
    answer = json.loads(json.dumps(told([LOSS], {0: 545_000}, since=400_000)))

    assert answer["outages"] == [
        {"from_ms": 500_000, "to_ms": 545_000, "lasted_s": 45.0, "fault": "connection_lost"}
    ]
    assert answer["links"] == [
        {
            "link": 0,
            "stretches": [
                [400_000, 500_000, "live"], [500_000, 545_000, "away"], [545_000, NOW, "live"],
            ],
        }
    ]  # fmt: skip
    assert (answer["since_ms"], answer["now_ms"]) == (400_000, NOW)
    assert (answer["live_ms"], answer["known_ms"], answer["total"]) == (555_000, 600_000, 1)


def test_the_newest_are_told():
    """A limit leaves out the oldest, and `total` says how many there are."""
    lives = [LinkLife(0, n * 1000, Fault.PONG_OVERDUE, 0.5, back_ms=n * 1000) for n in range(1, 10)]
    answer = told(lives, since=5000, limit=2)

    assert [each["ended_ms"] for each in answer["incidents"]] == [8000, 9000]
    assert answer["total"] == 5


def test_a_link_that_is_still_away():
    """It was lost before, and that is of now."""
    [incident] = told([LinkLife(0, 5, Fault.PONG_OVERDUE, 0.001)], since=900_000)["incidents"]

    assert (incident["back_ms"], incident["away_s"]) == (None, None)


async def test_it_is_asked_of_the_journal():
    """The journal's lives are told, since then and no more than asked for."""
    world = manual_world()
    for n in range(3):
        world.journal.record_life(LinkLife(0, 1000 + n, Fault.PONG_OVERDUE, 0.1, back_ms=2000))
    answer = await world.admin.incidents(IncidentsParams(limit=2))

    assert [each["ended_ms"] for each in answer["incidents"]] == [1001, 1002]
    assert answer["now_ms"] == world.clock.wall_ms()


@pytest.mark.parametrize(
    "params", [{"limit": 0}, {"limit": MOST_INCIDENTS + 1}, {"since_ms": -1}, {"since_ms": 2**60}]
)
async def test_what_makes_no_sense_is_refused(params):
    """The refusal says what was seen and what is expected."""
    world = manual_world()
    with pytest.raises(RpcError, match="expected") as refused:
        await world.admin.incidents(IncidentsParams(**params))

    assert refused.value.code == Code.INVALID_PARAMS
