"""`feishu-ws consumers`: who reads, and one less."""

import io
import json

import pytest

from feishu_ws.cli.consumers import describe

NOW_MS = 1_774_004_591_415
BOT = {
    "consumer": "bot",
    "cursor": 340,
    "pending": 12,
    "declared": True,
    "connected": True,
    "last_seen_ms": NOW_MS - 1000,
    "types": ["im.*", "card.action.trigger"],
    "chats": ["oc_1"],
    "ignore_own": True,
    "attempts": 1,
    "dead_letters": 3,
    "window": 256,
}
OLD = BOT | {
    "consumer": "old",
    "declared": False,
    "connected": False,
    "last_seen_ms": NOW_MS - 7_200_000,
    "types": ["*"],
    "chats": [],
    "ignore_own": False,
    "dead_letters": 0,
}


def test_consumers_are_a_table():
    """Columns are aligned; what needs attention stands there in plain words."""
    listed = {"consumers": [BOT, OLD], "first": 1, "last": 352, "now_ms": NOW_MS}

    assert describe(listed, io.StringIO()).splitlines() == [
        "consumer  state                cursor  pending  dead  last seen      wants",
        "bot       connected, declared  340     12       3     now            im.* card.action.trigger, in oc_1, not from apps",
        "old       away                 340     12       0     2 h 0 min ago  *",
        "the newest position is 352",
    ]


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        ({"consumers": [], "last": 7}, "no consumers; the newest position is 7"),
        ({}, "no consumers; the newest position is 0"),
    ],
)
def test_without_consumers_it_says_so(listed, told):
    """A table of nothing helps nobody."""
    assert describe(listed, io.StringIO()) == told


def test_what_a_newer_or_older_daemon_leaves_out_is_left_out():
    """No field is needed."""
    assert "bot" in describe({"consumers": [{"consumer": "bot"}]}, io.StringIO())


def test_a_filter_cannot_steer_the_terminal():
    """Whoever said hello chose the globs."""
    listed = {"consumers": [OLD | {"types": ["\x1b[2J*\n"], "chats": ["\u202e"]}]}

    assert "\\x1b[2J*\\n, in \\u202e" in describe(listed, io.StringIO())


async def test_the_list_of_a_daemon_is_printed(here, daemon):
    """For people and, byte for byte, for programs."""
    daemon.results = {"consumers.list": {"consumers": [BOT], "last": 352, "now_ms": NOW_MS}}

    code, out, err = await here("consumers", "list", "--socket", daemon.path)
    _, raw, _ = await here("consumers", "list", "--socket", daemon.path, "--json")

    assert (code, err) == (0, "")
    assert out.splitlines()[1].startswith("bot ")
    assert raw == json.dumps(daemon.results["consumers.list"]) + "\n"


async def test_one_is_forgotten(here, daemon):
    """By name; the sentence says what that means."""
    code, out, _ = await here("consumers", "forget", "old-bot", "--socket", daemon.path)
    _, raw, _ = await here("consumers", "forget", "old-bot", "--socket", daemon.path, "--json")

    assert daemon.params("consumers.forget") == [{"consumer": "old-bot"}] * 2
    assert (code, out) == (0, "old-bot: forgotten; its cursor is gone, its dead letters stay\n")
    assert raw == "{}\n"


async def test_one_is_forgotten_in_a_stopped_daemons_journal(here, stopped):
    """Durably."""
    code, out, _ = await here("consumers", "forget", "bot")

    assert (code, out.startswith("bot: forgotten")) == (0, True)
    assert await stopped.record() is None
