"""What an operator may set about the links. Source of keys and defaults: CONTRACT 4."""

from dataclasses import dataclass

from feishu_ws.secret import Secret


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """The keys of `upstream.*`, units in their names.

    Attributes:
        connections: Links to keep, 1 to 10.
        keepalive_interval_s: Longest time between WebSocket pings.
        keepalive_timeout_s: How long a peer may stay silent after one.
        connect_timeout_s: Whole attempt, DNS to first pong.
        backoff_base_s: Window of the second wait; the first retry is at once.
        backoff_unreachable_max_s: Largest window while nothing reaches Feishu.
        backoff_max_s: Largest window after Feishu or a proxy answered.
        settled_s: A life this long earns a fresh backoff.
        storm_tokens: Attempts that may reach Feishu in one go.
        storm_refill_s: Seconds until one more may.
        rotate_after_s: Renew a healthy link after this long; 0 is never.
        proxy: "" for none, `env`, `http://…` or `socks5://…`.
        ca_file: PEM file of one more trust anchor, "" for none.
    """

    connections: int = 2
    keepalive_interval_s: float = 15
    keepalive_timeout_s: float = 8
    connect_timeout_s: float = 15
    backoff_base_s: float = 0.5
    backoff_unreachable_max_s: float = 5
    backoff_max_s: float = 60
    settled_s: float = 60
    storm_tokens: int = 20
    storm_refill_s: float = 15
    rotate_after_s: float = 0
    proxy: str = ""
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to Feishu, and where it is.

    Attributes:
        app_id: `cli_…`.
        domain: `https://open.feishu.cn` and the like, without a trailing slash.
    """

    app_id: str
    secret: Secret
    domain: str = "https://open.feishu.cn"
