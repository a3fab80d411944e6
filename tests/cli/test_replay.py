"""`feishu-ws replay`: what is asked of the daemon, and the sentence that comes of it."""

import json
import time
from datetime import datetime

import pytest

from feishu_ws.cli.replay import describe


@pytest.mark.parametrize(
    ("was", "cursor", "skipped", "told"),
    [
        (339, 117, 0, "next event is 118 (was 340); what its filter names from 118 to 339 comes again"),
        (339, 0, 0, "next event is 1 (was 340); what its filter names from 1 to 339 comes again"),
        (117, 339, 31, "next event is 340 (was 118); 31 events it had not settled are passed over"),
        (117, 117, 0, "next event is 118 (was 118)"),
    ],
)  # fmt: skip
def test_one_sentence_says_what_happened(was, cursor, skipped, told):
    """From where, to where, and what that means for events."""
    moved = {"consumer": "bot", "was": was, "cursor": cursor, "skipped": skipped}

    assert describe(moved) == f"bot: {told}"


@pytest.fixture
def moving(daemon):
    """A daemon that moves its consumer."""
    moved = {"consumer": "bot", "was": 339, "cursor": 117, "skipped": 0}
    daemon.results = {"consumers.seek": moved}
    return daemon


@pytest.mark.parametrize(
    ("words", "place"), [(["118"], 118), (["earliest"], "earliest"), (["latest", "--skip"], "latest")]
)  # fmt: skip
async def test_a_place_is_passed_on(here, moving, words, place):
    """A position as a number, an end by its name."""
    code, out, err = await here("replay", "bot", "--socket", moving.path, "--from", *words)

    assert (code, err) == (0, "")
    assert out.startswith("bot: next event is 118 (was 340)")
    assert moving.params("consumers.seek") == [
        {"consumer": "bot", "from": place, "skip": "--skip" in words}
    ]


@pytest.mark.parametrize(
    ("text", "before_s"), [("90m", 5400), ("2026-03-20T11:03:11.415Z", None)]
)  # fmt: skip
async def test_a_time_is_passed_on_with_its_zone(here, moving, text, before_s):
    """An age counts from now; a time keeps its milliseconds."""
    await here("replay", "bot", "--socket", moving.path, "--from", text)

    (params,) = moving.params("consumers.seek")
    sent = datetime.fromisoformat(params["from"])
    if before_s is None:
        assert params["from"] == "2026-03-20T11:03:11.415Z"
    else:
        assert abs(time.time() - before_s - sent.timestamp()) < 20


async def test_a_time_to_come_asks_nobody(here, moving):
    """64, saying which time it took it for."""
    code, out, err = await here("replay", "bot", "--socket", moving.path, "--from", "9999-01-02")

    assert (code, out, moving.calls) == (64, "", [])
    assert err == (
        "feishu-ws: argument --from: 9999-01-02 00:00:00 is still to come, expected a time that"
        " was\n  try: --from an age such as 2h, or a time that was\n"
    )


async def test_programs_get_the_answer(here, moving):
    """As it came."""
    _, out, _ = await here("replay", "bot", "--socket", moving.path, "--from", "118", "--json")

    assert json.loads(out) == moving.results["consumers.seek"]


async def test_a_stopped_daemons_consumer_is_moved(here, stopped):
    """Back, and forward only with --skip."""
    back = await here("replay", "bot", "--from", "2")
    refused = await here("replay", "bot", "--from", "latest")
    forward = await here("replay", "bot", "--from", "latest", "--skip")

    assert (back[0], back[1]) == (
        0,
        "bot: next event is 2 (was 11); what its filter names from 2 to 10 comes again\n",
    )
    assert (refused[0], "try: the same with --skip" in refused[2]) == (64, True)
    assert forward[1].startswith("bot: next event is 21 (was 2); ")
    assert (await stopped.record()).cursor == 20
