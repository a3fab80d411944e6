"""Where the way to Feishu leads first."""

import pytest

from feishu_ws.cli.examine.place import Place, find_route, is_encrypted, place_of
from feishu_ws.faults import Fault

FEISHU = "https://open.feishu.cn"


@pytest.fixture(autouse=True)
def no_proxy_around(monkeypatch):
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_PROXY".upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "place", "shown"),
    [
        ("https://h", Place("h", 443), "h:443"),
        ("wss://h/ws?x=1", Place("h", 443), "h:443"),
        ("http://h:81", Place("h", 81), "h:81"),
        ("ws://[::1]:9", Place("::1", 9), "[::1]:9"),
        ("socks5://u:p@h", Place("h", 1080), "h:1080"),
    ],
)
def test_places(url, place, shown):
    """Each scheme has its own port where none is named."""
    assert place_of(url) == place
    assert str(place) == shown


def test_encryption():
    """By scheme."""
    assert [is_encrypted(f"{scheme}://h") for scheme in ("https", "wss", "http", "ws")] == [
        True, True, False, False,
    ]  # fmt: skip


def test_straight():
    """Without a proxy the first hop is Feishu."""
    route = find_route(FEISHU, "", {})
    assert (route.proxy, route.hop, route.bypassed, route.unused) == (None, route.target, "", "")


def test_through_a_proxy():
    """The first hop is the proxy, shown without its password."""
    route = find_route(FEISHU, "http://u:p4ss@p:3128", {})
    assert (route.hop, route.target) == (Place("p", 3128), Place("open.feishu.cn", 443))
    assert route.shown_proxy == "http://p:3128"


def test_passed_by(monkeypatch):
    """NO_PROXY names Feishu: the proxy is told, and not gone through."""
    monkeypatch.setenv("no_proxy", ".feishu.cn")
    route = find_route(FEISHU, "http://u:p4ss@p:3128", {})
    assert (route.proxy, route.bypassed) == (None, "http://p:3128")


def test_a_proxy_in_the_environment_that_is_not_used():
    """`upstream.proxy` is empty: the daemon goes straight, and somebody may wonder why."""
    route = find_route(FEISHU, "", {"HTTPS_PROXY": "http://p:1"})
    assert (route.proxy, route.unused) == (None, "HTTPS_PROXY")


def test_a_proxy_that_cannot_be_used(monkeypatch):
    """The reason is kept for the proxy's own line."""
    monkeypatch.setenv("https_proxy", "ftp://p:1")
    assert find_route(FEISHU, "env", {}).error.fault is Fault.CONFIG_INVALID
