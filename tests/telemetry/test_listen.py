"""Where to listen, and which Host is meant for it."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.telemetry.listen import Listen, is_for, parse_listen


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("127.0.0.1:9530", Listen("127.0.0.1", 9530)),
        ("localhost:0", Listen("localhost", 0)),
        ("[::1]:9530", Listen("::1", 9530)),
        ("unix:/run/x.sock", Listen(path="/run/x.sock")),
    ],
)
def test_addresses_are_read_and_written_alike(text, listen):
    """What is read writes itself as it was."""
    assert parse_listen(text) == listen
    assert str(listen) == text


@pytest.mark.parametrize(
    "text",
    ["", "9530", ":9530", "127.0.0.1", "127.0.0.1:", "h:65536", "h:-1", "h:x", "h:٣", "unix:"],
)
def test_anything_else_is_a_configuration_error(text):
    """The message shows what was seen and what was expected."""
    with pytest.raises(FeishuWsError, match="expected HOST:PORT") as raised:
        parse_listen(text)
    assert raised.value.fault is Fault.CONFIG_INVALID
    assert repr(text) in raised.value.detail


@pytest.mark.parametrize(
    ("listen", "host", "is_ours"),
    [
        ("127.0.0.1:9530", "127.0.0.1:9530", True),
        ("127.0.0.1:9530", "localhost:9530", True),
        ("127.0.0.1:9530", "LOCALHOST:9530", True),
        ("127.0.0.1:9530", "[::1]:9530", True),
        ("127.0.0.1:9530", "127.0.0.1:9531", False),
        ("127.0.0.1:9530", "127.0.0.1", False),
        ("127.0.0.1:80", "127.0.0.1", True),
        ("127.0.0.1:80", "[::1]", True),
        ("127.0.0.1:9530", "evil.example:9530", False),
        ("127.0.0.1:9530", "localhost.evil.example:9530", False),
        ("127.0.0.1:9530", "127.0.0.1.evil.example:9530", False),
        ("127.0.0.1:9530", "", False),
        ("127.0.0.1:9530", None, False),
        ("127.0.0.1:9530", "127.0.0.1:9530:9530", False),
        ("127.0.0.1:9530", "127.0.0.1:9530 x", False),
        ("10.0.0.5:9530", "10.0.0.5:9530", True),
        ("10.0.0.5:9530", "localhost:9530", False),
        ("bot.example:9530", "bot.example:9530", True),
        ("0.0.0.0:9530", "10.0.0.5:9530", True),
        ("0.0.0.0:9530", "feishu-ws:19530", True),
        ("0.0.0.0:9530", "bot.example:9530", True),
        ("0.0.0.0:9530", "evil.example:9530", False),
        ("[::]:9530", "[fe80::1]:9530", True),
        ("[::]:9530", "evil.example", False),
        ("[::]:9530", ":.evil.example", False),
        ("[::]:9530", "bot.example:http", False),
        ("[::]:9530", ":9530", False),
        ("unix:/x", "anything", True),
        ("unix:/x", None, True),
    ],
)
def test_the_host_has_to_be_the_listeners(listen, host, is_ours):
    """A name that a stranger can point at us is never ours."""
    assert is_for(parse_listen(listen), host, own_name="bot.example") is is_ours


@given(st.text())
def test_any_host_gets_an_answer(host):
    """Whatever stands there, it is ours or not, and a dotted stranger never is."""
    for listen in ("127.0.0.1:9530", "0.0.0.0:9530"):
        answer = is_for(parse_listen(listen), host, own_name="bot")
        assert isinstance(answer, bool)
    assert not is_for(parse_listen("0.0.0.0:9530"), host + ".evil.example")


@given(st.text() | st.from_regex(r"(unix:)?\[?[a-z:.]*\]?:[0-9]{0,6}"))
def test_any_text_is_an_address_or_an_error(text):
    """parse_listen raises nothing else, and what it takes it can write."""
    with suppress(FeishuWsError):
        assert parse_listen(str(parse_listen(text))) == parse_listen(text)
