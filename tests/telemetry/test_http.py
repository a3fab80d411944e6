"""The endpoint, over real sockets."""

import asyncio
import logging
import socket
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import aiohttp
import pytest

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import ClientRefused
from feishu_ws.telemetry import http
from feishu_ws.telemetry.http import Answer, HttpServer

LARGE = b"x" * 20_000_000  # more than any socket buffer takes


def echo(asked):
    return Answer(f"{asked.accept}|{asked.takes_gzip}".encode())


def broken(_):
    raise RuntimeError("a page's defect")


PAGES = {
    "/": lambda _: Answer(b"index\n", "text/html", headers={"X-Page": "1"}),
    "/echo": echo,
    "/busy": lambda _: Answer(b"", status=503),
    "/broken": broken,
    "/large": lambda _: Answer(LARGE),
}


@asynccontextmanager
async def serving(listen="127.0.0.1:0", **kwargs):
    server = HttpServer(listen, PAGES, **kwargs)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def connected(server):
    if server.address.startswith("unix:"):
        opened = asyncio.open_unix_connection(server.address.removeprefix("unix:"))
    else:
        host, _, port = server.address.rpartition(":")
        opened = asyncio.open_connection(host.strip("[]"), int(port))
    reader, writer = await opened
    try:
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.transport.abort()


async def cut_off(writer):
    """Return once the other end has gone, sending a little all the while."""
    with suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)


async def ask(server, path="/", method="GET", host=None, headers=(), body=b"", version="1.1"):
    """Send one request and return status and everything that came back until the end."""
    head = [f"{method} {path} HTTP/{version}"]
    if host != "":
        head.append(f"Host: {server.address if host is None else host}")
    async with connected(server) as (reader, writer):
        writer.write("\r\n".join([*head, *headers, "", ""]).encode() + body)
        answer = await reader.read()
    return int(answer.split(b" ", 2)[1]) if answer else 0, answer


async def test_a_page_is_served_once_per_connection():
    """The answer has the page's status, headers and body, and the connection ends."""
    async with serving() as server:
        status, answer = await ask(server)
        assert status == 200
        assert answer.endswith(b"\r\n\r\nindex\n")
        for header in (
            b"X-Page: 1",
            b"Content-Type: text/html",
            b"Connection: close",
            b"Cache-Control: no-store",
            b"X-Content-Type-Options: nosniff",
        ):
            assert header in answer
        assert (await ask(server, "/busy"))[0] == 503


@pytest.mark.parametrize(
    ("encoding", "takes"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("gzipped, br", False),
        ("", False),
    ],
)
async def test_a_page_learns_what_the_client_takes(encoding, takes):
    """Accept and Accept-Encoding are handed on."""
    async with serving() as server:
        headers = ["Accept: text/plain", f"Accept-Encoding: {encoding}"]
        _, answer = await ask(server, "/echo?query=ignored", headers=headers)
        assert answer.endswith(f"text/plain|{takes}".encode())


async def test_an_ordinary_client_gets_along():
    """A pooling client, as Prometheus is one, may ask again and again."""
    async with serving() as server, aiohttp.ClientSession() as session:
        for _ in range(3):
            async with session.get(f"http://{server.address}/echo") as response:
                assert response.status == 200
                assert await response.text() == "*/*|True"


async def test_plain_clients_get_along():
    """HTTP/1.0, as health checks speak it, a whole URL as the target, a head in pieces."""
    async with serving() as server:
        assert (await ask(server, version="1.0"))[0] == 200
        assert (await ask(server, f"http://{server.address}/echo?x=/"))[0] == 200
        async with connected(server) as (reader, writer):
            for piece in (b"GET / HTTP/1.1\r\nHo", f"st: {server.address}\r\n\r".encode(), b"\n"):
                writer.write(piece)
                await asyncio.sleep(0.02)
            assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_second_request_on_a_connection_is_not_read():
    """What comes after the first head is not looked at, whatever it is."""
    async with serving() as server, connected(server) as (reader, writer):
        head = f"GET /busy HTTP/1.1\r\nHost: {server.address}\r\n\r\n".encode()
        writer.write(head * 3 + b"nonsense\r\n\r\n")
        assert (await reader.read()).count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"path": "/nothing"}, 404),
        ({"path": "/../etc/passwd"}, 404),
        ({"path": "/%2e%2e/"}, 404),
        ({"path": "//"}, 404),
        ({"method": "POST", "headers": ["Content-Length: 1"], "body": b"x"}, 405),
        ({"method": "HEAD"}, 405),
        ({"method": "OPTIONS"}, 405),
        ({"method": "DELETE", "path": "/nothing"}, 405),
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:9530"}, 403),
        ({"host": "127.0.0.1:1"}, 403),
        ({"host": "", "version": "1.0"}, 403),
        ({"headers": ["Origin: http://evil.example"]}, 403),
        ({"headers": ["Origin: null"]}, 403),
        ({"headers": ["Origin:"]}, 403),
        ({"path": "/nothing", "host": "evil.example"}, 403),
        ({"path": "http://evil.example/", "host": "evil.example"}, 403),
    ],
)
async def test_what_is_not_for_us_is_refused(request_, status):
    """Unknown paths, other methods, and whatever a web page could make a browser send."""
    async with serving() as server:
        got, answer = await ask(server, **request_)
        assert got == status
        assert (b"Allow: GET" in answer) == (status == 405)
        assert (await ask(server))[0] == 200


