"""What the writing thread does about outgoing sends: steps that go into its next commit.

Opening a send and noting an attempt are refused when that commit fails, as appends are:
nobody may send what is not on disk. An outcome is owed: the message is out, and a disk
that takes nothing now must not make it go out again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal.room import Room
from feishu_ws.journal.sends import SendTable
from feishu_ws.model import OutgoingSend

PAGE_BYTES: Final = 4096
STEP_PAGES: Final = (
    3  # what a step touches: its row, its uuid and its outcome's place, each elsewhere
)

Answer = Callable[[], None]


@dataclass(slots=True)
class Step:
    """Something that becomes of a send.

    Attributes:
        act: Does it inside a transaction; returns what is called on the loop after the
            commit. It is called again after a commit that failed.
        refuse: Called on the loop if it was not done.
        size: Bytes that it brings.
        is_owed: It is not refused when a commit fails, but goes into a later one.
    """

    act: Callable[[SendTable, Room], Answer]
    refuse: Callable[[FeishuWsError], None]
    size: int = 0
    is_owed: bool = False


def open_send(table: SendTable, room: Room, send: OutgoingSend) -> OutgoingSend:
    """Keep a send, if there is room for it; return what is known of its uuid.

    Raises:
        FeishuWsError: `journal_full`.
        sqlite3.Error: As the disk answers.
    """
    known = table.find(send.uuid)
    if known is not None:
        return known
    if not room.make(len(send.request), 1):
        raise FeishuWsError(Fault.JOURNAL_FULL, "journal.max_bytes is reached")
    return table.add(send)


class Outbox:
    """The steps that wait, used in the writing thread only.

    Attributes:
        has_refused: The last `write` had no room for something.
        written_bytes: About what the last `write` added to the WAL.
    """

    def __init__(self, table: SendTable, room: Room) -> None:
        self._table = table
        self._room = room
        self._steps: list[Step] = []
        self._refusable = 0
        self._answers: list[Answer] = []
        self.has_refused = False
        self.written_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._steps)

    @property
    def is_pressing(self) -> bool:
        """Whether a step waits that the next commit does or refuses."""
        return self._refusable > 0

    def put(self, step: Step) -> None:
        """Let a step go into the next commit."""
        self._steps.append(step)
        self._refusable += not step.is_owed

    def write(self) -> None:
        """Do the steps in their order.

        Raises:
            sqlite3.Error: As the disk answers; the transaction has to be rolled back.
        """
        self.has_refused = False
        self._answers = [self._do(step) for step in self._steps]
        size = sum(step.size for step in self._steps)
        self.written_bytes = size + STEP_PAGES * PAGE_BYTES * len(self._steps)

    def _do(self, step: Step) -> Answer:
        try:
            return step.act(self._table, self._room)
        except FeishuWsError as error:
            self.has_refused = True
            return partial(step.refuse, error)

    def succeed(self) -> list[Answer]:
        """The transaction is committed: return what to answer."""
        answers, self._answers = self._answers, []
        self._steps.clear()
        self._refusable = 0
        return answers

    def fail(self, error: FeishuWsError) -> list[Answer]:
        """The transaction was not committed: return what to answer; what is owed stays."""
        refused = [step for step in self._steps if not step.is_owed]
        self._steps = [step for step in self._steps if step.is_owed]
        self._refusable = 0
        self._answers.clear()
        return [partial(step.refuse, error) for step in refused]
