"""Journal: of a running daemon what it tells, of a stopped one whether it could be written.

The journal is never opened as a database: a file's owner, its bytes and a probe beside
it say enough, and a stopped daemon finds everything as it left it.
"""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from feishu_ws.cli.examine.finding import Finding, fail, ok, warn
from feishu_ws.cli.examine.journal_flaw import find_flaw
from feishu_ws.cli.examine.owners import command_of, user_of
from feishu_ws.cli.render import size
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal.schema import VERSION, NoJournalError

DEADLINE_S: Final = 4.0  # a disk that takes longer is past the 2.8 s a commit may take
SLOW_S: Final = 0.5
SCARCE_BYTES: Final = 256 * 1024 * 1024
NEARLY: Final = 0.8  # of journal.max_bytes
PROBE_BYTES: Final = 65_536
LOCK_SUFFIX: Final = ".lock"
BESIDE: Final = ("-wal", "-shm")  # Source: sqlite.org/wal.html
LOCKS: Final = Path("/proc/locks")
UNLESS_DAMAGED: Final = (
    f"{NoJournalError.hint}; of a damaged journal a start carries over what can be read"
)

_MAGIC: Final = b"SQLite format 3\0"
_HEADER_BYTES: Final = 100
_USER_VERSION: Final = slice(60, 64)
"""Where a database's header has its user_version. Source: sqlite.org/fileformat2.html 1.3."""
_FAULTS: Final = {errno.EROFS: Fault.JOURNAL_READ_ONLY, errno.ENOSPC: Fault.DISK_FULL}


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found where the journal lies, or shall lie.

    Attributes:
        owner: Who holds its lock, None if nobody.
        version: Of its tables, None where there is no file yet.
        is_database: Whether what lies there is one.
        flaw: Why a start would not take it as it is, None if it would.
        synced_s: How long a small write took until it was on disk.
        ancestor: The nearest directory that is there, of which the rest would be made.
        strangers: Files beside the journal whose owner is not the directory's.
    """

    path: Path
    owner: str | None = None
    error: OSError | None = None
    version: int | None = None
    is_database: bool = True
    flaw: FeishuWsError | None = None
    size_bytes: int = 0
    free_bytes: int = 0
    synced_s: float = 0.0
    ancestor: Path | None = None
    strangers: tuple[str, ...] = ()


# -- of a running daemon --------------------------------------------------------------------


def judge_running(status: Mapping[str, Any], configured_path: str) -> Finding:
    """Return how the daemon's journal is.

    Args:
        status: What the daemon tells.
        configured_path: `journal.path` of this command's configuration, "" if unknown.
    """
    journal: Mapping[str, Any] = status.get("journal") or {}
    used, limit = journal.get("size_bytes", 0), journal.get("limit_bytes", 0)
    free, last = journal.get("free_bytes", 0), journal.get("last", 0)
    path = journal.get("path", "")
    seen = f"{path}: positions to {last}, {size(used)} of {size(limit)}, {size(free)} free"
    facts = {"path": path, "last": last, "size_bytes": used, "free_bytes": free}
    fault = next((each for each in Fault if each == journal.get("fault")), None)
    if fault is not None:
        hint = status.get("hint", "") if status.get("fault") == fault else ""
        return fail(fault, seen + _cost(status, fault), hint, **facts)
    if limit and used > NEARLY * limit:
        hint = "get the consumers going again, or raise journal.max_bytes"
        return warn(seen, Fault.JOURNAL_FULL, hint, **facts)
    least = min(SCARCE_BYTES, max(limit - used, 0))
    if free < least:
        return warn(f"{seen}; less than {size(least)} is free", Fault.DISK_FULL, **facts)
    if configured_path and path and not _is_one_place(configured_path, path):
        other = f"{seen}; this configuration says {configured_path}"
        return warn(other, hint="name that daemon's configuration with --config", **facts)
    return ok(seen, **facts)


def _is_one_place(one: str, other: str) -> bool:
    """Whether two paths lead to the same place; no file needs to be there, or be readable.

    Source: systemd.exec(5), DynamicUser=: /var/lib/NAME is a link into /var/lib/private.
    """
    return os.path.realpath(one) == os.path.realpath(other)


def _cost(status: Mapping[str, Any], fault: Fault) -> str:
    """Return how many events the daemon had to refuse for a fault, "" if none."""
    refused = (status.get("refused") or {}).get(fault, 0)
    if not refused:
        return ""
    return f"; {refused} refused for it since the start, Feishu sends them again"


# -- of a stopped one -----------------------------------------------------------------------


def look(path: Path) -> Looked:
    """Look, write a probe and remove it. Blocks as long as the disk does."""
    try:
        if not _is_dir(path.parent):
            return _look_above(path)
        owner = who_holds(path.with_name(path.name + LOCK_SUFFIX))
        return _look_at(path) if owner is None else Looked(path, owner=owner)
    except OSError as exc:
        return Looked(path, error=exc)


def who_holds(lock: Path, table: Path = LOCKS) -> str | None:
    """Return who holds a journal's lock, None if nobody does.

    The lock is held for microseconds at most, and only where the kernel's table names
    nobody: a daemon that starts meanwhile would be told that its journal is taken.
    """
    try:
        found = lock.stat()
    except FileNotFoundError:
        return None
    if pid := find_holder(_read(table), found.st_dev, found.st_ino):
        return command_of(pid)
    fd = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:  # by a process that this pid namespace does not show
        return command_of(0)
    finally:
        os.close(fd)
    return None


def find_holder(locks: str, device: int, inode: int) -> int:
    """Return the process that /proc/locks says has locked a file, 0 if none. Pure."""
    wanted = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    for line in locks.splitlines():
        columns = line.split()
        if columns[1:2] == ["FLOCK"] and columns[5:6] == [wanted]:
            return max(int(columns[4]), 0)
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _is_dir(path: Path) -> bool:
    """Whether a directory is there; raises where that cannot be told."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return False


