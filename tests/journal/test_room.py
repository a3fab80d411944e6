"""What goes first at `max_bytes`, and how much of it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal.contract import NOW_MS
from journal.filling import fill, left
from journal.sends_contract import UNKNOWN, make_send

from feishu_ws.journal import room as room_module
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.ledger import Ledger
from feishu_ws.journal.retention import STEP_ROWS, Rank, rank
from feishu_ws.journal.room import SEARCH_AGAIN_S, SEARCH_STEPS, Room
from feishu_ws.journal.sends import close
from feishu_ws.model import Attempt, Envelope, Filter

SIZE = 3000  # of a payload, so that each event has a page of its own
PAGE = 4096
MESSAGE = Envelope(type="im.message.receive_v1")


class FakeTime:
    """A clock that the test moves."""

    def __init__(self):
        self.now_s = 1000.0

    def monotonic(self):
        return self.now_s


@pytest.fixture
def time(monkeypatch):
    """The room's clock."""
    fake = FakeTime()
    monkeypatch.setattr(room_module, "time", fake)
    return fake


class Crowded:
    """A journal of `count` events that is exactly full."""

    def __init__(self, store, count, *, spare=0, refuse=True, size=SIZE):
        if store.last_position():
            store.begin()
            store.remove_events(left(store))
            store.remove_dead(range(store.last_position() + 1))
            store.commit()
        first = store.last_position() + 1
        fill(store, count, first=first, size=size)
        self.positions = range(first, first + count)
        self.store = store
        self.ledger = Ledger(last=store.last_position())
        probe = Room(store, self.ledger, JournalSettings())
        probe.measure()
        self.settings = JournalSettings(max_bytes=probe.live_bytes + spare, refuse_when_full=refuse)
        self.room = Room(store, self.ledger, self.settings)
        self.room.measure()

    def consumer(self, name, settled=(), *, declared=False, connected=False):
        """Add a consumer that has settled `settled` and counted everything."""
        state = self.ledger.enroll(name, Filter(), 0)
        state.declared, state.connected = declared, connected
        for position in range(1, self.ledger.last + 1):
            state.count(position, MESSAGE)
        state.settle(settled)
        return state

    def bury(self, positions):
        """Let dead letters name some events."""
        self.store.begin()
        for position in positions:
            self.store.add_dead("gone", position, "expired", Attempt(1), NOW_MS)
        self.store.commit()

    def make(self, size=SIZE, rows=1):
        """Make room in a transaction; return whether there is, and who was removed."""
        before = left(self.store)
        self.store.begin()
        made = self.room.make(size, rows)
        self.store.commit()
        return made, sorted(set(before) - set(left(self.store)))

    def step(self):
        """Do one step between commits; return who was removed."""
        before = left(self.store)
        if self.room.has_work():
            self.room.step()
        return sorted(set(before) - set(left(self.store)))


def test_with_room_nothing_goes(store):
    """While the limit is far nothing is removed, however much is unheld."""
    crowded = Crowded(store, 20, spare=1024**2)

    assert crowded.make(10_000, 3) == (True, [])
    assert not crowded.room.has_work()


def test_what_is_asked_for_counts_at_once(store):
    """Batches that were let in count before the next measurement."""
    crowded = Crowded(store, 20, spare=100_000)
    crowded.consumer("bot", declared=True)
    made = [crowded.make(30_000)[0] for _ in range(2)]
    crowded.room.live_bytes += 70_000  # as if both were written

    assert made == [True, True]
    assert crowded.make(60_000)[0] is True  # measured again: nothing was written
    assert crowded.make(200_000)[0] is False


@pytest.mark.usefixtures("time")
def test_the_order(store):
    """Unheld goes first, then dead letters, then what only the absent hold; each the oldest first."""
    crowded = Crowded(store, 40)
    crowded.consumer("absent", settled=range(1, 21))
    crowded.consumer("declared", settled=range(1, 31), declared=True)
    crowded.bury(range(1, 11))
    order = []
    for pages in range(5, 60, 5):
        order += crowded.make(pages * PAGE)[1]
        crowded.room.take_dropped()

    assert order == [*range(11, 21), *range(1, 11), *range(21, 31)]


