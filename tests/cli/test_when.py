"""Points in the journal as people write them."""

import contextlib
import time as machine
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.cli.when import MAX_POSITION, advise, parse_point, to_wall_ms

NOON_MS = 1_774_008_000_000  # 2026-03-20 12:00:00 UTC


@pytest.fixture(autouse=True, params=["UTC", "Asia/Shanghai", "America/St_Johns"])
def zone(request, monkeypatch):
    """The same everywhere."""
    monkeypatch.setenv("TZ", request.param)
    machine.tzset()
    yield request.param
    monkeypatch.undo()
    machine.tzset()


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("1", 1),
        ("340", 340),
        ("20261123", 20_261_123),
        ("earliest", "earliest"),
        ("latest", "latest"),
        ("45s", timedelta(seconds=45)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
        ("2w", timedelta(days=14)),
        ("1d12h", timedelta(hours=36)),
        ("14:00", time(14)),
        ("9:05", time(9, 5)),
        ("14:00:30", time(14, 0, 30)),
        ("2026-03-20", datetime(2026, 3, 20)),  # noqa: DTZ001  # local is what is meant
        ("2026-03-20T11:03", datetime(2026, 3, 20, 11, 3)),  # noqa: DTZ001
        ("2026-03-20 11:03:11.415", datetime(2026, 3, 20, 11, 3, 11, 415_000)),  # noqa: DTZ001
        ("2026-03-20T11:03:11Z", datetime(2026, 3, 20, 11, 3, 11, tzinfo=UTC)),
    ],
)
def test_what_is_meant(text, point):
    """Positions win over anything that looks like them."""
    assert parse_point(text) == point


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "now", "yesterday", "3 0", "30 m", "m", "1.5h", "25:00", "14:60",
     "2026-13-01", "2026-02-30", "\uff11\uff12", "1e3", "9" * 20, "9" * 5000, "EARLIEST", "1y",
     "1d" * 6],
)  # fmt: skip
def test_what_is_not(text):
    """It says what was seen."""
    with pytest.raises(ValueError, match="is no position"):
        parse_point(text)


@given(st.text(max_size=24))
def test_any_text_is_a_point_or_a_value_error(text):
    """Nothing else escapes, also not from the calendar."""
    try:
        point = parse_point(text)
    except ValueError:
        return
    if isinstance(point, int):
        assert 1 <= point <= MAX_POSITION
    elif not isinstance(point, str):
        with contextlib.suppress(ValueError):  # still to come, or before all calendars
            assert 0 <= to_wall_ms(point, NOON_MS) <= NOON_MS


@pytest.mark.parametrize(
    ("text", "before_ms"), [("30m", 1_800_000), ("1d12h", 129_600_000), ("999999w", None)]
)
def test_an_age_counts_from_now(text, before_ms):
    """In whatever zone; what lies before all calendars is refused."""
    if before_ms is None:
        with pytest.raises(ValueError, match="no calendar"):
            to_wall_ms(parse_point(text), NOON_MS)
    else:
        assert to_wall_ms(parse_point(text), NOON_MS) == NOON_MS - before_ms


def test_a_time_with_a_zone_is_that_moment():
    """Wherever one is."""
    point = parse_point("2026-03-20T19:59:59.500+08:00")

    assert to_wall_ms(point, NOON_MS) == NOON_MS - 500


def test_a_time_without_a_zone_is_local(zone):
    """The clock on the wall of whoever asks; a date begins at midnight."""
    offset_ms = {"UTC": 0, "Asia/Shanghai": 8, "America/St_Johns": -2.5}[zone] * 3_600_000

    assert to_wall_ms(parse_point("2026-03-20T08:00"), NOON_MS) == NOON_MS - 14_400_000 - offset_ms
    assert to_wall_ms(parse_point("2026-03-20"), NOON_MS) == NOON_MS - 43_200_000 - offset_ms


def test_a_time_of_day_is_today():
    """By the local date."""
    here = datetime.fromtimestamp(NOON_MS / 1000, UTC).astimezone()
    ago = here - timedelta(minutes=5)

    assert to_wall_ms(parse_point(f"{ago:%H:%M}"), NOON_MS) == NOON_MS - 300_000


def test_what_is_still_to_come_is_refused():
    """Nothing was received then."""
    here = datetime.fromtimestamp(NOON_MS / 1000, UTC).astimezone()

    with pytest.raises(ValueError, match=r"^2026-03-20 .* is still to come$"):
        to_wall_ms(parse_point(f"{here + timedelta(minutes=1):%H:%M}"), NOON_MS)
    with pytest.raises(ValueError, match="still to come"):
        to_wall_ms(parse_point("9999-12-30"), NOON_MS)


def test_a_time_of_day_to_come_was_yesterday():
    """What is advised is a time that was."""
    here = datetime.fromtimestamp(NOON_MS / 1000, UTC).astimezone()
    soon = parse_point(f"{here + timedelta(minutes=1):%H:%M}")
    instead = advise(soon, NOON_MS).partition(" ")[0]

    assert to_wall_ms(parse_point(instead), NOON_MS) == NOON_MS + 60_000 - 86_400_000
    assert advise(parse_point("9999-12-30"), NOON_MS).startswith("an age")
