"""A link while it is open, over real sockets, on both event loops."""

import asyncio
import base64
import json
import time

import pytest
from upstream.fake import SERVICE, data_frame

from feishu_ws.faults import Fault
from feishu_ws.happenings import (
    FrameUnusable,
    LinkFailed,
    LinkLive,
    LinkLost,
    LinkReplaced,
    LinkWarned,
    PayloadRefused,
    ServerTimingsChanged,
)
from feishu_ws.upstream import connection as c
from feishu_ws.upstream import supervisor
from feishu_ws.upstream.connection import explain, is_mass_close
from feishu_ws.wire.frame import BIZ_RT, encode_ping, encode_pong
from feishu_ws.wire.pbbp2_pb2 import Frame
from feishu_ws.wire.session import PROMISED_S, ServerTimings

MIB = 1024 * 1024


def said(confirm):
    return json.loads(confirm.payload)


# -- confirmations ------------------------------------------------------------------------


async def test_confirm_is_the_frame_echoed(harness):
    """A confirmation echoes every field and header, in order, and appends biz_rt."""
    session = await harness.open()
    frame = data_frame(b'{"schema":"2.0"}', extra="kept")
    frame.payload_encoding, frame.payload_type = "e", "t"
    await session.send(frame)
    confirm = await session.confirm()
    assert confirm.headers[-1].key == BIZ_RT
    assert 0 <= int(confirm.headers[-1].value) < 3000
    assert confirm.payload == b'{"code":200}'
    del confirm.headers[-1]
    confirm.payload = frame.payload
    assert confirm.SerializeToString() == frame.SerializeToString()
    assert harness.payloads == [b'{"schema":"2.0"}']


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((500, None), {"code": 500}),
        ((200, b"{}"), {"code": 200, "data": base64.b64encode(b"{}").decode()}),
    ],
)
async def test_what_is_answered(harness, answer, expected):
    """The code and the data of the answer are what Feishu gets."""
    session = await harness.open()
    harness.answer_with = answer
    await session.send(data_frame(b"x"))
    assert said(await session.confirm()) == expected
    assert harness.tally.events_acked == (answer[0] == 200)


@pytest.mark.parametrize("kind", ["event", "card"])
async def test_both_types_are_accepted(harness, kind):
    """Callbacks come as event or as card, and both are taken."""
    session = await harness.open()
    await session.send(data_frame(b"x", kind=kind))
    await session.confirm()
    assert harness.payloads == [b"x"]
    assert harness.tally.frames_received[kind] == 1


async def test_answers_of_one_turn_leave_in_one_write(harness, monkeypatch):
    """What a commit answers together is written together, each confirmation whole."""
    session = await harness.open()
    await harness.record.wait(LinkLive)
    harness.answer_with = None
    frames = [data_frame(b"%d" % n, message_id=f"m-{n}") for n in range(200)]
    await session.send(*frames)
    while len(harness.answers) < 200:
        await asyncio.sleep(0.005)
    writes = []
    connection = harness.fleet._links[0]._link
    write = connection._channel.write_messages
    monkeypatch.setattr(
        connection._channel, "write_messages", lambda batch: writes.append(batch) or write(batch)
    )
    for answer in harness.answers:
        answer(200, None)
    confirms = await session.confirms(200)
    assert [len(batch) for batch in writes] == [200]
    assert [said(each)["code"] for each in confirms] == [200] * 200
    assert [each.headers[1].value for each in confirms] == [f"m-{n}" for n in range(200)]
    assert harness.tally.events_acked == harness.tally.frames_sent["ack"] == 200
    assert sum(harness.tally.event_ack_duration.counts) == 200


async def test_late_confirm_is_counted(harness, monkeypatch):
    """A confirmation after Feishu's deadline is written all the same, and counted."""
    monkeypatch.setattr("feishu_ws.upstream.confirm.DEADLINE_S", 0.01)
    session = await harness.open()
    harness.answer_with = None
    await session.send(data_frame(b"x"))
    while not harness.answers:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.02)
    harness.answers[0](200, None)
    await session.confirm()
    assert harness.tally.events_ack_deadline_exceeded == 1


