"""What a live link can end with: one cause each time, out of a small closed set."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telemetry import samples
from upstream.fake import data_frame
from websockets.exceptions import PayloadTooBig, ProtocolError

import feishu_ws
from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault
from feishu_ws.happenings import LinkLive, LinkLost, LinkReplaced
from feishu_ws.telemetry.counts import Counts
from feishu_ws.telemetry.labels import EVENT_TYPES, LOSS_CAUSE, OTHER
from feishu_ws.telemetry.metrics import Metrics
from feishu_ws.upstream.connection import explain

UPSTREAM = Path(feishu_ws.__file__).parent / "upstream"
MOST_CAUSES = 16  # Source: CONTRACT 7


async def close_frame(harness, session, _):
    await session.ws.close(1000)


async def reset(harness, session, _):
    session.reset()


async def silence(harness, session, _):
    harness.feishu.refusals = [(503, {})] * 50  # no fresh link takes over before it is dropped
    session.freeze()
    harness.fleet.probe(0.1)


async def silence_beside_a_fresh_link(harness, session, monkeypatch):
    monkeypatch.setattr("feishu_ws.upstream.renewal.LAST_MOMENT_S", 0.05)
    session.freeze()
    harness.fleet.probe(2)


async def large_frame(harness, session, _):
    await session.send(data_frame(bytes(2000)))


async def peer_that_takes_nothing(harness, session, monkeypatch):
    monkeypatch.setattr("feishu_ws.upstream.connection.UNSENT_MAX", -1)
    session.freeze()
    await session.send(data_frame(b"x"))


async def stop(harness, session, _):
    await harness.fleet.stop(0)


async def defect(harness, session, _):
    harness.fleet._links[0]._link._intake._accept = None
    await session.send(data_frame(b"x"))


async def age(harness, session, monkeypatch):
    """The link was told to live for half a second."""


ENDINGS = {
    Fault.CLOSED_BY_FEISHU: close_frame,
    Fault.CONNECTION_LOST: reset,
    Fault.PONG_OVERDUE: silence,
    Fault.LINK_SUSPECT: silence_beside_a_fresh_link,
    Fault.FRAME_TOO_LARGE: large_frame,
    Fault.SEND_STALLED: peer_that_takes_nothing,
    Fault.LOCAL_STOP: stop,
    Fault.INTERNAL: defect,
    Fault.ROTATED: age,
}


@pytest.mark.parametrize("cause", ENDINGS)
async def test_every_cause_is_reached_and_counted_once(harness, monkeypatch, cause):
    """A live link that ends is one loss under one cause, and the metric has a series for it."""
    monkeypatch.setattr("feishu_ws.upstream.opening.MAX_FRAME", 1000)
    session = await harness.open(rotate_after_s=0.5 if cause is Fault.ROTATED else 0)
    await harness.record.wait(LinkLive)
    await ENDINGS[cause](harness, session, monkeypatch)
    is_replaced = cause in {Fault.ROTATED, Fault.LINK_SUSPECT}
    await harness.record.wait(LinkReplaced if is_replaced else LinkLost)

    counts = Counts(clock := ManualClock())
    for happening in list(harness.record.all):
        counts.observe(happening)
    assert counts.disconnects == {cause: 1}
    page = Metrics(samples.facts, counts, clock, EVENT_TYPES).render().body.decode()
    lines = [line for line in page.splitlines() if line.startswith("feishu_ws_disconnects_total{")]
    counted = {cause: 1} | dict.fromkeys(set(LOSS_CAUSE.values) - {cause}, 0)
    assert sorted(lines) == sorted(
        f'feishu_ws_disconnects_total{{cause="{each}"}} {number:.1f}'
        for each, number in counted.items()
    )


def test_the_set_is_closed_and_small():
    """The causes of the metric are those that are reached, and `other`, which none needs."""
    assert set(LOSS_CAUSE.values) == {*ENDINGS, OTHER}
    assert len(LOSS_CAUSE.values) <= MOST_CAUSES


def test_nothing_else_ends_a_live_link():
    """The files that end live links name the faults of the set and no other."""
    named = set()
    for name in ("connection", "renewal", "defect"):
        tree = ast.parse((UPSTREAM / f"{name}.py").read_text())
        named |= {each.attr for each in ast.walk(tree) if is_fault(each)}
    assert {Fault[name] for name in named} == set(ENDINGS)


def is_fault(node):
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Fault"
    )


ERRORS = st.sampled_from(
    [
        EOFError(),
        ProtocolError("x"),
        PayloadTooBig(2000, 1000),
        ConnectionResetError(104, "reset"),
        BrokenPipeError(),
        TimeoutError(110, "timed out"),
        OSError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"),
        ZeroDivisionError(),
        AssertionError(),
    ]
)


@given(st.none() | st.integers(1000, 4999), st.none() | ERRORS, st.none() | ERRORS)
def test_whatever_the_library_says_is_one_cause(code, parser_exc, exc):
    """Any close code, parser error and transport error together are one cause of the set."""
    found = explain(code, parser_exc, exc)
    assert found.fault in set(ENDINGS) - {Fault.LOCAL_STOP, Fault.ROTATED, Fault.LINK_SUSPECT}
    assert found.detail.isprintable()
