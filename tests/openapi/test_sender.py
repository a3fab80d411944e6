"""Sending, from the request to its outcome: order, limits, tries, what is kept."""

import asyncio
import json

import msgspec
import pytest

from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import ApiFaulted, ApiRecovered, SendBuried, SendFailed
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.memory import MemoryJournal
from feishu_ws.model import SendKind
from feishu_ws.openapi.limits import Limits
from feishu_ws.openapi.outbox import Outbox
from feishu_ws.openapi.sender import MAX_BYTES, Sender
from feishu_ws.openapi.trouble import UnsentError
from feishu_ws.tally import Tally
from feishu_ws.wire.answers import Answer
from feishu_ws.wire.native import Code, RpcError
from feishu_ws.wire.outgoing import SendParams

FREE = Limits(0, 0, 0)


def sent(message_id="om_1"):
    return Answer(200, {}, json.dumps({"code": 0, "data": {"message_id": message_id}}).encode())


def code(number, status=400, **headers):
    headers = {k.replace("_", "-"): v for k, v in headers.items()}
    return Answer(status, headers, json.dumps({"code": number, "msg": "words"}).encode())


def params(to="oc_1", text="hi", **more):
    content = msgspec.Raw(json.dumps({"text": text}).encode())
    return SendParams("text", content, "chat_id", to, **more)


class Feishu:
    """Stands for the caller: answers as scripted, else sends; knows every uuid it ever saw."""

    def __init__(self):
        self.answers = []
        self.asked = []
        self.made = {}
        self.gate = asyncio.Event()
        self.gate.set()

    async def call(self, request, *, most):
        del most
        body = json.loads(request.body)
        self.asked.append(body)
        await self.gate.wait()
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, FeishuWsError):
            raise answer
        return answer or sent(self.made.setdefault(body["uuid"], f"om_{len(self.made)}"))


class World:
    def __init__(self, limits=FREE, journal=None, clock=None):
        self.clock = clock or ManualClock()
        self.journal = journal or MemoryJournal(JournalSettings(), clock=self.clock)
        self.feishu = Feishu()
        self.seen = []
        self.tally = Tally()
        self.sender = Sender(
            self.feishu,
            Outbox(self.journal, clock=self.clock),
            limits,
            clock=self.clock,
            tally=self.tally,
            observe=self.seen.append,
            luck=lambda: 1.0,
        )

    async def __aenter__(self):
        self.running = asyncio.create_task(self.sender.run())
        await settle()
        return self

    async def __aexit__(self, *_):
        self.running.cancel()
        await self.sender.stop(0.0)
        await asyncio.wait([self.running])

    def send(self, *args, **more):
        return asyncio.create_task(self.sender.send(params(*args, **more)))

    async def pass_time(self, seconds, step=0.25):
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            await settle()


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


async def refused(task):
    with pytest.raises(RpcError) as caught:
        await task
    return caught.value


async def test_sent():
    """A message comes to Feishu once and its id comes back."""
    async with World() as world:
        assert await world.send() == {"message_id": "om_0"}
        assert len(world.feishu.asked) == 1
        assert world.tally.sends == {"sent": 1}


async def test_every_message_has_a_uuid():
    """A message without a uuid gets one, the same in every try."""
    async with World() as world:
        world.feishu.answers = [code(0, 500)]
        task = world.send()
        await settle()
        await world.pass_time(1)
        await task
        first, second = world.feishu.asked
        assert first == second
        assert len(first["uuid"]) == 32
        await world.send()
        assert world.feishu.asked[2]["uuid"] != first["uuid"]


async def test_order_within_a_chat():
    """Messages to a chat arrive in order, also if the first has to go again."""
    async with World() as world:
        world.feishu.answers = [code(230020)]
        tasks = [world.send(text=str(number)) for number in range(3)]
        await settle()
        assert len(world.feishu.asked) == 1
        await world.pass_time(3)
        await asyncio.gather(*tasks)
        texts = [json.loads(body["content"])["text"] for body in world.feishu.asked]
        assert texts == ["0", "0", "1", "2"]


async def test_a_chat_that_waits_delays_no_other():
    """While Feishu holds back one chat, others are served."""
    async with World() as world:
        world.feishu.answers = [code(230020, x_ogw_ratelimit_reset="30")]
        slow = world.send("oc_slow")
        await settle()
        assert (await world.send("oc_fast"))["message_id"]
        assert not slow.done()
        await world.pass_time(31)
        assert (await slow)["message_id"]
        assert world.tally.api_rate_limit_wait_s == 30


async def test_the_app_has_to_wait():
    """Where Feishu slows the app down, nothing goes before the time it names."""
    async with World() as world:
        world.feishu.answers = [code(99991400, 429, x_ogw_ratelimit_reset="10")]
        first = world.send("oc_1")
        await settle()
        other = world.send("oc_2")
        await world.pass_time(9)
        assert len(world.feishu.asked) == 1
        await world.pass_time(2)
        await asyncio.gather(first, other)


