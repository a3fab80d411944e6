"""`feishu-ws dead`: what is printed, what is asked for, and what becomes of it."""

import io
import json

import pytest
from cli.stopped import EVENTS

from feishu_ws.cli.dead import describe_letter, describe_list
from feishu_ws.wire.admin import MOST_DEAD_PER_PAGE

NOW_MS = 1_774_004_591_415
LETTER = {
    "position": 118,
    "consumer": "bot",
    "reason": "rejected",
    "attempts": 3,
    "died_ms": NOW_MS - 60_000,
    "received_ms": NOW_MS - 7_200_000,
    "type": "im.message.receive_v1",
    "event_id": "ev-118",
    "size": 1518,
    "note": "no",
}


def _shown(**more):
    """Return the answer to `dead.show` as bytes."""
    event = more.pop("event", '{"id":"ev-118","n":1.0e2,"data":{"a":[1,2]}}')
    rest = json.dumps(LETTER | more)
    return f'{rest[:-1]}, "event": {event}}}'.encode()


class TestList:
    """A table, or all of it as JSON."""

    def test_letters_are_a_table(self):
        """Oldest first, as they come; the note last."""
        other = LETTER | {"position": 7, "reason": "expired", "note": ""}

        assert describe_list({"dead": [other, LETTER], "total": 2}, NOW_MS, io.StringIO()) == (
            "position  consumer  died       reason    attempts  type                   note\n"
            "7         bot       1 min ago  expired   3         im.message.receive_v1\n"
            "118       bot       1 min ago  rejected  3         im.message.receive_v1  no\n"
            "2 dead letters"
        )

    def test_it_says_when_there_are_more(self):
        """And when there are none."""
        assert describe_list({"dead": [LETTER], "total": 9}, NOW_MS, io.StringIO()).endswith(
            "\n1 of 9 dead letters"
        )
        assert describe_list({"dead": [], "total": 0}, NOW_MS, io.StringIO()) == "no dead letters"

    def test_a_note_cannot_steer_the_terminal(self):
        """A consumer wrote it, perhaps out of a message; without one it is left out."""
        nasty = LETTER | {"note": "\x1b]0;title\x07\n", "type": "a\u202eb"}
        plain = {key: value for key, value in LETTER.items() if key != "note"}

        told = describe_list({"dead": [nasty, plain], "total": 2}, NOW_MS, io.StringIO())

        assert "\\x1b]0;title\\x07\\n" in told
        assert "a\\u202eb" in told
        assert told.isascii()

    async def test_pages_are_asked_for_until_there_is_no_more(self, here, daemon):
        """Each after the last position of the one before."""
        letters = [LETTER | {"position": n} for n in range(1, MOST_DEAD_PER_PAGE + 6)]
        pages = iter([letters[:MOST_DEAD_PER_PAGE], letters[MOST_DEAD_PER_PAGE:]])
        real = daemon._result

        def result(method):
            page = {"dead": next(pages), "total": len(letters)} if method == "dead.list" else None
            return page or real(method)

        daemon._result = result
        code, out, _ = await here("dead", "list", "--socket", daemon.path, "--json")

        assert code == 0
        no_sends = {"sends": [], "sends_total": 0}
        assert json.loads(out) == {"dead": letters, "total": len(letters)} | no_sends
        limit = {"consumer": None, "limit": MOST_DEAD_PER_PAGE, "sends_after": 0}
        assert daemon.params("dead.list") == [
            limit | {"after": 0},
            limit | {"after": MOST_DEAD_PER_PAGE},
        ]

    async def test_no_more_is_asked_for_than_wanted(self, here, daemon):
        """A page may have more than that, for a position is not torn apart."""
        daemon.results = {"dead.list": {"dead": [LETTER] * 3, "total": 40}}
        words = ["--socket", daemon.path, "--max", "2", "--consumer", "bot"]
        _, out, _ = await here("dead", "list", *words)

        assert out.endswith("2 of 40 dead letters\n")
        params = {"consumer": "bot", "after": 0, "limit": 2, "sends_after": 0}
        assert daemon.params("dead.list") == [params]


