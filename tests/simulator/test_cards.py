"""Cards in the forms in which messages carry them."""

import json

from feishu_ws.simulator.cards import CARDS


def test_a_newer_card_comes_with_what_stands_for_it():
    """A card of schema 2.0 is in a string, beside a degraded card that asks for an update."""
    card = CARDS["newer"]
    assert json.loads(card["user_dsl"]) == CARDS["schema_2"]
    assert card["elements"][0][-1]["tag"] == "text"


def test_every_form_of_a_card_is_there():
    """Degraded and newer, both schemas as sent, by locale, and by template."""
    assert set(CARDS) == {
        *("document", "untitled", "newer"),
        *("schema_1", "schema_2", "localized", "template"),
    }
    assert CARDS["schema_2"]["schema"] == "2.0"
    assert "schema" not in CARDS["schema_1"]
