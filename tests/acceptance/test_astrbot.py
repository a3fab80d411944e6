"""A real AstrBot behind real daemons: the plugin's socket, and its own adapter on the lookalike.

One AstrBot process has both platforms, each with a Feishu and a daemon of its own; tests
run in the order in which they stand here.
"""

import asyncio
import json
import os
import random
import time

import pytest
import pytest_asyncio
from acceptance.astrbot.bot import Bot
from acceptance.astrbot.install import astrbot_python
from acceptance.astrbot.route import CONSUMER, Route
from support import eventually

from feishu_ws.cli.main import execute
from feishu_ws.simulator.rest import Refused
from feishu_ws.simulator.transmission import Split

PLUGIN, LOOKALIKE = "plugin", "lookalike"
BOTH = pytest.mark.parametrize("name", [PLUGIN, LOOKALIKE])
SILENCE_S = 1.5  # after which no second answer is expected
BACK_S = {PLUGIN: 1.0, LOOKALIKE: 1.5}
"""From a daemon that answers to an AstrBot that reads; the SDK tries once a second."""
AWAY = 50
RATE, KILLING_S = 5, int(os.environ.get("ASTRBOT_KILLING_S", "30"))
HANG_S = 8
LONGEST_STALL_S = 4.0  # of AstrBot itself on a busy machine; a hanging discovery took all 8
PNG = b"\x89PNG\r\n\x1a\nnot really"

EMPTY = {
    "sticker": {"Plain"},
    "interactive": {"Plain", "Json"},
    "share_chat": {"Plain", "Json"},
    "share_user": {"Plain", "Json"},
    "location": {"Plain", "Json", "Location"},
    "merge_forward": {"Plain", "Forward"},
    "todo": {"Plain", "Json"},
    "vote": {"Plain", "Json"},
    "hongbao": {"Plain", "Json"},
    "folder": {"Plain", "Json"},
    "system": {"Plain", "Json"},
    "share_calendar_event": {"Plain", "Json"},
    "calendar": {"Plain", "Json"},
    "general_calendar": {"Plain", "Json"},
    "video_chat": {"Plain", "Json"},
}
"""The types that AstrBot's own adapter makes empty, and what the plugin makes of them."""

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]


class Stage:
    """Both routes, and the AstrBot behind them."""

    def __init__(self, directory):
        self.routes = {
            PLUGIN: Route(PLUGIN, "cli_a0000000000000a1", directory),
            LOOKALIKE: Route(LOOKALIKE, "cli_b0000000000000b2", directory),
        }
        self.bot = None
        self._directory = directory

    async def open(self):
        """Start everything, while no Feishu can be reached."""
        python = await asyncio.to_thread(astrbot_python)
        for route in self.routes.values():
            await route.open()
        platforms = [route.platform() for route in self.routes.values()]
        self.bot = Bot(self._directory / "bot", python, platforms)
        assert await self.install() == 0
        self.bot.spawn()

    async def install(self, *more):
        """Run the command that puts the plugin in place."""
        words = ["astrbot", "install", "--data", str(self.bot.data), *more]
        return await asyncio.to_thread(execute, words)

    async def close(self):
        """End everything."""
        if self.bot is not None:
            self.bot.kill()
        for route in self.routes.values():
            await route.close()

    def __getitem__(self, name):
        return self.routes[name]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("astrbot"))
    try:
        await made.open()
        yield made
    finally:
        await made.close()


@pytest.mark.timeout(1500)  # AstrBot may have to be installed first
async def test_feishu_unreachable_when_astrbot_starts(stage, record_property):
    """AstrBot starts without Feishu; once Feishu is there, messages are answered."""
    bot = stage.bot
    await bot.wait(lambda: stage.routes.keys() <= bot.platforms().keys(), 150)
    await bot.wait(lambda: bot.platforms()[LOOKALIKE]["connected"], 30)
    record_property("astrbot_start_s", round(time.monotonic() - bot.began_s, 1))
    for route in stage.routes.values():
        await route.feishu.start_listening()
    began_s = time.monotonic()
    for route in stage.routes.values():
        await route.feishu.wait_for_links(1, 20)
    await asyncio.gather(*(r.answered(r.say()) for r in stage.routes.values()))
    record_property("feishu_there_to_answer_s", round(time.monotonic() - began_s, 1))
    print(f"\nanswered {time.monotonic() - began_s:.1f} s after Feishu came")
    await bot.wait_until_connected(10)


