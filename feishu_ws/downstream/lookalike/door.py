"""Discovery and the handshake: who gets in, in the words of Feishu.

Discovery is answered at once and with code 0 whatever becomes of Feishu: a stock
AstrBot that is told anything else at its start stays dead. Source: astrbot.md 2;
lark-oapi 1.7.5 ws/client.py:252-309 and ws/const.py:21-23.
"""

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs

import msgspec

from feishu_ws.downstream.lookalike.settings import CLIENT_CONFIG, MAX_LINKS, SERVICE_ID
from feishu_ws.wire.forwarding import BAD_REQUEST, Reply, say
from feishu_ws.wire.identity import Finding, Identity

WEBSOCKET_PATH: Final = "/ws/v2"  # as Feishu's. Source: protocol.md 1.1
TICKET_S: Final = 120.0  # SDKs connect at once
KEPT_TICKETS: Final = 1024

NO_CREDENTIAL: Final = 1000040344
SECRET_INVALID: Final = 1000040345
APP_ID_INVALID: Final = 1000040346
TRY_AGAIN: Final = 1000040343  # the one refusal of a handshake that SDKs get over by themselves
_AUTH_FAILED: Final = 514  # Source: oapi-sdk-go v3.2.2 ws/const.go
_OK: Final = 200
_FORBIDDEN: Final = 403  # no SDK looks at the HTTP status of a refused handshake

_REFUSALS: Final = {
    Finding.WRONG_ID: (APP_ID_INVALID, "app_id is invalid"),
    Finding.WRONG_SECRET: (SECRET_INVALID, "app_id or app_secret is invalid"),
}
_KEYLESS: Final = (
    "feishu-ws takes no ClientAssertion, expected AppSecret: lookalike.secret, else the app's"
)


class _Shown(msgspec.Struct):
    AppID: str = ""
    AppSecret: str = ""
    ClientAssertion: str = ""


class Door:
    """Hands out one-time tickets and takes them back."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._tickets: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def discover(self, body: bytes, authority: str, now_s: float) -> tuple[Reply, bool]:
        """Answer a request for an endpoint, and say whether the client is who it should be.

        Args:
            body: Of the request.
            authority: HOST:PORT as the client sees us.
            now_s: On a monotonic clock.
        """
        try:
            shown = msgspec.json.decode(body, type=_Shown)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            expected = "feishu-ws: expected a JSON object with AppID and AppSecret"
            return say(BAD_REQUEST, BAD_REQUEST, expected), False
        if shown.ClientAssertion and not shown.AppSecret:
            return _refuse(NO_CREDENTIAL, _KEYLESS), False
        finding = self._identity.examine(shown.AppID, shown.AppSecret)
        if finding is not Finding.RIGHT:
            return _refuse(*_REFUSALS[finding]), False
        data = {"URL": self._issue(authority, now_s), "ClientConfig": CLIENT_CONFIG}
        return say(_OK, 0, "ok", {"data": data}), True

    def _issue(self, authority: str, now_s: float) -> str:
        ticket, device_id = secrets.token_hex(16), str(secrets.randbits(62))
        self._tickets[ticket] = device_id, now_s + TICKET_S
        if len(self._tickets) > KEPT_TICKETS:
            self._tickets.popitem(last=False)
        # Neither device_id nor service_id comes first: the Node SDK parses the whole URL as
        # a query and spoils the first key. Source: node-sdk 1.73.0 ws-client/index.ts:264
        return (
            f"ws://{authority}{WEBSOCKET_PATH}?fpid=493&aid=552564&device_id={device_id}"
            f"&service_id={SERVICE_ID}&ticket={ticket}"
        )

    def admit(self, query: str, links: int, now_s: float) -> Reply | None:
        """Judge a handshake; None lets it in. A ticket is used up by being shown.

        Args:
            query: Of the WebSocket's URL.
            links: How many there are.
            now_s: On the clock of `discover`.
        """
        shown = {name: values[0] for name, values in parse_qs(query).items()}
        ticket = self._tickets.pop(shown.get("ticket", ""), None)
        if ticket is None or ticket[1] < now_s:
            return _refuse_handshake("the ticket is unknown, used or too old")
        if (shown.get("device_id"), shown.get("service_id")) != (ticket[0], str(SERVICE_ID)):
            return _refuse_handshake("device_id or service_id is not the ticket's")
        if links >= MAX_LINKS:
            return _refuse_handshake(f"there are {links} connections, the most there can be")
        return None


def _refuse(code: int, msg: str) -> Reply:
    return say(_OK, code, msg, {"data": {"URL": ""}})


def _refuse_handshake(why: str) -> Reply:
    said: Mapping[str, str] = {
        "Handshake-Status": str(_AUTH_FAILED),
        "Handshake-Msg": why,
        "Handshake-Autherrcode": str(TRY_AGAIN),
    }
    refused = say(_FORBIDDEN, TRY_AGAIN, f"feishu-ws: {why}")
    return Reply(refused.status, (*refused.headers, *said.items()), refused.body)
