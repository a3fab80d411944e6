"""Happenings become log lines."""

import dataclasses
import io
import re
from typing import get_type_hints

import msgspec
import pytest

from feishu_ws import happenings as h
from feishu_ws.clock import ManualClock
from feishu_ws.faults import CATALOGUE, Fault, Remedy
from feishu_ws.telemetry.log_sink import LEVEL_OF, REPEAT_S, SETTLED_S, LogSink, name_of
from feishu_ws.telemetry.logs import LEVELS, Logs, timestamp

KINDS = [
    each
    for each in vars(h).values()
    if isinstance(each, type) and issubclass(each, h.Happening) and each is not h.Happening
]


class Sink:
    def __init__(self):
        self.clock = ManualClock()
        self.stream = io.StringIO()
        logs = Logs(self.clock, level="debug", style="json", stream=self.stream, env={})
        self.sink = LogSink(logs, self.clock)

    def observe(self, *happenings):
        for happening in happenings:
            self.sink.observe(happening)

    def taken(self):
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        return [msgspec.json.decode(line) for line in text.splitlines()]


@pytest.fixture
def sink():
    return Sink()


def lost(link=0, fault=Fault.PONG_OVERDUE, **changes):
    return h.LinkLost(link, fault, "no pong", 812.40049, retry_in_s=0.7, **changes)


def failed(link=0, fault=Fault.DNS_FAILED, failures=1):
    return h.LinkFailed(link, fault, "dns", "", failures, retry_in_s=5)


def connected(name):
    return h.ConsumerConnected(name, durable=True, cursor=0, behind=0)


def example(kind):
    """A happening of any kind, with plausible values."""
    plain = {int: 3, float: 0.1234567, str: "word", bool: True, Fault: Fault.DISK_FULL}
    hints = get_type_hints(kind)
    required = [f for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING]
    return kind(**{f.name: plain.get(hints[f.name], ()) for f in required if f.init})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_happening_has_a_level_and_a_line(sink, kind):
    """The table is complete, and every line is called `noun.verb`."""
    sink.observe(example(kind))
    [line] = sink.taken()
    assert line["level"] in LEVELS
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*\.[a-z]+", line["event"])


def test_the_table_names_no_happening_that_is_gone():
    """Table and module agree."""
    assert set(LEVEL_OF) == set(KINDS)


def test_names_are_distinct():
    """Two happenings never share a log event."""
    assert len({name_of(kind) for kind in KINDS}) == len(KINDS)
    assert name_of(h.ServerTimingsChanged) == "server_timings.changed"


def test_a_loss_is_one_line_with_its_fields(sink):
    """Floats are rounded, empty fields left out, the fault brings its hint."""
    sink.observe(lost(1))
    [line] = sink.taken()
    del line["ts"]
    assert line == {
        "level": "warning",
        "event": "link.lost",
        "link": 1,
        "fault": "pong_overdue",
        "detail": "no pong",
        "lived_s": 812.4,
        "retry_in_s": 0.7,
        "unconfirmed": 0,
        "hint": CATALOGUE[Fault.PONG_OVERDUE].hint,
    }


@pytest.mark.parametrize("fault", list(Fault))
def test_the_remedy_sets_how_loud_a_link_fault_is(sink, fault):
    """What an operator has to mend is an error, what was meant is information."""
    sink.observe(failed(0, fault), lost(0, fault))
    loud = {
        Remedy.HOLD: "error",
        Remedy.ABORT: "error",
        Remedy.NOTE: "info",
        Remedy.RETRY: "warning",
    }
    expected = loud[CATALOGUE[fault].remedy]
    assert [line["level"] for line in sink.taken()] == [expected, expected]


@pytest.mark.parametrize(
    ("happening", "level", "fault"),
    [
        (h.FrameUnusable(0, "protobuf"), "warning", Fault.FRAME_UNUSABLE),
        (h.PayloadRefused(0, "too_large", 5_000_000), "error", Fault.PAYLOAD_REFUSED),
        (
            h.PayloadRefused(0, "fragment_range", 7, Fault.FRAME_UNUSABLE),
            "warning",
            Fault.FRAME_UNUSABLE,
        ),
    ],
)
def test_what_came_over_a_link(sink, happening, level, fault):
    """A payload that is refused is an error; a frame's odd numbers are a warning, with a fault."""
    sink.observe(happening)
    [line] = sink.taken()
    assert (line["level"], line["fault"]) == (level, fault)
    assert (line["reason"], line["hint"]) == (happening.reason, CATALOGUE[fault].hint)


