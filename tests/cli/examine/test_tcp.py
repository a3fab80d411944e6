"""Every address of the first hop on its own."""

import asyncio
import errno
import os
import socket

import pytest

from feishu_ws.cli.examine.finding import State
from feishu_ws.cli.examine.place import Place, Route
from feishu_ws.cli.examine.tcp import Try, judge, knock, reason
from feishu_ws.faults import Fault

STRAIGHT = Route("https://open.feishu.cn")
PROXIED = Route("https://open.feishu.cn", "http://u:p4ss@p:3128")
FORGOTTEN = Route("https://open.feishu.cn", unused="HTTPS_PROXY")


def error(number):
    return OSError(number, os.strerror(number))


def tried(address="1.1.1.1", number=None, family=socket.AF_INET):
    failed = None if number is None else TimeoutError() if number == "silent" else error(number)
    return Try(family, Place(address, 443), 0.012, failed)


GOOD = tried()
REFUSED = tried("1.1.1.2", errno.ECONNREFUSED)
SILENT = tried("1.1.1.3", "silent")
NO_ROUTE = tried("1.1.1.4", errno.ENETUNREACH)
NO_IPV6 = tried("2001:db8::1", errno.ENETUNREACH, socket.AF_INET6)
DEAD_IPV6 = tried("2001:db8::1", "silent", socket.AF_INET6)


@pytest.mark.parametrize(
    ("tries", "route", "state", "fault", "hint"),
    [
        ([GOOD], STRAIGHT, State.OK, None, ""),
        ([GOOD, NO_IPV6], STRAIGHT, State.OK, None, ""),
        ([GOOD, REFUSED], STRAIGHT, State.WARN, Fault.CONNECT_FAILED, "uses the others"),
        ([GOOD, DEAD_IPV6], STRAIGHT, State.WARN, Fault.CONNECT_FAILED, "uses the others"),
        ([REFUSED], STRAIGHT, State.FAIL, Fault.CONNECT_FAILED, "check app.domain"),
        ([SILENT], STRAIGHT, State.FAIL, Fault.CONNECT_TIMEOUT, "let the firewall pass"),
        ([SILENT, REFUSED], STRAIGHT, State.FAIL, Fault.CONNECT_TIMEOUT, "firewall"),
        ([NO_ROUTE, NO_IPV6], STRAIGHT, State.FAIL, Fault.CONNECT_FAILED, "ip route"),
        ([SILENT], FORGOTTEN, State.FAIL, Fault.CONNECT_TIMEOUT, "$HTTPS_PROXY names a proxy"),
        ([REFUSED], PROXIED, State.FAIL, Fault.PROXY_FAILED, "start the proxy"),
        ([SILENT], PROXIED, State.FAIL, Fault.CONNECT_TIMEOUT, "mend upstream.proxy"),
        ([GOOD], PROXIED, State.OK, None, ""),
    ],
)  # fmt: skip
def test_what_the_first_hop_does(tries, route, state, fault, hint):
    """One address that answers will do, as for the daemon; the rest is told."""
    finding = judge(tries, route)
    assert (finding.state, finding.fault) == (state, fault)
    assert hint in finding.advice
    assert len(finding.facts["addresses"]) == len(tries)


def test_each_address_is_told():
    """With its figures, or its own error."""
    seen = judge([GOOD, REFUSED, SILENT, NO_IPV6], STRAIGHT).seen
    assert seen == (
        "1.1.1.1:443 in 12 ms; 1.1.1.2:443 connection refused; 1.1.1.3:443 silent for 0.0 s; "
        "[2001:db8::1]:443 network is unreachable"
    )


async def test_knocking():
    """One that listens takes the connection, one that does not refuses it."""
    async with await asyncio.start_server(
        lambda _, writer: writer.close(), "127.0.0.1", 0
    ) as server:
        where = server.sockets[0].getsockname()
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            tries = await knock([(socket.AF_INET, where), (socket.AF_INET, closed.getsockname())])

    assert [each.error and each.error.errno for each in tries] == [None, errno.ECONNREFUSED]


async def test_a_silent_address_ends_at_the_deadline(monkeypatch):
    """A listener whose backlog is full drops what comes, as a firewall does."""
    monkeypatch.setattr("feishu_ws.cli.examine.tcp.DEADLINE_S", 0.2)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.create_connection(full.getsockname()), socket.socket() as more:
            more.settimeout(0)
            more.connect_ex(full.getsockname())
            (only,) = await knock([(socket.AF_INET, full.getsockname())])

    assert only.is_filtered


@pytest.mark.parametrize(
    ("exc", "words"),
    [
        (OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 9)"), "connection refused"),
        (ConnectionResetError(), "connection reset"),
        (OSError("no address"), "no address"),
    ],
)
def test_reasons(exc, words):
    """The system's words, not asyncio's; some errors have none."""
    assert reason(exc) == words
