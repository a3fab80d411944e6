"""A hundred thousand payloads nobody should send, through a real daemon to a real consumer.

Each is confirmed, and comes out as one line of JSON that holds it byte for byte; what a
client makes of the line does not fail either. `HOSTILE_SEED` makes another hundred thousand.
"""

import asyncio
import base64
import gc
import io
import json
import os
import re
import time
from pathlib import Path

import pytest
from events.hostile import DEEPEST, LARGE, STRUCTURED, hostile_payloads, large, nested
from processes import APP_ID, APP_SECRET, DaemonProcess
from soak.meter import read_kb
from support import eventually

from feishu_ws.cli.eventline import EventLines
from feishu_ws.cli.render import width
from feishu_ws.client import Delivery
from feishu_ws.events.cloudevent import encode_body
from feishu_ws.events.envelope import open_envelope
from feishu_ws.events.keys import dedupe_keys
from feishu_ws.model import MAX_PAYLOAD_BYTES, Event
from feishu_ws.simulator.corpus import text_message
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings
from feishu_ws.telemetry.catalogue import CATALOGUE, PREFIX
from feishu_ws.telemetry.labels import EVENT_TYPES, OTHER, Values
from feishu_ws.wire.native import EventParams, decode_params, event_line, parse_from_daemon

SEED = int(os.environ.get("HOSTILE_SEED", "20260320"))
COUNT = 100_000
SAMPLE_EVERY = 200  # payloads
IN_FLIGHT = 256
IN_FLIGHT_BYTES = 12 * 1024 * 1024
DEEPEST_JSON = 256
WIDEST = 120
IDLE_S = 30.0
GROWTH_MB = 12.0  # from the middle third of the payloads to the last
PEAK_MB = 220.0
HELLO = b'{"jsonrpc":"2.0","id":1,"method":"hello","params":{"consumer":"bot","window":4096}}\n'
SETTLE = b'{"jsonrpc":"2.0","method":"settle","params":{"positions":[%d]}}\n'
REPLY = b'{"jsonrpc":"2.0","method":"reply","params":{"data":{},"position":%d}}\n'
BLANK = re.compile(rb"[\r\n]")


# -- what should come out, told without the code under test --------------------------------


def is_json(payload):
    """Whether bytes are JSON by RFC 8259 in UTF-8, without NaN, at most 256 levels deep."""
    try:
        json.loads(payload.decode(), parse_constant=_refuse, parse_int=len)
    except (ValueError, RecursionError):
        return False
    return (
        payload.count(b"[") + payload.count(b"{") <= DEEPEST_JSON or depth(payload) <= DEEPEST_JSON
    )


def _refuse(word):
    raise ValueError(word)


def depth(text):
    """Return how deep valid JSON nests."""
    deepest = level = 0
    for mark in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", text):
        level += (mark in b"[{") - (mark in b"]}")
        deepest = max(deepest, level)
    return deepest


def check(payload, line, lines):
    """Check the line of a payload, and what a client makes of it; return the delivery."""
    found = json.loads(line.decode(), parse_constant=_refuse, parse_int=int_or_length)
    event = found["params"]["event"]
    if is_json(payload):
        assert "data_base64" not in event
        start = line.index(b',"data":') + len(b',"data":')
        assert line[start : start + len(payload)] == BLANK.sub(b" ", payload)
        assert line[start + len(payload) : start + len(payload) + 1] == b"}"
    else:
        assert "data" not in event
        assert base64.b64decode(event["data_base64"]) == payload
    params = parse_from_daemon(line).params
    delivery = Delivery(None, bytes(params), decode_params(params, EventParams))
    assert delivery.event.data is not None or payload.strip() == b"null"
    assert (delivery.message is None) == ("message" not in found["params"])
    for made in lines:
        *_, shown = made.line(delivery).split("\n")
        assert shown.replace("\u200d", "").isprintable()
    assert width(shown) <= WIDEST
    return delivery


def int_or_length(digits):
    return int(digits) if len(digits) < 20 else len(digits)


class _Terminal(io.StringIO):
    def isatty(self):
        return True


# -- the run -------------------------------------------------------------------------------


