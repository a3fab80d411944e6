"""What the command line may say. Imports nothing heavy, so that `--version` is quick."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from feishu_ws import __version__
from feishu_ws.faults import Fault, FeishuWsError

PROGRAM: Final = "feishu-ws"
DEFAULT_LISTEN: Final = "127.0.0.1:18080"
SHELLS: Final = ("bash", "zsh", "fish")

Parser = argparse.ArgumentParser
Say = Callable[[Parser], None]


class HintedError(FeishuWsError):
    """A fault of which the command knows better than the catalogue what to do."""

    def __init__(self, fault: Fault, detail: str, hint: str) -> None:
        super().__init__(fault, detail)
        self.hint = hint


class UsageError(HintedError):
    """The command line cannot be understood; `hint` names the command that explains it."""

    def __init__(self, detail: str, hint: str) -> None:
        super().__init__(Fault.USAGE, detail, hint)


@dataclass(frozen=True, slots=True)
class Command:
    """A command: what it is for, which global options mean something to it, its own options.

    Attributes:
        module: Its name in `feishu_ws.cli`; imported only when it runs.
    """

    name: str
    summary: str
    options: Say
    takes: frozenset[str] = frozenset()

    @property
    def module(self) -> str:
        """The module that runs it."""
        return f"feishu_ws.cli.{self.name}"


class _Parser(argparse.ArgumentParser):
    """An argparse parser that raises instead of exiting."""

    def error(self, message: str) -> NoReturn:
        detail = f"{message}, expected what `{self.prog} --help` lists"
        raise UsageError(detail, f"{self.prog} --help")


CONFIG: Final = "config"
SOCKET: Final = "socket"


def _no_options(_: Parser) -> None:
    """Add nothing."""


def _demo(parser: Parser) -> None:
    parser.add_argument("--events", type=_count, metavar="N", help="end after N settled events")
    parser.add_argument("--for", type=_seconds, metavar="SECONDS", dest="seconds", help="end then")
    parser.add_argument("--rate", type=_rate, default=4.0, metavar="N", help="events per second")


def _simulate(parser: Parser) -> None:
    parser.add_argument("--listen", type=_address, default=DEFAULT_LISTEN, metavar="HOST:PORT")
    parser.add_argument(
        "--scenario", default="calm", metavar="NAME|FILE", help="what happens (default: calm)"
    )
    parser.add_argument("--rate", type=_rate, metavar="N", help="events per second")
    parser.add_argument("--events", type=_count, metavar="N", help="end after N events")
    parser.add_argument("--app-id", metavar="ID", help="the app that may connect")
    parser.add_argument("--secret", metavar="TEXT", help="its simulated secret")
    parser.add_argument(
        "--links", type=_count, default=0, metavar="N", help="begin when N links are open"
    )


def _tail(parser: Parser) -> None:
    parser.add_argument(
        "--from",
        type=_start,
        default="latest",
        metavar="WHERE",
        dest="start",
        help="latest (default), earliest or a position",
    )
    parser.add_argument(
        "--type", action="append", metavar="GLOB", dest="types", help="only such event types"
    )
    parser.add_argument("--max", type=_count, metavar="N", help="end after N events")


def _completion(parser: Parser) -> None:
    parser.add_argument("shell", choices=SHELLS)


COMMANDS: Final = (
    Command("run", "the daemon, in the foreground", _no_options, frozenset({CONFIG})),
    Command("demo", "everything at once, no account needed", _demo),
    Command("simulate", "a simulated Feishu alone", _simulate),
    Command("check", "validate the configuration, show what is in force", _no_options, frozenset({CONFIG})),
    Command("status", "links, journal, consumers, losses", _no_options, frozenset({CONFIG, SOCKET})),
    Command("tail", "events as they arrive; disturbs nobody", _tail, frozenset({CONFIG, SOCKET})),
    Command("completion", "a completion script for your shell", _completion),
)  # fmt: skip
"""Every command, in the order of `--help`."""

_EPILOG: Final = """\
exit codes: 0 ok, 64 usage, 69 something needed is unreachable, 70 internal error, 74 journal,
75 lock, socket or port held by another process, 77 credentials refused, 78 configuration"""


def build_parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = _Parser(
        prog=PROGRAM,
        description="Keep a Feishu (Lark) long connection alive and lose nothing.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    _add_globals(parser, frozenset({CONFIG, SOCKET}), default=None)
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", parser_class=_Parser, title="commands"
    )
    for command in COMMANDS:
        sub = commands.add_parser(
            command.name, help=command.summary, description=command.summary, allow_abbrev=False
        )
        command.options(sub)
        # SUPPRESS keeps what stood before the command
        _add_globals(sub, command.takes, default=argparse.SUPPRESS)
    return parser


def _add_globals(parser: Parser, takes: frozenset[str], default: Any) -> None:
    group = parser.add_argument_group("global options")
    if CONFIG in takes:
        group.add_argument("--config", metavar="PATH", default=default, help="configuration file")
    if SOCKET in takes:
        group.add_argument(
            "--socket", metavar="PATH", default=default, help="the daemon's socket; needs no config"
        )
    group.add_argument(
        "--json", action="store_true", default=default, help="for programs instead of people"
    )


def parse(argv: list[str]) -> argparse.Namespace:
    """Return the parsed command line; `command` is a name of `COMMANDS`.

    Raises:
        UsageError: It cannot be understood.
    """
    args = build_parser().parse_args(argv)
    args.json = bool(args.json)
    if args.command is None:
        names = ", ".join(command.name for command in COMMANDS)
        raise UsageError(f"no command, expected one of {names}", f"{PROGRAM} --help")
    _check_globals(args)
    return args


def _check_globals(args: argparse.Namespace) -> None:
    for option in (CONFIG, SOCKET):
        takers = [command.name for command in COMMANDS if option in command.takes]
        if getattr(args, option) is not None and args.command not in takers:
            detail = f"--{option} with {args.command}, expected it with {', '.join(takers)}"
            raise UsageError(detail, f"{PROGRAM} {args.command} --help")


# -- values ---------------------------------------------------------------------------------


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _rate(text: str) -> float:
    return _positive(text, "events per second")


def _seconds(text: str) -> float:
    return _positive(text, "seconds")


def _positive(text: str, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of {what} above 0")
    return number


def _start(text: str) -> str | int:
    if text in {"latest", "earliest"}:
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither latest, earliest nor a position")
    return int(text)


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT")
    return text
