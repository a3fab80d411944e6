"""Log lines: formats, levels, where they go."""

import io
import logging
import os
import pty
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.secret import Secret
from feishu_ws.telemetry.logs import LEVELS, Logs, configure

PLANTED = "pl4nted-s3cr3t"


def made(level="info", style="json", **where):
    stream = io.StringIO()
    return configure(ManualClock(), level, style, stream=stream, env={}, **where), stream


def lines(stream):
    return stream.getvalue().removesuffix("\n").split("\n")


def records(stream):
    return [msgspec.json.decode(line) for line in lines(stream)]


def test_json_is_one_object_per_line():
    """A line has time, level, event and the fields, in that order."""
    logs, stream = made()
    logs.logger.info("link.lost", link=1, detail="two\nlines", lived_s=812.4)
    [line] = lines(stream)
    assert line == (
        '{"ts":"2026-03-20T11:03:11.415Z","level":"info","event":"link.lost",'
        '"link":1,"detail":"two\\nlines","lived_s":812.4}'
    )


def test_text_reads_well():
    """Values stand bare where they can, quoted where they must."""
    logs, stream = made(style="text")
    logs.logger.warning("link.lost", link=1, fault="pong_overdue", detail="no answer", empty="")
    assert lines(stream) == [
        '2026-03-20T11:03:11.415Z warning  link.lost link=1 fault=pong_overdue detail="no answer" empty=""'
    ]


def test_text_cannot_be_forged():
    """A peer's words neither begin a new line nor move the terminal's cursor."""
    logs, stream = made(style="text")
    logs.logger.error("x.y", detail="a\nb\x1b[2J\x7f\u2028", nested={"k": "\r"})
    [line] = lines(stream)
    assert line.isprintable()


@pytest.mark.parametrize("level", list(LEVELS))
def test_records_below_the_level_are_dropped(level):
    """The threshold lets its own level through, and only lines that went out are counted."""
    logs, stream = made(level)
    for each in LEVELS:
        getattr(logs.logger, each)("a.b")
    expected = [each for each, number in LEVELS.items() if number >= LEVELS[level]]
    assert [record["level"] for record in records(stream)] == expected
    assert logs.messages == Counter(expected)


def test_level_and_format_change_while_running():
    """A reload takes effect with the next line."""
    logs, stream = made("warning", "json")
    logs.logger.info("a.b")
    logs.apply("debug", "text")
    logs.logger.debug("c.d")
    [line] = lines(stream)
    assert "c.d" in line
    assert not line.startswith("{")


@pytest.mark.parametrize(("level", "style"), [("loud", "json"), ("info", "xml")])
def test_an_unknown_level_or_format_changes_nothing(level, style):
    """It is a configuration error that names what is allowed."""
    logs, stream = made("info", "json")
    with pytest.raises(FeishuWsError, match="expected one of") as raised:
        logs.apply(level, style)
    assert raised.value.fault is Fault.CONFIG_INVALID
    logs.logger.info("a.b")
    assert records(stream)


@pytest.mark.parametrize("style", ["json", "text"])
def test_planted_secrets_do_not_come_out(style):
    """Neither by value, key, pair, URL nor exception."""
    logs, stream = made(style=style)
    logs.hide([Secret(PLANTED)])
    logs.logger.error(
        "a.b",
        exc_info=ValueError(f"refused {PLANTED}"),
        secret=Secret(PLANTED),
        detail=f"wss://h/ws?ticket={PLANTED}",
        url=f"https://h/?k={PLANTED[:5]}",
        other=PLANTED,
        deep={"list": [PLANTED]},
    )
    assert stream.getvalue().count("\n") == 1
    assert PLANTED not in stream.getvalue()
    assert PLANTED[:5] not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


def test_message_content_as_bytes_does_not_come_out():
    """Payloads are bytes, and bytes are never shown."""
    logs, stream = made()
    logs.logger.info("a.b", payload=b"{}" + "你好".encode())
    assert records(stream)[0]["payload"] == "<8 bytes>"


def test_auto_is_json_where_nobody_reads():
    """A stream that is no terminal gets JSON."""
    logs, stream = made(style="auto")
    logs.logger.info("a.b")
    assert records(stream)[0]["event"] == "a.b"


