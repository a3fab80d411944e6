"""Kinds of value: total over anything TOML or the environment can give."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feishu_ws.config import KEYS
from feishu_ws.config.kinds import (
    Domain,
    FilePath,
    JsonObject,
    Listen,
    Proxy,
    UnfitError,
    is_loopback,
    show,
)

TOML = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
KIND = st.sampled_from([key.kind for key in KEYS.values()])


@given(KIND, TOML)
def test_a_kind_gives_a_value_or_refuses(kind, value):
    """No value of TOML makes a kind fail in another way, and either can be shown on one line."""
    try:
        shown = kind.show(kind.parse(value))
    except UnfitError as exc:
        shown = kind.show_unfit(value) + exc.seen + exc.expected

    assert "\n" not in shown


@given(KIND, st.text(st.characters(exclude_characters="\x00")))
@example(FilePath(), "\ud800")
def test_a_kind_reads_any_text_of_the_environment_or_refuses(kind, text):
    """No variable makes a kind fail in another way."""
    try:
        kind.parse(kind.read_text(text))
    except UnfitError:
        return


@given(TOML)
def test_what_is_shown_is_short(value):
    """An error message repeats at most 80 characters of a value."""
    assert len(show(value, 80)) <= 80


@pytest.mark.parametrize(
    ("address", "fits"),
    [
        ("", True), ("127.0.0.1:0", True), ("localhost:65535", True), ("[::1]:80", True),
        ("unix:/run/x", True), ("unix:run/x", False), ("127.0.0.1", False), (":80", False),
        ("host:65536", False), ("ho st:1", False), ("::1:80", False), ("host:-1", False),
        ("unix:/" + "x" * 106, True), ("unix:/" + "x" * 107, False),
    ],
)  # fmt: skip
def test_where_to_listen(address, fits):
    """HOST:PORT, a bracketed IPv6 address, or an absolute Unix path."""
    if fits:
        assert Listen().parse(address) == address
    else:
        with pytest.raises(UnfitError):
            Listen().parse(address)


@pytest.mark.parametrize(
    ("domain", "fits"),
    [
        ("https://open.feishu.cn", True), ("https://feishu.corp:8443/", True),
        ("http://127.0.0.1:8080", True), ("http://localhost", True), ("http://[::1]:1", True),
        ("http://10.0.0.1", False), ("https://x/path", False), ("https://u:p@x", False),
        ("https://x?q=1", False), ("open.feishu.cn", False), ("https://", False),
        ("https://x:port", False), ("wss://x", False), ("https://a b", False),
    ],
)  # fmt: skip
def test_where_feishu_is(domain, fits):
    """Scheme and host; plain http only to this machine."""
    if fits:
        assert Domain().parse(domain) == domain.rstrip("/")
    else:
        with pytest.raises(UnfitError):
            Domain().parse(domain)


@pytest.mark.parametrize("proxy", ["http://user:pa55@", "ftp://user:pa55@proxy", "user:pa55@proxy"])
def test_a_refused_proxy_does_not_show_its_password(proxy):
    """An error message is read by more people than a configuration."""
    with pytest.raises(UnfitError):
        Proxy().parse(proxy)

    assert "pa55" not in Proxy().show_unfit(proxy)


def test_a_callbacks_default_is_kept_as_json():
    """It travels to Feishu as it stands, in UTF-8."""
    assert JsonObject().parse({"toast": {"content": "好"}}) == '{"toast":{"content":"好"}}'.encode()


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.3.2.1", True), ("::1", True), ("[::1]", True), ("localhost", True), ("example", False), ("0.0.0.0", False)],
)  # fmt: skip
def test_what_counts_as_this_machine(host, expected):
    """Loopback addresses and the name localhost."""
    assert is_loopback(host) is expected
