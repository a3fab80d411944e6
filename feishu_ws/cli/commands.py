"""Every command: what it is for, what it takes, how it is used. Imports nothing heavy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from feishu_ws.cli import options
from feishu_ws.cli.options import Parser
from feishu_ws.cli.scenarios import scenario_table

Say = Callable[[Parser], None]

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


_ABOUT_DIRECT: Final = """\
Asks the running daemon. Where none runs, the command takes the journal's lock and works
on the journal itself, as the daemon would; then it needs the daemon's configuration."""

_SIMULATE: Final = Command(
    "simulate",
    "a simulated Feishu alone",
    options.simulate,
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
        ("consumers", "every consumer, its cursor and what it has not settled"),
        ("consumers forget old-bot", "remove its cursor; it no longer holds any event"),
    ),
    actions=(
        Command("list", "who reads and where they stand", takes=_TALKS),
        Command(
            "forget",
            "remove a consumer and its cursor",
            options.consumer_name,
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
    options.replay,
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
So are durable sends that could not be tried for an hour, or of which Feishu never said what
became of them. Those are not tried again, for Feishu may have them: send anew, by a new uuid.
{_ABOUT_DIRECT}""",
    examples=(
        ("dead", "all of them, oldest first"),
        ("dead show 118", "one of them, with the event itself"),
        ("dead retry 118 121", "deliver these two again"),
        ("dead retry --all --consumer astrbot", "deliver all of astrbot's again"),
        ("dead drop --all", "give all of them up"),
        ("dead show --send backup-2026-11-24", "a message that was not sent, as far as is known"),
    ),
    actions=(
        Command(
            "list",
            "what there is and why",
            options.dead_list,
            _TALKS,
            "Notes may repeat content; only root and the daemon's user see them.",
            (("dead list --consumer astrbot --max 20", "the first twenty of one consumer"),),
        ),
        Command(
            "show",
            "one dead letter with its event, or its message",
            options.dead_show,
            _TALKS,
            "Shows the event or message itself. Root or the daemon's user only.",
            (
                ("dead show 118 --json", "for programs"),
                ("dead show --send backup-2026-11-24", "a message that was to be sent"),
            ),
        ),
        Command(
            "retry",
            "deliver again",
            options.dead_retry,
            _TALKS,
            """\
Each event comes once more, its attempts counted anew. Sends cannot be had back this way:
Feishu may have them, so whoever still wants one sent sends it anew, by a new uuid.
Root or the daemon's user only.""",
            (
                ("dead retry 118 121", "these two"),
                ("dead retry --all --consumer astrbot", "all of one consumer"),
            ),
        ),
        Command(
            "drop",
            "give up for good",
            options.dead_drop,
            _TALKS,
            "They cannot be had back. Root or the daemon's user only.",
            (
                ("dead drop 118", "this one"),
                ("dead drop --all --consumer old-bot", "all of one consumer"),
                ("dead drop --send backup-2026-11-24", "this message"),
                ("dead drop --all-sends", "all messages, and no event"),
            ),
        ),
    ),
)

_SEND: Final = Command(
    "send",
    "a message through the daemon",
    options.send,
    _TALKS,
    """\
Prints the id of the message once Feishu has it. The words come from standard input or a
file, never from the command line, where every user of this machine could read them.""",
    (
        ("send --to oc_a1b2", "what is typed, up to Ctrl-D"),
        ("send --reply-to om_a1b2 --file answer.txt", "a reply"),
        ("send --to ou_a1b2 --type post --file post.json", "any other type"),
        ("send --to oc_a1b2 --durable --uuid backup-2026-11-24", "kept until Feishu has it"),
    ),
)

_API: Final = Command(
    "api",
    "any call of Feishu's API through the daemon",
    options.api,
    _TALKS,
    """\
Makes the call with the daemon's token, within its limits of connections, and prints what
Feishu answers. Tokens themselves cannot be asked for.""",
    (
        ("api GET /open-apis/bot/v3/info", "who the bot is"),
        ("api GET /open-apis/im/v1/chats --query page_size=50", "which chats it is in"),
        ("api POST /open-apis/im/v1/chats --body chat.json", "with a body"),
    ),
)

_ASTRBOT: Final = Command(
    "astrbot",
    "the AstrBot plugin: put it in place",
    takes=_TALKS,
    examples=(("astrbot install --data ~/astrbot/data", "and what to enter in AstrBot"),),
    actions=(
        Command(
            "install",
            "put the plugin in place, or take it away",
            options.astrbot_install,
            _TALKS,
            """\
Copies the plugin into AstrBot's plugins/ and says what to enter for its platform; with
--write it enters that itself. Twice is fine, and brings an older one up to date. AstrBot
reads both when it starts.""",
            (
                ("astrbot install --data ~/astrbot/data", "and what to enter in AstrBot"),
                ("astrbot install --data data --write --secret-file local.secret", "all of it"),
                ("astrbot install --data data --remove", "take it away again"),
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
        options.demo,
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
        options.doctor,
        _TALKS,
        """\
Looks at configuration, clock, DNS, TCP, TLS, proxy, discovery, link, journal, socket, what
the daemon says of itself, HTTP and consumers, a line each: ok, warn, fail or skip, what was
seen, the fault, the one thing to do. The last line names what it all comes from, and the
exit code is that fault's. Beside a running daemon it opens no link: that would take events
from it.""",
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
        options.incidents,
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
        options.tail,
        _TALKS,
        examples=(
            ("tail", "until Ctrl-C"),
            ("tail --from earliest --type 'im.*' --max 10", "the ten oldest messages"),
        ),
    ),
    _CONSUMERS,
    _REPLAY,
    _DEAD,
    _SEND,
    _API,
    _ASTRBOT,
    Command(
        "completion",
        "a completion script for your shell",
        options.completion,
        examples=(
            ("completion bash", "source <(feishu-ws completion bash)"),
            ("completion zsh", 'feishu-ws completion zsh > "${fpath[1]}/_feishu-ws"'),
            ("completion fish", "feishu-ws completion fish | source"),
        ),
    ),
)
"""Every command, in the order of `--help`."""
