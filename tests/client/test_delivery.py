"""What is in a delivery, and what its methods say to the daemon."""

import base64
import json
import math

import msgspec
import pytest
from client.fake_daemon import cloud_event, event_params
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.client import CloudEvent, Delivery
from feishu_ws.client.connection import open_connection
from feishu_ws.wire.native import EventParams


def _event(**more):
    return CloudEvent(json.dumps(cloud_event(1, **more)).encode())


@pytest.fixture
async def delivery(daemon):
    """A delivery at position 7."""
    connection = await open_connection(daemon.path)
    raw = json.dumps(event_params(7)).encode()
    yield Delivery(connection, raw, msgspec.json.decode(raw, type=EventParams))
    await connection.close()


def test_an_event_has_the_attributes_of_a_cloud_event():
    """Absent attributes are empty."""
    event = _event(tenantkey="t1", feishuschema="2.0", receivedtime="2026-03-20T11:03:12Z")

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


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8")),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
        max_leaves=10,
    )
)  # fmt: skip
def test_data_is_what_feishu_sent(value):
    """Whatever JSON is in it comes out."""
    assert _event(data=value).data == value


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


async def test_a_delivery_names_itself_without_its_content(delivery):
    """A repr may end up in a log."""
    assert repr(delivery) == "<Delivery 7 attempt 1 im.message.receive_v1>"
    assert repr(delivery.event) == "<CloudEvent im.message.receive_v1 ev-7>"
