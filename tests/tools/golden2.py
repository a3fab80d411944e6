"""Makes the golden journal of schema 2, `tests/journal/golden/schema2.db`.

The one of schema 1 with the table that version 2 added. It was made once and is never
made again: it stands for the files that are out there.
"""

import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Final

from tools import golden

from feishu_ws.journal.schema import MIGRATIONS

TARGET: Final = golden.TARGET.with_name("schema2.db")
_LOST: Final = (
    b'{"link":0,"ended_ms":1794999000000,"fault":"connection_lost","lived_s":812.4,'
    b'"detail":"reset by peer","close_code":1006,"unconfirmed":3,"took_s":0.25,'
    b'"phases_s":{"dns":0.01,"tcp":0.02},"tried":[{"fault":"dns_failed","phase":"dns",'
    b'"code":null,"times":7,"first_ms":1794999000500,"last_ms":1794999030000}],'
    b'"back_ms":1794999045000}'
)
_STOPPED: Final = b'{"link":1,"ended_ms":1794999999000,"fault":"local_stop","lived_s":60.0}'
_NEWER: Final = b'{"link":1,"ended_ms":1794999999001,"fault":"of_a_newer_program","lived_s":1.0}'
LIVES: Final = (
    # id, link, ended, record
    (5, 0, 1_794_999_000_000, _LOST),
    (6, 1, 1_794_999_999_000, _STOPPED),
    (8, 1, 1_794_999_999_001, _NEWER),
)


def make(target: Path) -> None:
    """Write the journal; all of it is in the file, nothing in a log."""
    shutil.copy(golden.TARGET, target)
    db = sqlite3.connect(target, isolation_level=None)
    db.executescript(f"BEGIN;{MIGRATIONS[1]};PRAGMA user_version = 2;COMMIT;")
    db.executemany("INSERT INTO life VALUES (?,?,?,?)", LIVES)
    db.close()


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
