"""Reading, reconnecting and giving up, against a fake daemon."""

import asyncio

import pytest
from client.fake_daemon import FakeDaemon, event_params

from feishu_ws.client import (
    Code,
    Consumer,
    Disconnected,
    NotAllowed,
    RpcError,
    Superseded,
)
from feishu_ws.faults import Exit, Fault


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Waits between tries are a hundredth of the real ones."""
    monkeypatch.setattr("feishu_ws.client.consumer.FIRST_WAIT_S", 0.001)
    monkeypatch.setattr("feishu_ws.client.consumer.LONGEST_WAIT_S", 0.02)


async def _take(consumer, count):
    async with asyncio.timeout(5):
        return [await anext(consumer) for _ in range(count)]


async def test_a_consumer_reads_and_settles(daemon):
    """Deliveries come in the order sent; a settle is a request for one position."""
    daemon.on_hello = lambda fake, _: fake.deliver(1, 2, 3)

    async with Consumer("bot", daemon.path) as consumer:
        deliveries = await _take(consumer, 3)
        await deliveries[1].settle()

    assert [delivery.position for delivery in deliveries] == [1, 2, 3]
    assert daemon.params("settle") == [{"positions": [2]}]
    assert consumer.greeting.app_id == "cli_a"


async def test_a_hello_says_only_what_was_asked_for(daemon):
    """Defaults are left to the daemon."""
    async with Consumer("bot", daemon.path) as consumer:
        assert await consumer.call("ping") == "pong"
    async with Consumer("b", daemon.path, types=("im.*",), start=7, window=3, force=True) as other:
        assert await other.call("ping") == "pong"

    assert daemon.params("hello") == [
        {"consumer": "bot", "start": "resume"},
        {"consumer": "b", "start": 7, "types": ["im.*"], "window": 3, "force": True},
    ]


async def test_a_filter_by_chat_and_author(daemon):
    """Chats and own messages are the daemon's to filter, as they were asked for."""
    async with Consumer("b", daemon.path, chats=("oc_1",), ignore_own=True) as consumer:
        assert await consumer.call("ping") == "pong"

    (params,) = daemon.params("hello")
    assert (params["chats"], params["ignore_own"]) == (["oc_1"], True)


async def test_a_consumer_connects_again_after_a_loss(daemon):
    """Events go on over a new connection; the same hello is said."""
    async with Consumer("bot", daemon.path) as consumer:
        daemon.on_hello = lambda fake, _: fake.deliver(len(fake.greeted))
        assert [d.position for d in await _take(consumer, 1)] == [1]
        daemon.drop()
        assert [d.position for d in await _take(consumer, 1)] == [2]

    assert daemon.params("hello") == [{"consumer": "bot", "start": "resume"}] * 2


async def test_force_is_said_once(daemon):
    """A cursor moved by force is not moved again by every loss."""
    async with Consumer("bot", daemon.path, start="earliest", force=True) as consumer:
        daemon.on_hello = lambda fake, _: fake.deliver(1)
        await _take(consumer, 1)
        daemon.drop()
        await _take(consumer, 1)

    assert [params.get("force") for params in daemon.params("hello")] == [True, None]


async def test_a_reader_without_cursor_goes_on_where_it_was(daemon):
    """After a loss a non-durable consumer asks for what follows its last event."""
    daemon.on_hello = lambda fake, _: fake.deliver(40 + len(fake.greeted))

    async with Consumer("tail", daemon.path, durable=False, start="latest") as consumer:
        await _take(consumer, 1)
        daemon.drop()
        await _take(consumer, 1)

    assert daemon.params("hello") == [
        {"consumer": "tail", "durable": False, "start": "latest"},
        {"consumer": "tail", "durable": False, "start": 42},
    ]


