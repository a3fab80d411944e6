"""The dead sends as operators see them, and their end."""

import json

import msgspec
import pytest
from downstream.rig import World, manual_world
from downstream.test_dead import buried, refusal

from feishu_ws.clock import SystemClock
from feishu_ws.downstream.dead import STEP
from feishu_ws.downstream.settings import MAX_POSITION
from feishu_ws.happenings import DeadDropped, DeadSendsDropped
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.sqlite import SqliteJournal
from feishu_ws.model import MAX_REQUEST_BYTES, MAX_UUID_CHARS, OutgoingSend, SendKind, SendOutcome
from feishu_ws.tally import Tally
from feishu_ws.wire.admin import (
    MOST_DEAD_PER_PAGE,
    MOST_SENDS,
    DeadChoiceParams,
    DeadListParams,
    DeadShowParams,
)
from feishu_ws.wire.native import Code

REQUEST = b'{"msg_type":"text","content":{"text":"secret words"},"receive_id":"oc_a"}'
UNKNOWN = SendOutcome(SendKind.OUTCOME_UNKNOWN, b'{"msg":"nobody knows"}', is_dead=True)


async def keep(world, uuid, *, request=REQUEST, queue="oc_a", tries=0):
    """Let a send be kept and tried."""
    now_ms = world.clock.wall_ms()
    await world.journal.open_send(OutgoingSend.make(uuid, queue, request, now_ms))
    for _ in range(tries):
        await world.journal.note_send_attempt(uuid, now_ms)


async def bury(world, *uuids, outcome=UNKNOWN, **send):
    """Let sends be kept and die."""
    for uuid in uuids:
        await keep(world, uuid, **send)
        await world.journal.close_send(uuid, outcome, world.clock.wall_ms())


async def listed(world, *, with_content=False, **params):
    """Return the uuids of a page, and how many there are."""
    page = await world.admin.dead_list(DeadListParams(**params), with_content=with_content)
    return [row["uuid"] for row in page["sends"]], page["sends_total"]


async def show(world, uuid):
    """Show one, as the socket says it."""
    return json.loads(msgspec.json.encode(await world.admin.dead_show(DeadShowParams(send=uuid))))


async def drop(world, *uuids, **more):
    """Drop sends; return the answer."""
    return await world.admin.dead_drop(DeadChoiceParams(sends=list(uuids), **more))


def on_disk(path):
    """Return a world over a journal on disk."""
    clock = SystemClock()
    journal = SqliteJournal(path, JournalSettings(), clock=clock, tally=Tally(), observe=id)
    journal.open()
    return World(clock=clock, journal=journal)


