"""As far as TLS and no further."""

import asyncio
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upstream.tls import self_signed

from feishu_ws.cli.examine.passage import Passage, read_offset
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.trust import Trust

NOW_MS = 1_774_004_591_000


class Server:
    """A TLS server that keeps what it is asked, and answers with a head."""

    def __init__(self, context, head):
        self._context = context
        self._head = head
        self.asked = b""

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        try:
            self.asked = await reader.readuntil(b"\r\n\r\n")
            writer.write(self._head)
            await reader.read()
        except (OSError, EOFError):
            pass
        finally:
            writer.transport.abort()


def passage(ca_file=""):
    return Passage("", Resolver(), Trust(str(ca_file)))


async def test_whom_we_trust(tmp_path):
    """Issuer, names, version and time come out; nothing is asked."""
    context, pem = self_signed(tmp_path)
    async with Server(context, b"") as server:
        peer = await passage(pem).greet(server.url)

    assert (peer.issuer, peer.names) == ("127.0.0.1", ("127.0.0.1",))
    assert peer.version.startswith("TLSv1.")
    assert peer.not_before < peer.not_after
    assert peer.took_s > 0
    assert server.asked == b""


async def test_whom_we_do_not_trust_is_looked_at_closer(tmp_path):
    """Who it is and what time it has; it is told nothing but a HEAD."""
    context, _ = self_signed(tmp_path)
    head = f"HTTP/1.1 404 Not Found\r\nDate: {formatdate(usegmt=True)}\r\n\r\n".encode()
    async with Server(context, head) as server:
        with pytest.raises(OSError, match="self-signed"):
            await passage().greet(server.url)
        peer, offset_s = await passage().look_closer(server.url)

    assert peer.issuer == "127.0.0.1"
    assert abs(offset_s) < 30
    assert server.asked.startswith(b"HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n")


async def test_one_that_speaks_no_http(tmp_path):
    """Its certificate is told all the same."""
    context, _ = self_signed(tmp_path)
    async with Server(context, b"220 smtp\r\n\r\n") as server:
        peer, offset_s = await passage().look_closer(server.url)
    assert (peer.issuer, offset_s) == ("127.0.0.1", None)


async def test_nobody_there():
    """Then there is nothing to tell."""
    async with Server(None, b"") as server:
        url = server.url
    assert await passage().look_closer(url) == (None, None)


@pytest.mark.parametrize(
    ("head", "offset_s"),
    [
        (b"HTTP/1.1 200 OK\r\nDate: Fri, 20 Mar 2026 11:03:11 GMT\r\n\r\n", 0.5),
        (b"HTTP/1.1 200 OK\r\ndate:Fri, 20 Mar 2026 11:13:11 GMT\r\n\r\n", 600.5),
        (b"HTTP/1.1 200 OK\r\nDate: yesterday\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\n\r\n", None),
    ],
)
def test_the_time_of_an_answer(head, offset_s):
    """`Date` has whole seconds and rounds down: half a second is added."""
    assert read_offset(head, NOW_MS) == offset_s


@given(st.binary(max_size=300))
def test_any_head_is_read(head):
    """Whoever answers may write what it likes."""
    assert isinstance(read_offset(b"Date: " + head, NOW_MS), float | None)
