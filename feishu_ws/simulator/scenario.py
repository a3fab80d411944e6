"""Scenarios: what a simulated Feishu sends and how it misbehaves, as data.

A scenario is a TOML file, one of those shipped here (by name) or the user's own (by
path). It says how many events of which kinds come, how many of them are split or sent
twice, and which mishaps befall the client when. `tour.toml` explains every key.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.simulator.corpus import SAMPLES
from feishu_ws.simulator.mishaps import (
    KINDS,
    AnyMishap,
    Count,
    Parts,
    Seconds,
    Share,
    nearest,
)
from feishu_ws.simulator.settings import SimulatorSettings
from feishu_ws.simulator.transmission import Split

SUFFIX: Final = ".toml"
WILD: Final = frozenset("*?[")
ONE_LINE: Final = r"^[^\r\n]+$"


class SplitPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many events are split, and how; see `transmission.Split`."""

    share: Share = 0
    parts: Parts = 3
    shuffle: bool = False
    duplicates: Count = 0
    drop: Count = 0
    empty: Count = 0
    out_of_range: Count = 0

    def split(self) -> Split:
        """Return how one event is split.

        Raises:
            FeishuWsError: `config_invalid`, nothing would be left to send.
        """
        return Split(
            self.parts, self.shuffle, self.duplicates, self.drop, self.empty, self.out_of_range
        )


class Tuning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the simulator that a scenario needs; see `SimulatorSettings`."""

    time_scale: float | None = None
    redelivery_s: tuple[Seconds, ...] | None = None
    ack_deadline_s: float | None = None
    max_connections: int | None = None
    client_config: dict[str, Any] | None = None
    payload_encoding: str | None = None
    payload_type: str | None = None
    first_ping_s: float | None = None
    idle_s: float | None = None
    seed: int | None = None


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent, and what goes wrong.

    Attributes:
        summary: One line for people.
        events_per_s: 0 sends nothing.
        mix: Weights by name of a sample (`corpus.SAMPLES`), or by a pattern such as
            `drive.*`, which gives each sample it matches that weight.
        duplicate_share: Events that Feishu sends twice although the first was confirmed.
        card_share: Callbacks that come in frames of type `card` instead of `event`.
        daemon: Settings a daemon should have to see all of it, by name; only told.
    """

    name: str
    summary: Annotated[str, Meta(pattern=ONE_LINE)]
    events_per_s: Seconds = 1.0
    mix: dict[str, Annotated[float, Meta(gt=0)]]
    duplicate_share: Share = 0
    card_share: Share = 0
    daemon: dict[str, str | int | float] = {}
    split: SplitPlan = SplitPlan()
    simulator: Tuning = Tuning()
    mishap: tuple[AnyMishap, ...] = ()

    @property
    def weights(self) -> dict[str, float]:
        """Weights by name of a sample, patterns replaced by what they match."""
        found: dict[str, float] = {}
        for key, weight in self.mix.items():
            found |= dict.fromkeys(matching(key), weight)
        return found

    def tune(self, settings: SimulatorSettings) -> SimulatorSettings:
        """Return `settings` with what this scenario asks for.

        Raises:
            FeishuWsError: `config_invalid`, a value is out of range.
        """
        wanted = msgspec.structs.asdict(self.simulator)
        return replace(settings, **{key: v for key, v in wanted.items() if v is not None})


def matching(key: str) -> list[str]:
    """Return the samples that a key of `mix` names, which may be none."""
    if key in SAMPLES or not WILD & set(key):
        return [key] if key in SAMPLES else []
    return [name for name in SAMPLES if fnmatchcase(name, key)]


def parse_scenario(text: str, where: str) -> Scenario:
    """Read a scenario; `where` is named in errors.

    Raises:
        FeishuWsError: `config_invalid`, saying what was seen and where.
    """
    try:
        table = tomllib.loads(text)
        check_keys(table, where)
        found = msgspec.convert(table, Scenario)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as exc:
        raise _invalid(f"{where}: {exc}") from exc
    if not found.mix:
        raise _invalid(f"{where}: [mix] is empty, expected at least one sample")
    for key in found.mix:
        if not matching(key):
            raise _invalid(f"{where}: [mix] names {key!r}, {nearest(key, SAMPLES)}")
    try:
        found.split.split()
    except FeishuWsError as exc:
        raise _invalid(f"{where}: {exc.detail}") from exc
    return found


def check_keys(table: Mapping[str, Any], where: str) -> None:
    """Check that every key is one of a scenario.

    Raises:
        FeishuWsError: `config_invalid`, naming the key and the one that was perhaps meant.
    """
    _check_table(table, Scenario, where)
    for name, kind in (("split", SplitPlan), ("simulator", Tuning)):
        if isinstance(table.get(name), dict):
            _check_table(table[name], kind, f"{where}: [{name}]")
    mishaps = table.get("mishap", [])
    if not isinstance(mishaps, list):
        raise _invalid(f"{where}: [mishap] is one table, expected [[mishap]]")
    for number, mishap in enumerate(mishaps, 1):
        if isinstance(mishap, dict):
            _check_mishap(mishap, f"{where}: mishap {number}")


def _check_mishap(mishap: Mapping[str, Any], where: str) -> None:
    seen = mishap.get("kind")
    if not isinstance(seen, str):
        raise _invalid(f'{where} has no kind, expected such as kind = "reset"')
    if seen not in KINDS:
        raise _invalid(f"{where} is of kind {seen!r}, {nearest(seen, KINDS)}")
    plain = {key: value for key, value in mishap.items() if key != "kind"}
    _check_table(plain, KINDS[seen], f"{where} ({seen})")


def _check_table(table: Mapping[str, Any], kind: type[msgspec.Struct], where: str) -> None:
    for key in table:
        if key not in kind.__struct_fields__:
            raise _invalid(f"{where} has key {key!r}, {nearest(key, kind.__struct_fields__)}")


def scenario_names() -> tuple[str, ...]:
    """Return the names of the shipped scenarios."""
    files = (entry.name for entry in _shipped().iterdir())
    return tuple(sorted(name.removesuffix(SUFFIX) for name in files if name.endswith(SUFFIX)))


def summaries() -> dict[str, str]:
    """Return what each shipped scenario is about, by name."""
    return {name: load_scenario(name).summary for name in scenario_names()}


def scenario_text(wanted: str) -> str:
    """Return the TOML of the shipped scenario of that name, or of the file at that path.

    Raises:
        FeishuWsError: `config_invalid`: there is neither.
    """
    if wanted in scenario_names():
        return _shipped().joinpath(wanted + SUFFIX).read_text("utf-8")
    path = Path(wanted)
    if "/" not in wanted and path.suffix != SUFFIX:
        raise _invalid(f"scenario {wanted!r} is not known, {nearest(wanted, scenario_names())}")
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise _invalid(f"scenario file {wanted}: cannot be read: {why}") from exc


def load_scenario(wanted: str) -> Scenario:
    """Return the shipped scenario of that name, or read the file at that path.

    Raises:
        FeishuWsError: `config_invalid`: there is neither, or it cannot be understood.
    """
    what = "scenario" if wanted in scenario_names() else "scenario file"
    return parse_scenario(scenario_text(wanted), f"{what} {wanted}")


def _shipped() -> Traversable:
    return resources.files("feishu_ws.simulator").joinpath("scenarios")


def _invalid(detail: str) -> FeishuWsError:
    return FeishuWsError(Fault.CONFIG_INVALID, detail)
