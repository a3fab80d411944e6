"""The native socket's lines: any bytes give a value or a documented error."""

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feishu_ws.wire.native import (
    ByeParams,
    Call,
    Code,
    EventParams,
    HelloParams,
    Lines,
    LineTooLongError,
    NotJsonError,
    RejectParams,
    Reply,
    ReplyParams,
    RpcError,
    SettleParams,
    decode_params,
    encode_call,
    encode_error,
    encode_result,
    event_line,
    is_consumer_name,
    parse_call,
    parse_from_daemon,
)

TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
IDS = st.integers(-(2**63), 2**63 - 1) | TEXT
SHAPES = [HelloParams, SettleParams, RejectParams, ReplyParams, EventParams, ByeParams]
MALFORMED = [
    b"", b"{", b"nul", b"{'a':1}", b"[}", b'{"jsonrpc":"2.0",}', b"\xff\xfe", b"\xef\xbb\xbf{}",
    b'{"params":"\xff"}', b'{"id":"\xff"}', b"[" * 100_000, b'{"params":' + b"[" * 100_000,
    b'{"a":NaN}', b'{"a":01}', b'{"a":"\\ud800\\q"}', b'"a" "b"',
]  # fmt: skip


# -- lines ----------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b""))), st.data())
def test_lines_come_out_however_they_were_cut(lines, data):
    """The pieces of a stream do not matter, only its newlines."""
    stream = b"".join(line + b"\n" for line in lines) + b"rest"
    cutter = Lines(max_line=100)
    found = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += cutter.feed(stream[:size])
        stream = stream[size:]

    assert found == lines


@pytest.mark.parametrize(
    ("pieces", "kept"),
    [
        ([b"12345\n"], [b"12345"]),
        ([b"123", b"45"], []),
        ([b"123456\n"], None),
        ([b"123", b"456"], None),
        ([b"123", b"456\n"], None),
        ([b"1\n", b"2\n123456"], None),
    ],
)
def test_a_line_has_a_bound_with_and_without_its_end(pieces, kept):
    """Five bytes are allowed here, its newline not counted."""
    cutter = Lines(max_line=5)
    found = []
    if kept is None:
        with pytest.raises(LineTooLongError, match="more than 5 bytes"):
            [found.extend(cutter.feed(piece)) for piece in pieces]
    else:
        for piece in pieces:
            found += cutter.feed(piece)
        assert found == kept


# -- what the daemon reads ------------------------------------------------------------------


@given(st.binary(max_size=200))
@example(b'{"jsonrpc":"2.0","method":"x","id":1e999}')
@example(b'{"jsonrpc":"2.0","method":"x","params":{"a":"\\ud800"}}')
def test_any_bytes_are_a_call_or_a_documented_error(line):
    """Nothing else is raised, on either end of the socket."""
    for parse in (parse_call, parse_from_daemon):
        try:
            parse(line)
        except (NotJsonError, RpcError):
            continue


@given(JSON)
def test_any_json_is_a_call_or_an_error_object(value):
    """JSON never ends a connection."""
    line = msgspec.json.encode(value)
    try:
        call = parse_call(line)
    except RpcError as error:
        assert error.code == Code.INVALID_REQUEST  # noqa: PT017  # both outcomes are right
    else:
        assert isinstance(call, Call)


@pytest.mark.parametrize("line", MALFORMED)
def test_what_is_no_json_ends_the_connection(line):
    """Wherever in the line it stops being JSON, and in whatever encoding."""
    with pytest.raises(NotJsonError):
        parse_call(line)


@given(TEXT, JSON, st.none() | IDS)
def test_a_call_survives_the_trip(method, params, rpc_id):
    """What one end encodes, the other one reads."""
    call = parse_call(encode_call(method, params, rpc_id).rstrip(b"\n"))

    assert call.method == method
    assert msgspec.json.decode(call.params) == params
    assert call.id == rpc_id
    assert call.wants_result == (rpc_id is not None)


@pytest.mark.parametrize(
    ("line", "answer_to"),
    [
        (b"1", None),
        (b"[]", None),
        (b'[{"jsonrpc":"2.0","method":"ping","id":1}]', None),
        (b"{}", None),
        (b'{"id":7}', 7),
        (b'{"jsonrpc":"1.0","method":"ping","id":7}', 7),
        (b'{"jsonrpc":"2.0","id":"a"}', "a"),
        (b'{"jsonrpc":"2.0","method":5,"id":1.5}', 1.5),
        (b'{"jsonrpc":"2.0","method":"ping","id":{}}', None),
        (b'{"jsonrpc":"2.0","method":"ping","id":true}', None),
        (b'{"jsonrpc":"2.0","method":"ping","id":1e999}', None),
    ],
)
def test_what_is_no_request_is_refused_with_the_id_it_bore(line, answer_to):
    """The client can tell which of its requests was wrong, where that could be read."""
    with pytest.raises(RpcError) as caught:
        parse_call(line)

    assert caught.value.code == Code.INVALID_REQUEST
    assert caught.value.rpc_id == answer_to
    assert caught.value.data is None


