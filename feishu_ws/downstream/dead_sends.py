"""The dead sends: kept messages of which Feishu has none, or nobody knows whether it has.

None is tried again. Feishu makes one message of all requests with one uuid for an hour
only, and after that perhaps a second one; so whoever still wants it sent sends it anew,
under a uuid of its own.
"""

import asyncio
import base64
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from feishu_ws.downstream.dead import STEP, Answer, durable, unfit
from feishu_ws.downstream.settings import MAX_POSITION
from feishu_ws.happenings import DeadSendsDropped, Observer
from feishu_ws.journal.contract import Journal
from feishu_ws.model import MAX_UUID_CHARS, OutgoingSend, SendOutcome
from feishu_ws.wire.admin import (
    MOST_DEAD_PER_PAGE,
    MOST_SENDS,
    DeadChoiceParams,
    DeadListParams,
)
from feishu_ws.wire.native import Code, RpcError

SHOWN: Final = 5  # uuids that an error message names


class DeadSends:
    """Shows and removes them. See `Admin` for what its answers are like."""

    def __init__(self, journal: Journal, *, observe: Observer) -> None:
        self._journal = journal
        self._observe = observe
        self._changing = asyncio.Lock()  # what was found of them holds until it is removed

    async def page(self, params: DeadListParams, *, with_receiver: bool) -> Answer:
        """Return `{"sends":[…],"sends_total":n}`, in the order they were accepted.

        Each has uuid, number (for `sends_after`), kind (a word of `SendKind`), tries,
        made_ms, died_ms, size (bytes of the request), and `with_receiver` to: whom it was
        for, or the message it replied to. There are none of one consumer.

        Raises:
            RpcError: `INVALID_PARAMS`: a limit or number out of range.
            FeishuWsError: The journal cannot be read.
        """
        if not 0 <= params.sends_after <= MAX_POSITION:
            raise unfit("sends_after", params.sends_after, f"0 to {MAX_POSITION}")
        if not 1 <= params.limit <= MOST_DEAD_PER_PAGE:
            raise unfit("limit", params.limit, f"1 to {MOST_DEAD_PER_PAGE}")
        if params.consumer is not None:
            return {"sends": [], "sends_total": 0}
        rows: list[Answer] = []
        after = params.sends_after
        # One read brings a MiB of requests at most, and they need not be held.
        while some := await self._journal.dead_sends(after, params.limit - len(rows)):
            rows += [_row(send, with_receiver=with_receiver) for send in some]
            after = some[-1].number
            if len(rows) == params.limit:
                break
        is_all = not params.sends_after and len(rows) < params.limit
        total = len(rows) if is_all else max(self._journal.facts().dead_sends, len(rows))
        return {"sends": rows, "sends_total": total}

    async def show(self, uuid: str) -> Answer:
        """Return one as `page` does with its receiver, and what is known besides.

        That is first_tried_ms (null if it never was), said (what its sender was told), and
        request: the params of `send`, or request_base64 where the disk lost what they were.

        Raises:
            RpcError: `UNKNOWN_POSITION`: there is none.
            FeishuWsError: The journal cannot be read.
        """
        send, outcome = (await self._find([uuid]))[0]
        shown = {
            **_row(send, with_receiver=True),
            "first_tried_ms": send.first_attempt_ms,
            "said": _raw(outcome.answer) or {},
        }
        request = _raw(send.request)
        if request is not None:
            return {**shown, "request": request}
        return {**shown, "request_base64": base64.b64encode(send.request).decode()}

    async def drop(self, params: DeadChoiceParams) -> int:
        """Remove dead sends and forget their uuids; return how many.

        Raises:
            RpcError: `UNKNOWN_POSITION`, listing what is no dead send; `INVALID_PARAMS`.
            FeishuWsError: The journal cannot be read.
        """
        if params.consumer is not None:
            raise unfit("consumer", params.consumer[:64], "none: a send is nobody's")
        async with self._changing:
            if params.all_sends:
                if params.sends:
                    seen = "params name sends and all_sends, expected one"
                    raise RpcError(Code.INVALID_PARAMS, seen)
                return await self._drop_all()
            uuids = list(dict.fromkeys(params.sends))
            if len(uuids) > MOST_SENDS:
                raise unfit("sends", f"{len(uuids)} of them", f"1 to {MOST_SENDS}, or all_sends")
            await self._find(uuids)
            return sum(
                [await self._drop(uuids[at : at + STEP]) for at in range(0, len(uuids), STEP)]
            )

    async def _drop_all(self) -> int:
        """Remove what is dead by now, in steps that keep nobody waiting."""
        dropped = after = 0
        while page := await self._journal.dead_sends(after, STEP):
            after = page[-1].number
            dropped += await self._drop([send.uuid for send in page])
        return dropped

    async def _drop(self, uuids: Sequence[str]) -> int:
        dropped = await durable(self._journal.drop_sends(uuids))
        if dropped:
            self._observe(DeadSendsDropped(len(dropped)))
        return len(dropped)

    async def _find(self, uuids: Sequence[str]) -> list[tuple[OutgoingSend, SendOutcome]]:
        """Return dead sends by their uuids.

        Raises:
            RpcError: `UNKNOWN_POSITION`, listing those that are none.
        """
        found: list[tuple[OutgoingSend, SendOutcome]] = []
        missing: list[str] = []
        for uuid in uuids:
            send = await self._journal.find_send(uuid) if len(uuid) <= MAX_UUID_CHARS else None
            if send is not None and send.outcome is not None and send.outcome.is_dead:
                found.append((send, send.outcome))
            else:
                missing.append(uuid)
        if missing:
            shown = ", ".join(repr(uuid[:64]) for uuid in missing[:SHOWN])
            more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
            seen = f"no dead send {shown}{more}"
            raise RpcError(Code.UNKNOWN_POSITION, seen, {"sends": missing})
        return found


def _row(send: OutgoingSend, *, with_receiver: bool) -> Answer:
    row: dict[str, Any] = {
        "uuid": send.uuid,
        "number": send.number,
        "kind": "" if send.outcome is None else send.outcome.kind,
        "tries": send.attempts,
        "made_ms": send.made_ms,
        "died_ms": send.closed_ms,
        "size": len(send.request),
    }
    return {**row, "to": send.queue} if with_receiver else row


def _raw(data: bytes) -> msgspec.Raw | None:
    """Return JSON as it is, on one line; None if it is none."""
    try:
        msgspec.json.decode(data)
        return msgspec.Raw(msgspec.json.format(data, indent=-1))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
