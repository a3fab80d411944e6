"""What every happening is, and who is told."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened; the class name is the log line (`LinkLost` → `link.lost`)."""


Observer = Callable[[Happening], None]


def ignore(_: Happening) -> None:
    """An observer that does not care."""
