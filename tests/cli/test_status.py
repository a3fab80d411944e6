"""`feishu-ws status`: what a daemon says of itself, for people and programs."""

import io
import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.cli.reach import DIED
from feishu_ws.cli.status import describe

NOW_MS = 1_774_004_591_415
STATUS = {
    "version": "0.1.0",
    "app_id": "cli_a",
    "started_ms": NOW_MS - 11_520_000,
    "now_ms": NOW_MS,
    "ready": True,
    "fault": None,
    "faults": [
        {
            "fault": "pong_overdue",
            "concern": "link",
            "subject": "1",
            "title": "nothing came back",
            "lasted_s": 75,
            "hint": "look at the NAT",
        }
    ],
    "links": [
        {
            "link": 0,
            "state": "connected",
            "since_ms": NOW_MS - 61_000,
            "last_frame_ms": NOW_MS - 2_000,
            "failures": 0,
            "fault": None,
            "retry_at_ms": 0,
        },
        {
            "link": 1,
            "state": "backing_off",
            "since_ms": NOW_MS - 3_000,
            "last_frame_ms": 0,
            "failures": 4,
            "fault": "connect_failed",
            "retry_at_ms": NOW_MS + 2_500,
        },
    ],
    "links_wanted": 2,
    "journal": {
        "path": "/var/lib/feishu-ws/journal.db",
        "first": 5,
        "last": 5021,
        "size_bytes": 12_900_000,
        "limit_bytes": 1024**3,
        "dead_letters": 3,
        "fault": None,
    },
    "last_event_ms": NOW_MS - 4_000,
    "consumers": [
        {
            "name": "astrbot",
            "connected": True,
            "durable": True,
            "declared": True,
            "cursor": 5018,
            "pending": 3,
            "in_flight": 2,
            "oldest_pending_ms": NOW_MS - 1_000,
            "types": ["*"],
        },
        {
            "name": "tail",
            "connected": False,
            "durable": False,
            "declared": False,
            "cursor": 5021,
            "pending": 0,
            "in_flight": 0,
            "oldest_pending_ms": 0,
            "types": ["im.*", "drive.*"],
        },
    ],
    "losses": [
        {
            "at_ms": NOW_MS - 61_000,
            "link": 1,
            "fault": "connection_lost",
            "lived_s": 812.4,
            "detail": "reset\x1b",
            "times": 1,
        },
        {
            "at_ms": NOW_MS - 62_000,
            "link": 1,
            "fault": "connect_failed",
            "lived_s": None,
            "detail": "",
            "times": 7,
        },
    ],
}

TEXT = """\
feishu-ws 0.1.0  app cli_a  up 3 h 12 min
  ready
faults
  pong_overdue  nothing came back, link 1, for 1 min
                try: look at the NAT
links: 1 of 2 live
  link  state        for    last frame  failures  fault
  0     connected    1 min  2 s ago     0         -
  1     backing_off  3 s    -           4         connect_failed, again in 2 s
journal
  path        /var/lib/feishu-ws/journal.db
  holds       positions 5 to 5021, 12.3 MiB of 1.0 GiB, 3 dead letters
  last event  4 s ago
consumers: 2
  consumer  state                cursor  pending  in flight  oldest   types
  astrbot   connected, declared  5018    3        2          1 s ago  *
  tail      away, reading along  5021    0        0          -        im.* drive.*
recent losses
  lost at              link  lived   fault                    detail
  2026-03-20 11:02:10  1     13 min  connection_lost          reset\\x1b
  2026-03-20 11:02:09  1     -       connect_failed, 7 times  -
"""


async def test_the_status_is_told_to_people(command, daemon):
    """Links, ages, journal, consumers and recent losses, aligned, and nothing that steers."""
    daemon.status = STATUS

    assert await command("status", "--socket", daemon.path) == (0, TEXT, "")
    assert daemon.calls == [("status", {})]


async def test_the_status_is_told_to_programs_as_it_is(command, daemon):
    """The daemon's own object, unknown fields included."""
    daemon.status = STATUS | {"new": [1]}

    code, out, err = await command("status", "--json", "--socket", daemon.path)

    assert (code, err) == (0, "")
    assert json.loads(out) == STATUS | {"new": [1]}


async def test_a_daemon_that_refuses_is_told(command, daemon):
    """With its own words."""
    daemon.refuse["status"] = {"code": -32006, "message": "not for you"}

    code, _, err = await command("status", "--socket", daemon.path)

    assert code == 69
    assert err.startswith("feishu-ws: the daemon refused with -32006: not for you, expected")


def test_durable_sends_are_told_where_there_are_any():
    """How many are on their way and since when, and how many were given up."""
    sends = {"open_sends": 2, "oldest_send_ms": NOW_MS - 61_000, "dead_sends": 1}
    dead = {"open_sends": 0, "oldest_send_ms": 0, "dead_sends": 1}
    none = {"open_sends": 0, "oldest_send_ms": 0, "dead_sends": 0}
    told = [
        [line for line in describe(status, io.StringIO()).splitlines() if "sends" in line]
        for status in (STATUS | {"journal": STATUS["journal"] | s} for s in (sends, dead, none))
    ]

    assert told == [
        ["  sends       2 on the way, the oldest for 1 min, 1 dead, see `feishu-ws dead`"],
        ["  sends       1 dead, see `feishu-ws dead`"],
        [],
    ]


