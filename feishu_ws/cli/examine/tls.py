"""TLS: who answers for Feishu, or why the handshake failed and who is in the way."""

import ssl
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from feishu_ws.cli.examine.finding import Finding, fail, ok
from feishu_ws.cli.examine.passage import Peer
from feishu_ws.cli.examine.place import Place
from feishu_ws.cli.examine.tcp import reason
from feishu_ws.faults import Fault, FeishuWsError

DEADLINE_S: Final = 5.0

EXPIRED: Final = frozenset({9, 10})
FOREIGN: Final = frozenset({18, 19, 20, 21})
WRONG_NAME: Final = frozenset({62, 64})
"""Of a certificate: not valid now; signed by somebody unknown; for another host.

Source: openssl x509_vfy.h, X509_V_ERR_*."""
NOT_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"})
INTERCEPTED: Final = "find what intercepts TLS; if it may, put its CA into upstream.ca_file"


@dataclass(frozen=True, slots=True)
class Greeting:
    """What became of a handshake; `shown` is whom an untrusted certificate names."""

    place: Place
    took_s: float
    peer: Peer | None = None
    error: Exception | None = None
    shown: Peer | None = None


def judge(greeting: Greeting) -> Finding:
    """Return how TLS is; without peer and error nothing came back in time."""
    where, error = greeting.place, greeting.error
    if greeting.peer is not None:
        peer = greeting.peer
        took = f"{peer.took_s * 1000:.0f} ms"
        seen = f"{peer.version} in {took}, certificate of {where.host} by {_right(peer)}"
        return ok(seen, version=peer.version, ms=round(peer.took_s * 1000), **_facts(peer))
    if error is None:
        seen = f"{where} took the connection and said nothing for {greeting.took_s:.1f} s"
        hint = "look for a firewall that inspects TLS, or try an MTU of 1400: ip link set"
        return fail(Fault.CONNECT_TIMEOUT, seen, hint)
    if isinstance(error, FeishuWsError):
        return fail(error.fault, error.detail)
    if isinstance(error, ssl.SSLCertVerificationError):
        return _judge_certificate(greeting, error)
    if isinstance(error, ssl.SSLError):
        return _judge_protocol(where, error)
    assert isinstance(error, OSError)
    seen = f"{where} cut the connection in the handshake: {reason(error)}"
    hint = "look for a firewall that reads host names; upstream.proxy may lead past it"
    return fail(Fault.TLS_FAILED, seen, hint)


def _judge_certificate(greeting: Greeting, error: ssl.SSLCertVerificationError) -> Finding:
    host, shown = greeting.place.host, greeting.shown
    by = f"; by {_right(shown)}" if shown else ""
    seen = f"certificate of {host} not trusted: {error.verify_message.rstrip('.')}{by}"
    facts = _facts(shown) if shown else {}
    if error.verify_code in FOREIGN:
        return fail(Fault.TLS_FAILED, seen, INTERCEPTED, **facts)
    if error.verify_code in EXPIRED:
        hint = "set the clock if it is wrong: timedatectl; else that server has to renew it"
        return fail(Fault.TLS_FAILED, seen, hint, **facts)
    if error.verify_code in WRONG_NAME:
        names = f", for {', '.join(shown.names)}" if shown and shown.names else ""
        hint = f"another server answers for {host}: look at /etc/hosts, resolver and app.domain"
        return fail(Fault.TLS_FAILED, seen + names, hint, **facts)
    return fail(Fault.TLS_FAILED, seen, **facts)


def _judge_protocol(where: Place, error: ssl.SSLError) -> Finding:
    said = (error.reason or error.strerror or "a TLS error").replace("_", " ").lower()
    if error.reason in NOT_TLS:
        seen = f"what answers on {where} speaks no TLS ({said})"
        hint = "log in to the captive portal, or name the proxy in upstream.proxy"
        return fail(Fault.TLS_FAILED, seen, hint)
    return fail(Fault.TLS_FAILED, f"handshake with {where} failed: {said}")


def _right(peer: Peer) -> str:
    return f"{peer.issuer!r}, valid {_day(peer.not_before)} to {_day(peer.not_after)}"


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")


def _facts(peer: Peer) -> dict[str, Any]:
    return {
        "issuer": peer.issuer,
        "names": list(peer.names),
        "not_before": peer.not_before.isoformat(),
        "not_after": peer.not_after.isoformat(),
    }
