"""What the flight recorder writes down."""

import pytest

from feishu_ws import happenings as h
from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault
from feishu_ws.model import LinkLife
from feishu_ws.recorder import CUT_OFF, MOST_TRIED, FlightRecorder, cut_off


class Tape:
    def __init__(self):
        self.clock = ManualClock()
        self.kept = {}
        self.writes = 0
        self.recorder = FlightRecorder(self.clock, self.keep)

    def keep(self, life):
        self.kept[life.link, life.ended_ms] = life
        self.writes += 1

    def observe(self, *happenings, after_s=1.0):
        for happening in happenings:
            self.clock.advance(after_s)
            self.recorder.observe(happening)

    @property
    def lives(self):
        """Return what was kept, but for records that say only that a process began."""
        return [life for life in self.kept.values() if life.lived_s is not None or life.tried]


@pytest.fixture
def tape():
    return Tape()


def live(link=0):
    return h.LinkLive(link, 1, 0.25, "wss://h/ws", {"dns": 0.01, "tcp": 0.02})


def lost(link=0, fault=Fault.CONNECTION_LOST, detail="reset by peer"):
    return h.LinkLost(link, fault, detail, 812.4, 0.0, close_code=1001, unconfirmed=3)


def failed(link=0, fault=Fault.DNS_FAILED, code=None):
    return h.LinkFailed(link, fault, "dns", "no such host", 1, 0.5, code)


def test_a_life_is_written_when_it_ends(tape):
    """A loss is on record at once, with how the link was opened and why it ended."""
    tape.observe(live(), lost())
    [life] = tape.lives
    assert (life.link, life.fault, life.lived_s) == (0, Fault.CONNECTION_LOST, 812.4)
    assert (life.close_code, life.unconfirmed, life.took_s) == (1001, 3, 0.25)
    assert life.phases_s == {"dns": 0.01, "tcp": 0.02}
    assert (life.tried, life.back_ms) == ((), None)


def test_what_was_tried_until_it_was_back(tape):
    """Attempts that fail alike are counted, others follow in order, the return closes it."""
    tape.observe(live(), lost(), *[failed()] * 5, failed(fault=Fault.FEISHU_BUSY, code=1), live())
    [life] = tape.lives
    assert [(each.fault, each.times, each.code) for each in life.tried] == [
        (Fault.DNS_FAILED, 5, None),
        (Fault.FEISHU_BUSY, 1, 1),
    ]
    first = life.tried[0]
    assert first.last_ms - first.first_ms == 4000
    assert life.back_ms == tape.clock.wall_ms()
    assert tape.writes == 5  # begun, ended, a first failure, another kind, back


def test_an_outage_from_the_start_is_one_too(tape):
    """Where there was no life before, the first failure begins the record."""
    tape.observe(failed(), failed())
    [life] = tape.lives
    assert (life.lived_s, life.fault) == (None, Fault.DNS_FAILED)
    tape.observe(live())
    [life] = tape.lives
    assert (life.tried[0].times, life.back_ms) == (2, tape.clock.wall_ms())


def test_a_replaced_link_was_never_away(tape):
    """A rotation ends a life whose successor is live already, and leaves that open."""
    tape.observe(live(), live(), h.LinkReplaced(0, Fault.ROTATED, 3600.0), lost())
    rotated, last = tape.lives
    assert (rotated.fault, rotated.back_ms) == (Fault.ROTATED, rotated.ended_ms)
    assert (last.fault, last.took_s) == (Fault.CONNECTION_LOST, 0.25)


def test_links_are_apart(tape):
    """What one link tries is not the other's."""
    tape.observe(live(0), live(1), lost(0), lost(1), failed(1))
    assert [len(life.tried) for life in tape.lives] == [0, 1]


def test_a_long_outage_stays_small(tape):
    """However often the way to fail changes, a record is bounded and counts on."""
    faults = [Fault.DNS_FAILED, Fault.CONNECT_FAILED]
    tape.observe(lost(), *[failed(fault=faults[i % 2]) for i in range(100)], live())
    [life] = tape.lives
    assert len(life.tried) == MOST_TRIED
    assert sum(each.times for each in life.tried) == 100


def test_flush_keeps_the_counts_of_what_goes_on(tape):
    """At the end the outage at hand is written with all its attempts."""
    tape.observe(lost(), *[failed()] * 9)
    assert tape.lives[0].tried[0].times == 1
    tape.recorder.flush()
    assert tape.lives[0].tried[0].times == 9


def test_a_stop_is_noted_where_a_link_was_away(tape):
    """From then on nobody tries; the next attempt is told apart from those before."""
    tape.observe(lost(), failed())
    tape.recorder.flush()
    again = FlightRecorder(tape.clock, tape.keep)
    again.resume(tape.lives)
    again.flush()  # stopped before anything was tried
    again.observe(failed())

    [life] = tape.lives
    assert [(each.fault, each.times) for each in life.tried] == [
        (Fault.DNS_FAILED, 1),
        (Fault.LOCAL_STOP, 1),
        (Fault.DNS_FAILED, 1),
    ]
    assert life.tried[1].first_ms == life.tried[0].first_ms


