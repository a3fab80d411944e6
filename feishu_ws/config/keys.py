"""Every key of the configuration, once: kind, bounds, default, meaning, reloadable or not.

The dataclasses are the table: `draft.py` reads files and environment with it,
`check` prints it, the README is compared with it. Source: CONTRACT 4.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from feishu_ws.config.consumers import Consumers, Declared
from feishu_ws.config.kinds import (
    SOCKET_PATH,
    Domain,
    FilePath,
    Hidden,
    JsonObject,
    Kind,
    Listen,
    Mode,
    Proxy,
    Text,
    Texts,
    choice,
    number,
    whole,
)
from feishu_ws.secret import Secret

ENV_PREFIX: Final = "FEISHU_WS_"
ENV_CONFIG: Final = "FEISHU_WS_CONFIG"
ENV_SOCKET: Final = "FEISHU_WS_SOCKET"
NOT_KEYS: Final = frozenset({ENV_CONFIG, ENV_SOCKET})
"""Variables that begin like a key's and are none."""
JOURNAL_KEY: Final = "journal.path"
SOCKET_KEY: Final = "socket.path"

DAY_S: Final = 86_400
YEAR_S: Final = 365 * DAY_S
YEAR_HOURS: Final = 365 * 24
LEAST_JOURNAL: Final = 65_536  # an empty SQLite file with our tables has about 50 KiB
MOST_JOURNAL: Final = 2**50  # far above any disk; keeps sums inside SQLite's 63 bits
FEISHU_WAITS_S: Final = 3  # for the answer to a callback; source: Feishu docs "回调概述"
MOST_IN_FLIGHT: Final = 4096  # what a hello may ask for as well


