"""`feishu-ws doctor`: looks at everything between here and Feishu, and says what is wrong."""

import argparse
import asyncio
import json
import os
import platform
import shutil
import signal
import sys
from pathlib import Path
from typing import Final

from feishu_ws import __version__
from feishu_ws.cli.examine.configured import configure
from feishu_ws.cli.examine.course import Course
from feishu_ws.cli.examine.finding import Result, Step, exit_code
from feishu_ws.cli.examine.report import as_object, conclude, describe
from feishu_ws.cli.reach import is_socket_named, socket_of
from feishu_ws.cli.render import Paint, local_time_ms, tame_json
from feishu_ws.clock import SystemClock
from feishu_ws.config import ConfigError

ERASE: Final = "\r\x1b[K"
QUESTION: Final = (
    "Open a link to Feishu for a moment? It confirms nothing; an event that comes meanwhile is\n"
    "sent again after 15 s, a card's button pressed meanwhile is not. [y/N] "
)


def run(args: argparse.Namespace) -> int:
    """Look, tell, and return the exit code of what it all comes from."""
    return asyncio.run(_examine(args))


async def _examine(args: argparse.Namespace) -> int:
    teller = _Teller(as_json=args.json)
    configured = configure(args.config, os.environ)
    course = Course(
        configured,
        _socket(args) or configured.settings.socket.path,
        os.environ,
        began=teller.look_at,
        consent=lambda: args.connect or teller.ask(),
    )
    teller.begin()
    async for result in course.run():
        teller.tell(result)
    teller.end()
    return exit_code(teller.results)


def _socket(args: argparse.Namespace) -> str:
    """Return the socket of a daemon that is there or was named, "" if there is none."""
    try:
        path = socket_of(args)
    except ConfigError:
        return ""  # the config step says why
    return path if is_socket_named(args) or Path(path).exists() else ""


class _Teller:
    """Prints results as they come; on a terminal also what is being looked at."""

    def __init__(self, *, as_json: bool) -> None:
        self.results: list[Result] = []
        self._as_json = as_json
        self._paint = Paint(sys.stdout)
        self._is_terminal = sys.stdout.isatty() and not as_json
        self._is_live = self._is_terminal and os.environ.get("TERM") != "dumb"

    def begin(self) -> None:
        """Say what looks, and when."""
        system = f"Python {platform.python_version()}, {platform.system()} {platform.release()}"
        now = local_time_ms(SystemClock().wall_ms())
        self._print(self._paint(f"feishu-ws {__version__}, {system}, {now}", "dim"))

    def look_at(self, step: Step) -> None:
        """Show on a terminal what may take its time."""
        if self._is_live:
            print(f"{ERASE}{self._paint(f'looking at {step} …', 'dim')}", end="", flush=True)

    def ask(self) -> bool:
        """Return whether somebody at a terminal wants a link opened."""
        if not (self._is_terminal and sys.stdin.isatty()):
            return False
        # asyncio's own handler would let the first Ctrl-C pass by the waiting `input`
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return input(f"{self._erase}{QUESTION}").strip().lower() in {"y", "yes"}
        except EOFError:
            return False
        finally:
            signal.signal(signal.SIGINT, before)

    def tell(self, result: Result) -> None:
        """Print a result."""
        self.results.append(result)
        columns = shutil.get_terminal_size().columns if self._is_terminal else None
        self._print(describe(result, self._paint, columns))

    def end(self) -> None:
        """Print what it all comes from, or everything as an object."""
        if self._as_json:
            line = json.dumps(as_object(self.results), ensure_ascii=False)
            print(tame_json(line) if sys.stdout.isatty() else line)
        else:
            self._print(conclude(self.results, self._paint))

    def _print(self, line: str) -> None:
        if not self._as_json:
            print(f"{self._erase}{line}", flush=True)

    @property
    def _erase(self) -> str:
        """What takes the line back that says what is being looked at."""
        return ERASE if self._is_live else ""
