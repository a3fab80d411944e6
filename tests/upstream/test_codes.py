"""Every answer Feishu is known to give, and any other: the fault it is, and what is done then.

All of it goes through the real fleet, supervisor, discovery and opening, over loopback
sockets and on a manual clock. What is expected stands here as data, written from the
protocol and not from the code. Source: lark-oapi 1.7.5 ws/client.py:108-125 and 252-309,
oapi-sdk-go v3.2.2 ws/const.go, Feishu docs "频控策略".
"""

import asyncio
import io
import json
from contextlib import asynccontextmanager
from random import Random
from typing import NamedTuple

import pytest
from upstream.fake import CONFIG, answer

from feishu_ws.clock import ManualClock
from feishu_ws.faults import FeishuWsError
from feishu_ws.happenings import FleetResized, LinkDialed, LinkFailed, LinkLive, LinkWarned
from feishu_ws.secret import Secret
from feishu_ws.tally import Tally
from feishu_ws.telemetry.health import FaultWatch
from feishu_ws.telemetry.log_sink import LogSink
from feishu_ws.telemetry.logs import Logs
from feishu_ws.upstream import netwatch
from feishu_ws.upstream.fleet import Fleet
from feishu_ws.upstream.settings import Credentials, UpstreamSettings

# -- what is done about a fault, as the waits after four of them in a row -----------------

RETRY = (0, 40, 60, 60)  # at once, then anything up to 40 s here, never over 60 s
HOLD = (15, 30, 60, 120)
AT_LIMIT = (15, 30, 60, 60)  # with no link live
LONGEST_HOLD = (15, 30, 60, 120, 240, 480, 900, 900)

HELD = {"credentials_refused", "access_refused", "connection_limit"}


class Top(Random):
    """A source of jitter that always gives the most."""

    def uniform(self, _, high):
        return high


class Trial:
    """A fleet on a clock that stands still, its log, and what the status would show."""

    def __init__(self, feishu, *, proven=True, rng=None, connections=1):
        self.feishu = feishu
        self.clock = ManualClock()
        self.seen = []
        self.proven = []
        self._changed = asyncio.Event()
        self._stream = io.StringIO()
        logs = Logs(self.clock, style="json", stream=self._stream, env={})
        self._sink = LogSink(logs, self.clock)
        self.watch = FaultWatch()
        self.fleet = Fleet(
            UpstreamSettings(connections=connections, backoff_base_s=40),
            Credentials("cli_a", Secret("s3cret"), feishu.domain),
            lambda _, confirm: confirm(200, None),
            self._observe,
            Tally(),
            self.clock,
            rng or Top(),
            proven=proven,
            on_proven=lambda: self.proven.append(True),
            own_addresses=lambda: frozenset({"192.0.2.7"}),
        )
        self.running = asyncio.create_task(self.fleet.run())
        self.running.add_done_callback(lambda _: self._changed.set())

    def _observe(self, happening):
        self.seen.append(happening)
        self._sink.observe(happening)
        self.watch.observe(happening, self.clock.monotonic())
        self._changed.set()

    def of(self, kind):
        return [each for each in self.seen if type(each) is kind]

    async def until(self, kind, number=1):
        """Wait for the `number`th happening of a kind."""
        async with asyncio.timeout(10):
            while len(self.of(kind)) < number:
                assert not self.running.done(), self.running.exception()
                self._changed.clear()
                await self._changed.wait()
        return self.of(kind)[number - 1]

    async def fails(self, times):
        """Return that many failed attempts in a row; time goes by only between them."""
        for number in range(1, times):
            failed = await self.until(LinkFailed, number)
            await self._pass(failed.retry_in_s)
        await self.until(LinkFailed, times)
        return self.of(LinkFailed)

    async def heals(self):
        """Wait out the last failure; nothing is left of it once the link is live."""
        await self._pass(self.of(LinkFailed)[-1].retry_in_s)
        await self.until(LinkLive)
        link = self.fleet.facts()[0]
        assert (link.state, link.fault, link.code) == ("connected", None, None)
        assert self.watch.active(self.clock.monotonic()) == ()

    async def _pass(self, seconds):
        """Let time go by, once the link has gone to sleep."""
        while seconds and self.fleet.facts()[0].retry_at_ms is None:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        dialed = len(self.of(LinkDialed))
        self.clock.advance(seconds - 0.001)
        await asyncio.sleep(0)
        assert seconds == 0 or len(self.of(LinkDialed)) == dialed
        self.clock.advance(0.002)

    def log(self, event="link.failed"):
        lines = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]


