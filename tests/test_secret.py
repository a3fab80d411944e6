"""What may not be printed is not: URLs with a login, and secrets in foreign words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.secret import MAX_FOREIGN, REDACTED, UNREADABLE, conceal, redact_url

SECRET = "Zw6eN3vLq0TtXy41"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:hunter2@h.example:8/path?q=hunter2#f", "https://h.example:8/path?<redacted>"),
        ("HTTP://u:hunter2@[::1]:3128", "http://[::1]:3128"),
        ("//u:hunter2@h:1", "//h:1"),
        ("h:1", "h:1"),
        ("a path", "a path"),
    ],
)
def test_a_url_is_shown_without_what_is_secret(url, shown):
    """User, password, query and fragment are left out."""
    assert redact_url(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "u:hunter2@h:1",
        "http:/u:hunter2@h:1",
        "http//u:hunter2@h:1",
        "http://u:hunter2#x@h:1",
        "http://u:hunter2/x@h:1",
        "http://u:hunter2?x@h:1",
        "http://u:12#hunter2@h:1",
        "http://hunter2/x@h:1",
        "http://u:hunter2@h:99999",
        "http://u:hunter2@[::1",
    ],
)
def test_a_login_in_the_wrong_place_is_not_shown(url):
    """Where there is no telling what the login is, nothing is shown."""
    assert redact_url(url) == UNREADABLE


@given(st.text(alphabet="u:@/?#h0[]. "), st.sampled_from(["http://", "http:/", "//", ""]))
def test_nothing_before_the_last_at_is_ever_shown(login, start):
    """However a URL with a login is spelt, what stands before its host is not shown."""
    assert "hunter2" not in redact_url(f"{start}{login}hunter2@host:1")


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_secret_is_concealed_wherever_it_stands(before, after):
    """Whole, and once for each time."""
    assert conceal(f"{before}{SECRET}{after}", [SECRET]) == f"{before}{REDACTED}{after}"


@given(st.integers(0, len(SECRET)), st.integers(0, len(SECRET)))
def test_of_a_secret_only_a_few_characters_in_a_row_are_shown(first, last):
    """Who repeats a request may cut it at either end."""
    shown = conceal(f"no {SECRET[first:last]}", [SECRET])
    assert (shown == f"no {REDACTED}") is (last - first >= 8)


def test_short_secrets_do_not_blot_out_words():
    """Five characters are part of ordinary words, six are not."""
    assert conceal("all is well, hunter", ["", "is", "hunt"]) == "all is well, hunter"
    assert conceal("all is well, hunter", ["hunter"]) == f"all is well, {REDACTED}"


def test_several_secrets():
    """Each is concealed, and where two overlap, both."""
    told = conceal(f"{SECRET}{SECRET[-9:]}-abcdef.", [SECRET, "abcdef"])
    assert told == f"{REDACTED}{REDACTED}-{REDACTED}."
    assert conceal("+abcdefghijkl+", ["abcdefgh", "efghijkl"]) == f"+{REDACTED}+"


def test_only_the_beginning_is_looked_through():
    """A peer's message may be a megabyte."""
    assert len(conceal("y" * 1_000_000, [SECRET])) == MAX_FOREIGN