@BOTH
async def test_private_and_group(stage, name):
    """A private message and one in a group are answered, each once."""
    route = stage[name]
    said = [route.say(chat="p2p"), route.say(chat="group")]
    await route.answered(*said)
    await asyncio.sleep(SILENCE_S)
    assert [len(route.replies(each)) for each in said] == [1, 1]


async def test_a_mention_wakes(stage):
    """The bot knows who it is, though Feishu could not be asked when AstrBot started."""
    said = stage[PLUGIN].say("@_user_1 are you there", mention=True)
    bot = stage.bot
    await bot.wait(lambda: bot.noted(platform=PLUGIN, id=said), 20)
    assert bot.noted(id=said)[0]["wakes"]


@BOTH
async def test_one_event_three_times(stage, name):
    """Sent three times, answered once."""
    route = stage[name]
    body, said = route.message()
    for _ in range(3):
        route.feishu.push(body)
    await route.answered(said)
    await asyncio.sleep(SILENCE_S)
    assert len(route.replies(said)) == 1


@BOTH
async def test_shuffled_parts(stage, name):
    """Seven parts in any order are one message with one answer."""
    route = stage[name]
    said = route.say(parts=Split(7, shuffle=True))
    await route.answered(said)
    assert len(route.replies(said)) == 1


@BOTH
async def test_media_in(stage, name):
    """A picture, a file and a voice message come in through the proxy."""
    route, bot = stage[name], stage.bot
    wanted = {"image": "image_key", "file": "file_key", "audio": "file_key"}
    said = {}
    for kind, field in wanted.items():
        key = f"{kind}_{name}"
        route.feishu.rest.resources[key] = (f"{key}.bin", PNG + kind.encode())
        content = {field: key, "file_name": "报告.pdf", "duration": 3500}
        said[kind] = route.say(kind=kind, content=content)
    for kind in ("image", "file"):
        await bot.wait(lambda kind=kind: bot.noted(platform=name, id=said[kind]), 20)
    await bot.wait(lambda: route.requests("GET", f"/resources/audio_{name}"), 20)
    if name == PLUGIN:  # AstrBot's own adapter loses it where there is no ffmpeg
        await bot.wait(lambda: bot.noted(platform=name, id=said["audio"]), 20)
        assert "Record" in bot.noted(id=said["audio"])[0]["kinds"]
    path = bot.data / "media.jsonl"
    notes = [json.loads(line) for line in path.read_text().splitlines()]
    media = {each["id"]: each for each in notes}
    assert media[said["file"]]["hex"] == (PNG + b"file").hex()
    assert "Image" in bot.noted(id=said["image"])[0]["kinds"]


@BOTH
async def test_media_out(stage, name):
    """A picture and a card that grows go out through the proxy."""
    route = stage[name]
    picture, card = route.say("/picture"), route.say("/stream")
    await route.answered(picture, card)
    [(_, content)] = route.feishu.rest.uploads.values()
    assert content.startswith(b"\x89PNG")
    await eventually(lambda: route.requests("PATCH", "/settings"), 20)
    [shown] = route.replies(card)
    assert shown.msg_type == "interactive"
    updates = route.requests("PUT", "/content")
    assert json.loads(updates[-1].body)["content"] == "one two three"


async def test_types_that_astrbot_makes_empty(stage):
    """Each of the fifteen types arrives as words, and what only its JSON tells beside them."""
    route, bot = stage[PLUGIN], stage.bot
    said = {kind: route.say(kind=kind) for kind in EMPTY}
    await bot.wait(lambda: all(bot.noted(id=each) for each in said.values()), 30)
    found = {kind: bot.noted(id=each)[0] for kind, each in said.items()}
    assert {kind: set(each["kinds"]) for kind, each in found.items()} == EMPTY
    assert [kind for kind, each in found.items() if not each["words"]] == []
    assert {each["raw"] for each in found.values()} == {"EventMessage"}


