import pytest
from events.corpus import unhurried
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.events.times import minute_utc, parse_ms, rfc3339_ms


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1774004591", 1_774_004_591_000),
        (1774004591, 1_774_004_591_000),
        ("1774004591415", 1_774_004_591_415),
        (1774004591415, 1_774_004_591_415),
        ("1747740328528651", 1_747_740_328_528),
        (1747740328528651, 1_747_740_328_528),
        ("1502199207.7171419", 1_502_199_207_717),
        (1502199207.717, 1_502_199_207_717),
        ("1710500000", 1_710_500_000_000),
        ("946684800", 946_684_800_000),
        ("4102444799999", 4_102_444_799_999),
    ],
)
def test_seconds_milliseconds_and_microseconds(value, expected):
    """The size of a time tells its unit, as a string and as a number."""
    assert parse_ms(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "0",
            "abc",
            "-1774004591",
            "+1774004591",
            " 1774004591",
            "1774004591 ",
            "1_774_004_591",
        ),
        *("NaN", "inf", "1e12", "0x69bd3a6f", "\uff11" * 10, "1774004591\n", "9" * 300),
        *(0, -1774004591, 946684799, 4102444800, 10**18, 10**400, 1.5, 1e300, float("nan")),
        *(float("inf"), 4_102_444_800_000, 946_684_799_999, 50_000_000_000),
    ],
)
def test_absurd_times_are_none(value):
    """What is no time between 2000 and 2100 in any of the three units is not known."""
    assert parse_ms(value) is None


@unhurried
@given(st.one_of(st.integers(), st.floats(), st.text(max_size=30), st.from_regex(r"[0-9.]{1,20}")))
def test_any_value_gives_a_bounded_time(value):
    """No value raises, and what comes out lies between 2000 and 2100."""
    found = parse_ms(value)
    assert found is None or 946_684_800_000 <= found < 4_102_444_800_000


@pytest.mark.parametrize(
    ("unix_ms", "text"),
    [
        (1_774_004_591_415, "2026-03-20T11:03:11.415Z"),
        (1_774_004_591_000, "2026-03-20T11:03:11.000Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        (-5, "1970-01-01T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (10**30, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_rfc3339(unix_ms, text):
    """Times are written in UTC with milliseconds, clamped to four-digit years."""
    assert rfc3339_ms(unix_ms) == text


def test_minutes_for_people():
    """People get the minute and the zone."""
    assert minute_utc(1_774_004_591_415) == "2026-03-20 11:03 UTC"
