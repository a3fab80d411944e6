"""Which proxy is chosen."""

import pytest

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.upstream.proxy import choose_proxy

WSS = "wss://msg-frontier.feishu.cn/ws?ticket=t"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("setting", "env", "url", "expected"),
    [
        ("", {"HTTPS_PROXY": "http://p:1"}, WSS, None),
        ("http://p:1", {}, WSS, "http://p:1"),
        ("http://u:w@p:1", {"NO_PROXY": "example.com"}, WSS, "http://u:w@p:1"),
        ("http://p:1", {"NO_PROXY": ".feishu.cn"}, WSS, None),
        ("http://p:1", {"NO_PROXY": "*"}, WSS, None),
        ("http://p:1", {"no_proxy": "127.0.0.1"}, "ws://127.0.0.1:99/ws", None),
        ("socks5://u:w@p:1", {}, WSS, "socks5://u:w@p:1"),
        ("socks5://p:1", {"NO_PROXY": "feishu.cn"}, WSS, None),
        ("env", {"ALL_PROXY": "socks5h://p:1"}, WSS, "socks5h://p:1"),
        ("env", {}, WSS, None),
        ("env", {"HTTPS_PROXY": "http://p:1"}, WSS, "http://p:1"),
        ("env", {"https_proxy": "http://p:1"}, "https://open.feishu.cn/", "http://p:1"),
        ("env", {"HTTP_PROXY": "http://p:1"}, WSS, None),
        ("env", {"HTTP_PROXY": "http://p:1"}, "ws://x/", "http://p:1"),
        ("env", {"ALL_PROXY": "http://p:1"}, WSS, "http://p:1"),
        ("env", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "feishu.cn"}, WSS, None),
    ],
)
def test_choice(environment, setting, env, url, expected):
    """The setting, else the environment, except for what NO_PROXY names."""
    for name, value in env.items():
        environment.setenv(name, value)
    assert choose_proxy(setting, url) == expected


@pytest.mark.parametrize("is_of_environment", [False, True])
@pytest.mark.parametrize(
    "proxy",
    [
        "socks4://u:hunter2@p:1",
        "https://u:hunter2@p:1",
        "u:hunter2@p:1",
        "//u:hunter2@p:1",
        "http:/u:hunter2@p:1",
        "http//u:hunter2@p:1",
        "http://u:hunter2#x@p:1",
        "http://u:hunter2/x@p:1",
        "http://u:hunter2?x@p:1",
        "http://u:7#hunter2@p:1",
        "http://u:7/hunter2@p:1",
        "http://u:7?hunter2@p:1",
        "http://u:hunter2@p:99999",
        "http://u:hunter2@[::1",
        "http://u:hunter2@",
        "p:1",
        "http://",
        "socks5://",
    ],
)
def test_unusable(environment, proxy, is_of_environment):
    """A proxy that cannot be used is a configuration error without its password."""
    environment.setenv("https_proxy", proxy)
    with pytest.raises(FeishuWsError) as caught:
        choose_proxy("env" if is_of_environment else proxy, WSS)
    assert caught.value.fault is Fault.CONFIG_INVALID
    assert "hunter2" not in caught.value.detail


def test_unusable_is_shown_where_it_can_be():
    """What was seen is told as far as no password may be in it."""
    for proxy, shown in (("p:1", "p:1"), ("ftp://u:w@p:1", "ftp://p:1")):
        with pytest.raises(FeishuWsError, match=f"the proxy is {shown}, expected"):
            choose_proxy(proxy, WSS)
