"""One readable line per event."""

import io
import json

import msgspec
import pytest
from client.fake_daemon import cloud_event, event_params

from feishu_ws.cli.eventline import event_line
from feishu_ws.cli.render import Paint
from feishu_ws.client import Delivery
from feishu_ws.wire.native import EventParams


def _line(position=1, event=None, **more):
    params = event_params(position, **more) | ({"event": event} if event else {})
    raw = json.dumps(params).encode()
    delivery = Delivery(None, raw, msgspec.json.decode(raw, type=EventParams))
    return event_line(delivery, Paint(io.StringIO()))


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")


def test_it_has_time_position_type_and_subject():
    """In columns, so that lines can be compared."""
    assert _line(7) == ("2026-03-20 11:03:11      7  im.message.receive_v1 (message) oc_1")


def test_a_repeated_and_a_late_delivery_are_marked():
    """They explain why an event comes that was seen before."""
    assert _line(attempt=3).endswith("oc_1  (attempt 3)")
    assert _line(late=True).endswith("oc_1  (late)")


def test_an_event_without_subject_or_known_type_has_a_line_too():
    """Whatever Feishu sends."""
    event = cloud_event(1, type="feishu.unknown", subject="", time="")

    assert _line(event=event) == "      1  feishu.unknown"


def test_nothing_in_it_breaks_the_line():
    """Newlines and escapes are spelt out."""
    event = cloud_event(1, type="a\nb", subject="\x1b[2J", time="\r")

    assert _line(event=event).isprintable()
