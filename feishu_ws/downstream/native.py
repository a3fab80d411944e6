"""The native socket: who may come in, and where it listens.

A socket passed by the service manager is adopted and never unlinked. A file that is
left over from a crash is removed only after nobody answered on it.
"""

import asyncio
import errno
import grp
import os
import pwd
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from feishu_ws.downstream.desk import Desk
from feishu_ws.downstream.dispatcher import Dispatcher
from feishu_ws.downstream.outward import Office
from feishu_ws.downstream.peers import are_uids_mapped, peer_of
from feishu_ws.downstream.session import Session
from feishu_ws.downstream.settings import SocketSettings
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import ClientRefused, Observer
from feishu_ws.wire.native import Code, RpcError

MAX_CLIENTS: Final = 64
BACKLOG: Final = 128
DIRECTORY_MODE: Final = 0o755  # who may connect is for the mode of the socket to say


class NativeSocket:
    """Listens, admits clients and says goodbye to them."""

    def __init__(
        self,
        settings: SocketSettings,
        dispatcher: Dispatcher,
        desk: Desk,
        *,
        app_id: str,
        journal_id: str,
        status: Callable[[], dict[str, Any]],
        observe: Observer,
        passed: socket.socket | None = None,
        office: Office | None = None,
    ) -> None:
        self._settings = settings
        self._dispatcher = dispatcher
        self._desk = desk
        self._app_id = app_id
        self._journal_id = journal_id
        self._status = status
        self._observe = observe
        self._passed = passed
        self._office = office
        self._sessions: set[Session] = set()
        self._empty = asyncio.Event()
        self._server: asyncio.AbstractServer | None = None
        self._uids: frozenset[int] | None = None
        self._is_stopping = False

    @property
    def path(self) -> str:
        """Where clients connect: a socket that was passed is where it was bound."""
        return _bound_to(self._passed) if self._passed else str(self._settings.path)

    async def start(self) -> None:
        """Listen.

        Raises:
            FeishuWsError: `socket_in_use`, `socket_failed`, `peer_hidden`, `config_invalid`.
        """
        self._uids = _allowed_uids(self._settings.allow_users)
        listener = self._passed or _listen(self._settings)
        # From 3.13 on asyncio would unlink the file itself, also that of a socket passed to us.
        options: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._session, sock=listener, **options)

    def _session(self) -> Session:
        return Session(
            self._dispatcher,
            self._desk,
            app_id=self._app_id,
            journal_id=self._journal_id,
            status=self._status,
            observe=self._observe,
            office=self._office,
            admit=self._admit,
            dismiss=self._dismiss,
        )

    def _admit(self, session: Session) -> RpcError | None:
        """Return why a client may not stay, None if it may."""
        _, session.uid = peer_of(session.transport.get_extra_info("socket"))
        if self._is_stopping:
            return RpcError(Code.NOT_ALLOWED, "the daemon stops")
        if self._uids is not None and session.uid not in self._uids:
            self._observe(ClientRefused("uid", session.uid))
            return RpcError(Code.NOT_ALLOWED, f"uid {session.uid} is not allowed")
        if len(self._sessions) >= MAX_CLIENTS:
            self._observe(ClientRefused("full", session.uid))
            return RpcError(Code.FULL, f"there are {MAX_CLIENTS} clients, the most there can be")
        self._sessions.add(session)
        self._empty.clear()
        return None

    async def stop(self, settle_s: float) -> None:
        """Accept no more, say bye, read settles for up to `settle_s`, and close."""
        if self._server is None:
            return
        self._is_stopping = True
        self._server.close()
        self._dispatcher.say_bye("shutdown")
        for session in list(self._sessions):
            session.bye("shutdown")
        self._leave_if_empty()
        try:
            await asyncio.wait_for(self._empty.wait(), settle_s)
        except TimeoutError:
            self._abort_all()
        self._desk.close()
        if self._passed is None:
            self._settings.path.unlink(missing_ok=True)

    def _abort_all(self) -> None:
        for session in list(self._sessions):
            session.transport.abort()

    def _dismiss(self, session: Session) -> None:
        self._sessions.discard(session)
        self._leave_if_empty()

    def _leave_if_empty(self) -> None:
        if not self._sessions:
            self._empty.set()


def _bound_to(passed: socket.socket) -> str:
    """Return the address of a socket that the service manager bound; `@` begins an abstract one."""
    name = passed.getsockname()
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
    return text.replace("\0", "@", 1)


def _allowed_uids(users: tuple[str, ...]) -> frozenset[int] | None:
    """Return who may connect besides us and root; None where everybody may who can open it.

    Raises:
        FeishuWsError: A user that does not exist, or peers that cannot be told apart.
    """
    if not users:
        return None
    if are_uids_mapped():
        raise FeishuWsError(
            Fault.PEER_HIDDEN,
            "socket.allow_users is set, but this user namespace maps uids, so peers cannot be told apart",
        )
    uids = {0, os.getuid()}
    for user in users:
        try:
            uids.add(int(user) if user.isascii() and user.isdigit() else pwd.getpwnam(user).pw_uid)
        except KeyError as exc:
            raise FeishuWsError(
                Fault.CONFIG_INVALID,
                f"socket.allow_users: there is no user {user!r} on this machine",
            ) from exc
    return frozenset(uids)


def _listen(settings: SocketSettings) -> socket.socket:
    """Bind the socket file, with its mode and group set before anybody can connect."""
    path = settings.path
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_directory(path.parent)
        listener.bind(str(path))
        path.chmod(settings.mode)
        if settings.group:
            os.chown(path, -1, grp.getgrnam(settings.group).gr_gid)
        listener.listen(BACKLOG)
    except (OSError, KeyError) as exc:
        listener.close()
        reason = _reason(exc) if isinstance(exc, OSError) else f"no group {settings.group!r}"
        raise FeishuWsError(Fault.SOCKET_FAILED, f"cannot listen on {path}: {reason}") from exc
    listener.setblocking(False)  # noqa: FBT003 the library's signature
    return listener


def _make_directory(path: Path) -> None:
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(DIRECTORY_MODE)


def _reason(exc: OSError) -> str:
    return exc.strerror or str(exc)  # a path that is too long has no errno


def _remove_stale(path: Path) -> None:
    """Remove a socket file nobody listens on.

    Raises:
        FeishuWsError: `socket_in_use` if somebody does, `socket_failed` if it is no socket.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as exc:
        raise FeishuWsError(Fault.SOCKET_FAILED, f"cannot look at {path}: {_reason(exc)}") from exc
    if not stat.S_ISSOCK(mode):
        raise FeishuWsError(Fault.SOCKET_FAILED, f"{path} exists and is no socket")
    owner = _who_answers(path)
    if owner is not None:
        raise FeishuWsError(Fault.SOCKET_IN_USE, f"{owner} listens on {path}, expected it free")
    path.unlink(missing_ok=True)


def _who_answers(path: Path) -> str | None:
    """Return who listens on a socket file, None if nobody does.

    Raises:
        FeishuWsError: `socket_failed` where that cannot be told.
    """
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.settimeout(0)  # a listener accepts at once, or its backlog is full
    try:
        probe.connect(str(path))
        pid, _ = peer_of(probe)
    except BlockingIOError:
        return "a process too busy to accept"
    except OSError as exc:
        if exc.errno in {errno.ECONNREFUSED, errno.ENOENT}:
            return None
        raise FeishuWsError(Fault.SOCKET_FAILED, f"cannot probe {path}: {_reason(exc)}") from exc
    finally:
        probe.close()
    return f"process {pid}"
