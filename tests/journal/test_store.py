"""The SQL of the journal."""

import hashlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal.contract import NOW_MS, make_event
from journal.filling import fill, left

from feishu_ws.journal.ledger import ConsumerState
from feishu_ws.journal.store import Store
from feishu_ws.model import Attempt, Envelope, Event, Filter, Form


def key(n):
    """Return a dedupe key."""
    return hashlib.blake2b(b"%d" % n, digest_size=16).digest()


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("flag", [False, True])
def test_an_event_comes_back_as_it_was(store, form, flag):
    """Every field of an event that is kept is read as it was written."""
    envelope = Envelope(
        type="im.message.receive_v1",
        event_id="e1",
        schema="2.0",
        tenant="t",
        app_id="cli_x",
        created_ms=None if flag else NOW_MS,
        subject="oc_1",
        chat_id="oc_1",
        from_app=flag,
        is_callback=not flag,
        form=form,
    )
    store.begin()
    store.add_events(7, [Event(envelope, b"\x00\xff", NOW_MS)])
    store.commit()

    assert store.events_after(0, 9, 9) == [Event(envelope, b"\x00\xff", NOW_MS, position=7)]


def test_many_rows_at_once(store):
    """Any number of rows is written, however they are cut into statements."""
    for count in (0, 1, 7, 8, 9, 31, 32, 33, 77):
        fill(store, count, first=store.last_position() + 1)

    assert left(store) == list(range(1, 1 + 0 + 1 + 7 + 8 + 9 + 31 + 32 + 33 + 77))


def test_known_keys(store):
    """Of any number of keys those that were added are found; adding twice keeps the first time."""
    store.begin()
    store.add_keys([key(n) for n in range(0, 1000, 2)], 5)
    store.add_keys([key(0)], 9)
    store.commit()
    found = store.known_keys([key(n) for n in range(1000)])

    assert found == {key(n) for n in range(0, 1000, 2)}
    for count in (0, 1, 31, 32, 33, 256, 257):
        asked = [key(n) for n in range(count)]
        assert store.known_keys(asked) == {key(n) for n in range(0, count, 2)}
    assert store.keys_after(0, 1) == [(1, 5)]


def test_keys_are_removed_by_age(store):
    """Only keys in the range that are old enough go."""
    store.begin()
    for n, at_ms in enumerate((10, 99, 20, 30)):
        store.add_keys([key(n)], at_ms)
    removed = store.remove_keys(1, 3, 25)
    store.commit()

    assert removed == 2
    assert store.keys_after(0, 9) == [(2, 99), (4, 30)]


def test_what_is_rolled_back_is_gone(store):
    """A transaction that is given up changes neither rows nor the next position."""
    fill(store, 3)
    store.begin()
    store.add_events(4, [make_event("x")])
    store.remove_events([1])
    store.rollback()
    store.rollback()  # nothing begun: fine

    assert (left(store), store.last_position()) == ([1, 2, 3], 3)


def test_the_last_position_outlives_its_row(store):
    """The highest position is known after every event was removed."""
    fill(store, 3)
    store.begin()
    store.remove_events([1, 2, 3])
    store.commit()

    assert (store.last_position(), store.first_position(), store.newest_ms()) == (3, 0, 0)


def test_reading_takes_at_least_one(store):
    """A reading ends at its bounds but not before the first event."""
    fill(store, 5, size=1000)
    sizes = [len(store.events_after(0, n, b)) for n, b in ((9, 1), (2, 10_000), (9, 2500))]

    assert sizes == [1, 2, 2]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    times=st.lists(st.integers(0, 30), max_size=12),
    gaps=st.sets(st.integers(1, 12)),
    at_ms=st.integers(-1, 32),
)
def test_first_since(store, times, gaps, at_ms):
    """The first event at or after a moment is found, whatever was removed in between."""
    times.sort()
    store.begin()
    store.remove_events(range(1, 13))
    for position, received_ms in enumerate(times, start=1):
        store.add_events(position, [make_event(position, at_ms=received_ms)])
    store.remove_events(sorted(gaps))
    store.commit()
    kept = {p: t for p, t in enumerate(times, start=1) if p not in gaps}

    assert store.first_since(at_ms) == min((p for p, t in kept.items() if t >= at_ms), default=0)


def test_heads_tell_size_and_dead_letters(store):
    """A row without its payload says how large it is and whether a dead letter names it."""
    events = fill(store, 2, size=100)
    store.begin()
    store.add_dead("bot", 2, "expired", Attempt(3, reason="no"), NOW_MS)
    store.commit()
    heads = store.prunable_after(0, 9)

    assert [(h.position, h.is_dead, h.size) for h in heads] == [
        (1, False, len(events[0].payload)),
        (2, True, len(events[1].payload)),
    ]
    assert [h.envelope.type for h in store.heads_after(1, 9)] == ["im.message.receive_v1"]


def test_dead_letters(store):
    """There is one dead letter per consumer and position, and none for what does not exist."""
    fill(store, 1)
    none = store.has_dead()
    store.begin()
    for name, position in (("bot", 1), ("bot", 1), ("log", 1), ("bot", 9)):
        store.add_dead(name, position, "expired", Attempt(1), NOW_MS)
    counted = store.count_dead(), store.has_dead()
    store.remove_dead([1])
    store.commit()

    assert (none, counted, store.count_dead()) == (False, (2, True), 0)


