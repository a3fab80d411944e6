"""How a command line is read. Imports nothing heavy, so that `--version` is quick."""

import argparse
from typing import Any, Final, NoReturn

from feishu_ws import __version__
from feishu_ws.cli.commands import COMMANDS, CONFIG, SOCKET, Command
from feishu_ws.cli.options import Parser
from feishu_ws.faults import Fault, FeishuWsError

PROGRAM: Final = "feishu-ws"
BY_ITSELF: Final = "list"  # the action of a command that has it, where none is named


class HintedError(FeishuWsError):
    """A fault of which the command knows better than the catalogue what to do."""

    def __init__(self, fault: Fault, detail: str, hint: str) -> None:
        super().__init__(fault, detail)
        self.hint = hint


class UsageError(HintedError):
    """The command line cannot be understood; `hint` names the command that explains it."""

    def __init__(self, detail: str, hint: str) -> None:
        super().__init__(Fault.USAGE, detail, hint)


class _Parser(argparse.ArgumentParser):
    """An argparse parser that raises instead of exiting."""

    def error(self, message: str) -> NoReturn:
        detail = f"{message}, expected what `{self.prog} --help` lists"
        raise UsageError(detail, f"{self.prog} --help")


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
    _add_commands(parser, "command", COMMANDS)
    return parser


def _add_commands(parser: Parser, kind: str, commands: tuple[Command, ...]) -> None:
    """Let the next word name one of `commands`; the namespace has it as `kind`."""
    # without any command, or where there is something to list, `parse` knows better
    is_optional = kind == "command" or any(command.name == BY_ITSELF for command in commands)
    words = parser.add_subparsers(
        dest=kind,
        metavar=kind.upper(),
        parser_class=_Parser,
        title=f"{kind}s",
        required=not is_optional,
    )
    for command in commands:
        sub = words.add_parser(
            command.name,
            help=command.summary,
            description=_about(command),
            epilog=_examples(command),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.options(sub)
        # SUPPRESS keeps what stood before the command
        _add_globals(sub, command.takes, default=argparse.SUPPRESS)
        if command.actions:
            _add_commands(sub, "action", command.actions)


def _about(command: Command) -> str:
    summary = command.summary[:1].upper() + command.summary[1:]
    return f"{summary}.\n\n{command.about}" if command.about else f"{summary}."


def _examples(command: Command) -> str | None:
    if not command.examples:
        return None
    width = max(len(words) for words, _ in command.examples)
    lines = [f"  {PROGRAM} {words:<{width}}   {what}" for words, what in command.examples]
    return "\n".join(["examples:", *lines])


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
    parser = build_parser()
    args = parser.parse_args(argv)
    if getattr(args, "action", "") is None:
        args = parser.parse_args([*argv, BY_ITSELF])
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
