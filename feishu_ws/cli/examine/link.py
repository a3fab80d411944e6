"""Links: those of the running daemon as it tells of them, or a single one opened on request."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from feishu_ws.cli.examine.finding import (
    Finding,
    Result,
    State,
    Step,
    fail,
    first_failure,
    ok,
    skip,
    warn,
)
from feishu_ws.cli.examine.place import place_of
from feishu_ws.cli.render import age
from feishu_ws.clock import SystemClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import ignore
from feishu_ws.model import Answer
from feishu_ws.tally import Tally
from feishu_ws.upstream.attempt import Attempt
from feishu_ws.upstream.dial import Dialer
from feishu_ws.upstream.settings import Credentials, UpstreamSettings
from feishu_ws.wire.link import LinkState
from feishu_ws.wire.reassembly import Reassembly

DEADLINE_S: Final = 10.0  # discovery to pong; upstream.connect_timeout_s may be far longer
HOUR_MS: Final = 3_600_000
MANY_LOSSES: Final = 3  # in an hour; some are nobody's fault
ORDERLY: Final = frozenset({Fault.LOCAL_STOP, Fault.ROTATED, Fault.CLOSED_BY_FEISHU})

Status = Mapping[str, Any]


# -- of a running daemon --------------------------------------------------------------------


def judge_running(status: Status) -> Finding:
    """Return how the daemon's links are; what an older daemon leaves out is left out."""
    links: Sequence[Status] = status.get("links", ())
    now_ms = status.get("now_ms", 0)
    live = [link for link in links if link.get("state") == LinkState.CONNECTED]
    down = [link for link in links if link not in live]
    wanted = status.get("links_wanted", len(links))
    words = "; ".join(_words(link, now_ms) for link in links)
    seen = f"{len(live)} of {wanted} live: {words}"
    facts = {"live": len(live), "wanted": wanted}
    fault = next(filter(None, (_fault(link.get("fault")) for link in down)), None)
    if not live:
        return _judge_none_live(seen, fault, facts)
    if down or len(live) < wanted:
        return warn(seen, fault, **facts)
    return _judge_losses(status, seen, facts)


def _judge_none_live(seen: str, fault: Fault | None, facts: Mapping[str, Any]) -> Finding:
    if fault is None:
        return warn(seen, hint="ask again in some seconds", **facts)
    return fail(fault, seen, **facts)


def _judge_losses(status: Status, seen: str, facts: Mapping[str, Any]) -> Finding:
    since_ms = status.get("now_ms", 0) - HOUR_MS
    lost: Counter[Fault] = Counter()
    for loss in status.get("losses", ()):
        fault, was_live = _fault(loss.get("fault")), loss.get("lived_s") is not None
        is_loss = was_live and fault not in ORDERLY  # else an attempt: the links are live by now
        if fault and is_loss and loss.get("at_ms", 0) > since_ms:
            lost[fault] += loss.get("times") or 1
    if lost.total() < MANY_LOSSES:
        return ok(seen, **facts)
    worst, _ = lost.most_common(1)[0]
    return warn(f"{seen}; {lost.total()} losses in the last hour", worst, **facts)


def _words(link: Status, now_ms: int) -> str:
    since = age((now_ms - link.get("since_ms", now_ms)) / 1000)
    said = f"link {link.get('link')} {link.get('state')} for {since}"
    if last_ms := link.get("last_frame_ms"):
        said += f", last frame {age((now_ms - last_ms) / 1000)} ago"
    if link.get("fault"):
        failures = link.get("failures") or 0
        said += f", {link['fault']}" + (f" {failures} times" if failures > 1 else "")
    if (retry_ms := link.get("retry_at_ms") or 0) > now_ms:
        said += f", again in {age((retry_ms - now_ms) / 1000)}"
    return said


def _fault(word: object) -> Fault | None:
    """Return the fault of that name, None for none and for one of a newer daemon."""
    return next((fault for fault in Fault if fault == word), None)


# -- of our own -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a link of our own; without `error` it was live, and is closed again.

    Attributes:
        phases_s: Seconds of each phase it went through.
        events: Payloads that came meanwhile, left for Feishu to send again.
    """

    took_s: float
    url: str = ""
    phases_s: Mapping[str, float] | None = None
    events: int = 0
    error: FeishuWsError | None = None


async def attempt(settings: UpstreamSettings, credentials: Credentials) -> Trial:
    """Open a link as the daemon does, wait for the pong, close; confirm nothing."""
    events = 0

    def accept(_: bytes, __: Answer) -> None:
        nonlocal events
        events += 1  # never answered: Feishu sends it again

    clock, urls = SystemClock(), []
    bounded = replace(settings, connect_timeout_s=min(settings.connect_timeout_s, DEADLINE_S))
    trial = Attempt(0, clock, lambda endpoint: urls.append(endpoint.shown))
    dialer = Dialer(
        bounded,
        credentials,
        Reassembly(),
        accept,
        ignore,
        Tally(),
        clock,
        Random(),  # noqa: S311 jitter, not a secret
        lambda: None,
    )
    try:
        connection = await dialer(trial)
    except FeishuWsError as exc:
        took_s = clock.monotonic() - trial.began_s
        return Trial(took_s, "".join(urls), dict(trial.phases_s), events, exc)
    took_s = clock.monotonic() - trial.began_s
    await connection.drain(0)
    return Trial(took_s, "".join(urls), dict(trial.phases_s), events)


def judge_trial(trial: Trial) -> Finding:
    """Return how a link of our own went."""
    phases = {name: round(s * 1000) for name, s in (trial.phases_s or {}).items()}
    facts: dict[str, Any] = {
        "url": trial.url,
        "ms": round(trial.took_s * 1000),
        "phases_ms": phases,
    }
    if trial.error is not None:
        seen = f"no link: {trial.error.detail}, after {trial.took_s * 1000:.0f} ms"
        return fail(trial.error.fault, seen, **facts, code=trial.error.code)
    spent = ", ".join(f"{name} {ms}" for name, ms in phases.items())
    seen = f"opened, answered and closed in {trial.took_s * 1000:.0f} ms ({spent}); {trial.url}"
    left = f"; {trial.events} events came and were left to be sent again" if trial.events else ""
    return ok(seen + left, **facts, events=trial.events)


def judge_gateway(url: str, results: Sequence[Result]) -> Finding:
    """Return whether a link could be opened, from the way to where it would lead."""
    gateway = place_of(url)
    failed = first_failure(results)
    if failed is not None:
        seen = f"the gateway {gateway} that Feishu named: {failed.step}: {failed.finding.seen}"
        finding = replace(failed.finding, seen=seen)
        if failed.step is not Step.TCP:
            return finding
        return replace(finding, hint=f"let the firewall pass outbound TCP to {gateway} as well")
    reached = "; ".join(
        each.finding.seen
        for each in results
        if each.step in {Step.TCP, Step.TLS} and each.finding.state is not State.SKIP
    )
    return ok(f"not opened, --connect does; the gateway is reached: {reached}")


def judge_not_alone(why: str) -> Finding:
    """Return why there is no link of our own though nobody told of the daemon's."""
    return skip(f"not opened, it would take events from {why}")
