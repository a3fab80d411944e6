"""`send` and `api` on the native socket: no hello, many at once, nobody kept from settling."""

import asyncio

import pytest
from downstream.served import RefusedError, Served

from feishu_ws.wire.native import Code, RpcError

MESSAGE = {"receive_id_type": "chat_id", "receive_id": "oc_1", "msg_type": "text", "content": {}}


class Office:
    """Answers when told to."""

    def __init__(self):
        self.open = asyncio.Event()
        self.sent = []

    async def send(self, params):
        self.sent.append(params)
        await self.open.wait()
        if params.receive_id == "oc_no":
            raise RpcError(Code.FEISHU_REFUSED, "no", {"code": 1, "msg": "no", "log_id": ""})
        return {"message_id": f"om_{len(self.sent)}"}

    async def api(self, params):
        return {"http_status": 200, "headers": {}, "body": {"path": params.path}}


async def test_api_without_hello(tmp_path):
    """A call needs no hello, and its answer comes back."""
    async with Served(tmp_path / "s", office=Office()) as served:
        client = await served.client()
        result = await client.call("api", method="GET", path="/open-apis/x")
        assert result["body"] == {"path": "/open-apis/x"}


async def test_bad_params(tmp_path):
    """What is wrong with the params is told; the connection stays."""
    async with Served(tmp_path / "s", office=Office()) as served:
        client = await served.client()
        with pytest.raises(RefusedError) as caught:
            await client.call("api", method=7)
        assert caught.value.code == Code.INVALID_PARAMS
        assert await client.call("ping") == "pong"


async def test_a_refusal_of_feishu(tmp_path):
    """Feishu's refusal comes with its code."""
    office = Office()
    office.open.set()
    async with Served(tmp_path / "s", office=office) as served:
        client = await served.client()
        with pytest.raises(RefusedError) as caught:
            await client.call("send", **MESSAGE | {"receive_id": "oc_no"})
        assert caught.value.code == Code.FEISHU_REFUSED
        assert caught.value.error["data"]["code"] == 1


async def test_sends_keep_nobody_from_settling(tmp_path):
    """A client whose 500 messages wait for Feishu is read and answered all the same."""
    office = Office()
    async with Served(tmp_path / "s", office=office) as served:
        client = await served.client()
        asked = [client.ask("send", **MESSAGE) for _ in range(500)]
        assert await client.call("ping") == "pong"
        assert len(office.sent) == 500
        office.open.set()
        for each in asked:
            assert "message_id" in await client.answer(each)


async def test_client_leaves(tmp_path):
    """A message whose sender leaves is sent all the same."""
    office = Office()
    async with Served(tmp_path / "s", office=office) as served:
        client = await served.client()
        client.ask("send", **MESSAGE)
        await client.call("ping")
        client.writer.transport.abort()
        await asyncio.sleep(0.05)
        office.open.set()
        await asyncio.sleep(0.05)
        assert len(office.sent) == 1
        again = await served.client()
        assert await again.call("ping") == "pong"


async def test_a_daemon_without_an_office(tmp_path):
    """Where nothing is said to Feishu there are no such methods."""
    async with Served(tmp_path / "s") as served:
        client = await served.client()
        with pytest.raises(RefusedError) as caught:
            await client.call("send", **MESSAGE)
        assert caught.value.code == Code.METHOD_NOT_FOUND
