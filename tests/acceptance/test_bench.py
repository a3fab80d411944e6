"""The benchmark in its quickest form: every candidate, every load, consistent counts."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from bench import bars, report, turns
from bench.candidates import KINDS
from bench.events import EventMaker, strip
from bench.server import Feishu

from feishu_ws.wire.frame import encode_confirm, parse_frame

TESTS = Path(__file__).parent.parent
LOADS = ["1 unconfirmed", "64 unconfirmed", "1024 unconfirmed", "paced 100/s", "paced 1000/s"]
BENCH_S = 110


def test_every_candidate_takes_every_load_and_loses_nothing(tmp_path):
    """A full table, with figures of every candidate under every load."""
    found = tmp_path / "bench.json"
    options = ["--quick", "--scale", "0.2", "--rounds", "1", "--json", str(found)]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *options],
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=BENCH_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(found.read_text())
    taken = {(turn["candidate"], turn["load"]) for turn in result["turns"]}
    assert taken == {(name, load) for name in KINDS for load in LOADS}
    assert {life["candidate"] for life in result["lives"]} == set(KINDS)
    for turn in result["turns"]:
        assert turn["events"] > 0
        assert len(turn["end_to_end_ms"]) == 4
    assert sum(turn["judged"] for turn in result["turns"]) > len(KINDS)
    table = [line for line in done.stdout.splitlines() if line.startswith("| events/s, 64")]
    assert all(f" {report.NONE} " not in line for line in table)
    assert len(table) == 3  # to another program, a bot, and what is asked


@pytest.fixture
def candidate():
    """A Feishu that pushed two events, and a consumer that received both."""
    feishu = Feishu()
    sent = []
    feishu._link = SimpleNamespace(outbox=sent)
    feishu.push()
    feishu.push()
    feishu.links_opened = 1
    lines = SimpleNamespace(received_ns={0: 1, 1: 1}, repeats=0)
    log = str
    return SimpleNamespace(name="somebody", feishu=feishu, lines=lines, log=log, sent=sent)


def confirm(message, code=200):
    """Return the confirmation of a message."""
    return encode_confirm(parse_frame(message[4:]), code, 1)


def test_two_sound_confirmations_are_consistent(candidate):
    """What was pushed, confirmed and received agrees, and the first was judged."""
    for message in candidate.sent:
        candidate.feishu.take_frame(confirm(message), 1)
    turns.check(candidate)
    assert candidate.feishu.judged == 1


@pytest.mark.parametrize("fault", ["refused", "twice", "missing", "repeated", "spoiled"])
def test_a_fault_of_a_candidate_ends_the_benchmark(candidate, fault):
    """A 500, a second or missing confirmation, a repeated event, a changed echo."""
    first, second = map(confirm, candidate.sent)
    frames = {
        "refused": [first, confirm(candidate.sent[1], 500)],
        "twice": [first, second, second],
        "missing": [first],
        "repeated": [first, second],
        "spoiled": [first.replace(b"trace_id", b"trace-id"), second],
    }[fault]
    candidate.lines.repeats = int(fault == "repeated")
    for data in frames:
        candidate.feishu.take_frame(data, 1)
    with pytest.raises(turns.InconsistentError, match="somebody: of 2 events"):
        turns.check(candidate)


def test_events_of_the_benchmark_differ_only_in_ids_and_times():
    """Two events have one length, their own ids, and the same everything else."""
    maker = EventMaker()
    one, other = maker.make(1), maker.make(17)
    assert len(one) == len(other)
    assert maker.event_mark + b"00000001" in parse_frame(one[4:]).payload
    assert parse_frame(strip(other)).SeqID - parse_frame(strip(one)).SeqID == 16
    assert len(parse_frame(one[4:]).payload) == 1518


def result(**rates):
    """Return a result with one turn per candidate and round."""
    return {
        "candidates": list(rates),
        "lives": [],
        "turns": [
            {"candidate": name, "round": number, "load": "64 unconfirmed", "rate": rate}
            for name, found in rates.items()
            for number, rate in enumerate(found)
        ],
    }


def test_a_ratio_is_taken_inside_each_round():
    """Twice as many events in a slow and in a fast round are 2, whatever the medians say."""
    measured = result(**{"feishu-ws": [2000, 8000, 200], "bare": [1000, 4000, 100]})
    figure = report.Figure("", "rate", "64 unconfirmed", more_is_better=True)
    ours, theirs = (report.values(measured, figure, name) for name in ("feishu-ws", "bare"))
    assert report.ratio(ours, theirs, more_is_better=True) == 2
    assert report.ratio(ours, theirs, more_is_better=False) == 0.5


def test_what_loses_stands_out():
    """A ratio below 1 is bold, also one that rounding would hide."""
    shown = [report.times(value) for value in (0.5, 0.996, 1.0, 7.24)]
    plain = [text.replace(report.TIMES, "x") for text in shown]
    assert plain == ["**0.50x**", "**1.0x**", "1.0x", "7.2x"]
    assert report.times(None) == report.NONE


def test_a_bar_that_is_not_reached_is_called_missed():
    """Five times the typed SDK misses a bar of six; Node's own rate is reached."""
    rates = {"feishu-ws": [5000], "sdk-typed": [1000], "sdk-node": [4000]}
    (row,) = bars.verdicts(result(**rates))[2:]
    plain = row.replace(report.TIMES, "x")
    assert "| 6x sdk-typed | MISSED (5.00x) | 1x sdk-node | met (1.25x) |" in plain
