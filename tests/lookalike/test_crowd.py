"""Clients of the lookalike over real WebSockets: who gets what, and what their answers do."""

import asyncio
import base64

import pytest
import websockets
from downstream.rig import CARD, MESSAGE
from lookalike.rig import House, headers_of
from support import eventually

from feishu_ws.happenings import ConsumerConnected, ConsumerDisconnected
from feishu_ws.model import Filter
from feishu_ws.wire.native import HelloParams

OTHER = "im.chat.updated_v1"


async def test_comes_to_exist_with_the_first_client():
    """Discovery makes no consumer, the first accepted WebSocket does."""
    async with House() as house:
        await house.discover()
        assert "lookalike" not in house.journal.consumers()
        await house.connect()
        record = house.journal.consumers()["lookalike"]
        assert record.filter.types == (MESSAGE, CARD, "url.preview.get")
        await eventually(lambda: house.of(ConsumerConnected))


async def test_in_order_and_settled():
    """Events come in position order, and a 200 settles for good."""
    async with House() as house:
        client = await house.connect()
        house.store(*range(50))
        await client.take(*range(50))
        await eventually(lambda: house.cursor() == 50)
        assert await client.hears_nothing()


async def test_frames_are_as_feishus():
    """All five headers SDKs require are there, and what they only pass on."""
    async with House() as house:
        client = await house.connect()
        (event,) = house.store("e1")
        frame = await client.frame()
        headers = headers_of(frame)
        assert (frame.method, headers["type"], headers["sum"], headers["seq"]) == (
            1, "event", "1", "0",
        )  # fmt: skip
        assert headers["trace_id"] == "e1"
        assert {"message_id", "timestamp", "instance_id"} <= set(headers)
        assert frame.payload == event.payload


async def test_window():
    """No more than `lookalike.window` wait for an answer."""
    async with House(window=3) as house:
        client = await house.connect()
        house.store(*range(5))
        frames = [await client.frame() for _ in range(3)]
        assert await client.hears_nothing()
        await client.answer(frames[0])
        _, name = await client.event()
        assert name == "3"


async def test_refused_comes_again():
    """A 500 rejects: the event comes again after a while, under another message_id."""
    async with House() as house:
        client = await house.connect()
        house.store("a", "b")
        first, _ = await client.event()
        message_id = headers_of(first)["message_id"]
        await client.answer(first, b'{"code":500}')
        await client.take("b")
        again, name = await client.event()
        assert name == "a"
        assert headers_of(again)["message_id"] != message_id
        await client.answer(again)
        await eventually(lambda: house.cursor() == 2)
        assert house.tally.events_redelivered == 1


async def test_large_events_come_in_parts():
    """An event of two megabytes comes in frames that an SDK takes."""
    async with House() as house:
        client = await house.connect(max_size=1024**2)
        (event,) = house.store("big", size=2 * 1024**2)
        frames = [await client.frame()]
        total = int(headers_of(frames[0])["sum"])
        frames += [await client.frame() for _ in range(total - 1)]
        assert b"".join(frame.payload for frame in frames) == event.payload
        assert [headers_of(frame)["seq"] for frame in frames] == [str(n) for n in range(total)]
        assert len({headers_of(frame)["message_id"] for frame in frames}) == 1
        assert max(frame.ByteSize() for frame in frames) < 512 * 1024
        await client.answer(frames[-1])
        await eventually(lambda: house.cursor() == 1)


async def test_other_types_are_settled_at_once():
    """What SDKs do not ask for does not wait for them, and is counted."""
    async with House(event_types=(MESSAGE,)) as house:
        house.store("early", kind=OTHER)
        client = await house.connect()
        house.store("other", kind=OTHER)
        house.store("mine")
        house.store("card", kind=CARD)
        await client.take("mine")
        await eventually(lambda: house.cursor() == 4)
        assert house.tally.events_discarded["filtered"] == 2