@pytest.fixture(autouse=True)
def _no_sleep_is_noticed(monkeypatch):
    """A manual clock jumps; that is no machine that slept."""
    monkeypatch.setattr(netwatch, "ASLEEP_S", float("inf"))


@pytest.fixture
async def trials(feishu):
    made = []

    def begin(**options):
        made.append(Trial(feishu, **options))
        return made[-1]

    yield begin
    for each in made:
        if not each.running.done():
            await each.fleet.stop(0)
        await asyncio.gather(each.running, return_exceptions=True)


class Row(NamedTuple):
    """Answers that mean the same, and what they mean."""

    name: str
    answers: tuple
    fault: str
    code: int | None
    waits: tuple


def check(trial, row, phase):
    """Every answer of a row is its fault, and the waits are those of its remedy."""
    failed = trial.of(LinkFailed)
    assert {(each.fault, each.phase, each.code) for each in failed} == {
        (row.fault, phase, row.code)
    }
    assert tuple(each.retry_in_s for each in failed) == row.waits
    is_held = row.fault in HELD
    link = trial.fleet.facts()[0]
    assert (link.state, link.fault, link.code) == (
        "held" if is_held else "backoff",
        row.fault,
        row.code,
    )
    assert link.consecutive_failures == len(row.waits)
    check_loud(trial, row, is_held)


def check_loud(trial, row, is_held):
    """The first line of the log says it all, an operator's part louder; the status shows it."""
    line = trial.log()[0]
    assert line["level"] == ("error" if is_held else "warning")
    assert (line["fault"], line.get("code")) == (row.fault, row.code)
    assert line["hint"]
    assert row.code is None or str(row.code) in line["detail"]
    [active] = trial.watch.active(trial.clock.monotonic())
    assert (active.fault, active.concern) == (row.fault, "link")
    assert "s3cret" not in str(line)
    assert "t1cket" not in str(line)


# -- discovery: codes ---------------------------------------------------------------------

CODES = {
    1: ("feishu_busy", RETRY),
    403: ("access_refused", HOLD),
    514: ("access_refused", HOLD),
    99991400: ("rate_limited", RETRY),
    1000040343: ("feishu_busy", RETRY),
    1000040344: ("credentials_refused", HOLD),
    1000040345: ("credentials_refused", HOLD),
    1000040346: ("credentials_refused", HOLD),
    1000040350: ("connection_limit", AT_LIMIT),
    1000040351: ("feishu_busy", RETRY),
    2: ("refused_unknown", RETRY),
    10014: ("refused_unknown", RETRY),
    1000040347: ("refused_unknown", RETRY),
    1000049999: ("refused_unknown", RETRY),
    -1: ("refused_unknown", RETRY),
    2**63 - 1: ("refused_unknown", RETRY),
}
NO_CODES = ["10**30", '"0"', '"1000040345"', "true", "false", "null", "0.0", "1000040345.0", "[]"]
URL = "ws://127.0.0.1:1/ws?device_id=d&service_id=1&ticket=t1cket"


def refusals(code):
    """The same code beside every shape of data: empty, none, absent, even a whole endpoint."""
    some = ('"data":{"URL":""},', '"data":null,', "", f'"data":{{"URL":"{URL}"}},')
    return tuple(answer(body=f'{{{data}"msg":"no","code":{code}}}'.encode()) for data in some)


CODE_ROWS = [
    Row(str(code), refusals(code), fault, code, waits) for code, (fault, waits) in CODES.items()
] + [
    Row(text, refusals(text.replace("10**30", "1" + "0" * 30)), "discovery_malformed", None, RETRY)
    for text in NO_CODES
]

# -- discovery: HTTP ----------------------------------------------------------------------

DATE = "Mon, 23 Nov 2026 18:00:00 GMT"
LATER = "Mon, 23 Nov 2026 18:00:42 GMT"
TOO_FAST = b'{"code":99991400,"msg":"request trigger frequency limit"}'
PORTAL = b"<!DOCTYPE html><html><title>Welcome to our hotel</title></html>"

