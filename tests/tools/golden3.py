"""Makes the golden journal of schema 3, `tests/journal/golden/schema3.db`.

The one of schema 2 with the table that version 3 added. It was made once and is never
made again: it stands for the files that are out there.
"""

import shutil
import sqlite3
import sys
from hashlib import blake2b
from pathlib import Path
from typing import Final

from tools import golden, golden2

from feishu_ws.journal.schema import MIGRATIONS

TARGET: Final = golden.TARGET.with_name("schema3.db")
NOW_MS: Final = golden.NOW_MS
LAST_NUMBER: Final = 9  # its row was removed


def _digest(uuid: str, queue: str, made_ms: int, request: bytes) -> bytes:
    named = f"{made_ms}\0{uuid}\0{queue}\0".encode()
    return blake2b(named + request, digest_size=16).digest()


def _made(number: int, uuid: str, queue: str, made_ms: int, request: bytes) -> tuple[object, ...]:
    return number, uuid, queue, request, _digest(uuid, queue, made_ms, request), made_ms


_TEXT: Final = (
    '{"receive_id":"oc_1","msg_type":"text","content":"{\\"text\\":\\"你好\\"}"}'.encode()
)
_LONG: Final = b'{"receive_id":"oc_2","content":"' + b"long " * 4000 + b'"}'
_SENT: Final = b'{"message_id":"om_1"}'
_REFUSED: Final = b'{"code":230002,"msg":"Bot/User can NOT be out of the chat."}'
SENDS: Final = (
    # id, uuid, queue, request, digest, made, attempts, first, closed, dead, kind, outcome
    (*_made(2, "waits", "oc_1", NOW_MS - 900, _TEXT), 0, None, None, 0, "", b""),
    (*_made(3, "tried", "", NOW_MS - 800, _LONG), 2, NOW_MS - 700, None, 0, "", b""),
    (4, "sent", "oc_1", b"", _digest("sent", "oc_1", NOW_MS - 600, _TEXT), NOW_MS - 600, 1,
     NOW_MS - 500, NOW_MS - 400, 0, "sent", _SENT),
    (*_made(6, "u" * 50, "oc_2", NOW_MS - 300, _LONG), 3, NOW_MS - 290, NOW_MS - 200, 1,
     "outcome_unknown", b""),
    (*_made(7, "late", "oc_3", NOW_MS - 100, _TEXT), 0, None, NOW_MS, 1, "expired", b""),
    (8, "refused", "oc_1", b"", _digest("refused", "oc_1", NOW_MS - 90, _TEXT), NOW_MS - 90, 1,
     NOW_MS - 80, NOW_MS - 70, 0, "refused", _REFUSED),
)  # fmt: skip


def make(target: Path) -> None:
    """Write the journal; all of it is in the file, nothing in a log."""
    shutil.copy(golden2.TARGET, target)
    db = sqlite3.connect(target, isolation_level=None)
    db.executescript(f"BEGIN;{MIGRATIONS[2]};PRAGMA user_version = 3;COMMIT;")
    db.executemany("INSERT INTO send VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", SENDS)
    db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'send'", (LAST_NUMBER,))
    db.close()


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
