"""What consumers have done, against counting it the slow way."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from feishu_ws.journal.ledger import ConsumerState, Ledger
from feishu_ws.model import Attempt, Envelope, Filter

KINDS = ("a", "b", "c")
FILTERS = (Filter(), Filter(("a",)), Filter(("b", "c")), Filter(()))


class LedgerMachine(RuleBasedStateMachine):
    """One consumer; a journal is a list of event types, None where a row was removed."""

    def __init__(self):
        super().__init__()
        self.ledger = Ledger()
        self.wanted = Filter()
        self.state = self.ledger.enroll("bot", self.wanted, 0)
        self.kinds = []
        self.settled = set()

    def held(self):
        """Return what is held, by looking at every event."""
        return [
            p
            for p, kind in enumerate(self.kinds, start=1)
            if kind is not None and p not in self.settled and self.names(kind)
        ]

    def names(self, kind):
        """Whether the filter of the moment names an event type."""
        return "*" in self.wanted.types or kind in self.wanted.types

    @rule(kind=st.sampled_from(KINDS))
    def append(self, kind):
        """An event is stored."""
        self.kinds.append(kind)
        self.ledger.append(len(self.kinds), Envelope(type=kind))

    @precondition(lambda self: self.held())
    @rule(data=st.data())
    def settle(self, data):
        """Some of what is held is settled, in any order, perhaps twice."""
        chosen = data.draw(st.lists(st.sampled_from(self.held()), min_size=1, max_size=4))
        self.ledger.settle("bot", chosen)
        self.settled.update(chosen)

    @precondition(lambda self: self.held())
    @rule(data=st.data())
    def drop(self, data):
        """A held event is removed for space."""
        position = data.draw(st.sampled_from(self.held()))
        assert self.state.drop(position, Envelope(type=self.kinds[position - 1]))
        self.kinds[position - 1] = None

    @precondition(lambda self: self.revivable())
    @rule(data=st.data())
    def revive(self, data):
        """A settled event that the filter names is held again, as never tried."""
        position = data.draw(st.sampled_from(self.revivable()))
        passed = {p for p in range(1, len(self.kinds) + 1) if p in self.state.settled}
        self.state.revive(position)
        self.settled |= passed  # what the cursor had passed stays settled, for any filter to come
        self.settled.discard(position)
        assert self.state.attempts[position] == Attempt(0)

    def revivable(self):
        """Return what may have died: settled events that the filter names."""
        kinds = enumerate(self.kinds, start=1)
        return [p for p, k in kinds if k is not None and p in self.settled and self.names(k)]

    @rule(data=st.data())
    def prune(self, data):
        """What nobody holds is removed."""
        unheld = set(range(1, len(self.kinds) + 1)) - set(self.held())
        for position in data.draw(st.sets(st.sampled_from(sorted(unheld)))) if unheld else ():
            self.kinds[position - 1] = None

    @rule(data=st.data())
    def read_on(self, data):
        """The consumer's reader passes over what is not for it, up to the next it names."""
        ends = [*self.held(), len(self.kinds) + 1]
        end = data.draw(st.sampled_from(ends)) - 1
        gaps = set(range(1, end + 1)) - set(self.held())
        self.ledger.settle("bot", (), [(p, p) for p in sorted(gaps)])
        self.settled.update(gaps)

    @rule(data=st.data())
    def move(self, data):
        """The cursor is moved, anything ahead of it is forgotten."""
        cursor = data.draw(st.integers(0, len(self.kinds) + 2))
        self.state.move(cursor)
        self.settled = set(range(1, cursor + 1))
        self.count(data)

    @rule(data=st.data(), wanted=st.sampled_from(FILTERS))
    def refilter(self, data, wanted):
        """Another filter applies from the first event the old one holds."""
        if wanted == self.wanted:
            return
        held = self.held()
        self.state.refilter(wanted, held[0] if held else None)
        self.settled.update(range(1, held[0] if held else len(self.kinds) + 1))
        self.settled -= {held[0]} if held else set()
        self.wanted = wanted
        self.count(data)

    def count(self, data):
        """Count again, in steps between which settles may come."""
        rows = [(p, k) for p, k in enumerate(self.kinds, start=1) if k is not None]
        stop = data.draw(st.integers(0, len(rows)))
        self.count_rows(rows[:stop])
        if self.held() and data.draw(st.booleans()):
            self.settle(data)
        self.count_rows(rows[stop:])
        self.state.count_to(len(self.kinds))

    def count_rows(self, rows):
        """Count rows that are not counted yet."""
        for position, kind in rows:
            if position > self.state.counted:
                self.state.count(position, Envelope(type=kind))

    @invariant()
    def pending_is_what_is_held(self):
        """`pending` is the number of held events."""
        assert self.state.pending == len(self.held())

    @invariant()
    def nothing_held_is_settled(self):
        """No held event is taken for settled: that would lose it."""
        assert not [p for p in self.held() if p in self.state.settled]

    @invariant()
    def what_was_settled_stays_settled(self):
        """A settled event the filter names is not handed out again."""
        named = [p for p in self.settled if p <= len(self.kinds) and self.kinds[p - 1] is not None]
        named = [p for p in named if self.names(self.kinds[p - 1])]
        assert all(p in self.state.settled for p in named)


