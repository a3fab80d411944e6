"""Nothing secret is written, whatever shape it comes in."""

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.secret import REDACTED, Secret
from feishu_ws.telemetry.redact import LONGEST_TEXT, redact, redact_fields, redact_text

PLANTED = "pl4nted-s3cr3t"

json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    "text",
    [
        f"wss://msg.feishu.cn/ws/v2?device_id=1&access_key={PLANTED}&ticket=x",
        f"GET https://user:{PLANTED}@open.feishu.cn/path failed",
        f"http://proxy/?q={PLANTED}#frag and more",
        f'body {{"AppID":"cli_x","AppSecret":"{PLANTED}"}}',
        f"app_secret={PLANTED}; retry",
        f"tenant_access_token: {PLANTED}",
        f"Authorization: Bearer {PLANTED}",
        f"sent bearer {PLANTED} twice",
        f"access-key = {PLANTED}",
        f"TICKET={PLANTED}&x=1",
        f"app.secret={PLANTED}",
        f'{{"lookalike.secret": "{PLANTED}"}}',
    ],
)
def test_secrets_in_text_are_blotted_out(text):
    """URLs lose query and password, telling pairs their value."""
    assert PLANTED not in redact_text(text)
    assert REDACTED in redact_text(text) or "@" in text


@pytest.mark.parametrize(
    "text",
    [
        "connection reset by peer",
        "https://open.feishu.cn/callback/ws/endpoint answered 502",
        "the token expired",
        "a secret handshake",
        "unix:/run/feishu-ws/events.sock",
        "文本 ✓",
        "app.secret: a secret in a file that others may read, expected mode 0600",
        "lookalike.secret: blanks or control characters, expected one line",
    ],
)
def test_ordinary_text_stays(text):
    """What holds no secret reads as it was written."""
    assert redact_text(text) == text


def test_a_known_secret_is_blotted_out_anywhere():
    """A value that is known to be secret goes wherever it stands."""
    known = [Secret(PLANTED)]
    record = {"detail": f"x{PLANTED}y", "deep": [{"k": (PLANTED,)}]}
    assert PLANTED not in str(redact_fields(record, known))


def test_short_and_empty_secrets_do_not_blot_out_words():
    """An empty secret is in every text; it must not eat the log."""
    assert redact_text("all is well", [Secret(""), Secret("is")]) == "all is well"


def test_values_under_telling_keys_go():
    """The key gives it away, whatever the value looks like, at any depth."""
    record = {
        "app_secret": "x",
        "Ticket": 7,
        "a": {"access_key": ["y"], "Authorization": "z"},
        "token_count": 3,
    }
    redacted = redact_fields(record)
    assert redacted["app_secret"] == redacted["Ticket"] == REDACTED
    assert redacted["a"] == {"access_key": REDACTED, "Authorization": REDACTED}
    assert redacted["token_count"] == 3


def test_secrets_and_bytes_are_not_shown():
    """A Secret shows itself as redacted, bytes only as how many there are."""
    assert redact([Secret(PLANTED), b"payload"]) == [REDACTED, "<7 bytes>"]


def test_long_text_is_cut():
    """A peer's error message cannot fill the log."""
    assert len(redact_text("y" * 10_000_000)) == LONGEST_TEXT + 1


@pytest.mark.parametrize("unit", ["a-", "a_", "secret-", "token", "a://", "bearer ", 'token="'])
def test_hostile_text_takes_linear_time(unit):
    """No pattern backtracks without bound; quadratic, this would take minutes."""
    began = time.perf_counter()
    redact_text(unit * 500_000)
    assert time.perf_counter() - began < 5


@given(json_like)
def test_anything_becomes_plain_values(value):
    """Whatever is given comes back as JSON types, with text that encodes as UTF-8."""
    redacted = redact(value)
    assert isinstance(redacted, str | int | float | list | dict | None)
    assert msgspec.json.encode(redacted)


@given(st.text(alphabet="abc \ud800\udfff\x00\x1b"))
def test_text_is_always_valid_utf8(text):
    """Lone surrogates, which no encoder takes, are spelled out."""
    assert redact_text(text).encode().decode().count("\\ud8") == text.count("\ud800")
