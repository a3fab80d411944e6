"""What a name resolves to, and who said so."""

import asyncio
import socket
import time

import pytest

from feishu_ws.cli.examine import names
from feishu_ws.cli.examine.finding import State
from feishu_ws.cli.examine.names import Answer, ask, judge, nameservers
from feishu_ws.cli.examine.place import Place
from feishu_ws.faults import Fault
from feishu_ws.upstream.resolver import Resolver

FEISHU = Place("open.feishu.cn", 443)
SERVERS = ["10.0.0.53"]


def v4(*addresses):
    return tuple((socket.AF_INET, (each, 443)) for each in addresses)


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (Answer(FEISHU, 0.012, v4("1.1.1.1")), State.OK, "1 IPv4 (1.1.1.1) in 12 ms"),
        (
            Answer(FEISHU, 0.012, (*v4("1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"), (socket.AF_INET6, ("2001:db9::1", 443, 0, 0)))),
            State.OK,
            "4 IPv4 (1.1.1.1, 1.1.1.2, 1.1.1.3, …), 1 IPv6 (2001:db9::1)",
        ),
        (Answer(Place("10.0.0.1", 443), 0.0, v4("10.0.0.1")), State.OK, "is an address"),
        (Answer(FEISHU, 1.2, v4("1.1.1.1")), State.WARN, "in 1200 ms"),
        (Answer(FEISHU, 0.0, v4("127.0.0.1")), State.WARN, "no address of Feishu's"),
        (Answer(FEISHU, 0.0, v4("10.1.2.3")), State.WARN, "no address of Feishu's"),
        (Answer(Place("feishu.corp", 443), 0.0, v4("10.1.2.3")), State.OK, "10.1.2.3"),
        (Answer(FEISHU, 0.0, v4("198.18.0.7")), State.OK, "proxy program"),
    ],
)  # fmt: skip
def test_what_it_resolves_to(answer, state, words):
    """All addresses by family; one that cannot be Feishu's is odd, a slow answer too."""
    finding = judge(answer, SERVERS)
    assert finding.state is state
    assert words in finding.seen


@pytest.mark.parametrize(
    ("answer", "seen", "hint"),
    [
        (
            Answer(FEISHU, 5.0),
            "open.feishu.cn: no answer in 5.0 s from nameserver 10.0.0.53",
            "put a nameserver that answers into /etc/resolv.conf",
        ),
        (
            Answer(FEISHU, 0.003, error=socket.gaierror(socket.EAI_AGAIN, "Temporary failure")),
            "Temporary failure, after 3 ms, from nameserver 10.0.0.53",
            "put a nameserver that answers",
        ),
        (
            Answer(Place("open.fieshu.cn", 1), 0.0, error=socket.gaierror(socket.EAI_NONAME, "Unknown")),
            "Unknown",
            "look for a typo in open.fieshu.cn",
        ),
        (
            Answer(FEISHU, 0.0, error=socket.gaierror(socket.EAI_NONAME, "Unknown")),
            "Unknown",
            "ask why that nameserver does not know it",
        ),
    ],
)  # fmt: skip
def test_why_it_does_not_resolve(answer, seen, hint):
    """Silence, a failure and an unknown name are different things to mend."""
    finding = judge(answer, SERVERS)
    assert finding.fault is Fault.DNS_FAILED
    assert seen in finding.seen
    assert hint in finding.advice


@pytest.mark.parametrize(
    ("servers", "words"),
    [([], "/etc/resolv.conf names none"), (["127.0.0.53"], "127.0.0.53"), (["a", "b"], "a, b")],
)
def test_who_was_asked(servers, words):
    """The nameservers are named, or that there are none."""
    assert words in judge(Answer(FEISHU, 5.0), servers).seen


def test_a_resolver_of_systemd_is_asked_otherwise():
    """Its file names itself; resolvectl knows whom it asks."""
    assert judge(Answer(FEISHU, 5.0), ["127.0.0.53"]).advice.startswith("resolvectl status")


def test_nameservers_are_read(tmp_path):
    """As resolv.conf(5) has them; no file is none."""
    file = tmp_path / "resolv.conf"
    file.write_text("# one\nsearch x\nnameserver 1.1.1.1\n nameserver ::1\nnameserver\noptions x\n")

    assert nameservers(file) == ["1.1.1.1", "::1"]
    assert nameservers(tmp_path / "none") == []


async def test_a_resolver_that_hangs_is_left_behind(monkeypatch):
    """The deadline is this step's own, and nothing waits for the thread."""
    monkeypatch.setattr(names, "DEADLINE_S", 0.1)
    loop = asyncio.get_running_loop()
    began = loop.time()

    answer = await ask(Resolver(lambda *_: time.sleep(1.5)), FEISHU)

    assert loop.time() - began < 1
    assert (answer.addresses, answer.error) == ((), None)


async def test_addresses_are_told_once():
    """A resolver may repeat itself."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.1.1.1", 443))] * 2
    answer = await ask(Resolver(lambda *_: found), FEISHU)
    assert answer.addresses == v4("1.1.1.1")


async def test_a_failure_is_kept():
    """For the words."""

    def fail(*_):
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    assert (await ask(Resolver(fail), FEISHU)).error.strerror == "later"
