"""Outgoing sends: what becomes of one, and the table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal.contract import NOW_MS
from journal.sends_contract import SENT, UNKNOWN, make_send, uuids

from feishu_ws.journal import sends as module
from feishu_ws.journal.contract import OUTCOME_HOURS
from feishu_ws.journal.sends import Sends, close, drop, hours_kept, note_attempt, row_of
from feishu_ws.model import (
    MAX_QUEUE_CHARS,
    MAX_REQUEST_BYTES,
    MAX_UUID_CHARS,
    OutgoingSend,
    SendOutcome,
)

UUIDS = st.sampled_from("abc")
TIMES = st.integers(1, 9)
STEPS = st.one_of(
    st.tuples(st.just("open"), UUIDS, TIMES),
    st.tuples(st.just("try"), UUIDS, TIMES),
    st.tuples(st.just("close"), UUIDS, TIMES, st.booleans()),
    st.tuples(st.just("drop"), UUIDS),
)


def take(store, add, step):
    """Take a step; return its answer."""
    match step:
        case ("open", uuid, at_ms):
            known = store.find(uuid)
            return known or add(make_send(uuid, made_ms=at_ms))
        case ("try", uuid, at_ms):
            return note_attempt(store, uuid, at_ms)
        case ("close", uuid, at_ms, dead):
            return close(store, uuid, SendOutcome(f"k{at_ms}", b"x", is_dead=dead), at_ms)
        case _:
            return drop(store, step[1])


@given(st.lists(STEPS, max_size=20))
def test_a_send_only_goes_forward(steps):
    """Whatever is asked for, attempts grow, the first one's time and an outcome stay."""
    store, before = Sends(), {}
    for step in steps:
        take(store, store.open, step)
        for send in store:
            was = before.get(send.number)
            if was is not None:
                assert (send.uuid, send.queue, send.digest) == (was.uuid, was.queue, was.digest)
                assert send.attempts >= was.attempts
                assert was.first_attempt_ms in {None, send.first_attempt_ms}
                assert was.outcome in {None, send.outcome}
                assert was.outcome is None or send == was
            assert (send.attempts > 0) == (send.first_attempt_ms is not None)
            assert bool(send.request) == (send.outcome is None or send.outcome.is_dead)
        before = {send.number: send for send in store}


def test_the_table_is_as_the_memory(store):
    """Both give the same answers to the same steps, and keep the same."""
    memory = Sends()
    steps = [
        ("open", "a", 1), ("open", "b", 2), ("try", "a", 3), ("open", "a", 4), ("try", "a", 2),
        ("close", "a", 5, False), ("close", "a", 6, True), ("try", "a", 7), ("try", "c", 1),
        ("close", "b", 8, True), ("open", "c", 9), ("drop", "a"), ("drop", "b"), ("drop", "x"),
        ("open", "b", 9),
    ]  # fmt: skip
    store.begin()
    answers = [
        (take(store.sends, store.sends.add, step), take(memory, memory.open, step))
        for step in steps
    ]
    store.commit()

    assert [a for a, _ in answers] == [b for _, b in answers]
    assert [store.sends.find(uuid) for uuid in "abc"] == [memory.find(uuid) for uuid in "abc"]
    assert [send.number for send in memory] == [1, 3, 4]


def keep(store, count, *, size=20, dead=()):
    """Keep sends that are closed, one a millisecond, those of `dead` as dead letters."""
    store.begin()
    for n in range(count):
        store.sends.add(make_send(f"{n}", request=bytes(size)))
        close(store.sends, f"{n}", UNKNOWN if n in dead else SENT, NOW_MS + n)
    store.commit()


def test_a_page_is_bounded_in_bytes(store, monkeypatch):
    """Large requests make a page shorter, but never empty; then it goes on."""
    for n in range(5):
        store.sends.add(make_send(f"{n}", request=bytes(MAX_REQUEST_BYTES)))
    first = store.sends.open_after(0, 100)
    rest = store.sends.open_after(first[-1].number, 100)

    monkeypatch.setattr(module, "READ_BYTES", 1)
    one = store.sends.open_after(rest[-1].number, 100)

    assert [uuids(page) for page in (first, rest, one)] == [["0", "1"], ["2", "3"], ["4"]]


