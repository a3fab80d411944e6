"""Makes the golden journal of schema 1, `tests/journal/golden/schema1.db`.

It was made once, by the program that first wrote schema 1, and is never made again:
it stands for the files that are out there. Every journal since has to open it.
What is in it is spelled out here, so that a test can compare.
"""

import sqlite3
import sys
from pathlib import Path
from typing import Final

from feishu_ws.events.envelope import open_envelope
from feishu_ws.events.keys import dedupe_keys
from feishu_ws.journal.schema import MIGRATIONS

TARGET: Final = Path(__file__).resolve().parents[1] / "journal" / "golden" / "schema1.db"
NOW_MS: Final = 1_795_000_000_000
ID: Final = "0f6c1d1e-7c55-4b0e-9d0a-5d2b6d0c9a11"
LAST: Final = 12  # the last position given out; its event was pruned


def _message(event_id: str, text: str, sender: str = "user") -> bytes:
    head = (
        f'"header":{{"event_id":"{event_id}","event_type":"im.message.receive_v1",'
        '"create_time":"1794999999000","tenant_key":"t1","app_id":"cli_1"}'
    )
    message = f'{{"message_id":"om_{event_id}","chat_id":"oc_1","content":"{text}"}}'
    event = f'"event":{{"sender":{{"sender_type":"{sender}"}},"message":{message}}}'
    return f'{{"schema":"2.0",{head},{event}}}'.encode()


_CARD: Final = (
    b'{"schema":"2.0","header":{"event_id":"card","event_type":"card.action.trigger",'
    b'"create_time":"1794999999000000","tenant_key":"t1","app_id":"cli_1"},'
    b'"event":{"context":{"open_chat_id":"oc_2"}}}'
)
_OLD: Final = (
    b'{\n "uuid": "old", "ts": "1794999998.5", "type": "event_callback",\n "event": '
    b'{"type": "user.created_v1", "tenant_key": "t1", "app_id": "cli_1"}\n}'
)
_MESSAGE: Final = "im.message.receive_v1"
_MS: Final = 1_794_999_999_000
EVENTS: Final = (
    # position, received, type, event id, schema, tenant, app, created, subject, chat, flags, payload
    (3, NOW_MS - 9, _MESSAGE, "one", "2.0", "t1", "cli_1", _MS, "oc_1", "oc_1", 1,
     _message("one", "你好 \\ud83d\\ude00")),
    (4, NOW_MS - 8, _MESSAGE, "bot", "2.0", "t1", "cli_1", _MS, "oc_1", "oc_1", 9,
     _message("bot", "from an app", "app")),
    (5, NOW_MS - 7, "card.action.trigger", "card", "2.0", "t1", "cli_1", _MS, "oc_2", "oc_2", 5,
     _CARD),
    (6, NOW_MS - 6, "user.created_v1", "old", "1.0", "t1", "cli_1", 1_794_999_998_500, "", "", 2,
     _OLD),
    (8, NOW_MS - 5, "feishu.unknown", "", "", "", "", None, "", "", 0, b"\xff\x00 no JSON \n"),
    (9, NOW_MS - 4, "feishu.unknown", "", "", "", "", None, "", "", 1, b"[1,2,3]"),
    (10, NOW_MS - 3, "feishu.unknown", "", "", "", "", None, "", "", 0, b""),
    (11, NOW_MS - 2, _MESSAGE, "long", "2.0", "t1", "cli_1", _MS, "oc_1", "oc_1", 1,
     _message("long", "long " * 4000)),
)  # fmt: skip
GONE: Final = (_message("gone", "pruned, and still known"), NOW_MS - 3_600_000)
"""An event that was pruned and whose keys are still known, and when it was seen."""

CONSUMERS: Final = (
    # name, filter, cursor, declared, last seen
    ("declared", b'{"types":["im.*","card.*"],"chats":["oc_1","oc_2"],"ignore_own":true}', 3, 1,
     NOW_MS),
    ("plain", b'{"types":["*"],"chats":[],"ignore_own":false}', 12, 0, 0),
    ("slow", b'{"types":["*"],"chats":[],"ignore_own":false}', 2, 0, NOW_MS - 60_000),
)  # fmt: skip
AHEAD: Final = (("declared", 5, 6), ("slow", 4, 4), ("slow", 8, 9))
ATTEMPTS: Final = (
    ("declared", 11, 3, NOW_MS + 8000, "again later"),
    ("slow", 3, 1, 0, ""),
    ("slow", 5, 0, 0, ""),
)
DEAD: Final = (
    (1, "gone", 3, "expired", "", 0, NOW_MS - 1),
    (4, "slow", 4, "max_attempts", "what it said", 16, NOW_MS),
)  # id, consumer, position, reason, note, attempts, died
FACTS: Final = (
    ("credentials_proven", "9f86d081"),
    ("journal_id", ID),
    ("last_fault", f"disk_full {NOW_MS}"),
)


def keys() -> list[tuple[int, bytes, int]]:
    """Return the rows of known keys: those of the pruned event first."""
    seen = [(GONE[0], GONE[1]), *((row[-1], row[1]) for row in EVENTS)]
    found = [
        (key, at_ms)
        for payload, at_ms in seen
        for key in dedupe_keys(open_envelope(payload), payload)
    ]
    return [(n, key, at_ms) for n, (key, at_ms) in enumerate(found, start=5)]


def make(target: Path) -> None:
    """Write the journal; all of it is in the file, nothing in a log."""
    target.unlink(missing_ok=True)
    db = sqlite3.connect(target, isolation_level=None)
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.executescript(f"BEGIN;{MIGRATIONS[0]};PRAGMA user_version = 1;COMMIT;")
    rows = {
        "event": EVENTS, "seen": keys(), "consumer": CONSUMERS, "ahead": AHEAD,
        "attempt": ATTEMPTS, "dead": DEAD, "fact": FACTS,
    }  # fmt: skip
    for table, values in rows.items():
        marks = ",".join("?" * len(values[0]))
        db.executemany(f"INSERT INTO {table} VALUES ({marks})", values)
    db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'event'", (LAST,))
    db.execute("PRAGMA journal_mode = WAL")  # as every journal; the log is gone after the close
    db.close()


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