async def test_threads_are_kept(stage):
    """A message in a thread says which."""
    route, bot = stage[PLUGIN], stage.bot
    body = route.event("message.text.thread")
    del body["event"]["message"]["parent_id"]  # a quote would be looked up
    route.feishu.push(body)
    message = body["event"]["message"]
    await bot.wait(lambda: bot.noted(id=message["message_id"]), 20)
    [noted] = bot.noted(id=message["message_id"])
    assert (noted["thread_id"], noted["root_id"]) == (message["thread_id"], message["root_id"])


async def test_other_events(stage):
    """A card action is answered with a plugin's toast; a bot that is added can say hello."""
    route, bot = stage[PLUGIN], stage.bot
    pressed = route.feishu.push(route.event("card.action.trigger"))
    code, answer = await pressed.confirmed(timeout_s=3)
    assert (code, json.loads(answer)) == (200, {"toast": {"type": "info", "content": "noted"}})
    added = route.event("im.chat.member.bot.added_v1")
    route.feishu.push(added)
    chat = added["event"]["chat_id"]
    await eventually(lambda: any(m.to == chat for m in route.feishu.rest.messages), 20)
    assert bot.noted(event_type="im.chat.member.bot.added_v1")[0]["kinds"] == []


@BOTH
async def test_reload(stage, name):
    """An adapter that is reloaded while it answers loses and doubles nothing."""
    route, bot = stage[name], stage.bot
    before = [route.say("/slow") for _ in range(5)]
    await bot.wait(lambda: len(bot.noted(platform=name, words="slow")) >= 1, 20)
    await bot.reload(name)
    after = [route.say() for _ in range(5)]
    await route.answered(*before, *after)
    await bot.wait_until_connected(10)
    await asyncio.sleep(SILENCE_S)
    assert [len(route.replies(each)) for each in before + after] == [1] * 10


@BOTH
async def test_daemon_killed_with_a_backlog(stage, name, record_property):
    """Nothing is lost with the daemon, and AstrBot reads again within a second of its return."""
    route, bot = stage[name], stage.bot
    process = bot.process.pid
    said = [route.say("/slow") for _ in range(20)]
    await bot.wait(lambda: route.daemon.status()["journal"]["last"] > 0, 5)
    await asyncio.sleep(0.5)
    route.daemon.kill()
    await bot.wait(lambda: not bot.platforms()[name]["connected"], 10)
    await asyncio.to_thread(route.daemon.start)
    began_s = time.monotonic()
    await bot.wait(lambda: bot.platforms()[name]["connected"], 10)
    back_s = time.monotonic() - began_s
    record_property("back_s", round(back_s, 2))
    print(f"\n{name}: AstrBot reads again {back_s:.2f} s after the daemon answers")
    await route.answered(*said, timeout_s=60)
    assert bot.process.pid == process
    assert bot.is_alive
    assert back_s < BACK_S[name]


async def test_feishu_away_while_astrbot_answers(stage):
    """An answer that Feishu could not be told is told again, and is one message."""
    route = stage[PLUGIN]
    refusals = 3
    route.feishu.rest.answer.set(Refused(status=503), refusals)
    said = route.say()
    await route.answered(said)
    await asyncio.sleep(SILENCE_S)
    assert len(route.replies(said)) == 1
    assert route.feishu.rest.answer.take() is None


async def test_discovery_hangs(stage, record_property):
    """A Feishu that does not answer discovery does not stop AstrBot's loop."""
    bot, since = stage.bot, time.time()
    for route in stage.routes.values():
        route.feishu.hang_discovery(HANG_S * 4)
        route.daemon.kill()
    for route in stage.routes.values():
        await asyncio.to_thread(route.daemon.start)
    await bot.wait_until_connected(10)
    await asyncio.sleep(HANG_S)
    stalled_s = bot.longest_stall(since)
    record_property("longest_stall_s", round(stalled_s, 2))
    print(f"\nAstrBot's loop stood still for at most {stalled_s:.2f} s")
    for route in stage.routes.values():
        route.feishu.accept_discovery()
        route.daemon.kill()
        await asyncio.to_thread(route.daemon.start)
    await asyncio.gather(*(r.answered(r.say()) for r in stage.routes.values()))
    assert stalled_s < LONGEST_STALL_S


