"""What aiohttp raises, as faults; and whether Feishu may have got the request.

The one place that knows. Imported with the first request, as aiohttp is.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp

from feishu_ws.faults import Fault, FeishuWsError

_UNSENT: Final[tuple[tuple[tuple[type[Exception], ...], Fault], ...]] = (
    ((aiohttp.ClientConnectorDNSError,), Fault.DNS_FAILED),
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), Fault.PROXY_FAILED),
    (
        (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError),
        Fault.TLS_FAILED,
    ),
    ((aiohttp.ConnectionTimeoutError,), Fault.CONNECT_TIMEOUT),
    ((aiohttp.ClientConnectorError,), Fault.CONNECT_FAILED),
)
"""What happens before a request goes out, most special first."""


_WORDS: Final = (
    (aiohttp.ConnectionTimeoutError, "no connection in time"),
    (TimeoutError, "no answer in time"),
    (aiohttp.ServerDisconnectedError, "the connection was closed"),
)


class UnsentError(FeishuWsError):
    """The request has certainly not reached Feishu."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn what aiohttp raises within into faults.

    Raises:
        UnsentError: No connection came about.
        FeishuWsError: `api_failed`, Feishu may have obeyed.
    """
    foreign = _socks_errors()
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        raise translate(exc) from exc
    except foreign as exc:
        raise translate(exc) from exc


def translate(exc: Exception) -> FeishuWsError:
    """Return the fault; its words name no URL, since that may hold a login or content."""
    if isinstance(exc, _socks_errors()):
        return UnsentError(Fault.PROXY_FAILED, f"the proxy opened no way: {exc}")
    for kinds, fault in _UNSENT:
        if isinstance(exc, kinds):
            return UnsentError(fault, f"{_words(exc)}, on the way to Feishu's API")
    words = _words(exc)
    return FeishuWsError(Fault.API_FAILED, f"{words}, while Feishu's API was to answer")


def _words(exc: Exception) -> str:
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {exc.status} to CONNECT"
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        error = exc.certificate_error
        return getattr(error, "verify_message", "") or "a certificate that is not trusted"
    if isinstance(exc, aiohttp.ClientConnectorError):
        return exc.os_error.strerror or type(exc.os_error).__name__
    known = next((words for kind, words in _WORDS if isinstance(exc, kind)), "")
    return known or getattr(exc, "strerror", None) or type(exc).__name__


def _socks_errors() -> tuple[type[Exception], ...]:
    """Return what aiohttp-socks raises, if it is in use at all."""
    socks = sys.modules.get("aiohttp_socks")
    if socks is None:
        return ()
    return (socks.ProxyError, socks.ProxyConnectionError, socks.ProxyTimeoutError)
