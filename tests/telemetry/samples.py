"""Facts to test with."""

from dataclasses import replace
from typing import Any

from feishu_ws.tally import Tally
from feishu_ws.telemetry.facts import ConsumerFact, Facts, JournalFact, LinkFact
from feishu_ws.wire.link import LinkState

NOW_MS = 1_774_004_591_415


def link(index: int = 0, state: LinkState = LinkState.CONNECTED, **changes: Any) -> LinkFact:
    made = LinkFact(index, state, since_ms=NOW_MS - 5_000, last_frame_ms=NOW_MS - 1_000, lives=1)
    if state is LinkState.CONNECTED:
        made = replace(made, established_ms=NOW_MS - 5_000)
    return replace(made, **changes)


def consumer(name: str = "astrbot", **changes: Any) -> ConsumerFact:
    made = ConsumerFact(name, declared=True, durable=True, connected=True, cursor=7)
    return replace(made, **changes)


def journal(**changes: Any) -> JournalFact:
    made = JournalFact(
        id="6b1f3a52-0000-4000-8000-000000000000",
        first=1,
        last=12,
        path="/var/lib/feishu-ws/journal.db",
        size_bytes=40_960,
        limit_bytes=1024**3,
        free_bytes=8 * 1024**3,
        waiting_bytes=0,
        dead_letters=0,
    )
    return replace(made, **changes)


def facts(**changes: Any) -> Facts:
    made = Facts(
        version="0.1.0",
        app_id="cli_a1b2c3",
        started_ms=NOW_MS - 60_000,
        now_ms=NOW_MS,
        links=(link(0), link(1)),
        links_wanted=2,
        journal=journal(),
        consumers=(consumer(),),
        tally=Tally(),
        last_event_ms=NOW_MS - 2_000,
    )
    return replace(made, **changes)
