"""Socket: which daemon answers there, who else does, or whether one could listen."""

import asyncio
import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from feishu_ws.cli.examine.finding import Finding, fail, ok, warn
from feishu_ws.cli.examine.owners import (
    command_of,
    group_of,
    is_feishu_ws,
    listener_of,
    user_of,
)
from feishu_ws.cli.examine.told import is_status
from feishu_ws.cli.reach import DIED, HANGS
from feishu_ws.cli.render import age
from feishu_ws.client import Code, Disconnected, NotAllowed, RpcError, ask
from feishu_ws.faults import Fault

DEADLINE_S: Final = 3.0  # a daemon answers in milliseconds
ROOT: Final = "root"
INIT: Final = 1  # listens in a daemon's name, with socket activation


@dataclass(frozen=True, slots=True)
class Called:
    """What became of asking a daemon for its status.

    Attributes:
        status: What it told, None if nobody did.
        error: Why there is no status; None with no status if nothing came in time.
        pid: Who listens, 0 if unknown.
        mode: Of what lies at the path, None if nothing does.
    """

    path: str
    status: Mapping[str, Any] | None = None
    error: Exception | None = None
    pid: int = 0
    mode: int | None = None
    owner: str = ""

    @property
    def is_answered(self) -> bool:
        """Whether a daemon told how it is."""
        return self.status is not None

    @property
    def is_listened_on(self) -> bool:
        """Whether anybody listens, be it a daemon or not, or that cannot be told."""
        is_absent = isinstance(self.error, Disconnected) and not self.pid
        return self.is_answered or not is_absent


async def call(path: str) -> Called:
    """Ask whoever listens at `path` for its status."""
    mode, owner = _who_owns(path)
    pid = listener_of(path)
    status: object = None
    error: Exception | None = None
    try:
        async with asyncio.timeout(DEADLINE_S):
            status = await ask(path, "status", timeout_s=2 * DEADLINE_S)  # ours comes first
    except TimeoutError:
        error = None
    except (Disconnected, NotAllowed, RpcError) as exc:
        error = exc
    told = status if is_status(status) else None
    return Called(path, told, error, pid, mode, owner)


def _who_owns(path: str) -> tuple[int | None, str]:
    try:
        found = Path(path).stat()
    except OSError:
        return None, ""
    return found.st_mode, f"{user_of(found.st_uid)}:{group_of(found.st_gid)}"


# -- judging --------------------------------------------------------------------------------


def judge_running(called: Called) -> Finding:
    """Return how the daemon's socket is, from what it told."""
    status: Mapping[str, Any] = called.status or {}
    up = age((status.get("now_ms", 0) - (status.get("started_ms") or 0)) / 1000)
    version, where = status.get("version", "?"), _place(called)
    who = "the service manager listens" if called.pid == INIT else command_of(called.pid)
    facts = {"path": called.path, "pid": called.pid, "version": version}
    return ok(f"{where}: {who}, feishu-ws {version} up {up}", **facts)


def judge(called: Called, *, is_journal_held: bool) -> Finding:
    """Return what is at the socket where no daemon told how it is.

    Args:
        called: What came of asking.
        is_journal_held: Whether some process owns the journal: then a daemon runs.
    """
    if called.is_answered:
        return judge_running(called)
    error = called.error
    if isinstance(error, NotAllowed):
        return _judge_denied(called)
    if isinstance(error, RpcError):
        hint = "end other clients" if error.code == Code.FULL else ""
        return fail(Fault.CLIENT_REFUSED, f"{called.path}: {error.message}", hint)
    if called.pid:
        return _judge_silent(called, is_journal_held=is_journal_held)
    return _judge_absent(called, is_journal_held=is_journal_held)


def _judge_denied(called: Called) -> Finding:
    """Return what to do where the socket's permissions refuse us; nobody is to join root's group."""
    me = user_of(os.geteuid())
    seen = f"{_place(called)} does not let {me} connect"
    group = called.owner.partition(":")[2]
    has_group = bool(called.mode and called.mode & stat.S_IWGRP) and group != ROOT
    join = f"let {me} join the group: usermod -aG {group} {me}"
    hint = f"run it as root (sudo), or {join}" if has_group else NotAllowed.hint
    return fail(Fault.CLIENT_REFUSED, seen, hint, path=called.path)


def _judge_silent(called: Called, *, is_journal_held: bool) -> Finding:
    who = command_of(called.pid)
    said = "gave no answer" if called.error is None else "gave no status"
    seen = f"{who} listens on {called.path} and {said}, expected feishu-ws"
    if is_journal_held or is_feishu_ws(called.pid):
        return fail(Fault.DAEMON_UNREACHABLE, seen, HANGS, pid=called.pid)
    return fail(Fault.SOCKET_IN_USE, seen, pid=called.pid)


def _judge_absent(called: Called, *, is_journal_held: bool) -> Finding:
    if called.mode is not None and not stat.S_ISSOCK(called.mode):
        seen = f"{called.path} is no socket, and in the way of one"
        return fail(Fault.SOCKET_FAILED, seen, "move that file away")
    left = "" if called.mode is None else ", what lies there was left by a crash"
    seen = f"no daemon listens on {called.path}{left}"
    if is_journal_held:
        hint = "name the socket of the process that owns the journal with --socket"
        return fail(Fault.DAEMON_UNREACHABLE, seen, hint)
    if left:
        return fail(Fault.DAEMON_UNREACHABLE, seen, DIED, path=called.path)
    if obstacle := _obstacle(Path(called.path)):
        hint = "check owner and mode of the directory of socket.path"
        return fail(Fault.SOCKET_FAILED, f"{seen}; {obstacle}", hint)
    return warn(seen, Fault.DAEMON_UNREACHABLE, path=called.path)


def _obstacle(path: Path) -> str:
    """Return why a daemon of this user could not listen there, "" if it could."""
    try:
        ancestor = next(each for each in path.parents if each.exists())
        if os.access(ancestor, os.W_OK | os.X_OK):
            return ""
    except OSError as exc:
        ancestor = Path(str(exc.filename or path))
    return f"{ancestor} lets {user_of(os.geteuid())} make nothing: {os.strerror(errno.EACCES)}"


def _place(called: Called) -> str:
    if called.mode is None:
        return called.path
    return f"{called.path} (mode {stat.S_IMODE(called.mode):04o}, {called.owner})"
