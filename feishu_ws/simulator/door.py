"""Discovery and the handshake: who gets in, and how others are turned away.

Sources: lark-oapi 1.7.5 ws/client.py:252-309 (discovery), ws/const.py:21-23 and
oapi-sdk-go v3.2.2 ws/const.go:18-20 (`Handshake-*`). What the real gateway says to a
used or foreign ticket is not known; a 514 without connection limit is assumed.
"""

import hmac
import random
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final, Generic, TypeVar

import msgspec
from aiohttp import web

from feishu_ws.clock import Clock
from feishu_ws.simulator.answers import SHAPES
from feishu_ws.simulator.link import reset
from feishu_ws.simulator.settings import SimulatorSettings
from feishu_ws.simulator.stats import SimulatorStats
from feishu_ws.simulator.transmission import format_uuid

DISCOVERY_PATH: Final = "/callback/ws/endpoint"
WEBSOCKET_PATH: Final = "/ws/v2"

SECRET_INVALID: Final = 1000040345
APP_ID_INVALID: Final = 1000040346
CONNECTION_LIMIT: Final = 1000040350
MESSAGES: Final = {
    1: "system busy",
    1000040343: "internal error",
    SECRET_INVALID: "app_id or app_secret is invalid",
    APP_ID_INVALID: "app_id is invalid",
    CONNECTION_LIMIT: "the number of connections exceeded the limit",
    1000040351: "system busy",
}
AUTH_FAILED: Final = "514"  # Source: oapi-sdk-go v3.2.2 ws/const.go
REFUSED_STATUS: Final = 403  # HTTP status of a refusal; no SDK looks at it. Source: assumed

KEPT_TICKETS: Final = 4096  # issued and not yet used; older ones expire

T = TypeVar("T")


class Scripted(Generic[T]):
    """Something to do instead of the ordinary, for a number of times."""

    def __init__(self) -> None:
        self._value: T | None = None
        self._times: int | None = None

    def set(self, value: T, times: int | None = None) -> None:
        """Do `value` the next `times` times; None means until `clear`."""
        self._value, self._times = value, times

    def clear(self) -> None:
        """Go back to the ordinary."""
        self._value = None

    def take(self) -> T | None:
        """Return what to do this time, None for the ordinary."""
        value = self._value
        if value is not None and self._times is not None:
            self._times -= 1
            if self._times <= 0:
                self.clear()
        return value


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer in place of the ordinary one."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] | None = None

    def respond(self) -> web.Response:
        """Return it as a response of its own."""
        return web.Response(status=self.status, body=self.body, headers=self.headers)


def refuse_body(code: int, message: str = "") -> bytes:
    """Return the body of a discovery that is refused with Feishu's `code`."""
    text = message or MESSAGES.get(code, "refused")
    return msgspec.json.encode({"code": code, "msg": text, "data": {"URL": ""}})


def refuse_handshake(message: str, autherrcode: int | None = None) -> Refusal:
    """Return a refusal with `Handshake-Status` 514."""
    headers = {"Handshake-Status": AUTH_FAILED, "Handshake-Msg": message}
    if autherrcode is not None:
        headers["Handshake-Autherrcode"] = str(autherrcode)
    return Refusal(REFUSED_STATUS, headers=headers)


class _Credentials(msgspec.Struct):
    AppID: str = ""
    AppSecret: str = ""


@dataclass(frozen=True, slots=True)
class _Ticket:
    device_id: str
    access_key: str