STATUSES = {
    "discovery_failed": [201, 204, 400, 401, 403, 418, 500, 501, 502, 503, 504, 514],
    "discovery_malformed": [301, 302, 303, 307, 308, 404, 405, 511],
    "rate_limited": [429],
}
ASKED = [
    (429, {"x_ogw_ratelimit_reset": "7"}, "rate_limited", (7, 40, 60, 60)),
    (429, {"X_OGW_RateLimit_Reset": "52"}, "rate_limited", (52, 52, 60, 60)),
    (429, {"Retry_After": "7"}, "rate_limited", (7, 40, 60, 60)),
    (429, {"Retry_After": LATER, "Date": DATE}, "rate_limited", (42, 42, 60, 60)),
    (429, {"Retry_After": LATER}, "rate_limited", RETRY),  # no Date to go by
    (429, {"Retry_After": DATE, "Date": LATER}, "rate_limited", RETRY),  # long over
    (429, {"Retry_After": "soon"}, "rate_limited", RETRY),
    (429, {"Retry_After": "-7"}, "rate_limited", RETRY),
    (429, {"Retry_After": "0"}, "rate_limited", RETRY),
    (429, {"x_ogw_ratelimit_reset": "52", "Retry_After": "7"}, "rate_limited", (52, 52, 60, 60)),
    (429, {"x_ogw_ratelimit_reset": "soon", "Retry_After": "7"}, "rate_limited", (7, 40, 60, 60)),
    (429, {"x_ogw_ratelimit_reset": "9" * 12}, "rate_limited", (900, 900, 900, 900)),
    (503, {"Retry_After": "7"}, "discovery_failed", (7, 40, 60, 60)),
    (302, {"Retry_After": "7", "Location": "/"}, "discovery_malformed", (7, 40, 60, 60)),
]
HTTP_ROWS = (
    [
        Row(f"HTTP {status}", (answer(status, body),) * 4, fault, status, RETRY)
        for fault, statuses in STATUSES.items()
        for status in statuses
        for body in [b"" if status == 204 else PORTAL]
    ]
    + [
        Row(f"HTTP {status} {headers}", (answer(status, **headers),) * 4, fault, status, waits)
        for status, headers, fault, waits in ASKED
    ]
    + [
        Row(
            f"HTTP {status} with the code of a rate limit",
            (answer(status, TOO_FAST, x_ogw_ratelimit_reset="52"),) * 4,
            "rate_limited",
            status,
            (52, 52, 60, 60),
        )
        for status in (400, 429)
    ]
    + [
        Row(
            "HTTP 429 with 1 MiB",
            (answer(429, b"x" * 2**20, Retry_After="7"),) * 4,
            "rate_limited",
            429,
            (7, 40, 60, 60),
        ),
        Row(
            "code 99991400 asks to wait",
            (answer(200, TOO_FAST, x_ogw_ratelimit_reset="52"),) * 4,
            "rate_limited",
            99991400,
            (52, 52, 60, 60),
        ),
        Row(
            "a hold that is asked to be longer",
            (answer(200, b'{"code":403}', Retry_After="100"),) * 4,
            "access_refused",
            403,
            (100, 100, 100, 120),
        ),
    ]
)

# -- discovery: bodies --------------------------------------------------------------------

NO_ENDPOINT = {
    "data null": b'{"code":0,"data":null}',
    "data absent": b'{"code":0}',
    "data array": b'{"code":0,"data":[]}',
    "URL empty": b'{"code":0,"data":{"URL":""}}',
    "URL absent": b'{"code":0,"data":{"ClientConfig":{}}}',
    "URL null": b'{"code":0,"data":{"URL":null}}',
    "URL number": b'{"code":0,"data":{"URL":7}}',
    "URL https": b'{"code":0,"data":{"URL":"https://msg-frontier.feishu.cn/ws?ticket=t1cket"}}',
    "URL ws": b'{"code":0,"data":{"URL":"ws://msg-frontier.feishu.cn/ws?ticket=t1cket"}}',
    "URL without host": b'{"code":0,"data":{"URL":"wss:///ws?ticket=t1cket"}}',
    "not JSON": b"OK",
    "half JSON": b'{"code":0,"data":{"URL":"ws',
    "empty": b"",
    "portal": PORTAL,
    "array": b"[]",
    "null": b"null",
    "string": b'"ok"',
    "not UTF-8": b'{"code":0,"msg":"\xff"}',
    "deep": b"[" * 50_000,
    "no code": b'{"data":{"URL":"%s"}}' % URL.encode(),
    "1 MiB": b"x" * 2**20,
    "1 MiB of JSON": b'{"code":0,"data":{"URL":"%s"}}' % URL.encode() + b" " * 2**20,
}
NO_ANSWER = {
    "hung up": b"",
    "half an answer": b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"',
    "no HTTP": b"220 mail.example ESMTP\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000,
}
BODY_ROWS = [
    Row(name, (answer(body=body),) * 4, "discovery_malformed", None, RETRY)
    for name, body in NO_ENDPOINT.items()
] + [Row(name, (raw,) * 4, "discovery_failed", None, RETRY) for name, raw in NO_ANSWER.items()]


