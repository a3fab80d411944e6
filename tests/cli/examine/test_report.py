"""Results as lines and as an object."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.cli.examine.finding import Result, Step, fail, ok, skip, warn
from feishu_ws.cli.examine.report import MARGIN, as_object, conclude, describe
from feishu_ws.cli.render import Paint, width
from feishu_ws.faults import CATALOGUE, Fault

PLAIN = Paint(io.StringIO())
BAD = Result(Step.TLS, fail(Fault.TLS_FAILED, "certificate not trusted", issuer="Corp"), 0.0311)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (Result(Step.DNS, ok("in 12 ms")), "ok    dns        in 12 ms"),
        (Result(Step.TCP, skip("dns failed")), "skip  tcp        dns failed"),
        (
            Result(Step.CONSUMERS, warn("none", hint="start one")),
            "warn  consumers  none  try: start one",
        ),
        (
            BAD,
            "fail  tls        certificate not trusted  fault: tls_failed  try: "
            + CATALOGUE[Fault.TLS_FAILED].hint,
        ),
    ],
)
def test_one_line_each(result, line):
    """State, step, what was seen, the fault, the one thing to do; the first two are aligned."""
    assert describe(result, PLAIN, None) == line


def test_a_narrow_terminal_breaks_between_the_parts():
    """Fault and advice begin lines of their own, below the text."""
    lines = describe(BAD, PLAIN, 60).splitlines()

    assert [line[MARGIN:].split()[0] for line in lines[:3]] == ["certificate", "fault:", "try:"]
    assert {line[:MARGIN].strip() for line in lines[1:]} == {""}
    assert max(map(width, lines)) <= 60


def test_a_terminal_gets_colour(monkeypatch):
    """The state in its colour, also where it is said again at the end."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    paint = Paint(Terminal())

    assert describe(BAD, paint, 200).startswith("\x1b[31mfail\x1b[0m  ")
    assert conclude([BAD], paint).startswith("\x1b[31mfault: tls_failed at tls")


@given(st.text(max_size=800), st.integers(1, 200))
def test_nothing_steers_the_terminal(text, columns):
    """Whatever others wrote, a line of it is printable."""
    told = describe(Result(Step.TLS, fail(Fault.TLS_FAILED, text)), PLAIN, columns)
    assert all(line.isprintable() for line in told.split("\n"))


@pytest.mark.parametrize("before", ["", "x" * 590])
def test_others_words_are_told_without_secrets(before):
    """Whatever came back, also where it is cut, and in the object for programs."""
    seen = f"{before} https://h/?ticket=hunter2 access_key=hunter2"
    result = Result(Step.LINK, fail(Fault.HANDSHAKE_REFUSED, seen, url="wss://u:hunter2@h/"))
    told = describe(result, PLAIN, None) + str(as_object([result]))
    assert "hunter2" not in told
    assert "hunt" not in told


def test_what_is_expected_of_the_configuration_is_told_in_full():
    """An example of a URL is no secret."""
    seen = "app.domain: nothing, expected https://HOST[:PORT]"
    assert seen in describe(Result(Step.CONFIG, fail(Fault.CONFIG_INVALID, seen)), PLAIN, None)


@pytest.mark.parametrize(
    ("results", "line"),
    [
        ([Result(Step.DNS, ok("fine"))], "no fault found"),
        ([Result(Step.DNS, warn("slow"))], "no fault found, but look at dns"),
        (
            [Result(Step.DNS, warn("slow")), BAD],
            "fault: tls_failed at tls: the TLS handshake failed",
        ),
    ],
)
def test_the_last_line_says_what_it_comes_from(results, line):
    """The first failure, else what is odd, else that all is well."""
    assert conclude(results, PLAIN) == line


def test_everything_as_an_object():
    """The root of it on top, then every step with its figures."""
    told = as_object([Result(Step.DNS, ok("fine", ms=3)), BAD])

    assert (told["step"], told["fault"], told["exit"]) == ("tls", "tls_failed", 69)
    assert told["try"] == CATALOGUE[Fault.TLS_FAILED].hint
    assert told["steps"][0]["facts"] == {"ms": 3}
    assert told["steps"][1] == {
        "step": "tls",
        "state": "fail",
        "seen": "certificate not trusted",
        "fault": "tls_failed",
        "try": CATALOGUE[Fault.TLS_FAILED].hint,
        "took_ms": 31,
        "facts": {"issuer": "Corp"},
    }


def test_an_object_where_nothing_failed():
    """No step, no fault, exit 0."""
    told = as_object([Result(Step.DNS, ok("fine"))])
    assert (told["step"], told["fault"], told["exit"], told["try"]) == (None, None, 0, "")
