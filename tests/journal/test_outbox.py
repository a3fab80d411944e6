"""Steps of outgoing sends, and which of them a failed commit refuses."""

from functools import partial

import pytest
from journal.sends_contract import SENT, make_send

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal import outbox as module
from feishu_ws.journal.outbox import Outbox, Step
from feishu_ws.journal.sends import close


class Full:
    """Room for so many sends more."""

    def __init__(self, left):
        self.left = left
        self.asked = []

    def make(self, payload_bytes, rows):
        """Return whether there is room."""
        self.asked.append((payload_bytes, rows))
        self.left -= rows
        return self.left >= 0


class Desk:
    """An outbox, and what it answered."""

    def __init__(self, table, room):
        self.outbox = Outbox(table, room)
        self.told = []

    def put(self, name, act, *, is_owed=False, size=0):
        """Let a step wait; its answers are noted under a name."""
        self.outbox.put(
            Step(
                lambda table, room: partial(self.told.append, (name, act(table, room))),
                lambda error: self.told.append((name, error.fault)),
                size,
                is_owed,
            )
        )

    def answer(self, answers):
        """Give answers; return what was told."""
        for each in answers:
            each()
        told, self.told = self.told, []
        return told


@pytest.fixture
def desk(store):
    """An outbox of a table, with room for two."""
    return Desk(store.sends, Full(2))


def test_steps_are_done_in_their_order(desk):
    """Answers come in the order of what was asked, and nothing waits afterwards."""
    desk.put("a", lambda *_: 1)
    desk.put("b", lambda *_: 2, is_owed=True)
    before = bool(desk.outbox), desk.outbox.is_pressing
    desk.outbox.write()

    assert desk.answer(desk.outbox.succeed()) == [("a", 1), ("b", 2)]
    assert before == (True, True)
    assert (bool(desk.outbox), desk.outbox.is_pressing) == (False, False)


def test_a_failed_commit(desk):
    """What may be refused is; what is owed is done by the next one, once."""
    desk.put("a", lambda *_: 1)
    desk.put("b", lambda *_: 2, is_owed=True)
    desk.outbox.write()
    refused = desk.answer(desk.outbox.fail(FeishuWsError(Fault.DISK_FULL, "why")))
    still = bool(desk.outbox), desk.outbox.is_pressing
    desk.outbox.write()
    done = desk.answer(desk.outbox.succeed())

    assert refused == [("a", Fault.DISK_FULL)]
    assert still == (True, False)
    assert done == [("b", 2)]


def test_a_commit_that_never_came_to_it(desk):
    """A transaction that failed before the steps refuses them all the same."""
    desk.put("a", lambda *_: 1)

    assert desk.answer(desk.outbox.fail(FeishuWsError(Fault.JOURNAL_IO, "why"))) == [
        ("a", Fault.JOURNAL_IO)
    ]
    assert not desk.outbox


def test_no_room(store):
    """Where there is none for a new send it is refused; a known one is answered and asks for none."""
    room = Full(1)
    store.begin()
    first = module.open_send(store.sends, room, make_send("a"))
    again = module.open_send(store.sends, room, make_send("a", request=b"other"))
    with pytest.raises(FeishuWsError) as refused:
        module.open_send(store.sends, room, make_send("b"))
    store.commit()

    assert first == again == store.sends.find("a")
    assert refused.value.fault is Fault.JOURNAL_FULL
    assert room.asked == [(len(first.request), 1)] * 2
    assert store.sends.find("b") is None


def test_one_refusal_does_not_spoil_the_rest(store):
    """A step there is no room for is refused, and the others of its commit are done."""
    outbox, told = Outbox(store.sends, Full(0)), []

    def put(act):
        def done(table, room):
            act(table, room)
            return partial(told.append, "done")

        outbox.put(Step(done, told.append))

    store.sends.add(make_send("a"))
    put(lambda table, room: module.open_send(table, room, make_send("b")))
    put(lambda table, _: close(table, "a", SENT, 7))
    outbox.write()
    has_refused = outbox.has_refused
    for answer in outbox.succeed():
        answer()
    outbox.write()

    assert [getattr(each, "fault", each) for each in told] == [Fault.JOURNAL_FULL, "done"]
    assert store.sends.find("a").outcome == SENT
    assert (has_refused, outbox.has_refused) == (True, False)


def test_what_is_written_is_estimated(desk):
    """The WAL grows by what steps bring and by the pages they touch."""
    desk.put("a", lambda *_: 1, size=100_000)
    desk.put("b", lambda *_: 2)
    desk.outbox.write()
    written = desk.outbox.written_bytes
    desk.outbox.succeed()
    desk.outbox.write()

    assert 100_000 < written < 150_000
    assert desk.outbox.written_bytes == 0