@pytest.mark.parametrize("row", CODE_ROWS + HTTP_ROWS + BODY_ROWS, ids=lambda row: row.name)
async def test_discovery(feishu, trials, row):
    """Each answer of discovery is one fault, its remedy follows, and it heals by itself."""
    feishu.script = list(row.answers)
    trial = trials()
    await trial.fails(len(row.waits))
    check(trial, row, "discovery")
    await trial.heals()
    assert len(feishu.requests) == len(row.waits) + 1  # and no request more


@pytest.mark.parametrize("code", [403, 1000040344, 1000040345, 1000040346])
async def test_longest_hold(feishu, trials, code):
    """A hold grows to 15 minutes, and no further, for as long as it takes."""
    feishu.script = list(refusals(code)) * 2
    failed = await (trial := trials()).fails(8)
    assert tuple(each.retry_in_s for each in failed) == LONGEST_HOLD
    assert [line["level"] for line in trial.log()] == ["error"] * 8
    await trial.heals()


async def test_waits_are_jittered(feishu, trials):
    """What is retried waits anything up to the window, so that links do not come in step."""
    found = set()
    for seed in range(4):
        feishu.script = list(refusals(1))
        failed = await trials(rng=Random(seed)).fails(4)
        waits = [each.retry_in_s for each in failed]
        assert waits[0] == 0
        assert all(0 <= wait <= cap for wait, cap in zip(waits, RETRY, strict=True))
        found.add(tuple(waits))
    assert len(found) == 4


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(feishu, trials, status):
    """App id and secret go to no other place than the configured one."""
    async with gate(b"") as elsewhere:
        place = f"http://127.0.0.1:{elsewhere.port}/callback/ws/endpoint"
        feishu.script = [answer(status, Location=place)] * 2
        trial = trials()
        await trial.fails(2)
        await trial.heals()
    assert elsewhere.heads == []
    assert str(elsewhere.port) not in str(trial.log())


ODD_CONFIGS = {
    "absent": {},
    "null": {"ClientConfig": None},
    "array": {"ClientConfig": []},
    "partial": {"ClientConfig": {"PingInterval": 30}},
    "finite": {"ClientConfig": {**CONFIG, "ReconnectCount": 7}},
    "absurd": {"ClientConfig": dict.fromkeys(CONFIG, 10**30)},
    "of other types": {"ClientConfig": dict.fromkeys(CONFIG, "90")},
}


@pytest.mark.parametrize("name", ODD_CONFIGS)
async def test_client_config(feishu, trials, name):
    """Whatever the ClientConfig, the link goes live; a finite ReconnectCount is one warning."""
    data = {"URL": feishu.url, **ODD_CONFIGS[name]}
    feishu.script = [answer(body=json.dumps({"code": 0, "data": data}).encode())]
    trial = trials()
    await trial.until(LinkLive)
    said = [each.detail for each in trial.of(LinkWarned)]
    assert [text.startswith("Feishu orders ReconnectCount") for text in said] == (
        [True] if name in {"finite", "absurd"} else []
    )
    assert trial.of(LinkFailed) == []


# -- exit 77 ------------------------------------------------------------------------------


async def test_credentials_that_never_worked(feishu, trials):
    """Refused after 0, 15 and 45 s, credentials that never worked end the run."""
    feishu.script = [refusals(code)[0] for code in (1000040345, 1000040346, 1000040345)]
    trial = trials(proven=False)
    began_s = trial.clock.monotonic()
    await trial.fails(3)
    with pytest.raises(FeishuWsError) as caught:
        await trial.running
    assert caught.value.fault == "credentials_refused"
    assert [each.retry_in_s for each in trial.of(LinkFailed)] == [15, 30, None]
    assert trial.of(LinkFailed)[-1].detail.endswith("never worked with this journal: given up")
    assert trial.clock.monotonic() - began_s == pytest.approx(45, abs=0.01)
    assert len(feishu.requests) == 3


