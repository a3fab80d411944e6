"""What local clients hold instead of Feishu's token, and how they come by it.

A pass says nothing and is worth nothing at Feishu. It stays the same for as long as
the client's secret and the journal do, so one that an SDK keeps for two hours outlives
our restarts.
"""

import hashlib
import hmac
import secrets
from typing import Final

import msgspec

from feishu_ws.journal.contract import Journal
from feishu_ws.wire.answers import TOKEN_INVALID
from feishu_ws.wire.forwarding import NOT_FOUND, UNAUTHORIZED, Headers, Reply, bearer, say
from feishu_ws.wire.identity import Finding, Identity

KEY_FACT: Final = "lookalike_key"
KEY_BYTES: Final = 32
LIFETIME_S: Final = 7200  # as Feishu's; SDKs ask again ten minutes before
USER_PREFIX: Final = "u-"  # a user's own token. Source: Feishu docs "user_access_token"

_PREFIX: Final = "t-local-"
_SHOWN_DIGITS: Final = 48
_OK: Final = 200
(_UNKNOWN,) = TOKEN_INVALID
_TENANT: Final = "tenant_access_token"
_APP: Final = "app_access_token"
_AUTH: Final = "/open-apis/auth/v3/"
_GIVEN: Final = {
    f"{_AUTH}{_TENANT}/internal": (_TENANT,),
    f"{_AUTH}{_APP}/internal": (_APP, _TENANT),
}
"""Which tokens each path gives. Source: lark-oapi 1.7.5 core/token, Feishu docs "auth-v3"."""
_REFUSALS: Final = {
    Finding.WRONG_ID: (10003, "invalid app_id"),
    Finding.WRONG_SECRET: (10014, "app secret invalid"),
}
"""Source: third-party clients' tables, as `tokens.WRONG_CREDENTIALS`."""


class _Shown(msgspec.Struct):
    app_id: str = ""
    app_secret: str = ""


def recall_key(journal: Journal) -> bytes:
    """Return the key that passes are made with; made up with the first start."""
    known = journal.recall(KEY_FACT)
    if known is None:
        known = secrets.token_hex(KEY_BYTES)
        journal.remember(KEY_FACT, known)
    return known.encode()


class Passes:
    """Gives passes to clients that prove themselves, and knows them again."""

    def __init__(self, identity: Identity, key: bytes) -> None:
        self._identity = identity
        self._key = key

    def make(self) -> str:
        """Return the pass of the moment; another secret makes another one."""
        named = f"{self._identity.app_id}\0{self._identity.secret().reveal()}"
        digest = hmac.new(self._key, named.encode("utf-8", "replace"), hashlib.sha256)
        return _PREFIX + digest.hexdigest()[:_SHOWN_DIGITS]

    def answer(self, method: str, path: str, body: bytes) -> Reply:
        """Answer a request for a token; nothing of it goes to Feishu."""
        given = _GIVEN.get(path)
        if given is None or method != "POST":
            expected = " or ".join(f"POST {each}" for each in _GIVEN)
            return say(NOT_FOUND, NOT_FOUND, f"feishu-ws gives no such token, expected {expected}")
        finding = self._examine(body)
        if finding is not Finding.RIGHT:
            return say(_OK, *_REFUSALS[finding])
        made = self.make()
        return say(_OK, 0, "ok", {"expire": LIFETIME_S} | dict.fromkeys(given, made))

    def _examine(self, body: bytes) -> Finding:
        try:
            shown = msgspec.json.decode(body, type=_Shown)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            shown = _Shown()
        return self._identity.examine(shown.app_id, shown.app_secret)

    def find_refusal(self, headers: Headers) -> Reply | None:
        """Return the refusal of a request without a pass or a user's own token, else None."""
        shown = bearer(headers)
        if shown is None:
            return say(UNAUTHORIZED, UNAUTHORIZED, "feishu-ws: no Authorization, expected Bearer")
        if is_users(shown):
            return None
        if hmac.compare_digest(shown.encode("utf-8", "replace"), self.make().encode()):
            return None
        return say(UNAUTHORIZED, _UNKNOWN, "Invalid access token for authorization. (feishu-ws)")


def is_users(token: str) -> bool:
    """Whether a token is a user's own, which passes as it is."""
    return token.startswith(USER_PREFIX)
