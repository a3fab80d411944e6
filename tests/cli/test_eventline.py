"""One readable line per event."""

import io
import json

import msgspec
import pytest
from client.fake_daemon import cloud_event, event_params
from events.corpus import encode, event, message, payloads
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feishu_ws.cli.eventline import EventLines
from feishu_ws.cli.render import width
from feishu_ws.client import Delivery
from feishu_ws.events.cloudevent import encode_body
from feishu_ws.events.envelope import open_envelope
from feishu_ws.model import Event
from feishu_ws.wire.native import EventParams, event_line, parse_from_daemon

RECEIVED_MS = 1_774_004_591_415
CHAT = "oc_e95ed74912d3622abf838974fe095a48"
ALICE = "ou_3db3df527e172a42dad6ea124cfd0c59"
SAID = "om_x100b54e6d83f8cbcc3b488bdf015"
FIRST_DAY = "── 2026-03-20 ──"


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def _delivery(raw):
    return Delivery(None, raw, msgspec.json.decode(raw, type=EventParams))


def _line(position=1, event=None, stream=None, **more):
    """Return the line of params as a daemon sends them."""
    params = event_params(position, **more) | ({"event": event} if event else {})
    return EventLines(stream or io.StringIO()).line(_delivery(json.dumps(params).encode()))


def _sent(payload, position=7, attempt=1, *, late=False):
    """Return the delivery of a payload as the daemon makes it."""
    made = Event(open_envelope(payload), payload, RECEIVED_MS, position=position)
    line = event_line(position, attempt, None, encode_body(made, "cli_own"), late=late)
    return _delivery(bytes(parse_from_daemon(line.rstrip()).params))


MESSAGE = _sent(message("text", {"text": "hello 你好"}, chat_id=CHAT))
REACTION = _sent(
    event(
        "im.message.reaction.created_v1",
        {
            "message_id": SAID,
            "reaction_type": {"emoji_type": "THUMBSUP"},
            "user_id": {"open_id": ALICE},
        },
    ),
    position=12345,
)
MENU = _sent(
    event(
        "application.bot.menu_v6",
        {
            "operator": {"operator_name": "Alice", "operator_id": {"open_id": ALICE}},
            "event_key": "menu_help",
        },
    ),
    attempt=3,
)
JOB = _sent(event("corehr.job_change.updated_v1", {"status": 3}), late=True)


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def columns(monkeypatch):
    """A function that gives the terminal so many columns."""
    return lambda count: monkeypatch.setenv("COLUMNS", str(count))


class TestInAPipe:
    """Everything, one blank after the other."""

    def test_it_has_time_position_type_and_subject(self):
        """The type with what it means, then where it was."""
        line = _line(7)

        assert line == "2026-03-20 11:03:11      7  im.message.receive_v1 (message) oc_1: n=7"

    @pytest.mark.parametrize(
        ("delivery", "line"),
        [
            (MESSAGE, f"      7  im.message.receive_v1 (message) {CHAT} ou_sender: hello 你好"),
            (
                REACTION,
                f"  12345  im.message.reaction.created_v1 (reaction added) {SAID} {ALICE}: :THUMBSUP:",
            ),
            (
                MENU,
                "      7  application.bot.menu_v6 (bot menu used) Alice: menu_help  (attempt 3)",
            ),
            (JOB, "      7  corehr.job_change.updated_v1: status=3  (late)"),
        ],
    )
    def test_it_has_ids_in_full(self, delivery, line):
        """For whoever looks them up; the words come last."""
        assert EventLines(io.StringIO()).line(delivery) == "2026-03-20 11:03:11" + line

    def test_an_event_without_subject_or_known_type_has_a_line_too(self):
        """Whatever Feishu sends."""
        event = cloud_event(1, type="feishu.unknown", subject="", time="", data=None)

        assert _line(event=event) == "      1  feishu.unknown (unknown)"

    def test_nothing_in_it_breaks_the_line(self):
        """Newlines and escapes are spelt out."""
        event = cloud_event(1, type="a\nb", subject="\x1b[2J", time="\r", data={"\x1b": "\x9b"})

        assert _line(event=event).isprintable()


