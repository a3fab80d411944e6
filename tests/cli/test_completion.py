"""`feishu-ws completion`: what a shell offers is what the parser takes."""

import subprocess

import pytest

from feishu_ws.cli.completion import _bash, _fish, _zsh, grammar
from feishu_ws.cli.parser import COMMANDS

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


@pytest.mark.parametrize("shell", SCRIPTS)
async def test_a_script_names_every_command_and_option(command, shell):
    """Nothing the parser takes is missing."""
    code, out, err = await command("completion", shell)

    assert (code, err) == (0, "")
    assert all(command.name in out for command in COMMANDS)
    for _, options in grammar().values():
        for option in options:
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
