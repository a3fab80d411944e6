"""From a payload to what Feishu is told."""

import asyncio
import json

import pytest
from downstream.rig import World
from support import eventually

from feishu_ws import intake as intake_module
from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault
from feishu_ws.happenings import JournalFaulted, JournalRecovered
from feishu_ws.intake import AGAIN, OK, Intake
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.memory import MemoryJournal
from feishu_ws.model import Outcome, Verdict


def payload(name, kind="im.message.receive_v1", created_ms=None):
    header = {"event_id": str(name), "event_type": kind, "tenant_key": "t", "app_id": "cli_a"}
    if created_ms is not None:
        header["create_time"] = str(created_ms)
    return json.dumps({"schema": "2.0", "header": header, "event": {}}).encode()


def card(name):
    return payload(name, "card.action.trigger")


class HeldJournal(MemoryJournal):
    """A journal that commits when a test says so, and as it says.

    Attributes:
        is_quick: Commit in the next turn, as its parent does.
        waiting: Appends that were not committed, oldest first.
    """

    def __init__(self, settings, *, clock):
        super().__init__(settings, clock=clock)
        self.is_quick = True
        self.waiting = []

    def append(self, event, answer):
        event.position = 99  # like one that numbers its rows before the commit
        if self.is_quick:
            super().append(event, answer)
        else:
            self.waiting.append((event, answer))

    def commit(self):
        """Commit what waits, now."""
        waiting, self.waiting = self.waiting, []
        for event, answer in waiting:
            self._append(event, answer)

    def refuse(self, fault):
        """Refuse what waits, now."""
        waiting, self.waiting = self.waiting, []
        for event, answer in waiting:
            event.position = 0
            answer(Outcome(Verdict.REFUSED, fault=fault))


class Told:
    """What Feishu was told about one payload."""

    def __init__(self):
        self.answers = []

    def __call__(self, code, data):
        self.answers.append((code, data))

    @property
    def code(self):
        assert len(self.answers) == 1
        return self.answers[0][0]


class Inlet:
    """An intake over a held journal, with its dispatcher."""

    def __init__(self, *, clock=None, **delivery):
        clock = clock or World().clock
        self.journal = HeldJournal(JournalSettings(), clock=clock)
        self.world = World(clock=clock, journal=self.journal, **delivery)
        self.tally = self.world.tally
        self.restart()

    def restart(self):
        """Forget everything but the journal."""
        self.journal._subscribers.clear()
        self.world.restart()
        self.intake = Intake(
            self.journal,
            self.world.dispatcher,
            self.world.settings,
            clock=self.world.clock,
            tally=self.tally,
            observe=self.world.happenings.append,
        )

    def accept(self, body):
        told = Told()
        self.intake.accept(body, told)
        return told

    async def accepted(self, body):
        """Accept and wait for the answer."""
        told = self.accept(body)
        await eventually(lambda: told.answers)
        return told


@pytest.fixture
async def inlet(monkeypatch):
    """An intake whose deadlines are a tenth of a second."""
    monkeypatch.setattr(intake_module, "COMMIT_DEADLINE_S", 0.1)
    return Inlet(callback_timeout_s=0.1)


