"""The file: how it is made and opened, and what the errors on it mean.

Foreign errors become faults here and nowhere else in the journal.
"""

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal.schema import check_tables, check_version, migrate

FILE_MODE: Final = 0o600  # events are other people's messages
WRITER_CACHE_KIB: Final = 1024  # of pages; 4 MiB were not faster, with 60,000 keys or 2,000,000
READER_CACHE_KIB: Final = 256  # it reads every page once
WAL_LIMIT_BYTES: Final = 64 * 1024 * 1024  # a WAL that grew in a bad hour is cut back
_WRITER_PRAGMAS: Final = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "wal_autocheckpoint = 0",  # the writer does it between commits
    f"journal_size_limit = {WAL_LIMIT_BYTES}",
    f"cache_size = -{WRITER_CACHE_KIB}",
    "secure_delete = FAST",  # Debian's SQLite zeroes what is deleted: 25 times the writing
)
_NOT_UTF8: Final = "Could not decode to UTF-8"  # what Python says of a text in a table
_PROBE_BYTES: Final = 65_536  # more than the slack a file system keeps in half-used blocks
_WRITE_FAULTS: Final = {
    errno.EROFS: Fault.JOURNAL_READ_ONLY,
    errno.ENOSPC: Fault.DISK_FULL,
    errno.EDQUOT: Fault.DISK_FULL,
}


def make_private(path: Path) -> None:
    """Make the file, if it is missing, and see that only its owner can open it.

    SQLite gives the files beside it (`-wal`, `-shm`) the mode the file has when it makes them.

    Raises:
        FeishuWsError: `journal_io`, `journal_read_only` or `disk_full`.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
        for file in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            if file.exists():
                file.chmod(FILE_MODE)
    except OSError as exc:
        raise explain_os(exc, f"cannot open the journal {exc.filename or path}") from exc


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open the file for reading; nothing in it is changed.

    Raises:
        FeishuWsError: `journal_version`, the file is newer than this program;
            `journal_corrupt`, its tables are not all there, or it is another program's.
        sqlite3.Error: As the disk answers.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    with _closed_unless_good(connection):
        connection.execute("PRAGMA query_only = 1")
        connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
        check_version(connection)
        check_tables(connection, path)
    return connection


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open the file with the settings that the promises rest on, and migrate it.

    Raises:
        FeishuWsError: `journal_version`.
        sqlite3.Error: As the disk answers.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with _closed_unless_good(connection):
        if check_version(connection) == 0:  # only takes effect now; later it is a needless write
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        for pragma in _WRITER_PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        migrate(connection)
    return connection


@contextlib.contextmanager
def _closed_unless_good(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def explain(error: sqlite3.Error, path: Path) -> FeishuWsError:
    """Return the fault behind an error of SQLite."""
    if str(error).startswith(_NOT_UTF8):  # and then comes the text: somebody's message
        return FeishuWsError(Fault.JOURNAL_CORRUPT, f"a text in {path} is not UTF-8")
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    where = f"{name} on {path}: {error}"
    if name.startswith("SQLITE_FULL"):
        return FeishuWsError(Fault.DISK_FULL, where)
    if name.startswith("SQLITE_READONLY"):
        return FeishuWsError(Fault.JOURNAL_READ_ONLY, where)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return FeishuWsError(Fault.JOURNAL_CORRUPT, where)
    return FeishuWsError(_WRITE_FAULTS.get(_try_to_write(path), Fault.JOURNAL_IO), where)


def explain_os(error: OSError, what: str) -> FeishuWsError:
    """Return the fault behind an error of the system; `what` says what could not be done."""
    fault = _WRITE_FAULTS.get(error.errno or 0, Fault.JOURNAL_IO)
    return FeishuWsError(fault, f"{what}: {error.strerror}")


def _try_to_write(path: Path) -> int:
    """Return the errno of writing a page beside the journal, 0 if it can be written.

    SQLite calls many things an I/O error and keeps the errno to itself: a WAL index
    that cannot grow on a full disk, a file system that turned read-only.
    """
    probe = path.with_name(path.name + ".probe")
    try:
        fd = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        return exc.errno or 0
    try:
        written = os.pwrite(fd, bytes(_PROBE_BYTES), 0)
    except OSError as exc:
        return exc.errno or 0
    finally:
        os.close(fd)
        with contextlib.suppress(OSError):
            probe.unlink()
    return 0 if written == _PROBE_BYTES else errno.ENOSPC


def sync(path: Path) -> None:
    """Make a file or directory durable.

    Raises:
        OSError: As the disk answers.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # so says a file system that syncs no directories
            raise
    finally:
        os.close(fd)


def disk_space(path: Path) -> tuple[int, int]:
    """Return the bytes free for us where the journal lies, and those there are in all.

    Both are 0 if that cannot be told.
    """
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return 0, 0
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