@pytest.mark.parametrize(
    ("codes", "proven"),
    [
        ([1000040345] * 4, True),
        ([1000040344] * 4, False),
        ([403] * 4, False),
        ([514] * 4, False),
        ([1000040350] * 4, False),
        ([1000049999] * 4, False),
        ([1000040345, 1000040346, 1, 1000040345, 1000040346], False),
    ],
)
async def test_everything_else_is_waited_out(feishu, trials, codes, proven):
    """Credentials that once worked, other codes, and refusals with others between never end it."""
    feishu.script = [refusals(code)[0] for code in codes]
    trial = trials(proven=proven)
    await trial.fails(len(codes))
    await trial.heals()
    assert trial.proven == ([] if proven else [True])


async def test_sooner_tries_do_not_end_the_run(feishu, trials):
    """An address that changes makes tries come at once; they do not make the exit come sooner."""
    feishu.script = [refusals(1000040345)[0]] * 5
    trial = trials(proven=False)
    for number in range(1, 4):
        await trial.until(LinkFailed, number)
        while trial.fleet.facts()[0].retry_at_ms is None:
            await asyncio.sleep(0)
        trial.fleet.probe()
    await trial.until(LinkFailed, 4)
    assert not trial.running.done()


# -- the handshake ------------------------------------------------------------------------


