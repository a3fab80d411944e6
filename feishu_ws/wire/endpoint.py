"""Discovery answers and handshake refusals, turned into an endpoint or a fault. Pure.

Source: lark-oapi 1.7.5 ws/client.py:252-309 and ws/const.py; oapi-sdk-go v3.2.2
ws/const.go. Neither the URL's query nor anything of a refused request is put into
an error message: the query carries `access_key` and `ticket`. Words that whoever
answered chose are looked through for both, and only then cut.
"""

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, parse_qsl, urlsplit

import msgspec

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.secret import conceal, redact_url
from feishu_ws.wire.session import ServerTimings, merge_config

DISCOVERY_PATH: Final = "/callback/ws/endpoint"

TOO_FAST: Final = 99991400
"""The code of a rate limit. Source: Feishu docs "频控策略": with HTTP 429, of older ones with 400."""

FAULT_BY_CODE: Final[Mapping[int, Fault]] = {
    1: Fault.FEISHU_BUSY,
    403: Fault.ACCESS_REFUSED,
    514: Fault.ACCESS_REFUSED,
    TOO_FAST: Fault.RATE_LIMITED,
    1000040343: Fault.FEISHU_BUSY,
    1000040344: Fault.CREDENTIALS_REFUSED,
    1000040345: Fault.CREDENTIALS_REFUSED,
    1000040346: Fault.CREDENTIALS_REFUSED,
    1000040350: Fault.CONNECTION_LIMIT,
    1000040351: Fault.FEISHU_BUSY,
}
"""What Feishu's codes mean; one that is not here is `refused_unknown`."""

WRONG_CREDENTIALS: Final = frozenset({1000040345, 1000040346})
"""Codes that say the app id or secret is wrong (1000040344: none was sent)."""

RETRY_AFTER_MAX_S: Final = 900.0  # the longest hold; a longer one would be an outage of its own
MESSAGE_SHOWN: Final = 120  # characters of Feishu's own words that are repeated
INT32_MAX: Final = 2**31 - 1
INT64_MAX: Final = 2**63 - 1

HTTP_OK: Final = 200
HTTP_TOO_MANY: Final = 429
NOT_FEISHU: Final = frozenset({*range(300, 400), 404, 405, 511})
"""Statuses by which somebody else answers: a redirect, no such path, the login of a portal.

Source: RFC 9110 15; RFC 6585 6, "Network Authentication Required"."""
REFUSED_STATUS: Final = 514  # Feishu's own, in Handshake-Status
FORBIDDEN_STATUS: Final = 403


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the WebSocket is, for one attempt.

    Attributes:
        url: With its query: a secret.
        device_id: Feishu's name for the connection, "" where it gave none.
        service_id: Goes into every ping; 0 where Feishu gave none.
        timings: What Feishu orders.
        warning: Something odd about the answer that changes nothing.
    """

    url: str = field(repr=False)
    device_id: str = ""
    service_id: int = 0
    timings: ServerTimings = field(default_factory=ServerTimings)
    warning: str | None = None

    @property
    def shown(self) -> str:
        """The URL without its query."""
        return redact_url(self.url).partition("?")[0]

    @property
    def secrets(self) -> tuple[str, ...]:
        """What stands in the URL's query, as it is written and as it is meant."""
        query = urlsplit(self.url).query
        pairs = (pair.partition("=") for pair in query.split("&"))
        written = (value if sign else key for key, sign, value in pairs)
        return (*written, *(value for _, value in parse_qsl(query)))


def parse_discovery(
    status: int,
    body: bytes,
    headers: Mapping[str, str],
    domain: str,
    secrets: Collection[str] = (),
) -> Endpoint:
    """Read the answer to a discovery request.

    Args:
        status: HTTP status.
        body: What came with it, at most some KiB.
        headers: HTTP headers; their case does not matter.
        domain: `app.domain`, whose family the URL's host should belong to.
        secrets: What no message may repeat.

    Raises:
        FeishuWsError: `rate_limited`, `discovery_failed`, `discovery_malformed`, or what
            `FAULT_BY_CODE` says, `refused_unknown` for a code that is not there.
    """
    if status != HTTP_OK:
        raise _http_refusal(status, body, headers, secrets)
    answer = _decode(body)
    code = _code(answer)
    if code is None:
        raise _malformed("an answer without a code that could be Feishu's")
    if code != 0:
        raise _code_refusal(code, _shown(answer.get("msg"), secrets), headers)
    data = answer.get("data")
    url = data.get("URL") if isinstance(data, dict) else None
    if not isinstance(url, str) or not url:
        raise _malformed("code 0 without data.URL")
    assert isinstance(data, dict)
    return _endpoint(url, data.get("ClientConfig"), domain, secrets)


def parse_handshake_refusal(
    status: int, headers: Mapping[str, str], secrets: Collection[str] = ()
) -> FeishuWsError:
    """Return the fault for an upgrade that was answered with anything but 101.

    Feishu says why in `Handshake-*` headers and may use any HTTP status; a proxy on
    the way has only the status. Source: lark-oapi 1.7.5 ws/client.py:108-125.

    Args:
        status: HTTP status.
        headers: HTTP headers; their case does not matter.
        secrets: What the message may not repeat.
    """
    seen = _lowered(headers)
    said = _number(seen.get("handshake-status"))
    code = _number(seen.get("handshake-autherrcode")) or None  # 0 is how Go reads an absent one
    words = _shown(seen.get("handshake-msg"), secrets)
    numbered = f", code {code}" if code else ""
    if said is None:
        fault = Fault.RATE_LIMITED if status == HTTP_TOO_MANY else Fault.HANDSHAKE_REFUSED
        detail = f"answered with HTTP {status}{words}{numbered}"
    else:
        fault = _meaning(said, code)
        detail = f"refused with Handshake-Status {said}{words}{numbered or ', without a code'}"
    return FeishuWsError(
        fault,
        f"the upgrade was {detail}, expected HTTP 101",
        code=status if said is None else code or said,
        retry_after_s=parse_retry_after(seen),
    )


