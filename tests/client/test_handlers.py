"""Which handler is called for an event, and where it runs."""

import asyncio
import functools
import json
import threading
from contextvars import ContextVar

import pytest
from client.fake_daemon import cloud_event, event_params

from feishu_ws.client import Delivery
from feishu_ws.client.handlers import Handlers
from feishu_ws.wire.native import EventParams, decode_params

COLOUR = ContextVar("colour", default="none")


def delivery(kind="im.message.receive_v1"):
    """Return a delivery of a type."""
    raw = json.dumps(event_params(1, event=cloud_event(1, type=kind))).encode()
    return Delivery(None, raw, decode_params(raw, EventParams))


@pytest.fixture
def serving():
    """Make handlers, closed in the end."""
    made = []

    def make(handlers):
        made.append(Handlers(handlers, 2))
        return made[-1]

    yield make
    for handlers in made:
        handlers.close()


async def test_the_first_glob_that_names_the_type_handles_it(serving):
    """In the order they are given; what none names has no handler."""
    handlers = serving(
        {
            "im.message.*": lambda _: "message",
            "im.*": lambda _: "im",
            "card.action.trigger": lambda _: "card",
        }
    )
    types = ["im.message.receive_v1", "im.chat.updated_v1", "card.action.trigger", "other"]

    assert [await handlers.call(delivery(kind)) for kind in types] == [
        "message",
        "im",
        "card",
        None,
    ]
    assert handlers.types == ["im.message.*", "im.*", "card.action.trigger"]


async def test_one_handler_handles_everything(serving):
    """And asks for no types."""
    handlers = serving(lambda given: given.event.type)

    assert (await handlers.call(delivery("x")), handlers.types) == ("x", None)


def test_no_handler_is_an_error(serving):
    """It would settle everything unseen."""
    with pytest.raises(ValueError, match="no handler, expected one at least"):
        serving({})


class Callable:
    """An object that is called like a coroutine function."""

    async def __call__(self, given, prefix=""):
        return prefix + threading.current_thread().name


async def test_coroutine_functions_run_on_the_loop(serving):
    """Functions, methods, objects and partials alike."""
    made = Callable()
    forms = [made.__call__, made, functools.partial(made, prefix="")]
    names = [await serving(form).call(delivery()) for form in forms[:2]]
    names.append(await serving(forms[2]).call(delivery()))

    assert names == [threading.current_thread().name] * 3


async def test_functions_run_on_threads_several_at_once(serving):
    """One that blocks holds up neither the loop nor another; its context goes along."""
    both = threading.Barrier(2, timeout=5)
    COLOUR.set("blue")

    def handler(_):
        both.wait()
        return threading.current_thread().name, COLOUR.get()

    handlers = serving(handler)
    found = await asyncio.gather(handlers.call(delivery()), handlers.call(delivery()))

    assert len({name for name, _ in found}) == 2
    assert all(name.startswith("feishu-ws handler") for name, _ in found)
    assert {colour for _, colour in found} == {"blue"}


async def test_what_a_function_returns_to_be_awaited_is(serving):
    """A lambda around a coroutine function, for one."""
    handlers = serving(lambda _: asyncio.sleep(0, "done"))

    assert await handlers.call(delivery()) == "done"


async def test_what_a_handler_raises_comes_out(serving):
    """On whichever thread it ran."""

    def fail(_):
        raise LookupError("told to")

    with pytest.raises(LookupError, match="told to"):
        await serving(fail).call(delivery())
