"""The admin methods on the socket: who may call which, and what becomes of an order."""

import asyncio
import gc
import json
import os
import sys
import tempfile
from pathlib import Path

import pytest
from downstream.served import RefusedError, Served
from support import eventually

from feishu_ws.downstream.admin import Admin
from feishu_ws.downstream.desk import _FOR_ALL, _FOR_FEW
from feishu_ws.downstream.peers import Authority
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import ClientRefused
from feishu_ws.wire.native import Code, RpcError

CALLS = {
    "consumers.list": {},
    "consumers.seek": {"consumer": "bot", "from": 7, "skip": True},
    "consumers.forget": {"consumer": "bot"},
    "dead.list": {"consumer": "bot", "after": 3, "limit": 5},
    "dead.show": {"position": 4},
    "dead.retry": {"positions": [4, 5], "consumer": "bot"},
    "dead.drop": {"all": True},
    "incidents": {"since_ms": 5, "limit": 7},
}
OPEN = {"consumers.list", "dead.list", "incidents"}
STRANGER = 65534
AS_STRANGER = f"""
import json, os, socket, sys
if os.geteuid() == 0:
    os.setgid({STRANGER})
    os.setuid({STRANGER})
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
for number, (method, params) in enumerate(json.loads(sys.argv[2]).items()):
    call = dict(jsonrpc="2.0", id=number, method=method, params=params)
    client.sendall(json.dumps(call).encode() + b"\\n")
lines = client.makefile()
print(json.dumps([json.loads(lines.readline()) for _ in json.loads(sys.argv[2])]))
"""


class FakeAdmin(Admin):
    """Notes what it is asked; answers with that, or as a test says.

    Attributes:
        orders: (method, params, whether content may be shown) in order.
        gate: Orders wait until it is set.
        error: Raised instead of an answer.
    """

    def __init__(self):
        self.orders = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error = None

    async def _obey(self, method, params=None, content=None):
        self.orders.append((method, params, content))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return {"obeyed": method}

    async def consumers_list(self):
        return await self._obey("consumers.list")

    async def seek(self, params):
        return await self._obey("consumers.seek", params)

    async def forget(self, params):
        return await self._obey("consumers.forget", params)

    async def dead_list(self, params, *, with_content=False):
        return await self._obey("dead.list", params, with_content)

    async def dead_show(self, params):
        return await self._obey("dead.show", params)

    async def dead_retry(self, params):
        return await self._obey("dead.retry", params)

    async def dead_drop(self, params):
        return await self._obey("dead.drop", params)

    async def incidents(self, params):
        return await self._obey("incidents", params)


@pytest.fixture
async def admin():
    return FakeAdmin()


@pytest.fixture
async def served(tmp_path, admin):
    """A socket whose owner we are."""
    async with Served(tmp_path / "s", admin=admin) as one:
        yield one


@pytest.fixture
async def strange(admin):
    """A socket open to all, whose owner is root's: we are a stranger to it unless we are root."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        settings, authority = {"mode": 0o666}, Authority(os.geteuid() or 990)
        if os.geteuid() != 0:  # we cannot become another user, so another user is the owner
            authority = Authority(os.geteuid() + 1)
        async with Served(
            Path(directory) / "s", admin=admin, authority=authority, socket_settings=settings
        ) as one:
            yield one


async def ask_as_stranger(path, calls):
    """Return the answers that a process of another user gets."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", AS_STRANGER, str(path), json.dumps(calls),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 20)
    return dict(zip(calls, json.loads(said), strict=True))


async def code_of(awaitable):
    """Return the code a request is refused with."""
    with pytest.raises(RefusedError) as caught:
        await awaitable
    return caught.value.code


class TestMethods:
    """What each is given."""

    def test_every_method_is_tried(self):
        """The tests below miss none."""
        assert set(CALLS) == set(_FOR_ALL) | set(_FOR_FEW)
        assert set(_FOR_ALL) == OPEN

    @pytest.mark.parametrize("method", CALLS)
    async def test_it_needs_no_hello_and_is_answered(self, served, admin, method):
        """The result is what the admin returned, the params what was sent."""
        client = await served.client()

        assert await client.call(method, **CALLS[method]) == {"obeyed": method}
        ((asked, params, content),) = admin.orders
        assert asked == method
        assert content is (True if method == "dead.list" else None)
        for name, value in CALLS[method].items():
            assert getattr(params, "since" if name == "from" else name) == value

    @pytest.mark.parametrize(
        ("method", "params"),
        [
            ("consumers.seek", {"consumer": "bot"}),
            ("consumers.seek", {"consumer": "bot", "from": 1.5}),
            ("consumers.forget", {}),
            ("dead.list", {"limit": "many"}),
            ("dead.show", {"position": "4"}),
            ("dead.retry", {"positions": [None]}),
            ("dead.drop", {"all": "yes"}),
        ],
    )
    async def test_nonsense_is_refused_and_the_connection_goes_on(
        self, served, admin, method, params
    ):
        """-32602, and nothing was ordered."""
        client = await served.client()

        assert await code_of(client.call(method, **params)) == Code.INVALID_PARAMS
        assert admin.orders == []
        assert await client.call("ping") == "pong"

    async def test_an_unknown_method_is_still_unknown(self, served):
        """Names that only begin alike are none."""
        client = await served.client()

        assert await code_of(client.call("dead.bury")) == Code.METHOD_NOT_FOUND

    async def test_a_refusal_of_the_admin_is_passed_on(self, served, admin):
        """Code and message are its own."""
        client = await served.client()
        admin.error = RpcError(Code.UNKNOWN_POSITION, "no dead letter at 4")

        with pytest.raises(RefusedError) as caught:
            await client.call("dead.show", position=4)

        assert caught.value.error == {"code": -32003, "message": "no dead letter at 4"}

    async def test_a_fault_is_named(self, served, admin):
        """A journal that cannot be read is an internal error, with the word for it."""
        client = await served.client()
        admin.error = FeishuWsError(Fault.JOURNAL_IO, "the disk is gone")

        with pytest.raises(RefusedError) as caught:
            await client.call("consumers.list")

        assert caught.value.error == {
            "code": Code.INTERNAL_ERROR,
            "message": "journal_io: the disk is gone",
            "data": {"fault": "journal_io"},
        }

    async def test_a_defect_is_answered_and_told(self, served, admin):
        """Nobody waits for an answer that never comes, and the traceback is not lost."""
        told = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        client = await served.client()
        admin.error = ZeroDivisionError("oh")

        assert await code_of(client.call("dead.list")) == Code.INTERNAL_ERROR
        await eventually(lambda: gc.collect() >= 0 and told)
        assert await client.call("ping") == "pong"
        assert told[0]["exception"] is admin.error

    async def test_a_notification_is_obeyed_and_not_answered(self, served, admin):
        """As with every method."""
        client = await served.client()
        client.notify("consumers.forget", consumer="bot")
        admin.error = RpcError(Code.CONSUMER_CONFLICT, "no")
        client.notify("consumers.forget", consumer="bot")

        assert await client.quiet() == []
        assert len(admin.orders) == 2


