"""The completion scripts in the shells they are for: somebody types, and presses Tab."""

import asyncio
import contextlib
import os
import pty
import shutil
import subprocess
import sys

import pytest

from feishu_ws.cli.options import SHELLS

PATIENCE_S = 20.0
SHOW = "\x14"  # Ctrl-T, at which each shell is told to write its line down

TYPED = [
    ("feishu-ws st", "feishu-ws status "),
    ("feishu-ws --json ta", "feishu-ws --json tail "),
    ("feishu-ws dead dr", "feishu-ws dead drop "),
    ("feishu-ws dead list --cons", "feishu-ws dead list --consumer "),
    ("feishu-ws tail --from ea", "feishu-ws tail --from earliest "),
    ("feishu-ws completion z", "feishu-ws completion zsh "),
    ("feishu-ws simulate --scenario cal", "feishu-ws simulate --scenario cal"),
]
"""What is typed, and the line after Tab; the last is ambiguous: callbacks and calm."""

ZSH = """\
show() {{ print -r -- "$BUFFER" > {shown} }}
zle -N show; bindkey '^T' show; unsetopt beep
autoload -U compinit
"""
BASH = """\
bind -x '"\\C-t": printf "%s\\n" "$READLINE_LINE" > {shown}'
source {directory}/bash
"""
STARTS = {
    "zsh, from fpath": ("zsh -f -i", ZSH + "fpath=({directory} $fpath); compinit -u -D\n"),
    "zsh, sourced": ("zsh -f -i", ZSH + "compinit -u -D; source {directory}/_feishu-ws\n"),
    "bash": ("bash --norc --noprofile -i", BASH),
}


def find(command):
    """Return where a shell is; a test that cannot run must say so."""
    found = shutil.which(command)
    assert found, f"{command} is missing, expected the Debian package {command}"
    return found


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """A directory with the script of each shell, named as the documentation says."""
    directory = tmp_path_factory.mktemp("scripts")
    for shell in SHELLS:
        words = [sys.executable, "-m", "feishu_ws", "completion", shell]
        script = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        (directory / {"zsh": "_feishu-ws"}.get(shell, shell)).write_text(script)
    return directory


class Terminal:
    """A shell on a terminal of its own, in an empty home."""

    def __init__(self, words, home):
        shell, *options = words.split()
        self._words = (find(shell), *options)
        self._home = home
        self.shown = ""

    async def __aenter__(self):
        self._master, slave = pty.openpty()
        os.set_blocking(self._master, False)
        env = {
            "HOME": str(self._home),
            "PATH": os.environ["PATH"],
            "TERM": "xterm",
            "LANG": "C.UTF-8",
        }
        self._process = await asyncio.create_subprocess_exec(
            *self._words, stdin=slave, stdout=slave, stderr=slave,
            env=env, cwd=self._home, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        return self

    async def __aexit__(self, *_):
        self._process.kill()
        await self._process.wait()
        os.close(self._master)

    def type(self, text):
        os.write(self._master, text.encode())

    async def until(self, condition):
        """Read what the shell shows until `condition` holds, so that it never waits for us."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                with contextlib.suppress(OSError):  # nothing yet
                    self.shown += os.read(self._master, 65_536).decode(errors="replace")
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", STARTS)
async def test_tab_completes(how, scripts, tmp_path):
    """From the first Tab on: commands, actions, options and what may follow them; no error shows."""
    words, setup = STARTS[how]
    shown, ready = tmp_path / "shown", tmp_path / "ready"
    lines = {}
    async with Terminal(words, tmp_path) as terminal:
        terminal.type(setup.format(shown=shown, directory=scripts) + f"touch {ready}\n")
        await terminal.until(ready.exists)
        terminal.shown = ""
        for typed, _ in TYPED:
            terminal.type(f"{typed}\t{SHOW}")
            await terminal.until(lambda: shown.exists() and shown.read_text().endswith("\n"))
            lines[typed] = shown.read_text().removesuffix("\n")
            shown.unlink()
            terminal.type("\x15")  # Ctrl-U: an empty line again

    assert lines == dict(TYPED), terminal.shown
    for complaint in ("unrecognized", "not found", "syntax error"):
        assert complaint not in terminal.shown


def test_fish_offers_what_fits(scripts, tmp_path):
    """Fish can be asked without a terminal; it offers the summary beside each word."""
    asked = "\n".join(f"complete -C '{typed}'; echo ---" for typed, _ in TYPED)
    done = subprocess.run(
        [find("fish"), "--no-config", "-c", f"source {scripts}/fish\n{asked}"],
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        capture_output=True, text=True, check=True, timeout=PATIENCE_S,
    )  # fmt: skip
    offered = [
        {line.partition("\t")[0] for line in part.splitlines() if line}
        for part in done.stdout.split("---")
    ]
    whole = [line.split()[-1] for _, line in TYPED]

    assert done.stderr == ""
    assert [words >= {word} for words, word in zip(offered, whole[:-1], strict=False)] == [True] * 6
    assert offered[-2] >= {"callbacks", "calm"}
    assert "status\tlinks, journal, consumers, losses" in done.stdout