async def test_confirm_of_a_dead_link(harness):
    """An answer that comes after its link died is counted and harms nothing."""
    session = await harness.open()
    harness.answer_with = None
    await session.send(data_frame(b"x"))
    while not harness.answers:
        await asyncio.sleep(0.005)
    session.reset()
    lost = await harness.record.wait(LinkLost)
    assert lost.unconfirmed == 1
    harness.answers[0](200, None)
    await asyncio.sleep(0.01)
    assert (harness.tally.event_ack_failures, harness.tally.events_acked) == (1, 0)


# -- parts --------------------------------------------------------------------------------


async def test_split_payload(harness):
    """Parts in any order give one payload; only the frame that completes it is confirmed."""
    session = await harness.open()
    parts = [data_frame(b"abcdef"[2 * n : 2 * n + 2], "m", n, 3) for n in range(3)]
    await session.send(parts[2], parts[0], parts[0], parts[1])
    confirm = await session.confirm()
    assert harness.payloads == [b"abcdef"]
    assert {h.key: h.value for h in confirm.headers}["seq"] == "1"
    assert session.frames.empty()


async def test_payload_of_4_mib(harness):
    """The largest payload arrives whole, in one frame and in parts."""
    session = await harness.open()
    whole = bytes(4 * MIB)
    await session.send(data_frame(whole))
    await session.send(*(data_frame(bytes(MIB), "p", n, 4) for n in range(4)))
    assert [said(each)["code"] for each in await session.confirms(2)] == [200, 200]
    assert harness.payloads == [whole, whole]


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([data_frame(bytes(4 * MIB + 1))], "too_large"),
        ([data_frame(b"x", seq=0, total=65)], "too_many_parts"),
        ([data_frame(b"x", seq=2, total=2)], "fragment_range"),
        ([data_frame(b"x", seq="one", total=2)], "fragment_range"),
        ([data_frame(b"x", seq=0, total="-1")], "fragment_range"),
        ([data_frame(b"x", seq=0, total="9" * 5000)], "fragment_range"),
        ([data_frame(b"x", seq=0, total=2, drop=("message_id",))], "missing_header"),
    ],
)
async def test_refused_payload(harness, frames, reason):
    """A payload over the bounds is answered 500, counted and told; the link goes on."""
    session = await harness.open()
    await session.send(*frames)
    assert said(await session.confirm()) == {"code": 500}
    assert harness.tally.frame_errors == {reason: 1}
    assert [each.reason for each in harness.record.of(PayloadRefused)] == [reason]
    await session.send(data_frame(b"next"))
    assert said(await session.confirm()) == {"code": 200}
    assert harness.payloads == [b"next"]
    assert len(harness.feishu.sessions) == 1


@pytest.mark.parametrize("missing", ["sum", "seq", "message_id", "trace_id"])
async def test_missing_header_of_a_whole_payload(harness, missing):
    """A whole payload is taken without the headers that only parts need."""
    session = await harness.open()
    await session.send(data_frame(b"x", drop=(missing,)))
    assert said(await session.confirm()) == {"code": 200}
    assert harness.payloads == [b"x"]
    assert harness.tally.frame_errors["missing_header"] == (missing != "trace_id")


# -- frames that cannot be used -----------------------------------------------------------


def control(kind):
    frame = Frame(SeqID=0, LogID=0, service=SERVICE, method=0)
    frame.headers.add(key="type", value=kind)
    return frame


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"garbage", "protobuf"),
        (b"", "protobuf"),
        ("text", "text"),
        (["two ", "pieces"], "text"),
        (Frame(SeqID=0, LogID=0, service=1, method=7), "unknown_method"),
        (control("what"), "unknown_type"),
        (data_frame(b"x", kind="what"), "unknown_type"),
        (data_frame(b"x", drop=("type",)), "missing_header"),
    ],
)
async def test_unusable_frame(harness, message, reason):
    """A frame that cannot be used is counted by reason, and nothing else is affected."""
    session = await harness.open()
    await session.send(message, message, message)
    await session.send(data_frame(b"next"))
    assert said(await session.confirm()) == {"code": 200}
    assert harness.payloads == [b"next"]
    assert harness.tally.frame_errors == {reason: 3}
    assert [each.reason for each in harness.record.of(FrameUnusable)] == [reason]
    assert len(harness.feishu.sessions) == 1


