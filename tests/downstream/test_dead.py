"""Dead letters as operators see them, their way back, and their end."""

import asyncio
import json

import msgspec
import pytest
from downstream.rig import CARD, World, manual_world, turns
from support import eventually

from feishu_ws.clock import SystemClock
from feishu_ws.downstream.dead import STEP
from feishu_ws.downstream.settings import MAX_POSITION, MAX_REJECTED
from feishu_ws.happenings import DeadDropped, DeadRetried
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.sqlite import SqliteJournal
from feishu_ws.model import Attempt, Filter
from feishu_ws.tally import Tally
from feishu_ws.wire.admin import (
    MOST_DEAD_PER_PAGE,
    MOST_POSITIONS,
    DeadChoiceParams,
    DeadListParams,
    DeadShowParams,
)
from feishu_ws.wire.native import Code, RpcError


async def refusal(awaitable):
    """Return the error an order is answered with."""
    with pytest.raises(RpcError) as caught:
        await awaitable
    return caught.value


async def page(world, *, with_content=False, **params):
    """Return (position, consumer) of a page, and the total."""
    listed = await world.admin.dead_list(DeadListParams(**params), with_content=with_content)
    return [(row["position"], row["consumer"]) for row in listed["dead"]], listed["total"]


async def retry(world, *positions, **more):
    """Retry dead letters; return the answer."""
    return await world.admin.dead_retry(DeadChoiceParams(list(positions), **more))


async def drop(world, *positions, **more):
    """Drop dead letters; return the answer."""
    return await world.admin.dead_drop(DeadChoiceParams(list(positions), **more))


async def buried(count, *names, world=None, **hello):
    """Return a world in which consumers rejected events for good; with seats and outlets by name."""
    world = world or manual_world()
    seats = {}
    for name in names or ("bot",):
        seats[name] = await world.connect(name, start="earliest", **hello)
    for position in await world.fill(count):
        for seat, outlet in seats.values():
            await world.reject(seat, position, reason="no", dead=True)
            outlet.take()
    return world, seats


class TestList:
    """What there is."""

    async def test_it_says_what_became_of_each(self):
        """Reason, attempts, times and size; the consumer's own words only where content may be seen."""
        world = manual_world(max_attempts=2)
        seat, _ = await world.connect(start="earliest")
        await world.publish("a", age_s=5)
        await world.reject(seat, 1, 0, reason="first words")
        world.dispatcher.resume(seat)
        await world.reject(seat, 1, 0, reason="last words")
        plain = await world.admin.dead_list(DeadListParams())
        full = await world.admin.dead_list(DeadListParams(), with_content=True)

        now_ms = world.clock.wall_ms()
        size = len(world.journal._events[1].payload)
        assert plain == {
            "dead": [
                {
                    "position": 1, "consumer": "bot", "reason": "max_attempts", "attempts": 2,
                    "died_ms": now_ms, "received_ms": now_ms - 5000,
                    "type": "im.message.receive_v1", "event_id": "a", "size": size,
                }
            ],
            "total": 1, "sends": [], "sends_total": 0,
        }  # fmt: skip
        assert full["dead"] == [{**plain["dead"][0], "note": "last words"}]

    async def test_pages_follow_one_another(self):
        """A page ends with all dead letters of its last position; `total` is the same on each."""
        world, _ = await buried(3, "bot", "log")
        first = await page(world, limit=3)
        second = await page(world, after=2)
        own = await page(world, consumer="log", limit=1)
        nobody = await page(world, consumer="other")

        assert first == ([(1, "bot"), (1, "log"), (2, "bot"), (2, "log")], 6)
        assert second == ([(3, "bot"), (3, "log")], 6)
        assert own == ([(1, "log")], 3)
        assert nobody == ([], 0)

    @pytest.mark.parametrize(
        "params",
        [
            {"after": -1}, {"after": MAX_POSITION + 1}, {"limit": 0}, {"limit": -5},
            {"limit": MOST_DEAD_PER_PAGE + 1}, {"consumer": "A b"}, {"consumer": ""},
        ],
    )  # fmt: skip
    async def test_nonsense_is_refused(self, params):
        """Saying which param, what it was and what it may be."""
        error = await refusal(page(manual_world(), **params))

        assert error.code == Code.INVALID_PARAMS
        assert f"params.{next(iter(params))} is" in error.message


