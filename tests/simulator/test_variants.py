"""Sample messages in the forms that a type takes."""

import json
from collections import Counter

import pytest

from feishu_ws.clock import ManualClock
from feishu_ws.events.message import READERS
from feishu_ws.simulator.corpus import SAMPLES, Origin, sample
from feishu_ws.simulator.envelopes import variant_message
from feishu_ws.simulator.messages import CONTENTS
from feishu_ws.simulator.variants import VARIANTS, Variant

ORIGIN = Origin("cli_test", "tenant", "run-1", ManualClock(wall_ms=1_774_004_591_415))


def test_every_type_comes_in_several_forms():
    """There are two samples or more of each type of message that is known."""
    names = [name.split(".")[1] for name in SAMPLES if name.startswith("message.")]
    assert {kind for kind, count in Counter(names).items() if count < 2} == set()
    assert set(names) == READERS.keys() - {"video"} | {"hologram"}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_form_is_sent_as_it_stands(name):
    """Type, content and mentions are the variant's; the mentions are of the sender's tenant."""
    variant = VARIANTS[name]
    received = json.loads(sample(f"message.{name}", 3, ORIGIN))["event"]["message"]
    assert received["message_type"] == variant.kind
    assert json.loads(received["content"]) == variant.content
    sent = [one | {"tenant_key": "tenant"} for one in variant.mentions]
    assert received.get("mentions", []) == sent
    assert ("mentions" in received) == bool(sent)


def test_no_form_hides_a_type():
    """The names of forms are none of the types', whose first sample they would replace."""
    assert VARIANTS.keys().isdisjoint(CONTENTS)
    assert all("." in name for name in VARIANTS)


def test_content_that_is_no_json_is_sent_as_it_is():
    """A string is a message's content without a further encoding."""
    payload = variant_message(Variant("merge_forward", "words"), 1, ORIGIN)
    assert json.loads(payload)["event"]["message"]["content"] == "words"
