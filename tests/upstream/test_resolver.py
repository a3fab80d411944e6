"""Names to addresses when the resolver works, fails, hangs and is left behind."""

import asyncio
import socket
import subprocess
import sys
import threading
import time

import pytest

from feishu_ws.upstream import resolver as r

V4 = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("192.0.2.1", 443))
V6 = (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("2001:db8::1", 443, 0, 0))


class Lookup:
    """A resolver that answers, fails, or hangs until released."""

    def __init__(self):
        self.result = [V4]
        self.calls = []
        self.gate = None

    def hang(self):
        self.gate = threading.Event()

    def __call__(self, host, port):
        self.calls.append((host, port))
        gate, result = self.gate, self.result
        if gate is not None:
            gate.wait(20)
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture
def lookup():
    made = Lookup()
    yield made
    if made.gate is not None:
        made.gate.set()


async def test_resolves(lookup):
    """Each question asks the system anew."""
    resolver = r.Resolver(lookup)
    assert await resolver.addresses("h", 443) == [V4]
    assert await resolver.addresses("h", 443) == [V4]
    assert lookup.calls == [("h", 443)] * 2


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", 2), ("::1", 10)])
async def test_literal(lookup, host, family):
    """An address needs no resolver."""
    found = await r.Resolver(lookup).addresses(host, 80)
    assert (found[0][0], found[0][4][:2]) == (family, (host, 80))
    assert lookup.calls == []


async def test_failure(lookup):
    """Without a known address a failure is the caller's."""
    lookup.result = socket.gaierror(-2, "Name or service not known")
    with pytest.raises(socket.gaierror):
        await r.Resolver(lookup).addresses("h", 443)
    lookup.result = []
    with pytest.raises(OSError, match="no address"):
        await r.Resolver(lookup).addresses("h", 443)


async def test_name_that_cannot_be_encoded():
    """A name that is no name fails like any other."""
    with pytest.raises(OSError, match="label"):
        await r.Resolver().addresses("a" * 64 + ".example", 443)


@pytest.mark.parametrize("why", [ValueError("embedded null character"), MemoryError()])
async def test_whatever_the_lookup_ends_with(lookup, why):
    """Whoever asked hears of any end of a lookup, and the next question is asked anew."""
    lookup.result = why
    resolver = r.Resolver(lookup)
    async with asyncio.timeout(5):
        with pytest.raises(OSError, match=str(why) or "MemoryError"):
            await resolver.addresses("h", 443)
        lookup.result = [V4]
        assert await resolver.addresses("h", 443) == [V4]


def start_no_thread(_):
    raise RuntimeError("can't start new thread")


async def test_no_thread_can_start(lookup, monkeypatch):
    """A question that no thread can be started for fails at once, and spoils no later one."""
    resolver = r.Resolver(lookup)
    async with asyncio.timeout(5):
        with monkeypatch.context() as limit:
            limit.setattr(threading.Thread, "start", start_no_thread)
            for _ in range(2 * r.MAX_IN_FLIGHT):
                with pytest.raises(OSError, match="no thread can be started"):
                    await resolver.addresses("h", 443)
        assert await resolver.addresses("h", 443) == [V4]


async def test_last_good_addresses_where_no_thread_can_start(lookup, monkeypatch):
    """What was good last serves while no thread can be started."""
    resolver = r.Resolver(lookup)
    await resolver.addresses("h", 443)
    monkeypatch.setattr(threading.Thread, "start", start_no_thread)
    assert await resolver.addresses("h", 443) == [V4]


async def test_last_good_addresses_after_failure(lookup):
    """What was good last serves while the resolver fails."""
    resolver = r.Resolver(lookup)
    await resolver.addresses("h", 443)
    lookup.result = socket.gaierror(-3, "Temporary failure in name resolution")
    assert await resolver.addresses("h", 443) == [V4]


