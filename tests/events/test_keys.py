from itertools import combinations

import pytest
from events.corpus import TEXT, V1, payloads, unhurried
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.events.envelope import open_envelope
from feishu_ws.events.keys import KEY_BYTES, dedupe_keys
from feishu_ws.model import Envelope

ids = st.text(alphabet="a1:_", max_size=4)


def test_a_message_has_two_keys():
    """A received message is known by its event id and by its message id."""
    keys = dedupe_keys(open_envelope(TEXT), TEXT)
    assert len(set(keys)) == 2


def test_any_other_event_has_one_key():
    """Anything else is known by its event id alone."""
    assert len(dedupe_keys(open_envelope(V1), V1)) == 1


def test_feishu_sending_again_shares_the_event_key():
    """The same event in other bytes is the same event."""
    again = TEXT.replace(b'"token":""', b'"token":"t"')
    assert dedupe_keys(open_envelope(TEXT), TEXT) == dedupe_keys(open_envelope(again), again)


def test_the_message_id_alone_makes_a_duplicate():
    """A message that comes back under another event id shares a key with its first copy."""
    again = TEXT.replace(b"f8e5e0712b93ff92d7350a4d825ed739", b"another")
    shared = set(dedupe_keys(open_envelope(TEXT), TEXT)) & set(
        dedupe_keys(open_envelope(again), again)
    )
    assert len(shared) == 1


@pytest.mark.parametrize(
    "envelope",
    [Envelope(), Envelope(tenant="t"), Envelope(type="im.message.receive_v1", app_id="cli_1")],
)
def test_without_ids_the_payload_is_the_key(envelope):
    """Empty ids do not count: then equal bytes, and only those, are the same event."""
    assert dedupe_keys(envelope, b"a") == dedupe_keys(Envelope(), b"a")
    assert dedupe_keys(envelope, b"a") != dedupe_keys(envelope, b"b")


def test_a_message_without_event_id_has_its_message_key():
    """Only the id that is there counts."""
    full = dedupe_keys(Envelope(event_id="e", message_id="m"), b"")
    assert dedupe_keys(Envelope(message_id="m"), b"") == full[1:]


def test_every_difference_makes_another_key():
    """Tenant, id and kind of id all tell events apart, wherever the border lies."""
    envelopes = [
        Envelope(tenant="a", event_id="bc"),
        Envelope(tenant="ab", event_id="c"),
        Envelope(tenant="abc", event_id="x"),
        Envelope(tenant="", event_id="abc"),
        Envelope(tenant="a", message_id="bc"),
        Envelope(tenant="1", event_id=":a"),
        Envelope(tenant="1:", event_id="a"),
        Envelope(),
    ]
    keys = [dedupe_keys(envelope, b"") for envelope in envelopes]
    assert all(left != right for left, right in combinations(keys, 2))


@unhurried
@given(ids, ids.filter(bool), ids, ids.filter(bool))
def test_keys_are_equal_exactly_if_tenant_and_id_are(tenant, event_id, tenant2, event_id2):
    """Two events share a key exactly if tenant and id are both the same."""
    one = dedupe_keys(Envelope(tenant=tenant, event_id=event_id), b"")
    two = dedupe_keys(Envelope(tenant=tenant2, event_id=event_id2), b"")
    assert (one == two) == ((tenant, event_id) == (tenant2, event_id2))


@unhurried
@given(st.one_of(st.binary(max_size=20), payloads()))
def test_any_payload_has_keys(payload):
    """Any bytes have one or two keys of 16 bytes."""
    keys = dedupe_keys(open_envelope(payload), payload)
    assert len(keys) in {1, 2}
    assert {len(key) for key in keys} == {KEY_BYTES}


def test_keys_do_not_change_between_versions():
    """Keys are stored: a change here would make every event of the day before new again."""
    keys = dedupe_keys(Envelope(tenant="t", event_id="e", message_id="m"), b"")
    payload_keys = dedupe_keys(Envelope(), b"payload")
    assert [key.hex() for key in (*keys, *payload_keys)] == [
        "1a8838aa5d65a927e3f7348d7e5e5cd4",
        "855bf05c3cbdd46c20a0490df374bec0",
        "f6574429c2a622deca44c3549d0f548e",
    ]
