"""Where the socket is, whom it lets in, and how it ends."""

import asyncio
import contextlib
import grp
import os
import pwd
import socket
import stat
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
import uvloop
from downstream.rig import held, turns
from downstream.served import RefusedError, Served, raw_socket
from support import eventually

from feishu_ws.downstream import native as native_module
from feishu_ws.downstream.native import MAX_CLIENTS
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import ClientRefused, ConsumerDisconnected
from feishu_ws.wire.native import Code

NOBODY = pwd.getpwnam("nobody").pw_uid


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def listening(path):
    """Return a socket that listens at `path`, as the service manager passes one."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    return listener


async def fault_of(served):
    """Start, and return the fault it failed with and what it said."""
    with pytest.raises(FeishuWsError) as caught:
        await served.native.start()
    return caught.value.fault, caught.value.detail


class TestFile:
    """The socket's file."""

    @pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
    async def test_it_has_the_mode_that_was_asked_for(self, tmp_path, mode):
        """Whatever the umask is; and the umask is what it was before."""
        before = os.umask(0o027)
        try:
            async with Served(tmp_path / "s", socket_settings={"mode": mode}):
                assert mode_of(tmp_path / "s") == mode
            assert os.umask(0o027) == 0o027
        finally:
            os.umask(before)

    async def test_a_missing_directory_is_made_so_that_others_can_reach_the_socket(self, tmp_path):
        """The daemon's own umask is for its own files; the socket's mode says who may connect."""
        before = os.umask(0o077)
        try:
            async with Served(tmp_path / "run" / "s", socket_settings={"mode": 0o660}) as served:
                assert await (await served.client()).call("ping") == "pong"
        finally:
            os.umask(before)

        assert mode_of(tmp_path / "run") == 0o755

    async def test_an_existing_directory_is_left_alone(self, tmp_path):
        """Its mode is the operator's."""
        (tmp_path / "run").mkdir(mode=0o710)
        async with Served(tmp_path / "run" / "s"):
            assert mode_of(tmp_path / "run") == 0o710

    async def test_it_has_the_group_that_was_asked_for(self, tmp_path):
        """A group of this machine, by name."""
        group = grp.getgrgid(os.getgid())
        async with Served(tmp_path / "s", socket_settings={"group": group.gr_name}):
            assert (tmp_path / "s").stat().st_gid == group.gr_gid

    async def test_an_unknown_group_is_named(self, tmp_path):
        """Nothing listens then."""
        served = Served(tmp_path / "s", socket_settings={"group": "no-such-group"})

        fault, detail = await fault_of(served)

        assert (fault, "no-such-group" in detail) == (Fault.SOCKET_FAILED, True)

    async def test_it_is_gone_after_a_stop(self, tmp_path):
        """A file nobody listens on would only mislead."""
        async with Served(tmp_path / "s"):
            pass

        assert not (tmp_path / "s").exists()

    async def test_what_a_crash_left_over_is_replaced(self, tmp_path):
        """A socket file that nobody listens on is removed."""
        listening(tmp_path / "s").close()
        async with Served(tmp_path / "s") as served:
            assert await (await served.client()).call("ping") == "pong"

    async def test_a_live_one_is_not_touched(self, tmp_path):
        """`socket_in_use` names the process, and the other goes on being served."""
        async with Served(tmp_path / "s") as served:
            fault, detail = await asyncio.to_thread(self.start_in_a_loop_of_its_own, tmp_path / "s")

            assert fault is Fault.SOCKET_IN_USE
            assert f"process {os.getpid()} listens on {tmp_path / 's'}" in detail
            assert await (await served.client()).call("ping") == "pong"

    def start_in_a_loop_of_its_own(self, path):
        async def start():
            return await fault_of(Served(path))

        return asyncio.run(start())

    async def test_one_too_busy_to_accept_is_in_use(self, tmp_path):
        """A full backlog is no sign of a crash."""
        with contextlib.closing(listening(tmp_path / "s")) as busy, contextlib.ExitStack() as stack:
            busy.listen(0)
            for _ in range(2):
                with contextlib.suppress(BlockingIOError):
                    client = stack.enter_context(socket.socket(socket.AF_UNIX))
                    client.settimeout(0)
                    client.connect(str(tmp_path / "s"))
            fault, _ = await fault_of(Served(tmp_path / "s"))

        assert fault is Fault.SOCKET_IN_USE

    @pytest.mark.parametrize("kind", ["file", "directory", "datagram"])
    async def test_what_is_no_such_socket_is_not_touched(self, tmp_path, kind):
        """Something else at that path is refused and stays."""
        path = tmp_path / "s"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            if kind == "file":
                path.write_text("precious")
            elif kind == "directory":
                path.mkdir()
            else:
                other.bind(str(path))
            fault, detail = await fault_of(Served(path))

        assert (fault, str(path) in detail, path.exists()) == (Fault.SOCKET_FAILED, True, True)

    async def test_a_path_that_is_too_long_says_so(self, tmp_path):
        """A socket's path is limited by the system; the error names the path and the reason."""
        path = tmp_path / ("x" * 120)
        fault, detail = await fault_of(Served(path))

        assert (fault, "too long" in detail) == (Fault.SOCKET_FAILED, True)