def test_dead_letters_are_read_by_position(store):
    """Pages follow positions and never end in the middle of one; a consumer's own are told apart."""
    fill(store, 3, size=100)
    store.begin()
    for name, position in (("log", 3), ("bot", 2), ("ant", 2), ("log", 2)):
        store.add_dead(name, position, "expired", Attempt(3, reason="no"), NOW_MS)
    store.commit()
    page = [(a.position, a.consumer) for a in store.dead_after(0, 1, None)]
    own = [(a.position, a.consumer) for a in store.dead_after(0, 1, "log")]
    at = [(a.position, a.consumer) for a in store.dead_at([3, 1, 2], "log")]

    assert (page, own, at) == (
        [(2, "ant"), (2, "bot"), (2, "log")],
        [(2, "log")],
        [(3, "log"), (2, "log")],
    )
    assert store.dead_counts() == {"ant": 1, "bot": 1, "log": 2}


def test_a_dead_letter_may_be_removed(store):
    """One letter goes, those of others at its position stay."""
    fill(store, 1)
    store.begin()
    for name in ("bot", "log"):
        store.add_dead(name, 1, "expired", Attempt(1), NOW_MS)
    store.remove_letters([("bot", 1), ("bot", 7)])
    store.commit()

    assert [store.is_dead(name, 1) for name in ("bot", "log")] == [False, True]


def test_the_last_reason_counts(store):
    """A letter of a position that died for the same consumer before takes its place."""
    fill(store, 1)
    store.begin()
    for reason in ("expired", "rejected"):
        store.add_dead("bot", 1, reason, Attempt(1), NOW_MS)
    store.commit()

    assert [letter.reason for letter in store.dead_at([1], None)] == ["rejected"]


def saved(store, state):
    """Write a consumer whole, read all of them, and return its own."""
    store.begin()
    store.save_consumer(state)
    store.commit()
    return next(s for s in store.load_consumers() if s.name == state.name)


def test_a_consumer_comes_back_as_it_was(store):
    """Filter, cursor, spans, attempts and flags are read as they were written."""
    state = ConsumerState("bot", Filter(("im.*",), ("oc_1",), ignore_own=True), 5, ((7, 9),))
    state.declared, state.last_seen_ms = True, NOW_MS
    state.attempts = {6: Attempt(2, 77, "why")}
    store.begin()
    store.save_ahead("bot", (), state.settled.ahead)
    store.save_attempts("bot", (), state.attempts)
    store.commit()
    found = saved(store, state)

    assert found.record() == state.record()


def test_spans_and_attempts_are_replaced_one_by_one(store):
    """Only what is named is removed or replaced."""
    state = ConsumerState("bot", Filter(), 0)
    store.begin()
    store.save_ahead("bot", (), [(2, 3), (5, 5), (9, 9)])
    store.save_ahead("bot", [(2, 3), (5, 5)], [(2, 6)])
    store.save_attempts("bot", (), {1: Attempt(1), 7: Attempt(1)})
    store.save_attempts("bot", [1], {7: Attempt(2)})
    store.commit()
    found = saved(store, state)

    assert found.settled.ahead == ((2, 6), (9, 9))
    assert found.attempts == {7: Attempt(2)}


def test_a_removed_consumer_leaves_its_dead_letters(store):
    """Cursor, spans and attempts go; dead letters stay, and so do other consumers."""
    fill(store, 1)
    for name in ("bot", "log"):
        store.begin()
        store.save_ahead(name, (), [(5, 5)])
        store.save_attempts(name, (), {7: Attempt(1)})
        store.add_dead(name, 1, "expired", Attempt(1), NOW_MS)
        store.commit()
        saved(store, ConsumerState(name, Filter(), 1))
    store.begin()
    store.remove_consumer("bot")
    store.commit()
    (kept,) = store.load_consumers()

    assert (kept.name, kept.settled.ahead, kept.attempts) == ("log", ((5, 5),), {7: Attempt(1)})
    assert store.count_dead() == 2


def test_facts(store):
    """A fact is replaced by a later one of its name, and can be removed."""
    store.begin()
    for value in ("1", "2"):
        store.save_fact("proven", value)
        store.save_fact("gone", value)
    store.save_fact("gone", None)
    store.commit()

    assert store.load_facts() == {"proven": "2"}


def test_free_pages_go_back_to_the_file_system(store):
    """Compaction gives back as many free pages as it was asked to."""
    fill(store, 200, size=8000)
    store.begin()
    store.remove_events(range(1, 201))
    store.commit()
    pages, free, _ = store.pages()
    store.compact(50)
    after = store.pages()

    assert free > 100
    assert (after[0], after[1]) == (pages - 50, free - 50)


def test_a_checkpoint_moves_the_wal(store, tmp_path):
    """A checkpoint moves what was committed into the file and starts the WAL anew."""
    fill(store, 50, size=8000)
    before = (tmp_path / "journal.db").stat().st_size
    left_over = store.checkpoint()
    fill(store, 1, first=51)

    assert left_over == 0
    assert (tmp_path / "journal.db").stat().st_size > before + 50 * 8000


def test_a_store_closes(tmp_path, store):
    """A closed store is closed; nothing is left of the WAL."""
    assert isinstance(store, Store)
    store.close()

    assert [p.name for p in tmp_path.iterdir()] == ["journal.db"]
