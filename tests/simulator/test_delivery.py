"""A delivery and those who wait for it."""

import asyncio
import itertools

import pytest

from feishu_ws.simulator.delivery import TRANSITIONS, Delivery, Stage
from feishu_ws.simulator.transmission import WHOLE


def delivery() -> Delivery:
    return Delivery(1, b"{}", "event", WHOLE, redeliver=True)


@pytest.mark.parametrize(("before", "after"), list(itertools.product(Stage, Stage)))
def test_only_what_the_table_allows_happens(before, after):
    """A transition outside the table raises and changes nothing."""
    moving = delivery()
    moving.stage = before
    if after in TRANSITIONS[before]:
        moving.move(after)
        assert moving.stage is after
    else:
        with pytest.raises(ValueError, match="delivery 1"):
            moving.move(after)
        assert moving.stage is before


async def test_the_first_answer_is_what_counts():
    """Whoever waits gets the first answer, and so does who asks later."""
    waiting = delivery()
    task = asyncio.create_task(waiting.confirmed())
    await asyncio.sleep(0)
    waiting.note_answer(500, None)
    waiting.note_answer(200, b"{}")
    assert await task == (500, None)
    assert await waiting.confirmed() == (500, None)


async def test_waiting_ends_with_a_timeout_that_says_so():
    """Without an answer the wait ends in time, and can be repeated."""
    waiting = delivery()
    with pytest.raises(TimeoutError, match="none within"):
        await waiting.confirmed(0.01)
    task = asyncio.create_task(waiting.confirmed(5))
    await asyncio.sleep(0)
    waiting.note_answer(200, None)
    assert await task == (200, None)


async def test_giving_up_ends_the_wait_at_once():
    """Nobody waits on for a delivery that was given up."""
    waiting = delivery()
    task = asyncio.create_task(waiting.confirmed(60))
    await asyncio.sleep(0)
    waiting.move(Stage.GIVEN_UP)
    waiting.wake()
    with pytest.raises(TimeoutError, match="given up"):
        await task