def _key(kind: Kind, default: object, meaning: str, *, reloadable: bool = False) -> Any:
    facts = {"kind": kind, "meaning": meaning, "reloadable": reloadable}
    return field(default=default, metadata=facts, repr=not isinstance(kind, Hidden | Proxy))


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSection:
    """Which app, and how it proves itself. `secret` is resolved, wherever it came from."""

    id: str = _key(
        Text("an app id such as cli_a1b2c3d4e5f60718", r"cli_[A-Za-z0-9_-]{1,64}"),
        "",
        "the app's id in the developer console, `cli_…`",
    )
    secret: Secret = _key(  # noqa: RUF009  # a Secret is immutable
        Hidden(), Secret(""), "the app's secret; better in a file or credential", reloadable=True
    )
    secret_file: str = _key(FilePath(), "", "file that holds the secret alone", reloadable=True)
    domain: str = _key(
        Domain(),
        "https://open.feishu.cn",
        "or `https://open.larksuite.com`, or a private Feishu; `http://` only for loopback",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSection:
    """The links to Feishu."""

    connections: int = _key(whole(1, 10), 2, "links kept open")
    keepalive_interval_s: float = _key(
        number(0.1, 600), 15.0, "WebSocket ping, jittered only downwards by 10 %"
    )
    keepalive_timeout_s: float = _key(
        number(0.1, 120),
        8.0,
        "when the answer to a ping is overdue; the link is given up up to 1.3 s later, or when"
        " the 24 s are nearly over if TCP took the ping",
    )
    connect_timeout_s: float = _key(number(0.1, 300), 15.0, "whole attempt: DNS to first pong")
    backoff_base_s: float = _key(number(0.01, 60), 0.5, "first wait of the growing, jittered ones")
    backoff_unreachable_max_s: float = _key(
        number(0.01, 600), 5.0, "longest wait while nothing reaches Feishu (DNS, route, TCP)"
    )
    backoff_max_s: float = _key(
        number(0.01, 3600), 60.0, "longest wait after Feishu or a proxy answered"
    )
    settled_s: float = _key(number(0, DAY_S), 60.0, "a link that lived so long starts afresh")
    storm_tokens: int = _key(whole(1, 1000), 20, "attempts that may reach Feishu at once")
    storm_refill_s: float = _key(number(0.01, 3600), 15.0, "seconds until one more is allowed")
    rotate_after_s: float = _key(
        number(0, 30 * DAY_S), 0.0, "renew a healthy link after so long, new before old; 0 = never"
    )
    proxy: str = _key(
        Proxy(),
        "",
        "`http://`, `socks5://` or `env`, for discovery and WebSocket; `NO_PROXY` is honoured",
    )
    ca_file: str = _key(FilePath(), "", "extra trust anchor (PEM)")


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSection:
    """The durable log."""

    path: str = _key(FilePath(), "", "SQLite file")
    retention_hours: float = _key(
        number(0.001, 10 * YEAR_HOURS), 168.0, "events that nobody holds stay so long for `replay`"
    )
    max_bytes: int = _key(
        whole(LEAST_JOURNAL, MOST_JOURNAL), 1024**3, "bytes of live pages, everything included"
    )
    dedupe_hours: float = _key(
        number(0.001, 10 * YEAR_HOURS), 24.0, "how long a duplicate is known as one"
    )
    on_full: str = _key(
        choice("refuse", "drop_oldest"),
        "refuse",
        "at `max_bytes`: `refuse` = 500, loudly; `drop_oldest` = discard the oldest held event",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySection:
    """What consumers get, and when it is too late."""

    consumers: tuple[Declared, ...] = _key(
        Consumers(),
        (),
        "declared consumers, names or `{name, types, chats, ignore_own}`",
        reloadable=True,
    )
    new_consumer_window_s: float = _key(
        number(0, YEAR_S), 300.0, "a new consumer gets events not older than this", reloadable=True
    )
    forget_after_hours: float = _key(
        number(0, 10 * YEAR_HOURS),
        168.0,
        "an undeclared consumer away for so long is forgotten; 0 = never",
        reloadable=True,
    )
    max_attempts: int = _key(
        whole(1, 1000), 16, "then an event becomes a dead letter", reloadable=True
    )
    ack_timeout_s: float = _key(
        number(0.05, DAY_S), 60.0, "runs for the oldest unsettled delivery only", reloadable=True
    )
    window: int = _key(
        whole(1, MOST_IN_FLIGHT), 256, "deliveries not yet settled, per consumer", reloadable=True
    )
    max_age_s: float = _key(
        number(0, YEAR_S),
        0.0,
        "older events become dead letters instead of deliveries; 0 = off",
        reloadable=True,
    )
    callback_timeout_s: float = _key(
        number(0.05, FEISHU_WAITS_S - 0.1),
        2.5,
        "a callback gets the default when no consumer replied by then",
        reloadable=True,
    )
    callback_default: bytes = _key(
        JsonObject(), b"{}", "answer to a callback when no consumer replies", reloadable=True
    )
    late_callback_s: float = _key(
        number(0, DAY_S), 1800.0, "so long a missed callback is still delivered", reloadable=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketSection:
    """The local socket."""

    path: str = _key(SOCKET_PATH, "", "Unix socket of the native protocol")
    mode: int = _key(Mode(), 0o660, "its permissions")
    group: str = _key(Text("a group of this machine", "[^\x00-\x20:]*"), "", "its group")
    allow_users: tuple[str, ...] = _key(
        Texts("a list of users of this machine"), (), "users that may connect; empty = all"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LookalikeSection:
    """The Feishu-compatible local endpoint. An empty `secret` stands for the app's own."""

    listen: str = _key(
        Listen('HOST:PORT or ""', unix=False), "127.0.0.1:9531", 'where it listens; "" = off'
    )
    secret: Secret = _key(  # noqa: RUF009  # a Secret is immutable
        Hidden(), Secret(""), "what clients prove themselves with; empty = the app's secret"
    )
    window: int = _key(whole(1, MOST_IN_FLIGHT), 16, "deliveries not yet settled")
    event_types: tuple[str, ...] = _key(
        Texts(),
        ("im.message.receive_v1", "card.action.trigger", "url.preview.get"),
        "what it delivers; the rest is settled at once",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenapiSection:
    """What is said to Feishu. The limits are Feishu's own; 0 = none."""

    per_chat_per_s: int = _key(whole(0, 1000), 5, "messages to one receiver in a second")
    per_app_per_s: int = _key(whole(0, 10_000), 50, "messages in a second")
    per_app_per_min: int = _key(whole(0, 100_000), 1000, "messages in a minute")
    queued: int = _key(whole(1, 100_000), 10_000, "messages that may wait to be sent")
    census_s: float = _key(
        number(0, DAY_S), 600.0, "how often Feishu is asked who else is connected; 0 = never"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySection:
    """Metrics, health and status over HTTP. Empty `event_types` = the built-in list."""

    listen: str = _key(Listen(), "127.0.0.1:9530", '`HOST:PORT` or `unix:PATH`; "" = off')
    event_types: tuple[str, ...] = _key(
        Texts(),
        (),
        "types with a label value of their own, the rest is `other`; `[]` = built-in list",
        reloadable=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSection:
    """Log lines on stderr."""

    level: str = _key(
        choice("debug", "info", "warning", "error"), "info", "least severe", reloadable=True
    )
    format: str = _key(
        choice("auto", "text", "json"),
        "auto",
        "`auto` = readable on a terminal, JSON otherwise",
        reloadable=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, valid and complete."""

    app: AppSection = AppSection()
    upstream: UpstreamSection = UpstreamSection()
    journal: JournalSection = JournalSection()
    delivery: DeliverySection = DeliverySection()
    socket: SocketSection = SocketSection()
    lookalike: LookalikeSection = LookalikeSection()
    openapi: OpenapiSection = OpenapiSection()
    telemetry: TelemetrySection = TelemetrySection()
    log: LogSection = LogSection()

    def value(self, key: "Key") -> Any:
        """Return the value of `key`."""
        return getattr(getattr(self, key.section), key.name)


@dataclass(frozen=True, slots=True)
class Key:
    """A row of the table.

    Attributes:
        default: As settings hold it; of a path "" where it depends on the place.
        reloadable: Whether SIGHUP changes it.
    """

    section: str
    name: str
    kind: Kind
    default: Any
    meaning: str
    reloadable: bool

    @property
    def path(self) -> str:
        """Its name in errors and documentation: `section.name`."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"{ENV_PREFIX}{self.section}__{self.name}".upper()


_DEFAULTS: Final = Settings()
SECTIONS: Final = tuple(section.name for section in dataclasses.fields(Settings))


def _rows() -> Iterator[Key]:
    for section in SECTIONS:
        for row in dataclasses.fields(getattr(_DEFAULTS, section)):
            yield Key(section, row.name, default=row.default, **row.metadata)


KEYS: Final[Mapping[str, Key]] = {key.path: key for key in _rows()}
VARIABLES: Final[Mapping[str, Key]] = {key.variable: key for key in KEYS.values()}


def assemble(values: Mapping[str, Any]) -> Settings:
    """Return settings from the parsed value of every key."""
    given: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for key in KEYS.values():
        given[key.section][key.name] = values[key.path]
    made: dict[str, Any] = {
        section: dataclasses.replace(getattr(_DEFAULTS, section), **names)
        for section, names in given.items()
    }
    return Settings(**made)
