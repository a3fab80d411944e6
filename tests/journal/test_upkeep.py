"""Pruning, counting and compaction in short steps."""

import sqlite3

import pytest
from journal.contract import NOW_MS, make_event
from journal.filling import HOUR_MS, fill, left
from journal.sends_contract import SENT, make_send

from feishu_ws.clock import ManualClock
from feishu_ws.journal import room, upkeep
from feishu_ws.journal.contract import OUTCOME_HOURS, JournalSettings
from feishu_ws.journal.ledger import ConsumerState, Ledger
from feishu_ws.journal.retention import STEP_BYTES, STEP_ROWS
from feishu_ws.journal.sends import close
from feishu_ws.journal.upkeep import (
    COMPACT_MIN_PAGES,
    COMPACT_STEP_PAGES,
    PASS_EVERY_S,
    PAUSE_S,
    SEEK_STEPS,
    Upkeep,
)
from feishu_ws.journal.work import Owed
from feishu_ws.model import Attempt, Envelope, Filter

SETTINGS = JournalSettings(retention_hours=2, dedupe_hours=1)
EVERYTHING = Filter()


@pytest.fixture
def clock(monkeypatch):
    """The clock of upkeep and room, and the wall clock."""
    clock = ManualClock(NOW_MS)
    monkeypatch.setattr(upkeep, "time", clock)
    monkeypatch.setattr(room, "time", clock)
    return clock


class Kept:
    """A store with its ledger and upkeep."""

    def __init__(self, store, clock, settings=SETTINGS):
        self.store = store
        self.clock = clock
        self.ledger = Ledger(store.last_position())
        self.upkeep = Upkeep(store, self.ledger, settings, clock.wall_ms)

    def consumer(self, name, settled=(), wanted=EVERYTHING):
        """Add a consumer that has settled and counted."""
        state = self.ledger.enroll(name, wanted, 0)
        for head in self.store.heads_after(0, 1_000_000):
            state.count(head.position, head.envelope)
        state.count_to(self.ledger.last)
        state.settle(settled)
        return state

    def run(self, most=1000):
        """Do all steps; return how many positions each one removed."""
        removed = []
        while self.upkeep.has_work():
            before = len(left(self.store))
            self.upkeep.step()
            removed.append(before - len(left(self.store)))
            assert len(removed) < most, "upkeep never ends"
        return removed


@pytest.fixture
def kept(store, clock):
    """Make upkeep for what the store holds by then."""
    return lambda settings=SETTINGS: Kept(store, clock, settings)


def test_old_events_nobody_holds_go(store, kept):
    """Older than `retention_hours` and held by nobody: gone. Younger, held or dead-lettered: kept."""
    fill(store, 10, at_ms=NOW_MS - 3 * HOUR_MS)
    fill(store, 5, first=11, at_ms=NOW_MS - HOUR_MS)
    store.begin()
    store.add_dead("gone", 3, "expired", Attempt(1), NOW_MS)
    store.commit()
    found = kept()
    found.consumer("bot", settled=[1, 2, 3, 4, 6, 7, 9, 10, 11])
    found.run()

    assert left(store) == [3, 5, 8, 11, 12, 13, 14, 15]
    assert found.upkeep.take_pruned() == (7, 10, 0)
    assert found.upkeep.take_pruned() is None


def test_a_step_is_short(store, kept):
    """However much is old, one step removes at most 500 rows."""
    fill(store, 3 * STEP_ROWS, at_ms=NOW_MS - 3 * HOUR_MS)
    removed = kept().run()

    assert max(removed) <= STEP_ROWS
    assert left(store) == []


def test_a_step_of_large_events_is_short_too(store, kept):
    """Large payloads end a step before 500 rows do."""
    size = STEP_BYTES // 4
    fill(store, 12, size=size, at_ms=NOW_MS - 3 * HOUR_MS)
    removed = kept().run()

    assert max(removed) <= 4
    assert left(store) == []


def test_held_rows_do_not_stop_pruning(store, kept):
    """A consumer that holds most of what is old keeps that and nothing else."""
    count = 3 * STEP_ROWS
    fill(store, count, at_ms=NOW_MS - 3 * HOUR_MS)
    found = kept()
    settled = [p for p in range(1, count + 1) if p % 400 == 0]
    found.consumer("bot", settled=settled)
    found.run()

    assert left(store) == [p for p in range(1, count + 1) if p % 400 != 0]


