"""Which proxy, and whether it opens the way."""

import errno

import pytest

from feishu_ws.cli.examine.finding import State
from feishu_ws.cli.examine.place import Route
from feishu_ws.cli.examine.proxy import judge, judge_absent
from feishu_ws.faults import CATALOGUE, Fault, FeishuWsError
from feishu_ws.upstream.tunnel import check_answer

FEISHU = "https://open.feishu.cn"
PROXIED = Route(FEISHU, "http://u:p4ss@p:3128")
UNUSABLE = FeishuWsError(Fault.CONFIG_INVALID, "the proxy is ftp://p")


@pytest.mark.parametrize(
    ("route", "state", "seen"),
    [
        (Route(FEISHU), State.OK, "none"),
        (Route(FEISHU, unused="HTTPS_PROXY"), State.OK, "none; $HTTPS_PROXY is left alone"),
        (Route(FEISHU, bypassed="http://p:1"), State.OK, "NO_PROXY names open.feishu.cn"),
        (Route(FEISHU, error=UNUSABLE), State.FAIL, "the proxy is ftp://p"),
    ],
)
def test_no_proxy_on_the_way(route, state, seen):
    """None, one that is passed by, one that is left alone, or one that cannot be used."""
    finding = judge_absent(route)
    assert finding.state is state
    assert finding.seen.startswith(seen) or seen in finding.seen


def test_a_proxy_on_the_way_has_to_be_tried():
    """Its being set says nothing."""
    assert judge_absent(PROXIED) is None


def test_a_proxy_that_opens_the_way():
    """It is shown without its password."""
    finding = judge(PROXIED, 0.0123, None)
    assert finding.state is State.OK
    assert finding.seen == "http://p:3128 opens the way to open.feishu.cn:443 in 12 ms"


def failed(words):
    return FeishuWsError(Fault.PROXY_FAILED, f"{words}, in phase proxy")


def refused(status):
    """What the tunnel says of a proxy's answer to CONNECT."""
    with pytest.raises(FeishuWsError) as caught:
        check_answer(b"HTTP/1.1 %d No\r\n\r\n" % status)
    return caught.value


@pytest.mark.parametrize(
    ("error", "fault", "hint"),
    [
        (TimeoutError(), Fault.CONNECT_TIMEOUT, "reaches Feishu"),
        (refused(407), Fault.PROXY_FAILED, "USER:PASSWORD"),
        (failed("SOCKS: No acceptable authentication methods"), Fault.PROXY_FAILED, "USER:PASSWORD"),
        (refused(403), Fault.PROXY_FAILED, "allow CONNECT"),
        (failed("SOCKS: Connection not allowed by ruleset"), Fault.PROXY_FAILED, "allow CONNECT"),
        (refused(502), Fault.PROXY_FAILED, "its own network"),
        (failed("what listens there is no HTTP proxy: b'SSH'"), Fault.PROXY_FAILED, "scheme and port"),
        (failed("it hung up"), Fault.PROXY_FAILED, CATALOGUE[Fault.PROXY_FAILED].hint),
        (OSError(errno.ECONNRESET, "x"), Fault.PROXY_FAILED, CATALOGUE[Fault.PROXY_FAILED].hint),
    ],
)  # fmt: skip
def test_why_it_does_not(error, fault, hint):
    """A login, a rule, its own network and a wrong port are mended differently."""
    finding = judge(PROXIED, 5.0, error)
    assert (finding.state, finding.fault) == (State.FAIL, fault)
    assert hint in finding.advice
    assert finding.seen.startswith("http://p:3128")
    assert "in phase" not in finding.seen