class TestConfirm:
    """200 means that it is stored."""

    async def test_200_comes_only_after_the_commit(self, inlet):
        """Nothing is said before; then once."""
        inlet.journal.is_quick = False
        told = inlet.accept(payload("a"))
        await asyncio.sleep(0.02)
        before = list(told.answers)
        inlet.journal.commit()

        assert (before, told.answers) == ([], [(OK, None)])
        assert (inlet.intake.unanswered, inlet.tally.events_stored) == (0, 1)

    @pytest.mark.parametrize("fault", [Fault.DISK_FULL, Fault.JOURNAL_FULL, Fault.JOURNAL_BACKLOG])
    @pytest.mark.parametrize("body", [payload("a"), card("a")])
    async def test_a_refusal_is_500_and_counted_by_its_fault(self, inlet, fault, body):
        """Feishu is to send it again."""
        inlet.journal.is_quick = False
        told = inlet.accept(body)
        inlet.journal.refuse(fault)

        assert (told.answers, inlet.tally.events_refused) == ([(AGAIN, None)], {fault: 1})
        assert (inlet.tally.events_stored, inlet.intake.unanswered) == (0, 0)

    async def test_a_refusal_may_come_at_once(self, inlet):
        """A journal with too much waiting answers before `append` returns."""
        inlet.journal.append = lambda _, answer: answer(
            Outcome(Verdict.REFUSED, fault=Fault.JOURNAL_BACKLOG)
        )
        told = inlet.accept(payload("a"))

        assert (told.code, inlet.intake.unanswered) == (AGAIN, 0)

    async def test_a_duplicate_is_confirmed_with_its_first_copy(self, inlet):
        """Not before the commit that holds the first, and it is not delivered."""
        _, outlet = await inlet.world.connect()
        inlet.journal.is_quick = False
        first, second = inlet.accept(payload("a")), inlet.accept(payload("a"))
        before = [*first.answers, *second.answers]
        inlet.journal.commit()

        assert (before, first.code, second.code, outlet.positions) == ([], OK, OK, [1])
        assert (inlet.tally.events_stored, inlet.tally.events_duplicate) == (1, 1)

    @pytest.mark.parametrize(
        "body", [b"", b"\xff\x00", b"[]", b"{}", b'{"schema":"2.0"}', b"x" * 4_000_000]
    )
    async def test_anything_is_stored(self, inlet, body):
        """What has no known envelope is stored, confirmed and delivered as it is."""
        _, outlet = await inlet.world.connect()
        told = await inlet.accepted(body)
        (stored,) = (await inlet.journal.read(0)).events

        assert (told.code, stored.payload, outlet.positions) == (OK, body, [1])
        assert inlet.tally.events_received == {"feishu.unknown": 1}

    async def test_the_way_from_feishu_is_measured(self):
        """From create_time, corrected by Feishu's clock; what would be negative is counted."""
        clock = ManualClock()
        inlet = Inlet(clock=clock)
        inlet.intake.clock_offset_s = 0.5
        for name, ago_ms in (("a", 2000), ("b", -3000)):
            await inlet.accepted(payload(name, created_ms=clock.wall_ms() - ago_ms))
        await inlet.accepted(payload("c"))

        assert inlet.tally.event_transit.sum == pytest.approx(2.5)
        assert sum(inlet.tally.event_transit.counts) == 2
        assert inlet.tally.event_transit_negative == 1
        assert inlet.intake.last_event_ms == clock.wall_ms()