def on_a_terminal(env):
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        logs = Logs(ManualClock(), stream=stream, env=env)
        logs.logger.info("a.b", n=1)
        seen = os.read(controller, 4096).decode()
    os.close(controller)
    return seen


def test_auto_is_coloured_text_on_a_terminal():
    """A person at a terminal gets text with the level in colour."""
    seen = on_a_terminal({})
    assert " a.b n=1" in seen
    assert "\x1b[32minfo" in seen


def test_no_color_is_honoured():
    """$NO_COLOR turns colour off. Source: no-color.org."""
    assert "\x1b" not in on_a_terminal({"NO_COLOR": "1"})


def test_lines_for_the_journal_begin_with_their_priority(tmp_path):
    """Where $JOURNAL_STREAM names the stream, systemd reads the level from a prefix."""
    with (tmp_path / "log").open("w+") as stream:
        status = os.fstat(stream.fileno())
        env = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        logs = Logs(ManualClock(), level="debug", stream=stream, env=env)
        for level in LEVELS:
            getattr(logs.logger, level)("a.b")
        stream.seek(0)
        written = stream.read().splitlines()
    assert [line[:4] for line in written] == ["<7>{", "<6>{", "<4>{", "<3>{", "<2>{"]


def test_a_redirected_stream_gets_no_priorities(tmp_path):
    """$JOURNAL_STREAM is inherited; it counts only for the stream it names."""
    with (tmp_path / "log").open("w+") as stream:
        logs = Logs(ManualClock(), stream=stream, env={"JOURNAL_STREAM": "1:2"})
        logs.logger.info("a.b")
        stream.seek(0)
        assert stream.read().startswith("{")


def test_a_closed_stream_is_not_our_problem():
    """A line that cannot be written is lost, nothing else happens."""
    logs, stream = made()
    stream.close()
    logs.logger.info("a.b")
    assert logs.messages == {"info": 1}


def test_a_broken_pipe_is_not_our_problem():
    """Nobody reads the other end any more."""
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    logs = Logs(ManualClock(), stream=stream, env={})
    logs.logger.info("a.b")
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_warnings_of_libraries_come_into_the_log():
    """From warnings up, with the library's name, its traceback, and without secrets."""
    logs, stream = made("debug")
    logs.hide([Secret(PLANTED)])
    library = logging.getLogger("some.library")
    with logs:
        library.info("frame content %s", PLANTED)
        library.warning("odd %s", PLANTED)
        library.error("broke", exc_info=RuntimeError(PLANTED))
    library.warning("after the end")
    assert [(r["level"], r["library"], r["detail"]) for r in records(stream)] == [
        ("warning", "some.library", "odd <redacted>"),
        ("error", "some.library", "broke"),
    ]
    assert "RuntimeError" in records(stream)[1]["exception"]
    assert PLANTED not in stream.getvalue()


def test_a_misformatted_warning_is_shown_as_it_is():
    """A library whose format and arguments do not fit gets its line all the same."""
    logs, stream = made()
    logs._bridge.handle(logging.LogRecord("lib", 30, "", 1, "odd %d", ("x",), None))
    assert records(stream)[0]["detail"] == "odd %d"


def test_two_logs_do_not_know_of_each_other():
    """There is no global configuration."""
    one, first = made("debug")
    two, second = made("error")
    one.logger.debug("a.b")
    two.logger.debug("c.d")
    assert "a.b" in first.getvalue()
    assert second.getvalue() == ""


@given(st.dictionaries(st.text(min_size=1), st.text() | st.floats() | st.integers()))
def test_any_fields_are_one_line(fields):
    """Whatever the fields, JSON stays one parseable line and text one line."""
    reserved = {"event", "level", "ts", "exc_info", "stack_info"}
    fields = {k: v for k, v in fields.items() if k not in reserved}
    for style in ("json", "text"):
        logs, stream = made(style=style)
        logs.logger.info("a.b", **fields)
        assert stream.getvalue().count("\n") == 1
        if style == "json":
            assert records(stream)[0]["event"] == "a.b"
