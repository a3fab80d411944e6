"""The order to read again, as a fact of the journal."""

from downstream.rig import manual_world

from feishu_ws.downstream import replay


async def test_an_order_is_kept_until_it_is_forgotten():
    """It says up to where; nobody else's is touched, and forgetting twice is fine."""
    journal = manual_world().journal
    journal._ledger.last = 7
    ordered = replay.order(journal, "bot", 3), replay.order(journal, "log", 6)
    found = [replay.ordered_through(journal, name) for name in ("bot", "log", "other")]
    for _ in range(2):
        replay.forget(journal, "bot")

    assert (ordered, found) == ((7, 7), [7, 7, 0])
    assert [replay.ordered_through(journal, name) for name in ("bot", "log")] == [0, 7]


async def test_a_move_to_the_end_replays_nothing():
    """With nothing to read again there is no order, and an earlier one ends."""
    journal = manual_world().journal
    journal._ledger.last = 7
    replay.order(journal, "bot", 3)

    assert replay.order(journal, "bot", 7) == 0
    assert journal._facts == {}