class TestOrder:
    """One after another, to the end."""

    async def test_orders_of_one_client_wait_for_each_other(self, served, admin):
        """The next line is obeyed after the answer; other clients are not held up."""
        client, other = await served.client(), await served.client()
        admin.gate.clear()
        first, second = client.ask("consumers.forget", consumer="a"), client.ask("ping")
        assert await other.call("ping") == "pong"
        await eventually(lambda: len(admin.orders) == 1)
        assert client.kept == []
        admin.gate.set()

        assert [(await client.line())["id"] for _ in range(2)] == [first, second]

    async def test_it_is_done_though_the_client_left(self, served, admin):
        """What was ordered is not called off half-way."""
        client = await served.client()
        admin.gate.clear()
        client.ask("consumers.forget", consumer="a")
        await eventually(lambda: len(admin.orders) == 1)
        await client.close()
        await eventually(lambda: not served.sessions)
        (task,) = (task for task in asyncio.all_tasks() if task.get_name() == "admin")
        admin.gate.set()
        await asyncio.wait([task], timeout=5)

        assert (task.done(), task.cancelled(), task.exception()) == (True, False, None)

    async def test_a_client_that_only_closes_its_side_is_answered(self, served, admin):
        """As from `echo … | socat`."""
        client = await served.client()
        admin.gate.clear()
        client.ask("dead.list")
        client.writer.write_eof()
        await eventually(lambda: len(admin.orders) == 1)
        admin.gate.set()

        assert [line["result"] for line in await client.rest()] == [{"obeyed": "dead.list"}]

    async def test_a_stop_leaves_nothing_under_way(self, tmp_path, admin):
        """An order that hangs does not outlive the socket."""
        admin.gate.clear()
        async with Served(tmp_path / "t", admin=admin) as served:
            client = await served.client()
            client.ask("dead.drop", all=True)
            await eventually(lambda: len(admin.orders) == 1)
        await eventually(lambda: "admin" not in {task.get_name() for task in asyncio.all_tasks()})

    async def test_a_consumer_may_administer_too(self, served, admin):
        """On its own connection, without harm to its deliveries."""
        client = await served.consumer()
        await client.call("dead.list")
        await served.world.publish("a")

        assert (await client.event())["position"] == 1


class TestStranger:
    """Another user, for real where the tests run as root."""

    async def test_it_may_neither_change_nor_see_content(self, strange, admin):
        """-32006 naming its uid and who may; it is served on, and lists come without notes."""
        answers = await ask_as_stranger(strange.path, CALLS)

        uid = STRANGER if os.geteuid() == 0 else os.geteuid()
        own = 990 if os.geteuid() == 0 else os.geteuid() + 1
        for method in CALLS.keys() - OPEN:
            assert answers[method]["error"] == {
                "code": Code.NOT_ALLOWED,
                "message": f"{method}: uid {uid} asked, expected uid 0 or {own}, the daemon's own",
            }
        assert [(method, content) for method, _, content in admin.orders] == [
            ("consumers.list", None),
            ("dead.list", False),
            ("incidents", None),
        ]
        assert strange.world.of(ClientRefused) == [ClientRefused("admin", uid)] * 5

    async def test_a_refusal_comes_before_its_params_are_read(self, strange, admin):
        """Whoever may not ask learns nothing of what would be asked."""
        answers = await ask_as_stranger(strange.path, {"dead.show": {}, "consumers.seek": {}})

        assert {a["error"]["code"] for a in answers.values()} == {Code.NOT_ALLOWED}
        assert admin.orders == []

    async def test_a_uid_that_a_namespace_hides_is_a_stranger(self, tmp_path, admin):
        """Also where the daemon itself looks like it: everybody does."""
        authority = Authority(os.geteuid(), hidden=os.geteuid())
        async with Served(tmp_path / "s", admin=admin, authority=authority) as served:
            client = await served.client()
            code = await code_of(client.call("dead.drop", all=True))

        assert (code, admin.orders) == (Code.NOT_ALLOWED, [])
