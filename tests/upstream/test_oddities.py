"""Oddities are said once."""

from feishu_ws.happenings import LinkWarned
from feishu_ws.upstream.oddities import REMEMBERED, Oddities
from feishu_ws.wire.session import ServerTimings


def test_once():
    """The same oddity on any link is one warning."""
    seen = []
    oddities = Oddities(seen.append)
    oddities.warn(0, "odd")
    oddities.warn(1, "odd")
    oddities.warn(1, "odder")
    assert seen == [LinkWarned(0, "odd"), LinkWarned(1, "odder")]


def test_bounded():
    """Endless different oddities do not fill the memory."""
    oddities = Oddities(lambda _: None)
    for number in range(REMEMBERED * 3):
        oddities.warn(0, str(number))
    assert len(oddities._said) == REMEMBERED


def test_finite_reconnect_count():
    """Only an order to give up is odd."""
    seen = []
    oddities = Oddities(seen.append)
    oddities.check(0, ServerTimings())
    assert seen == []
    oddities.check(0, ServerTimings(reconnect_count=7))
    assert "ReconnectCount 7" in seen[0].detail
