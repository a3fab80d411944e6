"""Every command: what it is for, what it takes, how it is used. Imports nothing heavy."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from feishu_ws.cli import values
from feishu_ws.cli.scenarios import LIST, scenario_table

Parser = argparse.ArgumentParser
Say = Callable[[Parser], None]

DEFAULT_LISTEN: Final = "127.0.0.1:18080"
SHELLS: Final = ("bash", "zsh", "fish")

CONFIG: Final = "config"
SOCKET: Final = "socket"
_CONFIGURED: Final = frozenset({CONFIG})
_TALKS: Final = frozenset({CONFIG, SOCKET})


def _no_options(_: Parser) -> None:
    """Add nothing."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command, or an action of one.

    Attributes:
        summary: A few words for lists.
        options: Adds its own options.
        takes: Which global options mean something to it.
        about: More than the summary, for its own `--help`.
        examples: Words after the program's name, and what they are good for.
        actions: What it can do, where the next word says so.
    """

    name: str
    summary: str
    options: Say = _no_options
    takes: frozenset[str] = frozenset()
    about: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    actions: tuple["Command", ...] = ()

    @property
    def module(self) -> str:
        """The module that runs it; imported only then."""
        return f"feishu_ws.cli.{self.name}"


# -- options --------------------------------------------------------------------------------


def _demo(parser: Parser) -> None:
    parser.add_argument(
        "--events", type=values.count, metavar="N", help="end after N settled events"
    )
    parser.add_argument(
        "--for", type=values.seconds, metavar="SECONDS", dest="seconds", help="end then"
    )
    parser.add_argument(
        "--rate", type=values.rate, default=4.0, metavar="N", help="events per second"
    )


def _simulate(parser: Parser) -> None:
    parser.add_argument(
        "--listen",
        type=values.address,
        default=DEFAULT_LISTEN,
        metavar="HOST:PORT",
        help=f"where it listens (default: {DEFAULT_LISTEN})",
    )
    parser.add_argument(
        "--scenario",
        default="calm",
        metavar="NAME|FILE",
        help=f"what happens: one of those above, a TOML file, or {LIST!r} (default: calm)",
    )
    parser.add_argument("--rate", type=values.rate, metavar="N", help="events per second")
    parser.add_argument("--events", type=values.count, metavar="N", help="end after N events")
    parser.add_argument(
        "--show", action="store_true", help="print the scenario's TOML instead of playing it"
    )
    parser.add_argument("--app-id", metavar="ID", help="the app that may connect")
    parser.add_argument("--secret", metavar="TEXT", help="its simulated secret")
    parser.add_argument(
        "--links", type=values.count, default=0, metavar="N", help="begin when N links are open"
    )


def _tail(parser: Parser) -> None:
    parser.add_argument(
        "--from",
        type=values.start,
        default="latest",
        metavar="WHERE",
        dest="start",
        help="latest (default), earliest or a position",
    )
    parser.add_argument(
        "--type", action="append", metavar="GLOB", dest="types", help="only such event types"
    )
    parser.add_argument("--max", type=values.count, metavar="N", help="end after N events")


def _doctor(parser: Parser) -> None:
    parser.add_argument(
        "--connect", action="store_true", help="where no daemon runs, open a link and close it"
    )


def _completion(parser: Parser) -> None:
    parser.add_argument("shell", choices=SHELLS)


def _consumer_name(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="the consumer")


def _replay(parser: Parser) -> None:
    parser.add_argument("consumer", metavar="CONSUMER", help="whose cursor is moved")
    parser.add_argument(
        "--from",
        type=values.point,
        required=True,
        metavar="POSITION|TIME",
        dest="point",
        help="the first event it shall get: a position, earliest, latest, a date or time, an age",
    )
    parser.add_argument(
        "--skip",
        action="store_true",
        help="also forward: what lies between and is not settled is never delivered",
    )


def _of_consumer(parser: Parser) -> None:
    parser.add_argument("--consumer", metavar="NAME", help="only dead letters of this consumer")


def _incidents(parser: Parser) -> None:
    parser.add_argument(
        "--since",
        type=values.moment,
        default="24h",
        metavar="TIME",
        help="since a date or time, or for an age such as 30m, 2h, 7d (default %(default)s)",
    )
    parser.add_argument("--max", type=values.count, metavar="N", help="the newest N of the table")


def _dead_list(parser: Parser) -> None:
    _of_consumer(parser)
    parser.add_argument("--max", type=values.count, metavar="N", help="at most N")


def _dead_show(parser: Parser) -> None:
    parser.add_argument("position", type=values.position, metavar="POSITION", help="which event")
    _of_consumer(parser)


def _dead_some(parser: Parser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "positions",
        type=values.position,
        nargs="*",
        default=[],
        metavar="POSITION",
        help="which events",
    )
    which.add_argument("--all", action="store_true", help="all of them")
    _of_consumer(parser)


# -- commands -------------------------------------------------------------------------------

_ABOUT_DIRECT: Final = """\
Asks the running daemon. Where none runs, the command takes the journal's lock and works
on the journal itself, as the daemon would; then it needs the daemon's configuration."""