async def test_server_ping_is_ignored(harness):
    """Feishu's own ping towards us is counted and not answered, as in the official SDKs."""
    session = await harness.open()
    await session.send(encode_ping(SERVICE))
    await session.send(data_frame(b"next"))
    await session.confirm()
    assert harness.tally.frames_received["other"] == 1
    assert harness.tally.frame_errors == {}


async def test_fragmented_websocket_message(harness):
    """A message in several WebSocket frames is one frame of Feishu's."""
    session = await harness.open()
    raw = data_frame(b"x").SerializeToString()
    await session.ws.send([raw[:10], raw[10:20], raw[20:]])
    assert said(await session.confirm()) == {"code": 200}


async def test_frame_of_more_than_1_mib(harness):
    """The library's default limit does not apply."""
    session = await harness.open()
    await session.send(data_frame(bytes(3 * MIB)))
    assert said(await session.confirm()) == {"code": 200}


async def test_frame_over_the_limit(harness, monkeypatch):
    """A frame over our own limit ends the link with that cause, and a new one opens."""
    monkeypatch.setattr("feishu_ws.upstream.opening.MAX_FRAME", 1000)
    session = await harness.open()
    await harness.record.wait(LinkLive)
    await session.send(data_frame(bytes(2000)))
    lost = await harness.record.wait(LinkLost)
    assert lost.fault is Fault.FRAME_TOO_LARGE
    await harness.feishu.opened()


# -- pings and timings --------------------------------------------------------------------


async def test_both_pings_at_once(harness):
    """Right after opening both pings are sent; the application's carries the service."""
    session = await harness.open()
    live = await harness.record.wait(LinkLive)
    while harness.tally.pongs_received < 2:
        await asyncio.sleep(0.005)
    assert session.pings == 1
    assert harness.tally.pings_sent == 2
    assert harness.tally.frames_sent["ping"] == 1
    assert sum(harness.tally.ping_rtt.counts) == 2
    assert set(live.phases_s) == {"discovery", "dns", "tcp", "handshake"}
    assert 0 < sum(live.phases_s.values()) <= live.took_s + 0.01
    assert "t1cket" not in live.url


async def test_live_without_application_pongs(harness):
    """The WebSocket's own pong is enough to be live and to stay so."""
    harness.feishu.pong = None
    await harness.open(keepalive_interval_s=0.05, keepalive_timeout_s=1)
    await harness.record.wait(LinkLive)
    async with asyncio.timeout(5):
        while harness.tally.pongs_received < 4:
            await asyncio.sleep(0.01)
    assert harness.record.of(LinkLost) == []


async def test_pong_changes_the_timings(harness):
    """A pong's configuration is merged, told once, and obeyed."""
    harness.feishu.pong = {"PingInterval": 40}
    session = await harness.open()
    changed = await harness.record.wait(ServerTimingsChanged)
    assert (changed.ping_interval_s, changed.reconnect_count) == (40, -1)
    await session.send(encode_pong(SERVICE, b"{}"), encode_pong(SERVICE))
    await session.send(encode_pong(SERVICE, b'{"PingInterval":40}'), data_frame(b"x"))
    await session.confirm()
    assert len(harness.record.of(ServerTimingsChanged)) == 1
    assert harness.fleet.facts()[0].ping_interval_s == 40


