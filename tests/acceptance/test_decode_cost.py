"""What decoding content costs, as the benchmark measures it."""

import json
import re
import subprocess
import sys
from pathlib import Path

from bench import decoding

from feishu_ws.simulator.corpus import SAMPLES, sample

TESTS = Path(__file__).parent.parent
BENCH_S = 60


def test_a_text_message_costs_no_more_than_was_promised():
    """On top of the pipeline: at most 30 µs of CPU, measured some 7."""
    words = [sys.executable, "-m", "bench", "--decode", "--quick", "--rounds", "3"]
    done = subprocess.run(
        words, cwd=TESTS, capture_output=True, text=True, timeout=BENCH_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"at most [\d.]+ µs, aim ≤ 30 µs: holds\.", done.stdout)
    kinds = set(re.findall(r"^\| ([a-z_.0-9]+) \|", done.stdout, flags=re.MULTILINE))
    assert {name for name in SAMPLES if name.startswith("message.")} == {
        f"message.{kind}" for kind in kinds - {"message"}
    }


def test_the_two_steps_differ_in_the_message_only():
    """Without decoding a consumer gets the same line, but for the message."""
    payload = sample("message.text", 1)
    lines = decoding.step(payload, 1), decoding.bare_step(payload, 1), decoding.step(payload, 1)
    whole, bare, again = (json.loads(line)["params"] for line in lines)
    assert whole.pop("message")["type"] == "text"
    assert "message" in again
    assert whole == bare


def test_a_bar_that_is_missed_is_told(monkeypatch):
    """The benchmark says so, and its process would end with 1."""
    monkeypatch.setattr(decoding, "BAR_US", 0.001)
    monkeypatch.setattr(decoding, "QUICK_SHARE", 0.001)
    lines, holds = decoding.decoding(1, is_quick=True)
    assert not holds
    assert "**is missed**" in "\n".join(lines)
