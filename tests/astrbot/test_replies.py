"""AstrBot's answers: patient, and one message however often they are sent."""

import asyncio
from types import SimpleNamespace

import pytest

from feishu_ws.astrbot.plugin import replies
from feishu_ws.astrbot.plugin.hand import Held
from feishu_ws.astrbot.plugin.replies import bot_for, uuid_of


class Message:
    """lark-oapi's `im.v1.message`: notes uuids and answers as told, the last answer for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.uuids = []

    async def areply(self, request):
        self.uuids.append(request.request_body.uuid)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(raw=SimpleNamespace(status_code=answer))

    acreate = areply


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Nobody waits."""
    monkeypatch.setattr(replies, "WAIT_S", 0.001)


def held(event_id="ev-1"):
    """Return an event in hand."""
    return Held(("j", 1, event_id), {"position": 1}, None)


def api_of(message):
    """Return a client of lark-oapi's shape."""
    return SimpleNamespace(
        im=SimpleNamespace(v1=SimpleNamespace(message=message, image="images")), cardkit="cards"
    )


def request():
    """Return a request with a random uuid."""
    return SimpleNamespace(request_body=SimpleNamespace(uuid="random"))


async def test_the_uuid_follows_from_the_event():
    """The n-th answer to an event has the same uuid every time, and no other one has it."""
    seen = []
    for event_id in ("ev-1", "ev-1", "ev-2"):
        message = Message(200)
        bot = bot_for(api_of(message), held(event_id))
        await bot.im.v1.message.areply(request())
        await bot.im.v1.message.acreate(request())
        seen.append(message.uuids)
    assert seen[0] == seen[1]
    assert len({*seen[0], *seen[2]}) == 4
    assert max(map(len, seen[0])) <= 50


def test_without_an_event_id():
    """Its place in the journal names an event that Feishu gave no id."""
    other = Held(("j", 2, ""), {"position": 2}, None)
    assert uuid_of(held(""), 1) != uuid_of(other, 1)


async def test_all_else_is_shared():
    """The client is AstrBot's own but for these calls, and AstrBot's stays as it was."""
    message = Message(200)
    api = api_of(message)
    bot = bot_for(api, held())
    assert (bot.cardkit, bot.im.v1.image) == ("cards", "images")
    assert bot.im.v1.message is not message
    await api.im.v1.message.areply(request())
    assert message.uuids == ["random"]


@pytest.mark.parametrize("trouble", [OSError("refused"), 502, 503, 504])
async def test_sent_again_while_nobody_is_there(trouble):
    """A daemon that restarts, or a Feishu out of reach, is waited for; it is one message."""
    message = Message(trouble, trouble, 200)
    event = held()
    response = await bot_for(api_of(message), event).im.v1.message.areply(request())
    assert response.raw.status_code == 200
    assert len(message.uuids) == 3
    assert len(set(message.uuids)) == 1
    assert event.failed == ""


@pytest.mark.parametrize("status", [200, 400, 429, 500])
async def test_what_feishu_says_is_final(status):
    """What Feishu itself answers is AstrBot's to judge."""
    message, event = Message(status), held()
    response = await bot_for(api_of(message), event).im.v1.message.areply(request())
    assert response.raw.status_code == status
    assert (len(message.uuids), event.failed) == (1, "")


async def test_patience_ends(monkeypatch):
    """After a while it fails as before, and the event is to come again."""
    monkeypatch.setattr(replies, "PATIENCE_S", 0.01)
    event = held()
    with pytest.raises(OSError, match="refused"):
        await bot_for(api_of(Message(OSError("refused"))), event).im.v1.message.areply(request())
    assert event.failed == "no answer could be sent: OSError"
    event = held()
    response = await bot_for(api_of(Message(503)), event).im.v1.message.areply(request())
    assert response.raw.status_code == 503
    assert event.failed == "no answer could be sent: HTTP 503"


async def test_cancelled():
    """A cancellation is not a failure to be patient about."""
    sending = bot_for(api_of(Message(OSError())), held()).im.v1.message.areply(request())
    task = asyncio.create_task(sending)
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("api", [SimpleNamespace(), SimpleNamespace(im=None), None])
def test_another_shape(api):
    """A client of another shape is used as it is."""
    assert bot_for(api, held()) is api
