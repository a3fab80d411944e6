"""The way to a host, step by step."""

import asyncio
import socket

import pytest
from upstream.tls import self_signed

from feishu_ws.cli.examine import tls
from feishu_ws.cli.examine.finding import State, Step
from feishu_ws.cli.examine.way import Way
from feishu_ws.faults import Fault
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.trust import Trust


async def walk(url, proxy="", *, lookup=None, ca_file="", obstacle=lambda _: "", env=None):
    """Walk and return the way."""
    resolver = Resolver(lookup) if lookup else Resolver()
    way = Way(url, proxy, resolver, Trust(str(ca_file)), env or {})
    await way.walk(lambda _: None, obstacle)
    return way


def states(way):
    return {step: result.finding.state for step, result in way.results.items()}


@pytest.fixture
async def port():
    """A port that takes connections and says nothing."""
    writers = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for writer in writers:
            writer.transport.abort()
        server.close()


async def test_all_the_way(tmp_path):
    """To the end of TLS, and nothing is said there."""
    context, pem = self_signed(tmp_path)
    heard = []

    async def serve(reader, writer):
        heard.append(await reader.read())
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        where = server.sockets[0].getsockname()[1]
        way = await walk(f"https://127.0.0.1:{where}", ca_file=pem)
        await asyncio.sleep(0.05)

    assert set(states(way).values()) == {State.OK}
    assert not any(heard)


async def test_behind_a_failure_nothing_is_asked():
    """No name, no address; the proxy's line says what it says without a way."""

    def fail(*_):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    way = await walk("https://open.feishu.cn", lookup=fail)

    assert states(way) == {
        Step.DNS: State.FAIL,
        Step.TCP: State.SKIP,
        Step.PROXY: State.OK,
        Step.TLS: State.SKIP,
    }
    assert way.results[Step.TLS].finding.seen == "dns failed"


async def test_a_proxy_that_cannot_be_used(monkeypatch):
    """Its own line fails, all others are skipped because of it."""
    monkeypatch.setenv("https_proxy", "ftp://p:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    way = await walk("https://open.feishu.cn", "env")

    assert way.results[Step.PROXY].finding.fault is Fault.CONFIG_INVALID
    assert {each for step, each in states(way).items() if step != Step.PROXY} == {State.SKIP}


async def test_what_the_configuration_forbids(port):
    """An obstacle that somebody else knows of is named."""
    way = await walk(
        f"https://127.0.0.1:{port}", obstacle=lambda step: "no CA" if step is Step.TLS else ""
    )
    assert states(way)[Step.TCP] is State.OK
    assert way.results[Step.TLS].finding.seen == "no CA"


async def test_every_step_has_its_deadline(port, monkeypatch):
    """A host that takes connections and says nothing ends the step, not the command."""
    monkeypatch.setattr(tls, "DEADLINE_S", 0.2)
    way = await asyncio.wait_for(walk(f"https://127.0.0.1:{port}"), 5)
    assert way.results[Step.TLS].finding.fault is Fault.CONNECT_TIMEOUT


async def test_a_silent_proxy(port, monkeypatch):
    """Likewise, and TLS behind it is not tried."""
    monkeypatch.setattr("feishu_ws.cli.examine.proxy.DEADLINE_S", 0.2)
    way = await asyncio.wait_for(walk("https://open.feishu.cn", f"http://127.0.0.1:{port}"), 5)
    assert way.results[Step.PROXY].finding.fault is Fault.CONNECT_TIMEOUT
    assert way.results[Step.TLS].finding.seen == "proxy failed"


async def test_plain_http_has_no_tls(port):
    """That is a simulator."""
    way = await walk(f"http://127.0.0.1:{port}")
    assert states(way)[Step.TLS] is State.SKIP


async def test_whoever_is_not_trusted_may_tell_the_time(tmp_path, monkeypatch):
    """A second look that takes too long is given up; the failure stands."""
    monkeypatch.setattr("feishu_ws.cli.examine.way.CLOSER_S", 0.2)
    context, _ = self_signed(tmp_path)

    async def serve(reader, writer):
        try:
            await reader.read()
        finally:
            writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        way = await walk(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    assert way.results[Step.TLS].finding.fault is Fault.TLS_FAILED
    assert way.offset_s is None
