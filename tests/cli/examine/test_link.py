"""The daemon's links as it tells of them, and one of our own."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.cli.examine.finding import Result, State, Step, fail, ok, skip
from feishu_ws.cli.examine.link import (
    Trial,
    attempt,
    judge_gateway,
    judge_not_alone,
    judge_running,
    judge_trial,
)
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.secret import Secret
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings
from feishu_ws.upstream.settings import Credentials, UpstreamSettings

NOW_MS = 1_774_004_591_415
GATEWAY = "wss://msg-frontier.feishu.cn/ws/v2?ticket=t1cket"


def link(number, state, **more):
    return {"link": number, "state": state, "since_ms": NOW_MS - 7_200_000} | more


LIVE = link(0, "connected", last_frame_ms=NOW_MS - 4_000)
HELD = link(1, "held", fault="access_refused", failures=4, retry_at_ms=NOW_MS + 45_000)
NEW = link(1, "connecting")


def status(*links, losses=()):
    return {"now_ms": NOW_MS, "links": links, "links_wanted": 2, "losses": losses}


def losses(count, fault="pong_overdue", ago_ms=60_000, lived_s=12.5):
    loss = {"at_ms": NOW_MS - ago_ms, "fault": fault, "lived_s": lived_s, "times": 1}
    return [loss] * count


@pytest.mark.parametrize(
    ("told", "state", "fault"),
    [
        (status(LIVE, LIVE), State.OK, None),
        (status(LIVE, HELD), State.WARN, Fault.ACCESS_REFUSED),
        (status(LIVE, NEW), State.WARN, None),
        (status(LIVE), State.WARN, None),
        (status(HELD, HELD), State.FAIL, Fault.ACCESS_REFUSED),
        (status(NEW, HELD), State.FAIL, Fault.ACCESS_REFUSED),
        (status(NEW, NEW), State.WARN, None),
        (status(LIVE, LIVE, losses=losses(2)), State.OK, None),
        (status(LIVE, LIVE, losses=losses(3)), State.WARN, Fault.PONG_OVERDUE),
        (status(LIVE, LIVE, losses=losses(9, ago_ms=4_000_000)), State.OK, None),
        (status(LIVE, LIVE, losses=losses(9, "rotated")), State.OK, None),
        (status(LIVE, LIVE, losses=losses(9, "connect_failed", lived_s=None)), State.OK, None),
        (status(LIVE, LIVE, losses=losses(9, "of the future")), State.OK, None),
        ({}, State.WARN, None),
    ],
)
def test_links_of_a_daemon(told, state, fault):
    """None live fails, unless they are just being opened; fewer, or many losses, is odd."""
    finding = judge_running(told)
    assert (finding.state, finding.fault) == (state, fault)


def test_each_link_is_told():
    """Since when, its last frame, why it is down and when it is tried again."""
    assert judge_running(status(LIVE, HELD)).seen == (
        "1 of 2 live: link 0 connected for 2 h 0 min, last frame 4 s ago; "
        "link 1 held for 2 h 0 min, access_refused 4 times, again in 45 s"
    )


@pytest.mark.parametrize(("failures", "told"), [(0, ""), (1, ""), (2, " 2 times")])
def test_how_often_it_failed_is_told_where_that_says_something(failures, told):
    """A link that was just lost has not failed 0 times."""
    lost = link(0, "backoff", fault="connection_lost", failures=failures)
    assert judge_running(status(lost)).seen.endswith(f", connection_lost{told}")


_json = st.none() | st.integers(0, 2**45) | st.text(max_size=9)


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "link": _json,
                "state": _json,
                "since_ms": st.integers(0, 2**45),
                "last_frame_ms": st.none() | st.integers(0, 2**45),
                "fault": _json,
                "retry_at_ms": st.none() | st.integers(0, 2**45),
            },
        )
    )
)
def test_daemons_of_other_versions(links):
    """What is left out or unknown is no defect of this command."""
    assert judge_running({"now_ms": NOW_MS, "links": links}).state is not State.SKIP


def test_a_trial_that_went_well():
    """How long each phase took, and that what came was left."""
    finding = judge_trial(Trial(0.0304, "wss://h/ws", {"tls": 0.02, "handshake": 0.01}, 2))
    assert finding.state is State.OK
    assert finding.seen == (
        "opened, answered and closed in 30 ms (tls 20, handshake 10); wss://h/ws; "
        "2 events came and were left to be sent again"
    )


def test_a_trial_that_failed():
    """The fault is the daemon's own word for it."""
    error = FeishuWsError(Fault.CONNECTION_LIMIT, "the upgrade was refused", code=1000040350)
    finding = judge_trial(Trial(0.03, error=error))
    assert (finding.state, finding.fault) == (State.FAIL, Fault.CONNECTION_LIMIT)
    assert finding.facts["code"] == 1000040350


