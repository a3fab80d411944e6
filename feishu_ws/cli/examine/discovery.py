"""Discovery: what Feishu says to this app, asked as the daemon asks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from feishu_ws.cli.examine.finding import Finding, fail, ok, warn
from feishu_ws.cli.examine.token import Opinion
from feishu_ws.clock import SystemClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import DiscoveryAnswered, Happening
from feishu_ws.upstream.attempt import Attempt
from feishu_ws.upstream.discovery import Discovery
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.settings import Credentials, UpstreamSettings
from feishu_ws.upstream.trust import Trust
from feishu_ws.wire.endpoint import Endpoint

DEADLINE_S: Final = 6.0  # it takes some 0.1 s; the whole attempt has 15 s

AMBIGUOUS: Final = 1000040345
"""A wrong secret, an app that is not published, or one without long connection."""
HINTS: Final = {
    1000040344: "set app.secret, or hand it over as a credential",
    AMBIGUOUS: (
        "compare app.id and secret with the developer console; Feishu answers the same to an app"
        " that is not published or has no long connection (长连接)"
    ),
    1000040346: "compare app.id with the developer console, and app.domain: Feishu or Lark",
}
"""What to do about some of Feishu's codes; the others are told by their fault."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        offset_s: Feishu's clock minus ours, None if it did not say.
        error: Why there is no endpoint; None with neither if nothing came back in time.
        opinion: What Feishu says elsewhere of app id and secret.
    """

    took_s: float
    endpoint: Endpoint | None = None
    error: FeishuWsError | None = None
    offset_s: float | None = None
    opinion: Opinion | None = None


async def ask(
    settings: UpstreamSettings, credentials: Credentials, resolver: Resolver, trust: Trust
) -> Answer:
    """Ask for an endpoint, and keep Feishu's clock. The caller bounds the time."""
    clock = SystemClock()
    told: list[DiscoveryAnswered] = []

    def observe(happening: Happening) -> None:
        if isinstance(happening, DiscoveryAnswered):
            told.append(happening)

    discovery = Discovery(settings, resolver, trust, observe, clock)
    endpoint = error = None
    try:
        endpoint = await discovery.ask(credentials, Attempt(0, clock))
    except FeishuWsError as exc:
        error = exc
    return Answer(told[-1].took_s, endpoint, error, told[-1].clock_offset_s)


def judge(answer: Answer, credentials: Credentials) -> Finding:
    """Return what Feishu said."""
    took = f"{answer.took_s * 1000:.0f} ms"
    facts: dict[str, Any] = {"ms": round(answer.took_s * 1000)}
    if answer.endpoint is not None:
        endpoint = answer.endpoint
        facts |= {"code": 0, "url": endpoint.shown}
        facts["ping_interval_s"] = endpoint.timings.ping_interval_s
        seen = f"code 0 in {took}: {endpoint.shown}, ping every {facts['ping_interval_s']} s"
        if endpoint.warning is not None:
            hint = "make sure that app.domain is what you mean"
            return warn(f"{seen}; {endpoint.warning}", hint=hint, **facts)
        return ok(seen, **facts)
    error = answer.error
    if error is None:
        seen = f"{credentials.domain} took the request and said nothing for {answer.took_s:.1f} s"
        hint = "look again: if it lasts, ask whether something answers in Feishu's place"
        return fail(Fault.CONNECT_TIMEOUT, seen, hint, **facts)
    facts["code"] = error.code
    wait_s = error.retry_after_s
    asked = f", asked to wait {wait_s:g} s" if wait_s is not None else ""
    seen = f"{error.detail.removeprefix('discovery was ')}{asked}, after {took}"
    return _judge_refusal(error, seen, answer.opinion, facts)


def _judge_refusal(
    error: FeishuWsError, seen: str, opinion: Opinion | None, facts: Mapping[str, Any]
) -> Finding:
    if opinion is None:
        return fail(error.fault, seen, HINTS.get(error.code or 0, ""), **facts)
    if opinion.is_known:
        more = f"{seen}; yet it gives a tenant token for this app id and secret"
        return fail(Fault.ACCESS_REFUSED, more, **facts)
    more = f"{seen}; and it gives no tenant token either, code {opinion.code}"
    return fail(error.fault, more, **facts)