async def test_a_consumer_waits_for_a_daemon_that_is_not_there_yet(tmp_path):
    """Start order does not matter."""
    path = tmp_path / "later.sock"
    consumer = Consumer("bot", str(path))
    reading = asyncio.create_task(_take(consumer, 1))
    while consumer.trouble is None:
        await asyncio.sleep(0.001)
    assert isinstance(consumer.trouble, Disconnected)

    async with FakeDaemon(path) as daemon:
        daemon.on_hello = lambda fake, _: fake.deliver(1)
        [delivery] = await reading
        assert consumer.trouble is None
        await consumer.aclose()

    assert delivery.position == 1


async def test_a_superseded_consumer_says_so_and_stops(daemon):
    """Two processes with one name must not fight for ever."""
    daemon.on_hello = lambda fake, _: fake.bye("superseded")

    consumer = Consumer("bot", daemon.path)
    with pytest.raises(Superseded) as caught:
        await _take(consumer, 1)

    assert caught.value.fault is Fault.CONSUMER_CONFLICT
    with pytest.raises(StopAsyncIteration):
        await anext(consumer)
    assert len(daemon.greeted) == 1


@pytest.mark.parametrize("reason", ["shutdown", "slow", "protocol"])
async def test_any_other_bye_is_followed_by_a_new_connection(daemon, reason):
    """Only `superseded` means to stay away."""

    def greet(fake, _):
        if len(fake.greeted) == 1:
            fake.bye(reason)
        else:
            fake.deliver(5)

    daemon.on_hello = greet
    async with Consumer("bot", daemon.path) as consumer:
        [delivery] = await _take(consumer, 1)

    assert delivery.position == 5


async def test_what_was_read_and_not_taken_before_a_bye_is_not_handed_out(daemon):
    """It comes again on the next connection, and would come twice otherwise."""

    def greet(fake, _):
        if len(fake.greeted) == 1:
            fake.deliver(1)
            fake.bye("shutdown")
        else:
            fake.deliver(1, attempt=9)

    daemon.on_hello = greet
    async with Consumer("bot", daemon.path) as consumer:
        [delivery] = await _take(consumer, 1)

    assert delivery.attempt == 9


async def test_without_reconnect_a_loss_is_an_error(daemon):
    """`tail` ends with the daemon."""
    consumer = Consumer("tail", daemon.path, reconnect=False)
    daemon.on_hello = lambda fake, _: fake.bye("shutdown")

    with pytest.raises(Disconnected) as caught:
        await _take(consumer, 1)

    assert caught.value.reason == "shutdown"
    assert caught.value.detail == "the daemon went away (shutdown), expected more events"
    assert caught.value.spec.exit_code is Exit.UNREACHABLE
    await consumer.aclose()


async def test_without_reconnect_a_missing_daemon_is_an_error(tmp_path):
    """The system's words and the path are in it."""
    path = str(tmp_path / "none.sock")

    with pytest.raises(Disconnected) as caught:
        await _take(Consumer("tail", path, reconnect=False), 1)

    assert caught.value.detail == (
        f"no such file or directory, expected a daemon that listens, {path}"
    )


@pytest.mark.parametrize("code", [Code.INVALID_PARAMS, Code.NOT_ALLOWED])
async def test_a_hello_that_can_never_succeed_is_an_error(daemon, code):
    """Trying the same again would not help."""
    daemon.refuse["hello"] = {"code": int(code), "message": "params.consumer: …"}

    with pytest.raises(RpcError) as caught:
        await _take(Consumer("Bad", daemon.path), 1)

    assert caught.value.code == code
    assert len(daemon.params("hello")) == 1


@pytest.mark.parametrize("code", [Code.CONSUMER_CONFLICT, Code.FULL])
async def test_a_hello_that_may_succeed_later_is_tried_again(daemon, code):
    """A conflict lasts a minute, a full house until somebody leaves."""
    daemon.refuse["hello"] = {"code": int(code), "message": "later"}
    daemon.on_hello = lambda fake, _: fake.deliver(1)
    consumer = Consumer("bot", daemon.path)
    reading = asyncio.create_task(_take(consumer, 1))

    await daemon.wait_for("hello", 3)
    assert consumer.trouble.code == code
    daemon.refuse.clear()

    [delivery] = await reading
    assert delivery.position == 1
    await consumer.aclose()