_SIMULATE: Final = Command(
    "simulate",
    "a simulated Feishu alone",
    _simulate,
    about=f"""\
Plays a scenario on this machine: events come, links are cut, discovery is refused.
A scenario is a TOML file; the one called tour explains every key.

{scenario_table()}""",
    examples=(
        ("simulate --scenario storm", "a Feishu that keeps cutting links"),
        ("simulate --rate 100 --events 10000 --links 2", "load for a daemon"),
        ("simulate --scenario tour --show > mine.toml", "a scenario to make your own of"),
        ("simulate --scenario ./mine.toml", "and to play it"),
    ),
)

_CONSUMERS: Final = Command(
    "consumers",
    "who reads and where they stand; forget one",
    takes=_TALKS,
    about=_ABOUT_DIRECT,
    examples=(
        ("consumers list", "every consumer, its cursor and what it has not settled"),
        ("consumers forget old-bot", "remove its cursor; it no longer holds any event"),
    ),
    actions=(
        Command("list", "who reads and where they stand", takes=_TALKS),
        Command(
            "forget",
            "remove a consumer and its cursor",
            _consumer_name,
            _TALKS,
            """\
Removes a consumer that is not connected and not declared in delivery.consumers. What
only it held may go; its dead letters stay. Root or the daemon's user only.""",
            (("consumers forget old-bot", "it begins anew if it ever comes back"),),
        ),
    ),
)

_REPLAY: Final = Command(
    "replay",
    "move a consumer's cursor",
    _replay,
    _TALKS,
    """\
Lets a consumer get events again from a position or a time on, also while it is connected.
Moving forward over events it has not settled needs --skip. A time without a zone is local.
Root or the daemon's user only.""",
    (
        ("replay astrbot --from 30m", "the last half hour once more"),
        ("replay astrbot --from 340", "from position 340 on"),
        ("replay astrbot --from 14:00", "since two in the afternoon"),
        ("replay astrbot --from 2026-11-23T14:00:00+08:00", "since then"),
        ("replay astrbot --from latest --skip", "leave the backlog, only what comes from now on"),
    ),
)