def post(store, numbers, outcome=None):
    """Keep sends, with an outcome or without."""
    store.begin()
    for n in numbers:
        store.sends.add(make_send(f"{n}", request=bytes(SIZE)))
        if outcome is not None:
            close(store.sends, f"{n}", outcome, NOW_MS)
    store.commit()


@pytest.mark.usefixtures("time")
def test_sends_go_between_dead_letters_and_what_the_absent_hold(store):
    """First those that went well, then the dead ones; without an outcome none goes."""
    post(store, range(10), UNKNOWN)
    post(store, range(10, 13))
    crowded = Crowded(store, 40)
    crowded.consumer("absent", settled=range(1, 21))
    crowded.bury(range(1, 21))
    order, dropped = [], []
    for pages in range(5, 80, 5):
        order += crowded.make(pages * PAGE)[1]
        sends = crowded.room.take_dropped_sends()
        dropped += [(sends, len(order))] if sends else []
        crowded.room.take_dropped()

    assert order == [*range(1, 21), *range(21, 41)]
    assert dropped == [((10, 10), 20)]
    assert [send.uuid for send in store.sends.open_after(0, 99)] == ["10", "11", "12"]
    assert store.sends.counts() == (3, NOW_MS, 0)


@pytest.mark.usefixtures("time")
def test_an_outcome_may_give_way(store):
    """A full journal takes events again once a send has an outcome."""
    post(store, range(20))
    crowded = Crowded(store, 20)
    crowded.consumer("bot", declared=True)
    refused = crowded.make()[0]
    crowded.step()
    still = crowded.room.is_full
    store.begin()
    for n in range(20):
        close(store.sends, f"{n}", UNKNOWN, NOW_MS)
    store.commit()
    crowded.room.reconfigure(crowded.settings)
    crowded.step()

    assert (refused, still, crowded.room.is_full) == (False, True, False)
    assert crowded.make() == (True, [])


@pytest.mark.usefixtures("time")
@pytest.mark.parametrize("is_declared", [False, True])
def test_no_more_goes_than_is_needed(store, is_declared):
    """Of events somebody wanted only as many go as make room for the batch."""
    crowded = Crowded(store, 60, refuse=False)
    crowded.consumer("bot", declared=is_declared)
    made, gone = crowded.make()

    assert made
    assert gone == list(range(1, len(gone) + 1))
    assert len(gone) * SIZE < 30_000


@pytest.mark.usefixtures("time")
def test_refuse_keeps_what_is_held(store):
    """Under `refuse` no event of a declared or connected consumer goes."""
    crowded = Crowded(store, 30)
    crowded.consumer("bot", settled=range(1, 16), declared=True)
    crowded.consumer("guest", settled=range(1, 11), connected=True)
    made, gone = crowded.make(12 * PAGE)

    assert (made, gone) == (False, list(range(1, 11)))
    assert crowded.room.is_full


@pytest.mark.usefixtures("time")
def test_a_batch_larger_than_the_journal_costs_nothing(store):
    """What can never fit is refused before anything was given up for it."""
    crowded = Crowded(store, 30, refuse=False)
    crowded.consumer("bot", declared=True)

    assert crowded.make(crowded.settings.max_bytes + 1) == (False, [])


@pytest.mark.usefixtures("time")
def test_what_is_given_up_is_told(store):
    """Losses are counted by reason and by absent consumer; the losers' counts follow."""
    crowded = Crowded(store, 30, refuse=False)
    absent = crowded.consumer("absent", settled=range(11, 31))
    bot = crowded.consumer("bot", settled=range(1, 11), declared=True)
    crowded.make(15 * PAGE)
    told, lost, losers = crowded.room.take_dropped()
    told = {reason: (count, first, last) for reason, count, first, last in told}

    assert told["consumer_absent"] == (10, 1, 10)
    count, first, last = told["journal_full"]
    assert (first, last) == (11, 10 + count)
    assert (absent.pending, bot.pending) == (0, 20 - count)
    assert lost == [("absent", 10, 1, 10)]
    assert losers == {"absent", "bot"}
    assert crowded.room.take_dropped() == ([], [], set())