async def test_limits():
    """Five a second to a chat, and no more than that."""
    async with World(Limits()) as world:
        tasks = [world.send(text=str(number)) for number in range(12)]
        await settle()
        counts = [len(world.feishu.asked)]
        for _ in range(2):
            await world.pass_time(1)
            counts.append(len(world.feishu.asked))
        await asyncio.gather(*tasks)
        assert counts == [5, 10, 12]


async def test_refusal():
    """A refusal is told at once, with Feishu's code."""
    async with World() as world:
        world.feishu.answers = [code(230002)]
        error = await refused(world.send())
        assert error.code == Code.FEISHU_REFUSED
        assert error.data["code"] == 230002
        assert world.tally.sends == {"refused": 1}


async def test_trouble_passes():
    """While nothing gets through it is tried again, said once, and said when it is over."""
    async with World() as world:
        world.feishu.answers = [UnsentError(Fault.CONNECT_FAILED, "no route")] * 4
        task = world.send()
        await world.pass_time(8)
        assert (await task)["message_id"]
        assert [type(each) for each in world.seen] == [ApiFaulted, ApiRecovered]


async def test_trouble_lasts():
    """Who waits for an answer is told after a minute, and the queue goes on."""
    async with World() as world:
        world.feishu.answers = [UnsentError(Fault.CONNECT_FAILED, "no route")] * 999
        task = world.send()
        await world.pass_time(40)
        assert not task.done()
        await world.pass_time(30)
        error = await refused(task)
        assert error.code == Code.INTERNAL_ERROR
        assert error.data["fault"] == "connect_failed"
        failed = next(each for each in world.seen if isinstance(each, SendFailed))
        assert failed.tries > 3
        world.feishu.answers = []
        assert (await world.send())["message_id"]


async def test_wrong_secret():
    """What only an operator can mend is told at once."""
    async with World() as world:
        world.feishu.answers = [FeishuWsError(Fault.CREDENTIALS_REFUSED, "wrong", code=10014)]
        error = await refused(world.send())
        assert error.data == {"fault": "credentials_refused", "code": 10014}


async def test_full():
    """One message more than may wait is refused, and so is one byte."""
    async with World(Limits(0, 0, 0, queued=2)) as world:
        world.feishu.gate.clear()
        tasks = []
        for _ in range(3):  # one on its way, two that wait
            tasks.append(world.send())
            await settle()
        assert (await refused(world.send())).code == Code.FULL
        world.sender._bytes = MAX_BYTES  # 64 MiB would take a while to fill
        assert (await refused(world.send("oc_2"))).code == Code.FULL
        assert (await refused(world.send("oc_2", uuid="u", durable=True))).code == Code.FULL
        assert await world.journal.find_send("u") is None
        world.feishu.gate.set()
        await asyncio.gather(*tasks)


async def test_full_keeps_nothing():
    """What is refused for want of room is not kept, and so not sent by a later life either."""
    async with World(Limits(0, 0, 0, queued=1)) as world:
        world.feishu.gate.clear()
        tasks = []
        for number in range(2):  # one on its way, one that waits
            tasks.append(world.send("oc_0", uuid=f"u-{number}", durable=True))
            await settle()
        assert (await refused(world.send("oc_9", uuid="u-9", durable=True))).code == Code.FULL
        assert await world.journal.find_send("u-9") is None
        world.feishu.gate.set()
        await asyncio.gather(*tasks)


async def test_next_life_of_a_full_queue():
    """A life that takes up more than may wait takes it up all the same."""
    async with World(Limits(0, 0, 0, queued=1)) as world:
        world.feishu.gate.clear()
        tasks = []
        for number in range(2):
            tasks.append(world.send(f"oc_{number}", uuid=f"u-{number}", durable=True))
            await settle()
    for task in tasks:
        task.cancel()
    async with World(Limits(0, 0, 0, queued=1), world.journal, world.clock) as again:
        assert await again.send("oc_0", uuid="u-0", durable=True)
        assert await again.send("oc_1", uuid="u-1", durable=True)
        assert len(again.feishu.asked) == 2


async def test_told_to_slow_down_for_ever():
    """Who waits is told after a quarter of an hour of nothing but "slower"."""
    async with World() as world:
        world.feishu.answers = [code(230020, x_ogw_ratelimit_reset="60")] * 99
        task = world.send()
        await world.pass_time(890, step=10)
        assert not task.done()
        await world.pass_time(100, step=10)
        assert (await refused(task)).data["fault"] == "rate_limited"


async def test_bad_params():
    """What is wrong is told before anything is asked of Feishu."""
    async with World() as world:
        assert (await refused(world.send("", text=""))).code == Code.INVALID_PARAMS
        assert (
            await refused(world.send(durable=True, uuid=None, to=""))
        ).code == Code.INVALID_PARAMS
        assert not world.feishu.asked


