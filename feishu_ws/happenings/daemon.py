"""The daemon itself, its configuration and its clock."""

from dataclasses import dataclass

from feishu_ws.faults import Fault
from feishu_ws.happenings.base import Happening


@dataclass(frozen=True, slots=True)
class DaemonStarted(Happening):
    """Everything local is ready; where it listens, or `off`."""

    version: str
    app_id: str
    socket: str
    http: str
    lookalike: str = "off"


@dataclass(frozen=True, slots=True)
class DaemonStopping(Happening):
    """A stop was asked for."""

    reason: str


@dataclass(frozen=True, slots=True)
class DaemonStopped(Happening):
    """The last line of a life."""

    took_s: float


@dataclass(frozen=True, slots=True)
class ConfigReloaded(Happening):
    """SIGHUP was obeyed.

    Attributes:
        changed: Keys now in force.
        needs_restart: Keys that changed in the file and wait for a restart.
    """

    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConfigRejected(Happening):
    """SIGHUP found an invalid file; nothing changed."""

    errors: tuple[str, ...]
    fault: Fault = Fault.RELOAD_INVALID


@dataclass(frozen=True, slots=True)
class ClockStepped(Happening):
    """The wall clock cannot be believed; nothing expires by age until it agrees again."""

    fault: Fault
    detail: str


@dataclass(frozen=True, slots=True)
class ClockAgreed(Happening):
    """The wall clock is believed again."""

    doubted_s: float


@dataclass(frozen=True, slots=True)
class TaskDied(Happening):
    """A task of the daemon ended though it should not have."""

    task: str
    detail: str