class TestDeadline:
    """What is not committed in time is sent again by Feishu."""

    def test_the_deadline_is_below_feishus(self):
        """Feishu waits 3 s."""
        assert intake_module.COMMIT_DEADLINE_S == 2.8

    async def test_too_slow_is_500_though_the_row_has_its_number(self, inlet):
        """A commit that hangs in the disk is no commit."""
        inlet.journal.is_quick = False
        began = asyncio.get_running_loop().time()
        told = await inlet.accepted(payload("a"))

        assert told.answers == [(AGAIN, None)]
        assert 0.09 < asyncio.get_running_loop().time() - began < 0.5
        assert inlet.tally.events_refused == {Fault.JOURNAL_SLOW: 1}
        assert inlet.intake.unanswered == 0

    async def test_a_late_commit_says_nothing_twice(self, inlet):
        """What was answered 500 is delivered all the same, and Feishu's next copy is a duplicate."""
        _, outlet = await inlet.world.connect()
        inlet.journal.is_quick = False
        told = await inlet.accepted(payload("a"))
        inlet.journal.commit()
        inlet.journal.is_quick = True
        again = await inlet.accepted(payload("a"))

        assert (told.answers, again.answers) == ([(AGAIN, None)], [(OK, None)])
        assert outlet.positions == [1]
        assert (inlet.tally.events_stored, inlet.tally.events_duplicate) == (1, 1)

    async def test_a_late_refusal_is_counted_once(self, inlet):
        """It was counted as too slow already."""
        inlet.journal.is_quick = False
        told = await inlet.accepted(payload("a"))
        inlet.journal.refuse(Fault.DISK_FULL)

        assert (told.answers, inlet.tally.events_refused) == (
            [(AGAIN, None)],
            {Fault.JOURNAL_SLOW: 1},
        )

    async def test_each_has_a_deadline_of_its_own(self, inlet):
        """One that hangs does not take a later one along."""
        inlet.journal.is_quick = False
        first = inlet.accept(payload("a"))
        await asyncio.sleep(0.06)
        second = inlet.accept(payload("b"))
        await eventually(lambda: first.answers)
        between = list(second.answers)
        inlet.journal.commit()

        assert (first.code, between, second.code) == (AGAIN, [], OK)

    async def test_a_callback_with_a_shorter_deadline_is_not_kept_waiting(self, monkeypatch):
        """The timer of an event that came before does not delay it."""
        monkeypatch.setattr(intake_module, "COMMIT_DEADLINE_S", 5)
        inlet = Inlet(callback_timeout_s=0.05)
        inlet.journal.is_quick = False
        event, callback = inlet.accept(payload("a")), inlet.accept(card("b"))
        await asyncio.sleep(0.15)

        assert (event.answers, callback.answers) == ([], [(AGAIN, None)])

    async def test_the_fault_is_told_once_and_its_end(self, inlet):
        """However many are too slow; the next commit in time ends it."""
        inlet.journal.is_quick = False
        told = [inlet.accept(payload(n)) for n in range(5)]
        await eventually(lambda: all(t.answers for t in told))
        hanging = [type(h) for h in inlet.world.happenings]
        inlet.accept(payload("in time"))
        inlet.journal.commit()

        assert hanging == [JournalFaulted]
        assert [type(h) for h in inlet.world.happenings] == [JournalFaulted, JournalRecovered]
        assert inlet.world.happenings[0].fault is Fault.JOURNAL_SLOW

    async def test_the_fault_ends_with_the_last_late_commit(self, inlet):
        """Without traffic it is not shown for ever."""
        inlet.journal.is_quick = False
        told = [inlet.accept(payload(n)) for n in range(3)]
        await eventually(lambda: all(t.answers for t in told))
        late, inlet.journal.waiting = inlet.journal.waiting[2:], inlet.journal.waiting[:2]
        inlet.journal.commit()
        before = len(inlet.world.of(JournalRecovered))
        inlet.journal.waiting = late
        inlet.journal.commit()

        assert (before, len(inlet.world.of(JournalRecovered))) == (0, 1)

    async def test_nothing_is_remembered_of_what_was_answered(self, inlet):
        """Neither of what was stored nor of what was too slow."""
        for number in range(50):
            inlet.accept(payload(number))
            inlet.accept(card(f"card {number}"))
        await asyncio.sleep(0.01)
        stored = (len(inlet.intake._events), len(inlet.intake._callbacks))
        inlet.journal.is_quick = False
        slow = inlet.accept(payload("slow"))
        await eventually(lambda: slow.answers)

        assert (stored, len(inlet.intake._events), inlet.intake._timer) == ((0, 0), 0, None)

    async def test_an_idle_intake_has_no_timer(self, inlet):
        """After the last deadline nothing ticks."""
        await inlet.accepted(payload("a"))
        await asyncio.sleep(0.15)

        assert inlet.intake._timer is None


