"""What a daemon tells of itself, as far as doctor reads it. Pure.

Whoever answers with anything else under these names is no daemon of ours; what they are
called otherwise, and what is missing, does not matter: daemons of other versions differ.
"""

from typing import Annotated, Any, Final, TypeGuard

import msgspec
from msgspec import Meta, Struct

_MOST: Final = 2**53  # what every JSON reader keeps exactly; no time and no size is beyond

_Count = Annotated[int, Meta(ge=-_MOST, le=_MOST)]
_Seconds = Annotated[float, Meta(ge=-_MOST, le=_MOST)]


class _Link(Struct):
    link: _Count = 0
    state: str = ""
    since_ms: _Count = 0
    last_frame_ms: _Count | None = None
    failures: _Count | None = None
    fault: str | None = None
    retry_at_ms: _Count | None = None


class _Journal(Struct):
    path: str = ""
    last: _Count = 0
    size_bytes: _Count = 0
    limit_bytes: _Count = 0
    free_bytes: _Count = 0
    dead_letters: _Count = 0
    fault: str | None = None


class _Consumer(Struct):
    name: str = ""
    declared: bool = False
    durable: bool = True
    connected: bool = False
    pending: _Count = 0
    oldest_pending_ms: _Count | None = None


class _Loss(Struct):
    at_ms: _Count = 0
    fault: str | None = None
    lived_s: _Seconds | None = None
    times: _Count | None = None


class _Active(Struct):
    fault: str | None = None
    concern: str = ""
    subject: str = ""
    title: str = ""
    hint: str = ""
    lasted_s: _Seconds | None = None


class _Status(Struct):
    version: str = ""
    app_id: str = ""
    domain: str = ""
    proxy: str = ""
    now_ms: _Count = 0
    started_ms: _Count | None = None
    ready: bool = True
    fault: str | None = None
    hint: str = ""
    faults: tuple[_Active, ...] | None = ()
    needs_restart: tuple[str, ...] | None = ()
    refused: dict[str, _Count] | None = None
    links: tuple[_Link, ...] = ()
    links_wanted: _Count = 0
    journal: _Journal | None = None
    consumers: tuple[_Consumer, ...] = ()
    losses: tuple[_Loss, ...] = ()


def is_status(answer: object) -> TypeGuard[dict[str, Any]]:
    """Whether an answer is a daemon's status: of what doctor reads all is of its kind."""
    try:
        msgspec.convert(answer, _Status)
    except msgspec.ValidationError:
        return False
    return True
