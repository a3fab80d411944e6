"""Rows for tests that work on the store itself."""

from journal.contract import NOW_MS, make_event

HOUR_MS = 3_600_000


def fill(store, count, *, first=1, size=40, at_ms=NOW_MS, kinds=("im.message.receive_v1",)):
    """Store `count` events from position `first` on, with their keys."""
    events = [
        make_event(n, kind=kinds[n % len(kinds)], at_ms=at_ms, size=size)
        for n in range(first, first + count)
    ]
    store.begin()
    store.add_events(first, events)
    store.add_keys([key for event in events for key in event.keys], at_ms)
    store.commit()
    return events


def left(store):
    """Return the positions that exist."""
    return [head.position for head in store.heads_after(0, 1_000_000)]
