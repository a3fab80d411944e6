"""Exit codes and the form of errors, of the real program."""

import io
import json
import sys

import pytest

from feishu_ws import __version__
from feishu_ws.cli import commands, main
from feishu_ws.faults import CATALOGUE, Exit, Fault, FeishuWsError

COMMANDS = ", ".join(command.name for command in commands.COMMANDS)
TALKERS = ", ".join(c.name for c in commands.COMMANDS if commands.SOCKET in c.takes)


@pytest.mark.parametrize(
    ("words", "code", "error", "hint"),
    [
        ([], 64, f"no command, expected one of {COMMANDS}", "feishu-ws --help"),
        (
            ["tail", "--from", "yesterday"],
            64,
            ("argument --from: 'yesterday' is neither latest, earliest nor a position, "
            "expected what `feishu-ws tail --help` lists"),
            "feishu-ws tail --help",
        ),
        (
            ["demo", "--events", "0"],
            64,
            ("argument --events: '0' is no whole number above 0, "
            "expected what `feishu-ws demo --help` lists"),
            "feishu-ws demo --help",
        ),
        (
            ["--socket", "/x", "check"],
            64,
            f"--socket with check, expected it with {TALKERS}",
            "feishu-ws check --help",
        ),
        (
            ["tail", "--colour"],
            64,
            "unrecognized arguments: --colour, expected what `feishu-ws --help` lists",
            "feishu-ws --help",
        ),
        (
            ["status", "--socket", "/no/where"],
            69,
            "no such file or directory, expected a daemon that listens, /no/where",
            "start it (`feishu-ws run`), or name its socket with --socket",
        ),
        (
            ["--config", "/no/file.toml", "check"],
            78,
            ("config file: no such file or directory, expected a readable TOML file of at most "
            "1048576 bytes (/no/file.toml)"),
            "mend it, then `feishu-ws check`",
        ),
        (
            ["run", "--config", "/no/file.toml"],
            78,
            ("config file: no such file or directory, expected a readable TOML file of at most "
            "1048576 bytes (/no/file.toml)"),
            "mend it, then `feishu-ws check`",
        ),
        (
            ["simulate", "--scenario", "/no/scenario.toml"],
            78,
            "scenario file /no/scenario.toml: cannot be read: No such file or directory",
            "feishu-ws simulate --scenario list; --scenario tour --show explains every key",
        ),
    ],
)  # fmt: skip
async def test_an_error_says_what_was_seen_and_expected_and_what_to_try(
    command, words, code, error, hint
):
    """One line, a hint and the fault's word on stderr, nothing on stdout, the fault's exit code."""
    faults = {69: "daemon_unreachable", 78: "config_invalid"}
    fault = f"  fault: {faults[code]}\n" if code in faults else ""  # a typo needs no word
    assert await command(*words) == (code, "", f"feishu-ws: {error}\n  try: {hint}\n{fault}")


async def test_errors_for_programs_are_an_object(command):
    """--json, before or after the command, changes the form and not the code."""
    error = {
        "fault": "daemon_unreachable",
        "message": "no such file or directory, expected a daemon that listens, /no",
        "hint": CATALOGUE[Fault.DAEMON_UNREACHABLE].hint,
        "exit": 69,
    }
    for words in (["--json", "tail", "--socket", "/no"], ["--socket", "/no", "tail", "--json"]):
        code, out, err = await command(*words)

        assert (code, out) == (69, "")
        assert json.loads(err) == {"error": error}


async def test_the_version_is_told(command):
    """Name and version."""
    assert await command("--version") == (0, f"feishu-ws {__version__}\n", "")


async def test_the_help_names_every_command(command):
    """And the exit codes."""
    code, out, err = await command("--help")

    assert (code, err) == (0, "")
    listed = [line.split()[0] for line in out.splitlines() if line.startswith("    ")]
    assert listed[1:] == COMMANDS.split(", ")
    assert "78 configuration" in out


async def test_telling_the_version_imports_no_command():
    """It stays quick: no asyncio, no msgspec, no room."""
    code = "import sys; import feishu_ws.cli.main as m; m.parse(['check']); print(*sys.modules)"
    import asyncio  # the point of the test is who imports it

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()

    loaded = set(out.decode().split())
    assert "feishu_ws.cli.parser" in loaded
    assert not loaded & {"asyncio", "msgspec", "aiohttp", "feishu_ws.config", "feishu_ws.client"}


@pytest.fixture
def failing(monkeypatch):
    """A function that makes `check` fail with an exception and returns what `execute` does."""

    def fail(exc, *words):
        def run(_):
            raise exc

        monkeypatch.setattr("feishu_ws.cli.check.run", run)
        return main.execute(["check", *words])

    return fail


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_ends_with_its_exit_code_and_hint(failing, capsys, fault):
    """The catalogue decides."""
    code = failing(FeishuWsError(fault, "this was seen"))

    spec, err = CATALOGUE[fault], capsys.readouterr().err
    assert code == spec.exit_code
    assert err.startswith("feishu-ws: this was seen\n")
    assert (f"  try: {spec.hint}\n" in err) == bool(spec.hint)


def test_a_defect_is_told_with_its_traceback(failing, capsys):
    """Exit 70, and what to report."""
    code = failing(ZeroDivisionError("oh"))

    err = capsys.readouterr().err
    assert code == Exit.INTERNAL
    assert "Traceback (most recent call last)" in err
    assert "feishu-ws: ZeroDivisionError: oh, expected no such thing, " in err


def test_an_interrupt_ends_quietly(failing, capsys):
    """Like any program at a shell."""
    assert failing(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == ""


def test_what_could_steer_a_terminal_is_escaped_in_errors(failing, capsys):
    """An error may repeat what somebody else wrote."""
    failing(FeishuWsError(Fault.CONFIG_INVALID, "\x1b[31mred\x9b\u202e 好"))

    assert capsys.readouterr().err.startswith("feishu-ws: \\x1b[31mred\\x9b\\u202e 好\n")


async def test_a_reader_that_had_enough_is_no_error(start):
    """`feishu-ws … | head -1` ends with 0 and in silence."""
    process = await start("completion", "bash")
    process.stdout._transport.close()

    assert await process.wait() == 0
    assert await process.stderr.read() == b""


def test_a_terminal_that_lacks_a_character_gets_an_escape(monkeypatch):
    """LANG=C does not end a command."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    main._never_refuse(stream)

    stream.write("好")
    stream.flush()

    assert stream.buffer.getvalue() == b"\\u597d"
