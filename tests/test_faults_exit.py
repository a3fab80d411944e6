"""When the daemon ends because of its credentials, and when it waits. Source: CONTRACT 3."""

import asyncio
import os

import pytest
from support import eventually

from feishu_ws.config import load
from feishu_ws.daemon import Daemon
from feishu_ws.faults import Exit, Fault, FeishuWsError
from feishu_ws.simulator.server import Simulator
from feishu_ws.upstream import backoff, fleet
from feishu_ws.upstream.attempt import Phase
from feishu_ws.upstream.backoff import Ending
from feishu_ws.upstream.fleet import RefusalCount
from feishu_ws.wire.endpoint import FAULT_BY_CODE

REFUSALS = 5  # some more than would end it
SECRET, DOMAIN = "FEISHU_WS_APP__SECRET", "FEISHU_WS_APP__DOMAIN"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Holds of 45 s, shortened."""
    monkeypatch.setattr(backoff, "HOLD_FIRST_S", 0.01)
    monkeypatch.setattr(backoff, "HOLD_MAX_S", 0.02)
    monkeypatch.setattr(fleet, "EXIT_AFTER_S", 0.01)
    monkeypatch.setattr(fleet, "STAGGER_S", 0.01)


@pytest.fixture
async def feishu():
    async with Simulator() as running:
        yield running


@pytest.fixture
def environment(feishu, monkeypatch):
    """The daemon's environment, in which a secret can be changed and a directory."""

    def change(directory, secret=None):
        known = {
            "FEISHU_WS_APP__ID": feishu.settings.app_id,
            SECRET: secret or feishu.settings.app_secret,
            DOMAIN: feishu.domain,
            "STATE_DIRECTORY": str(directory),
            "RUNTIME_DIRECTORY": str(directory),
            "FEISHU_WS_TELEMETRY__LISTEN": "",
            "FEISHU_WS_LOOKALIKE__LISTEN": "",
            "FEISHU_WS_UPSTREAM__CONNECTIONS": "1",
            "FEISHU_WS_UPSTREAM__BACKOFF_BASE_S": "0.1",
            "FEISHU_WS_LOG__LEVEL": "error",
        }
        for key, value in known.items():
            monkeypatch.setenv(key, value)

    return change


class Life:
    """One life of a daemon."""

    def __init__(self):
        self.daemon = Daemon(load(None, os.environ))
        self.running = asyncio.create_task(self.daemon.run())

    async def is_live(self):
        await eventually(lambda: self.running.done() or self._live)
        assert not self.running.done()

    @property
    def _live(self):
        fleet = getattr(self.daemon, "_fleet", None)  # made once the journal is open
        return fleet is not None and fleet.live

    async def survives(self, feishu):
        """It goes on though discovery refused more often than three times."""
        enough = feishu.stats.discoveries + REFUSALS
        await eventually(lambda: self.running.done() or feishu.stats.discoveries >= enough)
        await self.stop()

    async def stop(self):
        self.daemon.request_stop("the test is over")
        assert await asyncio.wait_for(self.running, 5) is Exit.OK

    async def gives_up(self, feishu):
        """It ends with 77, after three tries and no more."""
        before = feishu.stats.discoveries
        with pytest.raises(FeishuWsError) as caught:
            await asyncio.wait_for(self.running, 5)
        assert caught.value.spec.exit_code is Exit.CREDENTIALS
        assert feishu.stats.discoveries - before == 3


async def has_worked(directory, environment):
    """Let the credentials work once with the journal in `directory`."""
    environment(directory)
    life = Life()
    await life.is_live()
    await life.stop()


@pytest.mark.parametrize("code", [1000040345, 1000040346])
async def test_never_worked(feishu, environment, tmp_path, code):
    """Credentials that never worked are given up after three refusals."""
    environment(tmp_path)
    feishu.refuse_discovery(code)
    await Life().gives_up(feishu)


@pytest.mark.parametrize("code", [1000040345, 1000040346])
async def test_worked_in_an_earlier_life(feishu, environment, tmp_path, code):
    """Credentials that worked with this journal are waited for, also by another process."""
    await has_worked(tmp_path, environment)
    feishu.refuse_discovery(code)
    await Life().survives(feishu)


async def test_another_secret(feishu, environment, tmp_path):
    """What worked says nothing of another secret."""
    await has_worked(tmp_path, environment)
    environment(tmp_path, secret="another")
    await Life().gives_up(feishu)


async def test_another_journal(feishu, environment, tmp_path):
    """What worked with one journal says nothing of another."""
    await has_worked(tmp_path / "one", environment)
    environment(tmp_path / "two")
    feishu.refuse_discovery(1000040345)
    await Life().gives_up(feishu)


async def test_another_secret_while_running(feishu, environment, tmp_path):
    """A daemon that was live is not ended by a reload with a wrong secret."""
    environment(tmp_path)
    life = Life()
    await life.is_live()
    environment(tmp_path, secret="another")
    life.daemon.reload()
    await eventually(lambda: life.daemon._settings.app.secret.matches("another"))
    for link in list(feishu.links):
        link.reset()
    await life.survives(feishu)


@pytest.mark.parametrize("code", [1, 403, 514, 1000040343, 1000040344, 1000040350, 1000049999])
async def test_other_codes(feishu, environment, tmp_path, code):
    """No other code ends the daemon, however often it comes."""
    environment(tmp_path)
    feishu.refuse_discovery(code)
    await Life().survives(feishu)


@pytest.mark.parametrize("fault", Fault)
def test_no_other_ending(fault):
    """Whatever an attempt or a life ends with, in whatever phase: only one thing is no mishap."""
    decides = (Fault.CREDENTIALS_REFUSED, Phase.DISCOVERY)
    for phase in (*Phase, None):
        for code in (*FAULT_BY_CODE, 0, -1, None):
            count = RefusalCount(proven=False)
            ending = Ending(FeishuWsError(fault, "x", code=code), phase)
            found = [count.will_wait(ending, at_s) for at_s in (0, 15, 45, 105)]
            is_wrong = (fault, phase) == decides and code in {1000040345, 1000040346}
            assert all(found) is not is_wrong