_DEAD: Final = Command(
    "dead",
    "the dead letters: list, show, retry, drop",
    takes=_TALKS,
    about=f"""\
Dead letters are events that a consumer rejected for good, failed on too often, or did not
take in time. They stay until they are retried or dropped, or the journal needs the room.
{_ABOUT_DIRECT}""",
    examples=(
        ("dead list", "all of them, oldest first"),
        ("dead show 118", "one of them, with the event itself"),
        ("dead retry 118 121", "deliver these two again"),
        ("dead retry --all --consumer astrbot", "deliver all of astrbot's again"),
        ("dead drop --all", "give all of them up"),
    ),
    actions=(
        Command(
            "list",
            "what there is and why",
            _dead_list,
            _TALKS,
            "Notes may repeat content; only root and the daemon's user see them.",
            (("dead list --consumer astrbot --max 20", "the first twenty of one consumer"),),
        ),
        Command(
            "show",
            "one dead letter with its event",
            _dead_show,
            _TALKS,
            "Shows the event itself. Root or the daemon's user only.",
            (("dead show 118 --json", "for programs"),),
        ),
        Command(
            "retry",
            "deliver again",
            _dead_some,
            _TALKS,
            "Each comes once more, its attempts counted anew. Root or the daemon's user only.",
            (
                ("dead retry 118 121", "these two"),
                ("dead retry --all --consumer astrbot", "all of one consumer"),
            ),
        ),
        Command(
            "drop",
            "give up for good",
            _dead_some,
            _TALKS,
            "They cannot be had back. Root or the daemon's user only.",
            (
                ("dead drop 118", "this one"),
                ("dead drop --all --consumer old-bot", "all of one consumer"),
            ),
        ),
    ),
)

COMMANDS: Final = (
    Command(
        "run",
        "the daemon, in the foreground",
        takes=_CONFIGURED,
        examples=(
            ("run", "until Ctrl-C or SIGTERM"),
            ("--config /etc/feishu-ws/config.toml run", "with this configuration"),
        ),
    ),
    Command(
        "demo",
        "everything at once, no account needed",
        _demo,
        examples=(
            ("demo", "until Ctrl-C"),
            ("demo --events 20", "ends by itself"),
        ),
    ),
    _SIMULATE,
    Command(
        "check",
        "validate the configuration, show what is in force",
        takes=_CONFIGURED,
        examples=(("check", "or everything that is wrong with it"),),
    ),
    Command(
        "doctor",
        "find out why events do not come",
        _doctor,
        _TALKS,
        """\
Looks at configuration, clock, DNS, TCP, TLS, proxy, discovery, link, journal, socket and
consumers, a line each: ok, warn, fail or skip, what was seen, the fault, the one thing to
do. The last line names what it all comes from, and the exit code is that fault's. Beside
a running daemon it opens no link: that would take events from it.""",
        (
            ("doctor", "on a terminal it asks before it opens a link"),
            ("doctor --connect", "open one, wait for the pong, close; confirms nothing"),
            ("doctor --json", "for programs and bug reports"),
        ),
    ),
    Command(
        "status",
        "links, journal, consumers, losses",
        takes=_TALKS,
        examples=(
            ("status", "how the daemon is"),
            ("status --json", "for programs"),
        ),
    ),
    Command(
        "incidents",
        "past losses and outages: table and timeline",
        _incidents,
        _TALKS,
        "On the timeline # is live, . away and x a loss; the last line tells when no link was live.",
        (
            ("incidents", "the last 24 hours"),
            ("incidents --since 7d --max 10", "a week, the ten newest in the table"),
            ("incidents --json", "for programs"),
        ),
    ),
    Command(
        "tail",
        "events as they arrive; disturbs nobody",
        _tail,
        _TALKS,
        examples=(
            ("tail", "until Ctrl-C"),
            ("tail --from earliest --type 'im.*' --max 10", "the ten oldest messages"),
        ),
    ),
    _CONSUMERS,
    _REPLAY,
    _DEAD,
    Command(
        "completion",
        "a completion script for your shell",
        _completion,
        examples=(
            ("completion bash", "source <(feishu-ws completion bash)"),
            ("completion zsh", 'feishu-ws completion zsh > "${fpath[1]}/_feishu-ws"'),
            ("completion fish", "feishu-ws completion fish | source"),
        ),
    ),
)
"""Every command, in the order of `--help`."""