def test_missing_params_are_an_empty_object():
    """JSON-RPC lets them be left out."""
    assert bytes(parse_call(b'{"jsonrpc":"2.0","method":"ping","id":1}').params) == b"{}"


def test_an_id_of_null_is_answered_to_null():
    """It is a request, if an odd one; only a call without id is a notification."""
    call = parse_call(b'{"jsonrpc":"2.0","method":"ping","id":null}')

    assert call.wants_result
    assert call.id is None


@pytest.mark.parametrize(
    ("shape", "params", "complaint"),
    [
        (HelloParams, b"{}", "missing required field `consumer`"),
        (HelloParams, b'{"consumer":7}', "Expected `str`, got `int`"),
        (SettleParams, b'{"positions":["1"]}', "Expected `int`, got `str`"),
        (RejectParams, b"[]", "Expected `object`, got `array`"),
        (SettleParams, b"nonsense", "malformed"),
    ],
)
def test_wrong_params_are_refused_with_the_field(shape, params, complaint):
    """The one who wrote the client can see what to change."""
    with pytest.raises(RpcError) as caught:
        decode_params(msgspec.Raw(params), shape)

    assert caught.value.code == Code.INVALID_PARAMS
    assert complaint in caught.value.message


@given(JSON, st.sampled_from(SHAPES))
def test_any_params_fit_or_are_refused(value, shape):
    """No JSON makes decoding fail in another way."""
    try:
        decode_params(msgspec.Raw(msgspec.json.encode(value)), shape)
    except RpcError as error:
        assert error.code == Code.INVALID_PARAMS  # noqa: PT017  # both outcomes are right


def test_params_a_newer_client_adds_are_left_alone():
    """The protocol grows by adding."""
    assert (
        decode_params(msgspec.Raw(b'{"consumer":"a","mood":"good"}'), HelloParams).consumer == "a"
    )


# -- what a client reads --------------------------------------------------------------------


@given(IDS, JSON)
def test_a_result_survives_the_trip(rpc_id, result):
    """What the daemon answers, the client reads."""
    reply = parse_from_daemon(encode_result(rpc_id, result))

    assert isinstance(reply, Reply)
    assert reply.id == rpc_id
    assert msgspec.json.decode(reply.result) == result


@given(st.none() | IDS, TEXT, st.none() | JSON)
def test_an_error_survives_the_trip(rpc_id, message, data):
    """Code, message and data; no data is no member."""
    line = encode_error(rpc_id, RpcError(Code.FULL, message, data))
    reply = parse_from_daemon(line)

    assert (reply.id, reply.error.code) == (rpc_id, Code.FULL)
    assert (reply.error.message, reply.error.data) == (message, data)
    assert (b'"data"' in line) >= (data is not None)


def test_an_unreadable_error_object_is_an_error_itself():
    """A daemon that answers so does not speak the protocol."""
    with pytest.raises(RpcError, match="unreadable error object"):
        parse_from_daemon(b'{"jsonrpc":"2.0","id":1,"error":{"code":"x"}}')


@given(
    st.integers(1, 2**63 - 1),
    st.integers(1, 99),
    st.booleans(),
    st.none() | st.just("2026-03-20T11:03:13.915Z"),
)
def test_an_event_survives_the_trip(position, attempt, late, reply_by):
    """The line around a body is the notification the client expects."""
    line = event_line(position, attempt, reply_by, b'"event":{"id":"a"},"message":{}', late=late)
    call = parse_from_daemon(line)
    params = decode_params(call.params, EventParams)

    assert line.count(b"\n") == 1
    assert json.loads(line)["params"]["reply_by"] == reply_by
    assert (call.method, call.wants_result) == ("event", False)
    assert (params.position, params.attempt, params.late) == (position, attempt, late)
    assert params.reply_by == reply_by
    assert bytes(params.event) == b'{"id":"a"}'


@pytest.mark.parametrize(
    ("data", "read"),
    [
        (rb'"\ud800"', "\ufffd"),
        (rb'["\udc00x", "\ud83d\ude00"]', ["\ufffdx", "😀"]),
        (rb'"\\ud800"', "\\ud800"),
    ],
)
def test_a_lone_surrogate_does_not_end_a_connection(data, read):
    """JSON allows its escape, msgspec does not; it is read as U+FFFD, the rest as it was."""
    line = event_line(1, 1, None, b'"event":{"data":%b}' % data, late=False)

    event = decode_params(parse_from_daemon(line).params, EventParams).event

    assert msgspec.json.decode(event) == {"data": read}
    assert parse_call(line).method == "event"


@given(st.text(max_size=70))
def test_a_consumers_name_is_short_and_plain(name):
    """1 to 64 of a-z 0-9 _ . - and nothing else, no newline at the end either."""
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789_.-")

    assert is_consumer_name(name) == (1 <= len(name) <= 64 and set(name) <= allowed)
    assert not is_consumer_name("bot\n")