class TestPassed:
    """A socket of the service manager."""

    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    def test_it_is_adopted_and_never_unlinked(self, tmp_path, loop):
        """Clients are served on it, and its file is there after the stop."""
        path = tmp_path / "passed"

        async def scenario():
            async with Served(path, passed=listening(path)) as served:
                return await (await served.client()).call("ping")

        factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            answer = runner.run(scenario())

        assert (answer, stat.S_ISSOCK(path.stat().st_mode)) == ("pong", True)

    @pytest.mark.parametrize("kind", ["file", "abstract", "relative"])
    async def test_it_is_where_it_was_bound(self, tmp_path, monkeypatch, kind):
        """The path that is told is its own, and not the one of the configuration."""
        monkeypatch.chdir(tmp_path)
        name = f"feishu-ws-{tmp_path.name}"
        path = {"file": str(tmp_path / "passed"), "abstract": f"\0{name}", "relative": "here"}[kind]
        async with Served(tmp_path / "configured", passed=listening(path)) as served:
            told = served.native.path

        assert told == {"file": path, "abstract": f"@{name}", "relative": "here"}[kind]


CALLER = textwrap.dedent(
    """
    import os, socket, sys
    os.setgid(65534)
    os.setuid(int(sys.argv[2]))
    client = socket.socket(socket.AF_UNIX)
    client.connect(sys.argv[1])
    try:
        client.sendall(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\\n')
        print(client.recv(1000).decode())
    except ConnectionError as error:
        print(type(error).__name__)
    """
)


async def call_as(uid, path):
    """Ping from a process of another user; return what it got."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", CALLER, str(path), str(uid),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    return said.decode().strip()


@pytest.fixture
def reachable():
    """A path that every user may reach; the test's own directory is for its owner."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory) / "s"


class TestUsers:
    """Who may come in."""

    async def test_without_a_list_the_file_decides(self, reachable):
        """Everybody who can open the socket is served."""
        async with Served(reachable, socket_settings={"mode": 0o666}):
            assert "pong" in await call_as(NOBODY, reachable)

    @pytest.mark.parametrize("allowed", ["nobody", str(NOBODY)])
    async def test_a_user_on_the_list_is_served(self, reachable, allowed):
        """By name or by number."""
        settings = {"mode": 0o666, "allow_users": (allowed,)}
        async with Served(reachable, socket_settings=settings):
            assert "pong" in await call_as(NOBODY, reachable)

    async def test_another_user_is_closed_at_once(self, reachable):
        """Counted, told with its uid; root and the daemon's own user are always served."""
        settings = {"mode": 0o666, "allow_users": ("nobody",)}
        async with Served(reachable, socket_settings=settings) as served:
            said = await call_as(4_000_000_000, reachable)

            assert "pong" not in said
            assert ClientRefused("uid", 4_000_000_000) in served.world.happenings
            assert await (await served.client()).call("ping") == "pong"
            assert len(served.sessions) == 1

    @pytest.mark.parametrize("user", ["no-such-user", "²", "-1"])
    async def test_an_unknown_user_is_named(self, tmp_path, user):
        """A misspelt name must not silently shut somebody out."""
        fault, detail = await fault_of(
            Served(tmp_path / "s", socket_settings={"allow_users": (user,)})
        )

        assert (fault, user in detail) == (Fault.CONFIG_INVALID, True)
        assert not (tmp_path / "s").exists()

    async def test_in_a_mapped_user_namespace_it_cannot_work(self, tmp_path, monkeypatch):
        """Peers would all look alike there: `peer_hidden`, and nothing listens."""
        monkeypatch.setattr(native_module, "are_uids_mapped", lambda: True)
        fault, _ = await fault_of(
            Served(tmp_path / "s", socket_settings={"allow_users": ("nobody",)})
        )

        assert (fault, (tmp_path / "s").exists()) == (Fault.PEER_HIDDEN, False)


class TestCrowd:
    """At most 64 clients."""

    async def test_the_65th_is_told_and_closed(self, served):
        """It learns why; a place that becomes free is given away."""
        clients = [await served.client() for _ in range(MAX_CLIENTS)]
        for client in clients:
            await client.call("ping")
        surplus = await served.client()
        (told,) = await surplus.rest()
        await clients[0].close()
        await eventually(lambda: len(served.sessions) < MAX_CLIENTS)
        late = await served.client()

        assert (told["id"], told["error"]["code"]) == (None, Code.FULL)
        assert ClientRefused("full", os.getuid()) in served.world.happenings
        assert await late.call("ping") == "pong"

    async def test_connecting_and_leaving_for_ever_leaves_nothing(self, served):
        """Neither sessions, seats nor tasks remain of clients that came and went."""
        for number in range(150):
            with raw_socket(served.path) as client:
                if number % 3:
                    client.send(b'{"jsonrpc":"2.0","id":1,"method":"hello","params":')
                if number % 3 == 2:
                    client.send(b'{"consumer":"tap","durable":false}}\n')
            await turns()
        await eventually(lambda: not served.sessions)
        await turns()

        assert served.world.dispatcher.seats.taps == set()
        assert len(asyncio.all_tasks()) < 5


