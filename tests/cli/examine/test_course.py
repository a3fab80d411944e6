"""The round through all steps, and when a link of our own may be opened."""

import asyncio
import fcntl
import socket
import time

import pytest
from client.fake_daemon import FakeDaemon

from feishu_ws.cli.examine import course, journal, tcp
from feishu_ws.cli.examine.configured import configure
from feishu_ws.cli.examine.course import Course, aside
from feishu_ws.cli.examine.finding import State, Step
from feishu_ws.faults import Fault
from feishu_ws.simulator.server import Simulator

STATUS = {
    "version": "0.1.0",
    "app_id": "cli_a1b2c3d4e5f60718",
    "now_ms": 2_000,
    "started_ms": 1_000,
    "links": [{"link": 0, "state": "connected", "since_ms": 1_500}],
    "links_wanted": 1,
}
ELSEWHERE = "https://192.0.2.1"  # TEST-NET-1: nobody


@pytest.fixture
async def feishu():
    async with Simulator() as running:
        yield running


class Asked:
    """Somebody who may consent, and who counts how often that was asked."""

    def __init__(self, *, says=True):
        self.says = says
        self.times = 0

    def __call__(self):
        self.times += 1
        return self.says


async def go(directory, domain, consent, **keys):
    """Make a round; return the findings by step, in order."""
    env = {
        "FEISHU_WS_APP__ID": STATUS["app_id"],
        "FEISHU_WS_APP__SECRET": "simulated-secret",
        "FEISHU_WS_APP__DOMAIN": domain,
        "FEISHU_WS_JOURNAL__PATH": str(directory / "journal.db"),
        "FEISHU_WS_SOCKET__PATH": str(directory / "e.sock"),
        "FEISHU_WS_TELEMETRY__LISTEN": "",
        **{f"FEISHU_WS_{key}".upper(): value for key, value in keys.items()},
    }
    began = []
    configured = configure(None, env)
    path = configured.settings.socket.path
    rounds = Course(configured, path, env, began=began.append, consent=consent)
    results = [result async for result in rounds.run()]
    assert set(began) <= set(Step)
    return {result.step: result.finding for result in results}


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No configuration lies around, and no other daemon is asked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("feishu_ws.config.draft.SYSTEM_FILE", str(tmp_path / "none.toml"))
    monkeypatch.setattr(course, "find_neighbours", list)


async def go_blank(directory, **told):
    """Make a round beside a daemon from a shell without any of our settings."""
    async with FakeDaemon(directory / "e.sock") as daemon:
        daemon.status = STATUS | told
        blank = configure(None, {})
        path = str(directory / "e.sock")
        rounds = Course(blank, path, {}, began=lambda _: None, consent=Asked())
        return {result.step: result.finding async for result in rounds.run()}


async def test_a_shell_without_settings_goes_the_daemons_way(tmp_path, feishu):
    """Its domain, not the default one; what needs the secret is left to the daemon."""
    found = await go_blank(tmp_path, domain=feishu.domain, proxy="")
    assert [found[step].state for step in (Step.DNS, Step.TCP)] == [State.OK] * 2
    assert feishu.domain.rpartition("/")[2] in found[Step.TCP].seen
    assert found[Step.DISCOVERY].seen == "app id and secret are the daemon's alone"
    assert found[Step.HTTP].state is not State.WARN
    assert State.FAIL not in {each.state for each in found.values()}


@pytest.mark.parametrize(
    ("told", "seen"),
    [
        ({}, "the daemon does not say whom it asks"),
        (
            {"domain": ELSEWHERE, "proxy": "http://p:3128"},
            "the daemon's own way, through its proxy http://p:3128",
        ),
    ],
    ids=["an older daemon", "through a proxy"],
)
async def test_a_way_that_only_the_daemon_knows(tmp_path, told, seen):
    """Nothing is probed that would say nothing of the daemon's links."""
    found = await go_blank(tmp_path, **told)
    steps = [Step.DNS, Step.TCP, Step.PROXY, Step.TLS]
    assert {(found[step].state, found[step].seen) for step in steps} == {(State.SKIP, seen)}


