"""What reaches a consumer that asks for some events only, from the payload to its outlet."""

import pytest
from downstream.rig import World, turns
from events.corpus import event

from feishu_ws.events.envelope import open_envelope
from feishu_ws.events.keys import dedupe_keys
from feishu_ws.model import Event, Filter
from feishu_ws.wire.native import Code, RpcError

MESSAGE = "im.message.receive_v1"
REACTION = "im.message.reaction.created_v1"
CARD = "card.action.trigger"


def message(chat_id, sender_type="user"):
    body = {"sender": {"sender_type": sender_type}, "message": {"chat_id": chat_id}}
    return MESSAGE, body


EVENTS = {
    "from a person": message("oc_1"),
    "from an app": message("oc_1", "app"),
    "from a bot": message("oc_1", "bot"),
    "elsewhere": message("oc_2"),
    "recalled elsewhere": ("im.message.recalled_v1", {"chat_id": "oc_2", "message_id": "om_1"}),
    "member elsewhere": ("im.chat.member.user.added_v1", {"chat_id": "oc_2"}),
    "menu": ("application.bot.menu_v6", {"event_key": "help"}),
    "ticket elsewhere": (
        "helpdesk.ticket.updated_v1",
        {"object": {"ticket_id": "6", "chat_id": "oc_2"}},
    ),
    "own reaction": (REACTION, {"operator_type": "app", "app_id": "cli_own"}),
    "another's reaction": (REACTION, {"operator_type": "app", "app_id": "cli_other"}),
    "a person's reaction": (REACTION, {"operator_type": "user"}),
    "card elsewhere": (CARD, {"context": {"open_chat_id": "oc_2"}}),
}
APPS = {"from an app", "from a bot", "own reaction"}
ELSEWHERE = {name for name in EVENTS if name.endswith("elsewhere")}
BODIES = {MESSAGE, CARD}


async def publish(world, names=EVENTS):
    """Store events as the intake does; return their positions by name."""
    positions = {}
    for name in names:
        event_type, body = EVENTS[name]
        payload = event(event_type, body, event_id=name, app_id="cli_own")
        opened = open_envelope(payload)
        stored = Event(opened, payload, world.clock.wall_ms(), dedupe_keys(opened, payload))
        world.journal.append(
            stored, lambda outcome, name=name: positions.update({name: outcome.position})
        )
        await turns()
    return positions


def got(outlet, positions):
    return {name for name, position in positions.items() if position in outlet.positions}


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize(
    ("wishes", "left_out"),
    [
        ({}, set()),
        ({"types": ["*"], "chats": [], "ignore_own": False}, set()),
        ({"chats": ["oc_1"]}, ELSEWHERE),
        ({"chats": ["oc_1", "oc_2"]}, set()),
        ({"ignore_own": True}, APPS),
        ({"types": ["im.message.re?e*"]}, {n for n, (t, _) in EVENTS.items() if t != MESSAGE}),
        (
            {"types": [MESSAGE, CARD], "chats": ["oc_1"], "ignore_own": True},
            {n for n, (t, _) in EVENTS.items() if t not in BODIES} | ELSEWHERE | APPS,
        ),
        ({"types": []}, set(EVENTS)),
    ],
)
async def test_a_hello_says_what_it_wants(wishes, left_out, durable):
    """Types, chats and one's own, for a consumer with a cursor and for one without."""
    world = World()
    _, outlet = await world.connect(durable=durable, **wishes)
    positions = await publish(world)
    await turns()

    assert got(outlet, positions) == set(EVENTS) - left_out


async def test_what_is_left_out_is_settled_when_the_cursor_passes_it():
    """Nothing is held for a consumer whose chats and senders are others."""
    world = World()
    seat, outlet = await world.connect(chats=["oc_1"], ignore_own=True)
    positions = await publish(world)
    for position in outlet.positions:
        world.settle(seat, position)
    await turns()

    assert (world.record().cursor, world.record().pending) == (max(positions.values()), 0)


async def test_what_a_hello_does_not_say_stays():
    """Chats an operator declared are kept by a hello that names types only, and after it."""
    world = World()
    declared = Filter(chats=("oc_1",), ignore_own=True)
    world.journal.enroll("bot", declared, 0, declared=True)
    await world.connect(types=["im.*"])
    narrowed = world.record().filter
    await world.connect()

    assert narrowed == world.record().filter == Filter(("im.*",), ("oc_1",), ignore_own=True)


async def test_changed_chats_apply_from_the_cursor_on():
    """What was passed over above the cursor and is named now comes after all, not what is below."""
    world = World()
    _, first = await world.connect(chats=["oc_1"])
    positions = await publish(world, ["elsewhere", "from a person", "recalled elsewhere"])
    at_first = got(first, positions)
    _, second = await world.connect(chats=["oc_2"])
    await turns()

    assert at_first == {"from a person"}
    assert got(second, positions) == {"recalled elsewhere"}


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"types": [""]}, "params.types has '', expected at most 512 globs of"),
        ({"types": ["im. *"]}, "params.types has 'im. *', expected at most 512 globs of"),
        ({"chats": ["On call"]}, "params.chats has 'On call', expected at most 1024 chat ids of"),
        ({"chats": ["oc_1"] * 1025}, "params.chats has 1025 words, expected"),
    ],
)
@pytest.mark.parametrize("durable", [True, False])
async def test_what_could_never_match_is_refused(wishes, said, durable):
    """The field, what is in it, and what it may hold; nothing comes to exist."""
    world = World()
    with pytest.raises(RpcError) as caught:
        await world.connect(durable=durable, **wishes)

    assert caught.value.code == Code.INVALID_PARAMS
    assert caught.value.message.startswith(said)
    assert (world.journal.consumers(), world.dispatcher.seats.all()) == ({}, [])
