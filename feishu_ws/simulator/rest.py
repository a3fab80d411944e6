"""Feishu's REST API, as far as bots use it: tokens, messages, pictures and files, cards.

Nothing is checked that Feishu would check about content; what is checked is what a
client can get wrong without noticing: tokens, limits, `uuid`, multipart.

Sources: lark-oapi 1.7.5 api/*/model (shapes); Feishu docs "frequency-control" and
im-v1/message/create (limits); protocol.md 2 (`uuid` for an hour, tokens).
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import BodyPartReader, web

from feishu_ws.clock import Clock
from feishu_ws.simulator.door import Scripted
from feishu_ws.simulator.link import reset
from feishu_ws.simulator.settings import SimulatorSettings

TOKEN_PATH: Final = "auth/v3/tenant_access_token/internal"  # noqa: S105  # a path
TOKEN_S: Final = 7200
RENEWED_BEFORE_S: Final = 1800  # a token with less left is answered with a new one
UUID_S: Final = 3600.0
TOKEN_INVALID: Final = 99991663
TOKEN_MISSING: Final = 99991661
SECRET_INVALID: Final = 10014
TOO_FAST: Final = 99991400
TOO_FAST_THERE: Final = 230020
KEPT: Final = 20_000  # requests remembered

Handler = Callable[[web.Request, bytes], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came."""

    at_s: float
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message somebody made us send.

    Attributes:
        to: The receiver's id, or the message that it replies to.
        content: As it came: JSON in a string.
    """

    message_id: str
    at_s: float
    to: str
    msg_type: str
    content: str
    uuid: str = ""
    is_reply: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer in place of the ordinary one.

    Attributes:
        hang_s: Seconds until it comes.
        obeys: Whether what was asked is done all the same.
        is_dropped: Whether the connection is reset instead.
    """

    code: int = 0
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang_s: float = 0.0
    obeys: bool = False
    is_dropped: bool = False


@dataclass(slots=True)
class RestLimits:
    """What may be sent; 0 is no limit."""

    per_chat_per_s: int = 0
    per_app_per_s: int = 0
    per_app_per_min: int = 0