class Run:
    """Pushes payloads and checks what comes of them, a bounded number at a time."""

    def __init__(self, feishu, daemon):
        self._feishu = feishu
        self._daemon = daemon
        self._lines = (EventLines(io.StringIO()), EventLines(_Terminal()))
        self._waiting = {}
        self._bytes = 0
        self._news = asyncio.Event()
        self._confirmed = 0
        self.refused = []
        self.pushed = 0
        self.checked = 0

    async def push(self, payload):
        """Push one payload, once there is room."""
        while self._waiting and (
            len(self._waiting) >= IN_FLIGHT or self._bytes + len(payload) > IN_FLIGHT_BYTES
        ):
            await self._progress()
        self.pushed += 1
        self._waiting[self.pushed] = payload
        self._bytes += len(payload)
        self._feishu.push(payload, redeliver=False, watch=self._note)

    def _note(self, delivery):
        self._confirmed += 1
        if delivery.code != 200:
            self.refused.append(self._name(delivery.serial, "was answered", delivery.code))
        self._news.set()

    async def _progress(self):
        self._news.clear()
        async with asyncio.timeout(IDLE_S):
            await self._news.wait()

    async def finish(self):
        """Wait until everything was confirmed and delivered."""
        while self._waiting or self._confirmed < self.pushed:
            await self._progress()

    async def consume(self):
        """Read lines, check and settle them."""
        path = str(self._daemon.socket_path)
        reader, writer = await asyncio.open_unix_connection(path, limit=2**25)
        try:
            writer.write(HELLO)
            assert b'"result"' in await reader.readline()
            while line := await reader.readline():
                self._take(line.rstrip(b"\n"), writer)
        finally:
            writer.close()

    def _take(self, line, writer):
        position = decode_params(parse_from_daemon(line).params, EventParams).position
        payload = self._waiting.get(position)
        assert payload is not None, f"position {position} came twice, or is nothing that was sent"
        try:
            delivery = check(payload, line, self._lines)
        except Exception as exc:
            raise AssertionError(self._name(position, "is", payload[:2000])) from exc
        writer.write((REPLY if delivery.reply_by else SETTLE) % position)
        del self._waiting[position]
        self._bytes -= len(payload)
        self.checked += 1
        self._news.set()

    def _name(self, serial, *what):
        return f"payload {serial} of seed {SEED} {' '.join(map(str, what))}"


def series(page):
    """Return every series of a page of metrics: its name and its labels."""
    found = set()
    for line in page.decode().splitlines():
        if line and not line.startswith("#"):
            name, _, labels = line.rpartition(" ")[0].partition("{")
            found.add((name, tuple(re.findall(r'(\w+)="([^"]*)"', labels))))
    return found


def allowed(label):
    """Return the values a label may have, None where that is not a closed set."""
    return {
        Values.LISTED: {*label.values},
        Values.EVENT_TYPES: {*EVENT_TYPES, OTHER},
        Values.CONSUMERS: {"bot", OTHER},
        Values.LINKS: {"0"},
        Values.FREE: None,
    }[label.source]


def strange_labels(page):
    """Return the label values of a page that are in no closed set, with metric and label."""
    sets = {
        (PREFIX + metric.name, label.name): allowed(label)
        for metric in CATALOGUE
        for label in metric.labels
    }
    found = (
        (re.sub("_(bucket|sum|count)$", "", name), label, value)
        for name, labels in series(page)
        for label, value in labels
        if name.startswith(PREFIX) and label != "le"
    )
    return {
        (name, label, value)
        for name, label, value in found
        if sets[name, label] is not None and value not in sets[name, label]
    }


def test_a_strange_label_would_be_noticed():
    """A value of the set is none, any other is, on histograms too."""
    page = b"""# HELP x
feishu_ws_events_received_total{event_type="im.message.receive_v1"} 1.0
feishu_ws_events_received_total{event_type="x"} 1.0
feishu_ws_connect_phase_duration_seconds_bucket{phase="dns",le="0.1"} 1.0
feishu_ws_connect_phase_duration_seconds_bucket{phase="x",le="0.1"} 1.0
"""

    assert {value for _, _, value in strange_labels(page)} == {"x"}
    assert len(strange_labels(page)) == 2