class TestCallback:
    """Somebody waits for the answer."""

    async def test_the_first_reply_is_the_answer(self, inlet):
        """A consumer's reply travels back in the confirmation; later ones are late."""
        one, _ = await inlet.world.connect("one")
        two, outlet = await inlet.world.connect("two")
        told = inlet.accept(card("a"))
        await eventually(lambda: outlet.got)
        replies = [
            inlet.world.dispatcher.reply(seat, 1, data)
            for seat, data in ((two, b'{"by":2}'), (one, b'{"by":1}'), (two, b"{}"))
        ]

        assert (replies, told.answers) == ([True, False, False], [(OK, b'{"by":2}')])
        assert inlet.tally.callbacks == {"answered": 1, "late": 2}

    async def test_once_it_is_answered_the_deadline_says_nothing(self, inlet):
        """An answered callback is not answered by default as well."""
        seat, outlet = await inlet.world.connect()
        told = inlet.accept(card("a"))
        await eventually(lambda: outlet.got)
        inlet.world.dispatcher.reply(seat, 1, b"1")
        await asyncio.sleep(0.15)

        assert (told.answers, inlet.tally.callbacks) == ([(OK, b"1")], {"answered": 1})

    async def test_nobody_replies(self, inlet):
        """The default is given at the deadline, and a reply after it is late."""
        seat, outlet = await inlet.world.connect()
        began = asyncio.get_running_loop().time()
        told = await inlet.accepted(card("a"))

        assert told.answers == [(OK, b"{}")]
        assert 0.09 < asyncio.get_running_loop().time() - began < 0.5
        assert not inlet.world.dispatcher.reply(seat, 1, b"1")
        assert (len(outlet.got), inlet.tally.callbacks) == (1, {"defaulted": 1, "late": 1})

    async def test_the_default_is_the_operators(self):
        """`callback_default` is the answer, also after a reload."""
        inlet = Inlet(callback_timeout_s=0.05, callback_default=b'{"toast":1}')
        first = await inlet.accepted(card("a"))
        settings = inlet.world.settings
        inlet.intake.reconfigure(
            type(settings)(callback_timeout_s=0.05, callback_default=b'{"n":2}')
        )
        second = await inlet.accepted(card("b"))

        assert [first.answers, second.answers] == [[(OK, b'{"toast":1}')], [(OK, b'{"n":2}')]]

    async def test_the_time_a_commit_takes_is_not_added(self):
        """The deadline counts from the receipt."""
        inlet = Inlet(callback_timeout_s=0.5)
        inlet.journal.is_quick = False
        began = asyncio.get_running_loop().time()
        told = inlet.accept(card("a"))
        await asyncio.sleep(0.4)
        inlet.journal.commit()
        await eventually(lambda: told.answers)

        assert told.answers == [(OK, b"{}")]
        assert asyncio.get_running_loop().time() - began < 0.85

    async def test_a_commit_after_the_deadline_is_500(self, inlet):
        """No reply is asked for any more: it is delivered late, and answered with the default then."""
        _, outlet = await inlet.world.connect()
        inlet.journal.is_quick = False
        told = await inlet.accepted(card("a"))
        inlet.journal.commit()
        inlet.journal.is_quick = True
        again = await inlet.accepted(card("a"))

        assert (told.answers, again.answers) == ([(AGAIN, None)], [(OK, b"{}")])
        assert [(d.reply_by_ms, d.late) for d in outlet.got] == [(None, True)]
        assert (inlet.tally.callbacks, inlet.intake._answering._memory._expected) == ({}, {})

    @pytest.mark.parametrize("when", ["same commit", "before the reply", "after the reply"])
    async def test_a_duplicate_gets_the_same_answer(self, inlet, when):
        """Whenever it comes, and however often; the consumer sees the first only."""
        seat, outlet = await inlet.world.connect()
        inlet.journal.is_quick = False
        told = [inlet.accept(card("a"))]
        if when == "same commit":
            told += [inlet.accept(card("a")), inlet.accept(card("a"))]
        inlet.journal.commit()
        inlet.journal.is_quick = True
        if when == "before the reply":
            told += [inlet.accept(card("a")), inlet.accept(card("a"))]
            await eventually(lambda: inlet.tally.events_duplicate == 2)
        inlet.world.dispatcher.reply(seat, 1, b'{"n":1}')
        if when == "after the reply":
            told += [await inlet.accepted(card("a")), await inlet.accepted(card("a"))]

        assert [t.answers for t in told] == [[(OK, b'{"n":1}')]] * 3
        assert (len(outlet.got), inlet.intake.unanswered) == (1, 0)

    async def test_a_duplicate_of_a_defaulted_one_gets_the_default(self, inlet):
        """Copies that wait get it with the first; nothing is called too slow."""
        first, second = inlet.accept(card("a")), inlet.accept(card("a"))
        await eventually(lambda: first.answers and second.answers)
        third = await inlet.accepted(card("a"))

        assert [t.answers for t in (first, second, third)] == [[(OK, b"{}")]] * 3
        assert (inlet.tally.events_refused, inlet.world.of(JournalFaulted)) == ({}, [])

    async def test_after_a_restart_a_duplicate_gets_the_default(self, inlet):
        """What was answered is remembered while the process lives."""
        seat, outlet = await inlet.world.connect()
        told = inlet.accept(card("a"))
        await eventually(lambda: outlet.got)
        inlet.world.dispatcher.reply(seat, 1, b'{"n":1}')
        inlet.restart()
        again = await inlet.accepted(card("a"))

        assert (told.answers, again.answers) == ([(OK, b'{"n":1}')], [(OK, b"{}")])

    async def test_what_every_consumer_settled_without_a_reply_gets_the_default(self, inlet):
        """Nobody is left to wait for; its duplicates get the same."""
        seat, outlet = await inlet.world.connect()
        told = [inlet.accept(card("a")), inlet.accept(card("a"))]
        await eventually(lambda: outlet.got)
        inlet.world.settle(seat, 1)
        told.append(await inlet.accepted(card("a")))

        assert [t.answers for t in told] == [[(OK, b"{}")]] * 3
        assert inlet.tally.callbacks == {"defaulted": 1}

    async def test_a_stop_does_not_wait_for_consumers(self, monkeypatch):
        """Whoever waits gets the default while there is a link to send it on."""
        monkeypatch.setattr(intake_module, "HASTY_CALLBACK_S", 0.05)
        inlet = Inlet(callback_timeout_s=2.5)
        told = inlet.accept(card("a"))
        await asyncio.sleep(0.01)
        inlet.intake.hasten()
        await eventually(lambda: told.answers, 1)

        assert (told.answers, inlet.intake.unanswered) == ([(OK, b"{}")], 0)

    async def test_metrics_count_each_callback_once(self, inlet):
        """Answered or defaulted; refused ones and duplicates are counted as such elsewhere."""
        seat, outlet = await inlet.world.connect()
        answered, repeated = inlet.accept(card("a")), inlet.accept(card("a"))
        await eventually(lambda: outlet.got)
        inlet.world.dispatcher.reply(seat, 1, b"1")
        defaulted = await inlet.accepted(card("b"))
        inlet.world.dispatcher.reply(seat, 2, b"2")
        inlet.journal.is_quick = False
        refused = inlet.accept(card("c"))
        inlet.journal.refuse(Fault.DISK_FULL)
        slow = await inlet.accepted(card("d"))

        codes = [t.code for t in (answered, repeated, defaulted, refused, slow)]
        assert codes == [OK, OK, OK, AGAIN, AGAIN]
        assert inlet.tally.callbacks == {"answered": 1, "defaulted": 1, "late": 1}
        assert inlet.tally.events_refused == {Fault.DISK_FULL: 1, Fault.JOURNAL_SLOW: 1}
        assert inlet.tally.events_duplicate == 1

    async def test_a_waiting_callback_counts_as_unanswered(self, inlet):
        """A stop waits for it."""
        told = inlet.accept(card("a"))
        await asyncio.sleep(0.01)
        waiting = inlet.intake.unanswered
        await eventually(lambda: told.answers)

        assert (waiting, inlet.intake.unanswered) == (1, 0)
