"""A few of the hundred thousand payloads of `tests/acceptance/test_hostile_payloads.py`."""

import hashlib
import io
import json

import msgspec
import pytest
from events.hostile import FRESH, HOLE, hostile_payloads, large, nested, with_types

from feishu_ws.cli.eventline import EventLines
from feishu_ws.client import Delivery
from feishu_ws.events.cloudevent import encode_body
from feishu_ws.events.envelope import open_envelope
from feishu_ws.events.keys import KEY_BYTES, dedupe_keys
from feishu_ws.model import Event, Form
from feishu_ws.wire.native import EventParams, decode_params, event_line, parse_from_daemon

SEED = 1
COUNT = 3000
SIZE = 20_000
LEVELS = (256, 257, 3000)


def line_of(payload):
    opened = open_envelope(payload)
    made = Event(opened, payload, 1_774_004_591_415, dedupe_keys(opened, payload), 1)
    return opened, event_line(1, 1, None, encode_body(made, "cli_own"), late=False)


def survives(payload):
    """Check that a payload is opened, written on one line, read again and shown."""
    opened, line = line_of(payload)
    assert line.count(b"\n") == 1
    assert {len(key) for key in dedupe_keys(opened, payload)} == {KEY_BYTES}
    params = parse_from_daemon(line.rstrip()).params
    delivery = Delivery(None, bytes(params), decode_params(params, EventParams))
    if opened.form is Form.OPAQUE:
        assert delivery.event.data == payload
    elif opened.form is Form.ONE_LINE:
        assert b',"data":%b}' % payload in line
    assert delivery.message is None or msgspec.json.encode(delivery.message)
    assert EventLines(io.StringIO()).line(delivery).replace("\u200d", "").isprintable()


def test_a_sample_of_them():
    """Nothing raises, nothing breaks the line, nothing is lost."""
    for payload in hostile_payloads(SEED, COUNT, SIZE, LEVELS):
        survives(payload)


@pytest.mark.parametrize("levels", LEVELS)
def test_deep_nesting(levels):
    """Wherever it is: beyond 256 levels it is no JSON here."""
    for payload in nested(levels):
        survives(payload)


def test_every_worst_case_though_small():
    """What is slow when it is large is at least right when it is small."""
    for _, payload in large(SIZE):
        survives(payload)


def test_they_are_the_same_again_and_no_two_are_the_same():
    """A failure can be repeated, and none is a duplicate of another."""
    first, second = (list(hostile_payloads(SEED, 500, SIZE, LEVELS)) for _ in range(2))

    assert first == second
    assert len({hashlib.sha256(payload).digest() for payload in first}) == len(first)
    assert not any(name.encode() in payload for payload in first for name in (FRESH, HOLE))


class _First:
    """A random source that takes the first of everything."""

    choice = staticmethod(lambda spellings: spellings[0])


def test_every_field_gets_every_type():
    """Six types for the whole, for an object in it, for its list, and for what is in that."""
    found = [json.loads(made) for made in with_types(_First, {"a": {"b": [1]}})]

    assert found[6:12] == [{"a": value} for value in (None, True, 0, "", [], {})]
    assert found[18:] == [{"a": {"b": [value]}} for value in (None, True, 0, "", [], {})]