class Door:
    """Hands out one-time tickets and looks at them again.

    Attributes:
        answer: Scripted answers of discovery.
        shape: Scripted ways to garble its ordinary answer, by name in `answers.SHAPES`.
        hang_s: Scripted seconds until discovery answers.
        drip_s: Scripted seconds over which its body comes, byte by byte.
        drop: Scripted resets in place of an answer.
        refusal: Scripted refusals of the handshake.
        handshake_hang_s: Scripted seconds until the handshake is answered.
        max_connections: Links per app from now on; live ones stay.
        date_offset_s: How far the `Date` of discovery is off this machine's clock.
    """

    def __init__(
        self, settings: SimulatorSettings, stats: SimulatorStats, rng: random.Random, clock: Clock
    ) -> None:
        self._settings = settings
        self._stats = stats
        self._rng = rng
        self._clock = clock
        self._tickets: OrderedDict[str, _Ticket] = OrderedDict()
        self.answer: Scripted[Refusal] = Scripted()
        self.shape: Scripted[str] = Scripted()
        self.hang_s: Scripted[float] = Scripted()
        self.drip_s: Scripted[float] = Scripted()
        self.drop: Scripted[bool] = Scripted()
        self.refusal: Scripted[Refusal] = Scripted()
        self.handshake_hang_s: Scripted[float] = Scripted()
        self.max_connections = settings.max_connections
        self.date_offset_s = 0.0

    # -- discovery -----------------------------------------------------------------------

    async def discover(self, request: web.Request, authority: str) -> web.StreamResponse:
        """Answer a request for an endpoint; `authority` is our HOST:PORT."""
        self._stats.discoveries += 1
        body = await request.read()
        hang_s = self.hang_s.take()
        if hang_s is not None:
            await self._clock.sleep(hang_s)
        if self.drop.take() and request.transport is not None:
            reset(request.transport)
        response = self._respond(body, authority)
        drip_s = self.drip_s.take()
        return response if drip_s is None else await self._drip(request, response, drip_s)

    def _respond(self, body: bytes, authority: str) -> web.Response:
        scripted = self.answer.take()
        response = scripted.respond() if scripted else self._answer(body, authority)
        response.force_close()  # or an outage would end at a connection kept alive
        if self.date_offset_s:
            response.headers["Date"] = formatdate(
                self._clock.wall_ms() / 1000 + self.date_offset_s, usegmt=True
            )
        return response

    async def _drip(
        self, request: web.Request, whole: web.Response, seconds: float
    ) -> web.StreamResponse:
        body = whole.body if isinstance(whole.body, bytes) else b""
        response = web.StreamResponse(status=whole.status, headers=whole.headers)
        response.content_length = len(body)
        response.force_close()
        await response.prepare(request)
        for octet in body:
            await self._clock.sleep(seconds / len(body))
            await response.write(bytes((octet,)))
        return response

    def _answer(self, body: bytes, authority: str) -> web.Response:
        try:
            shown = msgspec.json.decode(body, type=_Credentials)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return web.Response(status=400, text="expected JSON with AppID and AppSecret")
        code = self._check(shown)
        answer = refuse_body(code) if code else self._accept(authority)
        return web.Response(body=answer, content_type="application/json")

    def _check(self, shown: _Credentials) -> int:
        if shown.AppID != self._settings.app_id:
            return APP_ID_INVALID
        secret = self._settings.app_secret.encode()
        return 0 if hmac.compare_digest(shown.AppSecret.encode(), secret) else SECRET_INVALID

    def _accept(self, authority: str) -> bytes:
        answer, shape = self._endpoint(authority), self.shape.take()
        return msgspec.json.encode(answer) if shape is None else SHAPES[shape](answer)

    def _endpoint(self, authority: str) -> dict[str, object]:
        data: dict[str, object] = {"URL": self._issue(authority)}
        if self._settings.client_config is not None:
            data["ClientConfig"] = dict(self._settings.client_config)
        return {"code": 0, "msg": "ok", "data": data}

    def _issue(self, authority: str) -> str:
        ticket = format_uuid(self._rng.getrandbits(128))
        device_id = str(7_600_000_000_000_000_000 + self._rng.getrandbits(56))
        access_key = f"{self._rng.getrandbits(128):032x}"
        self._tickets[ticket] = _Ticket(device_id, access_key)
        if len(self._tickets) > KEPT_TICKETS:
            self._tickets.popitem(last=False)
        # neither device_id nor service_id comes first: the Node SDK parses the whole URL
        # as a query and spoils the first key (1.73.0 ws-client/index.ts:264)
        return (
            f"ws://{authority}{WEBSOCKET_PATH}?fpid=493&aid=552564&device_id={device_id}"
            f"&access_key={access_key}&service_id={self._settings.service_id}&ticket={ticket}"
        )

    # -- handshake -----------------------------------------------------------------------

    async def hold(self) -> None:
        """Keep a handshake waiting, if that is what is scripted."""
        hang_s = self.handshake_hang_s.take()
        if hang_s is not None:
            await self._clock.sleep(hang_s)

    def admit(self, query: Mapping[str, str], links: int) -> Refusal | None:
        """Judge a handshake; None lets it in and uses up its ticket.

        Args:
            query: Of the WebSocket URL.
            links: How many are live.
        """
        scripted = self.refusal.take()
        if scripted is not None:
            return scripted
        ticket = self._tickets.pop(query.get("ticket", ""), None)
        if ticket is None:
            return refuse_handshake("ticket is unknown or used")
        shown = _Ticket(query.get("device_id", ""), query.get("access_key", ""))
        if shown != ticket or query.get("service_id") != str(self._settings.service_id):
            return refuse_handshake("device_id, access_key or service_id differs")
        if links >= self.max_connections:
            return refuse_handshake(MESSAGES[CONNECTION_LIMIT], CONNECTION_LIMIT)
        return None
