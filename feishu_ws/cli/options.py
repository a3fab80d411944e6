"""What each command takes. Imports nothing heavy."""

import argparse
from typing import Final

from feishu_ws.cli import values
from feishu_ws.cli.scenarios import LIST

Parser = argparse.ArgumentParser

DEFAULT_LISTEN: Final = "127.0.0.1:18080"
SHELLS: Final = ("bash", "zsh", "fish")
ID_TYPES: Final = ("open_id", "user_id", "union_id", "email", "chat_id")
API_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


def demo(parser: Parser) -> None:
    """Of `demo`."""
    parser.add_argument(
        "--events", type=values.count, metavar="N", help="end after N settled events"
    )
    parser.add_argument(
        "--for", type=values.seconds, metavar="SECONDS", dest="seconds", help="end then"
    )
    parser.add_argument(
        "--rate", type=values.rate, default=4.0, metavar="N", help="events per second"
    )


def simulate(parser: Parser) -> None:
    """Of `simulate`."""
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


def tail(parser: Parser) -> None:
    """Of `tail`."""
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


def doctor(parser: Parser) -> None:
    """Of `doctor`."""
    parser.add_argument(
        "--connect", action="store_true", help="where no daemon runs, open a link and close it"
    )


def completion(parser: Parser) -> None:
    """Of `completion`."""
    parser.add_argument("shell", choices=SHELLS)


def consumer_name(parser: Parser) -> None:
    """Of `consumers forget`."""
    parser.add_argument("name", metavar="NAME", help="the consumer")


def replay(parser: Parser) -> None:
    """Of `replay`."""
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
    parser.add_argument("--consumer", metavar="NAME", help="only events that died for this one")


def incidents(parser: Parser) -> None:
    """Of `incidents`."""
    parser.add_argument(
        "--since",
        type=values.moment,
        default="24h",
        metavar="TIME",
        help="since a date or time, or for an age such as 30m, 2h, 7d (default %(default)s)",
    )
    parser.add_argument("--max", type=values.count, metavar="N", help="the newest N of the table")


def dead_list(parser: Parser) -> None:
    """Of `dead list`."""
    _of_consumer(parser)
    parser.add_argument("--max", type=values.count, metavar="N", help="at most N")


def dead_show(parser: Parser) -> None:
    """Of `dead show`."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "position", type=values.position, nargs="?", metavar="POSITION", help="which event"
    )
    which.add_argument("--send", metavar="UUID", help="which send")
    _of_consumer(parser)


def dead_retry(parser: Parser) -> None:
    """Of `dead retry`."""
    _some_dead(parser, with_sends=False)


def dead_drop(parser: Parser) -> None:
    """Of `dead drop`."""
    _some_dead(parser, with_sends=True)


def _some_dead(parser: Parser, *, with_sends: bool) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "positions",
        type=values.position,
        nargs="*",
        default=[],
        metavar="POSITION",
        help="which events",
    )
    which.add_argument("--all", action="store_true", help="all events")
    if with_sends:
        which.add_argument(
            "--send", nargs="+", default=[], metavar="UUID", dest="sends", help="which sends"
        )
        which.add_argument("--all-sends", action="store_true", help="all sends")
    _of_consumer(parser)


def send(parser: Parser) -> None:
    """Of `send`."""
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument("--to", metavar="ID", help="a chat, a person, or an address of e-mail")
    whom.add_argument("--reply-to", metavar="ID", help="the message to reply to, om_…")
    parser.add_argument(
        "--id-type", choices=ID_TYPES, help="what ID is, where its first letters do not tell"
    )
    parser.add_argument("--in-thread", action="store_true", help="reply in a thread")
    parser.add_argument(
        "--type", default="text", metavar="TYPE", dest="msg_type", help="Feishu's msg_type"
    )
    _file(parser, "the message: words, or for other types than text Feishu's content as JSON")
    parser.add_argument("--uuid", metavar="TEXT", help="the same one is sent once in an hour")
    parser.add_argument(
        "--durable", action="store_true", help="keep it until Feishu has it; needs --uuid"
    )


def _file(parser: Parser, what: str) -> None:
    parser.add_argument("--file", metavar="FILE", help=f"{what}; without it standard input")


def api(parser: Parser) -> None:
    """Of `api`."""
    parser.add_argument("method", choices=API_METHODS, metavar="METHOD", help="GET, POST, …")
    parser.add_argument("path", metavar="PATH", help="below /open-apis/")
    parser.add_argument(
        "--query",
        action="append",
        type=values.pair,
        default=[],
        metavar="NAME=VALUE",
        help="may be given several times",
    )
    parser.add_argument("--body", metavar="FILE", help="JSON to send; - is standard input")


def astrbot_install(parser: Parser) -> None:
    """Of `astrbot install`."""
    parser.add_argument(
        "--data", required=True, metavar="DIR", help="AstrBot's data directory, with plugins/ in it"
    )
    parser.add_argument("--remove", action="store_true", help="take the plugin away again")
    parser.add_argument(
        "--write", action="store_true", help="also write the platform into cmd_config.json"
    )
    parser.add_argument(
        "--id", default="feishu_ws", metavar="NAME", help="the platform's id (default: %(default)s)"
    )
    parser.add_argument("--app-id", metavar="ID", help="the app, where no daemon runs to be asked")
    parser.add_argument(
        "--secret-file",
        metavar="FILE",
        help="holds lookalike.secret, for --write; - is standard input",
    )