async def test_absurd_pong_is_one_warning(harness):
    """A pong that makes no sense is ignored with one warning."""
    session = await harness.open()
    await harness.record.wait(LinkLive)
    await session.send(encode_pong(SERVICE, b"nonsense"), encode_pong(SERVICE, b"[]"))
    await session.send(data_frame(b"x"))
    await session.confirm()
    assert len(harness.record.of(LinkWarned)) == 1
    assert harness.fleet.facts()[0].ping_interval_s == 90


async def test_finite_reconnect_count_is_ignored(harness):
    """A finite ReconnectCount is one warning; the link comes back however often it is lost."""
    harness.feishu.config = harness.feishu.pong = {"ReconnectCount": 1}
    for _ in range(4):
        session = await (harness.feishu.opened() if harness.running else harness.open())
        await harness.record.wait(LinkLive, len(harness.feishu.sessions))
        session.reset()
    await harness.feishu.opened()
    assert len(harness.record.of(LinkWarned)) == 1


async def test_silent_peer(harness, feishu):
    """A peer that is silent though TCP is up is noticed in time, and a new link opens."""
    session = await harness.open(keepalive_interval_s=0.3, keepalive_timeout_s=0.2)
    await harness.record.wait(LinkLive)
    session.freeze()
    began = time.monotonic()
    feishu.refusals = [(503, {})] * 50  # else a fresh link takes over before it is dropped
    lost = await harness.record.wait(LinkLost)
    assert 0.15 < time.monotonic() - began < 0.3 + 0.2 + 1
    assert lost.fault is Fault.PONG_OVERDUE
    assert lost.close_code is None
    feishu.refusals = []
    await harness.feishu.opened()


async def test_silent_peer_whose_tcp_answers(harness, feishu):
    """Where TCP takes the ping the whole promise is waited for: more than the deadline, no more."""
    session = await harness.open(keepalive_interval_s=1, keepalive_timeout_s=0.1)
    await harness.record.wait(LinkLive)
    while harness.tally.pongs_received < 2:
        await asyncio.sleep(0.005)
    session.freeze()
    began = time.monotonic()
    feishu.refusals = [(503, {})] * 50
    harness.fleet.probe()
    await harness.record.wait(LinkLost)
    assert 0.1 + PROMISED_S < time.monotonic() - began < 1 + 0.1 + PROMISED_S + 0.5


async def test_suspect_link_is_replaced(harness):
    """Before a silent link is dropped a fresh one is live; nothing is told as lost."""
    session = await harness.open(keepalive_interval_s=0.2, keepalive_timeout_s=1)
    await harness.record.wait(LinkLive)
    session.freeze()
    replaced = await harness.record.wait(LinkReplaced)
    assert replaced.fault is Fault.LINK_SUSPECT
    assert harness.record.of(LinkLost) == []
    assert harness.fleet.live == 1
    fresh = await harness.feishu.opened()
    await fresh.send(data_frame(b"x"))
    await fresh.confirm()
    facts = harness.fleet.facts()[0]
    assert (facts.lives, facts.state) == (2, "connected")


async def test_what_a_replaced_link_owes(harness):
    """A replaced link stays until what it has read is confirmed on it."""
    harness.answer_with = None
    session = await harness.open(rotate_after_s=0.3)
    await session.send(data_frame(b"x"))
    await harness.record.wait(LinkLive, 2)
    await asyncio.sleep(0.2)
    assert harness.record.of(LinkReplaced) == []
    harness.answers[0](200, None)
    await session.confirm()
    assert (await harness.record.wait(LinkReplaced)).fault is Fault.ROTATED


async def test_what_a_replaced_link_owes_for_too_long(harness, monkeypatch):
    """A replaced link whose answers do not come is closed when Feishu's deadline is over."""
    monkeypatch.setattr(supervisor, "RETIRE_S", 0.2)
    harness.answer_with = None
    session = await harness.open(rotate_after_s=0.3)
    await session.send(data_frame(b"x"))
    await harness.record.wait(LinkLive, 2)
    began = time.monotonic()
    replaced = await harness.record.wait(LinkReplaced)
    assert 0.15 < time.monotonic() - began < 2
    assert replaced.unconfirmed == 1
    await session.ws.wait_closed()