def test_a_row_from_the_future_does_not_stop_pruning(store, kept):
    """Rows dated by a clock that was ahead are passed over, whatever lies behind them goes."""
    fill(store, STEP_ROWS, at_ms=NOW_MS + 9 * HOUR_MS)
    fill(store, 3 * STEP_ROWS, first=STEP_ROWS + 1, at_ms=NOW_MS - 3 * HOUR_MS)
    fill(store, 1, first=4 * STEP_ROWS + 1, at_ms=NOW_MS)
    kept().run()

    assert left(store) == [*range(1, STEP_ROWS + 1), 4 * STEP_ROWS + 1]


def test_pruning_looks_no_further_than_what_is_old(store, kept):
    """A pass ends at the first batch in which nothing is old."""
    fill(store, 6 * STEP_ROWS)
    found = kept()
    looked = []
    rows_after = store.prunable_after
    store.prunable_after = lambda at, limit: looked.append(at) or rows_after(at, limit)
    found.run()

    assert looked == [0]


def test_keys_expire(store, kept):
    """Keys older than `dedupe_hours` are forgotten, in steps; younger ones are not."""
    fill(store, 3 * STEP_ROWS, at_ms=NOW_MS - HOUR_MS - 1)
    young = fill(store, 10, first=3 * STEP_ROWS + 1, at_ms=NOW_MS - HOUR_MS + 1)
    found = kept()
    found.run()

    assert len(store.keys_after(0, 1_000_000)) == 10
    assert store.known_keys([event.keys[0] for event in young]) == {e.keys[0] for e in young}
    assert found.upkeep.take_pruned() == (0, 3 * STEP_ROWS, 0)


def test_a_key_from_the_future_does_not_stop_expiry(store, kept):
    """Keys dated by a clock that was ahead do not keep those behind them."""
    fill(store, STEP_ROWS, at_ms=NOW_MS + HOUR_MS)
    fill(store, 2 * STEP_ROWS, first=STEP_ROWS + 1, at_ms=NOW_MS - 2 * HOUR_MS)
    fill(store, 1, first=3 * STEP_ROWS + 1, at_ms=NOW_MS)
    kept().run()

    assert len(store.keys_after(0, 1_000_000)) == STEP_ROWS + 1


@pytest.mark.parametrize("doubt", ["behind", "untrusted"])
def test_a_doubtful_clock_expires_nothing(store, kept, clock, doubt):
    """While the clock is behind the newest event, or is said to be wrong, nothing goes by age."""
    fill(store, 10, at_ms=NOW_MS)
    found = kept()
    clock.step_wall(9 * 3600 if doubt == "untrusted" else -60)
    found.upkeep.trusts_clock = doubt != "untrusted"
    found.run()
    kept_then = left(store)
    found.upkeep.trusts_clock = True
    clock.advance(9 * 3600)
    found.run()

    assert kept_then == list(range(1, 11))
    assert left(store) == []
    assert store.keys_after(0, 9) == []


def test_a_pass_comes_every_minute_and_on_reload(store, kept, clock):
    """What grows old goes with the next pass; changed settings begin one at once."""
    fill(store, 10, at_ms=NOW_MS - HOUR_MS)
    found = kept()
    found.run()
    clock.advance(PASS_EVERY_S - 1)
    waits = not found.upkeep.has_work()
    found.upkeep.reconfigure(JournalSettings(retention_hours=0.5, dedupe_hours=0.5))
    found.run()

    assert waits
    assert left(store) == []


def test_after_an_error_there_is_a_pause(store, kept, clock):
    """A disk that fails is left alone for some seconds; then the work goes on."""
    fill(store, 10, at_ms=NOW_MS - 3 * HOUR_MS)
    found = kept()
    found.upkeep.count_again("bot")
    found.upkeep.pause()
    paused = not found.upkeep.has_work()
    clock.advance(PAUSE_S)
    found.run()

    assert paused
    assert left(store) == []


def test_a_task_that_fails_does_not_stop_the_others(store, kept, clock):
    """While one kind of step keeps failing the others have their turn."""
    fill(store, 10, at_ms=NOW_MS - 3 * HOUR_MS)
    found = kept()
    found.consumer("bot", settled=range(1, 11))
    found.upkeep.count_again("bot")

    def fail(*_):
        raise sqlite3.OperationalError("disk I/O error")

    store.heads_after_real, store.heads_after = store.heads_after, fail
    for _ in range(20):
        if found.upkeep.has_work():
            try:
                found.upkeep.step()
            except sqlite3.OperationalError:
                found.upkeep.pause()
        clock.advance(PAUSE_S)
    store.heads_after = store.heads_after_real

    assert left(store) == []


