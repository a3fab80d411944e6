"""The thread that reads."""

import asyncio
import sqlite3
import threading

import pytest
from support import eventually

from feishu_ws.journal.reader import ReaderThread


@pytest.fixture
def reader():
    """A reader that runs; `ended` is set as its last act."""
    ended = threading.Event()
    thread = ReaderThread(ended.set)
    thread.ended = ended
    thread.start()
    yield thread
    thread.stop()
    thread.join(5)
    assert not thread.is_alive()


async def test_results_and_errors_go_to_who_asked(reader):
    """A job's result or exception is that of its future, and the next job runs."""

    def fail():
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(sqlite3.OperationalError):
        await reader.submit(fail)

    assert await reader.submit(lambda: threading.current_thread().name) == "journal-reader"


async def test_jobs_run_one_after_the_other(reader):
    """Jobs end in the order they were handed in."""
    order = []
    await asyncio.gather(*(reader.submit(lambda n=n: order.append(n)) for n in range(50)))

    assert order == list(range(50))


async def test_who_gave_up_waiting_is_in_nobodys_way(reader):
    """A job whose waiter was cancelled ends quietly."""
    gate = threading.Event()
    given_up = reader.submit(gate.wait)
    given_up.cancel()
    gate.set()

    assert await reader.submit(lambda: "next") == "next"


async def test_stop_ends_after_what_waits(reader):
    """What was asked before the stop is answered; the last act comes after it."""
    gate = threading.Event()
    slow = reader.submit(lambda: gate.wait(5) and not reader.ended.is_set())
    reader.stop()
    gate.set()

    assert await slow
    await eventually(reader.ended.is_set)


def test_a_loop_that_is_gone(reader):
    """A result for a loop that was closed is dropped, and the thread lives on."""
    gate = threading.Event()

    async def ask():
        reader.submit(gate.wait)

    asyncio.run(ask())
    gate.set()

    async def ask_again():
        return await reader.submit(lambda: 7)

    assert asyncio.run(ask_again()) == 7