async def test_rotation(harness):
    """A link that grew old is replaced by a fresh one, make before break, again and again."""
    await harness.open(rotate_after_s=0.1)
    await harness.record.wait(LinkReplaced, 3)
    assert harness.record.of(LinkLost) == []
    assert {each.unconfirmed for each in harness.record.of(LinkReplaced)} == {0}


async def test_rotation_that_is_refused(harness, feishu):
    """Where Feishu grants no connection more the old link stays, and says so once."""
    session = await harness.open(rotate_after_s=0.1)
    await harness.record.wait(LinkLive)
    feishu.refusals = [(200, {"Handshake-Status": "514", "Handshake-Autherrcode": "1000040350"})]
    warned = await harness.record.wait(LinkWarned)
    assert "connection_limit" in warned.detail
    await session.send(data_frame(b"x"))
    await session.confirm()
    assert harness.record.of(LinkLost) == harness.record.of(LinkReplaced) == []
    assert harness.record.of(LinkFailed) == []


async def test_stop_while_a_link_is_replaced(harness):
    """A stop ends old and new link within its deadline."""
    harness.answer_with = None
    session = await harness.open(rotate_after_s=0.2)
    await session.send(data_frame(b"x"))
    await harness.record.wait(LinkLive, 2)
    began = time.monotonic()
    await harness.fleet.stop(0.2)
    assert time.monotonic() - began < 2
    ends = [each.fault for each in harness.record.all if type(each) in {LinkLost, LinkReplaced}]
    assert sorted(ends) == sorted([Fault.LOCAL_STOP] + [Fault.ROTATED] * (len(ends) - 1))
    assert len(ends) == len(harness.record.of(LinkLive))
    await harness.running


async def test_any_frame_is_life(harness):
    """A link that answers no ping but delivers events is not given up."""
    session = await harness.open(keepalive_interval_s=0.1, keepalive_timeout_s=0.6)
    await harness.record.wait(LinkLive)
    session.freeze()
    for _ in range(10):
        await asyncio.sleep(0.1)
        await session.send(data_frame(b"x"))
    assert harness.record.of(LinkLost) == []


async def test_probe(harness, feishu):
    """A probe finds a dead link at once instead of at the next ping."""
    session = await harness.open(keepalive_interval_s=60, keepalive_timeout_s=60)
    await harness.record.wait(LinkLive)
    while harness.tally.pongs_received < 2:
        await asyncio.sleep(0.005)
    session.freeze()
    feishu.refusals = [(503, {})] * 50  # else a fresh link takes over before it is dropped
    harness.fleet.probe(0.1)
    lost = await harness.record.wait(LinkLost, within_s=2)
    assert lost.fault is Fault.PONG_OVERDUE


async def test_stalled_peer(harness, monkeypatch):
    """A peer that takes no more bytes is given up before memory is."""
    monkeypatch.setattr(c, "STALLED_AFTER_S", 0.2)
    session = await harness.open(keepalive_interval_s=60, keepalive_timeout_s=60)
    harness.answer_with = None
    big = data_frame(b"x", padding="p" * 60_000)
    await session.send(*[big] * 100)
    while len(harness.answers) < 100:
        await asyncio.sleep(0.005)
    session.freeze()
    for answer in harness.answers:
        answer(200, None)
    lost = await harness.record.wait(LinkLost, within_s=5)
    assert lost.fault is Fault.SEND_STALLED


async def test_unsent_bytes_are_bounded(harness, monkeypatch):
    """Over the bound of unsent bytes the link ends at once."""
    monkeypatch.setattr(c, "UNSENT_MAX", 1 * MIB)
    session = await harness.open(keepalive_interval_s=60, keepalive_timeout_s=60)
    harness.answer_with = None
    await session.send(*[data_frame(b"x", padding="p" * 60_000)] * 160)
    while len(harness.answers) < 160:
        await asyncio.sleep(0.005)
    session.freeze()
    for answer in harness.answers:
        answer(200, None)
    lost = await harness.record.wait(LinkLost, within_s=5)
    assert lost.fault is Fault.SEND_STALLED
    assert "at most" in lost.detail


