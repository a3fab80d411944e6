"""The stand-in for lark-oapi's client, with a stand-in dispatcher; a stock one is in acceptance."""

import asyncio
import json
import logging
import sys
import threading
import types

import pytest
from client.fake_daemon import FakeDaemon, cloud_event
from support import eventually

from feishu_ws.client import Disconnected
from feishu_ws.client.lark import Client

MESSAGE = "im.message.receive_v1"
CARD = "card.action.trigger"
IN_TIME = "2099-01-01T00:00:00.000Z"


class Response:
    """What a function returns for a card, as lark-oapi's model."""

    def __init__(self, **fields):
        self.fields = fields


class Stock:
    """A dispatcher as lark-oapi builds it, as far as it is looked at.

    Attributes:
        got: Payloads, decoded, with the loop they came on.
        result: What functions return, or raise if it is an exception.
    """

    def __init__(self, *keys, callbacks=()):
        self._processorMap = dict.fromkeys(keys)
        self._callback_processor_map = dict.fromkeys(callbacks)
        self.got, self.result = [], None

    def _do_without_validation(self, payload):
        self.got.append(json.loads(payload))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.fixture(autouse=True)
def lark_json(monkeypatch):
    """lark-oapi's way from models to JSON, without the seconds it takes to import."""
    module = types.ModuleType("lark_oapi.core.json")
    module.JSON = types.SimpleNamespace(marshal=lambda response: json.dumps(response.fields))
    for name in ("lark_oapi", "lark_oapi.core"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "lark_oapi.core.json", module)


def body(event_type=MESSAGE, schema="2.0", **more):
    """Return an event as a CloudEvent carries it."""
    return cloud_event(1, type=event_type, feishuschema=schema, data={"schema": schema, **more})


async def serve(daemon, stock, **options):
    """Return a client that serves, once the daemon was greeted, and its task."""
    client = Client(event_handler=stock, path=daemon.path, **options)
    task = asyncio.create_task(client.serve())
    await daemon.wait_for("hello")
    return client, task


async def test_an_event_reaches_its_function_and_is_settled(daemon):
    """The dispatcher gets the body as Feishu sent it; then the event is settled."""
    stock = Stock(f"p2.{MESSAGE}")
    client, task = await serve(daemon, stock)
    daemon.deliver(1, event=body(text="hello"))
    assert await daemon.settled(1) == [1]
    assert stock.got == [{"schema": "2.0", "text": "hello"}]
    client.stop()
    await task


async def test_only_what_is_registered_is_asked_for(daemon):
    """The daemon is told the registered types; either envelope counts."""
    _, task = await serve(daemon, Stock(f"p2.{MESSAGE}", "p1.message", callbacks=[f"p2.{CARD}"]))
    assert daemon.params("hello")[0]["types"] == [CARD, MESSAGE, "message"]
    assert daemon.params("hello")[0]["consumer"] == "lark-oapi"
    task.cancel()
    await asyncio.wait([task])


async def test_what_nobody_registered_for_is_settled(daemon):
    """An event of another type, or in the other envelope, is settled and not dispatched."""
    stock = Stock(f"p2.{MESSAGE}")
    client, task = await serve(daemon, stock)
    daemon.deliver(1, event=body("im.chat.updated_v1"))
    daemon.deliver(2, event=body(schema="1.0"))
    daemon.deliver(3, event=body("feishu.unknown", schema=""))
    assert sorted(await daemon.settled(3)) == [1, 2, 3]
    assert stock.got == []
    client.stop()
    await task


async def test_what_a_function_returns_answers_a_callback(daemon):
    """lark-oapi's response model becomes the reply."""
    stock = Stock(callbacks=[f"p2.{CARD}"])
    stock.result = Response(toast={"type": "info", "content": "done"})
    client, task = await serve(daemon, stock)
    daemon.deliver(5, event=body(CARD), reply_by=IN_TIME)
    [reply] = await daemon.wait_for("reply")
    assert reply == {"position": 5, "data": {"toast": {"type": "info", "content": "done"}}}
    client.stop()
    await task


async def test_what_a_function_raises_rejects(daemon):
    """An exception lets the event come again."""
    stock = Stock(f"p2.{MESSAGE}")
    stock.result = KeyError("nothing")
    client, task = await serve(daemon, stock)
    daemon.deliver(1, event=body())
    [reject] = await daemon.wait_for("reject")
    assert reject["position"] == 1
    client.stop()
    await task


async def test_functions_may_create_tasks(daemon):
    """They run on the loop, as they do under lark-oapi, unless threads are asked for."""
    stock, loops = Stock(f"p2.{MESSAGE}"), []
    stock._do_without_validation = lambda _: loops.append(asyncio.get_running_loop())
    client, task = await serve(daemon, stock)
    daemon.deliver(1, event=body())
    await daemon.settled(1)
    assert loops == [asyncio.get_running_loop()]
    client.stop()
    await task