class TestList:
    """What there is."""

    async def test_it_says_what_became_of_each(self):
        """Kind, tries, times and size; whom it was for only where content may be seen."""
        world = manual_world()
        await keep(world, "u1", tries=2)
        world.clock.advance(3000)
        now_ms = world.clock.wall_ms()
        await world.journal.close_send("u1", UNKNOWN, now_ms)
        plain = await world.admin.dead_list(DeadListParams())
        full = await world.admin.dead_list(DeadListParams(), with_content=True)

        row = {
            "uuid": "u1", "number": 1, "kind": "outcome_unknown", "tries": 2,
            "made_ms": now_ms - 3_000_000, "died_ms": now_ms, "size": len(REQUEST),
        }  # fmt: skip
        assert plain == {"dead": [], "total": 0, "sends": [row], "sends_total": 1}
        assert full["sends"] == [row | {"to": "oc_a"}]

    async def test_the_living_and_the_done_are_not_listed(self):
        """Those on their way, those Feishu has, and those it refused."""
        world = manual_world()
        await keep(world, "open", tries=1)
        await bury(world, "sent", outcome=SendOutcome(SendKind.SENT, b'{"message_id":"om_1"}'))
        await bury(world, "refused", outcome=SendOutcome(SendKind.REFUSED, b'{"code":230002}'))
        await bury(world, "late", outcome=SendOutcome(SendKind.EXPIRED, b"{}", is_dead=True))

        assert await listed(world) == (["late"], 1)

    async def test_pages_follow_one_another(self):
        """In the order they were accepted, beside the events, which have pages of their own."""
        world, _ = await buried(3)
        await bury(world, *"edcba")
        first = await listed(world, limit=2)
        page = await world.admin.dead_list(DeadListParams(limit=2, sends_after=2, after=2))

        assert first == (["e", "d"], 5)
        assert [row["uuid"] for row in page["sends"]] == ["c", "b"]
        assert [row["position"] for row in page["dead"]] == [3]
        assert await listed(world, limit=2, sends_after=5) == ([], 5)

    async def test_a_page_is_as_long_as_it_may_be(self, tmp_path):
        """However large the requests are: the disk is asked until there are enough."""
        world = on_disk(tmp_path / "j.db")
        uuids = [f"u{n}" for n in range(6)]
        large = b'"%s"' % (b"x" * (MAX_REQUEST_BYTES - 2))
        await bury(world, *uuids, request=large)
        all_of_them, some = await listed(world), await listed(world, limit=5)
        await world.journal.close(5)

        assert all_of_them == (uuids, 6)
        assert some[0] == uuids[:5]

    async def test_none_is_a_consumers(self):
        """Where a consumer is named only its events are meant."""
        world = manual_world()
        await bury(world, "u1")

        assert await listed(world, consumer="bot") == ([], 0)

    @pytest.mark.parametrize(
        "params",
        [{"sends_after": -1}, {"sends_after": MAX_POSITION + 1}, {"limit": MOST_DEAD_PER_PAGE + 1}],
    )
    async def test_nonsense_is_refused(self, params):
        """Saying which param, what it was and what it may be."""
        error = await refusal(listed(manual_world(), **params))

        assert error.code == Code.INVALID_PARAMS
        assert f"params.{next(iter(params))} is" in error.message


class TestShow:
    """One of them, with its request."""

    async def test_the_request_is_as_it_was_made(self):
        """With whom it was for, when it was tried, and what its sender was told."""
        world = manual_world()
        await bury(world, "u1", tries=1)
        shown = await show(world, "u1")

        assert shown["request"] == json.loads(REQUEST)
        assert shown["said"] == {"msg": "nobody knows"}
        assert (shown["to"], shown["tries"]) == ("oc_a", 1)
        assert shown["first_tried_ms"] == shown["made_ms"] == world.clock.wall_ms()

    @pytest.mark.parametrize("request_", [b"{torn", b'"\xff"', b'{"a":1e999}'])
    async def test_a_damaged_request(self, request_):
        """What is no JSON that every reader takes is shown as base64."""
        world = manual_world()
        await bury(world, "u1", request=request_, outcome=SendOutcome("damaged", b"", is_dead=True))
        shown = await show(world, "u1")

        assert "request" not in shown
        assert msgspec.json.decode(f'"{shown["request_base64"]}"', type=bytes) == request_
        assert (shown["said"], shown["first_tried_ms"]) == ({}, None)

    async def test_a_request_of_several_lines(self):
        """An answer is one line."""
        world = manual_world()
        await bury(world, "u1", request=b'{\n "a": 1\n}')
        answer = msgspec.json.encode(await world.admin.dead_show(DeadShowParams(send="u1")))

        assert b"\n" not in answer
        assert json.loads(answer)["request"] == {"a": 1}

    @pytest.mark.parametrize("uuid", ["open", "none", "", "x" * (MAX_UUID_CHARS + 1)])
    async def test_what_is_not_dead_is_not_shown(self, uuid):
        """Sends on their way are none of this store."""
        world = manual_world()
        await keep(world, "open")
        error = await refusal(show(world, uuid))

        assert (error.code, error.data) == (Code.UNKNOWN_POSITION, {"sends": [uuid]})

    @pytest.mark.parametrize("params", [{}, {"position": 1}, {"consumer": "bot"}])
    async def test_one_of_the_two_is_named(self, params):
        """An event or a send."""
        world = manual_world()
        await bury(world, "u1")
        send = "u1" if params else None
        error = await refusal(world.admin.dead_show(DeadShowParams(**params, send=send)))

        assert error.code == Code.INVALID_PARAMS


