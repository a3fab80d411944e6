"""What each path of the telemetry endpoint answers."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from feishu_ws.telemetry.facts import Facts
from feishu_ws.telemetry.health import ready
from feishu_ws.telemetry.http import Answer, Asked, Page
from feishu_ws.telemetry.metrics import Metrics
from feishu_ws.telemetry.status import status_object
from feishu_ws.telemetry.status_page import CONTENT_SECURITY_POLICY, status_page

_UNAVAILABLE: Final = 503


def pages(
    facts: Callable[[], Facts], metrics: Metrics, is_making_progress: Callable[[], bool]
) -> dict[str, Page]:
    """Return the pages by path.

    Args:
        facts: Gives the daemon as it is now.
        metrics: For `/metrics`.
        is_making_progress: For `/livez`.
    """
    return {
        "/": lambda _: _html(facts()),
        "/metrics": lambda asked: _metrics(metrics, asked),
        "/livez": lambda _: _livez(is_making_progress()),
        "/readyz": lambda _: _readyz(facts()),
        "/status": lambda _: _json(status_object(facts())),
    }


def _json(value: Any, status: int = 200) -> Answer:
    return Answer(msgspec.json.encode(value) + b"\n", "application/json", status)


def _metrics(metrics: Metrics, asked: Asked) -> Answer:
    rendering = metrics.render(asked.accept, is_gzip=asked.takes_gzip)
    headers = {"Content-Encoding": "gzip"} if rendering.is_gzip else {}
    return Answer(rendering.body, rendering.content_type, headers=headers)


def _livez(is_making_progress: bool) -> Answer:  # noqa: FBT001 - the one thing it is about
    if is_making_progress:
        return Answer(b"ok\n")
    return Answer(b"the daemon makes no progress\n", status=_UNAVAILABLE)


def _readyz(facts: Facts) -> Answer:
    is_ready, fault = ready(facts)
    return _json({"ready": is_ready, "fault": fault}, 200 if is_ready else _UNAVAILABLE)


def _html(facts: Facts) -> Answer:
    body = status_page(status_object(facts)).encode()
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return Answer(body, "text/html; charset=utf-8", headers=headers)
