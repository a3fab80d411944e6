"""The platform `feishu_ws`: AstrBot's own Lark adapter, fed by the daemon.

What AstrBot's adapter does with a message stays as it is; where messages come from, when
they are settled and what becomes of all other events is done here. Its own long
connection is never opened. What it says to Feishu goes to the platform's `domain`, which
is to be the daemon's endpoint, with a secret that is good only there.
"""

import asyncio
import inspect
import json
import shutil
from contextvars import ContextVar
from typing import Any, Final

import astrbot.api.message_components as components  # type: ignore[import-not-found]
import lark_oapi as lark
from astrbot import logger
from astrbot.api.platform import register_platform_adapter  # type: ignore[import-not-found]
from astrbot.core.platform.sources.lark.lark_adapter import (  # type: ignore[import-not-found]
    LarkPlatformAdapter,
)
from lark_oapi.api.im.v1 import P2ImMessageReceiveV1

from .hand import Hand, Held
from .native import Native, Params, Session, within
from .raw import RawEvent, message_of
from .reading import components_of, is_native, object_of, readable_post, words_of
from .replies import bot_for

TYPE: Final = "feishu_ws"
MESSAGE: Final = "im.message.receive_v1"
CONVERT_S: Final = 45.0  # names, quotes and files are fetched from Feishu; below the daemon's 60 s
PLAIN_AFTER: Final = 3  # attempts at what AstrBot cannot read, before it gets the words alone
LEARN_MAX_S: Final = 5.0
_HAND: Final = "_feishu_ws_hand"
_CURRENT: "Final[ContextVar[_Delivery | None]]" = ContextVar("feishu_ws_delivery", default=None)

TEMPLATE: Final = {
    "id": TYPE,
    "type": TYPE,
    "enable": False,
    "app_id": "",
    "app_secret": "",
    "domain": "http://127.0.0.1:9531",
    "socket_path": "",
    "consumer": "astrbot",
}
FIELDS: Final = {
    "app_id": {"description": "App ID", "type": "string", "hint": "cli_…, the daemon's app.id"},
    "app_secret": {
        "description": "Local secret",
        "type": "string",
        "hint": "The daemon's lookalike.secret, not the app's. 填 lookalike.secret, 不是飞书的 App Secret",
    },
    "domain": {
        "description": "Daemon's endpoint",
        "type": "string",
        "hint": "The daemon's lookalike.listen: http://127.0.0.1:9531",
    },
    "socket_path": {
        "description": "Daemon's socket",
        "type": "string",
        "hint": "socket.path; empty: $FEISHU_WS_SOCKET or the usual places. 留空则自动查找",
    },
    "consumer": {
        "description": "Consumer",
        "type": "string",
        "hint": "The name under which the daemon keeps what was settled; one per AstrBot",
    },
}


def _registered(cls: type) -> type:
    """Register the platform with as much about it as this AstrBot takes."""
    wanted = {
        "default_config_tmpl": dict(TEMPLATE),
        "adapter_display_name": "Feishu (feishu-ws)",
        "support_streaming_message": True,
        "config_metadata": FIELDS,
    }
    taken = inspect.signature(register_platform_adapter).parameters
    more = {name: value for name, value in wanted.items() if name in taken}
    register = register_platform_adapter(TYPE, "飞书 / Lark, through the feishu-ws daemon", **more)
    registered: type = register(cls)
    return registered


class _Delivery:
    """What is being converted: the delivery, and how its event is to be completed."""

    def __init__(self, held: Held, params: Params) -> None:
        self.held = held
        self.event: Params = params["event"]
        self.reading: Params = params.get("message") or {}
        self.components: list[Any] | None = None
        self.raw_message: Any = None


class _Queue:
    """AstrBot's queue as its adapter sees it: each event is looked at on its way in."""

    def __init__(self, queue: Any, look: Any) -> None:
        self._queue = queue
        self._look = look

    def put_nowait(self, event: Any) -> None:
        self._look(event)
        self._queue.put_nowait(event)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)


