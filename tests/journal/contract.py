"""The journal's promises as tests, run against every journal there is.

`test_contract.py` subclasses this once per implementation.
"""

import asyncio
import hashlib

from support import eventually

from feishu_ws.faults import Fault
from feishu_ws.journal.contract import MOST_LIVES
from feishu_ws.model import (
    Attempt,
    Envelope,
    Event,
    Filter,
    Form,
    LinkLife,
    Outcome,
    Verdict,
)

NOW_MS = 1_774_004_591_415


def make_event(name, *, kind="im.message.receive_v1", at_ms=NOW_MS, size=40, extra_keys=()):
    """Return an event whose first key comes from its name."""
    payload = b'{"name":"%s","pad":"%s"}' % (str(name).encode(), b"x" * size)
    keys = tuple(
        hashlib.blake2b(str(k).encode(), digest_size=16).digest() for k in (name, *extra_keys)
    )
    envelope = Envelope(type=kind, event_id=str(name), schema="2.0", tenant="t", form=Form.ONE_LINE)
    return Event(envelope, payload, at_ms, keys)


async def append(journal, event):
    """Append and wait for the outcome."""
    future = asyncio.get_running_loop().create_future()
    journal.append(event, future.set_result)
    return await asyncio.wait_for(future, 10)


async def positions(journal, after=0):
    """Return all positions above `after`, read in batches."""
    found = []
    while True:
        reading = await journal.read(after, max_events=3)
        found += [event.position for event in reading.events]
        if not reading.events:
            return found
        after = reading.through


def place(journal, name):
    """Return a consumer's (cursor, ahead, pending)."""
    record = journal.consumers()[name]
    return record.cursor, record.ahead, record.pending


def letters(found):
    """Return (position, consumer) of dead letters."""
    return [(letter.position, letter.consumer) for letter in found]