async def test_what_waits_for_a_restart_explains_what_differs(tmp_path, feishu):
    """The file is the daemon's own, and newer than the daemon."""
    async with FakeDaemon(tmp_path / "e.sock") as daemon:
        daemon.status = STATUS | {"needs_restart": ["telemetry.listen"], "domain": feishu.domain}
        free = f"unix:{tmp_path}/t.sock"
        found = await go(tmp_path, feishu.domain, Asked(), telemetry__listen=free)
    assert found[Step.HTTP].state is State.WARN
    assert found[Step.HTTP].advice.startswith("restart the daemon")
    assert "telemetry.listen changed" in found[Step.DAEMON].seen


async def test_a_daemon_that_asks_another_feishu(tmp_path, feishu):
    """Then this is not its configuration."""
    async with FakeDaemon(tmp_path / "e.sock") as daemon:
        daemon.status = STATUS | {"domain": ELSEWHERE}
        found = await go(tmp_path, feishu.domain, Asked())
    assert found[Step.CONFIG].state is State.WARN
    assert f"the daemon asks {ELSEWHERE}" in found[Step.CONFIG].seen


async def test_every_step_once_in_order(tmp_path, feishu):
    """As the report has them, whatever was looked at first."""
    found = await go(tmp_path, feishu.domain, Asked(says=False))
    assert list(found) == list(Step)
    assert {step for step, each in found.items() if each.state is State.FAIL} == set()


@pytest.mark.parametrize(("says", "links"), [(False, 0), (True, 1)])
async def test_alone_somebody_has_to_consent(tmp_path, feishu, says, links):
    """Otherwise only the way to the gateway is looked at."""
    consent = Asked(says=says)
    found = await go(tmp_path, feishu.domain, consent)
    assert (consent.times, feishu.stats.links_opened) == (1, links)
    assert found[Step.LINK].state is State.OK


async def test_beside_a_daemon_nobody_is_asked(tmp_path, feishu):
    """Its own links are told; journal and consumers too."""
    consent = Asked()
    async with FakeDaemon(tmp_path / "e.sock") as daemon:
        daemon.status = STATUS
        found = await go(tmp_path, feishu.domain, consent)

    assert (consent.times, feishu.stats.links_opened) == (0, 0)
    assert found[Step.LINK].seen.startswith("1 of 1 live")
    assert found[Step.CONSUMERS].state is State.WARN
    assert not (tmp_path / "journal.db.lock").exists()