def test_repeats_are_counted_not_written(sink):
    """Within 30 s the same thing is said once; the next line says how often it came."""
    for _ in range(18):
        sink.observe(failed())
        sink.clock.advance(1)
    assert len(sink.taken()) == 1
    sink.clock.advance(REPEAT_S)
    sink.observe(failed())
    [line] = sink.taken()
    assert line["repeated"] == 18


@pytest.mark.parametrize(
    "other",
    [failed(1), failed(0, Fault.CONNECT_FAILED), lost(0, Fault.DNS_FAILED)],
    ids=["link", "fault", "event"],
)
def test_what_differs_is_no_repeat(sink, other):
    """Another link, fault or event is said at once."""
    sink.observe(failed(0), other)
    assert len(sink.taken()) == 2


def test_consumers_are_told_apart(sink):
    """Two consumers that connect are two lines, however often the first has come and gone."""
    sink.observe(*[connected("a")] * 20, connected("b"))
    assert sink.taken()[-1]["consumer"] == "b"


def test_two_warnings_of_one_link_are_told_apart(sink):
    """Without a fault the detail tells what it is about."""
    sink.observe(h.LinkWarned(0, "finite count"), h.LinkWarned(0, "foreign host"))
    assert len(sink.taken()) == 2


def test_an_operators_doing_is_always_answered(sink):
    """Two reloads in a row are two lines."""
    sink.observe(h.ConfigReloaded(("log.level",), ()), h.ConfigReloaded((), ("socket.path",)))
    assert [line.get("needs_restart") for line in sink.taken()] == [None, ["socket.path"]]


def test_sweep_says_what_was_kept_back_when_nothing_follows(sink):
    """The last repeats of a storm are not lost: the latest is said, with the others counted."""
    for count in range(1, 6):
        sink.observe(failed(failures=count))
    sink.taken()
    sink.sink.sweep()
    assert sink.taken() == []
    sink.clock.advance(REPEAT_S)
    sink.sink.sweep()
    [line] = sink.taken()
    assert (line["failures"], line["repeated"]) == (5, 4)
    sink.sink.sweep()
    assert sink.taken() == []


def test_flush_says_everything_at_the_end(sink):
    """A stop does not swallow what was kept back."""
    sink.observe(failed(), failed())
    sink.taken()
    sink.sink.flush()
    assert len(sink.taken()) == 1


def test_nothing_said_once_is_said_again(sink):
    """A single line leaves nothing to sweep or flush."""
    sink.observe(lost())
    sink.taken()
    sink.clock.advance(REPEAT_S)
    sink.sink.sweep()
    sink.sink.flush()
    assert sink.taken() == []


def test_made_up_names_take_bounded_memory_and_lose_no_count(sink):
    """A flood of distinct lines forgets the oldest, but says what it had kept back."""
    sink.observe(*[connected("first")] * 9)
    for i in range(1000):
        sink.observe(connected(f"c{i}"))
    assert len(sink.sink._said) <= 512
    assert [line.get("repeated") for line in sink.taken() if line["consumer"] == "first"] == [
        *[None] * 6,
        3,
    ]


def test_urls_lose_their_query(sink):
    """A ticket in a URL does not get into the log."""
    sink.observe(h.LinkLive(0, 1, 0.2, "wss://h/ws?ticket=s3cr3t", {"dns": 0.00149}))
    [line] = sink.taken()
    assert "s3cr3t" not in str(line)
    assert line["phases_s"] == {"dns": 0.001}


def test_a_journal_may_know_better_what_to_do(sink):
    """Its own hint stands in the line instead of the catalogue's."""
    sink.observe(h.JournalFaulted(Fault.JOURNAL_IO, "gone", "restart it"))
    [line] = sink.taken()
    assert (line["detail"], line["hint"]) == ("gone", "restart it")