@pytest.mark.usefixtures("time")
def test_what_was_rolled_back_was_not_given_up(store):
    """A transaction that failed costs nobody anything, and the room is measured anew."""
    crowded = Crowded(store, 30)
    absent = crowded.consumer("absent")
    store.begin()
    crowded.room.make(50_000, 10)
    store.rollback()
    crowded.room.forget_dropped()

    assert crowded.room.take_dropped() == ([], [], set())
    assert absent.pending == 30
    assert left(store) == list(range(1, 31))
    assert crowded.make(1000)[1][0] == 1  # not taken for free because of what was rolled back


def test_an_estimate_removes_nothing(store):
    """Between commits what is there is measured before anything goes for being too much."""
    crowded = Crowded(store, 30, spare=200 * PAGE)
    crowded.make(198 * PAGE)
    crowded.room.forget_dropped()

    assert crowded.room.has_work()
    assert crowded.step() == []
    assert not crowded.room.has_work()


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)
@given(data=st.data(), refuse=st.booleans())
def test_nothing_dearer_goes_while_something_cheaper_is_left(store, data, refuse):
    """Whatever goes, nothing of a lower rank is left; under `refuse` nothing held ever goes."""
    crowded = Crowded(store, 24, refuse=refuse)
    some = st.sets(st.sampled_from(crowded.positions))
    crowded.consumer("absent", settled=data.draw(some))
    crowded.consumer("bot", settled=data.draw(some), declared=True)
    dead = data.draw(some)
    crowded.bury(dead)
    ranks = {
        p: rank(crowded.ledger.holders(p, MESSAGE), is_dead=p in dead) for p in crowded.positions
    }
    for size in data.draw(st.lists(st.integers(1, 30_000), min_size=1, max_size=6)):
        made, gone = crowded.make(size)
        rest = [ranks[p] for p in left(store)]
        highest = max((ranks[p] for p in gone), default=Rank.UNHELD)
        assert all(level >= highest for level in rest)
        assert made or refuse
        assert not (refuse and highest is Rank.HELD)
        assert made or Rank.UNHELD not in rest
        crowded.room.take_dropped()
        crowded.room.measure()


@pytest.mark.usefixtures("time")
def test_what_lies_behind_a_search_is_found_by_the_next(store):
    """Events that became unheld behind the place where the last ones were found go before held ones."""
    crowded = Crowded(store, 40, refuse=False)
    bot = crowded.consumer("bot", settled=range(21, 41), declared=True)
    crowded.make(30_000)
    bot.settle(range(2, 21))
    gone = [crowded.make(60_000)[1] for _ in range(2)]

    assert 1 in left(store)
    assert set(gone[-1]) <= set(range(2, 21))


def test_a_decision_looks_at_a_bounded_number_of_rows(store, time):
    """However much is held, one batch looks at some thousand rows; the search goes on between commits."""
    count = (SEARCH_STEPS + 3) * STEP_ROWS
    crowded = Crowded(store, count, size=10)
    crowded.consumer("bot", settled=[count], declared=True)  # the last alone is unheld
    looked = []
    rows_after = store.prunable_after
    store.prunable_after = lambda at, limit: looked.append(at) or rows_after(at, limit)
    made, gone = crowded.make()
    at_once = len(looked)
    steps = 0
    while crowded.room.has_work():
        crowded.room.step()
        steps += 1
        assert steps < 10
    time.now_s += 0.001
    looked.clear()
    again = crowded.make()

    assert (made, gone) == (False, [])
    assert at_once <= SEARCH_STEPS
    assert left(store)[-1] == count - 1
    assert (again, looked) == ((False, []), [])  # a search that found nothing is believed