def test_a_gateway_in_reach():
    """Nothing is opened, and it could be."""
    results = [
        Result(Step.DNS, ok("h: 1 IPv4")),
        Result(Step.TCP, ok("1.1.1.1:443 in 9 ms")),
        Result(Step.PROXY, ok("none")),
        Result(Step.TLS, ok("TLSv1.3")),
    ]
    finding = judge_gateway(GATEWAY, results)
    assert finding.state is State.OK
    assert finding.seen.endswith("the gateway is reached: 1.1.1.1:443 in 9 ms; TLSv1.3")


def test_a_gateway_out_of_reach():
    """Discovery's host is open and the gateway is not: a firewall knows only the first."""
    results = [
        Result(Step.DNS, ok("fine")),
        Result(Step.TCP, fail(Fault.CONNECT_TIMEOUT, "1.1.1.1:443 silent")),
        Result(Step.TLS, skip("tcp failed")),
    ]
    finding = judge_gateway(GATEWAY, results)
    assert finding.fault is Fault.CONNECT_TIMEOUT
    assert "msg-frontier.feishu.cn:443" in finding.seen
    assert (
        finding.advice == "let the firewall pass outbound TCP to msg-frontier.feishu.cn:443 as well"
    )
    assert "t1cket" not in finding.seen


def test_not_alone():
    """A link would take events from somebody."""
    assert judge_not_alone("process 7").seen == "not opened, it would take events from process 7"


async def try_it(feishu, **settings):
    app = feishu.settings
    who = Credentials(app.app_id, Secret(app.app_secret), feishu.domain)
    return await attempt(UpstreamSettings(**settings), who)


async def test_a_link_of_our_own():
    """It is live, then gone; what Feishu sent is not confirmed."""
    async with Simulator(SimulatorSettings(redelivery_s=(0.05,) * 40)) as feishu:
        waiting = feishu.push(b'{"schema":"2.0"}')
        trial = await try_it(feishu)
        await feishu.wait_until(lambda: not feishu.links)
        counts = feishu.stats.as_dict()

    assert trial.error is None
    assert {"discovery", "dns", "tcp", "handshake"} <= set(trial.phases_s)
    assert trial.url.endswith("/ws/v2")
    assert (counts["links_opened"], counts["confirmed"]) == (1, 0)
    assert not waiting.is_confirmed


async def test_a_link_that_is_refused():
    """Feishu's reason comes through."""
    async with Simulator() as feishu:
        feishu.refuse_handshake(403, {"Handshake-Status": "403"})
        trial = await try_it(feishu)
    assert trial.error.fault is Fault.ACCESS_REFUSED


async def test_a_link_that_hangs_ends_in_time():
    """The shorter of this command's patience and the daemon's."""
    async with Simulator() as feishu:
        feishu.hang_discovery(30)
        async with asyncio.timeout(5):
            trial = await try_it(feishu, connect_timeout_s=0.2)
    assert trial.error.fault is Fault.CONNECT_TIMEOUT