async def test_functions_that_block_may_have_a_thread(daemon):
    """With `threads` the loop stays free."""
    stock, names = Stock(f"p2.{MESSAGE}"), []
    stock._do_without_validation = lambda _: names.append(threading.current_thread())
    client, task = await serve(daemon, stock, threads=True)
    daemon.deliver(1, event=body())
    await daemon.settled(1)
    assert names != [threading.main_thread()]
    client.stop()
    await task


async def test_an_older_dispatcher(daemon):
    """lark-oapi before 1.6 calls it `do_without_validation`."""

    class Older:
        def __init__(self):
            self._processorMap, self._callback_processor_map = {f"p2.{MESSAGE}": None}, {}
            self.got = []

        def do_without_validation(self, payload):
            self.got.append(payload)

    older = Older()
    client, task = await serve(daemon, older)
    daemon.deliver(1, event=body())
    await daemon.settled(1)
    assert older.got == [b'{"schema": "2.0"}']
    client.stop()
    await task


async def test_start_on_a_thread(daemon):
    """`start` blocks on a thread with a loop of its own; `stop` comes from any other."""
    stock = Stock(f"p2.{MESSAGE}")
    client = Client("cli_a", "secret", None, stock, path=daemon.path)
    running = asyncio.create_task(asyncio.to_thread(client.start))
    await daemon.wait_for("hello")
    daemon.deliver(1, event=body())
    await daemon.settled(1)
    client.stop()
    await asyncio.wait_for(running, 5)


async def test_several_in_one_process(tmp_path):
    """Each feeds its own dispatcher from its own daemon."""
    async with FakeDaemon(tmp_path / "a") as first, FakeDaemon(tmp_path / "b") as second:
        stocks = [Stock(f"p2.{MESSAGE}"), Stock(f"p2.{MESSAGE}")]
        clients = [await serve(d, s) for d, s in zip((first, second), stocks, strict=True)]
        first.deliver(1, event=body(n=1))
        second.deliver(1, event=body(n=2))
        await first.settled(1)
        await second.settled(1)
        assert [stock.got[0]["n"] for stock in stocks] == [1, 2]
        for client, task in clients:
            client.stop()
            await task


async def test_stop_before_start(daemon):
    """A stop that comes first makes the next start return; the one after serves again."""
    client = Client(event_handler=Stock(f"p2.{MESSAGE}"), path=daemon.path)
    client.stop()
    await asyncio.wait_for(client.serve(), 5)
    task = asyncio.create_task(client.serve())
    await daemon.wait_for("hello")
    client.stop()
    await asyncio.wait_for(task, 5)


async def test_stop_from_a_function(daemon):
    """A function may stop its own client; what it was given is settled."""
    stock = Stock(f"p2.{MESSAGE}")
    stock._do_without_validation = lambda _: client.stop()
    client, task = await serve(daemon, stock)
    daemon.deliver(1, event=body())
    await asyncio.wait_for(task, 5)
    assert await daemon.settled(1) == [1]


async def test_stop_while_no_daemon_is_there(tmp_path):
    """It waits for a daemon for ever, and stops all the same."""
    client = Client(event_handler=Stock(f"p2.{MESSAGE}"), path=str(tmp_path / "none"))
    task = asyncio.create_task(client.serve())
    await eventually(lambda: client._stop is not None)
    client.stop()
    await asyncio.wait_for(task, 5)


async def test_without_reconnecting(tmp_path):
    """`auto_reconnect=False` says at once that nobody is there."""
    stock = Stock(f"p2.{MESSAGE}")
    client = Client(event_handler=stock, auto_reconnect=False, path=str(tmp_path / "none"))
    with pytest.raises(Disconnected):
        await client.serve()


async def test_another_app(daemon):
    """A daemon of another app does not feed this one."""
    client = Client("cli_other", event_handler=Stock(f"p2.{MESSAGE}"), path=daemon.path)
    with pytest.raises(ValueError, match="the daemon serves cli_a, expected cli_other"):
        await client.serve()


async def test_start_inside_a_loop(daemon):
    """`start` inside a running loop says what to do instead."""
    client = Client(event_handler=Stock(), path=daemon.path)
    with pytest.raises(RuntimeError, match=r"await serve\(\)"):
        client.start()


def test_nothing_to_feed():
    """A client without a dispatcher says so at once."""
    with pytest.raises(ValueError, match="event_handler"):
        Client("cli_a", "secret")


def test_log_level():
    """lark-oapi's levels, and logging's own, set the library's logger."""
    log = logging.getLogger("feishu_ws.client")
    before = log.level
    Client(event_handler=Stock(), log_level=types.SimpleNamespace(value=40))
    assert log.level == logging.ERROR
    Client(event_handler=Stock(), log_level=logging.DEBUG)
    assert log.level == logging.DEBUG
    log.setLevel(before)