class JournalContract:
    """Subclasses provide the fixture `journal`."""

    async def test_positions_count_from_one(self, journal):
        """Events get the positions 1, 2, 3 in the order of their commits."""
        outcomes = [await append(journal, make_event(n)) for n in range(3)]

        assert [o.position for o in outcomes] == [1, 2, 3]
        assert journal.last == 3

    async def test_a_repeat_is_a_duplicate(self, journal):
        """An event that shares any key with an earlier one is not stored again."""
        await append(journal, make_event("a", extra_keys=("m1",)))
        same_id = await append(journal, make_event("a"))
        same_message = await append(journal, make_event("b", extra_keys=("m1",)))
        transitive = await append(journal, make_event("b"))

        assert {o.verdict for o in (same_id, same_message, transitive)} == {Verdict.DUPLICATE}
        assert await positions(journal) == [1]

    async def test_a_repeat_in_the_same_turn_is_a_duplicate(self, journal):
        """Of two copies offered at once, exactly one is stored and both are answered."""
        outcomes = await asyncio.gather(*(append(journal, make_event("a")) for _ in range(5)))

        assert sorted(o.verdict for o in outcomes) == [Verdict.STORED] + [Verdict.DUPLICATE] * 4

    async def test_what_is_read_is_what_was_stored(self, journal):
        """Payload, envelope and time come back as they were."""
        event = make_event("a")
        await append(journal, event)
        (found,) = (await journal.read(0)).events

        assert (found.payload, found.envelope, found.received_ms) == (
            event.payload,
            event.envelope,
            event.received_ms,
        )

    async def test_reading_is_bounded_and_goes_on(self, journal):
        """A reading ends at its bounds, gives at least one event, and says how far it looked."""
        for n in range(5):
            await append(journal, make_event(n, size=1000))
        first = await journal.read(0, max_bytes=1)
        rest = await journal.read(first.through, max_events=3)
        end = await journal.read(5)

        assert [e.position for e in first.events] == [1]
        assert [e.position for e in rest.events] == [2, 3, 4]
        assert (list(end.events), end.through) == ([], 5)

    async def test_subscribers_see_stored_events_in_order_before_the_answer(self, journal):
        """Each stored event is published once, in order, before its append is answered."""
        seen = []
        journal.subscribe(lambda events: seen.extend(e.position for e in events))
        order = []
        for n in range(20):
            journal.append(make_event(n % 15), lambda o: order.append((o.position, list(seen))))
        await append(journal, make_event("last"))

        assert seen == list(range(1, 17))
        assert all(position in before for position, before in order if position)

    async def test_settles_in_order_move_the_cursor(self, journal):
        """A consumer that settles one after the other has nothing ahead of its cursor."""
        await journal.enroll("bot", Filter(), 0, declared=False)
        for n in range(4):
            await append(journal, make_event(n))
        await journal.settle("bot", [1, 2])

        assert place(journal, "bot") == (2, (), 2)

    async def test_settles_out_of_order_are_kept_as_spans(self, journal):
        """Settled positions above a hole are remembered, and melt when the hole is settled."""
        await journal.enroll("bot", Filter(), 0, declared=False)
        for n in range(9):
            await append(journal, make_event(n))
        await journal.settle("bot", [2, 3, 5, 9])
        before = place(journal, "bot")
        await journal.settle("bot", [1, 4])

        assert before == (0, ((2, 3), (5, 5), (9, 9)), 5)
        assert place(journal, "bot") == (5, ((9, 9),), 3)

    async def test_settling_twice_changes_nothing(self, journal):
        """A settle may be repeated, and may name what does not exist."""
        await journal.enroll("bot", Filter(), 0, declared=False)
        await append(journal, make_event("a"))
        for _ in range(3):
            await journal.settle("bot", [1])
        await journal.settle("nobody", [1])

        assert journal.consumers()["bot"].pending == 0

    async def test_what_a_filter_does_not_name_is_never_pending(self, journal):
        """Events a filter passes over do not count, also while the consumer is away."""
        await journal.enroll("bot", Filter(("im.*",)), 0, declared=False)
        await append(journal, make_event("a", kind="drive.file.edit_v1"))
        await append(journal, make_event("b"))
        await append(journal, make_event("c", kind="drive.file.edit_v1"))

        assert place(journal, "bot") == (1, (), 1)

    async def test_a_changed_filter_applies_from_the_cursor_on(self, journal):
        """What the old filter passed over before its first event stays settled."""
        await journal.enroll("bot", Filter(("im.*",)), 0, declared=False)
        for name, kind in (("a", "x"), ("b", "im.a"), ("c", "x"), ("d", "im.b")):
            await append(journal, make_event(name, kind=kind))
        await journal.enroll("bot", Filter(("x",)), None, declared=False)

        await eventually(lambda: place(journal, "bot") == (2, (), 1))

    async def test_a_cursor_can_be_moved_back(self, journal):
        """Enrolling with a cursor makes settled events pending again."""
        await journal.enroll("bot", Filter(), 0, declared=False)
        for n in range(3):
            await append(journal, make_event(n))
        await journal.settle("bot", [1, 2, 3])
        await journal.enroll("bot", Filter(), 1, declared=False)

        await eventually(lambda: place(journal, "bot") == (1, (), 2))

    async def test_attempts_are_remembered_until_settled(self, journal):
        """A counted attempt is part of the consumer's record, and gone with its settle."""
        await journal.enroll("bot", Filter(), 0, declared=False)
        await append(journal, make_event("a"))
        await journal.note_attempt("bot", 1, Attempt(2, 77, "why"))
        before = journal.consumers()["bot"].attempts
        await journal.settle("bot", [1])

        assert before == {1: Attempt(2, 77, "why")}
        assert journal.consumers()["bot"].attempts == {}

    async def test_burying_settles_for_that_consumer_alone(self, journal):
        """A dead letter is settled for its consumer and pending for the other."""
        for name in ("bot", "log"):
            await journal.enroll(name, Filter(), 0, declared=False)
        await append(journal, make_event("a"))
        await journal.bury("bot", 1, "max_attempts", Attempt(16))
        pending = {name: r.pending for name, r in journal.consumers().items()}

        assert pending == {"bot": 0, "log": 1}

    async def test_a_forgotten_consumer_is_gone(self, journal):
        """Forgetting removes the consumer; one with the same name begins anew."""
        await journal.enroll("bot", Filter(), 0, declared=False)
        await append(journal, make_event("a"))
        await journal.forget("bot")
        gone = "bot" not in journal.consumers()
        await journal.enroll("bot", Filter(), 1, declared=False)

        assert gone
        assert journal.consumers()["bot"].pending == 0

    async def test_position_at_a_moment(self, journal):
        """`position_at` gives the last position before a moment."""
        for n in range(6):
            await append(journal, make_event(n, at_ms=NOW_MS + 1000 * n))

        found = [await journal.position_at(NOW_MS + ms) for ms in (0, 1, 2500, 9000)]

        assert found == [0, 1, 3, 6]

    async def test_facts_are_remembered(self, journal):
        """A small fact can be stored and recalled, and forgotten."""
        await journal.remember("proven", "yes")
        before = journal.recall("proven")
        await journal.remember("proven", None)
        await journal.remember("never", None)

        assert (before, journal.recall("proven"), journal.recall("other")) == ("yes", None, None)

    async def test_dead_letters_are_read_in_pages(self, journal):
        """A page has what was asked for, and all of its last position; then it goes on."""
        for name in ("bot", "log"):
            await journal.enroll(name, Filter(), 0, declared=False)
        for n in range(4):
            await append(journal, make_event(n))
        for name, position in (("log", 2), ("bot", 2), ("bot", 4), ("log", 1)):
            await journal.bury(name, position, "rejected", Attempt(2, 5, "no"))
        first = await journal.dead_letters(limit=2)
        rest = await journal.dead_letters(first[-1].position)
        own = await journal.dead_letters(name="bot", limit=1)

        assert letters(first) == [(1, "log"), (2, "bot"), (2, "log")]
        assert letters(rest) == [(4, "bot")]
        assert letters(own) == [(2, "bot")]
        assert await journal.dead_letters(4) == []
        assert dict(await journal.dead_counts()) == {"bot": 2, "log": 2}

    async def test_a_dead_letter_says_what_became_of_it(self, journal):
        """Its reason, attempts, last words, times and size are kept; the envelope is the event's."""
        await journal.enroll("bot", Filter(), 0, declared=False)
        event = make_event("a")
        await append(journal, event)
        await journal.bury("bot", 1, "rejected", Attempt(2, 5, "no"))
        (found,) = await journal.dead_letters_at([1, 7], "bot")

        assert (found.consumer, found.position, found.reason) == ("bot", 1, "rejected")
        assert (found.attempts, found.note, found.received_ms) == (2, "no", NOW_MS)
        assert (found.size, found.envelope.type) == (len(event.payload), event.envelope.type)
        assert found.envelope.event_id == "a"
        assert found.died_ms > 0
        assert await journal.dead_letters_at([1], "log") == []

    async def test_one_that_dies_again_is_one_letter(self, journal):
        """A consumer that was moved back and fails again has one letter, with the last reason."""
        await journal.enroll("bot", Filter(), 0, declared=False)
        await append(journal, make_event("a"))
        await journal.bury("bot", 1, "expired", Attempt(0))
        await journal.move("bot", 0)
        await journal.bury("bot", 1, "rejected", Attempt(3))
        (found,) = await journal.dead_letters()

        assert (found.reason, found.attempts) == ("rejected", 3)

    async def test_a_revived_event_is_held_again(self, journal):
        """It is pending and untried, the letter is gone; what was settled around it stays so."""
        await journal.enroll("bot", Filter(), 0, declared=False)
        for n in range(5):
            await append(journal, make_event(n))
        await journal.settle("bot", [1, 2, 4])
        await journal.bury("bot", 3, "max_attempts", Attempt(16))
        before = place(journal, "bot")
        revived = await journal.revive("bot", [3])

        assert (before, revived) == ((4, (), 1), [3])
        assert place(journal, "bot") == (2, ((4, 4),), 2)
        assert journal.consumers()["bot"].attempts == {3: Attempt(0)}
        assert await journal.dead_letters() == []
        await journal.settle("bot", [3])
        assert place(journal, "bot") == (4, (), 1)
        assert journal.consumers()["bot"].attempts == {}

    async def test_only_what_may_come_back_is_revived(self, journal):
        """Not what is no dead letter of this consumer, nor what its filter does not name, nor for nobody."""
        for name in ("bot", "log"):
            await journal.enroll(name, Filter(), 0, declared=False)
        for n, kind in enumerate(("im.a", "x", "im.b")):
            await append(journal, make_event(n, kind=kind))
        for position in (1, 2):
            await journal.bury("bot", position, "rejected", Attempt(1))
        await journal.bury("log", 3, "rejected", Attempt(1))
        await journal.enroll("bot", Filter(("im.*",)), None, declared=False)
        await journal.forget("log")

        assert await journal.revive("bot", [1, 2, 3, 9]) == [1]
        assert await journal.revive("log", [3]) == []
        assert letters(await journal.dead_letters()) == [(2, "bot"), (3, "log")]

    async def test_a_dropped_letter_is_gone_and_settled(self, journal):
        """Dropping removes letters and nothing else; those there are not are not counted."""
        await journal.enroll("bot", Filter(), 0, declared=False)
        for n in range(3):
            await append(journal, make_event(n))
        for position in (1, 2):
            await journal.bury("bot", position, "rejected", Attempt(1))
        dropped = await journal.drop_dead([("bot", 2), ("bot", 3), ("log", 1)])

        assert dropped == [("bot", 2)]
        assert letters(await journal.dead_letters()) == [(1, "bot")]
        assert place(journal, "bot") == (2, (), 1)

    async def test_dead_is_kept_whatever_becomes_of_its_consumer(self, journal):
        """A letter outlives its consumer's move, settles and end."""
        await journal.enroll("bot", Filter(), 0, declared=False)
        await append(journal, make_event("a"))
        await journal.bury("bot", 1, "rejected", Attempt(1))
        await journal.move("bot", 0)
        await journal.settle("bot", [1])
        await journal.forget("bot")

        assert letters(await journal.dead_letters()) == [(1, "bot")]

    async def test_a_moved_consumer_holds_what_lies_above(self, journal):
        """Back or forward, settled ahead or not: above the cursor all is held, below nothing."""
        await journal.enroll("bot", Filter(("im.*",)), 0, declared=False)
        for n, kind in enumerate(("im.a", "x", "im.b", "im.c", "im.d")):
            await append(journal, make_event(n, kind=kind))
        await journal.settle("bot", [1, 3, 5])
        await journal.note_attempt("bot", 4, Attempt(3))
        found = []
        for cursor in (2, 4, 0, 5):
            await journal.move("bot", cursor)
            counts = [await journal.count_held("bot", p) for p in (2, 4, 99)]
            await eventually(lambda most=counts[-1]: place(journal, "bot")[2] == most)
            found.append((place(journal, "bot"), counts))
        await journal.move("nobody", 1)

        assert found == [
            ((2, (), 3), [0, 2, 3]),
            ((4, (), 1), [0, 0, 1]),
            ((0, (), 4), [1, 3, 4]),
            ((5, (), 0), [0, 0, 0]),
        ]
        assert journal.consumers()["bot"].attempts == {}
        assert await journal.count_held("nobody", 5) == 0

    async def test_stored_is_answered_with_an_outcome(self, journal):
        """The outcome of a first append is STORED with its position and no fault."""
        assert await append(journal, make_event("a")) == Outcome(Verdict.STORED, 1)

    async def test_a_life_is_seen_at_once(self, journal):
        """A record takes the place of an earlier one of the same life; the newest is last."""
        lives = [LinkLife(link, 1, Fault.CONNECTION_LOST, 5.0) for link in (0, 1)]
        for life in lives:
            journal.record_life(life)
        back = LinkLife(0, 1, Fault.CONNECTION_LOST, 5.0, back_ms=7)
        journal.record_life(back)

        assert list(await journal.lives()) == [back, lives[1]]
        assert list(await journal.lives(limit=1)) == [lives[1]]
        assert list(await journal.lives(since_ms=8)) == [lives[1]]

    async def test_lives_are_bounded(self, journal):
        """The oldest go when there are more than `MOST_LIVES`."""
        for n in range(MOST_LIVES + 3):
            journal.record_life(LinkLife(0, n, Fault.CONNECTION_LOST, 5.0, back_ms=n))
        found = await journal.lives()

        assert [life.ended_ms for life in found] == list(range(3, MOST_LIVES + 3))
