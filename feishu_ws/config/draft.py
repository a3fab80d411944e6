"""Reads file and environment into a draft: values, where they came from, what is wrong.

Nothing is raised here: everything wrong is noted, so that all of it is reported at once.
"""

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from feishu_ws.config.keys import (
    ENV_CONFIG,
    ENV_PREFIX,
    JOURNAL_KEY,
    KEYS,
    NOT_KEYS,
    SECTIONS,
    SOCKET_KEY,
    VARIABLES,
    Key,
)
from feishu_ws.config.kinds import FilePath, UnfitError, show

Environment = Mapping[str, str]

LOCAL_FILE: Final = "feishu-ws.toml"
SYSTEM_FILE: Final = "/etc/feishu-ws/config.toml"
MAX_FILE_BYTES: Final = 1024 * 1024
BY_DEFAULT: Final = "default"


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file that was asked for or found; `table` is None where it could not be read."""

    path: str
    table: Mapping[str, Any] | None
    is_open_to_others: bool = False


@dataclass(slots=True)
class Draft:
    """What is known so far, and everything wrong with it.

    Attributes:
        missing: Files that were looked for and are not there.
        values: Parsed values by key; the default where what was given is unfit.
        unfit: Keys with an error; no further rule is applied to them.
    """

    env: Environment
    file: ConfigFile | None = None
    missing: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unfit: set[str] = field(default_factory=set)

    def refuse(self, key: str, seen: str, expected: str, source: str = "") -> None:
        """Note an error; without a `source` it is where the key came from."""
        self.unfit.add(key)
        self.errors.append(f"{key}: {seen}, expected {expected} ({source or self.sources[key]})")

    def warn(self, key: str, seen: str, expected: str, source: str = "") -> None:
        """Note something unwise."""
        self.warnings.append(f"{key}: {seen}, expected {expected} ({source or self.sources[key]})")


def is_file_lost(draft: Draft) -> bool:
    """Whether there is a file that could not be read: what is missing may be in it."""
    return draft.file is not None and draft.file.table is None


def draw_up(path: str | None, env: Environment) -> Draft:
    """Read file and environment; every key has a value and a source afterwards."""
    draft = Draft(env)
    draft.file = _find_file(path, draft)
    given = _take_file(draft) | _take_environment(draft)
    defaults = default_paths(env, is_root=os.geteuid() == 0)
    for key in KEYS.values():
        draft.sources.setdefault(key.path, BY_DEFAULT)
        draft.values[key.path] = defaults.get(key.path, key.default)
        if key.path in given:
            _take_value(draft, key, given[key.path])
    return draft


# -- the file -------------------------------------------------------------------------------


def _find_file(path: str | None, draft: Draft) -> ConfigFile | None:
    asked = path or draft.env.get(ENV_CONFIG)
    if asked:
        return _read_file(asked, draft)
    is_there = Path(LOCAL_FILE).exists()
    if is_there:
        owner = Path(LOCAL_FILE).stat().st_uid
        if owner in {0, os.geteuid()}:
            return _read_file(LOCAL_FILE, draft)
        draft.warn(
            "config file", f"left alone, it belongs to uid {owner}", "you or root", LOCAL_FILE
        )
    if Path(SYSTEM_FILE).exists():
        return _read_file(SYSTEM_FILE, draft)
    draft.missing = (SYSTEM_FILE,) if is_there else (f"./{LOCAL_FILE}", SYSTEM_FILE)
    return None


def _read_file(path: str, draft: Draft) -> ConfigFile:
    expected = f"a readable TOML file of at most {MAX_FILE_BYTES} bytes"
    try:
        with Path(path).open("rb") as file:
            others = is_open_to_others(os.fstat(file.fileno()).st_mode)
            text = file.read(MAX_FILE_BYTES + 1)
        if len(text) > MAX_FILE_BYTES:
            draft.refuse("config file", "a longer one", expected, path)
            return ConfigFile(path, None)
        return ConfigFile(path, tomllib.loads(text.decode()), others)
    except OSError as exc:
        draft.refuse("config file", reason(exc), expected, path)
    except (ValueError, RecursionError) as exc:  # not UTF-8, or not TOML
        draft.refuse("config file", str(exc), expected, path)
    return ConfigFile(path, None)


def reason(exc: OSError) -> str:
    """Return the system's words for an error, without the path."""
    return (exc.strerror or type(exc).__name__).lower()