class TestRetry:
    """There is none."""

    @pytest.mark.parametrize("params", [{"sends": ["u1"]}, {"all_sends": True}])
    async def test_no_send_is_tried_again(self, params):
        """It says what can be done instead; nothing has changed."""
        world, _ = await buried(1)
        await bury(world, "u1")
        error = await refusal(world.admin.dead_retry(DeadChoiceParams(positions=[1], **params)))

        assert (error.code, "new uuid" in error.message) == (Code.INVALID_PARAMS, True)
        assert await listed(world) == (["u1"], 1)
        assert world.journal.facts().dead_letters == 1


class TestDrop:
    """The end."""

    async def test_it_is_gone_for_good(self):
        """Its uuid is forgotten; the others stay, and events too."""
        world, _ = await buried(1)
        await bury(world, *"abc")
        answer = await drop(world, "c", "a", "c")

        assert answer == {"dropped": 0, "sends_dropped": 2}
        assert await listed(world) == (["b"], 1)
        assert await world.journal.find_send("a") is None
        assert world.journal.facts().dead_letters == 1
        assert world.of(DeadSendsDropped) == [DeadSendsDropped(2)]
        assert world.of(DeadDropped) == []

    async def test_all(self):
        """In steps, however many there are; nothing but the dead."""
        world = manual_world()
        await keep(world, "open")
        await bury(world, *(f"u{n}" for n in range(STEP + 20)))
        answers = [await drop(world, all_sends=True) for _ in range(2)]

        assert [answer["sends_dropped"] for answer in answers] == [STEP + 20, 0]
        assert [drop.count for drop in world.of(DeadSendsDropped)] == [STEP, 20]
        assert await world.journal.find_send("open") is not None

    async def test_unknown_ones_change_nothing(self):
        """They are listed; a message names a few, and stays short."""
        world = manual_world()
        await keep(world, "open")
        await bury(world, "u1")
        unknown = ["open", *(f"{n:03}" + "x" * 47 for n in range(100))]
        error = await refusal(drop(world, "u1", *unknown))

        assert (error.code, error.data) == (Code.UNKNOWN_POSITION, {"sends": unknown})
        assert error.message.startswith("no dead send 'open', '000x")
        assert error.message.endswith(" and 96 more")
        assert len(error.message) < 400
        assert await listed(world) == (["u1"], 1)

    @pytest.mark.parametrize(
        "params",
        [
            {"uuids": ["u1"], "all_sends": True}, {"uuids": ["u1"], "positions": [1]},
            {"uuids": ["u1"], "all": True}, {"all": True, "all_sends": True},
            {"uuids": ["u1"], "consumer": "bot"},
            {"uuids": [str(n) for n in range(MOST_SENDS + 1)]},
        ],
    )  # fmt: skip
    async def test_nonsense_changes_nothing(self, params):
        """Neither both ways nor both kinds, nor too many."""
        world, _ = await buried(1)
        await bury(world, "u1")
        more = {**params}
        error = await refusal(drop(world, *more.pop("uuids", ()), **more))

        assert (error.code, len(error.message) < 300) == (Code.INVALID_PARAMS, True)
        assert await listed(world) == (["u1"], 1)
        assert world.journal.facts().dead_letters == 1

    async def test_on_disk(self, tmp_path):
        """The same over the journal on disk, across a restart."""
        world = on_disk(tmp_path / "j.db")
        await bury(world, *"abc", tries=1)
        answer = await drop(world, "b")
        await world.journal.close(5)
        world = on_disk(tmp_path / "j.db")
        kept = await listed(world)
        shown = await show(world, "a")
        rest = await drop(world, all_sends=True)
        await world.journal.close(5)

        assert (answer["sends_dropped"], rest["sends_dropped"]) == (1, 2)
        assert kept == (["a", "c"], 2)
        assert shown["request"] == json.loads(REQUEST)
