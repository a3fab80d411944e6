"""`feishu-ws dead` about sends: what is printed, what is asked for, and what becomes of it."""

import io
import json

import pytest

from feishu_ws.cli.dead import describe_list
from feishu_ws.cli.dead_sends import HOW, describe_send
from feishu_ws.clock import SystemClock
from feishu_ws.model import OutgoingSend, SendKind, SendOutcome
from feishu_ws.wire.admin import MOST_DEAD_PER_PAGE

NOW_MS = 1_774_004_591_415
SEND = {
    "uuid": "backup-1",
    "number": 7,
    "kind": "outcome_unknown",
    "tries": 3,
    "made_ms": NOW_MS - 7_200_000,
    "died_ms": NOW_MS - 3_600_000,
    "size": 1518,
    "to": "oc_a1b2",
}
SHOWN = SEND | {
    "first_tried_ms": NOW_MS - 7_200_000,
    "said": {"msg": "it was tried"},
    "request": {"msg_type": "text", "content": {"text": "好"}},
}
NO_EVENTS = {"dead": [], "total": 0}


def told(listed):
    """Return the list for people."""
    return describe_list(NO_EVENTS | listed, NOW_MS, io.StringIO())


class TestList:
    """A section of their own."""

    def test_sends_are_a_table(self):
        """With what can be done about them, for nothing tries them again."""
        other = {name: value for name, value in SEND.items() if name != "to"} | {"uuid": "u"}

        assert (
            told({"sends": [SEND, other], "sends_total": 2})
            == (
                "uuid      kind             tries  made         died         to\n"
                "backup-1  outcome_unknown  3      2 h 0 min ago  1 h 0 min ago  oc_a1b2\n"
                "u         outcome_unknown  3      2 h 0 min ago  1 h 0 min ago\n"
                "2 dead sends\n"
            ).replace("made         died         to", "made           died           to")
            + HOW
        )

    def test_they_come_after_the_events(self):
        """A line apart; a list without any, or of an older daemon, is as it was."""
        letter = {"position": 1, "consumer": "bot"}
        both = {"dead": [letter], "total": 1, "sends": [SEND], "sends_total": 9}
        lines = told(both).splitlines()

        assert (lines[2], lines[3], lines[-2]) == ("1 dead letters", "", "1 of 9 dead sends")
        assert told({}) == told({"sends": [], "sends_total": 0}) == "no dead letters"

    def test_a_uuid_cannot_steer_the_terminal(self):
        """A program chose it."""
        nasty = SEND | {"uuid": "a\u202eb", "to": "\x1b[2J"}

        assert told({"sends": [nasty], "sends_total": 1}).isascii()

    async def test_pages_are_asked_for_until_there_is_no_more(self, here, daemon):
        """Of events and sends alike, each after the last of the page before."""
        letters = [{"position": n, "consumer": "bot"} for n in (3, 4)]
        sends = [SEND | {"number": n} for n in range(1, MOST_DEAD_PER_PAGE + 6)]
        pages = iter(
            [
                {"dead": letters, "sends": sends[:MOST_DEAD_PER_PAGE]},
                {"dead": [], "sends": sends[MOST_DEAD_PER_PAGE:]},
            ]
        )
        real = daemon._result

        def result(method):
            totals = {"total": 2, "sends_total": len(sends)}
            return next(pages) | totals if method == "dead.list" else real(method)

        daemon._result = result
        code, out, _ = await here("dead", "list", "--socket", daemon.path, "--json")

        assert code == 0
        assert json.loads(out) == {
            "dead": letters,
            "total": 2,
            "sends": sends,
            "sends_total": len(sends),
        }
        asked = [(p["after"], p["sends_after"], p["limit"]) for p in daemon.params("dead.list")]
        assert asked == [(0, 0, MOST_DEAD_PER_PAGE), (4, MOST_DEAD_PER_PAGE, MOST_DEAD_PER_PAGE)]

    async def test_no_more_is_asked_for_than_wanted(self, here, daemon):
        """`--max` is for the events and for the sends."""
        page = {"dead": [], "total": 0, "sends": [SEND] * 2, "sends_total": 40}
        daemon.results = {"dead.list": page}
        _, out, _ = await here("dead", "list", "--socket", daemon.path, "--max", "2")

        assert "2 of 40 dead sends\n" in out
        assert len(daemon.params("dead.list")) == 1


