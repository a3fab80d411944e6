"""What a connection owes Feishu, counted and written in batches."""

import asyncio

from upstream.fake import data_frame

from feishu_ws.clock import ManualClock
from feishu_ws.tally import Tally
from feishu_ws.upstream.confirm import Confirmations
from feishu_ws.wire.frame import parse_frame, read_headers


class Link:
    def __init__(self):
        self.batches = []
        self.is_open = True

    def write(self, frames):
        if self.is_open:
            self.batches.append(list(frames))
        return self.is_open


def confirmations():
    link, tally, clock = Link(), Tally(), ManualClock()
    return Confirmations(link.write, tally, clock), link, tally, clock


async def test_one_write_per_turn():
    """Answers of one turn of the loop leave together, in their order."""
    owed, link, tally, clock = confirmations()
    answers = [owed.expect(data_frame(b"x", f"m{n}"), clock.monotonic()) for n in range(3)]
    assert owed.unconfirmed == 3
    clock.advance(0.25)
    answers[2](200, None)
    answers[0](500, None)
    assert link.batches == []
    await asyncio.sleep(0)
    answers[1](200, b"{}")
    await asyncio.sleep(0)
    sent = [[read_headers(parse_frame(each)) for each in batch] for batch in link.batches]
    assert [[each["message_id"] for each in batch] for batch in sent] == [["m2", "m0"], ["m1"]]
    assert {each["biz_rt"] for batch in sent for each in batch} == {"250"}
    assert owed.unconfirmed == 0
    assert (tally.events_acked, tally.frames_sent["ack"]) == (2, 3)
    assert tally.event_ack_duration.sum == 0.5
    assert tally.sent_bytes == sum(len(each) for batch in link.batches for each in batch)


async def test_answer_before_accept_returns():
    """An answer given at once is as good as a late one."""
    owed, link, _, clock = confirmations()
    owed.expect(data_frame(b"x"), clock.monotonic())(200, None)
    await asyncio.sleep(0)
    assert len(link.batches) == 1


async def test_closed_link():
    """What cannot be written is counted, and no longer owed."""
    owed, link, tally, clock = confirmations()
    link.is_open = False
    owed.expect(data_frame(b"x"), clock.monotonic())(200, None)
    await asyncio.sleep(0)
    assert (tally.event_ack_failures, tally.events_acked, owed.unconfirmed) == (1, 0, 0)


async def test_all_written():
    """Whoever waits for the last answer is told once it is written, not before."""
    owed, link, _, clock = confirmations()
    assert owed.all_written().done()
    answers = [owed.expect(data_frame(b"x"), clock.monotonic()) for _ in range(2)]
    waiting = owed.all_written()
    answers[0](200, None)
    await asyncio.sleep(0)
    assert not waiting.done()
    answers[1](200, None)
    assert not waiting.done()
    await asyncio.sleep(0)
    assert waiting.done()
    assert len(link.batches) == 2


async def test_deadline():
    """An answer after 3 s is counted as too late."""
    owed, _, tally, clock = confirmations()
    answer = owed.expect(data_frame(b"x"), clock.monotonic())
    clock.advance(3.1)
    answer(200, None)
    await asyncio.sleep(0)
    assert tally.events_ack_deadline_exceeded == 1