@pytest.mark.timeout(400)
async def test_a_hundred_thousand(tmp_path, monkeypatch, record_property):
    """All confirmed, all delivered once as one line, nothing grows, nothing is raised."""
    monkeypatch.setenv("COLUMNS", str(WIDEST))
    monkeypatch.setenv("NO_COLOR", "1")
    settings = SimulatorSettings(
        app_id=APP_ID, app_secret=APP_SECRET, redelivery_s=(), checked_share=0.01, seed=SEED
    )
    async with Simulator(settings) as feishu:
        with DaemonProcess(
            tmp_path,
            feishu.domain,
            upstream__connections=1,
            delivery__consumers='["bot"]',
            journal__max_bytes=192 * 1024 * 1024,
        ) as daemon:
            await asyncio.to_thread(daemon.start)
            (link,) = await feishu.wait_for_links(1, 15)
            run = Run(feishu, daemon)
            consuming = asyncio.create_task(run.consume())
            pushing = asyncio.create_task(push_all(run, daemon))
            await asyncio.wait([consuming, pushing], return_when=asyncio.FIRST_COMPLETED)
            assert not consuming.done(), consuming.result()
            assert run.refused == []
            warm_mb, end_mb, peak_mb = pushing.result()
            refused = feishu.push(b'"' + b"x" * MAX_PAYLOAD_BYTES + b'"', redeliver=False)
            assert (await refused.confirmed(10))[0] == 500
            await run.push(text_message(COUNT + 1))
            await run.finish()
            await eventually(lambda: daemon.status()["consumers"][0]["pending"] == 0)
            page = (await asyncio.to_thread(daemon.get, "/metrics"))[1]
            status = daemon.status()
            links = {one.number for one in feishu.links}
            await asyncio.to_thread(daemon.stop)
            consuming.cancel()
            await asyncio.gather(consuming, return_exceptions=True)

    figures = f"resident {warm_mb:.0f} -> {end_mb:.0f} MB, peak {peak_mb:.0f} MB"
    print(f"\n{run.checked:,} payloads, {figures}")
    record_property("hostile", figures)
    assert (run.checked, status["journal"]["last"]) == (COUNT + 1, COUNT + 1)
    assert links == {link.number}, "the link was lost"
    assert strange_labels(page) == set()
    assert end_mb - warm_mb < GROWTH_MB, figures
    assert peak_mb < PEAK_MB, figures
    assert "Traceback" not in daemon.log()
    errors = [line for line in daemon.log_lines() if line["level"] in {"error", "critical"}]
    assert [line["event"] for line in errors] == ["payload.refused"]


async def push_all(run, daemon):
    """Push every payload; return the daemon's megabytes when warm, at the end, at the most.

    The least of many samples leaves out what a large payload takes for a moment.
    """
    samples = []
    for number, payload in enumerate(hostile_payloads(SEED, COUNT)):
        if number % SAMPLE_EVERY == 0:
            samples.append(megabytes(daemon, "VmRSS"))
        await run.push(payload)
    await run.finish()
    third = len(samples) // 3
    warm_mb, end_mb = min(samples[third : 2 * third]), min(samples[2 * third :])
    return warm_mb, end_mb, megabytes(daemon, "VmHWM")


def megabytes(daemon, name):
    return read_kb(Path(f"/proc/{daemon.process.pid}"), name) * 1024 / 1e6


# -- how long it takes ---------------------------------------------------------------------

TIMES = 8  # so much larger is one payload than the other
MOST = 24.0  # times as long may it take, for caches end somewhere; the square would be 64
SPARE_S = 0.02  # what is so quick is not compared
MOST_S = 1.5  # of the largest payload, in daemon and client together
REPEATS = 2
TRIES = 4


def duration(payload, lines):
    """Return the seconds of CPU that daemon and client spend on a payload."""
    began_s = time.process_time()
    opened = open_envelope(payload)
    made = Event(opened, payload, 1_774_004_591_415, dedupe_keys(opened, payload), 1)
    line = event_line(1, 1, None, encode_body(made, "cli_own"), late=False)
    params = parse_from_daemon(line.rstrip()).params
    delivery = Delivery(None, bytes(params), decode_params(params, EventParams))
    assert delivery.message is None or delivery.message["text"] is not None
    assert lines.line(delivery)
    return time.process_time() - began_s


def quickest(payload, lines):
    """Return the shortest of several durations, without what the collector takes."""
    gc.collect()
    gc.disable()
    try:
        return min(duration(payload, lines) for _ in range(REPEATS))
    finally:
        gc.enable()


def pairs():
    """Return payloads and their likes `TIMES` as large, by name."""
    for size in (LARGE, STRUCTURED):
        small = dict(large(size // TIMES))
        yield from ((f"{name}, {size}", small[name], made) for name, made in large(size))
    shallow, deep = nested(DEEPEST // TIMES), nested(DEEPEST)
    for number, (one, other) in enumerate(zip(shallow, deep, strict=True)):
        yield f"nested {number}", one, other


def test_time_grows_with_size_and_no_faster():
    """No search, no parser and no joining of text takes the square of a payload's size."""
    lines = EventLines(io.StringIO())
    slow = {}
    for name, one, other in pairs():
        for _ in range(TRIES):  # what is slow by itself is slow every time
            short_s, long_s = quickest(one, lines), quickest(other, lines)
            if long_s <= min(SPARE_S + MOST * short_s, MOST_S):
                break
        else:
            slow[name] = f"{short_s * 1000:.1f} -> {long_s * 1000:.1f} ms"

    assert slow == {}