async def test_last_good_addresses_while_it_hangs(lookup, monkeypatch):
    """What was good last serves while the resolver hangs; its answer counts when it comes."""
    monkeypatch.setattr(r, "STALE_AFTER_S", 0.02)
    resolver = r.Resolver(lookup)
    await resolver.addresses("h", 443)
    lookup.hang()
    lookup.result = [V6]
    assert await resolver.addresses("h", 443) == [V4]
    lookup.gate.set()
    while resolver._running:
        await asyncio.sleep(0.01)
    assert resolver._known["h", 443] == [V6]


async def test_a_slow_resolver_is_waited_for_once(lookup, monkeypatch):
    """Once the resolver hung, known addresses serve at once, until it answers again."""
    resolver = r.Resolver(lookup)
    for name in ("discovery", "gateway"):
        await resolver.addresses(name, 443)
    lookup.hang()
    monkeypatch.setattr(r, "STALE_AFTER_S", 0.02)
    assert await resolver.addresses("discovery", 443) == [V4]
    monkeypatch.setattr(r, "STALE_AFTER_S", 20)
    began = time.monotonic()
    assert await resolver.addresses("gateway", 443) == [V4]
    assert time.monotonic() - began < 10
    lookup.gate.set()
    while resolver._running:
        await asyncio.sleep(0.01)
    lookup.result = [V6]
    assert await resolver.addresses("gateway", 443) == [V6]


async def test_one_lookup_per_name(lookup):
    """Questions for a name that is being looked up share the answer."""
    lookup.hang()
    resolver = r.Resolver(lookup)
    asked = [asyncio.create_task(resolver.addresses("h", 443)) for _ in range(5)]
    await asyncio.sleep(0.02)
    lookup.gate.set()
    assert await asyncio.gather(*asked) == [[V4]] * 5
    assert len(lookup.calls) == 1


async def test_bounded_number_in_flight(lookup):
    """When as many lookups hang as may, another fails at once instead of piling up."""
    lookup.hang()
    resolver = r.Resolver(lookup)
    names = [f"h{number}" for number in range(r.MAX_IN_FLIGHT)]
    asked = [asyncio.create_task(resolver.addresses(name, 443)) for name in names]
    while len(lookup.calls) < r.MAX_IN_FLIGHT:
        await asyncio.sleep(0.005)
    with pytest.raises(OSError, match="hang already"):
        await resolver.addresses("more", 443)
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert len(lookup.calls) == r.MAX_IN_FLIGHT


async def test_bounded_memory(lookup):
    """Only so many names are remembered."""
    resolver = r.Resolver(lookup)
    for number in range(r.MAX_NAMES + 5):
        await resolver.addresses(f"h{number}", 443)
    assert len(resolver._known) == r.MAX_NAMES


async def test_aiohttp_form(lookup):
    """The HTTP client gets the addresses of the family it asks for, and an error for none."""
    lookup.result = [V6, V4]
    resolver = r.Resolver(lookup)
    found = await resolver.resolve("h", 443, socket.AF_INET)
    assert [(each["host"], each["port"], each["hostname"]) for each in found] == [
        ("192.0.2.1", 443, "h")
    ]
    assert len(await resolver.resolve("h", 443)) == 2
    lookup.result = [V6]
    with pytest.raises(OSError, match="no address of family"):
        await resolver.resolve("other", 443, socket.AF_INET)
    await resolver.close()


async def test_a_failure_names_what_does_not_resolve(lookup):
    """Which of several names it was is in the words; the number is kept."""
    lookup.result = socket.gaierror(-2, "Name or service not known")
    words = pytest.raises(OSError, match=r"gw\.example: Name or service not known")
    with words as caught, r.naming("gw.example"):
        await r.Resolver(lookup).addresses("gw.example", 443)
    assert caught.value.errno == -2


def test_exit_is_not_delayed():
    """A process whose resolver hangs ends at once all the same."""
    program = (
        "import asyncio, time\n"
        "from feishu_ws.upstream.resolver import Resolver\n"
        "async def main():\n"
        "    asked = asyncio.create_task(Resolver(lambda *_: time.sleep(30)).addresses('h', 1))\n"
        "    await asyncio.sleep(0.05)\n"
        "    asked.cancel()\n"
        "asyncio.run(main())\n"
    )
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", program], check=True, timeout=25)
    assert time.monotonic() - began < 10