class TestShow:
    """One of them, with its event."""

    async def test_the_event_is_as_it_was_delivered(self):
        """With the message, the consumer's words, and the payload byte for byte."""
        world, _ = await buried(1)
        shown = json.loads(msgspec.json.encode(await world.admin.dead_show(DeadShowParams(1))))

        assert (shown["position"], shown["consumer"], shown["note"]) == (1, "bot", "no")
        assert shown["event"]["id"] == "0"
        assert shown["event"]["data"] == json.loads(world.journal._events[1].payload)
        assert shown["event"]["appid"] == "cli_a"

    async def test_which_one_has_to_be_said_where_there_are_several(self):
        """A position that died for two is shown for the one that is named."""
        world, _ = await buried(1, "bot", "log")
        error = await refusal(world.admin.dead_show(DeadShowParams(1)))
        shown = await world.admin.dead_show(DeadShowParams(1, "log"))

        assert (error.code, error.message.endswith("one of: bot, log")) == (
            Code.INVALID_PARAMS,
            True,
        )
        assert shown["consumer"] == "log"

    @pytest.mark.parametrize("position", [2, 99])
    async def test_what_is_not_dead_is_not_shown(self, position):
        """Events that did not die are none of this store."""
        world, _ = await buried(1)
        await world.publish("alive")
        error = await refusal(world.admin.dead_show(DeadShowParams(position)))

        assert (error.code, error.data) == (Code.UNKNOWN_POSITION, {"positions": [position]})

    async def test_one_that_made_room_meanwhile(self):
        """A letter whose event went between two looks is as good as none."""
        world, _ = await buried(1)
        read = world.journal.read

        async def late(*args, **kwargs):
            world.journal._events.clear()
            return await read(*args, **kwargs)

        world.journal.read = late
        error = await refusal(world.admin.dead_show(DeadShowParams(1)))

        assert error.code == Code.UNKNOWN_POSITION


