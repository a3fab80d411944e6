"""`feishu-ws completion`: what a shell offers is what the parser takes."""

import subprocess

import pytest

from feishu_ws.cli.commands import COMMANDS
from feishu_ws.cli.completion import _bash, _fish, _zsh, grammar
from feishu_ws.cli.scenarios import SCENARIOS

SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}


def _complete(*words):
    """Return what bash offers for the last of `words`."""
    line = " ".join(f"'{word}'" for word in ("feishu-ws", *words))
    script = f"{_bash(grammar())}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}\n"
    script += '_feishu_ws; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, cwd="/"
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_offers_commands_and_their_options():
    """By what stands before the cursor."""
    assert _complete("st") == ["status"]
    assert _complete("--json", "ta") == ["tail"]
    assert _complete("tail", "--m") == ["--max"]
    assert _complete("completion", "z") == ["zsh"]
    assert _complete("--socket", "/et") == ["/etc"]
    assert _complete("--config", "x", "--so") == ["--socket"]
    assert _complete("replay", "--from", "e") == ["earliest"]


def test_bash_offers_actions_and_their_options():
    """The second word counts too, wherever options stand."""
    assert _complete("dead", "d") == ["drop"]
    assert _complete("dead", "l") == ["list"]
    assert _complete("dead", "list", "--m") == ["--max"]
    assert _complete("--json", "dead", "--socket", "/x", "retry", "--a") == ["--all"]
    assert _complete("consumers", "") == [
        "list", "forget", "-h", "--help", "--config", "--socket", "--json",
    ]  # fmt: skip
    assert _complete("consumers", "forget", "--m") == []
    assert _complete("list", "--m") == []


def test_scenarios_are_offered_by_name():
    """Those that are shipped, and files."""
    assert _complete("simulate", "--scenario", "ca") == [
        name for name in SCENARIOS if name.startswith("ca")
    ]
    assert _complete("simulate", "--scenario", "/et") == ["/etc"]


@pytest.mark.parametrize("shell", SCRIPTS)
async def test_a_script_names_every_command_and_option(command, shell):
    """Nothing the parser takes is missing."""
    code, out, err = await command("completion", shell)

    assert (code, err) == (0, "")
    assert all(command.name in out for command in COMMANDS)
    for words in grammar().values():
        assert all(action in out for action in words.actions)
        for option in words.options:
            for name in option.names:
                word = (
                    name
                    if shell != "fish"
                    else f"{'-l' if name[1] == '-' else '-s'} {name.lstrip('-')}"
                )
                assert word in out


def test_bash_finds_no_fault_with_the_script():
    """Syntax, at least, of the one shell that is everywhere."""
    subprocess.run(["bash", "-n"], input=_bash(grammar()), text=True, check=True)
