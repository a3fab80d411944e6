"""What is said to an HTTP proxy, and what its answers mean."""

import asyncio
import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.clock import SystemClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.upstream import tunnel
from feishu_ws.upstream.attempt import Attempt, Phase
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.tunnel import MAX_HEAD, Target, check_answer, encode_connect, open_tunnel


@pytest.mark.parametrize(
    ("target", "proxy", "first", "login"),
    [
        (Target("h.example", 443), "http://p:1", b"CONNECT h.example:443 HTTP/1.1\r\n", None),
        (Target("2001:db8::7", 80), "http://p:1", b"CONNECT [2001:db8::7]:80 HTTP/1.1\r\n", None),
        (Target("h", 1), "http://u%40x:p%3Aw@p:1", b"CONNECT h:1 HTTP/1.1\r\n", b"dUB4OnA6dw=="),
        (Target("h", 1), "http://u@p:1", b"CONNECT h:1 HTTP/1.1\r\n", b"dTo="),
    ],
)
def test_request(target, proxy, first, login):
    """The request names host and port, and the login as its URL means it."""
    request = encode_connect(target, urlsplit(proxy))
    assert request.startswith(first)
    assert request.endswith(b"\r\n\r\n")
    assert (b"Proxy-Authorization: Basic " in request) == (login is not None)
    assert login is None or b"Basic " + login + b"\r\n" in request


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.0 200 Connection established\r\nProxy-agent: tinyproxy/1.11.1\r\n\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
    ],
)
def test_opened(head):
    """Any 2xx of HTTP/1 opens the tunnel. Source: RFC 9110 9.3.6, and tinyproxy."""
    check_answer(head)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"HTTP/1.1 599 p4ssw0rd\r\n\r\n", "answered 599 to CONNECT"),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "user or password"),
        (b"HTTP/1.0 401 Unauthorized\r\n\r\n", "user or password"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "403 .Forbidden. to CONNECT"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no HTTP proxy"),
        (b"HTTP/1.1 abc\r\n\r\n", "no HTTP proxy"),
        (b"HTTP/1.1 200 OK\r\n\r\n\x16\x03", "before Feishu"),
    ],
)
def test_not_opened(head, words):
    """Whatever else comes is the proxy's fault and says what was seen."""
    with pytest.raises(FeishuWsError, match=words) as caught:
        check_answer(head)
    assert caught.value.fault is Fault.PROXY_FAILED
    assert "p4ssw0rd" not in caught.value.detail


def opens(head):
    try:
        check_answer(head)
    except FeishuWsError:
        return False
    return True


@given(
    st.binary(max_size=60) | st.from_regex(rb"HTTP/1\.[01] [0-9]{3}[ -~]*\r\n\r\n", fullmatch=True)
)
def test_any_bytes_are_judged(head):
    """Whatever a proxy sends is judged, and only a 2xx opens the tunnel."""
    assert not opens(head) or re.match(rb"HTTP/1\.\S* 2[0-9][0-9]", head)


async def ask(answer):
    """Ask a proxy that writes the pieces of an answer one by one; return what it read."""
    read = bytearray()
    served = asyncio.Event()

    async def serve(reader, writer):
        read.extend(await reader.readuntil(b"\r\n\r\n"))
        for piece in answer:
            writer.write(piece)
            await asyncio.sleep(0.01)
        writer.close()
        served.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        attempt = Attempt(0, SystemClock())
        try:
            sock = await open_tunnel(f"http://127.0.0.1:{port}", Resolver(), "h", 443, attempt)
            sock.close()
        finally:
            await served.wait()
        assert attempt.phase is Phase.PROXY
    return bytes(read)


async def test_an_answer_in_pieces():
    """The head may come in any number of pieces."""
    head = b"HTTP/1.1 200 OK\r\nVia: 1.1 squid\r\n\r\n"
    read = await ask([head[:9], head[9:20], head[20:-2], head[-2:]])
    assert read.startswith(b"CONNECT h:443 ")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([], "nothing"),
        ([b"HTTP/1.1 200 OK\r\n"], "without an end"),
        ([b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * MAX_HEAD], "without an end"),
    ],
    ids=["hangs-up", "half", "endless"],
)
async def test_an_answer_without_an_end(answer, words):
    """A proxy that hangs up or never ends its head is at fault, within bounds."""
    with pytest.raises(FeishuWsError, match=words) as caught:
        await ask(answer)
    assert caught.value.fault is Fault.PROXY_FAILED


async def test_nobody_answers(monkeypatch):
    """A TCP connection into a black hole is given up in time for another attempt."""

    async def hang(*_, **__):
        await asyncio.sleep(60)

    monkeypatch.setattr(tunnel.aiohappyeyeballs, "start_connection", hang)
    monkeypatch.setattr(tunnel, "TCP_TIMEOUT_S", 0.05)
    attempt = Attempt(0, SystemClock())
    with pytest.raises(OSError, match=r"no answer within 0\.05 s"):
        await tunnel.dial(Resolver(), "192.0.2.1", 443, attempt, Phase.TCP)
    assert attempt.phase is Phase.TCP