class TestRetry:
    """The way back."""

    async def test_a_connected_consumer_gets_it_at_once(self):
        """As attempt 1, ahead of its backlog, without a new event; settled it is done for good."""
        world, seats = await buried(3)
        seat, outlet = seats["bot"]
        answer = await retry(world, 3, 1)
        got = [(d.position, d.attempt) for d in outlet.got]
        world.settle(seat, 1, 3)

        assert (answer, got) == ({"retried": 2, "left": 0}, [(1, 1), (3, 1)])
        assert [d[1] for d in world.journal.dead] == [2]
        assert (world.record().cursor, world.record().attempts) == (3, {})
        assert world.of(DeadRetried) == [DeadRetried("bot", 2, 1, 3)]

    async def test_one_that_is_away_gets_it_when_it_comes(self):
        """Between what it has settled, from the disk; also after a restart."""
        world, seats = await buried(4)
        world.dispatcher.detach(*seats["bot"], "closed")
        await retry(world, 2)
        seat, second = await world.connect()
        await turns()
        world.dispatcher.detach(seat, second, "closed")
        world.restart()
        _, third = await world.connect()
        await turns()
        await world.publish("new")

        assert (second.positions, third.positions) == ([2], [2, 5])
        assert world.record().pending == 2

    async def test_it_may_die_again(self):
        """With as many attempts as any, and then there is one letter as before."""
        world = manual_world(max_attempts=2)
        world, seats = await buried(1, world=world)
        seat, outlet = seats["bot"]
        await retry(world, 1)
        for _ in range(2):
            await world.reject(seat, 1, 0, reason="again")
            world.dispatcher.resume(seat)

        assert [d.attempt for d in outlet.got] == [1, 2]
        assert world.journal.dead == [("bot", 1, "max_attempts", Attempt(2, 0, "again"))]

    async def test_a_callback_comes_late(self):
        """Nobody waits for its answer any more."""
        world = manual_world()
        seat, outlet = await world.connect(start="earliest")
        await world.publish("card", kind=CARD, age_s=60)
        await world.reject(seat, 1, dead=True)
        outlet.take()
        await retry(world, 1)

        assert [(d.position, d.reply_by_ms, d.late) for d in outlet.got] == [(1, None, True)]

    async def test_without_a_consumer_it_is_for_all_it_died_for(self):
        """Each gets its own back; with one it is for that one alone."""
        world, seats = await buried(2, "bot", "log")
        both = await retry(world, 1)
        one = await retry(world, 2, consumer="log")

        assert (both["retried"], one["retried"]) == (2, 1)
        assert {n: outlet.positions for n, (_, outlet) in seats.items()} == {
            "bot": [1],
            "log": [1, 2],
        }
        assert await page(world) == ([(2, "bot")], 1)

    async def test_all(self):
        """`all` is everything, or everything of one consumer."""
        world, seats = await buried(3, "bot", "log")
        own = await retry(world, all=True, consumer="log")
        rest = await retry(world, all=True)
        none = await retry(world, all=True)

        assert (own, rest, none) == (
            {"retried": 3, "left": 0}, {"retried": 3, "left": 0}, {"retried": 0, "left": 0},
        )  # fmt: skip
        assert all(outlet.positions == [1, 2, 3] for _, outlet in seats.values())

    @pytest.mark.parametrize("order", [retry, drop])
    async def test_unknown_ones_change_nothing(self, order):
        """They are listed, and what was named with them is left alone."""
        world, _ = await buried(2)
        error = await refusal(order(world, 1, 9, 2, 7))
        other = await refusal(order(world, 1, consumer="log"))

        assert (error.code, error.data) == (Code.UNKNOWN_POSITION, {"positions": [7, 9]})
        assert (other.code, other.data) == (Code.UNKNOWN_POSITION, {"positions": [1]})
        assert "log" in other.message
        assert await page(world) == ([(1, "bot"), (2, "bot")], 2)

    @pytest.mark.parametrize("order", [retry, drop])
    @pytest.mark.parametrize(
        "params",
        [
            {}, {"positions": [0]}, {"positions": [-3]}, {"positions": [2**70]},
            {"positions": list(range(1, MOST_POSITIONS + 2))}, {"positions": [1], "all": True},
            {"all": True, "consumer": "A b"}, {"positions": [1], "consumer": ""},
        ],
    )  # fmt: skip
    async def test_nonsense_changes_nothing(self, order, params):
        """Neither nothing nor too much, neither both ways nor a name that is none."""
        world, _ = await buried(2)
        positions, more = params.get("positions", ()), {**params}
        more.pop("positions", None)
        error = await refusal(order(world, *positions, **more))

        assert (error.code, len(error.message) < 300) == (Code.INVALID_PARAMS, True)
        assert (await page(world))[1] == 2

    async def test_a_consumer_that_is_not_known_any_more(self):
        """It has to come back first; nothing of the request is done. `all` leaves it out."""
        world, seats = await buried(1, "bot", "gone")
        world.dispatcher.detach(*seats["gone"], "closed")
        await world.journal.forget("gone")
        errors = [
            await refusal(retry(world, 1)),
            await refusal(retry(world, all=True, consumer="gone")),
        ]
        before = await page(world)
        answer = await retry(world, all=True)

        assert {error.code for error in errors} == {Code.INVALID_PARAMS}
        assert all("gone" in error.message for error in errors)
        assert (before[1], answer) == (2, {"retried": 1, "left": 1})

    async def test_what_its_filter_does_not_name_any_more(self):
        """It would not be delivered, so it is refused, saying which; `all` leaves it out."""
        world, _ = await buried(1)
        await world.publish("b", kind="drive.y")
        await world.journal.bury("bot", 2, "rejected", Attempt(1))
        await world.connect(types=["drive.*"])
        error = await refusal(retry(world, 1, 2))
        before = await page(world)
        answer = await retry(world, all=True)

        assert (error.code, "position 1 " in error.message) == (Code.INVALID_PARAMS, True)
        assert (before[1], answer) == (2, {"retried": 1, "left": 1})

    async def test_no_more_than_a_consumer_may_have(self):
        """Of `all` the oldest go first; too many by number are refused; settled ones make room."""
        world = manual_world(window=2000)
        count = MAX_REJECTED + 300
        world, seats = await buried(count, world=world, window=2000)
        seat, outlet = seats["bot"]
        first = await retry(world, all=True)
        error = await refusal(retry(world, count))
        world.settle(seat, *range(1, 101))
        second = await retry(world, all=True)
        await turns()

        assert first == {"retried": MAX_REJECTED, "left": 300}
        assert (error.code, "at most 0" in error.message) == (Code.FULL, True)
        assert second == {"retried": 100, "left": 200}
        assert outlet.positions == list(range(1, MAX_REJECTED + 101))

    async def test_the_window_holds(self):
        """However many come back, no more than the window is out, and first deliveries go on after."""
        world, seats = await buried(5, window=2)
        seat, outlet = seats["bot"]
        await retry(world, all=True)
        await world.publish("new")
        early = outlet.take()
        for position in (1, 2, 3, 4, 5):
            world.settle(seat, position)

        assert (early, outlet.positions) == ([1, 2], [3, 4, 5, 6])

    async def test_a_moved_consumer_gets_it_once(self):
        """What comes again anyway is not doubled; the letter is gone."""
        world, seats = await buried(2)
        seat, outlet = seats["bot"]
        await world.dispatcher.seats.move("bot", 0)
        outlet.take()
        await retry(world, 1)
        world.settle(seat, 1, 2)

        assert (outlet.positions, world.record().cursor) == ([], 2)
        assert await page(world) == ([(2, "bot")], 1)