async def test_unread_pongs_are_bounded(harness, monkeypatch):
    """A peer that pings and reads no pong is given up at the same bound."""
    monkeypatch.setattr(c, "UNSENT_MAX", 1 * MIB)
    session = await harness.open(keepalive_interval_s=60, keepalive_timeout_s=60)
    await harness.record.wait(LinkLive)
    session.freeze()
    ping = b"\x89\x7d" + bytes(125)
    session.ws.transport.write(ping * 80_000)
    lost = await harness.record.wait(LinkLost, within_s=8)
    assert lost.fault is Fault.SEND_STALLED
    assert "at most" in lost.detail


async def test_many_small_frames_are_taken_in_turns(harness):
    """While very much comes in the rest of the program goes on, and every frame is taken."""
    session = await harness.open()
    await harness.record.wait(LinkLive)
    session.ws.transport.write((b"\x82\x64" + b"\xff" * 100) * 8_000)
    await session.send(data_frame(b"x"))
    turns = 0
    async with asyncio.timeout(20):
        while not session.frames.qsize():
            await asyncio.sleep(0)
            turns += 1
    assert harness.tally.frame_errors == {"protobuf": 8_000}
    assert turns > 10


# -- endings ------------------------------------------------------------------------------


async def test_reset(harness):
    """An RST is one loss, and the first retry is at once."""
    session = await harness.open()
    await harness.record.wait(LinkLive)
    began = time.monotonic()
    session.reset()
    await harness.feishu.opened()
    assert time.monotonic() - began < 1
    [lost] = harness.record.of(LinkLost)
    assert (lost.fault, lost.close_code, lost.retry_in_s) == (Fault.CONNECTION_LOST, None, 0)


async def test_end_of_stream(harness):
    """An end of TCP without a close frame is a loss too."""
    session = await harness.open()
    await harness.record.wait(LinkLive)
    session.ws.transport.close()
    lost = await harness.record.wait(LinkLost)
    assert (lost.fault, lost.close_code) == (Fault.CONNECTION_LOST, None)


@pytest.mark.parametrize(
    ("code", "reason", "spread"),
    [(1000, "", False), (1000, "bye", True), (1001, "", True), (1012, "", True), (4000, "", False)],
)
async def test_close_frame(harness, code, reason, spread):
    """A close frame is Feishu's doing; an announced mass reconnect is spread over the nonce."""
    harness.feishu.config = harness.feishu.pong = {"ReconnectNonce": 25, "ReconnectInterval": 90}
    session = await harness.open()
    await harness.record.wait(LinkLive)
    await session.ws.close(code, reason)
    lost = await harness.record.wait(LinkLost)
    assert (lost.fault, lost.close_code) == (Fault.CLOSED_BY_FEISHU, code)
    assert (lost.retry_in_s > 0) is spread
    assert lost.retry_in_s <= 25


async def test_close_by_a_peer_that_keeps_tcp_open(harness):
    """A close frame ends the link even if the other side never ends TCP."""
    session = await harness.open()
    await harness.record.wait(LinkLive)
    session.ws.transport.write(b"\x88\x02\x03\xe8")
    lost = await harness.record.wait(LinkLost, within_s=3)
    assert (lost.fault, lost.close_code) == (Fault.CLOSED_BY_FEISHU, 1000)


async def test_no_websocket_any_more(harness):
    """Bytes that are no WebSocket end the link; nothing of them is told."""
    session = await harness.open()
    await harness.record.wait(LinkLive)
    session.ws.transport.write(b"\xffSECRET" * 10)
    lost = await harness.record.wait(LinkLost, within_s=3)
    assert lost.fault is Fault.CONNECTION_LOST
    assert "SECRET" not in lost.detail


