"""Processes that the demo starts: fed by environment, watched, and ended with it."""

import asyncio
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import feishu_ws
from feishu_ws.cli.parser import HintedError
from feishu_ws.faults import Fault, FeishuWsError

ENV_PREFIX: Final = "FEISHU_WS_"
NOT_THEIRS: Final = frozenset(
    {
        "CREDENTIALS_DIRECTORY",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
    }
)
"""What a service manager gave this process, and only this one. Source: systemd.exec(5)."""
END_S: Final = 5.0  # the daemon stops within 3 s; source: CONTRACT 4
LAST_LINES: Final = 25  # of a child's output, when it ended and should not have
LOCALHOST: Final = "127.0.0.1"


def child_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with no settings but the given ones."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(ENV_PREFIX) and name not in NOT_THEIRS
    }
    root = str(Path(feishu_ws.__file__).parent.parent)  # also when run from a source tree
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [root, env.get("PYTHONPATH")]))
    return env | {ENV_PREFIX + name: value for name, value in settings.items()}


def free_port() -> int:
    """Return a TCP port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return int(probe.getsockname()[1])


class Child:
    """A `feishu-ws` command as a process; on leaving it is ended, by force if need be.

    Args:
        name: What to call it in messages.
        words: Its command line.
        directory: Where it runs and where its output is kept.
        is_read: Whether its standard output is for `readline`.
    """

    def __init__(
        self,
        name: str,
        words: list[str],
        directory: Path,
        env: Mapping[str, str],
        *,
        is_read: bool = False,
    ) -> None:
        self._name = name
        self._words = words
        self._directory = directory
        self._env = env
        self._is_read = is_read
        self._log = directory / f"{words[-1]}.log"
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "feishu_ws",
                *self._words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if self._is_read else log,
                stderr=log,
                cwd=self._directory,
                env=self._env,
                start_new_session=True,  # Ctrl-C is for us; we end it in good order
            )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        process = self._running()
        if process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None  # only used inside `async with`
        return self._process

    async def readline(self) -> str:
        """Return the next line of its standard output, "" after the last one."""
        stdout = self._running().stdout
        return (await stdout.readline()).decode() if stdout else ""

    async def watch(self) -> None:
        """Wait until it ends by itself.

        Raises:
            FeishuWsError: `internal`: it did.
        """
        code = await self._running().wait()
        raise self.failure(f"ended with {code}")

    def failure(self, what: str) -> FeishuWsError:
        """Return the error for a child that failed, with the end of its output."""
        lines = self._log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        output = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
        return ChildError(f"{self._name} {what}, expected it to go on", output)


class ChildError(HintedError):
    """A child failed; `output` is the end of what it wrote."""

    def __init__(self, detail: str, output: str) -> None:
        super().__init__(Fault.INTERNAL, detail, "see what it said, above")
        self.output = output
