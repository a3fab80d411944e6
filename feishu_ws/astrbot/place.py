"""Puts the plugin below AstrBot's data directory, and takes it away. Whole or not at all.

The copy is made beside its place and moved there with one rename; AstrBot never finds
half of it, since what is unfinished lies a directory too deep for it to load. Nothing
else below the data directory is touched.
"""

import os
import shutil
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

from feishu_ws.faults import Fault, FeishuWsError

PLUGIN: Final = "astrbot_plugin_feishu_ws"
METADATA: Final = "metadata.yaml"
CONFIG: Final = "cmd_config.json"
_SOURCE: Final = Path(__file__).parent / "plugin"
_MADE_BY_PYTHON: Final = "__pycache__"


class PlaceError(FeishuWsError):
    """The plugin cannot be put there.

    Args:
        detail: What was seen, what was expected, where.
        hint: What to do.
    """

    def __init__(self, detail: str, hint: str) -> None:
        super().__init__(Fault.USAGE, detail)
        self.hint = hint


class Outcome(StrEnum):
    """What became of it."""

    INSTALLED = "installed"
    UPDATED = "updated"
    UNCHANGED = "already there"
    REMOVED = "removed"
    ABSENT = "not there"


def check_data(data: Path) -> Path:
    """Return where plugins lie in AstrBot's data directory.

    Raises:
        PlaceError: It is none.
    """
    if not data.is_dir():
        raise PlaceError(
            f"{data} is no directory, expected AstrBot's data", "name its data directory"
        )
    if (data / CONFIG).is_file() or (data / "plugins").is_dir():
        return data / "plugins"
    inner = data / "data"
    if (inner / CONFIG).is_file() or (inner / "plugins").is_dir():
        raise PlaceError(f"{data} is AstrBot's root, expected its data", f"--data {inner}")
    seen = f"{data} has neither {CONFIG} nor plugins/, expected AstrBot's data directory"
    raise PlaceError(seen, "start AstrBot once, it makes them; in Docker it is /AstrBot/data")


def install(data: Path) -> Outcome:
    """Put the plugin in place, or a newer one in its place; twice is fine.

    Raises:
        PlaceError: There is no such directory, another plugin bears the name, or it
            cannot be written.
    """
    plugins = check_data(data)
    target = plugins / PLUGIN
    is_there = _is_ours(target)
    if is_there and _same(target):
        return Outcome.UNCHANGED
    with _Told(target):
        plugins.mkdir(exist_ok=True)
        _swap_in(target)
    return Outcome.UPDATED if is_there else Outcome.INSTALLED


def remove(data: Path) -> Outcome:
    """Take the plugin away; twice is fine.

    Raises:
        PlaceError: There is no such directory, another plugin bears the name, or it
            cannot be removed.
    """
    target = check_data(data) / PLUGIN
    if not _is_ours(target):
        return Outcome.ABSENT
    with _Told(target):
        _put_aside(target)
    return Outcome.REMOVED


class _Told:
    """Tells a foreign error of the file system as ours."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        if isinstance(exc, OSError):
            seen = f"{exc.strerror}, expected a place to write, {exc.filename or self._target}"
            raise PlaceError(seen, f"run it as the user that owns {self._target.parent}") from exc


def _is_ours(target: Path) -> bool:
    """Whether the plugin is there.

    Raises:
        PlaceError: Something else is.
    """
    if not target.exists() and not target.is_symlink():
        return False
    metadata = target / METADATA
    if metadata.is_file() and f"name: {PLUGIN}\n" in metadata.read_text("utf-8", "replace"):
        return True
    seen = f"{target} is no feishu-ws plugin, expected one or nothing"
    raise PlaceError(seen, "move it away first")


def _files(directory: Path) -> Iterator[Path]:
    found = (path for path in directory.rglob("*") if path.is_file())
    return (path for path in found if _MADE_BY_PYTHON not in path.parts)


def _same(target: Path) -> bool:
    wanted = {path.relative_to(_SOURCE): path.read_bytes() for path in _files(_SOURCE)}
    found = {path.relative_to(target): path.read_bytes() for path in _files(target)}
    return wanted == found


def _swap_in(target: Path) -> None:
    unfinished = target.parent / f".{PLUGIN}.{os.getpid()}"
    copied = unfinished / "new"
    try:
        shutil.copytree(_SOURCE, copied, ignore=shutil.ignore_patterns(_MADE_BY_PYTHON))
        _own_like(target.parent, copied)
        if target.exists():
            target.rename(unfinished / "old")
        copied.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _put_aside(target: Path) -> None:
    unfinished = target.parent / f".{PLUGIN}.{os.getpid()}"
    unfinished.mkdir()
    target.rename(unfinished / "old")
    shutil.rmtree(unfinished)


def _own_like(model: Path, directory: Path) -> None:
    """Give what root copied to the user whose AstrBot it is, and to nobody else."""
    if os.geteuid() == 0:
        owner = model.stat()
        for path in (directory, *directory.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
