"""The blocking twin: the same from any thread."""

import asyncio
import threading

import pytest
from client.fake_daemon import FakeDaemon

from feishu_ws.client import Disconnected, RpcError, Superseded
from feishu_ws.client.blocking import Consumer


@pytest.fixture
def daemon(tmp_path):
    """A fake daemon on a thread of its own."""
    loop, ready, done = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    fake = FakeDaemon(tmp_path / "e.sock")

    async def serve():
        async with fake:
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait(5)
    fake.soon = loop.call_soon_threadsafe
    yield fake
    loop.call_soon_threadsafe(done.set)
    thread.join(5)
    loop.close()


def _wait_until(condition):
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it did not come to pass within 5 s")


def test_a_blocking_consumer_reads_settles_rejects_and_replies(daemon):
    """Everything the asyncio one can do, without await."""
    daemon.on_hello = lambda fake, _: fake.deliver(1, 2, 3, 4, message={"text": "hi"})

    with Consumer("bot", daemon.path, types=["im.*"]) as consumer:
        one, two, three, four = (next(consumer) for _ in range(4))
        one.settle()
        two.settle_soon()
        three.reject("busy", 2, dead=True)
        four.reply({})
        assert consumer.call("ping") == "pong"
        assert consumer.greeting.app_id == "cli_a"
        assert consumer.trouble is None

    assert daemon.calls == [
        ("hello", {"consumer": "bot", "start": "resume", "types": ["im.*"]}),
        ("settle", {"positions": [1]}),
        ("settle", {"positions": [2]}),
        ("reject", {"position": 3, "reason": "busy", "retry_in_s": 2, "dead": True}),
        ("reply", {"position": 4, "data": {}}),
        ("ping", {}),
    ]
    assert (one.position, one.attempt, one.late, one.reply_by) == (1, 1, False, None)
    assert one.message == {"text": "hi"}
    assert one.event.id == "ev-1"
    assert b'"position"' in one.raw
    assert repr(one) == "<Delivery 1 attempt 1 im.message.receive_v1>"


def test_closing_ends_the_iteration_of_another_thread(daemon):
    """A thread that waits for an event comes out of its loop."""
    consumer, seen = Consumer("bot", daemon.path), []
    daemon.on_hello = lambda fake, _: fake.deliver(1)
    reader = threading.Thread(target=lambda: seen.extend(d.position for d in consumer))
    reader.start()
    _wait_until(lambda: seen or daemon.greeted)

    consumer.close()
    reader.join(5)

    assert not reader.is_alive()
    assert list(consumer) == []


def test_deliveries_may_be_settled_from_other_threads(daemon):
    """A pool of threads can do the work."""
    daemon.on_hello = lambda fake, _: fake.deliver(*range(1, 21))

    with Consumer("bot", daemon.path) as consumer:
        deliveries = [next(consumer) for _ in range(20)]
        threads = [threading.Thread(target=delivery.settle) for delivery in deliveries]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)

    settled = sorted(params["positions"][0] for params in daemon.params("settle"))
    assert settled == list(range(1, 21))


def test_errors_are_raised_in_the_calling_thread(daemon):
    """Refusals, supersedes and losses are the same exceptions."""
    daemon.refuse["seek"] = {"code": -32006, "message": "not allowed"}
    daemon.on_hello = lambda fake, _: fake.deliver(1)
    consumer = Consumer("bot", daemon.path)
    with pytest.raises(RpcError, match="not allowed"):
        consumer.call("seek")
    assert next(consumer).position == 1

    daemon.soon(daemon.bye, "superseded")
    with pytest.raises(Superseded):
        next(consumer)
    consumer.close()


def test_a_closed_consumer_stays_closed(daemon):
    """Nothing connects again, and no thread is left behind."""
    daemon.on_hello = lambda fake, _: fake.deliver(1)
    consumer = Consumer("bot", daemon.path)
    delivery = next(consumer)
    consumer.close()
    consumer.close()

    delivery.settle_soon()
    with pytest.raises(Disconnected, match="the consumer is closed"):
        delivery.settle()
    with pytest.raises(Disconnected, match="the consumer is closed"):
        consumer.call("ping")
    with pytest.raises(StopIteration):
        next(consumer)
    assert "feishu-ws consumer bot" not in {thread.name for thread in threading.enumerate()}