def is_open_to_others(mode: int) -> bool:
    """Whether group or world may read a file of this mode."""
    return bool(mode & (stat.S_IRGRP | stat.S_IROTH))


def _take_file(draft: Draft) -> dict[str, object]:
    given: dict[str, object] = {}
    if draft.file is None or draft.file.table is None:
        return given
    for path, value in _flat(draft, draft.file):
        if path in KEYS:
            given[path] = value
            draft.sources[path] = draft.file.path
        else:
            named = path if re.fullmatch(r"[\w.-]+", path) else show(path)
            draft.refuse(named, "an unknown key", nearest(path), draft.file.path)
    return given


def _flat(draft: Draft, file: ConfigFile) -> list[tuple[str, object]]:
    """Return the file's values by dotted key, also those that no section holds."""
    rows: list[tuple[str, object]] = []
    for section, table in (file.table or {}).items():
        if isinstance(table, dict):
            rows += [(f"{section}.{name}", value) for name, value in table.items()]
        elif section in SECTIONS:
            draft.refuse(section, "a value", f"a table [{section}]", file.path)
        else:
            rows.append((section, table))
    return rows


def nearest(path: str) -> str:
    """Return the known key most like `path`; one of the same name in any section first."""
    name = path.rpartition(".")[2]
    same = [key.path for key in KEYS.values() if key.name == name]
    return get_close_matches(path, same or list(KEYS), n=1, cutoff=0)[0]


# -- the environment ------------------------------------------------------------------------


def _take_environment(draft: Draft) -> dict[str, object]:
    given: dict[str, object] = {}
    for variable in sorted(draft.env):
        if not variable.startswith(ENV_PREFIX) or variable in NOT_KEYS:
            continue
        if variable not in VARIABLES:
            close = get_close_matches(variable, VARIABLES, n=1, cutoff=0)[0]
            draft.refuse(variable, "an unknown variable", close, "environment")
            continue
        key = VARIABLES[variable]
        draft.sources[key.path] = variable
        given[key.path] = _Written(draft.env[variable])
    return given


class _Written(str):
    """A value that came as text and is still to be read as its kind."""

    __slots__ = ()


def _take_value(draft: Draft, key: Key, value: object) -> None:
    try:
        read = key.kind.read_text(str(value)) if isinstance(value, _Written) else value
        parsed = key.kind.parse(read)
    except UnfitError as exc:
        seen = exc.seen or key.kind.show_unfit(value)
        draft.refuse(key.path, seen, exc.expected or key.kind.expected)
        return
    if not isinstance(key.kind, FilePath):
        draft.values[key.path] = parsed
    elif parsed:
        draft.values[key.path] = _absolute(parsed, draft.sources[key.path])


def _absolute(path: str, source: str) -> str:
    """Return the path; a relative one of a file counts from the file's directory."""
    start = "" if source.startswith(ENV_PREFIX) else str(Path(source).parent)
    return str(Path(start, Path(path).expanduser()).absolute())


def default_paths(env: Environment, *, is_root: bool) -> dict[str, str]:
    """Return where journal and socket are when nobody says.

    systemd gives several directories separated by colons; the first is meant.
    Without $XDG_RUNTIME_DIR the socket lies beside the journal: /tmp is everybody's.
    Source: CONTRACT 4; systemd.exec(5); XDG Base Directory Specification.
    """
    home = env.get("HOME") or "/"
    state_home = _absolute_or(env.get("XDG_STATE_HOME", ""), f"{home}/.local/state")
    run_home = _absolute_or(env.get("XDG_RUNTIME_DIR", ""), state_home)
    state = "/var/lib/feishu-ws" if is_root else f"{state_home}/feishu-ws"
    run = "/run/feishu-ws" if is_root else f"{run_home}/feishu-ws"
    state = env.get("STATE_DIRECTORY", "").split(":")[0] or state
    run = env.get("RUNTIME_DIRECTORY", "").split(":")[0] or run
    return {JOURNAL_KEY: f"{state}/journal.db", SOCKET_KEY: f"{run}/events.sock"}


def _absolute_or(path: str, otherwise: str) -> str:
    return path if path.startswith("/") else otherwise