def test_counting_goes_in_steps(store, kept):
    """A consumer behind a long journal is counted step by step, and exactly."""
    count = 3 * STEP_ROWS
    fill(store, count, kinds=("a", "b"))
    found = kept()
    state = found.ledger.enroll("bot", Filter(("a",)), 0)
    found.upkeep.count_again("bot")
    found.upkeep.step()
    first = state.pending
    fill(store, 2, first=count + 1, kinds=("a",))
    for position in (count + 1, count + 2):
        found.ledger.append(position, Envelope(type="a"))
    found.run()

    assert 0 < first <= STEP_ROWS
    assert state.pending == count // 2 + 2
    assert found.upkeep.take_counted() == {"bot"}
    assert found.upkeep.take_counted() == set()


def test_counting_over_what_was_removed(store, kept):
    """Where the newest events are gone the cursor passes them, and counting goes on after them."""
    fill(store, 6)
    store.begin()
    store.remove_events([1, 4, 5, 6])
    store.commit()
    found = kept()
    state = found.ledger.enroll("bot", Filter(("x",)), 0)
    found.upkeep.count_again("bot")
    found.run()
    passed = state.settled.cursor
    found.ledger.append(7, Envelope(type="x"))

    assert (passed, state.pending) == (6, 1)


def test_a_forgotten_consumer_is_not_counted(store, kept):
    """A name that is gone when its turn comes is passed over."""
    found = kept()
    found.upkeep.count_again("gone")
    found.run()

    assert found.upkeep.take_counted() == set()


def test_the_first_held_event(store, kept):
    """The first event a consumer's filter names and that it has not settled, None without one."""
    fill(store, 9, kinds=("a", "b", "c"))
    found = kept()
    state = found.consumer("bot", wanted=Filter(("c",)))

    assert found.upkeep.first_held(state) == 2
    state.settle([2, 5])
    assert found.upkeep.first_held(state) == 8
    state.settle([8])
    assert found.upkeep.first_held(state) is None


def test_what_is_not_counted_yet_is_not_held_yet(store, kept):
    """Only what was counted is looked at: what comes later gets the new filter anyway."""
    fill(store, 9)
    state = ConsumerState("bot", Filter(), 3)

    assert kept().upkeep.first_held(state) is None


def test_the_search_for_it_is_bounded(store, kept):
    """A consumer far from the next event it holds gets a lower bound after some thousand rows."""
    count = SEEK_STEPS * STEP_ROWS + 10
    fill(store, count, kinds=("a",), size=1)
    found = kept()
    state = ConsumerState("bot", Filter(("b",)), 0)
    state.counted = count

    assert found.upkeep.first_held(state) == SEEK_STEPS * STEP_ROWS + 1


def test_rows_that_cannot_be_read(store, kept):
    """A disk that fails gives safe answers here: more is delivered, nothing is lost, nobody dies."""
    fill(store, 5)
    found = kept()
    state = found.consumer("bot")
    state.settle([1])

    def fail(*_):
        raise sqlite3.OperationalError("disk I/O error")

    store.heads_after = store.first_since = store.is_dead = fail

    assert found.upkeep.first_held(state) == 2
    assert found.upkeep.cursor_since(NOW_MS) == 5
    assert found.upkeep.dead_head(("bot", 2), Owed()) is None


def test_which_dead_letters_there_are(store, kept):
    """Those on disk and not raised since, and those that wait to be written, if the event is there."""
    fill(store, 4)
    store.begin()
    for position in (1, 2):
        store.add_dead("bot", position, "expired", Attempt(1), NOW_MS)
    store.commit()
    upkeep, owed = kept().upkeep, Owed()
    owed.raise_up(("bot", 2))
    owed.bury(("bot", 3), "rejected", Attempt(1), NOW_MS)
    owed.bury(("bot", 9), "rejected", Attempt(1), NOW_MS)
    found = [upkeep.dead_head(("bot", position), owed) for position in (1, 2, 3, 4, 9)]
    owed.bury(("bot", 2), "rejected", Attempt(1), NOW_MS)

    assert [head and head.position for head in found] == [1, None, 3, None, None]
    assert upkeep.dead_head(("bot", 2), owed).position == 2
    assert upkeep.dead_head(("log", 1), owed) is None