async def test_a_socket_closed_to_this_user_is_an_error_in_the_end(monkeypatch):
    """Not at once: a daemon that is just starting sets the mode after it binds."""
    tries = []

    async def refuse(path):
        tries.append(path)
        raise NotAllowed("permission denied")

    monkeypatch.setattr("feishu_ws.client.consumer.open_connection", refuse)

    with pytest.raises(NotAllowed):
        await _take(Consumer("bot", "/x"), 1)

    assert len(tries) == 3


async def test_closing_ends_the_iteration(daemon):
    """A task that waits for an event comes out of its loop."""
    consumer = Consumer("bot", daemon.path)

    async def read():
        return [delivery.position async for delivery in consumer]

    reading = asyncio.create_task(read())
    await daemon.wait_for("hello")
    daemon.deliver(1)
    await asyncio.sleep(0.02)
    await consumer.aclose()

    assert await asyncio.wait_for(reading, 1) == [1]


async def test_closing_ends_a_wait_for_a_daemon(tmp_path):
    """A consumer that cannot connect can still be closed."""
    consumer = Consumer("bot", str(tmp_path / "none.sock"))
    reading = asyncio.create_task(_take(consumer, 1))
    await asyncio.sleep(0.01)

    await consumer.aclose()

    with pytest.raises(StopAsyncIteration):
        await reading
    with pytest.raises(Disconnected, match="closed"):
        await consumer.call("ping")


async def test_several_tasks_may_read_one_consumer(daemon):
    """A pool of workers shares the deliveries, none twice."""
    consumer = Consumer("bot", daemon.path)
    seen, everything = [], asyncio.Event()

    async def work():
        async for delivery in consumer:
            seen.append(delivery.position)
            await delivery.settle()
            if len(seen) == 40:
                everything.set()

    workers = [asyncio.create_task(work()) for _ in range(4)]
    await daemon.wait_for("hello")
    daemon.deliver(*range(1, 41))
    await asyncio.wait_for(everything.wait(), 5)
    await asyncio.sleep(0.02)
    await consumer.aclose()
    await asyncio.gather(*workers)

    assert sorted(seen) == list(range(1, 41))
    assert len(daemon.params("hello")) == 1


async def test_a_delivery_carries_what_the_daemon_says_of_it(daemon):
    """position, attempt, reply_by, late, event, message and the params verbatim."""
    params = event_params(
        7, attempt=3, reply_by="2026-03-20T11:03:13.915Z", late=True, message={"text": "你好"}
    )
    daemon.on_hello = lambda fake, _: fake.send("event", params)

    async with Consumer("bot", daemon.path) as consumer:
        [delivery] = await _take(consumer, 1)

    assert (delivery.position, delivery.attempt, delivery.late) == (7, 3, True)
    assert delivery.reply_by.isoformat() == "2026-03-20T11:03:13.915000+00:00"
    assert delivery.message == {"text": "你好"}
    assert delivery.event.id == "ev-7"
    assert "你好".encode() in delivery.raw


async def test_the_socket_is_found_through_the_environment(daemon, monkeypatch):
    """$FEISHU_WS_SOCKET names it."""
    monkeypatch.setenv("FEISHU_WS_SOCKET", daemon.path)

    async with Consumer("bot") as consumer:
        assert await consumer.call("ping") == "pong"


async def test_a_daemon_that_never_answers_a_hello_is_left(daemon, monkeypatch):
    """The greeting has a deadline."""
    monkeypatch.setattr("feishu_ws.client.consumer.GREETING_TIMEOUT_S", 0.05)
    daemon.silent.add("hello")

    with pytest.raises(Disconnected, match=r"no answer to hello in 0\.05 s"):
        await _take(Consumer("bot", daemon.path, reconnect=False), 1)
