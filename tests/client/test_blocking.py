"""The blocking twin: the same from any thread."""

import asyncio
import threading

import pytest
from client.fake_daemon import FakeDaemon, cloud_event

from feishu_ws.client import Disconnected, RpcError, Superseded
from feishu_ws.client.blocking import Consumer, toast


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


def test_handlers_run_on_threads_and_what_they_return_is_the_answer(daemon):
    """Both a slow one and a callback beside it; each gets a delivery of the blocking kind."""
    said_began, pressed, names = threading.Event(), threading.Event(), set()

    def said(delivery):
        names.add(threading.current_thread().name)
        said_began.set()
        assert pressed.wait(5)
        delivery.reject("busy", 2)

    def press(delivery):
        names.add(threading.current_thread().name)
        assert said_began.wait(5)
        pressed.set()
        return toast(delivery.event.id)

    def greet(fake, _):
        fake.deliver(1)
        card = cloud_event(2, type="card.action.trigger")
        fake.deliver(2, event=card, reply_by="2099-01-01T00:00:00.000Z")

    daemon.on_hello = greet
    with Consumer("bot", daemon.path) as consumer:
        serving = threading.Thread(
            target=consumer.serve,
            args=({"im.*": said, "card.*": press},),
        )
        serving.start()
        _wait_until(lambda: daemon.params("reject"))
        consumer.close()
        serving.join(5)

    assert not serving.is_alive()
    assert daemon.params("hello")[0]["types"] == ["im.*", "card.*"]
    assert daemon.params("reply") == [
        {"position": 2, "data": {"toast": {"type": "info", "content": "ev-2"}}}
    ]
    assert daemon.params("reject") == [{"position": 1, "reason": "busy", "retry_in_s": 2}]
    assert len(names) == 2
    assert daemon.params("settle") == []


def test_closing_lets_a_handler_end_that_has_something_to_say(daemon):
    """Its calls are taken until then; serve returns in the thread that called it."""
    began, release = threading.Event(), threading.Event()

    def handler(delivery):
        began.set()
        assert release.wait(5)
        delivery.settle()

    daemon.on_hello = lambda fake, _: fake.deliver(1, 2)
    consumer = Consumer("bot", daemon.path)
    threads = [
        threading.Thread(target=consumer.serve, args=(handler,)),
        threading.Thread(target=lambda: (began.wait(5), consumer.close())),
        threading.Thread(target=lambda: (began.wait(5), consumer.close())),
    ]
    for thread in threads:
        thread.start()
    assert began.wait(5)
    threads[1].join(0.05)
    release.set()
    for thread in threads:
        thread.join(5)

    assert not any(thread.is_alive() for thread in threads)
    assert daemon.params("settle") == [{"positions": [1]}]


def test_a_handler_may_close_its_consumer(daemon):
    """Its event is settled, serve returns, and a closed consumer serves nothing more."""
    daemon.on_hello = lambda fake, _: fake.deliver(1, 2)
    with Consumer("bot", daemon.path) as consumer:
        consumer.serve(lambda _: consumer.close())
        with pytest.raises(Disconnected):
            consumer.call("ping")
    consumer.serve(print)

    assert daemon.params("settle") == [{"positions": [1]}]


def test_what_ends_serving_is_raised_in_the_calling_thread(daemon):
    """A successor, for one."""
    daemon.on_hello = lambda fake, _: fake.bye("superseded")

    with Consumer("bot", daemon.path) as consumer, pytest.raises(Superseded):
        consumer.serve(print)


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
