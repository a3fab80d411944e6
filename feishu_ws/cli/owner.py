"""The journal of a daemon that is stopped: taken under its lock, worked on, and given back.

Opened as the daemon opens it, with the daemon's settings, so that nothing in it depends
on who did. Never makes a journal where there is none.
"""

import asyncio
import contextlib
import glob
import os
from collections.abc import Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from feishu_ws import rooms
from feishu_ws.clock import Clock, SystemClock
from feishu_ws.config import Settings
from feishu_ws.downstream.admin import Admin
from feishu_ws.downstream.desk import Desk
from feishu_ws.downstream.dispatcher import Dispatcher
from feishu_ws.downstream.peers import Authority
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import Happening, JournalFaulted, JournalSalvaged
from feishu_ws.journal.sqlite import SqliteJournal
from feishu_ws.tally import Tally
from feishu_ws.wire.native import Call, Code, RpcError

T = TypeVar("T")

CLOSE_S: Final = 5.0  # nobody waits for us as a service manager waits for the daemon
PRIVATE: Final = 0o077  # events are other people's messages


class Owner:
    """Owns a journal from `async with` to its end.

    Attributes:
        salvaged: What was told if it was damaged and is a new one now, else "".

    Raises:
        FeishuWsError: On entering: `journal_locked`, saying whose it is, or another
            fault of the journal; the file is as it was then.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._uid = os.geteuid()
        self.path = rooms.journal_path(settings)
        self.salvaged = ""

    async def __aenter__(self) -> Self:
        os.umask(PRIVATE)
        self._belongs = _owner_of(self.path)
        self._others = {*self._files()} - {self.path}
        self._trouble: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        clock, tally = SystemClock(), Tally()
        self._journal = SqliteJournal(
            self.path, rooms.journal(self._settings), clock=clock, tally=tally, observe=self._note
        )
        try:
            self._journal.open()
        except FeishuWsError:
            self._give_back()
            raise
        self._desk = self._build_desk(clock, tally)
        return self

    def _build_desk(self, clock: Clock, tally: Tally) -> Desk:
        """Make what the daemon makes, as far as orders need it."""
        settings, observe = self._settings, self._note
        dispatcher = Dispatcher(
            self._journal, rooms.delivery(settings), clock=clock, tally=tally, observe=observe
        )
        admin = Admin(
            self._journal, dispatcher, app_id=settings.app.id, clock=clock, observe=observe
        )
        return Desk(admin, Authority(self._uid), observe=observe)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._trouble.cancel()
        await self._journal.close(CLOSE_S)
        self._give_back()

    def _note(self, happening: Happening) -> None:
        """A daemon would go on trying; a command says what is wrong."""
        if isinstance(happening, JournalSalvaged):
            self.salvaged = (
                f"the journal was damaged ({happening.detail}); {happening.events} events are in a"
                f" new one, {happening.lost_events} are lost, {self.path}; the damaged one is kept,"
                f" {happening.kept}"
            )
        if isinstance(happening, JournalFaulted) and not self._trouble.done():
            self._trouble.set_exception(FeishuWsError(happening.fault, happening.detail))
            self._trouble.exception()  # raised by whoever waits; nobody may

    async def ask(self, method: str, params: dict[str, Any]) -> bytes:
        """Do what the daemon does for this method, and return the result's JSON.

        Raises:
            RpcError: As the daemon would refuse.
            FeishuWsError: The journal cannot be read or written.
        """
        call = Call(method, msgspec.Raw(msgspec.json.encode(params)))
        errand = self._desk.accept(call, self._uid)
        if errand is None:
            raise RpcError(Code.METHOD_NOT_FOUND, f"no method {method!r}")
        answer = await self._unless_trouble(errand())
        for consumer in answer.get("consumers", ()):
            await self._count(consumer)
        return msgspec.json.encode(answer)

    async def _count(self, consumer: dict[str, Any]) -> None:
        """Say exactly what is pending: a journal just opened counts in its first moments."""
        name = consumer["consumer"]
        consumer["pending"] = await self._journal.count_held(name, self._journal.last)

    async def _unless_trouble(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.get_running_loop().create_task(work, name="admin")
        either: set[asyncio.Future[Any]] = {task, self._trouble}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
            self._trouble.result()
        return task.result()

    def _give_back(self) -> None:
        """Let root leave no file behind that the daemon's user cannot open."""
        if self._uid != 0:
            return
        for file in {*self._files()} - self._others:
            with contextlib.suppress(OSError):  # gone meanwhile
                os.chown(file, *self._belongs, follow_symlinks=False)

    def _files(self) -> Iterator[Path]:
        """Return the journal and what lies beside it under its name."""
        return self.path.parent.glob(f"{glob.escape(self.path.name)}*")


def _owner_of(path: Path) -> tuple[int, int]:
    """Return uid and gid of a journal.

    Raises:
        FeishuWsError: There is none (`daemon_unreachable`: only a daemon makes one), or
            it cannot be looked at (`journal_io`).
    """
    try:
        found = path.stat()
    except FileNotFoundError as exc:
        seen = f"no journal, expected one that a daemon left, {path}"
        raise FeishuWsError(Fault.DAEMON_UNREACHABLE, seen) from exc
    except OSError as exc:
        reason = (exc.strerror or str(exc)).lower()
        seen = f"{reason}, expected a journal open to this user, {path}"
        raise FeishuWsError(Fault.JOURNAL_IO, seen) from exc
    return found.st_uid, found.st_gid