@asynccontextmanager
async def gate(reply):
    """A port that takes one request each time and answers with `reply`, whatever it was."""
    heads = []

    async def serve(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(server.reply)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    server.reply, server.heads = reply, heads
    server.port = server.sockets[0].getsockname()[1]
    async with server:
        yield server


def upgrade(status, handshake="-", code="-", **headers):
    """An answer to the upgrade; "-" leaves a header out."""
    known = {"Handshake_Status": handshake, "Handshake_Autherrcode": code}
    given = {key: value for key, value in known.items() if value != "-"}
    return answer(status, **given, **headers)


ACCESS, REFUSED, LIMIT = "access_refused", "handshake_refused", "connection_limit"
SECRET, BUSY, UNKNOWN = "credentials_refused", "feishu_busy", "refused_unknown"
AUTHERRCODES = [
    "1000040350",
    "1000040345",
    "1000040343",
    "1000040351",
    "1000049999",
    "-",
    "0",
    "soon",
]
MEANINGS = {
    # Handshake-Status, then what it means with each Handshake-Autherrcode
    "403": [ACCESS, ACCESS, ACCESS, ACCESS, ACCESS, ACCESS, ACCESS, ACCESS],
    "514": [LIMIT, SECRET, BUSY, BUSY, UNKNOWN, REFUSED, REFUSED, REFUSED],
    "500": [REFUSED] * 8,
    "1000040350": [REFUSED] * 8,
    "-": None,  # what the HTTP status means: not Feishu's own refusal
    "soon": None,
}
HTTP_STATUSES = {200: REFUSED, 302: REFUSED, 403: REFUSED, 429: "rate_limited", 500: REFUSED,
                 514: REFUSED}  # fmt: skip

CELLS = [
    (http, handshake, code, by_http if meanings is None else meanings[at])
    for http, by_http in HTTP_STATUSES.items()
    for handshake, meanings in MEANINGS.items()
    for at, code in enumerate(AUTHERRCODES)
]


@pytest.mark.parametrize(("http", "handshake", "code", "fault"), CELLS)
async def test_handshake(feishu, trials, http, handshake, code, fault):
    """Each combination of HTTP status, Handshake-Status and code is one fault, with a code."""
    async with gate(upgrade(http, handshake, code, Location="http://127.0.0.1:1/")) as refusing:
        feishu.ws_port = refusing.port
        trial = trials()
        failed = await trial.until(LinkFailed)
    is_code = code.isdigit() and int(code) > 0
    said = int(code) if is_code else int(handshake if handshake.isdigit() else http)
    expected = said if handshake.isdigit() else http
    assert (failed.fault, failed.phase, failed.code) == (fault, "handshake", expected)
    assert failed.retry_in_s == (15 if fault in HELD else 0)
    check_loud(trial, Row("", (), fault, expected, ()), fault in HELD)
    assert [word for word in ("None", "t1cket") if word in failed.detail] == []
    assert code in failed.detail or not is_code


HANDSHAKE_ROWS = [
    Row("forbidden", (upgrade(403, "403"),), "access_refused", 403, HOLD),
    Row("limit", (upgrade(200, "514", "1000040350"),), "connection_limit", 1000040350, AT_LIMIT),
    Row("secret", (upgrade(403, "514", "1000040345"),), "credentials_refused", 1000040345, HOLD),
    Row("busy", (upgrade(403, "514", "1000040343"),), "feishu_busy", 1000040343, RETRY),
    Row("unknown", (upgrade(403, "514", "1000049999"),), "refused_unknown", 1000049999, RETRY),
    Row("no code", (upgrade(403, "514"),), "handshake_refused", 514, RETRY),
    Row("gateway", (upgrade(502),), "handshake_refused", 502, RETRY),
    Row("too many", (upgrade(429, Retry_After="7"),), "rate_limited", 429, (7, 40, 60, 60)),
    Row(
        "asked to wait",
        (upgrade(503, "514", x_ogw_ratelimit_reset="52"),),
        "handshake_refused",
        514,
        (52, 52, 60, 60),
    ),
    Row("101 without upgrade", (upgrade(101, "514", "1000040350"),), REFUSED, None, RETRY),
    Row("no WebSocket", (b"220 mail.example ESMTP\r\n",), REFUSED, None, RETRY),
    Row("hung up", (b"",), REFUSED, None, RETRY),
]


@pytest.mark.parametrize("row", HANDSHAKE_ROWS, ids=lambda row: row.name)
async def test_what_a_refused_handshake_leads_to(feishu, trials, row):
    """A refused handshake is retried or held like discovery's, each time with a fresh URL."""
    well = feishu.ws_port
    async with gate(row.answers[0]) as refusing:
        feishu.ws_port = refusing.port
        trial = trials(proven=False)  # a secret refused here is held all the same
        await trial.fails(4)
        check(trial, row, "handshake")
        feishu.ws_port = well
        await trial.heals()
    assert len(refusing.heads) == 4
    assert len(feishu.requests) == 5
    assert trial.proven == [True]


@pytest.mark.parametrize("name", ["handshake-status", "HANDSHAKE-STATUS", "hAnDsHaKe-StAtUs"])
async def test_case_of_headers(feishu, trials, name):
    """Feishu's headers are known in any case."""
    async with gate(f"HTTP/1.1 403 X\r\n{name}: 403\r\n\r\n".encode()) as refusing:
        feishu.ws_port = refusing.port
        failed = await trials().until(LinkFailed)
    assert failed.fault == "access_refused"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"connections exceed limit", ' "connections exceed limit"'),
        ("连接数超过限制".encode(), ' "连接数超过限制"'),
        (b"not \xff UTF-8,\ttabs", ' "not \ufffd UTF-8,?tabs"'),
        (b"long " * 100, f' "{("long " * 100)[:120]}"'),
        (b"", ""),
    ],
)
async def test_words_of_a_handshake(feishu, trials, said, told):
    """What Feishu says beside a refusal is in the log, as far as it can be printed."""
    head = b"HTTP/1.1 403 X\r\nHandshake-Status: 514\r\nHandshake-Autherrcode: 1000040350\r\n"
    async with gate(head + b"Handshake-Msg: " + said + b"\r\n\r\n") as refusing:
        feishu.ws_port = refusing.port
        trial = trials()
        await trial.until(LinkFailed)
    [line] = trial.log()
    assert line["detail"] == (
        f"the upgrade was refused with Handshake-Status 514{told},"
        " code 1000040350, expected HTTP 101"
    )


async def test_limit_beside_a_live_link(feishu, trials):
    """With a link live, the limit shrinks the fleet; the surplus is tried once a minute."""
    trial = trials(connections=2)
    await trial.until(LinkLive)
    async with gate(upgrade(200, "514", "1000040350")) as refusing:
        feishu.ws_port = refusing.port
        await asyncio.sleep(0)
        trial.clock.advance(1)
        failed = await trial.until(LinkFailed)
        while trial.fleet.facts()[1].retry_at_ms is None:
            await asyncio.sleep(0)
        trial.clock.advance(1)
        assert (await trial.until(FleetResized)).links == 1
    assert (failed.link, failed.fault, failed.retry_in_s) == (1, "connection_limit", 60)
    assert [link.state for link in trial.fleet.facts()] == ["connected", "held"]