def test_which_go_first(store):
    """The longest closed go first, dead ones after all others; those without an outcome never."""
    keep(store, 6, dead=(1, 3))
    store.sends.add(make_send("open"))
    order = [send.number for send in store.sends.closed(100)]
    some = store.sends.closed(5)
    store.sends.remove_closed(some)

    assert order == [1, 3, 5, 6, 2, 4]
    assert [send.is_dead for send in some] == [False] * 4 + [True]
    assert uuids(store.sends.dead_after(0, 100)) == ["3"]
    assert store.sends.counts() == (1, NOW_MS, 1)


def test_which_are_old(store):
    """Those closed before a moment, dead ones before another, up to a limit."""
    keep(store, 6, dead=(1, 3))

    def numbers(*args):
        return [send.number for send in store.sends.closed_before(*args)]

    assert numbers(NOW_MS + 3, NOW_MS + 3, 100) == [1, 3, 2]
    assert numbers(NOW_MS + 3, NOW_MS, 100) == [1, 3]
    assert numbers(NOW_MS + 9, NOW_MS + 9, 5) == [1, 3, 5, 6, 2]
    assert numbers(NOW_MS, NOW_MS, 100) == []


def test_no_query_reads_the_whole_table(store):
    """Every question is answered by an index, however many outcomes are known."""
    plans = []
    store._db.set_trace_callback(plans.append)
    table = store.sends
    table.find("a")
    table.open_after(0, 9)
    table.dead_after(0, 9)
    table.counts()
    table.newest_ms()
    table.closed(9)
    table.closed_before(1, 1, 9)
    store._db.set_trace_callback(None)
    told = [
        row[3] for query in list(plans) for row in store._db.execute(f"EXPLAIN QUERY PLAN {query}")
    ]

    assert len(plans) == 11
    assert [step for step in told if step.startswith("SCAN")] == [
        "SCAN send"
    ]  # newest: from the end
    assert [step for step in told if "TEMP" in step] == [
        "USE TEMP B-TREE FOR ORDER BY"
    ]  # dead: ids


def test_how_long_an_outcome_is_known():
    """A day; a dead letter as long as events, and no less than a day."""
    assert hours_kept(168, dead=False) == hours_kept(1, dead=True) == OUTCOME_HOURS
    assert hours_kept(168, dead=True) == 168


@pytest.mark.parametrize(
    ("uuid", "queue", "request_"),
    [
        ("", "oc", b"{}"),
        ("u" * (MAX_UUID_CHARS + 1), "oc", b"{}"),
        ("u\n", "oc", b"{}"),
        ("u", "o" * (MAX_QUEUE_CHARS + 1), b"{}"),
        ("u", "o\0", b"{}"),
        ("u", "oc", b""),
        ("u", "oc", bytes(MAX_REQUEST_BYTES + 1)),
    ],
)
def test_what_is_no_send(uuid, queue, request_):
    """A send that no journal keeps cannot be made; the message says how large it was, not what."""
    with pytest.raises(ValueError, match=r"expected|at most"):
        OutgoingSend.make(uuid, queue, request_, NOW_MS)


@given(st.text(max_size=9), st.binary(min_size=1), st.binary(min_size=1))
def test_what_was_asked_for(queue, one, other):
    """A send knows its own request from every other."""
    send = OutgoingSend.make("u", "".join(filter(str.isprintable, queue)), one, NOW_MS)

    assert send.asks_for(one)
    assert send.asks_for(other) == (one == other)


def test_a_row_has_every_column(store):
    """What is written is what is read, in every state."""
    made = make_send("a", "")
    store.begin()
    added = store.sends.add(made)
    store.commit()

    assert row_of(made)[0] is None
    assert store.sends.find("a") == added
    assert tuple(store._db.execute("SELECT * FROM send").fetchone()) == row_of(added)