class TestDrop:
    """The end."""

    async def test_it_is_gone_for_good(self):
        """The letter goes, the event stays settled, and that is told and counted."""
        world, seats = await buried(3)
        answer = await drop(world, 1, 3)
        await turns()

        assert (answer, await page(world)) == ({"dropped": 2}, ([(2, "bot")], 1))
        assert (seats["bot"][1].positions, world.record().cursor) == ([], 3)
        assert world.of(DeadDropped) == [DeadDropped("bot", 2, 1, 3)]
        assert world.tally.events_discarded == {"dead_letter": 2}

    async def test_all_of_one_or_of_everybody(self):
        """In steps, however many there are, also of consumers that are forgotten."""
        world, seats = await buried(STEP + 20, "bot", "log")
        world.dispatcher.detach(*seats["log"], "closed")
        await world.journal.forget("log")
        own = await drop(world, all=True, consumer="bot")
        left = (await page(world))[1]
        rest = await drop(world, all=True)

        assert (own, left, rest) == ({"dropped": STEP + 20}, STEP + 20, {"dropped": STEP + 20})
        assert await page(world) == ([], 0)


async def test_on_disk(tmp_path):
    """The same over the journal on disk, across a restart."""
    clock = SystemClock()

    def begin():
        journal = SqliteJournal(
            tmp_path / "j.db", JournalSettings(), clock=clock, tally=Tally(), observe=id
        )
        journal.open()
        return World(clock=clock, journal=journal)

    world, seats = await buried(20, "bot", "log", world=begin())
    await retry(world, *range(1, 11))
    await drop(world, 15, consumer="log")
    world.settle(seats["bot"][0], *range(1, 6))
    shown = await world.admin.dead_show(DeadShowParams(15))
    rivals = await asyncio.gather(  # of two orders for one letter, one finds it
        drop(world, 16), drop(world, 16), return_exceptions=True
    )
    world.dispatcher.say_bye("shutdown")
    await world.journal.close(5)
    world = begin()
    _, bot = await world.connect("bot")
    _, log = await world.connect("log")
    await eventually(lambda: (len(bot.got), len(log.got)) == (5, 10))
    listed = await page(world)
    await world.journal.close(5)

    assert (bot.positions, log.positions) == (list(range(6, 11)), list(range(1, 11)))
    assert (rivals[0], rivals[1].code) == ({"dropped": 2}, Code.UNKNOWN_POSITION)
    assert listed[1] == 17
    assert json.loads(bytes(shown["event"]))["id"] == "14"


async def test_far_behind_costs_one_read(tmp_path):
    """One event far below the cursor comes again without all that lies between being read."""
    world = World()
    await world.journal.enroll("bot", Filter(), 0, declared=False)
    await world.fill(5000)
    await world.journal.settle("bot", [p for p in range(1, 5001) if p != 7])
    await world.journal.bury("bot", 7, "rejected", Attempt(1))
    world.restart()
    await retry(world, 7)
    _, outlet = await world.connect()
    await eventually(lambda: outlet.got)
    await world.publish("new")
    await eventually(lambda: len(outlet.got) == 2)

    assert (outlet.positions, world.journal.reads) == ([7, 5001], 1)