@_registered
class FeishuWsAdapter(LarkPlatformAdapter):  # type: ignore[misc]
    """AstrBot's Lark adapter on the daemon's socket.

    `connected` says whether the daemon is there.
    """

    def __init__(self, config: Params, settings: Params, event_queue: asyncio.Queue[Any]) -> None:
        given = {**TEMPLATE, **config, "lark_connection_mode": "socket"}
        given["domain"] = str(given["domain"] or TEMPLATE["domain"]).rstrip("/")
        super().__init__(given, settings, _Queue(event_queue, self._complete))
        self.config = config
        self._hand = _hand_of(event_queue)
        self._native = Native(
            str(given["socket_path"] or ""),
            str(given["consumer"] or TEMPLATE["consumer"]),
            self._on_event,
            self._on_change,
        )
        self._is_over = False
        self._known = asyncio.Event()
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether the daemon is there, and the bot knows who it is."""
        return self._native.is_connected and self._known.is_set()

    # -- life ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Read for ever; nothing gets out of here but a cancellation."""
        learning = asyncio.ensure_future(self._learn())
        try:
            while not self._is_over:
                try:
                    await self._native.run()
                except Exception:  # noqa: BLE001  # a defect of ours is no reason to leave AstrBot deaf
                    logger.exception("[feishu-ws] reading failed, expected it never to")
                    await asyncio.sleep(1)
        finally:
            learning.cancel()

    async def terminate(self) -> None:
        """Read no more; what AstrBot has in hand is settled by whoever reads next."""
        self._is_over = True
        self._native.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=1)

    async def _learn(self) -> None:
        """Ask who the bot is until there is an answer: without one no mention is recognised."""
        refresh = getattr(self, "_refresh_bot_info", None)
        wait_s, told = 0.5, ""
        while refresh is not None:
            try:
                await within(CONVERT_S, refresh(), "the bot's name from the daemon's endpoint")
                break
            except Exception as exc:  # noqa: BLE001  # AstrBot's own code, over its own HTTP library
                trouble = f"{type(exc).__name__}: {exc}"
                if trouble != told:
                    self._say_error(
                        f"who the bot is could not be asked at {self.domain}: {trouble}"
                    )
                told = trouble
            await asyncio.sleep(wait_s)
            wait_s = min(LEARN_MAX_S, wait_s * 1.5)
        self._known.set()
        self._clear()

    def _on_change(self, trouble: str) -> None:
        if trouble:
            self._say_error(trouble)
        else:
            logger.info("[feishu-ws] connected to the daemon")
            self._clear()

    def _say_error(self, trouble: str) -> None:
        logger.warning(f"[feishu-ws] {trouble}; trying on")
        self.clear_errors()  # one at a time, as it is now
        self.record_error(trouble)

    def _clear(self) -> None:
        if self.connected:
            self.clear_errors()

    # -- deliveries ----------------------------------------------------------------------

    def _on_event(self, params: Params, session: Session) -> None:
        held = self._hand.take(params, session)
        if held is None:
            return
        subject = "" if held.is_waited_for else str(params["event"].get("subject") or "")
        before = self._lanes.get(subject) if subject else None
        task = asyncio.ensure_future(self._handle(held, params, before))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if subject:
            self._lanes[subject] = task
            task.add_done_callback(lambda done: self._leave(subject, done))

    def _leave(self, subject: str, done: "asyncio.Task[None]") -> None:
        if self._lanes.get(subject) is done:
            del self._lanes[subject]

    async def _handle(
        self, held: Held, params: Params, before: "asyncio.Task[None] | None"
    ) -> None:
        """Have AstrBot take an event, behind the one before it in its chat."""
        try:
            if before is not None:
                await asyncio.wait([before])
            delivery = _Delivery(held, params)
            _CURRENT.set(delivery)
            if params["event"].get("type") == MESSAGE:
                await self._known.wait()
                await within(CONVERT_S, self._convert(delivery), "AstrBot to read a message")
            else:
                self._commit_raw(delivery)
            if not held.is_taken:
                self._hand.settle(held)  # AstrBot's adapter found nothing to do in it
        except asyncio.CancelledError:
            self._hand.drop(held)
            raise
        except Exception as exc:  # noqa: BLE001  # AstrBot's adapter raises what it likes
            logger.exception(f"[feishu-ws] position {held.position} could not be read")
            self._hand.reject(held, f"AstrBot could not read it: {type(exc).__name__}")

    async def _convert(self, delivery: _Delivery) -> None:
        body = _object(delivery.event.get("data"))
        model = lark.JSON.unmarshal(json.dumps(body), P2ImMessageReceiveV1)
        message = getattr(model.event, "message", None)
        if message is not None:
            delivery.raw_message = message
            self._make_readable(delivery, model)
            await self._attach_voice(delivery)
        await self.convert_msg(model)

    def _make_readable(self, delivery: _Delivery, model: Any) -> None:
        """Let AstrBot's adapter see a text in place of what it would make empty."""
        message = model.event.message
        kind, content = message.message_type or "unknown", message.content or ""
        is_plain = delivery.held.attempt >= PLAIN_AFTER or self._lacks_ffmpeg(kind)
        has_files = hasattr(LarkPlatformAdapter, "_download_file_resource_to_temp")
        if is_native(kind, has_files=has_files) and not is_plain:
            if kind == "post":
                message.content = readable_post(content)
            return
        original = lark.JSON.unmarshal(lark.JSON.marshal(message), type(message))
        delivery.raw_message = original
        delivery.components = [
            getattr(components, name)(**arguments)
            for name, arguments in components_of(delivery.reading, kind, content)
            if hasattr(components, name)
        ]
        message.message_type = "text"
        message.content = json.dumps({"text": words_of(delivery.reading, kind)})

    async def _attach_voice(self, delivery: _Delivery) -> None:
        """Let plugins have the recording that AstrBot could not convert."""
        message, fetch = (
            delivery.raw_message,
            getattr(self, "_download_file_resource_to_temp", None),
        )
        if delivery.components is None or message.message_type != "audio" or fetch is None:
            return
        key = str(object_of(message.content or "").get("file_key", ""))
        path = await fetch(
            message_id=message.message_id,
            file_key=key,
            message_type="audio",
            default_suffix=".opus",
        )
        if path:
            delivery.components.append(components.Record(file=path, url=path))

    @staticmethod
    def _lacks_ffmpeg(kind: str) -> bool:
        """Whether AstrBot would lose a voice message for want of ffmpeg."""
        return kind == "audio" and shutil.which("ffmpeg") is None

    def _commit_raw(self, delivery: _Delivery) -> None:
        body = _object(delivery.event.get("data"))
        message = message_of(body, getattr(self, "bot_open_id", "") or self.bot_name)
        event = RawEvent("", message, self.meta(), message.session_id, self.lark_api)
        event.call_llm = True  # AstrBot's name for "no model is to be asked"
        if delivery.held.is_waited_for:
            event.answer = lambda data: self._hand.reply(delivery.held, dict(data))
        delivery.raw_message = message.raw_message
        self._event_queue.put_nowait(event)

    def _complete(self, event: Any) -> None:
        """See an event into AstrBot's queue: it may answer, and is watched until it is done."""
        delivery = _CURRENT.get()
        if delivery is None or delivery.held.is_taken:
            return
        if delivery.components is not None:
            replies = [c for c in event.message_obj.message if isinstance(c, components.Reply)]
            event.message_obj.message = [*replies, *delivery.components]
        event.message_obj.raw_message = delivery.raw_message
        for name, value in _extras(delivery).items():
            event.set_extra(name, value)
        event.bot = bot_for(event.bot, delivery.held)
        self._hand.watch(delivery.held, event)


def _hand_of(queue: Any) -> Hand:
    """Return what AstrBot has in hand: it belongs to the queue, not to one adapter."""
    found = getattr(queue, _HAND, None)
    if found is None:
        found = Hand(lambda line: logger.warning(f"[feishu-ws] {line}"))
        setattr(queue, _HAND, found)
    hand: Hand = found
    return hand


def _object(data: Any) -> Params:
    return data if isinstance(data, dict) else {}


def _extras(delivery: _Delivery) -> Params:
    """Return what AstrBot's message objects have no place for."""
    event, reading = delivery.event, delivery.reading
    return {
        "lark_event_type": event.get("type", ""),
        "lark_event_id": event.get("id", ""),
        "lark_tenant_key": event.get("tenantkey", ""),
        "lark_event": event.get("data"),
        "lark_position": delivery.held.position,
        "lark_thread_id": reading.get("thread_id", ""),
        "lark_root_id": reading.get("root_id", ""),
        "lark_parent_id": reading.get("parent_id", ""),
        "lark_message": reading,
    }