class Rest:
    """What lies below `/open-apis/`.

    Attributes:
        seen: The last requests.
        messages: Messages that were sent, oldest first.
        limits: Beyond these, requests are refused as Feishu does.
        answer: Scripted answers to anything but requests for a token.
        token_answer: Scripted answers to requests for a token.
        resources: Bytes of what messages carry, by key: name and content.
        uploads: What was uploaded, by the key it got.
        token_s: How long tokens live.
        online: What `event/v1/connection` counts; None: our own links.
    """

    def __init__(
        self,
        settings: SimulatorSettings,
        rng: random.Random,
        clock: Clock,
        count_links: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._rng = rng
        self._clock = clock
        self._count_links = count_links
        self.seen: deque[Seen] = deque(maxlen=KEPT)
        self.messages: list[SentMessage] = []
        self.limits = RestLimits()
        self.answer: Scripted[Refused] = Scripted()
        self.token_answer: Scripted[Refused] = Scripted()
        self.resources: dict[str, tuple[str, bytes]] = {}
        self.uploads: dict[str, tuple[str, bytes]] = {}
        self.token_s = TOKEN_S
        self.tokens_given = 0
        self.online: int | None = None
        self._tokens: dict[str, float] = {}
        self._by_uuid: dict[str, SentMessage] = {}
        self._sent_s: dict[str, deque[float]] = {}

    def install(self, app: web.Application) -> None:
        """Serve what lies below `/open-apis/`."""
        app.router.add_post(f"/open-apis/{TOKEN_PATH}", self._serve_token)
        for method, path, handler in (
            ("GET", "bot/v3/info", self._bot),
            ("GET", "contact/v3/users/{id}", self._user),
            ("GET", "event/v1/connection", self._connections),
            ("POST", "im/v1/messages", self._create),
            ("POST", "im/v1/messages/{id}/reply", self._reply),
            ("GET", "im/v1/messages/{id}", self._get),
            ("GET", "im/v1/messages/{id}/resources/{key}", self._resource),
            ("POST", "im/v1/images", self._image),
            ("POST", "im/v1/files", self._file),
            ("POST", "cardkit/v1/cards", self._card),
            ("*", "{path:.+}", self._anything),
        ):
            app.router.add_route(method, f"/open-apis/{path}", partial(self._serve, handler))

    async def _serve_token(self, request: web.Request) -> web.StreamResponse:
        body = await self._note(request)
        scripted = self.token_answer.take()
        refused = None if scripted is None else await self._refuse(request, scripted)
        return refused or self._give_token(body)

    async def _serve(self, handler: Handler, request: web.Request) -> web.StreamResponse:
        body = await self._note(request)
        scripted = self.answer.take()
        if scripted is not None:
            if scripted.obeys:
                await self._obey(handler, request, body)
            refused = await self._refuse(request, scripted)
            if refused is not None:
                return refused
        return await self._obey(handler, request, body)

    async def _note(self, request: web.Request) -> bytes:
        """Remember a request and return its body, b"" for a form: that is read by its handler."""
        is_form = request.content_type.startswith("multipart/")
        body = b"" if is_form else await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        path = request.path.removeprefix("/open-apis/")
        now_s = self._clock.monotonic()
        self.seen.append(Seen(now_s, request.method, path, request.query_string, headers, body))
        return body

    async def _refuse(self, request: web.Request, scripted: Refused) -> web.StreamResponse | None:
        if scripted.hang_s:
            await asyncio.sleep(scripted.hang_s)
        if scripted.is_dropped and request.transport is not None:
            reset(request.transport)
        if not scripted.code and scripted.status == web.HTTPOk.status_code:
            return None  # it only took its time
        said = {"code": scripted.code, "msg": "refused as told"}
        return _json(said, scripted.status, scripted.headers)

    # -- tokens ----------------------------------------------------------------------------

    def _give_token(self, body: bytes) -> web.Response:
        given = _object(body)
        is_right = (
            given.get("app_id") == self._settings.app_id
            and given.get("app_secret") == self._settings.app_secret
        )
        if not is_right:
            return _json({"code": SECRET_INVALID, "msg": "app secret invalid"})
        now_s = self._clock.monotonic()
        token = next((t for t, until in self._tokens.items() if until - now_s >= self._early_s), "")
        if not token:
            token = f"t-{self._rng.getrandbits(128):032x}"
            self._tokens[token] = now_s + self.token_s
        self.tokens_given += 1
        expire = int(self._tokens[token] - now_s)
        return _json({"code": 0, "msg": "ok", "tenant_access_token": token, "expire": expire})

    @property
    def _early_s(self) -> float:
        return min(RENEWED_BEFORE_S, self.token_s / 4)

    def forget_tokens(self) -> None:
        """Take no token any more that was given out."""
        self._tokens.clear()

    def _is_known(self, request: web.Request) -> bool:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return self._tokens.get(token, 0.0) > self._clock.monotonic()

    # -- everything else -------------------------------------------------------------------

    async def _obey(
        self, handler: Handler, request: web.Request, body: bytes
    ) -> web.StreamResponse:
        if "Authorization" not in request.headers:
            return _json({"code": TOKEN_MISSING, "msg": "Missing access token"}, 400)
        if not self._is_known(request):
            return _json({"code": TOKEN_INVALID, "msg": "Invalid access token"}, 400)
        return await handler(request, body)

    async def _bot(self, _: web.Request, __: bytes) -> web.Response:
        bot = {"activate_status": 2, "app_name": "Simulated", "open_id": "ou_bot"}
        return _json({"code": 0, "msg": "ok", "bot": bot})

    async def _user(self, request: web.Request, _: bytes) -> web.Response:
        user = request.match_info["id"]
        return _data({"user": {"open_id": user, "name": f"User {user[-4:]}"}})

    async def _connections(self, _: web.Request, __: bytes) -> web.Response:
        count = self._count_links() if self.online is None else self.online
        return _data({"online_instance_cnt": count})

    async def _card(self, _: web.Request, __: bytes) -> web.Response:
        return _data({"card_id": f"card_{self._rng.getrandbits(40)}"})

    async def _anything(self, _: web.Request, __: bytes) -> web.Response:
        return _data({})

    async def _create(self, _: web.Request, body: bytes) -> web.Response:
        return self._message(_object(body))

    async def _reply(self, request: web.Request, body: bytes) -> web.Response:
        return self._message(_object(body), request.match_info["id"])

    def _message(self, given: dict[str, Any], reply_to: str = "") -> web.Response:
        uuid = str(given.get("uuid") or "")
        to = reply_to or str(given.get("receive_id") or "")
        now_s = self._clock.monotonic()
        known = self._by_uuid.get(uuid)
        if uuid and known is not None and now_s - known.at_s < UUID_S:
            return _data({"message_id": known.message_id})
        refusal = self._limit(to, now_s)
        if refusal is not None:
            return refusal
        message = SentMessage(
            f"om_sim{len(self.messages) + 1}",
            now_s,
            to,
            str(given.get("msg_type", "")),
            str(given.get("content", "")),
            uuid,
            is_reply=bool(reply_to),
        )
        self.messages.append(message)
        if uuid:
            self._by_uuid[uuid] = message
        return _data({"message_id": message.message_id, "msg_type": message.msg_type})

    def _limit(self, to: str, now_s: float) -> web.Response | None:
        limits = self.limits
        checks = (
            (f"chat {to}", limits.per_chat_per_s, 1.0, TOO_FAST_THERE),
            ("app", limits.per_app_per_s, 1.0, TOO_FAST),
            ("minute", limits.per_app_per_min, 60.0, TOO_FAST),
        )
        for name, most, period_s, code in checks:
            sent = self._sent_s.setdefault(name, deque(maxlen=most or 1))
            if most and len(sent) == most and now_s - sent[0] < period_s:
                reset_s = max(1, round(period_s - (now_s - sent[0])))
                headers = {"x-ogw-ratelimit-reset": str(reset_s)} if code == TOO_FAST else {}
                said = {"code": code, "msg": "request trigger frequency limit"}
                return _json(said, 429 if code == TOO_FAST else 400, headers)
        for name, _, _, _ in checks:
            self._sent_s[name].append(now_s)
        return None

    async def _get(self, request: web.Request, _: bytes) -> web.Response:
        message_id = request.match_info["id"]
        found = next((m for m in self.messages if m.message_id == message_id), None)
        if found is None:
            return _json({"code": 230011, "msg": "The message was recalled"}, 400)
        item = {
            "message_id": message_id,
            "msg_type": found.msg_type,
            "body": {"content": found.content},
            "sender": {"id": self._settings.app_id, "id_type": "app_id", "sender_type": "app"},
        }
        return _data({"items": [item]})

    async def _resource(self, request: web.Request, _: bytes) -> web.Response:
        key = request.match_info["key"]
        if key not in self.resources:
            return _json({"code": 234003, "msg": "File not in msg."}, 400)
        name, content = self.resources[key]
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return web.Response(body=content, headers=headers, content_type="application/octet-stream")

    async def _image(self, request: web.Request, _: bytes) -> web.Response:
        return await self._upload(request, "image", "img_v3_")

    async def _file(self, request: web.Request, _: bytes) -> web.Response:
        return await self._upload(request, "file", "file_v3_")

    async def _upload(self, request: web.Request, kind: str, prefix: str) -> web.Response:
        found = await _find_part(request, kind)
        if found is None:
            return _json({"code": 234001, "msg": "Invalid request param."}, 400)
        key = f"{prefix}{len(self.uploads) + 1}"
        self.uploads[key] = found
        return _data({f"{kind}_key": key})


async def _find_part(request: web.Request, name: str) -> tuple[str, bytes] | None:
    """Return the file name and bytes of a form's part; the Python SDK gives pictures no name."""
    if not request.content_type.startswith("multipart/"):
        return None
    async for part in await request.multipart():
        if isinstance(part, BodyPartReader) and part.name == name:
            return part.filename or "", bytes(await part.read())
    return None


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _data(data: dict[str, Any]) -> web.Response:
    return _json({"code": 0, "msg": "success", "data": data})


def _json(
    said: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    shown = {"X-Tt-Logid": "20260101000000SIMULATED"} | (headers or {})
    return web.Response(
        body=msgspec.json.encode(said),
        status=status,
        headers=shown,
        content_type="application/json",
    )
