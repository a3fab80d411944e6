"""What may follow an option."""

import argparse
from datetime import timedelta

import pytest

from feishu_ws.cli import values


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (values.count, "7", 7),
        (values.rate, "0.5", 0.5),
        (values.seconds, "30", 30.0),
        (values.position, "340", 340),
        (values.start, "latest", "latest"),
        (values.start, "12", 12),
        (values.point, "1h", timedelta(hours=1)),
        (values.point, "12", 12),
        (values.address, "[::1]:80", "[::1]:80"),
    ],
)
def test_what_is_read(read, text, value):
    """As it is meant."""
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "texts", "words"),
    [
        (values.count, ["0", "-1", "1.5", "", "x"], "is no whole number above 0"),
        (values.rate, ["0", "-1", "nan", "inf", "x"], "is no number of events per second above 0"),
        (values.seconds, ["0", ""], "is no number of seconds above 0"),
        (values.position, ["0", "-1", "x", "", "9" * 5000], "is no position"),
        (values.start, ["0", "first"], "is neither latest, earliest nor a position"),
        (values.point, ["0", "soon", "9" * 5000], "is no position"),
        (values.address, ["80", ":80", "host:", "host:http"], "is no HOST:PORT"),
    ],
)
def test_what_is_refused(read, texts, words):
    """Saying what was seen."""
    for text in texts:
        with pytest.raises(argparse.ArgumentTypeError, match=words):
            read(text)