async def test_messages_while_astrbot_is_away(stage, record_property):
    """Fifty messages that came while AstrBot was down have fifty answers after it started."""
    bot = stage.bot
    bot.kill()
    said = {name: [r.say() for _ in range(AWAY)] for name, r in stage.routes.items()}
    for route in stage.routes.values():
        await route.feishu.wait_until_quiet(20)
    await bot.start()
    record_property("astrbot_start_s", round(bot.starts[-1], 1))
    for name, route in stage.routes.items():
        await route.answered(*said[name], timeout_s=60)
        assert [len(route.replies(each)) for each in said[name]] == [1] * AWAY


async def test_astrbot_killed_at_random(stage, record_property):
    """Whenever AstrBot is killed, the plugin has every message answered; both ways' figures.

    Every second answer takes two seconds, so that each kill finds some under way.
    """
    bot, rng = stage.bot, random.Random("astrbot")
    said = {name: [] for name in stage.routes}
    sent = {name: len(route.requests("POST", "/reply")) for name, route in stage.routes.items()}
    loop = asyncio.get_running_loop()
    began_s, kill_s, kills = loop.time(), rng.uniform(1, 4), 0
    while loop.time() - began_s < KILLING_S:
        for name, route in stage.routes.items():
            said[name].append(route.say("/slow" if len(said[name]) % 2 else "/sid"))
        if loop.time() - began_s > kill_s and bot.is_connected:
            bot.kill()
            bot.spawn()
            kills += 1
            kill_s = loop.time() - began_s + rng.uniform(2, 8)
        await asyncio.sleep(1 / RATE)
    bot.kill()
    await bot.start()
    await stage[PLUGIN].answered(*said[PLUGIN], timeout_s=90)
    for route in stage.routes.values():
        await eventually(lambda route=route: route.pending == 0, 60)
    await asyncio.sleep(SILENCE_S * 2)
    figures = {"kills": kills + 1}
    for name, route in stage.routes.items():
        replied = [len(route.replies(each)) for each in said[name]]
        figures[name] = {
            "said": len(replied),
            "unanswered": replied.count(0),
            "seen_twice": sum(number > 1 for number in replied),
            "answered_again": len(route.requests("POST", "/reply")) - sent[name] - sum(replied),
        }
        record_property(name, figures[name])
    print(f"\nAstrBot killed: {figures}, its starts: {[round(s, 1) for s in bot.starts]} s")
    assert kills > 0
    assert figures[PLUGIN]["unanswered"] == 0


async def test_the_secret_stays_with_the_daemon(stage):
    """Neither the app's secret nor a real token is anywhere in AstrBot's data."""
    secrets = {name: route.secret.encode() for name, route in stage.routes.items()}
    for name, route in stage.routes.items():
        tokens = [each.encode() for each in route.feishu.rest._tokens]
        assert tokens
        secrets |= {f"{name} token {n}": token for n, token in enumerate(tokens)}
    paths = [path for path in stage.bot.root.rglob("*") if path.is_file()]
    assert stage.bot.data / "cmd_config.json" in paths
    found = [
        (which, path.name)
        for path in paths
        for which, secret in secrets.items()
        if secret in path.read_bytes()
    ]
    assert found == []


async def test_the_plugin_is_removed(stage, capsys):
    """`--remove` takes the plugin away and leaves the rest of AstrBot's data alone."""
    before = sorted(stage.bot.data.iterdir())
    assert await stage.install("--remove") == 0
    assert "astrbot_plugin_feishu_ws" in capsys.readouterr().out
    assert not (stage.bot.data / "plugins" / "astrbot_plugin_feishu_ws").exists()
    assert sorted(stage.bot.data.iterdir()) == before
    assert CONSUMER in {each["name"] for each in stage[PLUGIN].daemon.status()["consumers"]}
