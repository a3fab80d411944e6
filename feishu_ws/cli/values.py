"""What may follow an option: text that is read, or refused with what it was."""

import argparse
from datetime import datetime, time, timedelta

from feishu_ws.cli.when import Point, parse_point, parse_position


def count(text: str) -> int:
    """Read how many."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def rate(text: str) -> float:
    """Read events per second."""
    return _positive(text, "events per second")


def seconds(text: str) -> float:
    """Read a duration."""
    return _positive(text, "seconds")


def _positive(text: str, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of {what} above 0")
    return number


def position(text: str) -> int:
    """Read the number of an event in the journal."""
    try:
        return parse_position(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def start(text: str) -> str | int:
    """Read where to begin: an end of the journal or a position."""
    if text in {"latest", "earliest"}:
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither latest, earliest nor a position")
    return int(text)


def point(text: str) -> Point:
    """Read a place in the journal, also one given by time; see `when.py`."""
    try:
        return parse_point(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def moment(text: str) -> timedelta | time | datetime:
    """Read a time that was, or an age."""
    found = point(text)
    if isinstance(found, timedelta | time | datetime):
        return found
    raise argparse.ArgumentTypeError(
        f"{text!r} is no time (2026-11-23T14:00, 14:00) or age (30m, 2h, 1d)"
    )


def address(text: str) -> str:
    """Read HOST:PORT."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT")
    return text


def pair(text: str) -> tuple[str, str]:
    """Read a name and a value."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value
