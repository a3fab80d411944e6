"""Everything that can go wrong, as one closed vocabulary.

The same word stands in logs, metrics, `/status`, `doctor`, exit messages and the
README. Decisions are read from the catalogue (`Remedy`), never from the type of
some exception. Foreign exceptions become a `FeishuWsError` at one seam per adapter.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from feishu_ws.exits import Exit

__all__ = ["CATALOGUE", "Exit", "Fault", "FaultSpec", "FeishuWsError", "Remedy"]


class Remedy(StrEnum):
    """What the daemon does about a fault by itself."""

    RETRY = "retry"  # at once, then with growing jittered waits
    HOLD = "hold"  # slowly and loudly: an operator has to act, but it may heal
    ABORT = "abort"  # nothing to wait for: say why and stop
    NOTE = "note"  # counted and shown, nothing to do


class Fault(StrEnum):
    """One word per thing that can go wrong."""

    # reaching Feishu
    DNS_FAILED = "dns_failed"
    CONNECT_FAILED = "connect_failed"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS_FAILED = "tls_failed"
    PROXY_FAILED = "proxy_failed"
    # discovery
    DISCOVERY_FAILED = "discovery_failed"
    DISCOVERY_MALFORMED = "discovery_malformed"
    RATE_LIMITED = "rate_limited"
    FEISHU_BUSY = "feishu_busy"
    CREDENTIALS_REFUSED = "credentials_refused"
    ACCESS_REFUSED = "access_refused"
    CONNECTION_LIMIT = "connection_limit"
    REFUSED_UNKNOWN = "refused_unknown"
    API_FAILED = "api_failed"
    API_REFUSED = "api_refused"
    # handshake and life of a link
    HANDSHAKE_REFUSED = "handshake_refused"
    CLOSED_BY_FEISHU = "closed_by_feishu"
    CONNECTION_LOST = "connection_lost"
    PONG_OVERDUE = "pong_overdue"
    FRAME_TOO_LARGE = "frame_too_large"
    SEND_STALLED = "send_stalled"
    LOCAL_STOP = "local_stop"
    ROTATED = "rotated"
    LINK_SUSPECT = "link_suspect"
    LINKS_FORGOTTEN = "links_forgotten"
    COMPETING_CONSUMER = "competing_consumer"
    # what Feishu sent
    FRAME_UNUSABLE = "frame_unusable"
    PAYLOAD_REFUSED = "payload_refused"
    # journal
    JOURNAL_SLOW = "journal_slow"
    JOURNAL_FULL = "journal_full"
    JOURNAL_BACKLOG = "journal_backlog"
    DISK_FULL = "disk_full"
    JOURNAL_IO = "journal_io"
    JOURNAL_READ_ONLY = "journal_read_only"
    JOURNAL_CORRUPT = "journal_corrupt"
    JOURNAL_LOCKED = "journal_locked"
    JOURNAL_VERSION = "journal_version"
    # local side
    SOCKET_IN_USE = "socket_in_use"
    SOCKET_FAILED = "socket_failed"
    PORT_IN_USE = "port_in_use"
    PEER_HIDDEN = "peer_hidden"
    CLIENT_REFUSED = "client_refused"
    CONSUMER_CONFLICT = "consumer_conflict"
    CONSUMER_ABSENT = "consumer_absent"
    CONSUMER_POISONED = "consumer_poisoned"
    CONSUMER_BEHIND = "consumer_behind"
    DAEMON_UNREACHABLE = "daemon_unreachable"
    # configuration, clock, ourselves
    USAGE = "usage"
    CONFIG_INVALID = "config_invalid"
    RELOAD_INVALID = "reload_invalid"
    CLOCK_STEPPED = "clock_stepped"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """What is known about a fault before it happens.

    Attributes:
        title: What happened, in a few words an operator understands.
        remedy: What the daemon does about it.
        hint: The one thing a person can do; empty when there is nothing to do.
        exit_code: What a command ends with when it ends because of this.
        visible_after_s: Seconds it must last before it is shown as a problem.
        reaches_feishu: Whether Feishu (or a proxy) answered; chooses the backoff cap.
    """

    title: str
    remedy: Remedy
    hint: str
    exit_code: Exit = Exit.UNREACHABLE
    visible_after_s: float = 0.0
    reaches_feishu: bool = True


_RETRY, _HOLD, _ABORT, _NOTE = Remedy.RETRY, Remedy.HOLD, Remedy.ABORT, Remedy.NOTE

CATALOGUE: Final[dict[Fault, FaultSpec]] = {
    Fault.DNS_FAILED: FaultSpec(
        "a name on the way to Feishu does not resolve",
        _RETRY,
        "check the resolver of this machine: getent hosts open.feishu.cn",
        visible_after_s=10,
        reaches_feishu=False,
    ),
    Fault.CONNECT_FAILED: FaultSpec(
        "no TCP connection to Feishu",
        _RETRY,
        "check route and firewall: outbound TCP 443 must be open",
        visible_after_s=10,
        reaches_feishu=False,
    ),
    Fault.CONNECT_TIMEOUT: FaultSpec(
        "Feishu did not answer in time",
        _RETRY,
        "check route, firewall and proxy; upstream.connect_timeout_s bounds the wait",
        visible_after_s=30,
        reaches_feishu=False,
    ),
    Fault.TLS_FAILED: FaultSpec(
        "the TLS handshake failed",
        _RETRY,
        "check the clock, and whether something intercepts TLS (upstream.ca_file adds a trust anchor)",
    ),
    Fault.PROXY_FAILED: FaultSpec(
        "the proxy refused or failed", _RETRY, "check upstream.proxy and the proxy's own log"
    ),
    Fault.DISCOVERY_FAILED: FaultSpec(
        "discovery was answered with an HTTP error, or not to the end",
        _RETRY,
        "nothing, unless it lasts: then see Feishu's status page",
        visible_after_s=30,
    ),
    Fault.DISCOVERY_MALFORMED: FaultSpec(
        "discovery was answered with something that is no endpoint",
        _RETRY,
        "check app.domain, and whether a captive portal or proxy answers in Feishu's place",
    ),
    Fault.RATE_LIMITED: FaultSpec(
        "Feishu asks to slow down", _RETRY, "look for other programs that use this app"
    ),
    Fault.FEISHU_BUSY: FaultSpec(
        "Feishu says it is busy", _RETRY, "nothing, it is retried", visible_after_s=30
    ),
    Fault.API_FAILED: FaultSpec(
        "a call of Feishu's API got no answer that can be used",
        _NOTE,
        "feishu-ws doctor; and look at what is between this machine and app.domain",
    ),
    Fault.API_REFUSED: FaultSpec(
        "Feishu refuses a call of its API",
        _NOTE,
        "look the code up in Feishu's documentation; with log_id Feishu's support can find the call",
    ),
    Fault.CREDENTIALS_REFUSED: FaultSpec(
        "Feishu refuses app id or secret",
        _HOLD,
        "compare app.id and the secret with the developer console, and see that the app is published"
        " there; then `feishu-ws doctor`",
        Exit.CREDENTIALS,
    ),
    Fault.ACCESS_REFUSED: FaultSpec(
        "Feishu forbids this app the long connection",
        _HOLD,
        "in the developer console: publish a version, enable 长连接 (long connection) for events",
        Exit.CREDENTIALS,
    ),
    Fault.CONNECTION_LIMIT: FaultSpec(
        "Feishu's limit of connections for this app is reached",
        _HOLD,
        "stop other programs that use this app, or lower upstream.connections",
    ),
    Fault.REFUSED_UNKNOWN: FaultSpec(
        "Feishu refused with a code this version does not know",
        _RETRY,
        "look the code up in Feishu's documentation and report it to us",
    ),
    Fault.HANDSHAKE_REFUSED: FaultSpec(
        "Feishu refused the WebSocket", _RETRY, "nothing, unless it lasts", visible_after_s=30
    ),
    Fault.CLOSED_BY_FEISHU: FaultSpec(
        "Feishu closed the link in good order", _RETRY, "nothing, it is renewed", visible_after_s=10
    ),
    Fault.CONNECTION_LOST: FaultSpec(
        "the link broke without a close frame",
        _RETRY,
        "nothing, unless it repeats: then look at NAT and proxies on the way",
        visible_after_s=10,
    ),
    Fault.PONG_OVERDUE: FaultSpec(
        "nothing came back after a ping: the link is dead though TCP does not say so",
        _RETRY,
        "if it repeats, something on the way drops idle connections; lower upstream.keepalive_interval_s",
        visible_after_s=10,
    ),
    Fault.FRAME_TOO_LARGE: FaultSpec(
        "Feishu sent a frame over the size limit",
        _RETRY,
        "report it to us with the event types this app subscribes to",
    ),
    Fault.SEND_STALLED: FaultSpec(
        "the link takes no more bytes from us", _RETRY, "look at the uplink of this machine"
    ),
    Fault.LOCAL_STOP: FaultSpec("the daemon stopped the link", _NOTE, ""),
    Fault.ROTATED: FaultSpec("the link was replaced by a fresh one", _NOTE, ""),
    Fault.LINK_SUSPECT: FaultSpec(
        "the answer to a ping was late, and a fresh link took over", _NOTE, ""
    ),
    Fault.LINKS_FORGOTTEN: FaultSpec(
        "Feishu counts fewer connections of this app than we have",
        _NOTE,
        "nothing, all links are renewed, at most once in 6 h; report it to us if it repeats",
    ),
    Fault.COMPETING_CONSUMER: FaultSpec(
        "another program is connected as this app and gets some of its events",
        _NOTE,
        "stop the other program, or give it an app of its own",
    ),
    Fault.FRAME_UNUSABLE: FaultSpec(
        "a frame could not be read and was left alone", _NOTE, "report it to us if it repeats"
    ),
    Fault.PAYLOAD_REFUSED: FaultSpec(
        "an event was refused: too large, too many parts, or parts missing",
        _NOTE,
        "if it repeats: unsubscribe the event type, or report it to us",
    ),
    Fault.JOURNAL_SLOW: FaultSpec(
        "the disk did not commit within 2.8 s, Feishu was told to send again",
        _NOTE,
        "look at the disk: iostat, dmesg, other writers",
        Exit.JOURNAL,
    ),
    Fault.JOURNAL_FULL: FaultSpec(
        "the journal reached journal.max_bytes with events that a declared consumer holds",
        _NOTE,
        "get the consumer going again, raise journal.max_bytes, or take it out of delivery.consumers",
        Exit.JOURNAL,
    ),
    Fault.JOURNAL_BACKLOG: FaultSpec(
        "32 MiB already wait for the disk", _NOTE, "look at the disk: iostat, dmesg", Exit.JOURNAL
    ),
    Fault.DISK_FULL: FaultSpec(
        "no space left where the journal lies",
        _NOTE,
        "free space on that file system",
        Exit.JOURNAL,
    ),
    Fault.JOURNAL_IO: FaultSpec(
        "the journal could not be read or written",
        _NOTE,
        "look at the disk: dmesg; and at the owner and mode of journal.path",
        Exit.JOURNAL,
    ),
    Fault.JOURNAL_READ_ONLY: FaultSpec(
        "the journal's file system is read-only",
        _NOTE,
        "remount it read-write; look at dmesg for why it changed",
        Exit.JOURNAL,
    ),
    Fault.JOURNAL_CORRUPT: FaultSpec(
        "the journal is damaged",
        _NOTE,
        "look at the disk: dmesg; a restart carries over what can be read and keeps the damaged file",
        Exit.JOURNAL,
    ),
    Fault.JOURNAL_LOCKED: FaultSpec(
        "another process owns the journal",
        _ABORT,
        "stop that process, or give this one its own journal.path",
        Exit.IN_USE,
    ),
    Fault.JOURNAL_VERSION: FaultSpec(
        "the journal was written by a newer feishu-ws",
        _ABORT,
        "install that version again, or move the journal aside",
        Exit.CONFIG,
    ),
    Fault.SOCKET_IN_USE: FaultSpec(
        "another process listens on the socket",
        _ABORT,
        "stop that process, or change socket.path",
        Exit.IN_USE,
    ),
    Fault.SOCKET_FAILED: FaultSpec(
        "the socket cannot be made",
        _ABORT,
        "check that the directory of socket.path exists and is writable",
        Exit.CONFIG,
    ),
    Fault.PORT_IN_USE: FaultSpec(
        "another process listens on the port",
        _ABORT,
        'change telemetry.listen, or set it to ""',
        Exit.IN_USE,
    ),
    Fault.PEER_HIDDEN: FaultSpec(
        "socket.allow_users cannot work in a mapped user namespace",
        _ABORT,
        "set PrivateUsers=no in the unit, or use socket.group and socket.mode",
        Exit.CONFIG,
    ),
    Fault.CLIENT_REFUSED: FaultSpec(
        "a local client is not allowed", _NOTE, "add its user to socket.allow_users if it should be"
    ),
    Fault.CONSUMER_CONFLICT: FaultSpec(
        "several processes fight for one consumer name",
        _NOTE,
        "give each its own consumer name, or stop the extra one",
    ),
    Fault.CONSUMER_ABSENT: FaultSpec(
        "events were given up that only an absent, undeclared consumer held",
        _NOTE,
        "declare the consumer in delivery.consumers, or `feishu-ws consumers forget` it",
    ),
    Fault.CONSUMER_POISONED: FaultSpec(
        "a consumer keeps dying on the same event",
        _NOTE,
        "see `feishu-ws dead list`; mend the consumer, then `feishu-ws dead retry`",
    ),
    Fault.CONSUMER_BEHIND: FaultSpec(
        "events wait for a consumer that is away or slow",
        _NOTE,
        "start it, or see its own log; take it out of delivery.consumers if it is gone for good",
    ),
    Fault.DAEMON_UNREACHABLE: FaultSpec(
        "no daemon answers on the socket",
        _ABORT,
        "start it (`feishu-ws run`), or name its socket with --socket",
    ),
    Fault.USAGE: FaultSpec(
        "the command line cannot be understood", _ABORT, "feishu-ws --help", Exit.USAGE
    ),
    Fault.CONFIG_INVALID: FaultSpec(
        "the configuration is not valid", _ABORT, "mend it, then `feishu-ws check`", Exit.CONFIG
    ),
    Fault.RELOAD_INVALID: FaultSpec(
        "the reloaded configuration is not valid; the old one stays in force",
        _NOTE,
        "mend it, `feishu-ws check`, reload",
        Exit.CONFIG,
    ),
    Fault.CLOCK_STEPPED: FaultSpec(
        "the wall clock stepped; nothing expires until it agrees again",
        _NOTE,
        "check time synchronisation: timedatectl",
    ),
    Fault.INTERNAL: FaultSpec(
        "a defect of feishu-ws", _ABORT, "report it with the traceback", Exit.INTERNAL
    ),
}


class FeishuWsError(Exception):
    """A fault that happened, with what was seen.

    Args:
        fault: The word for it.
        detail: What was seen, what was expected, where. Never a secret, never content.
        code: Feishu's own code or an HTTP status, where there was one.
        retry_after_s: Seconds the other side asked us to wait, if it did.
    """

    def __init__(
        self,
        fault: Fault,
        detail: str,
        *,
        code: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.fault = fault
        self.detail = detail
        self.code = code
        self.retry_after_s = retry_after_s

    @property
    def spec(self) -> FaultSpec:
        """What the catalogue knows about this fault."""
        return CATALOGUE[self.fault]