def test_a_search_under_way_refuses_nothing(store, time):
    """While all is searched once more, what the last search found is believed: events go on being taken."""
    count = 2 * SEARCH_STEPS * STEP_ROWS
    crowded = Crowded(store, count, size=10, refuse=False)
    crowded.consumer("bot", declared=True)
    made = []
    for n in range(1, 13):
        made.append(crowded.make(n * 20_000)[0])
        crowded.room.take_dropped()
        time.now_s += 60

    assert made == [False] * 2 + [True] * 10


def test_a_search_that_found_nothing_is_repeated(store, time):
    """What was settled out of order makes room after a moment, what was settled in order at once."""
    crowded = Crowded(store, 30)
    bot = crowded.consumer("bot", declared=True)
    assert crowded.make() == (False, [])
    bot.settle([1, 2, 3])
    at_once = crowded.make()
    assert crowded.make(3 * PAGE) == (False, [])
    bot.settle([20])
    believed = crowded.make(3 * PAGE)
    time.now_s += SEARCH_AGAIN_S
    found = crowded.make(3 * PAGE)

    assert at_once == (True, [1, 2, 3])
    assert believed == (False, [])
    assert found == (True, [20])


@pytest.mark.usefixtures("time")
def test_unheld_events_go_a_little_before_the_limit(store):
    """Between commits what nobody holds goes until there is some room, and no further."""
    crowded = Crowded(store, 600)
    crowded.consumer("bot", settled=range(1, 301), declared=True)
    removed = []
    while gone := crowded.step():
        removed += gone

    assert removed == list(range(1, len(removed) + 1))
    assert 0 < len(removed) <= 300
    assert not crowded.room.has_work()
    assert crowded.make()[1] == []


def full(store, time, **kwargs):
    """Return a journal that refused an event, and was searched in vain since."""
    crowded = Crowded(store, 30, **kwargs)
    bot = crowded.consumer("bot", declared=True)
    assert crowded.make(1000)[0] is False
    for _ in range(5):
        crowded.step()
    assert crowded.room.is_full
    assert not crowded.room.has_work()
    time.now_s += SEARCH_AGAIN_S
    return crowded, bot


def test_full_is_over_when_a_consumer_settles(store, time):
    """Room that a consumer makes ends `is_full` between commits; no event has to arrive."""
    crowded, bot = full(store, time)
    bot.settle(range(1, 11))
    while crowded.step():
        pass

    assert not crowded.room.is_full
    assert left(store)[0] > 1


@pytest.mark.parametrize("cheaper", ["dead", "absent"])
def test_full_is_over_when_something_cheaper_appears(store, time, cheaper):
    """Dead letters and what only the absent hold are room: `is_full` ends, they stay till they are needed."""
    crowded, bot = full(store, time)
    if cheaper == "dead":
        crowded.bury(range(11, 21))
        bot.settle(range(11, 21))
    else:
        bot.declared = False
    while crowded.room.has_work() and crowded.room.is_full:
        crowded.room.step()

    assert not crowded.room.is_full
    assert left(store) == list(range(1, 31))


def test_full_is_over_when_the_limit_is_raised(store, time):
    """A raised `max_bytes` ends `is_full` with the next measurement."""
    crowded, _ = full(store, time)
    crowded.room.reconfigure(JournalSettings(max_bytes=crowded.settings.max_bytes * 2))
    crowded.room.measure()

    assert not crowded.room.is_full


def test_full_stays_while_nothing_may_go(store, time):
    """As long as all is held by a declared consumer the journal stays full, and looks seldom."""
    crowded, _ = full(store, time)
    steps = 0
    while crowded.room.has_work():
        crowded.room.step()
        steps += 1
        assert steps < 10

    assert crowded.room.is_full
    assert left(store) == list(range(1, 31))
