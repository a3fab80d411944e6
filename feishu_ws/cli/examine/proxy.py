"""Proxy: which one, whether it opens the way, or why not."""

import re
from typing import Final

from feishu_ws.cli.examine.finding import Finding, fail, ok
from feishu_ws.cli.examine.place import Route
from feishu_ws.cli.examine.tcp import reason
from feishu_ws.faults import Fault, FeishuWsError

DEADLINE_S: Final = 5.0
LOGIN: Final = re.compile(r"user or password|user ?name|authenticat", re.IGNORECASE)
"""How the proxy's wish for a login is told, be it HTTP or SOCKS."""


def judge_absent(route: Route) -> Finding | None:
    """Return the finding where no proxy is gone through, None where one is."""
    if route.error is not None:
        return fail(route.error.fault, route.error.detail)
    if route.proxy is not None:
        return None
    host = route.target.host
    if route.bypassed:
        return ok(f"{route.bypassed} is set, but NO_PROXY names {host}: not used")
    if route.unused:
        return ok(f"none; ${route.unused} is left alone, as upstream.proxy is empty")
    return ok("none")


def judge(route: Route, took_s: float, error: Exception | None) -> Finding:
    """Return what a proxy made of a tunnel to Feishu.

    `error` is None where it opened, a TimeoutError where nothing came back.
    """
    proxy, target = route.shown_proxy, route.target
    if error is None:
        took_ms = round(took_s * 1000)
        return ok(f"{proxy} opens the way to {target} in {took_ms} ms", proxy=proxy, ms=took_ms)
    if isinstance(error, TimeoutError):
        seen = f"{proxy} took the connection and said nothing for {took_s:.1f} s"
        hint = "look whether the proxy itself reaches Feishu: its log"
        return fail(Fault.CONNECT_TIMEOUT, seen, hint, proxy=proxy)
    if isinstance(error, FeishuWsError):
        return _judge_refusal(route, error)
    words = reason(error) if isinstance(error, OSError) else type(error).__name__
    return fail(Fault.PROXY_FAILED, f"{proxy}: {words}", proxy=proxy)


def _judge_refusal(route: Route, error: FeishuWsError) -> Finding:
    proxy = route.shown_proxy
    detail = error.detail.removesuffix(", in phase proxy")
    hint = _hint(route, detail, error.code)
    return fail(error.fault, f"{proxy}: {detail}", hint, proxy=proxy, http_status=error.code)


def _hint(route: Route, detail: str, status: int | None) -> str:
    target = route.target
    if LOGIN.search(detail):
        return "put the proxy's login into upstream.proxy: SCHEME://USER:PASSWORD@HOST:PORT"
    if "no HTTP proxy" in detail or "SOCKS version" in detail:
        return "look at scheme and port of upstream.proxy: http:// or socks5://"
    if status in {403, 405} or "not allowed" in detail:
        return f"let the proxy allow CONNECT to {target}"
    if status is not None and status >= 500:
        return f"the proxy does not reach {target}: look at its own network"
    return ""
