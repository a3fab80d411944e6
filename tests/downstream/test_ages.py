"""Too old to deliver, and who is never too late."""

import asyncio

import pytest
from downstream.rig import CARD, manual_world, turns

from feishu_ws.wire.admin import DeadChoiceParams, SeekParams


async def test_old_events_are_dead_letters():
    """Older than `max_age_s`, an event is buried `expired` and the next one delivered."""
    world = manual_world(max_age_s=10)
    await world.publish("old", age_s=11)
    await world.publish("young", age_s=9)
    _, outlet = await world.connect(start="earliest")
    await turns()

    assert outlet.positions == [2]
    assert [d[1:3] for d in world.journal.dead] == [(1, "expired")]
    assert world.record().cursor == 1


async def test_what_was_passed_over_after_the_last_settle_is_told_at_the_end():
    """When the consumer leaves, the journal learns how far its cursor is."""
    world = manual_world(max_age_s=10)
    await world.publish("old", kind="im.x", age_s=11)
    await world.publish("not for it", kind="drive.y")
    await world.publish("young", kind="im.x")
    seat, outlet = await world.connect(types=["im.*"], start="earliest")
    await turns()
    world.dispatcher.detach(seat, outlet, "closed")

    assert world.record().cursor == 2


async def test_a_redelivery_may_be_too_old():
    """What became too old while it waited does not come again; its attempts are kept."""
    world = manual_world(max_age_s=10)
    seat, outlet = await world.connect()
    await world.publish("a")
    world.reject(seat, 1, 5)
    world.clock.advance(11)
    world.dispatcher.resume(seat)

    assert outlet.positions == [1]
    assert [(d[1], d[2], d[3].count) for d in world.journal.dead] == [(1, "expired", 1)]


async def test_a_replay_ignores_it():
    """Moved back on purpose, a consumer gets what is old, and what is new by the rule."""
    world = manual_world(max_age_s=10, late_callback_s=5)
    await world.publish("a", "b", age_s=100)
    await world.publish("card", kind=CARD, age_s=100)
    await world.connect(start="latest")
    _, outlet = await world.connect(start="earliest", force=True)
    await world.publish("c", age_s=100)
    await turns()

    assert outlet.positions == [1, 2, 3]
    assert [d[1:3] for d in world.journal.dead] == [(4, "expired")]
    assert (outlet.got[2].reply_by_ms, outlet.got[2].late) == (None, True)


async def test_a_reader_along_gets_everything():
    """Nothing is too old for `tail`, and nothing is buried for it."""
    world = manual_world(max_age_s=10)
    await world.publish("a", age_s=100)
    await world.publish("card", kind=CARD, age_s=9999)
    _, outlet = await world.connect(start="earliest", durable=False)
    await turns()

    assert (outlet.positions, world.journal.dead) == ([1, 2], [])


async def test_a_clock_not_to_be_trusted_expires_nothing():
    """While ages mean nothing, events are delivered."""
    world = manual_world(max_age_s=10, late_callback_s=5)
    await world.publish("a", age_s=10_000)
    await world.publish("card", kind=CARD, age_s=10_000)
    world.dispatcher.may_expire = False
    _, outlet = await world.connect(start="earliest")
    await turns()

    assert (outlet.positions, world.journal.dead) == ([1, 2], [])


async def test_expiry_goes_on_once_the_clock_is_trusted_again():
    """What was spared while the clock was doubted is delivered; what comes to its turn later is too old."""
    world = manual_world(max_age_s=10, window=1)
    await world.publish("a", "b", age_s=10_000)
    world.dispatcher.may_expire = False
    seat, outlet = await world.connect(start="earliest")
    await turns()
    spared = outlet.take()
    world.dispatcher.may_expire = True
    world.settle(seat, 1)
    await world.publish("young")

    assert (spared, outlet.take()) == ([1], [3])
    assert [d[1:3] for d in world.journal.dead] == [(2, "expired")]


async def test_what_grows_old_in_the_backlog():
    """The age counts when its turn comes, not when it was stored."""
    world = manual_world(max_age_s=10, window=1)
    seat, outlet = await world.connect()
    await world.publish("a", "b", "c")
    world.clock.advance(11)
    world.settle(seat, 1)
    await world.publish("d")

    assert outlet.positions == [1, 4]
    assert [d[1:3] for d in world.journal.dead] == [(2, "expired"), (3, "expired")]


async def test_a_replay_outlives_a_restart():
    """What a consumer was ordered to read again is not too old after the daemon was restarted."""
    world = manual_world(max_age_s=10, late_callback_s=5, window=1)
    seat, outlet = await world.connect()
    await world.publish("a", "b")
    await world.publish("card", kind=CARD)
    world.settle(seat, 1, 2, 3)
    world.clock.advance(3600)
    world.dispatcher.detach(seat, outlet, "closed")
    await world.admin.seek(SeekParams("bot", 1))
    world.restart()
    await world.publish("d", age_s=100)
    seat, outlet = await world.connect(window=9)
    await turns()

    assert outlet.positions == [1, 2, 3]
    assert [(d.reply_by_ms, d.late) for d in outlet.got][2] == (None, True)
    assert [d[1:3] for d in world.journal.dead] == [(4, "expired")]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("kind", ["im.x", CARD])
async def test_what_an_operator_gave_back_is_not_too_old(kind, restarted):
    """A revived event is delivered whatever its age, also after a restart."""
    world = manual_world(max_age_s=10, late_callback_s=5)
    await world.publish("old", kind=kind, age_s=100)
    seat, outlet = await world.connect(start="earliest")
    await turns()
    dead = [d[1:3] for d in world.journal.dead]
    if restarted:
        world.dispatcher.detach(seat, outlet, "closed")
    await world.admin.dead_retry(DeadChoiceParams([1]))
    if restarted:
        world.restart()
        _, outlet = await world.connect()
        await turns()

    assert (dead, world.journal.dead) == ([(1, "expired")], [])
    assert [(d.position, d.attempt) for d in outlet.got] == [(1, 1)]


async def test_what_an_operator_gave_back_may_be_tried_again():
    """While the daemon lives it is not too old for its second attempt either; settled it is done."""
    world = manual_world(max_age_s=10)
    await world.publish("old", age_s=100)
    seat, outlet = await world.connect(start="earliest")
    await turns()
    await world.admin.dead_retry(DeadChoiceParams([1]))
    world.reject(seat, 1, 1)
    world.clock.advance(2)
    world.dispatcher.resume(seat)
    world.settle(seat, 1)
    await asyncio.sleep(0)

    assert [(d.position, d.attempt) for d in outlet.got] == [(1, 1), (1, 2)]
    assert (world.journal.dead, world.record().attempts, world.record().cursor) == ([], {}, 1)


async def test_a_step_nobody_noticed_yet_expires_nothing():
    """In the second before the daemon doubts the clock nothing becomes too old by it."""
    world = manual_world(max_age_s=10)
    await world.publish("a")
    world.clock.step_wall(7200)
    seat, outlet = await world.connect(start="earliest")
    await turns()
    spared = outlet.take()
    world.dispatcher.may_expire = True  # the new time was found to be right
    world.clock.advance(11)
    world.reject(seat, 1, 0)

    assert (spared, outlet.take()) == ([1], [])
    assert [d[1:3] for d in world.journal.dead] == [(1, "expired")]