class TestShow:
    """One of them, with the event."""

    def test_facts_come_first_then_the_event(self):
        """Its JSON is indented, with numbers and order as they were sent."""
        told = describe_letter(_shown(), NOW_MS, io.StringIO()).splitlines()

        facts, event = told[: told.index("{")], told[told.index("{") :]
        assert [line.split()[0] for line in facts] == [
            "position", "consumer", "type", "event", "received", "died", "reason", "attempts",
            "note", "size",
        ]  # fmt: skip
        assert "reason    rejected: its consumer rejected it for good" in facts
        assert any(line.endswith(", 2 h 0 min ago") for line in facts)
        assert event[:3] == ["{", '  "id": "ev-118",', '  "n": 1.0e2,']

    def test_neither_note_nor_event_can_steer_the_terminal(self):
        """Both are somebody else's words; JSON stays the same JSON."""
        told = describe_letter(
            _shown(note="a\x1b[2J\nb", event='{"text":"\u202e\x9b31m 好"}'), NOW_MS, io.StringIO()
        )

        assert "a\\x1b[2J\\nb" in told
        assert '"\\u202e\\u009b31m 好"' in told

    def test_any_event_is_shown(self):
        """Also with numbers beyond every float, and reasons of a newer daemon."""
        told = describe_letter(_shown(reason="tired", event='{"a":1e999}'), NOW_MS, io.StringIO())

        assert "reason    tired\n" in told
        assert '"a": 1e999' in told

    async def test_it_is_asked_for_by_position(self, here, daemon):
        """And by consumer, where it died for several."""
        daemon.results = {"dead.show": json.loads(_shown())}
        code, out, _ = await here(
            "dead", "show", "118", "--consumer", "bot", "--socket", daemon.path
        )
        _, raw, _ = await here("dead", "show", "118", "--socket", daemon.path, "--json")

        assert (code, out.startswith("position  118\n")) == (0, True)
        assert json.loads(raw) == json.loads(_shown())
        assert daemon.params("dead.show") == [
            {"position": 118, "consumer": "bot"},
            {"position": 118, "consumer": None},
        ]


class TestChange:
    """Back to the consumer, or away for good."""

    @pytest.mark.parametrize(
        ("answer", "told"),
        [
            ({"retried": 0, "left": 0}, "no dead letters"),
            ({"retried": 1, "left": 0}, "1 event is delivered again"),
            ({"retried": 2}, "2 events are delivered again"),
            (
                {"retried": 1024, "left": 7},
                (
                    "1024 delivered again, 7 left: no room with their consumer,"
                    " or it wants them no more"
                ),
            ),
        ],
    )
    async def test_retried(self, here, daemon, answer, told):
        """How many, and how many not."""
        daemon.results = {"dead.retry": answer}

        assert await here("dead", "retry", "3", "5", "--socket", daemon.path) == (
            0,
            f"{told}\n",
            "",
        )
        assert daemon.params("dead.retry") == [
            {"positions": [3, 5], "all": False, "consumer": None}
        ]

    @pytest.mark.parametrize(
        ("count", "told"),
        [(0, "no dead letters"), (1, "1 event is given up for good"), (9, "9 events are given up for good")],
    )  # fmt: skip
    async def test_dropped(self, here, daemon, count, told):
        """How many."""
        daemon.results = {"dead.drop": {"dropped": count}}
        words = ["dead", "drop", "--all", "--consumer", "bot", "--socket", daemon.path]

        assert await here(*words) == (0, f"{told}\n", "")
        assert await here(*words, "--json") == (0, f'{{"dropped": {count}}}\n', "")
        assert daemon.params("dead.drop")[0] == {"positions": [], "all": True, "consumer": "bot"}


async def test_in_a_stopped_daemons_journal(here, stopped):
    """Listed, shown, given back, dropped; the next owner finds it so."""
    listed = await here("dead", "list", "--json")
    shown = await here("dead", "show", "3")
    retried = await here("dead", "retry", "3")
    again = await here("dead", "retry", "3")
    dropped = await here("dead", "drop", "--all", "--consumer", "bot")

    assert [letter["position"] for letter in json.loads(listed[1])["dead"]] == [3, 5]
    assert "note      no\\x1b[2J thanks\n" in shown[1]
    assert [outcome[0] for outcome in (shown, retried, again, dropped)] == [0, 0, 64, 0]
    assert dropped[1] == "1 event is given up for good\n"
    assert await stopped.dead() == []
    assert (await stopped.record()).pending == EVENTS - 10 + 1