async def test_other_types_whatever_is_declared():
    """A filter that an operator declared for this consumer gets SDKs nothing they do not ask for."""
    async with House(event_types=(MESSAGE,)) as house:
        client = await house.connect()
        await house.journal.enroll("lookalike", Filter(), None, declared=True)
        house.dispatcher.reconfigure(house.delivery)
        await eventually(lambda: house.journal.consumers()["lookalike"].filter == Filter())
        await asyncio.sleep(0.05)
        house.store("other", kind=OTHER)
        house.store("mine")
        await client.take("mine")
        await eventually(lambda: house.cursor() == 2)


async def test_silence_is_timed():
    """What is not answered comes again when its time is up, to whoever is newest then."""
    async with House(delivery={"ack_timeout_s": 0.3}) as house:
        older = await house.connect()
        house.store("a")
        _, name = await older.event()
        newer = await house.connect()
        await newer.take("a")
        await eventually(lambda: house.cursor() == 1)
        assert name == "a"


async def test_newest_only():
    """New events go to the newest client; the older one is idle, answered, and settles still."""
    async with House() as house:
        older = await house.connect()
        house.store("a")
        held, _ = await older.event()
        newer = await house.connect()
        house.store("b")
        await newer.take("b")
        await older.ping()
        pong = await older.pong()
        assert headers_of(pong)["type"] == "pong"
        await older.answer(held)
        await eventually(lambda: house.cursor() == 2)
        assert await older.hears_nothing()


async def test_next_newest_takes_over():
    """When the newest leaves, the next newest gets what it had, at once, and what is new."""
    async with House() as house:
        clients = [await house.connect() for _ in range(3)]
        house.store("a")
        await clients[2].event()
        await clients[2].close()
        await clients[1].take("a")
        await clients[1].close()
        house.store("b")
        await clients[0].take("b")
        await eventually(lambda: house.cursor() == 2)
        assert house.desk.fact().clients == 1


async def test_older_one_leaves():
    """What an older client had goes to the newest when it leaves."""
    async with House() as house:
        older = await house.connect()
        house.store("a")
        await older.event()
        newer = await house.connect()
        assert await newer.hears_nothing()
        await older.close()
        await newer.take("a")
        assert not house.of(ConsumerDisconnected)


async def test_old_refusal_of_what_went_elsewhere():
    """A 500 for what went to another client since is too late."""
    async with House(delivery={"ack_timeout_s": 0.3}) as house:
        older = await house.connect()
        house.store("a")
        held, _ = await older.event()
        newer = await house.connect()
        again, _ = await newer.event()
        await older.answer(held, b'{"code":500}')
        await newer.answer(again)
        await eventually(lambda: house.cursor() == 1)
        assert not house.journal.noted


async def test_last_one_leaves():
    """What was not answered waits for whoever comes next."""
    async with House() as house:
        first = await house.connect()
        house.store("a", "b")
        await first.event()
        await first.close()
        await eventually(lambda: house.of(ConsumerDisconnected))
        second = await house.connect()
        await second.take("a", "b")
        await eventually(lambda: house.cursor() == 2)


# -- callbacks ------------------------------------------------------------------------------


async def ask(house, name):
    """Store a callback; return where its answer will be."""
    answers = []
    (event,) = house.store(name, kind=CARD)
    await eventually(lambda: event.position)
    house.dispatcher.await_reply(event, answers.append)
    return answers