def test_stops_do_not_fill_a_record(tape):
    """However often a daemon is started while Feishu cannot be reached, the record is bounded."""
    tape.observe(lost())
    for _ in range(50):
        tape.observe(failed())
        tape.recorder.flush()
        tape.recorder = FlightRecorder(tape.clock, tape.keep)
        tape.recorder.resume(tape.lives)

    [life] = tape.lives
    assert len(life.tried) <= MOST_TRIED
    assert life.tried[-1].fault is Fault.DNS_FAILED
    assert sum(each.times for each in life.tried if each.fault is Fault.DNS_FAILED) == 50


class TestCutOff:
    """What a process that ended without a stop could not write down."""

    LIVE = LinkLife(0, 100_000, Fault.PONG_OVERDUE, 5.0, back_ms=200_000)
    AWAY = LinkLife(1, 150_000, Fault.PONG_OVERDUE, 5.0)

    def test_a_link_that_was_live(self):
        """Its life ended when the process was last known to run; one that was away goes on so."""
        [end] = cut_off([self.LIVE, self.AWAY], 260_000, 999_000)

        assert end == LinkLife(0, 260_000, Fault.CONNECTION_LOST, 60.0, CUT_OFF)

    @pytest.mark.parametrize(
        ("alive_ms", "now_ms", "ended_ms"),
        [(150_000, 999_000, 200_000), (300_000, 250_000, 250_000), (300_000, 50_000, 200_000)],
    )
    def test_whatever_the_clock_did(self, alive_ms, now_ms, ended_ms):
        """It ended after it began, and not in the future if that can be."""
        [end] = cut_off([self.LIVE], alive_ms, now_ms)

        assert (end.ended_ms, end.lived_s) == (ended_ms, (ended_ms - 200_000) / 1000)

    def test_it_hides_no_other_life(self):
        """A link that was renewed just then has two ends, at two moments."""
        renewed = LinkLife(0, 200_000, Fault.ROTATED, 5.0, back_ms=200_000)

        assert cut_off([renewed], 200_000, 999_000)[0].ended_ms == 200_001

    def test_after_a_stop_there_is_nothing(self):
        """All its lives ended; nor where nobody knows how long the process ran."""
        stop = LinkLife(0, 260_000, Fault.LOCAL_STOP, 60.0)

        assert cut_off([self.LIVE, stop], 270_000, 999_000) == []
        assert cut_off([self.LIVE], 0, 999_000) == []


def test_no_secrets(tape):
    """A ticket in a detail does not get onto the record."""
    tape.observe(lost(detail="wss://h/ws?ticket=s3cr3t&x=1"))
    assert "s3cr3t" not in tape.lives[0].detail


def test_the_first_life_of_a_process_is_noted(tape):
    """It says when the link was live first; nothing is known of the time before."""
    tape.observe(live(), live())
    [began] = tape.kept.values()
    assert (began.link, began.fault, began.lived_s) == (0, Fault.LOCAL_STOP, None)
    assert began.back_ms == tape.clock.wall_ms() - 1000
    assert began.back_ms - began.ended_ms == 250


def test_it_goes_on_after_a_restart(tape):
    """A link that was away when the process ended is away until it is live again."""
    tape.observe(live(0), live(1), lost(0), lost(1), failed(1), live(1))
    again = FlightRecorder(tape.clock, tape.keep)
    again.resume(tape.lives)
    tape.clock.advance(7)
    for happening in (failed(0), live(0), live(1)):
        again.observe(happening)

    away, back = tape.lives
    assert (away.link, away.back_ms) == (0, tape.clock.wall_ms())
    assert [each.times for each in away.tried] == [1]
    assert back.back_ms == tape.clock.wall_ms() - 7000
    newest = tape.kept[1, tape.clock.wall_ms() - 250]
    assert (newest.fault, newest.lived_s) == (Fault.LOCAL_STOP, None)


def test_a_link_that_is_live_at_the_end_has_a_record(tape):
    """Its life ends with the process, as long as it was."""
    tape.observe(live())
    tape.clock.advance(60)
    tape.recorder.flush()
    [life] = tape.lives
    assert (life.fault, life.lived_s, life.took_s) == (Fault.LOCAL_STOP, 60.0, 0.25)
    assert (life.ended_ms, life.back_ms) == (tape.clock.wall_ms(), None)


def test_other_happenings_are_ignored(tape):
    """Only links are recorded."""
    tape.observe(h.StormBegan(), h.JournalFaulted(Fault.DISK_FULL, "x"))
    assert tape.lives == []
