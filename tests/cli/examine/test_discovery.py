"""What Feishu says to this app."""

import pytest

from feishu_ws.cli.examine.discovery import Answer, ask, judge
from feishu_ws.cli.examine.finding import State
from feishu_ws.cli.examine.token import Opinion
from feishu_ws.faults import CATALOGUE, Fault, FeishuWsError
from feishu_ws.secret import Secret
from feishu_ws.simulator.server import Simulator
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.settings import Credentials, UpstreamSettings
from feishu_ws.upstream.trust import Trust
from feishu_ws.wire.endpoint import Endpoint

WHO = Credentials("cli_a", Secret("s3cret"))
URL = "wss://msg-frontier.feishu.cn/ws/v2?ticket=t1cket&access_key=k3y"
REFUSED = FeishuWsError(
    Fault.CREDENTIALS_REFUSED, "discovery was answered with code 1000040345", code=1000040345
)


def test_an_endpoint():
    """Where it leads, without the ticket."""
    finding = judge(Answer(0.085, Endpoint(URL)), WHO)
    assert finding.state is State.OK
    assert finding.seen == "code 0 in 85 ms: wss://msg-frontier.feishu.cn/ws/v2, ping every 120 s"
    assert "t1cket" not in str(finding)


def test_an_odd_endpoint():
    """It works, and may not be what is meant."""
    finding = judge(Answer(0.085, Endpoint(URL, warning="it named evil.example")), WHO)
    assert (finding.state, "evil.example" in finding.seen) == (State.WARN, True)


@pytest.mark.parametrize(
    ("code", "fault", "hint"),
    [
        (1000040344, Fault.CREDENTIALS_REFUSED, "set app.secret"),
        (1000040345, Fault.CREDENTIALS_REFUSED, "not published"),
        (1000040346, Fault.CREDENTIALS_REFUSED, "Feishu or Lark"),
        (403, Fault.ACCESS_REFUSED, CATALOGUE[Fault.ACCESS_REFUSED].hint),
        (None, Fault.DISCOVERY_MALFORMED, CATALOGUE[Fault.DISCOVERY_MALFORMED].hint),
    ],
)
def test_a_refusal(code, fault, hint):
    """The code as it came, and what to do about this very one."""
    error = FeishuWsError(fault, f"discovery was answered with code {code}", code=code)
    finding = judge(Answer(0.085, error=error), WHO)
    assert (finding.state, finding.fault) == (State.FAIL, fault)
    assert finding.seen == f"answered with code {code}, after 85 ms"
    assert hint in finding.advice
    assert finding.facts["code"] == code


@pytest.mark.parametrize(
    ("opinion", "fault", "words"),
    [
        (None, Fault.CREDENTIALS_REFUSED, "after 9 ms"),
        (Opinion(is_known=False, code=10014), Fault.CREDENTIALS_REFUSED, "no tenant token either, code 10014"),
        (Opinion(is_known=True, code=0), Fault.ACCESS_REFUSED, "gives a tenant token"),
    ],
)  # fmt: skip
def test_a_second_opinion(opinion, fault, words):
    """One code stands for three causes; a token tells a wrong secret from the others."""
    finding = judge(Answer(0.009, error=REFUSED, opinion=opinion), WHO)
    assert finding.fault is fault
    assert words in finding.seen


def test_a_wish_to_wait():
    """It is told."""
    error = FeishuWsError(Fault.RATE_LIMITED, "HTTP 429", code=429, retry_after_s=7)
    assert "asked to wait 7 s" in judge(Answer(0.1, error=error), WHO).seen


def test_silence():
    """Nobody answered in time, though TCP and TLS were well."""
    finding = judge(Answer(6.0), WHO)
    assert finding.fault is Fault.CONNECT_TIMEOUT
    assert "said nothing for 6.0 s" in finding.seen


async def test_it_is_asked_as_the_daemon_asks():
    """The endpoint comes with Feishu's clock, also where Feishu refuses."""
    async with Simulator() as feishu:
        app = feishu.settings
        feishu.door.date_offset_s = 120
        settings, resolver, trust = UpstreamSettings(), Resolver(), Trust()
        good = Credentials(app.app_id, Secret(app.app_secret), feishu.domain)
        bad = Credentials(app.app_id, Secret("another"), feishu.domain)
        given = await ask(settings, good, resolver, trust)
        refused = await ask(settings, bad, resolver, trust)

    assert given.endpoint.shown.startswith("ws://127.0.0.1")
    assert refused.error.code == 1000040345
    assert 115 < given.offset_s < 125
    assert 115 < refused.offset_s < 125