def test_a_cursor_for_a_moment(store, kept):
    """A consumer that begins at a moment gets what was received since."""
    for n in range(1, 6):
        fill(store, 1, first=n, at_ms=NOW_MS + n)
    found = kept()

    assert [found.upkeep.cursor_since(NOW_MS + ms) for ms in (0, 3, 9)] == [0, 2, 5]


def test_free_pages_go_back(store, kept, clock):
    """When much of the file is free it is given back step by step, down to a reserve."""
    fill(store, 40, size=1024**2, at_ms=NOW_MS - 3 * HOUR_MS)
    fill(store, 1, first=41)
    found = kept()
    before = store.pages()[0]
    found.run()
    pages, free, _ = store.pages()

    assert pages < before - 1000
    assert COMPACT_MIN_PAGES - COMPACT_STEP_PAGES < free <= COMPACT_MIN_PAGES


def test_a_file_that_cannot_shrink_is_left_alone(store, kept, clock):
    """Compaction without effect is not tried again at once."""
    fill(store, 40, size=1024**2, at_ms=NOW_MS - 3 * HOUR_MS)
    fill(store, 1, first=41)
    found = kept()
    compactions = []
    store.compact = compactions.append
    found.run()
    clock.advance(PASS_EVERY_S)
    found.run()

    assert compactions == [COMPACT_STEP_PAGES] * 2


def test_room_is_made_between_commits(store, kept):
    """Close to `max_bytes` upkeep removes what nobody holds, young as it is."""
    fill(store, 200, size=3000)
    live = kept().upkeep.room.live_bytes
    found = kept(JournalSettings(max_bytes=live))
    found.consumer("bot", settled=range(1, 101))
    found.run()

    assert left(store)[0] > 1
    assert left(store)[-100:] == list(range(101, 201))
    assert found.upkeep.room.live_bytes < live


def test_events_keep_their_keys(store, kept):
    """Pruning an event does not make its repeat new: its keys live as long as `dedupe_hours`."""
    (event,) = fill(store, 1, at_ms=NOW_MS - 90 * 60_000)
    kept(JournalSettings(retention_hours=1, dedupe_hours=2)).run()

    assert left(store) == []
    assert store.known_keys(event.keys) == set(event.keys) == set(make_event(1).keys)


# -- outgoing sends -----------------------------------------------------------------------


def post(store, count, *, made_ms, outcome=SENT):
    """Keep sends with an outcome."""
    store.begin()
    for n in range(count):
        store.sends.add(make_send(f"{n}", made_ms=made_ms))
        close(store.sends, f"{n}", outcome, made_ms)
    store.commit()


def test_old_outcomes_go(store, kept):
    """In steps of bounded size; what they were is told with the round."""
    post(store, 2 * STEP_ROWS + 1, made_ms=NOW_MS - OUTCOME_HOURS * HOUR_MS - 1)
    found = kept()
    found.run()

    assert store.sends.closed(1) == []
    assert found.upkeep.take_pruned() == (0, 0, 2 * STEP_ROWS + 1)


def test_a_doubt_in_the_middle_of_a_round(store, kept):
    """Outcomes stay from the moment the clock cannot be believed, and go when it can again."""
    post(store, 10, made_ms=NOW_MS - OUTCOME_HOURS * HOUR_MS - 1)
    found = kept()
    while found.upkeep._key_scan is not None or not found.upkeep._is_in_sends:
        found.upkeep.step()
    found.upkeep.trust_clock(trusted=False)
    found.run()
    doubted = len(store.sends.closed(100))
    found.upkeep.trust_clock(trusted=True)
    found.upkeep.reconfigure(SETTINGS)
    found.run()

    assert (doubted, store.sends.closed(100)) == (10, [])


def test_a_send_of_the_future(store, kept, clock):
    """While the clock is behind the newest send nothing expires by age."""
    fill(store, 5, at_ms=NOW_MS - 3 * HOUR_MS)
    post(store, 1, made_ms=NOW_MS + 1)
    found = kept()
    found.run()
    before = left(store)
    clock.advance(1)
    found.upkeep.reconfigure(SETTINGS)
    found.run()

    assert (len(before), left(store)) == (5, [])