class TestShow:
    """One of them, with its request."""

    def test_facts_come_first_then_the_request(self):
        """Its JSON is indented; what is not known is left out."""
        lines = describe_send(json.dumps(SHOWN).encode(), NOW_MS, io.StringIO()).splitlines()
        bare = describe_send(b'{"uuid":"u","kind":"new"}', NOW_MS, io.StringIO()).splitlines()

        facts, request = lines[: lines.index("{")], lines[lines.index("{") :]
        assert [line.split()[0] for line in facts] == [
            "uuid", "kind", "to", "made", "tried", "tries", "died", "said", "size",
        ]  # fmt: skip
        assert facts[1].endswith("tried, and Feishu never said what became of it")
        assert request[1] == '  "msg_type": "text",'
        assert [line.split()[0] for line in bare] == ["uuid", "kind", "tries", "size"]

    def test_it_cannot_steer_the_terminal(self):
        """What was to be sent is somebody's words; JSON stays the same JSON."""
        nasty = SHOWN | {"said": {"msg": "a\x1b[2J"}, "request": {"text": "\u202e好"}}
        text = describe_send(json.dumps(nasty, ensure_ascii=False).encode(), NOW_MS, io.StringIO())

        assert "a\\x1b[2J" in text
        assert '"\\u202e好"' in text

    async def test_it_is_asked_for_by_uuid(self, here, daemon):
        """And told to programs as it came."""
        daemon.results = {"dead.show": SHOWN}
        words = ["dead", "show", "--send", "backup-1", "--socket", daemon.path]
        code, out, _ = await here(*words)
        _, raw, _ = await here(*words, "--json")

        assert (code, out.split()[:2]) == (0, ["uuid", "backup-1"])
        assert json.loads(raw) == SHOWN
        assert daemon.params("dead.show") == [{"send": "backup-1"}] * 2


class TestDrop:
    """Away for good."""

    @pytest.mark.parametrize(
        ("words", "params"),
        [
            (["--send", "a", "b"], {"sends": ["a", "b"], "all_sends": False, "consumer": None}),
            (["--all-sends"], {"sends": [], "all_sends": True, "consumer": None}),
        ],
    )
    async def test_some_or_all(self, here, daemon, words, params):
        """By their uuids, or all of them."""
        daemon.results = {"dead.drop": {"dropped": 0, "sends_dropped": 2}}
        code, out, _ = await here("dead", "drop", *words, "--socket", daemon.path)

        assert (code, out) == (0, "2 sends are given up for good\n")
        assert daemon.params("dead.drop") == [params]

    @pytest.mark.parametrize(
        ("count", "said"), [(0, "no dead sends"), (1, "1 send is given up for good")]
    )
    async def test_how_many(self, here, daemon, count, said):
        """For people, and for programs."""
        daemon.results = {"dead.drop": {"dropped": 0, "sends_dropped": count}}
        words = ["dead", "drop", "--all-sends", "--socket", daemon.path]
        _, plain, _ = await here(*words)
        _, raw, _ = await here(*words, "--json")

        assert plain == f"{said}\n"
        assert json.loads(raw)["sends_dropped"] == count


async def test_in_a_stopped_daemons_journal(here, stopped):
    """Listed, shown, dropped; the next owner finds it so."""
    journal, now_ms = stopped.open(), SystemClock().wall_ms()
    for uuid in ("a", "b"):
        request = b'{"msg_type":"text","content":{"text":"hi"},"receive_id":"oc_a"}'
        await journal.open_send(OutgoingSend.make(uuid, "oc_a", request, now_ms))
        outcome = SendOutcome(SendKind.EXPIRED, b'{"msg":"too late"}', is_dead=True)
        await journal.close_send(uuid, outcome, now_ms)
    await journal.close(5)
    listed = await here("dead", "list", "--json")
    shown = await here("dead", "show", "--send", "a")
    dropped = await here("dead", "drop", "--send", "a")
    again = await here("dead", "drop", "--send", "a")
    left = await here("dead", "--json")

    assert [(s["uuid"], s["to"]) for s in json.loads(listed[1])["sends"]] == [
        ("a", "oc_a"),
        ("b", "oc_a"),
    ]
    assert '"text": "hi"' in shown[1]
    assert [outcome[0] for outcome in (shown, dropped, again)] == [0, 0, 64]
    assert "no dead send 'a'" in again[2]
    assert (json.loads(left[1])["sends_total"], json.loads(left[1])["total"]) == (1, 2)
