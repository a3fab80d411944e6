"""Models of lark-oapi, as far as it takes no lark-oapi; the rest is in the acceptance tests."""

import subprocess
import sys
import types
from importlib import metadata
from pathlib import Path

import pytest
from client.fake_daemon import cloud_event, event_of

from feishu_ws.client import typed


class UnmarshalError(Exception):
    """What the stand-in for lark-oapi raises."""


class Message:
    """A model."""

    def __init__(self, data):
        if not isinstance(data["event"], dict):
            raise UnmarshalError("expected dict")
        self.event = data["event"]


class Card(Message):
    """Another model."""


class Processor:
    """Knows its model, as lark-oapi's do."""

    def __init__(self, model):
        self.type = lambda: model


class Builder:
    """Registers handlers, as lark-oapi's does."""

    def __init__(self, *_):
        self._processorMap = {}
        self._callback_processor_map = {}

    def register_p2_im_message_receive_v1(self, handler):
        assert callable(handler)
        self._processorMap["p2.im.message.receive_v1"] = Processor(Message)

    def register_p1_message(self, _):
        self._processorMap["p1.message"] = Processor(Message)

    def register_p2_card_action_trigger(self, _):
        self._callback_processor_map["p2.card.action.trigger"] = Processor(Card)

    def register_p2_customized_event(self, *_):
        raise AssertionError("it takes a type")

    register_p1_customized_event = register_p2_customized_event


@pytest.fixture
def lark(monkeypatch):
    """A stand-in for lark-oapi, which takes seconds to import."""
    made = {name: types.ModuleType(name) for name in (
        "lark_oapi", "lark_oapi.event", "lark_oapi.event.dispatcher_handler",
        "lark_oapi.core", "lark_oapi.core.exception",
    )}  # fmt: skip
    handler = types.SimpleNamespace(builder=Builder)
    made["lark_oapi.event.dispatcher_handler"].EventDispatcherHandler = handler
    made["lark_oapi.core.exception"].UnmarshalException = UnmarshalError
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)
    typed.models.cache_clear()
    yield made
    typed.models.cache_clear()


def test_models_are_found_by_envelope_and_type(lark):
    """Events and callbacks; what has no model has none."""
    found = [
        type(event_of(type=kind, feishuschema=schema, data={"event": {"a": 1}}).typed()).__name__
        for kind, schema in (
            ("im.message.receive_v1", "2.0"),
            ("card.action.trigger", "2.0"),
            ("message", "1.0"),
            ("message", "2.0"),
            ("nobody.knows_v1", "2.0"),
            ("feishu.unknown", ""),
        )
    ]

    assert found == ["Message", "Card", "Message", "NoneType", "NoneType", "NoneType"]


def test_a_model_holds_the_body(lark):
    """As Feishu sent it."""
    event = event_of(feishuschema="2.0", data={"event": {"message": {"n": 1}}})

    assert event.typed().event == {"message": {"n": 1}}


def test_what_is_not_as_expected_is_said(lark):
    """The reason is lark-oapi's, the type of the error is not."""
    event = event_of(feishuschema="2.0", data={"event": "odd"})

    with pytest.raises(ValueError, match=r"im.message.receive_v1 is not as lark-oapi expects it"):
        event.typed()


def test_without_lark_oapi_it_says_what_to_install(lark, monkeypatch):
    """Nothing else of an event needs it."""
    for name in lark:
        monkeypatch.setitem(sys.modules, name, None)
    event = event_of(feishuschema="2.0")

    with pytest.raises(ImportError, match=r"try: pip install 'lark-oapi>=1\.5'"):
        event.typed()
    assert event.data == cloud_event(1)["data"]


def test_what_lark_oapi_itself_lacks_is_said_by_it(lark, monkeypatch):
    """A broken installation of something else is no missing lark-oapi."""
    broken = types.ModuleType("lark_oapi.event.dispatcher_handler")
    broken.__getattr__ = lambda name: __import__("no_such_module_of_its")
    monkeypatch.setitem(sys.modules, broken.__name__, broken)

    with pytest.raises(ModuleNotFoundError, match="no_such_module_of_its"):
        event_of(feishuschema="2.0").typed()


def test_the_version_asked_for_is_the_one_declared():
    """What the error says to install is what this package depends on."""
    required = metadata.requires("feishu-ws")

    assert typed.WANTED.replace(" ", "") in [line.replace(" ", "") for line in required]


USE = """
import asyncio, sys
from client.fake_daemon import FakeDaemon
from feishu_ws.client import Consumer, blocking, toast

async def main(path):
    async with FakeDaemon(path) as daemon:
        daemon.on_hello = lambda fake, _: fake.deliver(1, reply_by="2099-01-01T00:00:00.000Z")
        consumer = Consumer("bot", daemon.path)
        async def handler(delivery):
            delivery.event.data, delivery.event.type, delivery.message
            await consumer.aclose()
            return toast("ok")
        await consumer.serve(handler)
        assert daemon.params("reply"), daemon.calls

asyncio.run(main(sys.argv[1]))
print([name for name in sys.modules if name.startswith("lark_oapi")])
"""


def test_using_the_library_imports_no_lark_oapi(tmp_path):
    """It costs seconds and 169 MB, and only `typed` needs it."""
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path / "e.sock")],
        env={"PYTHONPATH": tests, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout == "[]\n"