async def test_an_owned_journal_is_a_daemon(tmp_path, feishu):
    """Wherever that listens."""
    consent = Asked()
    with (tmp_path / "journal.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = await go(tmp_path, feishu.domain, consent)

    assert consent.times == 0
    assert found[Step.LINK].state is State.SKIP
    assert found[Step.JOURNAL].fault is Fault.JOURNAL_LOCKED


async def test_whoever_listens_may_be_a_daemon(tmp_path, feishu, monkeypatch):
    """Also one that does not answer."""
    monkeypatch.setattr("feishu_ws.cli.examine.sockets.DEADLINE_S", 0.2)
    consent = Asked()

    async def hang(reader, writer):
        await reader.read()
        writer.transport.abort()

    async with await asyncio.start_unix_server(hang, tmp_path / "e.sock"):
        found = await go(tmp_path, feishu.domain, consent)
        await asyncio.sleep(0.05)  # its ends of the connections close

    assert consent.times == 0
    assert found[Step.LINK].state is State.SKIP
    assert found[Step.SOCKET].fault is Fault.SOCKET_IN_USE


async def test_a_daemon_that_hangs(tmp_path, feishu, monkeypatch):
    """It owns the journal and listens: that it hangs is the fault, not that it owns."""
    monkeypatch.setattr("feishu_ws.cli.examine.sockets.DEADLINE_S", 0.2)
    with (tmp_path / "journal.db.lock").open("w") as lock, socket.socket(socket.AF_UNIX) as hung:
        fcntl.flock(lock, fcntl.LOCK_EX)
        hung.bind(str(tmp_path / "e.sock"))
        hung.listen()
        with socket.create_server(("127.0.0.1", 0)) as page:
            listen = f"127.0.0.1:{page.getsockname()[1]}"
            found = await go(tmp_path, feishu.domain, Asked(), telemetry__listen=listen)
    assert found[Step.JOURNAL].state is State.SKIP
    assert found[Step.SOCKET].fault is Fault.DAEMON_UNREACHABLE
    assert found[Step.HTTP].state is State.SKIP, "the port is the daemon's own"


async def test_feishus_clock_counts_also_when_it_refuses(tmp_path, feishu):
    """It comes with whatever discovery answers."""
    feishu.refuse_discovery(403)
    feishu.door.date_offset_s = 600
    found = await go(tmp_path, feishu.domain, Asked())
    assert found[Step.CLOCK].fault is Fault.CLOCK_STEPPED
    assert "Feishu's clock" in found[Step.CLOCK].seen


async def test_a_refusal_of_discovery_ends_it(tmp_path, feishu):
    """Without a URL there is nothing to open."""
    feishu.refuse_discovery(403)
    consent = Asked()
    found = await go(tmp_path, feishu.domain, consent)
    assert consent.times == 0
    assert found[Step.DISCOVERY].fault is Fault.ACCESS_REFUSED
    assert found[Step.LINK].seen == "discovery failed"


async def test_a_missing_secret_stops_discovery_alone(tmp_path, feishu):
    """The way there is looked at all the same."""
    found = await go(tmp_path, feishu.domain, Asked(), app__secret="")
    assert found[Step.CONFIG].fault is Fault.CONFIG_INVALID
    assert found[Step.TCP].state is State.OK
    assert found[Step.DISCOVERY].seen == "app.secret is not valid"
    assert found[Step.LINK].seen == "discovery was skipped"


async def test_wrong_places_stop_what_lies_there(tmp_path, feishu):
    """Journal, socket and telemetry are each skipped for their own key."""
    found = await go(
        tmp_path,
        feishu.domain,
        Asked(says=False),
        journal__path="\0",
        socket__path="\0",
        telemetry__listen="nowhere",
    )
    told = [found[step].seen for step in (Step.JOURNAL, Step.SOCKET, Step.HTTP)]
    assert told == [
        "journal.path is not valid",
        "socket.path is not valid",
        "telemetry.listen is not valid",
    ]


@pytest.mark.parametrize(
    ("domain", "app_id", "is_adopted"),
    [
        (ELSEWHERE, STATUS["app_id"], True),
        (ELSEWHERE, "cli_another", False),
        ("http://127.0.0.1:9", STATUS["app_id"], False),
    ],
    ids=["same app", "another app", "simulators"],
)
async def test_a_daemon_of_this_app_elsewhere(tmp_path, monkeypatch, domain, app_id, is_adopted):
    """It is the one meant, unless Feishu is a simulator, whose app ids are everybody's."""
    monkeypatch.setattr(tcp, "DEADLINE_S", 0.05)
    other = tmp_path / "events.sock"
    monkeypatch.setattr(course, "find_neighbours", lambda: [str(other)])
    async with FakeDaemon(other) as daemon:
        daemon.status = STATUS | {"app_id": app_id}
        found = await go(tmp_path, domain, Asked())
    assert found[Step.LINK].seen.startswith("1 of 1 live") is is_adopted


async def test_a_daemon_elsewhere_that_does_not_say_whose_it_is(tmp_path, monkeypatch, feishu):
    """It may be of this app: no link is opened."""
    monkeypatch.setattr(course, "is_loopback", lambda _: False)
    monkeypatch.setattr("feishu_ws.cli.examine.sockets.DEADLINE_S", 0.2)
    other = tmp_path / "events.sock"
    monkeypatch.setattr(course, "find_neighbours", lambda: [str(other)])
    consent = Asked()
    async with FakeDaemon(other) as daemon:
        daemon.status = "no"
        found = await go(tmp_path, feishu.domain, consent)
    assert consent.times == 0
    assert str(other) in found[Step.LINK].seen


async def test_a_disk_that_hangs(tmp_path, monkeypatch, feishu):
    """It ends at its deadline, and its thread is left behind."""
    monkeypatch.setattr(journal, "DEADLINE_S", 0.1)
    monkeypatch.setattr(journal, "look", lambda _: time.sleep(1))
    found = await go(tmp_path, feishu.domain, Asked(says=False))
    assert found[Step.JOURNAL].fault is Fault.JOURNAL_SLOW
    await asyncio.sleep(1)  # what it finds in the end is dropped


async def test_what_a_thread_raises_is_raised():
    """Errors of the system come through."""

    def fail():
        raise FileNotFoundError("gone")

    with pytest.raises(FileNotFoundError, match="gone"):
        await aside(fail)
