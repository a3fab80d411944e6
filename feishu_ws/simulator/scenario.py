"""Scenarios: what a simulated Feishu sends and how it misbehaves, as data.

A scenario is a TOML file, one of those shipped here (by name) or the user's own (by
path). It says how many events of which kinds come, how many of them are split or sent
twice, and which mishaps befall the client when.
"""

import difflib
import tomllib
from dataclasses import replace
from enum import StrEnum
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.simulator.corpus import SAMPLES
from feishu_ws.simulator.settings import SimulatorSettings
from feishu_ws.simulator.transmission import Split

Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]

SUFFIX: Final = ".toml"


class MishapKind(StrEnum):
    """What can befall a client."""

    RESET = "reset"  # TCP RST
    CLOSE = "close"  # a close frame with `code` and `reason`
    SILENT = "silent"  # a black hole
    MUTE = "mute"  # the link answers no application ping any more
    OUTAGE = "outage"  # every link reset and nothing listens, for `for_s`
    REFUSE_DISCOVERY = "refuse_discovery"  # with `code`, or with the HTTP `status`
    GARBLE_DISCOVERY = "garble_discovery"  # answered with something that is not JSON
    HANG_DISCOVERY = "hang_discovery"  # takes `delay_s`
    REFUSE_HANDSHAKE = "refuse_handshake"  # `status`, with Handshake-Autherrcode `code`
    PONG = "pong"  # pongs carry `config`
    GARBAGE = "garbage"  # a binary message that is no frame
    TEXT = "text"  # a text message


class Mishap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that befalls the client.

    Attributes:
        at_s: Seconds from the start to the first time.
        every_s: Seconds between times; 0: once.
        for_s: Seconds it lasts, for those that last; 0: until the end of the scenario.
        links: Whom it befalls, where it befalls links.
    """

    kind: MishapKind
    at_s: Seconds = 0
    every_s: Seconds = 0
    for_s: Seconds = 0
    links: Literal["one", "all"] = "one"
    code: int = 0
    status: int = 0
    reason: str = ""
    delay_s: Seconds = 0
    config: dict[str, Any] = {}


class SplitPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many events are split, and how; see `transmission.Split`."""

    share: Share = 0
    parts: Annotated[int, Meta(ge=2, le=64)] = 3
    shuffle: bool = False
    duplicates: Count = 0
    drop: Count = 0

    def split(self) -> Split:
        """Return how one event is split.

        Raises:
            FeishuWsError: `config_invalid`, nothing would be left to send.
        """
        return Split(self.parts, self.shuffle, self.duplicates, self.drop)


class Tuning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the simulator that a scenario needs; see `SimulatorSettings`."""

    time_scale: float | None = None
    ack_deadline_s: float | None = None
    max_connections: int | None = None
    seed: int | None = None


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent, and what goes wrong.

    Attributes:
        title: One line for people.
        events_per_s: 0 sends nothing.
        mix: Weights by name of a sample (`corpus.SAMPLES`).
        duplicate_share: Events that Feishu sends twice although the first was confirmed.
        card_share: Callbacks that come in frames of type `card` instead of `event`.
    """

    name: str
    title: str
    events_per_s: Seconds = 1.0
    mix: dict[str, Annotated[float, Meta(gt=0)]]
    duplicate_share: Share = 0
    card_share: Share = 0
    split: SplitPlan = SplitPlan()
    simulator: Tuning = Tuning()
    mishap: tuple[Mishap, ...] = ()

    def tune(self, settings: SimulatorSettings) -> SimulatorSettings:
        """Return `settings` with what this scenario asks for.

        Raises:
            FeishuWsError: `config_invalid`, a value is out of range.
        """
        wanted = msgspec.structs.asdict(self.simulator)
        return replace(settings, **{key: v for key, v in wanted.items() if v is not None})


def parse_scenario(text: str, where: str) -> Scenario:
    """Read a scenario; `where` is named in errors.

    Raises:
        FeishuWsError: `config_invalid`, saying what was seen and where.
    """
    try:
        found = msgspec.convert(tomllib.loads(text), Scenario)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as exc:
        raise _invalid(f"{where}: {exc}") from exc
    if not found.mix:
        raise _invalid(f"{where}: [mix] is empty, expected at least one sample")
    for name in found.mix:
        if name not in SAMPLES:
            raise _invalid(f"{where}: [mix] names {name!r}, {_nearest(name, SAMPLES)}")
    found.split.split()
    return found


def scenario_names() -> tuple[str, ...]:
    """Return the names of the shipped scenarios."""
    files = (entry.name for entry in _shipped().iterdir())
    return tuple(sorted(name.removesuffix(SUFFIX) for name in files if name.endswith(SUFFIX)))


def load_scenario(wanted: str) -> Scenario:
    """Return the shipped scenario of that name, or read the file at that path.

    Raises:
        FeishuWsError: `config_invalid`: there is neither, or it cannot be understood.
    """
    if wanted in scenario_names():
        return parse_scenario(
            _shipped().joinpath(wanted + SUFFIX).read_text("utf-8"), f"scenario {wanted}"
        )
    path = Path(wanted)
    if "/" not in wanted and path.suffix != SUFFIX:
        raise _invalid(f"scenario {wanted!r} is not known, {_nearest(wanted, scenario_names())}")
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise _invalid(f"scenario file {wanted}: cannot be read: {why}") from exc
    return parse_scenario(text, f"scenario file {wanted}")


def _shipped() -> Traversable:
    return resources.files("feishu_ws.simulator").joinpath("scenarios")


def _nearest(seen: str, known: Any) -> str:
    close = difflib.get_close_matches(seen, list(known), 1)
    if close:
        return f"the nearest known name is {close[0]!r}"
    return f"expected one of {', '.join(sorted(known)[:8])}, …"


def _invalid(detail: str) -> FeishuWsError:
    return FeishuWsError(Fault.CONFIG_INVALID, detail)
