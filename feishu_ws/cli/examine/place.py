"""Where the way to Feishu leads first: Feishu itself, or the proxy. Pure but for its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from feishu_ws.faults import FeishuWsError
from feishu_ws.secret import redact_url
from feishu_ws.upstream.proxy import choose_proxy, is_socks

PORTS: Final = {"https": 443, "wss": 443, "http": 80, "ws": 80}
SOCKS_PORT: Final = 1080  # Source: RFC 1928 3
PROXY_VARIABLES: Final = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


@dataclass(frozen=True, slots=True)
class Place:
    """A host and port to connect to."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def place_of(url: str) -> Place:
    """Return where a URL leads."""
    parts = urlsplit(url)
    usual = SOCKS_PORT if is_socks(url) else PORTS[parts.scheme]
    return Place(parts.hostname or "", parts.port or usual)


def is_encrypted(url: str) -> bool:
    """Whether the way there is TLS."""
    return urlsplit(url).scheme in {"https", "wss"}


@dataclass(frozen=True, slots=True)
class Route:
    """How Feishu is reached.

    Attributes:
        url: `app.domain`.
        proxy: The proxy in use, None without one; may hold a password.
        error: Why the proxy that is set cannot be used, None if it can.
        bypassed: A proxy that is set and that `NO_PROXY` passes by, "" if none is.
        unused: A variable that names a proxy which is not used, "" if none does.
    """

    url: str
    proxy: str | None = None
    error: FeishuWsError | None = None
    bypassed: str = ""
    unused: str = ""

    @property
    def target(self) -> Place:
        """Where Feishu is."""
        return place_of(self.url)

    @property
    def hop(self) -> Place:
        """Where the first TCP connection goes."""
        return place_of(self.proxy or self.url)

    @property
    def shown_proxy(self) -> str:
        """The proxy without its login."""
        return redact_url(self.proxy or "")


def find_route(url: str, setting: str, env: Mapping[str, str]) -> Route:
    """Return the way to `url` with `upstream.proxy` = `setting`, as the daemon goes it."""
    try:
        proxy = choose_proxy(setting, url)
    except FeishuWsError as exc:
        return Route(url, error=exc)
    if proxy is not None:
        return Route(url, proxy)
    named = next((name for name in PROXY_VARIABLES if env.get(name)), "")
    if not setting:
        return Route(url, unused=named)
    shown = redact_url(setting) if "://" in setting else named
    return Route(url, bypassed=shown)