def test_a_status_that_is_not_ready_says_why():
    """The fault stands beside it."""
    text = describe(STATUS | {"ready": False, "fault": "disk_full"}, io.StringIO())

    assert text.splitlines()[1] == "  not ready: disk_full"


def test_a_fault_that_is_too_young_to_be_listed_has_its_hint():
    """Whoever looks in the first seconds is told what to do as well."""
    young = STATUS | {"ready": False, "fault": "dns_failed", "hint": "check it", "faults": []}
    listed = STATUS | {"ready": False, "fault": "pong_overdue", "hint": "look at the NAT"}

    assert describe(young, io.StringIO()).splitlines()[2] == "  try: check it"
    assert describe(listed, io.StringIO()).count("look at the NAT") == 1


def test_what_waits_for_a_restart_is_told():
    """A reload said so once; it stays true."""
    text = describe(STATUS | {"needs_restart": ["socket.path", "journal.path"]}, io.StringIO())

    assert (
        text.splitlines()[2] == "  restart it: socket.path, journal.path changed and not in force"
    )


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        (0, 0, "no events yet,"),
        (0, 7, "no events, the last was 7,"),
        (3, 7, "positions 3 to 7,"),
    ],
)
def test_an_empty_journal_has_no_positions(first, last, told):
    """There is no position 0."""
    text = describe(STATUS | {"journal": {"first": first, "last": last}}, io.StringIO())

    assert told in text


async def test_a_daemon_that_died_is_not_only_to_be_started(command, tmp_path):
    """Its socket is left: why it ended is the question."""
    with socket.socket(socket.AF_UNIX) as died:
        died.bind(str(tmp_path / "e.sock"))
    code, out, err = await command("status", "--socket", str(tmp_path / "e.sock"))

    assert (code, out) == (69, "")
    assert f"try: {DIED}\n" in err


def fault(word, concern, subject, lasted_s):
    shown = {"fault": word, "concern": concern, "subject": subject, "lasted_s": lasted_s}
    return shown | {"title": f"title of {word}", "hint": "act"}


def test_the_same_fault_is_told_once():
    """Links and consumers that share a fault are named together, with the longest time."""
    faults = [
        fault("disk_full", "journal", "", 7),
        fault("connect_failed", "link", "0", 12),
        fault("dns_failed", "link", "2", 1),
        fault("connect_failed", "link", "1", 75),
        fault("consumer_absent", "consumer", "bot\x1b", 5),
        fault("consumer_absent", "consumer", "audit", 4),
    ]
    text = describe(STATUS | {"faults": faults}, io.StringIO())

    assert (
        text.partition("faults\n")[2].partition("links:")[0]
        == """\
  disk_full        title of disk_full, for 7 s
                   try: act
  connect_failed   title of connect_failed, links 0, 1, for 1 min
                   try: act
  dns_failed       title of dns_failed, link 2, for 1 s
                   try: act
  consumer_absent  title of consumer_absent, consumers bot\\x1b, audit, for 5 s
                   try: act
"""
    )


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"links_wanted": 1}, "links: 1 of 1 live, 2 configured"),
        ({"storm": False}, "links: 1 of 2 live"),
        (
            {"storm": True},
            "links: 1 of 2 live, reconnect storm: they wait until they may try again",
        ),
    ],
)
def test_what_holds_the_fleet_back(change, line):
    """A limit of Feishu's and the storm breaker are told beside the links."""
    assert line in describe(STATUS | change, io.StringIO()).splitlines()


@pytest.mark.parametrize("missing", STATUS)
def test_what_an_older_daemon_leaves_out_is_left_out(missing):
    """No key is needed."""
    assert describe({k: v for k, v in STATUS.items() if k != missing}, io.StringIO())


@given(
    st.dictionaries(st.sampled_from(["ready", "version", "app_id", "fault"]), st.text() | st.none())
)
def test_nothing_at_all_is_fine(status):
    """Whatever is there is shown on lines of its own."""
    text = describe(status, io.StringIO())

    assert text.startswith("feishu-ws ")
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("clients", "words"), [(0, "0 clients"), (1, "1 client"), (3, "3 clients")]
)
def test_the_lookalike(clients, words):
    """Where SDKs are served, how many are there, and by which name; nothing where it is off."""
    said = {"address": "127.0.0.1:9531", "clients": clients, "consumer": "lookalike"}
    text = describe(STATUS | {"lookalike": said}, io.StringIO())
    assert f"lookalike: 127.0.0.1:9531, {words} (consumer lookalike)\n" in text
    assert "lookalike" not in describe(STATUS | {"lookalike": None}, io.StringIO())