class TestOnATerminal:
    """Columns that fit."""

    def test_eighty_columns(self, columns):
        """Time, position, what happened, who, and what was said."""
        columns(80)
        lines = EventLines(_Terminal())
        shown = "\n".join(map(lines.line, (MESSAGE, REACTION, MENU, JOB))).splitlines()

        assert shown == [
            FIRST_DAY,
            "11:03:11      7  message             ou_sender     hello 你好",
            "11:03:11  12345  reaction added      ou_3db3…0c59  :THUMBSUP:",
            "11:03:11      7  bot menu used       Alice         menu_help  (attempt 3)",
            "11:03:11      7  corehr job change…                status=3  (late)",
        ]

    def test_two_hundred_columns(self, columns):
        """Where it happened besides, and at the right edge the type."""
        columns(200)
        lines = EventLines(_Terminal())
        shown = "\n".join(map(lines.line, (MESSAGE, REACTION, MENU))).splitlines()

        assert [line[:82].rstrip() for line in shown] == [
            FIRST_DAY,
            "11:03:11      7  message                   oc_e95e…5a48  ou_sender     hello 你好",
            "11:03:11  12345  reaction added            om_x100…f015  ou_3db3…0c59  :THUMBSUP:",
            "11:03:11      7  bot menu used                           Alice         menu_help",
        ]
        assert shown[1].endswith(" im.message.receive_v1")
        assert [width(line) for line in shown[1:]] == [200, 200, 200]

    def test_a_new_day_is_announced_once(self, columns):
        """The lines themselves have no room for the date."""
        columns(80)
        lines = EventLines(_Terminal())
        later = _line(2, cloud_event(2, time="2026-03-21T00:00:00.000Z"), _Terminal())

        assert lines.line(MESSAGE).startswith(FIRST_DAY + "\n")
        assert not lines.line(MESSAGE).startswith("──")
        assert later.startswith("── 2026-03-21 ──\n00:00:00      2  ")

    def test_a_time_that_is_none_is_no_day(self, columns):
        """The columns stay where they are, and the day is still that of the line before."""
        columns(80)
        lines = EventLines(_Terminal())
        lines.line(MESSAGE)
        timeless = _delivery(json.dumps(event_params(1, event=cloud_event(1, time=""))).encode())

        assert lines.line(timeless).startswith(" " * 8 + "      1  message")
        assert not lines.line(MESSAGE).startswith("──")

    @pytest.mark.parametrize("count", [40, 80, 119, 120, 200])
    def test_long_words_are_cut_to_the_terminal(self, columns, count):
        """Also where every character takes two columns, and a note follows."""
        columns(count)
        delivery = _sent(message("text", {"text": "你好" * 500}), attempt=2)
        line = EventLines(_Terminal()).line(delivery).split("\n")[1]

        assert line.endswith("…  (attempt 2)")
        assert width(line) in {count - 1, count} or count == 40

    def test_colours(self, columns, monkeypatch):
        """Time and type are dim, what happened is bold; the words are as they are."""
        columns(200)
        monkeypatch.delenv("NO_COLOR")
        monkeypatch.setenv("TERM", "xterm")
        line = EventLines(_Terminal()).line(MENU).split("\n")[1]

        assert line.startswith("\x1b[2m11:03:11\x1b[0m \x1b[36m     7\x1b[0m  \x1b[1mbot menu used")
        assert "menu_help\x1b[33m  (attempt 3)\x1b[0m" in line
        assert line.endswith("\x1b[2mapplication.bot.menu_v6\x1b[0m")

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
    @given(payloads(), st.sampled_from([60, 80, 120, 200]))
    def test_any_event_has_one_line_that_fits(self, monkeypatch, payload, count):
        """Whatever is in it: nothing to obey, nothing that wraps."""
        monkeypatch.setenv("COLUMNS", str(count))
        *_, line = EventLines(_Terminal()).line(_sent(payload)).split("\n")

        assert width(line) <= count
        assert line.replace("\u200d", "").isprintable()


def test_payloads_that_are_no_json_have_a_line():
    """Their size is what there is to say."""
    assert (
        EventLines(io.StringIO()).line(_sent(b"\xff\x00")).endswith("(unknown): 2 bytes, no JSON")
    )


@pytest.mark.parametrize("text", ["1e999", "-1" + "0" * 5000, '"\\ud800"', "[" * 200 + "]" * 200])
def test_json_that_python_would_not_read_has_a_line(text):
    """Numbers beyond every bound and lone surrogates are valid JSON."""
    payload = encode({"event": {"a": 0}}).replace(b"0", text.encode())

    assert EventLines(io.StringIO()).line(_sent(payload)).isprintable()