PAIRS = [
    (lost(0, Fault.CONNECTION_LOST), h.LinkLive(0, 1, 0.1, "wss://example.invalid/")),
    (h.JournalFaulted(Fault.DISK_FULL, "no room"), h.JournalRecovered(Fault.DISK_FULL, 2.0)),
    (h.ConsumerDisconnected("a", "closed", 0), connected("a")),
    (h.StormBegan(), h.StormEnded()),
    (h.ClockStepped(Fault.CLOCK_STEPPED, "behind"), h.ClockAgreed(3.0)),
]


def test_each_replacement_is_told_beside_the_fresh_link(sink):
    """A link that is rotated often has as many lines that it is live as that it was replaced."""
    for _ in range(20):
        sink.observe(h.LinkLive(0, 1, 0.1, "wss://example.invalid/"))
        sink.observe(h.LinkReplaced(0, Fault.ROTATED, 1.0, 1000, 0))
        sink.clock.advance(1)
    sink.sink.flush()
    lines = sink.taken()
    told = {"link.live": 0, "link.replaced": 0}
    for line in lines:
        told[line["event"]] += line.get("repeated", 1)
    assert told == {"link.live": 20, "link.replaced": 20}
    assert len(lines) == 2 * (6 + 1)


@pytest.mark.parametrize(("off", "on"), PAIRS, ids=lambda each: type(each).__name__)
def test_what_comes_and_goes_is_told_every_time(sink, off, on):
    """Off, on, off, on within seconds are four lines: none of them is a repeat."""
    for _ in range(2):
        sink.observe(off, on)
        sink.clock.advance(1)
    assert [line["event"] for line in sink.taken()] == [name_of(type(off)), name_of(type(on))] * 2


@pytest.mark.parametrize(("off", "on"), PAIRS, ids=lambda each: type(each).__name__)
def test_what_flaps_is_bounded_and_the_log_ends_on_how_it_is(sink, off, on):
    """A hundred turns in a second are few lines, and the last one tells the truth."""
    for _ in range(50):
        sink.observe(off, on)
    sink.clock.advance(REPEAT_S)
    sink.sink.sweep()
    lines = sink.taken()
    assert len(lines) == 7
    assert (lines[-1]["event"], lines[-1]["repeated"]) == (name_of(type(on)), 94)


def test_failures_are_summed_up_before_the_link_is_live(sink):
    """What was kept back comes before the turn, without a wait that is over."""
    sink.observe(*(failed(failures=count) for count in range(1, 5)))
    sink.observe(h.LinkLive(0, 5, 0.1, "wss://example.invalid/"))
    first, rest, live = sink.taken()
    assert first["retry_in_s"] == 5
    assert (rest["event"], rest["failures"], rest["repeated"]) == ("link.failed", 4, 3)
    assert "retry_in_s" not in rest
    assert live["event"] == "link.live"


def test_a_link_that_came_back_fails_anew(sink):
    """The first failure after a life is said at once."""
    sink.observe(failed(), h.LinkLive(0, 1, 0.1, "wss://example.invalid/"), lost(), failed())
    assert [line["event"] for line in sink.taken()][-1] == "link.failed"


def test_every_attempt_of_a_held_link_is_told(sink):
    """An operator who mends something sees each slow try."""
    for count in range(3):
        sink.observe(failed(0, Fault.CREDENTIALS_REFUSED, count))
        sink.clock.advance(15)
    assert len(sink.taken()) == 3


def test_a_stop_is_no_loss_to_retry(sink):
    """A link we closed says so at info, and nothing of a retry."""
    sink.observe(lost(0, Fault.LOCAL_STOP))
    [line] = sink.taken()
    assert line["level"] == "info"
    assert "retry_in_s" not in line


def test_a_recovery_repeats_no_advice(sink):
    """Hints are for what is still wrong."""
    sink.observe(h.JournalRecovered(Fault.DISK_FULL, 2.0))
    [line] = sink.taken()
    assert "hint" not in line


