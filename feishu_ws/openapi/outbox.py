"""Messages that are kept until their outcome is known, and that for a day more.

The promises are the journal's (12 to 15 of its contract). A message is kept as its
sender wrote it, so that a later version can read it too.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from feishu_ws.clock import Clock
from feishu_ws.faults import FeishuWsError
from feishu_ws.journal.contract import Journal
from feishu_ws.model import OutgoingSend, SendKind, SendOutcome
from feishu_ws.wire.native import Code, RpcError
from feishu_ws.wire.outgoing import Message, SendParams, read_send

PAGE: Final = 100
READ_AGAIN_S: Final = 1.0

_params: Final = msgspec.json.Decoder(SendParams)


def encode_request(params: SendParams) -> bytes:
    """Return a request in the one form in which it is kept.

    The same message may be written in several ways: its content as an object or as JSON
    in a string, with blanks or without, its keys in any order.
    """
    content = msgspec.json.decode(params.content)
    if isinstance(content, str):
        try:
            content = msgspec.json.decode(content)
        except msgspec.DecodeError:
            return msgspec.json.encode(params)  # for Feishu to refuse
    kept = msgspec.json.encode(content, order="sorted")
    return msgspec.json.encode(msgspec.structs.replace(params, content=msgspec.Raw(kept)))


class Outbox:
    """Kept messages."""

    def __init__(self, journal: Journal, *, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    async def keep(self, message: Message, params: SendParams) -> OutgoingSend:
        """Keep a message durably; return what is known of its uuid.

        Raises:
            RpcError: `INVALID_PARAMS`: the uuid was used for another message.
            FeishuWsError: The journal takes no writes: it was not kept.
        """
        request = encode_request(params)
        send = OutgoingSend.make(message.uuid, message.line, request, self._clock.wall_ms())
        row = await self._journal.open_send(send)
        if not row.asks_for(request):
            raise RpcError(
                Code.INVALID_PARAMS, "params.uuid was used for another message, expected a new one"
            )
        return row

    async def note(self, uuid: str, at_ms: int) -> SendOutcome | None:
        """Note durably that a message is about to be tried.

        Returns the outcome that it has already, and then it must not be tried.

        Raises:
            FeishuWsError: It could not be noted, so it must not be tried now.
        """
        if await self._journal.note_send_attempt(uuid, at_ms):
            return None
        row = await self._journal.find_send(uuid)
        known = None if row is None else row.outcome
        return known or SendOutcome(SendKind.DAMAGED, b'{"msg":"it is not kept any more"}')

    def close(
        self, uuid: str, outcome: SendOutcome, at_ms: int, done: asyncio.Future[SendOutcome]
    ) -> None:
        """Record an outcome; `done` has it once it is durable."""

        def tell(written: asyncio.Future[bool]) -> None:
            if not done.done() and not written.cancelled():
                done.set_result(outcome)

        self._journal.close_send(uuid, outcome, at_ms).add_done_callback(tell)

    async def unfinished(self) -> AsyncIterator[tuple[Message, OutgoingSend]]:
        """Give what an earlier life left without an outcome, in the order it was made.

        What cannot be read (any more) is closed as a dead letter.
        """
        after = 0
        while page := await self._page(after):
            after = page[-1].number
            for row in page:
                message = _read(row)
                if message is None:
                    answer = msgspec.json.encode({"msg": "what was to be sent cannot be read"})
                    outcome = SendOutcome(SendKind.DAMAGED, answer, is_dead=True)
                    self._journal.close_send(row.uuid, outcome, self._clock.wall_ms())
                else:
                    yield message, row

    async def _page(self, after: int) -> list[OutgoingSend]:
        while True:
            try:
                return list(await self._journal.unfinished_sends(after, PAGE))
            except FeishuWsError:  # the journal counts it and shows it as its fault
                await self._clock.sleep(READ_AGAIN_S)


def _read(row: OutgoingSend) -> Message | None:
    try:
        return read_send(_params.decode(row.request))
    except (msgspec.DecodeError, RpcError):
        return None
