"""Messages that were never sent, as an operator of a real daemon meets them."""

import asyncio
import json
import subprocess
import sys

from processes import DaemonProcess
from support import eventually

from feishu_ws.clock import SystemClock
from feishu_ws.happenings import ignore
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.sqlite import SqliteJournal
from feishu_ws.model import OutgoingSend
from feishu_ws.tally import Tally

NOWHERE = "http://127.0.0.1:9"
HOUR_MS = 3_600_000
WORDS = "geheime Worte"


async def leave(path, **made_ms):
    """Make the journal of a daemon that ended with kept messages, by uuid when they were made."""
    journal = SqliteJournal(
        path, JournalSettings(), clock=SystemClock(), tally=Tally(), observe=ignore
    )
    journal.open()
    for uuid, at_ms in made_ms.items():
        request = {
            "msg_type": "text", "content": {"text": WORDS}, "receive_id_type": "chat_id",
            "receive_id": "oc_a1b2", "uuid": uuid, "durable": True,
        }  # fmt: skip
        send = OutgoingSend.make(uuid, "oc_a1b2", json.dumps(request).encode(), at_ms)
        await journal.open_send(send)
    await journal.close(5)


def command(daemon, *words):
    """Run a command beside the daemon; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "feishu_ws", *words, "--socket", str(daemon.socket_path)],
        env=daemon.env, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return done.stdout


def gauges(daemon):
    """Return the metrics of durable sends."""
    names = ("sends_open", "sends_oldest_timestamp_seconds", "dead_sends")
    lines = daemon.get("/metrics")[1].decode().splitlines()
    found = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return [float(found[f"feishu_ws_{name}"]) for name in names]


async def test_seen_and_dropped(tmp_path):
    """What waits and what died is in status and metrics; the dead are listed, shown and dropped."""
    now_ms = SystemClock().wall_ms()
    await leave(tmp_path / "journal.db", late=now_ms - 2 * HOUR_MS, waiting=now_ms)
    with DaemonProcess(tmp_path, NOWHERE) as daemon:
        await asyncio.to_thread(daemon.start)
        await eventually(lambda: gauges(daemon) == [1, now_ms / 1000, 1], 10)
        status = daemon.status()["journal"]
        page = daemon.get("/")[1].decode()
        told = command(daemon, "status")
        listed = command(daemon, "dead")
        as_json = json.loads(command(daemon, "dead", "--json"))
        shown = command(daemon, "dead", "show", "--send", "late")
        dropped = command(daemon, "dead", "drop", "--send", "late")
        await eventually(lambda: gauges(daemon)[2] == 0, 5)
        left = command(daemon, "dead")
        await asyncio.to_thread(daemon.stop)

    assert (status["open_sends"], status["oldest_send_ms"], status["dead_sends"]) == (1, now_ms, 1)
    assert "1 on the way, the oldest for " in told
    assert "1 dead, see `feishu-ws dead`" in told
    assert listed.splitlines()[1].split()[:2] == ["late", "expired"]
    assert "oc_a1b2" in listed
    assert [(send["uuid"], send["kind"], send["to"]) for send in as_json["sends"]] == [
        ("late", "expired", "oc_a1b2")
    ]
    assert WORDS in shown
    assert (dropped, left) == ("1 send is given up for good\n", "no dead letters\n")
    assert not any(WORDS in text for text in (told, listed, page, str(as_json), daemon.log()))
    assert daemon.log_lines("dead_sends.dropped")[0]["count"] == 1