def _look_above(path: Path) -> Looked:
    """Look whether the missing directories could be made."""
    ancestor = next(each for each in path.parents if each.exists())
    free = _free(ancestor)
    return Looked(path, error=_forbids(ancestor), free_bytes=free, ancestor=ancestor)


def _forbids(place: Path) -> OSError | None:
    """Return why nothing can be made in a directory, None if something can."""
    number = 0
    if not place.is_dir():
        number = errno.ENOTDIR
    elif os.statvfs(place).f_flag & os.ST_RDONLY:
        number = errno.EROFS
    elif not os.access(place, os.W_OK | os.X_OK):
        number = errno.EACCES
    return OSError(number, os.strerror(number), str(place)) if number else None


def obstacle(path: Path) -> str:
    """Return why this user could not keep a journal there, "" if it could; writes nothing."""
    try:
        error = _forbids(next(each for each in path.parents if each.exists()))
        if error is None and path.exists() and not os.access(path, os.R_OK | os.W_OK):
            error = OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    except OSError as exc:
        error = exc
    if error is None:
        return ""
    words = (error.strerror or str(error)).lower()
    return f"{words} for {user_of(os.geteuid())} at {error.filename or path}"


def _look_at(path: Path) -> Looked:
    free = _free(path.parent)
    try:
        version, is_database, bytes_there = _read_header(path)
        flaw = find_flaw(path) if is_database else None
        synced_s = _write_probe(path)
    except OSError as exc:
        return Looked(path, error=exc, free_bytes=free)
    return Looked(
        path,
        version=version,
        is_database=is_database,
        flaw=flaw,
        size_bytes=bytes_there,
        free_bytes=free,
        synced_s=synced_s,
        strangers=_strangers(path),
    )


def _strangers(path: Path) -> tuple[str, ...]:
    owner = path.parent.stat().st_uid
    files = (path, *(path.with_name(path.name + suffix) for suffix in (*BESIDE, LOCK_SUFFIX)))
    return tuple(file.name for file in files if file.exists() and file.stat().st_uid != owner)


def _read_header(path: Path) -> tuple[int | None, bool, int]:
    """Return the version of the tables, whether it is a database, and the file's size."""
    try:
        with path.open("r+b") as file:  # as the daemon must be able to; nothing is written
            header = file.read(_HEADER_BYTES)
            bytes_there = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return None, True, 0
    if not header:  # made, and not written yet
        return 0, True, 0
    is_database = len(header) == _HEADER_BYTES and header.startswith(_MAGIC)
    return int.from_bytes(header[_USER_VERSION], "big"), is_database, bytes_there