def test_a_change_that_needs_a_restart_is_a_warning(sink):
    """A reload that could not do everything is louder than one that could."""
    sink.observe(h.ConfigReloaded(("log.level",), ()), h.ConfigReloaded((), ("socket.path",)))
    assert [line["level"] for line in sink.taken()] == ["info", "warning"]


@pytest.mark.parametrize(
    "reason", ["uid", "full", "line", "slow", "host", "admin", "secret", "frame"]
)
def test_a_refused_client_is_told_in_words(sink, reason):
    """The reason is a metric's label; the log says what it means."""
    sink.observe(h.ClientRefused(reason, 1000))
    [line] = sink.taken()
    assert len(line["detail"]) > 20


@pytest.mark.parametrize(
    ("happening", "fault"),
    [
        (h.ConfigRejected(("app.id: nothing",)), Fault.RELOAD_INVALID),
        (h.ClientRefused("uid", 1000), Fault.CLIENT_REFUSED),
        (h.FleetResized(1, 2), Fault.CONNECTION_LIMIT),
        (h.FrameUnusable(0, "protobuf"), Fault.FRAME_UNUSABLE),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_goes_wrong_has_its_word_and_its_hint(sink, happening, fault):
    """The word is that of `status`, `doctor` and the README."""
    sink.observe(happening)
    [line] = sink.taken()
    assert (line["fault"], line["hint"]) == (fault, CATALOGUE[fault].hint)


def test_a_client_is_refused_with_advice_that_fits(sink):
    """Only a user that is not named is to be named."""
    sink.observe(h.ClientRefused("slow", 1000), h.ClientRefused("uid", 1000))
    slow, uid = sink.taken()
    assert "allow_users" not in slow["hint"]
    assert "allow_users" in uid["hint"]


def test_a_fleet_that_is_whole_again_is_no_warning(sink):
    """There is nothing to do, and nothing to look up."""
    sink.observe(h.FleetResized(2, 2))
    [line] = sink.taken()
    assert line["level"] == "info"
    assert not {"fault", "hint"} & set(line)


def test_a_salvage_says_how_many_events_are_lost(sink):
    """Also where the spans are many, and where none is lost."""
    told = h.JournalSalvaged(
        Fault.JOURNAL_CORRUPT, "why", "/kept", 5, 6, (), 0, 1, ((2, 3), (7, 7)), 9
    )
    sink.observe(told, dataclasses.replace(told, lost=()))
    assert [line["lost_events"] for line in sink.taken()] == [3, 0]


def test_what_was_kept_back_says_when_it_happened(sink):
    """The line's own time is that of writing; also a single one says that it was held."""
    sink.observe(failed(failures=1))
    sink.clock.advance(10)
    sink.observe(failed(failures=2))
    happened = timestamp(sink.clock.wall_ms())
    sink.clock.advance(REPEAT_S)
    sink.sink.sweep()
    first, late = sink.taken()
    assert "at" not in first
    assert (late["at"], late["repeated"], late["failures"]) == (happened, 1, 2)
    assert late["ts"] != happened


LIVE = h.LinkLive(1, 1, 0.1, "wss://example.invalid/")


def flap(sink):
    """Turn a link to and fro until the log keeps it back."""
    for _ in range(6):
        sink.observe(lost(1), LIVE)
        sink.clock.advance(0.1)
    sink.taken()


def test_how_a_link_is_for_good_is_not_kept_back(sink):
    """Once it no longer turns, its state is told at the next sweep, not at the end of 30 s."""
    flap(sink)
    sink.observe(lost(1))
    happened = timestamp(sink.clock.wall_ms())
    sink.clock.advance(SETTLED_S)
    sink.sink.sweep()
    sink.sink.sweep()
    [line] = sink.taken()
    assert (line["event"], line["at"]) == ("link.lost", happened)


def test_a_loss_with_a_long_wait_is_told_at_once(sink):
    """It is known that the link stays lost for a while."""
    flap(sink)
    sink.observe(h.LinkLost(1, Fault.CLOSED_BY_FEISHU, "1001", 1.7, retry_in_s=21.9))
    [line] = sink.taken()
    assert (line["event"], line["retry_in_s"]) == ("link.lost", 21.9)
    sink.clock.advance(REPEAT_S)
    sink.sink.sweep()
    assert sink.taken() == []
