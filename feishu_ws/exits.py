"""What a command ends with."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes. Source: CONTRACT 3, after sysexits(3)."""

    OK = 0
    USAGE = 64
    UNREACHABLE = 69
    INTERNAL = 70
    JOURNAL = 74
    IN_USE = 75
    CREDENTIALS = 77
    CONFIG = 78
