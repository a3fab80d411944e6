"""The port: taken at once, served when somebody comes, given back."""

import asyncio
import subprocess
import sys

import pytest
from lookalike.rig import House

from feishu_ws.faults import Fault, FeishuWsError


async def test_off():
    """Without an address there is no lookalike."""
    house = House(listen="")
    async with House() as other:
        desk = other.desk
        other.settings = house.settings
        quiet = type(desk)(
            lambda: house.settings, other.journal, other.dispatcher, other.outward,
            clock=other.clock, tally=other.tally, observe=other.seen.append,
        )  # fmt: skip
        quiet.start()
        assert quiet.fact() is None
        running = asyncio.create_task(quiet.run())
        await asyncio.sleep(0)
        assert not running.done()
        running.cancel()
        await quiet.stop(0.1)


async def test_port_in_use():
    """A port somebody has is a fault that names the key and, where it may be seen, whose it is."""
    async with House() as house:
        with pytest.raises(FeishuWsError) as caught:
            async with House(listen=house.address):
                pass
        assert caught.value.fault is Fault.PORT_IN_USE
        assert caught.value.detail.startswith(f"lookalike.listen: {house.address} is taken by")


async def test_stops_before_anybody_came():
    """A lookalike nobody asked gives its port back."""
    async with House() as house:
        address = house.address
    async with House(listen=address) as house:
        assert (await house.discover())["code"] == 0


async def test_who_comes_first_waits():
    """Several that come at once, before anything is served, are all served."""
    async with House() as house:
        answers = await asyncio.gather(*(house.discover() for _ in range(5)))
        assert {answer["code"] for answer in answers} == {0}


def test_imports_nothing_of_a_server():
    """What the daemon imports at its start knows nothing of aiohttp."""
    script = "import sys, feishu_ws.daemon; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


async def test_defects_are_told(monkeypatch):
    """What goes wrong in here is the loop's to report, and the client's answer is 500."""
    async with House() as house:
        told = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))

        def fail(_):
            raise ZeroDivisionError

        monkeypatch.setattr(house.desk._lookalike, "forward", fail)
        assert (await house.ask("GET", "/open-apis/x"))[0] == 500
        assert [type(error) for error in told] == [ZeroDivisionError]
