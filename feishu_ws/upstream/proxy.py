"""Which proxy a URL goes through. Pure but for the environment it is told to read."""

from typing import Final
from urllib.parse import urlsplit

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.secret import redact_url, split_url

FROM_ENVIRONMENT: Final = "env"
SOCKS: Final = frozenset({"socks5", "socks5h"})  # either way the proxy looks up the names

_HTTP_FORM: Final = {"wss": "https", "ws": "http"}


def choose_proxy(setting: str, url: str) -> str | None:
    """Return the proxy for `url`, None for none.

    Args:
        setting: `upstream.proxy`: "", `env`, or the proxy's URL.
        url: Where to go; ws and wss are treated as http and https.

    `NO_PROXY` is honoured in either case.

    Raises:
        FeishuWsError: `config_invalid`, the proxy is of a kind we cannot use.
    """
    if not setting:
        return None
    # as costly as the rest of this room together, and seldom needed
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    if setting != FROM_ENVIRONMENT:
        return _usable(setting)
    known = getproxies()
    found = known.get(_HTTP_FORM.get(parts.scheme, parts.scheme)) or known.get("all")
    return _usable(found) if found else None


def is_socks(proxy: str | None) -> bool:
    """Whether `proxy`, as `choose_proxy` returned it, speaks SOCKS5."""
    return proxy is not None and urlsplit(proxy).scheme in SOCKS


def _usable(proxy: str) -> str:
    parts = split_url(proxy)
    if parts is not None and parts.scheme in SOCKS | {"http"} and parts.hostname:
        return proxy
    raise FeishuWsError(
        Fault.CONFIG_INVALID,
        f"the proxy is {redact_url(proxy)}, expected http:// or socks5:// before host and port,"
        " in upstream.proxy or the environment",
    )