async def test_refusals_of_strangers_are_told():
    """Each is a happening, for the log and the count."""
    told = []
    async with serving(observe=told.append) as server:
        await ask(server, host="evil.example")
        await ask(server)
    assert told == [ClientRefused("host")]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 10_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
    ids=["line", "field", "fields", "hosts", "length", "tls", "words"],
)
async def test_malformed_and_oversized_requests_are_refused_quietly(head, caplog):
    """The client gets a 4xx and the end of the connection, the log nothing."""
    async with serving() as server:
        async with connected(server) as (reader, writer):
            writer.write(head)
            answer = await reader.read()
        assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
        assert (await ask(server))[0] == 200
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_a_huge_body_is_not_read():
    """A client that goes on sending is answered and cut off."""
    async with serving() as server, connected(server) as (reader, writer):
        head = f"POST / HTTP/1.1\r\nHost: {server.address}\r\nContent-Length: 1000000000\r\n\r\n"
        writer.write(head.encode() + b"x" * 100_000)
        assert b" 405 " in await reader.readuntil(b"\r\n\r\n")
        await cut_off(writer)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHos"], ids=["nothing", "half"])
async def test_a_client_that_dawdles_is_cut_off(monkeypatch, sent):
    """A request that does not come within its time ends the connection."""
    monkeypatch.setattr(http, "HEAD_TIMEOUT_S", 0.3)
    async with serving() as server, connected(server) as (reader, writer):
        writer.write(sent)
        assert await reader.read() == b""


async def test_a_client_that_drips_is_cut_off(monkeypatch):
    """Sending byte by byte wins no time."""
    monkeypatch.setattr(http, "HEAD_TIMEOUT_S", 0.3)
    async with serving() as server, connected(server) as (_, writer):
        writer.write(b"GET / HTTP/1.1\r\nX: ")
        await cut_off(writer)


async def test_a_client_that_does_not_read_is_cut_off(monkeypatch):
    """An answer that is not taken in time does not stay in memory."""
    monkeypatch.setattr(http, "ANSWER_TIMEOUT_S", 0.3)
    async with serving() as server, connected(server) as (reader, writer):
        writer.write(f"GET /large HTTP/1.1\r\nHost: {server.address}\r\n\r\n".encode())
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.1)  # nothing is read meanwhile
        assert server.clients == 1
        while server.clients:
            await asyncio.sleep(0.05)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(len(LARGE))


async def test_too_many_clients_are_turned_away(monkeypatch):
    """Beyond the bound a connection is closed at once; when one ends there is room again."""
    monkeypatch.setattr(http, "MAX_CLIENTS", 3)
    told = []
    async with serving(observe=told.append) as server:
        async with AsyncExitStack() as idle:
            for _ in range(3):
                await idle.enter_async_context(connected(server))
            while server.clients < 3:
                await asyncio.sleep(0.01)
            async with connected(server) as (reader, _):
                assert await reader.read() == b""
            assert told == [ClientRefused("full")]
        while server.clients:
            await asyncio.sleep(0.01)
        assert (await ask(server))[0] == 200


async def test_a_defect_of_a_page_is_a_500_and_in_the_log(caplog):
    """Our own mistakes are not hushed up."""
    async with serving() as server:
        status, answer = await ask(server, "/broken")
        assert status == 500
        assert b"defect" not in answer
        assert (await ask(server))[0] == 200
    assert "a page's defect" in caplog.text


async def test_a_taken_port_is_a_fault_that_names_it():
    """The daemon can say which port, and whose it is."""
    async with serving() as server:
        other = HttpServer(server.address, PAGES)
        with pytest.raises(FeishuWsError, match=server.address) as raised:
            await other.start()
        assert raised.value.fault is Fault.PORT_IN_USE
        await other.stop()
        assert (await ask(server))[0] == 200


def test_an_address_nobody_understands_is_refused_at_once():
    """The mistake shows before anything is started."""
    with pytest.raises(FeishuWsError):
        HttpServer("everywhere", PAGES)


async def test_a_unix_socket_serves_and_is_removed(tmp_path):
    """Any Host will do there, an Origin never; nothing is left behind."""
    path = tmp_path / "http.sock"
    async with serving(f"unix:{path}") as server:
        assert server.address == f"unix:{path}"
        assert (await ask(server, host="whatever"))[0] == 200
        assert (await ask(server, headers=["Origin: http://x"]))[0] == 403
    assert not path.exists()


async def test_a_passed_socket_is_used_and_left_in_place(tmp_path):
    """A listener of systemd's takes the place of the configured address and stays."""
    path = tmp_path / "passed.sock"
    with socket.socket(socket.AF_UNIX) as passed:
        passed.bind(str(path))
        passed.listen()
        async with serving("127.0.0.1:1", passed=passed) as server:
            assert server.address == f"unix:{path}"
            assert (await ask(server))[0] == 200
    assert path.exists()


async def test_a_passed_tcp_socket_decides_which_host_is_ours():
    """The Host is compared with where we really listen."""
    passed = socket.create_server(("127.0.0.1", 0))
    async with serving("10.1.2.3:9530", passed=passed) as server:
        assert (await ask(server))[0] == 200
        assert (await ask(server, host="10.1.2.3:9530"))[0] == 403


async def test_stop_is_quick_with_clients_that_hang():
    """Clients in the middle of something do not hold up the end; stopping twice is fine."""
    server = HttpServer("127.0.0.1:0", PAGES)
    await server.start()
    async with connected(server), connected(server) as (reader, writer):
        writer.write(f"GET /large HTTP/1.1\r\nHost: {server.address}\r\n\r\n".encode())
        await reader.read(10)
        began = time.monotonic()
        await server.stop()
        await server.stop()
        assert time.monotonic() - began < 5
    with pytest.raises(ConnectionError):
        await ask(server)


async def test_it_can_start_again():
    """A server that was stopped frees its port."""
    async with serving() as server:
        address = server.address
    async with serving(address) as server:
        assert (await ask(server))[0] == 200