@pytest.mark.parametrize(
    "shape", ['{"code":200,"data":"%s"}', '{"code":200,"headers":null,"data":"%s"}']
)
async def test_callback_reply(shape):
    """The object in `data` is the reply."""
    async with House() as house:
        client = await house.connect()
        answers = await ask(house, "card")
        toast = b'{"toast":{"type":"success"}}'
        await client.take("card", payload=(shape % base64.b64encode(toast).decode()).encode())
        await eventually(lambda: answers == [toast])
        await eventually(lambda: house.cursor() == 1)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"code":200}',
        b'{"code":500}',
        b'{"code":500,"headers":null,"data":null}',
        b'{"code":200,"data":"%s"}' % base64.b64encode(b'"no such handle"'),
        b'{"code":200,"data":"%s"}' % base64.b64encode(b"[1]"),
        b'{"code":200,"data":"no base64!"}',
        b'{"code":200,"data":7}',
    ],
)
async def test_callback_default(payload):
    """Without an object in `data`, and for a 500, the sender gets the default, and once."""
    async with House() as house:
        client = await house.connect()
        answers = await ask(house, "card")
        await client.take("card", payload=payload)
        await eventually(lambda: answers == [None])
        await eventually(lambda: house.cursor() == 1)
        assert await client.hears_nothing()


async def test_callbacks_go_first():
    """A callback does not wait for the window."""
    async with House(window=1) as house:
        client = await house.connect()
        house.store("a", "b")
        await client.event()
        await ask(house, "card")
        _, name = await client.event()
        assert name == "card"


# -- the seat ------------------------------------------------------------------------------


class Outlet:
    """A consumer of the native socket, as far as the dispatcher sees it."""

    def __init__(self):
        self.byes = []

    def deliver(self, *_, **__):
        """Nothing is noted."""

    def has_room(self):
        return False

    def bye(self, reason):
        self.byes.append(reason)


async def test_superseded():
    """Who takes the name on the native socket ends our clients, and they take it back."""
    async with House() as house:
        client = await house.connect()
        other = Outlet()
        await house.dispatcher.attach(other, HelloParams("lookalike"))
        with pytest.raises(websockets.ConnectionClosed):
            await client.frame()
        back = await house.connect()
        house.store("a")
        await back.take("a")
        assert other.byes == ["superseded"]


async def test_quarrel():
    """While others quarrel over the name, clients are told to try again, which SDKs do."""
    async with House() as house:
        for _ in range(4):
            await house.dispatcher.attach(Outlet(), HelloParams("lookalike"))
        url = (await house.discover())["data"]["URL"]
        socket = await websockets.connect(url, proxy=None)
        with pytest.raises(websockets.ConnectionClosed) as caught:
            await asyncio.wait_for(socket.recv(), 5)
        assert caught.value.rcvd.code == 1013


async def test_leaves_while_the_consumer_is_made():
    """A client that comes and goes while the disk hangs leaves no seat behind."""
    async with House() as house:
        house.journal.disk.clear()
        url = (await house.discover())["data"]["URL"]
        socket = await websockets.connect(url, proxy=None)
        await socket.close()
        await eventually(lambda: house.crowd.size == 0)
        house.journal.disk.set()
        await eventually(lambda: house.of(ConsumerDisconnected))
        assert not house.dispatcher.seats.is_connected("lookalike")


async def test_stop_takes_answers():
    """What is being worked on when we stop is settled if it is answered in time."""
    async with House() as house:
        client = await house.connect()
        house.store("a")
        frame, _ = await client.event()
        house.dispatcher.say_bye("shutdown")
        stopping = asyncio.create_task(house.desk.stop(2.0))
        await asyncio.sleep(0.05)
        await client.answer(frame)
        with pytest.raises(websockets.ConnectionClosed) as caught:
            await client.frame()
        assert caught.value.rcvd.code == 1001
        await stopping
        assert house.cursor() == 1


async def test_forgets_what_it_held():
    """Events that die leave nothing behind in the crowd."""
    async with House(window=1, delivery={"max_attempts": 1}) as house:
        client = await house.connect()
        house.store(*range(300))
        for _ in range(300):
            frame = await client.frame()
            await client.answer(frame, b'{"code":500}')
        await eventually(lambda: house.tally.events_dead_lettered["max_attempts"] == 300)
        assert len(house.crowd._held) <= 2 + 256