class TestStop:
    """The end of the daemon."""

    async def test_everybody_gets_a_bye_and_may_settle(self, tmp_path):
        """Consumers and guests read `shutdown` and the end; settles are taken until then."""
        async with Served(tmp_path / "s") as served:
            early = await served.client()
            await early.close()
            client, guest = await served.consumer(), await served.client()
            await guest.call("ping")
            await eventually(lambda: len(served.sessions) == 2)
            await served.world.fill(2)
            await client.events(2)
            stopping = asyncio.ensure_future(served.native.stop(1.0))
            byes = [(await c.rest())[-1]["params"] for c in (client, guest)]
            assert not stopping.done()
            client.notify("settle", positions=[1, 2])
            guest.notify("hello", consumer="sneaky")
            await client.close()
            await guest.close()
            began = asyncio.get_running_loop().time()
            await stopping
            took_s = asyncio.get_running_loop().time() - began

        assert byes == [{"reason": "shutdown"}] * 2
        assert served.world.of(ConsumerDisconnected) == [ConsumerDisconnected("bot", "shutdown", 2)]
        assert served.world.record().cursor == 2
        assert "sneaky" not in served.world.journal.consumers()
        assert took_s < 0.8

    async def test_who_does_not_leave_is_not_waited_for(self, tmp_path):
        """After the settle time everybody is closed."""
        async with Served(tmp_path / "s") as served:
            for name in ("a", "b"):
                await served.consumer(name)
            await served.native.stop(0.1)
            await turns()

            assert not served.sessions

    async def test_nobody_comes_in_any_more(self, tmp_path):
        """Neither by a new connection nor by a hello on an old one."""
        async with Served(tmp_path / "s") as served:
            client = await served.client()
            with held(served.world.journal):
                client.ask("hello", consumer="bot")
                await turns()
                stopping = asyncio.ensure_future(served.native.stop(0.2))
                await turns()
            with pytest.raises(OSError):
                await served.client()
            await stopping

            assert served.world.dispatcher.connected() == 0

    async def test_who_is_just_being_let_in_does_not_stay(self, tmp_path):
        """A client accepted just before the stop, and made known after it, is closed at once."""
        async with Served(tmp_path / "s") as served:
            await served.native.stop(0.05)
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            with theirs:
                theirs.settimeout(0)
                loop = asyncio.get_running_loop()
                await loop.connect_accepted_socket(served.native._session, ours)
                end = await asyncio.wait_for(loop.sock_recv(theirs, 1000), 2)

            assert (end, served.sessions) == (b"", set())

    async def test_without_clients_it_takes_no_time(self, tmp_path):
        """Nobody has to be waited for."""
        served = Served(tmp_path / "s")
        await served.native.start()
        began = asyncio.get_running_loop().time()
        await served.native.stop(1.0)

        assert asyncio.get_running_loop().time() - began < 0.5

    async def test_a_stop_before_the_start_does_nothing(self, tmp_path):
        """A start that failed is followed by a stop."""
        (tmp_path / "s").write_text("not ours")
        served = Served(tmp_path / "s")
        await served.native.stop(0.1)

        assert (tmp_path / "s").read_text() == "not ours"


def test_it_works_the_same_on_uvloop(tmp_path):
    """Deliveries, settles, flow control, half-closes and byes on the loop the daemon runs on."""

    async def scenario():
        async with Served(tmp_path / "s") as served:
            await served.world.fill(200, size=100_000)
            client = await served.consumer(start="earliest", window=500)
            got = []
            while len(got) < 200:
                got += await client.events(1)
                if len(got) == 50:
                    await asyncio.sleep(0.05)  # let it fill up
            answer = await client.call("settle", positions=got)
            second = await served.consumer()
            byes = [m["params"]["reason"] for m in await client.rest()]
            asked = second.ask("status")
            second.writer.write_eof()
            status = await second.answer(asked)
            bad = await served.client()
            bad.write(b"rubbish\n")
            bad_end = (await bad.rest())[-1]["params"]
            flooder = await served.client()
            flooder.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n' * 3000)
            pongs = [(await flooder.line())["result"] for _ in range(3000)]
            with pytest.raises(RefusedError):
                await flooder.call("nonsense")
            return got, answer, byes, status, bad_end, set(pongs), served.world.record().cursor

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(scenario())

    assert result == (
        list(range(1, 201)), {}, ["superseded"], {"ready": True},
        {"reason": "protocol"}, {"pong"}, 200,
    )  # fmt: skip
