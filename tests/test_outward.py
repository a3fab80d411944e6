"""Sends and calls over real sockets to a simulated Feishu: tokens, limits, faults, uploads."""

import asyncio
import json
from dataclasses import replace

import msgspec
import pytest

from feishu_ws.clock import SystemClock
from feishu_ws.config import Settings
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.memory import MemoryJournal
from feishu_ws.outward import Outward
from feishu_ws.secret import Secret
from feishu_ws.simulator.rest import Refused, RestLimits
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings
from feishu_ws.tally import Tally
from feishu_ws.upstream.settings import Credentials
from feishu_ws.wire.native import Code, RpcError
from feishu_ws.wire.outgoing import ApiParams, SendParams


class World:
    """An `Outward` that runs, and the Feishu it talks to."""

    def __init__(self, **limits):
        self.feishu = Simulator(SimulatorSettings())
        self.limits = {"per_chat_per_s": 0, "per_app_per_s": 0, "per_app_per_min": 0} | limits
        self.secret = self.feishu.settings.app_secret
        self.tally = Tally()
        self.seen = []

    async def __aenter__(self):
        await self.feishu.start()
        settings = Settings()
        settings = replace(
            settings,
            app=replace(settings.app, domain=self.feishu.domain),
            openapi=replace(settings.openapi, **self.limits),
        )
        clock = SystemClock()
        self.outward = Outward(
            settings,
            MemoryJournal(JournalSettings(), clock=clock),
            lambda: Credentials(self.feishu.settings.app_id, Secret(self.secret)),
            clock=clock,
            tally=self.tally,
            observe=self.seen.append,
        )
        self.running = asyncio.create_task(self.outward.run(lambda: 2, lambda: None))
        return self

    async def __aexit__(self, *_):
        self.running.cancel()
        await self.outward.stop(0.2)
        await self.outward.close()
        await self.feishu.stop()

    async def send(self, to="oc_1", text="hi", **more):
        content = msgspec.Raw(json.dumps({"text": text}).encode())
        return await self.outward.office.send(SendParams("text", content, "chat_id", to, **more))

    async def api(self, method, path, **more):
        return await self.outward.office.api(ApiParams(method, path, **more))

    @property
    def texts(self):
        return [json.loads(each.content)["text"] for each in self.feishu.rest.messages]


async def test_message():
    """A message arrives as it was given, under one token."""
    async with World() as world:
        for number in range(3):
            await world.send(text=str(number))
        assert world.texts == ["0", "1", "2"]
        first = world.feishu.rest.messages[0]
        assert (first.to, first.msg_type, len(first.uuid)) == ("oc_1", "text", 32)
        assert world.feishu.rest.tokens_given == 1


async def test_reply():
    """A reply goes to the message it answers."""
    async with World() as world:
        content = msgspec.Raw(b'{"text":"hi"}')
        await world.outward.office.send(SendParams("text", content, reply_to="om_1"))
        (message,) = world.feishu.rest.messages
        assert (message.to, message.is_reply) == ("om_1", True)


async def test_token_that_is_not_taken_any_more():
    """A token that Feishu forgot is renewed once, whoever finds out, and nothing fails."""
    async with World() as world:
        await world.send()
        world.feishu.rest.forget_tokens()
        await asyncio.gather(*(world.send(f"oc_{number}") for number in range(20)))
        assert len(world.feishu.rest.messages) == 21
        assert world.feishu.rest.tokens_given == 2


async def test_wrong_secret():
    """Wrong credentials are told as such."""
    async with World() as world:
        world.secret = "wrong"
        with pytest.raises(RpcError) as caught:
            await world.send()
        assert caught.value.data["fault"] == "credentials_refused"
        world.secret = world.feishu.settings.app_secret
        world.outward.renew_credentials()
        assert await world.send()


@pytest.mark.parametrize(
    "trouble",
    [
        Refused(status=502),
        Refused(is_dropped=True),
        Refused(obeys=True, is_dropped=True),
        Refused(obeys=True, status=500),
    ],
)
async def test_never_two(trouble):
    """Whether or not Feishu obeyed before it failed, the message is there once."""
    async with World() as world:
        world.feishu.rest.answer.set(trouble, times=2)
        sent = await world.send(uuid="u-1", durable=True)
        assert [each.message_id for each in world.feishu.rest.messages] == [sent["message_id"]]


async def test_limits_of_feishu():
    """Where Feishu's limits are tighter than ours, nothing is lost, doubled or out of order."""
    async with World() as world:
        world.feishu.rest.limits = RestLimits(per_chat_per_s=3)
        await asyncio.gather(*(world.send(text=str(number)) for number in range(6)))
        assert world.texts == [str(number) for number in range(6)]


async def test_api():
    """Any call goes through, with the token that the caller never sees."""
    async with World() as world:
        result = await world.api("GET", "/open-apis/bot/v3/info")
        assert result["http_status"] == 200
        assert result["body"]["bot"]["open_id"] == "ou_bot"
        assert result["headers"]["x-tt-logid"]
        seen = world.feishu.rest.seen[-1]
        assert seen.headers["authorization"].startswith("Bearer t-")


async def test_api_bytes():
    """What is no JSON comes back as it is."""
    async with World() as world:
        world.feishu.rest.resources["img_1"] = ("a.png", b"\x89PNG\x00\xff")
        path = "/open-apis/im/v1/messages/om_1/resources/img_1"
        result = await world.api("GET", path, query={"type": "image"})
        assert result["body_base64"] == b"\x89PNG\x00\xff"
        assert "a.png" in result["headers"]["content-disposition"]
        assert world.feishu.rest.seen[-1].query == "type=image"


async def test_api_refusal_is_an_answer():
    """What Feishu refuses comes back as it is: the caller judges."""
    async with World() as world:
        result = await world.api("GET", "/open-apis/im/v1/messages/om_no")
        assert (result["http_status"], result["body"]["code"]) == (400, 230011)


async def test_api_without_answer():
    """Where no answer comes the caller is told the fault; it is not asked twice."""
    async with World() as world:
        await world.api("GET", "/open-apis/bot/v3/info")
        world.feishu.rest.answer.set(Refused(is_dropped=True))
        before = len(world.feishu.rest.seen)
        with pytest.raises(RpcError) as caught:
            await world.api("POST", "/open-apis/x")
        assert caught.value.code == Code.INTERNAL_ERROR
        assert caught.value.data["fault"] == "api_failed"
        assert len(world.feishu.rest.seen) == before + 1


async def test_counted():
    """Requests are counted by route and result."""
    async with World() as world:
        await world.send()
        assert world.tally.api_requests["im/v1/messages", "ok"] == 1
        assert world.tally.api_requests["auth/v3/tenant_access_token/internal", "ok"] == 1
        assert sum(world.tally.api_request_duration["im/v1/messages"].counts) == 1
        assert world.tally.token_expiry_s > 0