def _meaning(said: int, code: int | None) -> Fault:
    """Return what a `Handshake-Status` means, with the code beside it."""
    if said == REFUSED_STATUS and code is not None:
        return FAULT_BY_CODE.get(code, Fault.REFUSED_UNKNOWN)
    if said == FORBIDDEN_STATUS:
        return Fault.ACCESS_REFUSED
    return Fault.HANDSHAKE_REFUSED  # perhaps of the ticket: both official SDKs fetch another


def _http_refusal(
    status: int, body: bytes, headers: Mapping[str, str], secrets: Collection[str]
) -> FeishuWsError:
    code, words = _remark(body, secrets)
    if status == HTTP_TOO_MANY or code == TOO_FAST:
        fault = Fault.RATE_LIMITED
    else:
        fault = Fault.DISCOVERY_MALFORMED if status in NOT_FEISHU else Fault.DISCOVERY_FAILED
    numbered = "" if code is None else f", code {code}{words}"
    detail = f"discovery was answered with HTTP {status}{numbered}, expected 200"
    return FeishuWsError(fault, detail, code=status, retry_after_s=parse_retry_after(headers))


def _remark(body: bytes, secrets: Collection[str]) -> tuple[int | None, str]:
    """Return the code and words in the body of an HTTP error, where it has Feishu's form."""
    try:
        answer = _decode(body)
    except FeishuWsError:
        return None, ""
    return _code(answer), _shown(answer.get("msg"), secrets)


def _code(answer: Mapping[str, Any]) -> int | None:
    """Return the code of an answer; what no 64 bits hold is nobody's, and would fill the log."""
    code = answer.get("code")
    if isinstance(code, int) and not isinstance(code, bool) and abs(code) <= INT64_MAX:
        return code
    return None


def _code_refusal(code: int, words: str, headers: Mapping[str, str]) -> FeishuWsError:
    fault = FAULT_BY_CODE.get(code, Fault.REFUSED_UNKNOWN)
    detail = f"discovery was answered with code {code}{words}, expected 0"
    return FeishuWsError(fault, detail, code=code, retry_after_s=parse_retry_after(headers))


def _malformed(seen: str) -> FeishuWsError:
    detail = f"discovery was answered with {seen}, expected JSON with code and data.URL"
    return FeishuWsError(Fault.DISCOVERY_MALFORMED, detail)


def _decode(body: bytes) -> dict[str, Any]:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _malformed(f"{len(body)} bytes that are not JSON") from None
    if not isinstance(answer, dict):
        raise _malformed("JSON that is no object")
    return answer


def _endpoint(url: str, config: object, domain: str, secrets: Collection[str]) -> Endpoint:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise _malformed("a URL that cannot be read") from None
    if not host or not (parts.scheme == "wss" or (parts.scheme == "ws" and is_loopback(host))):
        seen = _printable(conceal(redact_url(url), secrets))
        raise _malformed(f"the URL {seen}, which is not wss://")
    timings, _ = merge_config(ServerTimings(), config)
    device_id, service_id = _identity(parts)
    return Endpoint(url, device_id, service_id, timings, _foreign(host, domain))


def _identity(parts: SplitResult) -> tuple[str, int]:
    query = parse_qs(parts.query)
    service = _number(query.get("service_id", [""])[0])
    fits = service is not None and 0 <= service <= INT32_MAX
    return query.get("device_id", [""])[0], service if service is not None and fits else 0


def _foreign(host: str, domain: str) -> str | None:
    """Return a warning if `host` is not of the family of `domain`.

    The family is what follows the first label, `feishu.cn` for `open.feishu.cn`:
    Feishu's gateways are its siblings. Source: observed, msg-frontier.feishu.cn,
    msg-frontier-sg.larksuite.com.
    """
    ours = (urlsplit(domain).hostname or "").lower()
    if host == ours or (is_loopback(host) and is_loopback(ours)):
        return None
    family = ".".join(ours.split(".")[-2:])
    if not _is_address(ours) and (host == family or host.endswith(f".{family}")):
        return None
    return f"discovery at {ours} named the host {_printable(host)}, expected one of *.{family}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether `host` can only be this machine."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds the other side asks us to wait, at most `RETRY_AFTER_MAX_S`.

    Reads `x-ogw-ratelimit-reset` (seconds; Source: Feishu docs "频控策略"), else
    `Retry-After` (seconds, or a date, which is taken relative to `Date`).
    """
    seen = _lowered(headers)
    for name in ("x-ogw-ratelimit-reset", "retry-after"):
        wait_s = _seconds(seen.get(name, ""), seen.get("date", ""))
        if wait_s is not None:
            return min(max(wait_s, 0.0), RETRY_AFTER_MAX_S)
    return None


def _seconds(value: str, date: str) -> float | None:
    number = _number(value)
    if number is not None:
        return float(min(number, INT32_MAX))
    try:
        return (parsedate_to_datetime(value) - parsedate_to_datetime(date)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None


def _number(value: str | None) -> int | None:
    """Read plain decimal digits, the only form Feishu uses."""
    text = (value or "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(INT64_MAX)):
        return None
    number = int(text)
    return number if number <= INT64_MAX else None


def _shown(words: object, secrets: Collection[str]) -> str:
    """Return Feishu's own words in a form that can be printed."""
    return f' "{_printable(conceal(words, secrets))}"' if isinstance(words, str) and words else ""


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text[:MESSAGE_SHOWN])


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}