async def test_closed_before_the_first_pong(harness):
    """A link that ends before anything answered was never live."""
    harness.feishu.silent = True
    session = await harness.open()
    session.reset()
    failed = await harness.record.wait(LinkFailed)
    assert (failed.fault, failed.phase) == (Fault.CONNECTION_LOST, "handshake")
    assert harness.record.of(LinkLive) == []


async def test_no_first_pong(harness):
    """A peer that opens and says nothing fails the attempt at its deadline."""
    harness.feishu.silent = True
    await harness.open(connect_timeout_s=0.3)
    failed = await harness.record.wait(LinkFailed)
    assert (failed.fault, failed.phase) == (Fault.CONNECT_TIMEOUT, "handshake")


async def test_defect_in_accept(harness, caplog):
    """A defect behind the receive path costs the link, and is called by its name."""
    session = await harness.open()
    await harness.record.wait(LinkLive)
    harness.fleet._links[0]._link._intake._accept = None
    await session.send(data_frame(b"x"))
    lost = await harness.record.wait(LinkLost)
    assert lost.fault is Fault.INTERNAL
    assert "TypeError" in lost.detail
    assert "Fatal error" in caplog.text


# -- stopping -----------------------------------------------------------------------------


async def test_drain_confirms_what_was_read(harness):
    """A stop waits for the answers to what was read, and takes nothing more."""
    session = await harness.open()
    await harness.record.wait(LinkLive)
    harness.answer_with = None
    await session.send(data_frame(b"read"))
    while not harness.answers:
        await asyncio.sleep(0.005)
    stopping = asyncio.create_task(harness.fleet.stop(5))
    await asyncio.sleep(0.02)
    await session.send(data_frame(b"too late"))
    await asyncio.sleep(0.02)
    assert not stopping.done()
    harness.answers[0](200, None)
    assert said(await session.confirm()) == {"code": 200}
    await asyncio.wait_for(stopping, 2)
    assert harness.payloads == [b"read"]
    [lost] = harness.record.of(LinkLost)
    assert (lost.fault, lost.unconfirmed) == (Fault.LOCAL_STOP, 0)


async def test_drain_has_a_deadline(harness):
    """A stop does not wait for answers that do not come."""
    session = await harness.open()
    await harness.record.wait(LinkLive)
    harness.answer_with = None
    await session.send(data_frame(b"x"))
    while not harness.answers:
        await asyncio.sleep(0.005)
    began = time.monotonic()
    await harness.fleet.stop(0.2)
    assert 0.19 <= time.monotonic() - began < 2  # uvloop counts whole milliseconds
    assert harness.record.of(LinkLost)[0].unconfirmed == 1


async def test_stop_of_a_frozen_peer(harness):
    """A peer that does not answer the close delays the stop by half a second at most."""
    session = await harness.open()
    await harness.record.wait(LinkLive)
    session.freeze()
    began = time.monotonic()
    await harness.fleet.stop(1)
    assert time.monotonic() - began < 2


# -- pure ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (1001, "", True),
        (1012, "x", True),
        (1000, "Bye!", True),
        (1000, "", False),
        (1011, "", False),
    ],
)
def test_mass_close(code, reason, expected):
    """Going away, service restart and "bye" mean more than one link."""
    assert is_mass_close(code, reason) is expected


@pytest.mark.parametrize(
    ("args", "fault"),
    [
        ((1000, None, None), Fault.CLOSED_BY_FEISHU),
        ((None, EOFError("x"), None), Fault.CONNECTION_LOST),
        ((None, None, ConnectionResetError(104, "reset")), Fault.CONNECTION_LOST),
        ((None, None, TimeoutError(110, "timed out")), Fault.CONNECTION_LOST),
        ((None, None, ZeroDivisionError()), Fault.INTERNAL),
    ],
)
def test_one_cause(args, fault):
    """Every end that is not ours has one cause, with words."""
    found = explain(*args)
    assert found.fault is fault
    assert found.detail


def test_default_timings():
    """Without any order the official SDKs' defaults hold."""
    assert ServerTimings() == ServerTimings(120, -1, 120, 30)
