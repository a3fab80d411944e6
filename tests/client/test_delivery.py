"""What is in a delivery, and what its methods say to the daemon."""

import asyncio
import base64
import contextlib
import json
import math

import msgspec
import pytest
from client.fake_daemon import event_of, event_params
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.client import CloudEvent, Delivery, RpcError
from feishu_ws.client.connection import open_connection
from feishu_ws.wire.native import EventParams


@pytest.fixture
async def delivery(daemon):
    """A delivery at position 7."""
    connection = await open_connection(daemon.path)
    raw = json.dumps(event_params(7)).encode()
    yield Delivery(connection, raw, msgspec.json.decode(raw, type=EventParams))
    await connection.close()


def test_an_event_has_the_attributes_of_a_cloud_event():
    """Absent attributes are empty."""
    event = event_of(tenantkey="t1", feishuschema="2.0", receivedtime="2026-03-20T11:03:12Z")

    assert (event.id, event.type, event.source) == (
        "ev-1",
        "im.message.receive_v1",
        "/feishu/cli_a/t1",
    )
    assert (event.subject, event.time) == ("oc_1", "2026-03-20T11:03:11.415Z")
    assert (event.tenant_key, event.schema, event.received_time) == (
        "t1",
        "2.0",
        "2026-03-20T11:03:12Z",
    )
    assert CloudEvent(b'{"id":"a"}').subject == ""
    assert CloudEvent(b'{"id":"a"}').data is None


def test_data_that_was_no_json_is_bytes():
    """data_base64 is decoded."""
    event = CloudEvent(b'{"id":"a","data_base64":"%b"}' % base64.b64encode(b"\xff\x00"))

    assert event.data == b"\xff\x00"


def test_a_number_no_float_holds_is_infinite():
    """JSON allows it, so it may come."""
    assert CloudEvent(b'{"data":{"n":1e999}}').data == {"n": math.inf}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"-1" + b"0" * 5000, -math.inf),
        (b"1" + b"0" * 100, 10**100),
        (b"[1e999,1" + b"0" * 9999 + b",2]", [math.inf, math.inf, 2]),
    ],
)
def test_integers_of_any_length_can_be_read(text, value):
    """Python itself refuses more than 4,300 digits; beyond every float they are infinite."""
    assert CloudEvent(b'{"data":%b}' % text).data == value


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8")),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
        max_leaves=10,
    )
)  # fmt: skip
def test_data_is_what_feishu_sent(value):
    """Whatever JSON is in it comes out."""
    assert event_of(data=value).data == value


def test_nothing_is_decoded_before_somebody_looks():
    """A consumer that only counts pays for nothing."""
    event = CloudEvent(b"not even JSON")

    assert event.raw == b"not even JSON"


async def test_a_message_is_none_where_there_is_none(delivery):
    """Only im.message.receive_v1 has one."""
    assert delivery.message is None
    assert delivery.reply_by is None


@pytest.mark.parametrize(
    ("act", "method", "params"),
    [
        (lambda d: d.settle(), "settle", {"positions": [7]}),
        (lambda d: d.reject("busy"), "reject", {"position": 7, "reason": "busy"}),
        (
            lambda d: d.reject("no", 0.5, dead=True),
            "reject",
            {"position": 7, "reason": "no", "retry_in_s": 0.5, "dead": True},
        ),
        (lambda d: d.reply({"a": 1}), "reply", {"position": 7, "data": {"a": 1}}),
    ],
)
async def test_what_a_consumer_says_of_a_delivery(daemon, delivery, act, method, params):
    """Each is a request that names the position."""
    await act(delivery)

    assert daemon.calls == [(method, params)]


async def test_settling_soon_is_a_notification(daemon, delivery):
    """It returns at once and nothing is answered."""
    delivery.settle_soon()

    assert await daemon.wait_for("settle") == [{"positions": [7]}]


@pytest.mark.parametrize(
    ("reason", "kept"), [("é" * 200, "é" * 128), ("x" + "é" * 200, "x" + "é" * 127)]
)
async def test_a_long_reason_is_cut_between_characters(daemon, delivery, reason, kept):
    """256 bytes are allowed, and half a character is none."""
    await delivery.reject(reason)

    assert daemon.params("reject")[0]["reason"] == kept


@pytest.mark.parametrize(
    "act",
    [
        lambda d: d.settle(),
        lambda d: d.reject("busy"),
        lambda d: d.reply({}),
        lambda d: asyncio.to_thread(lambda: None),
    ],
)
async def test_a_delivery_knows_whether_it_was_answered(daemon, delivery, act):
    """Only once the daemon took it."""
    before = delivery.is_answered
    daemon.refuse |= {m: {"code": -32603, "message": "no"} for m in ("settle", "reject", "reply")}
    with contextlib.suppress(RpcError):
        await act(delivery)
    refused = delivery.is_answered
    daemon.refuse.clear()
    await act(delivery)

    assert (before, refused) == (False, False)
    assert delivery.is_answered == bool(daemon.calls)


async def test_settling_soon_is_an_answer(daemon, delivery):
    """It comes again if it gets lost."""
    delivery.settle_soon()

    assert delivery.is_answered


async def test_a_delivery_names_itself_without_its_content(delivery):
    """A repr may end up in a log."""
    assert repr(delivery) == "<Delivery 7 attempt 1 im.message.receive_v1>"
    assert repr(delivery.event) == "<CloudEvent im.message.receive_v1 ev-7>"
