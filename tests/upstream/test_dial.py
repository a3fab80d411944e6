"""One attempt, and what it leaves behind when it is cut short."""

import asyncio
from random import Random

import pytest

from feishu_ws.clock import SystemClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import LinkWarned
from feishu_ws.secret import Secret
from feishu_ws.tally import Tally
from feishu_ws.upstream.attempt import Attempt, Phase
from feishu_ws.upstream.dial import Dialer
from feishu_ws.upstream.settings import Credentials, UpstreamSettings
from feishu_ws.wire.reassembly import Reassembly


class Setting:
    def __init__(self, domain, **settings):
        self.seen = []
        self.worked = []
        self.clock = SystemClock()
        self.attempt = Attempt(0, self.clock)
        self.dialer = Dialer(
            UpstreamSettings(**settings),
            Credentials("cli_a", Secret("s3cret"), domain),
            Reassembly(),
            lambda payload, answer: None,
            self.seen.append,
            Tally(),
            self.clock,
            Random(1),
            lambda: self.worked.append(True),
        )


async def test_live(feishu):
    """An attempt that works gives a live connection, and closes its last phase."""
    setting = Setting(feishu.domain)
    connection = await setting.dialer(setting.attempt)
    assert connection.first_pong.done()
    assert setting.worked == [True]
    assert list(setting.attempt.phases_s) == ["discovery", "dns", "tcp", "handshake"]
    await connection.drain(0)


async def test_foreign_host_is_one_warning(feishu):
    """A host outside the domain's family is warned of once, not at every attempt."""
    port = feishu.domain.rpartition(":")[2]
    setting = Setting(f"http://127.0.0.1.nip.invalid:{port}")
    resolver = setting.dialer._discovery._resolver
    resolver._lookup = lambda host, port: [(2, 1, 6, "", ("127.0.0.1", port))]
    for _ in range(2):
        connection = await setting.dialer(Attempt(0, setting.clock))
        await connection.drain(0)
    assert len([each for each in setting.seen if type(each) is LinkWarned]) == 1


async def test_credentials_replaced_meanwhile(feishu):
    """That the old credentials worked says nothing about the new ones."""
    setting = Setting(feishu.domain)
    dialing = asyncio.create_task(setting.dialer(setting.attempt))
    await asyncio.sleep(0)
    setting.dialer.credentials = Credentials("cli_a", Secret("new"), feishu.domain)
    connection = await dialing
    assert setting.worked == []
    await connection.drain(0)


async def test_cut_short(feishu):
    """An attempt that is cancelled before its first pong leaves no connection open."""
    feishu.silent = True
    setting = Setting(feishu.domain)
    dialing = asyncio.create_task(setting.dialer(setting.attempt))
    session = await feishu.opened()
    await asyncio.sleep(0.01)
    dialing.cancel()
    await asyncio.gather(dialing, return_exceptions=True)
    session.ws.transport.resume_reading()
    await asyncio.wait_for(session.ws.wait_closed(), 2)


async def test_deadline(feishu):
    """The deadline is for the whole attempt, and the fault says where it was."""
    feishu.silent = True
    setting = Setting(feishu.domain, connect_timeout_s=0.2)
    with pytest.raises(FeishuWsError, match="handshake") as caught:
        await setting.dialer(setting.attempt)
    assert caught.value.fault is Fault.CONNECT_TIMEOUT
    assert setting.attempt.phase is Phase.HANDSHAKE
    assert setting.attempt.is_answered
