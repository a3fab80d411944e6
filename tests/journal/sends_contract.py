"""The journal's promises about outgoing sends as tests; see `contract.py`."""

import asyncio

import pytest
from journal.contract import NOW_MS
from support import eventually

from feishu_ws.journal.contract import OUTCOME_HOURS
from feishu_ws.model import MAX_ANSWER_BYTES, OutgoingSend, SendKind, SendOutcome

SENT = SendOutcome(SendKind.SENT, b'{"message_id":"om_1"}')
UNKNOWN = SendOutcome(SendKind.OUTCOME_UNKNOWN, is_dead=True)
RETENTION_HOURS = 168  # the default


def make_send(uuid, queue="oc_1", *, request=None, made_ms=NOW_MS):
    """Return a send of a request that says its uuid."""
    return OutgoingSend.make(uuid, queue, request or f'{{"to":"{uuid}"}}'.encode(), made_ms)


def uuids(sends):
    """Return what names them."""
    return [send.uuid for send in sends]


class SendContract:
    """Subclasses provide `journal`, and `pass_hours`, which lets it expire what is old."""

    async def test_a_send_is_kept_as_it_was_made(self, journal):
        """Opening answers the send with its number, and it can be read."""
        made = make_send("a", "oc_7")
        opened = await journal.open_send(made)

        assert opened == OutgoingSend("a", "oc_7", made.request, made.digest, NOW_MS, number=1)
        assert list(await journal.unfinished_sends()) == [opened]
        assert await journal.find_send("a") == opened
        assert await journal.find_send("b") is None

    async def test_one_uuid_is_one_send(self, journal):
        """A second open changes nothing and answers what is known, whatever it asks for."""
        first = await journal.open_send(make_send("a"))
        await journal.note_send_attempt("a", NOW_MS + 5)
        other = make_send("a", "oc_9", request=b"other", made_ms=NOW_MS + 9)
        known = await journal.open_send(other)

        assert known == await journal.find_send("a")
        assert (known.number, known.attempts, known.queue) == (first.number, 1, "oc_1")
        assert known.asks_for(first.request)
        assert not known.asks_for(other.request)

    async def test_opened_twice_at_once(self, journal):
        """Of two opens at once one keeps its send, and both are answered the same."""
        both = await asyncio.gather(
            journal.open_send(make_send("a")), journal.open_send(make_send("a", "oc_2"))
        )

        assert both[0] == both[1]
        assert uuids(await journal.unfinished_sends()) == ["a"]

    async def test_the_first_attempt_stays(self, journal):
        """Attempts are counted, and the time of the first is never moved."""
        await journal.open_send(make_send("a"))
        noted = [await journal.note_send_attempt("a", NOW_MS + ms) for ms in (7, 3, 99)]
        send = await journal.find_send("a")

        assert noted == [True, True, True]
        assert (send.attempts, send.first_attempt_ms) == (3, NOW_MS + 7)

    async def test_what_must_not_be_tried(self, journal):
        """No attempt is noted of a send that is not there, or has an outcome."""
        await journal.open_send(make_send("a"))
        await journal.close_send("a", SENT, NOW_MS)

        assert await journal.note_send_attempt("a", NOW_MS) is False
        assert await journal.note_send_attempt("b", NOW_MS) is False
        assert (await journal.find_send("a")).attempts == 0

    async def test_an_outcome_is_final(self, journal):
        """The first outcome stays and answers every later open; the request is not kept with it."""
        send = make_send("a")
        await journal.open_send(send)
        closed = [
            await journal.close_send("a", SENT, NOW_MS + 1),
            await journal.close_send("a", UNKNOWN, NOW_MS + 2),
            await journal.close_send("b", SENT, NOW_MS),
        ]
        known = await journal.open_send(make_send("a"))

        assert closed == [True, False, False]
        assert (known.outcome, known.closed_ms, known.request) == (SENT, NOW_MS + 1, b"")
        assert known.asks_for(send.request)
        assert list(await journal.unfinished_sends()) == []

    async def test_opened_tried_and_closed_at_once(self, journal):
        """What is asked for without waiting is done in its order."""
        answers = await asyncio.gather(
            journal.open_send(make_send("a")),
            journal.note_send_attempt("a", NOW_MS),
            journal.close_send("a", SENT, NOW_MS),
            journal.open_send(make_send("a")),
        )

        assert answers[1:3] == [True, True]
        assert (answers[0].outcome, answers[3].outcome) == (None, SENT)

    async def test_unfinished_sends_are_read_in_pages(self, journal):
        """They come in the order made, those with an outcome left out; an empty page is the end."""
        for uuid in "cabed":
            await journal.open_send(make_send(uuid))
        await journal.close_send("b", SENT, NOW_MS)
        first = await journal.unfinished_sends(limit=2)
        rest = await journal.unfinished_sends(first[-1].number)

        assert (uuids(first), uuids(rest)) == (["c", "a"], ["e", "d"])
        assert list(await journal.unfinished_sends(rest[-1].number)) == []

    async def test_dead_sends_keep_their_request(self, journal):
        """They are listed with what was to be sent, in pages, apart from the rest."""
        for uuid in "abcd":
            await journal.open_send(make_send(uuid))
        for uuid in "cb":
            await journal.close_send(uuid, UNKNOWN, NOW_MS)
        await journal.close_send("d", SENT, NOW_MS)
        dead = await journal.dead_sends()

        assert uuids(dead) == ["b", "c"]
        assert [send.request for send in dead] == [make_send(u).request for u in "bc"]
        assert uuids(await journal.dead_sends(limit=1)) == ["b"]
        assert uuids(await journal.dead_sends(dead[0].number)) == ["c"]

    async def test_only_dead_sends_are_dropped(self, journal):
        """Not what is unfinished, well or unknown; a dropped uuid is as if it had never been."""
        for uuid in "abc":
            await journal.open_send(make_send(uuid))
        await journal.close_send("b", SENT, NOW_MS)
        await journal.close_send("c", UNKNOWN, NOW_MS)
        dropped = await journal.drop_sends(["a", "b", "c", "c", "x"])

        assert dropped == ["c"]
        assert await journal.find_send("c") is None
        assert (await journal.open_send(make_send("c"))).outcome is None
        assert (await journal.find_send("b")).outcome == SENT

    async def test_outcomes_are_known_for_a_day(self, journal, pass_hours):
        """Then they are forgotten; dead ones stay as long as events, unfinished ones stay."""
        for uuid in "abc":
            await journal.open_send(make_send(uuid))
        now_ms = await pass_hours(0)
        await journal.close_send("a", SENT, now_ms)
        await journal.close_send("b", UNKNOWN, now_ms)
        found = []
        for hours in (OUTCOME_HOURS - 1, 2, RETENTION_HOURS - OUTCOME_HOURS - 2, 2):
            await pass_hours(hours)
            found.append([u for u in "abc" if await journal.find_send(u) is not None])

        assert found == [["a", "b", "c"], ["b", "c"], ["b", "c"], ["c"]]
        assert (await journal.open_send(make_send("a"))).outcome is None

    async def test_sends_are_counted(self, journal):
        """Facts say how many are open, since when, and how many are dead."""
        for n, uuid in enumerate("abcd"):
            await journal.open_send(make_send(uuid, made_ms=NOW_MS + n))
        await journal.close_send("a", SENT, NOW_MS)
        await journal.close_send("c", UNKNOWN, NOW_MS)

        def counts():
            facts = journal.facts()
            return facts.open_sends, facts.oldest_send_ms, facts.dead_sends

        await eventually(lambda: counts() == (2, NOW_MS + 1, 1))
        await journal.close_send("b", SENT, NOW_MS)
        await journal.close_send("d", SENT, NOW_MS)
        await eventually(lambda: counts() == (0, None, 1))

    async def test_an_outcome_has_bounds(self, journal):
        """One that is too large, or of no kind, is a mistake of the caller; nothing is recorded."""
        await journal.open_send(make_send("a"))
        for wrong in (SendOutcome("sent", bytes(MAX_ANSWER_BYTES + 1)), SendOutcome(""),
                      SendOutcome("x" * 65), SendOutcome("two words")):  # fmt: skip
            with pytest.raises(ValueError, match=r"answer|kind"):
                journal.close_send("a", wrong, NOW_MS)

        assert await journal.close_send("a", SendOutcome("sent", bytes(MAX_ANSWER_BYTES)), NOW_MS)