def _write_probe(path: Path) -> float:
    """Return the seconds until a small write beside the journal was on disk."""
    probe = path.with_name(f"{path.name}.doctor-{os.getpid()}")
    began = time.monotonic()
    try:
        fd = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise OSError(exc.errno, exc.strerror, str(path.parent)) from exc
    try:
        written = os.write(fd, bytes(PROBE_BYTES))
        os.fsync(fd)
    finally:
        os.close(fd)
        with contextlib.suppress(OSError):
            probe.unlink()
    if written < PROBE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path.parent))
    return time.monotonic() - began


def _free(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def judge(looked: Looked) -> Finding:
    """Return how the journal of a stopped daemon is."""
    path = looked.path
    facts: dict[str, Any] = {"path": str(path), "free_bytes": looked.free_bytes}
    if looked.owner is not None:
        hint = "ask that process with --socket, or stop it"
        seen = f"{path} is locked by {looked.owner}, which answers on no socket known here"
        return fail(Fault.JOURNAL_LOCKED, seen, hint, **facts)
    if looked.error is not None:
        return _judge_error(looked, looked.error, facts)
    free = f"{size(looked.free_bytes)} free"
    if looked.ancestor is not None:
        return ok(f"{path}: not there yet, {looked.ancestor} lets it be made, {free}", **facts)
    if looked.flaw is not None or not looked.is_database:
        return _judge_flaw(looked, facts)
    if (looked.version or 0) > VERSION:
        seen = f"{path} has schema version {looked.version}, this feishu-ws knows up to {VERSION}"
        return fail(Fault.JOURNAL_VERSION, seen, **facts)
    return _judge_room(looked, free, facts)


def _judge_flaw(looked: Looked, facts: dict[str, Any]) -> Finding:
    flaw = looked.flaw
    if flaw is None:
        seen = f"{looked.path} is no SQLite database, expected one or nothing"
        return fail(Fault.JOURNAL_CORRUPT, seen, UNLESS_DAMAGED, **facts)
    hint = flaw.hint if isinstance(flaw, NoJournalError) else ""
    return fail(flaw.fault, flaw.detail, hint, **facts)


def _judge_room(looked: Looked, free: str, facts: dict[str, Any]) -> Finding:
    synced_ms = round(looked.synced_s * 1000)
    facts |= {"size_bytes": looked.size_bytes, "synced_ms": synced_ms}
    there = "not there yet" if looked.version is None else size(looked.size_bytes)
    seen = f"{looked.path}: {there}, {free}, a synced write takes {synced_ms} ms"
    if looked.strangers:
        owner = f"the owner of {looked.path.parent}"
        foreign = f"{seen}; {', '.join(looked.strangers)} not of {owner}"
        return warn(foreign, Fault.JOURNAL_IO, f"chown them to {owner}", **facts)
    if looked.synced_s > SLOW_S:
        return warn(seen, Fault.JOURNAL_SLOW, **facts)
    if looked.free_bytes < SCARCE_BYTES:
        scarce = f"{seen}; less than {size(SCARCE_BYTES)} is free"
        return warn(scarce, Fault.DISK_FULL, **facts)
    return ok(seen, **facts)


def _judge_error(looked: Looked, error: OSError, facts: dict[str, Any]) -> Finding:
    fault = _FAULTS.get(error.errno or 0, Fault.JOURNAL_IO)
    words = (error.strerror or str(error)).lower()
    seen = f"{error.filename or looked.path}: {words}"
    if error.errno not in {errno.EACCES, errno.EPERM}:
        return fail(fault, seen, **facts)
    seen = f"{seen} for {user_of(os.geteuid())}; {_owner(looked)}"
    return fail(fault, seen, "chown it to the daemon's user, or run this as that user", **facts)


def _owner(looked: Looked) -> str:
    directory = looked.ancestor or looked.path.parent
    try:
        found = directory.stat()
    except OSError:
        return "its directory cannot be looked at"
    mode = stat.S_IMODE(found.st_mode)
    return f"{directory} belongs to {user_of(found.st_uid)}, mode {mode:04o}"


def judge_stuck() -> Finding:
    """Return what a disk that does not answer is."""
    seen = f"the disk gave no answer in {DEADLINE_S:g} s"
    return fail(Fault.JOURNAL_SLOW, seen)