TestLedger = LedgerMachine.TestCase


@given(st.lists(st.sampled_from(KINDS), max_size=20), st.lists(st.integers(1, 25), max_size=20))
def test_settles_of_anything_lose_nothing(kinds, settles):
    """Positions the filter does not name, or that do not exist, may be settled; what is held stays held."""
    ledger = Ledger()
    state = ledger.enroll("bot", Filter(("a",)), 0)
    for position, kind in enumerate(kinds, start=1):
        ledger.append(position, Envelope(type=kind))
        ledger.settle("bot", [p for p in settles if p % 3 == position % 3])
    asked = {p for n in range(1, len(kinds) + 1) for p in settles if p % 3 == n % 3 and p <= n}
    for position, kind in enumerate(kinds, start=1):
        if kind == "a" and position not in asked:
            assert state.holds(position, Envelope(type=kind))
    assert state.pending >= 0


def test_a_settle_of_the_future_is_ignored():
    """A position that was never given out cannot be settled before its event comes."""
    ledger = Ledger(last=3)
    state = ledger.enroll("bot", Filter(), 3)
    ledger.settle("bot", [4], [(5, 9)])
    ledger.append(4, Envelope(type="a"))

    assert state.pending == 1


def test_pending_is_right_again_once_all_is_settled():
    """A stray settle makes `pending` wrong at most until the consumer has caught up."""
    ledger = Ledger()
    state = ledger.enroll("bot", Filter(("a",)), 0)
    for position, kind in enumerate("abba", start=1):
        ledger.append(position, Envelope(type=kind))
    ledger.settle("bot", [2, 3])  # not for it
    ledger.settle("bot", [1])
    astray = state.pending
    ledger.settle("bot", [4])
    ledger.append(5, Envelope(type="a"))

    assert (astray, state.pending) == (0, 1)


def test_a_cursor_may_stand_beyond_the_last_event():
    """A consumer that starts at a later position is not handed what comes before it."""
    ledger = Ledger()
    state = ledger.enroll("bot", Filter(), 2)
    for position in (1, 2, 3):
        ledger.append(position, Envelope(type="a"))

    assert (state.pending, state.settled.cursor) == (1, 2)


def test_a_record_does_not_change_any_more():
    """What `record` returned stays what it was."""
    state = ConsumerState("bot", Filter(), 0)
    state.attempts[1] = Attempt(1)
    record = state.record()
    state.settle([1])

    assert (record.cursor, record.attempts) == (0, {1: Attempt(1)})


def test_moving_keeps_the_attempts_ahead():
    """Attempts below the new cursor are of no use any more."""
    state = ConsumerState("bot", Filter(), 0)
    state.attempts = {2: Attempt(1), 5: Attempt(2)}
    state.move(3)

    assert state.attempts == {5: Attempt(2)}


def test_who_holds():
    """Holders of an event are those whose filter names it and who have not settled it."""
    ledger = Ledger()
    for name, wanted in (("all", Filter()), ("as", Filter(("a",))), ("done", Filter())):
        ledger.enroll(name, wanted, 0)
    ledger.append(1, Envelope(type="b"))
    ledger.settle("done", [1])

    assert [state.name for state in ledger.holders(1, Envelope(type="b"))] == ["all"]
    assert ledger.lowest_cursor() == 0
