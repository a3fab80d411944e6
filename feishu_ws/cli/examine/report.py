"""Results as text for people, one line each, and as an object for programs. Pure.

Much of what was seen are others' words, which may repeat a secret that they were sent.
"""

import textwrap
from collections.abc import Sequence
from typing import Any, Final

from feishu_ws import __version__
from feishu_ws.cli.examine.finding import Result, State, Step, exit_code, first_failure
from feishu_ws.cli.render import Paint, width
from feishu_ws.events.summary import printable
from feishu_ws.faults import CATALOGUE
from feishu_ws.telemetry.redact import redact_fields, redact_text

STYLES: Final = {State.OK: "good", State.WARN: "warn", State.FAIL: "bad", State.SKIP: "dim"}
WORD: Final = max(len(state) for state in State)
NAME: Final = max(len(step) for step in Step)
MARGIN: Final = WORD + NAME + 4
LEAST_TEXT: Final = 40  # narrower than this, lines run over the terminal's edge instead
MAX_SEEN: Final = 600  # characters; several addresses and an error of theirs each


def describe(result: Result, paint: Paint, columns: int | None) -> str:
    """Return a result for people, broken at so many columns; None is one line, however long."""
    finding = result.finding
    style = STYLES[finding.state]
    head = f"{paint(f'{finding.state:<{WORD}}', style)}  {paint(f'{result.step:<{NAME}}', 'name')}"
    parts = [(_seen(result), "dim" if finding.state is State.SKIP else "")]
    if finding.fault is not None:
        parts.append((f"fault: {finding.fault}", style))
    if finding.advice:
        parts.append((f"try: {_tame(finding.advice)}", ""))
    return f"{head}  {_flow(parts, paint, columns)}"


def _flow(parts: Sequence[tuple[str, str]], paint: Paint, columns: int | None) -> str:
    """Return the parts in one line if they fit, else a line or more for each."""
    room = None if columns is None else max(columns - MARGIN, LEAST_TEXT)
    whole = "  ".join(text for text, _ in parts)
    if room is None or width(whole) <= room:
        return "  ".join(paint(text, style) for text, style in parts)
    lines = [
        paint(line, style)
        for text, style in parts
        for line in textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    ]
    return f"\n{' ' * MARGIN}".join(lines)


def conclude(results: Sequence[Result], paint: Paint) -> str:
    """Return the last line: what it all comes from."""
    failed = first_failure(results)
    if failed is not None and failed.finding.fault is not None:
        fault = failed.finding.fault
        return paint(f"fault: {fault} at {failed.step}: {CATALOGUE[fault].title}", "bad")
    warnings = [each.step for each in results if each.finding.state is State.WARN]
    if warnings:
        return paint(f"no fault found, but look at {', '.join(warnings)}", "warn")
    return paint("no fault found", "good")


def as_object(results: Sequence[Result]) -> dict[str, Any]:
    """Return everything as JSON types; `step` and `fault` name what it all comes from."""
    failed = first_failure(results)
    fault = failed.finding.fault if failed is not None else None
    return {
        "version": __version__,
        "fault": fault,
        "step": failed.step if failed is not None else None,
        "title": CATALOGUE[fault].title if fault is not None else "",
        "try": _tame(failed.finding.advice) if failed is not None else "",
        "exit": int(exit_code(results)),
        "steps": [_step(each) for each in results],
    }


def _step(result: Result) -> dict[str, Any]:
    finding = result.finding
    return {
        "step": result.step,
        "state": finding.state,
        "seen": _seen(result),
        "fault": finding.fault,
        "try": _tame(finding.advice),
        "took_ms": round(result.took_s * 1000),
        "facts": dict(finding.facts) if _is_ours(result) else redact_fields(finding.facts),
    }


def _seen(result: Result) -> str:
    """Return what was seen without secrets; cut only afterwards, or part of one would be left."""
    seen = result.finding.seen
    return _tame(seen if _is_ours(result) else redact_text(seen))


def _is_ours(result: Result) -> bool:
    """Whether all words are ours: what is expected of a URL looks like one with a login."""
    return result.step is Step.CONFIG


def _tame(text: str) -> str:
    """Return text without what could steer a terminal: some of it comes from outside."""
    return printable(text, MAX_SEEN)