async def test_kept_before_it_is_tried():
    """When Feishu gets a kept message, the journal has it and knows that it is tried."""
    async with World() as world:
        world.feishu.gate.clear()
        task = world.send(uuid="u-1", durable=True)
        await settle()
        row = await world.journal.find_send("u-1")
        assert row.first_attempt_ms == world.clock.wall_ms()
        assert row.outcome is None
        world.feishu.gate.set()
        await task
        row = await world.journal.find_send("u-1")
        assert row.outcome.kind == SendKind.SENT


async def test_same_uuid():
    """However often a kept message is given, at once or later, it is sent once."""
    async with World() as world:
        tasks = [world.send(uuid="u-1", durable=True) for _ in range(5)]
        assert {tuple((await task).items()) for task in tasks} == {(("message_id", "om_0"),)}
        assert await world.send(uuid="u-1", durable=True) == {"message_id": "om_0"}
        assert len(world.feishu.asked) == 1


async def test_the_same_message_in_another_form():
    """The same words are the same message, as an object, as a string, with or without blanks."""
    async with World() as world:
        for content in (
            b'{"text":"hi","a":1}',
            b'{"a": 1, "text": "hi"}',
            b'"{\\"text\\": \\"hi\\", \\"a\\": 1}"',
        ):
            given = SendParams(
                "text", msgspec.Raw(content), "chat_id", "oc_1", uuid="u", durable=True
            )
            assert await world.sender.send(given) == {"message_id": "om_0"}
        assert len(world.feishu.asked) == 1


async def test_another_message_of_the_same_uuid():
    """A uuid names one message; another is refused."""
    async with World() as world:
        await world.send(uuid="u-1", durable=True)
        error = await refused(world.send(uuid="u-1", durable=True, text="other"))
        assert error.code == Code.INVALID_PARAMS
        assert "uuid" in error.message


async def test_recorded_refusal():
    """A refusal is what a repeat gets as well, and Feishu is not asked again."""
    async with World() as world:
        world.feishu.answers = [code(230002)]
        for _ in range(2):
            error = await refused(world.send(uuid="u-1", durable=True))
            assert error.data["code"] == 230002
        assert len(world.feishu.asked) == 1


async def test_next_life():
    """What a life leaves without an outcome the next one sends, under the same uuid, in order."""
    async with World() as world:
        world.feishu.answers = [UnsentError(Fault.CONNECT_FAILED, "no route")] * 999
        tasks = [world.send(text=str(n), uuid=f"u-{n}", durable=True) for n in range(3)]
        await world.pass_time(100)
    for task in tasks:
        task.cancel()
    async with World(journal=world.journal, clock=world.clock) as again:
        assert [body["uuid"] for body in again.feishu.asked] == ["u-0", "u-1", "u-2"]
        assert await again.send(text="0", uuid="u-0", durable=True) == {"message_id": "om_0"}
        assert len(again.feishu.asked) == 3


async def test_outcome_unknown():
    """50 minutes after a try of which nobody knows the end it is a dead letter, not sent again."""
    async with World() as world:
        world.feishu.answers = [FeishuWsError(Fault.API_FAILED, "no answer")] * 999
        task = world.send(uuid="u-1", durable=True)
        await world.pass_time(49 * 60, step=30)
        tries = len(world.feishu.asked)
        world.feishu.gate.clear()
        await world.pass_time(2 * 60, step=30)
        world.feishu.gate.set()
        await world.pass_time(2 * 60, step=30)
        assert (await refused(task)).data["kind"] == SendKind.OUTCOME_UNKNOWN
        assert len(world.feishu.asked) <= tries + 2
        (dead,) = await world.journal.dead_sends()
        assert dead.uuid == "u-1"
        assert [each.kind for each in world.seen if isinstance(each, SendBuried)] == [
            SendKind.OUTCOME_UNKNOWN
        ]


async def test_never_tried():
    """A kept message that could not be tried for an hour does not come as a surprise."""
    async with World() as world:
        await world.__aexit__()
        late = World(journal=world.journal, clock=world.clock)
        await Outbox(world.journal, clock=world.clock).keep(
            *_kept(params(uuid="u-1", durable=True))
        )
        world.clock.advance(3601)
        async with late:
            assert not late.feishu.asked
            assert (await late.journal.find_send("u-1")).outcome.kind == SendKind.EXPIRED
        world.running = asyncio.create_task(asyncio.sleep(0))


def _kept(given):
    from feishu_ws.wire.outgoing import read_send

    return read_send(given), given


async def test_ten_thousand():
    """10,000 messages for many chats under the documented limits: each once, none too soon."""
    async with World(Limits()) as world:
        began = world.clock.monotonic()
        tasks = [world.send(f"oc_{number % 400}", str(number)) for number in range(10_000)]
        await settle()
        times = []
        while len(times) < 10_000:
            before = len(world.feishu.asked)
            times += [world.clock.monotonic()] * (before - len(times))
            await world.pass_time(0.25)
        await asyncio.gather(*tasks)
        assert len(world.feishu.made) == 10_000
        for first, last in zip(times, times[1000:], strict=False):
            assert last - first >= 60 - 0.25
        assert times[-1] - began <= 10 * 60
