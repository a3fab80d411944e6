"""Sends messages: each in its receiver's queue, within Feishu's limits, until it has an outcome.

The rules of a try are in `steps.py`, those of waiting in `queues.py`; this file carries
them out. Invariants:

- A message that was accepted gets exactly one outcome, unless the daemon ends first; a
  kept one (`durable`) gets it then after the next start.
- A kept message is tried only after the journal has noted that it will be.
- At most `MAX_BYTES` of messages are in memory, at most `IN_FLIGHT` on their way.
"""

import asyncio
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from feishu_ws.clock import Clock
from feishu_ws.faults import Fault, FeishuWsError, Remedy
from feishu_ws.happenings import (
    ApiFaulted,
    ApiRecovered,
    Observer,
    SendBuried,
    SendFailed,
)
from feishu_ws.model import SendOutcome
from feishu_ws.nudge import Nudge
from feishu_ws.openapi.caller import Caller
from feishu_ws.openapi.limits import Limits
from feishu_ws.openapi.outbox import Outbox
from feishu_ws.openapi.queues import FullError, Queues
from feishu_ws.openapi.steps import (
    PATIENCE_S,
    Again,
    Done,
    after_answer,
    after_fault,
    read_outcome,
    too_late,
)
from feishu_ws.tally import Tally
from feishu_ws.wire.native import Code, RpcError
from feishu_ws.wire.outgoing import Message, SendParams, read_send

MAX_BYTES: Final = 64 * 1024 * 1024
IN_FLIGHT: Final = 64
MAX_ANSWER: Final = 256 * 1024
LIMITED_S: Final = (
    900.0  # of being told to slow down, then whoever waits is told; Feishu names less
)
TIDY_S: Final = 60.0
FAILED: Final = "failed"


@dataclass(slots=True, eq=False)
class Job:
    """A message on its way to its outcome.

    Attributes:
        made_ms: When it was accepted, Unix milliseconds.
        first_ms: When a kept one was tried first, None if it never was.
        done: Its outcome; or the fault for which it was given up, which is no outcome.
        failing_since_s: Since when tries have failed, None while they have not.
        tried_since_s: When a try first was no success.
    """

    message: Message
    made_ms: int
    first_ms: int | None = None
    tries: int = 0
    failing_since_s: float | None = None
    tried_since_s: float | None = None
    done: asyncio.Future[SendOutcome] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Sender:
    """Takes messages and sees each to its outcome. `run` has to run.

    Args:
        outbox: Where kept messages are.
        luck: 0 to 1, what spreads waits.
    """

    def __init__(
        self,
        caller: Caller,
        outbox: Outbox,
        limits: Limits,
        *,
        clock: Clock,
        tally: Tally,
        observe: Observer,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self._caller = caller
        self._outbox = outbox
        self._queues: Queues[Job] = Queues(limits)
        self._clock = clock
        self._tally = tally
        self._observe = observe
        self._luck = luck
        self._nudge = Nudge()
        self._kept: dict[str, Job] = {}
        self._loaded = asyncio.Event()
        self._trying: set[asyncio.Task[None]] = set()
        self._bytes = 0
        self._tidied_s = clock.monotonic()
        self._faulted_since_s: float | None = None

    # -- taking in ------------------------------------------------------------------------

    async def send(self, params: SendParams) -> dict[str, str]:
        """Send a message; return Feishu's `message_id`.

        Raises:
            RpcError: `INVALID_PARAMS`, `FULL`, `FEISHU_REFUSED`, or `INTERNAL_ERROR` with the
                fault: it was given up, or could not be kept.
        """
        params.uuid = params.uuid or uuid.uuid4().hex
        message = read_send(params)
        job = await self._keep(message, params) if message.durable else self._add(message)
        try:
            return read_outcome(await asyncio.shield(job.done))
        except FeishuWsError as fault:
            raise _gave_up(fault) from fault

    def _add(self, message: Message) -> Job:
        self._check_room(message)
        job = Job(message, self._clock.wall_ms())
        self._enqueue(job)
        return job

    async def _keep(self, message: Message, params: SendParams) -> Job:
        """Have a message kept, and return the one job there is for its uuid."""
        await self._loaded.wait()
        if message.uuid not in self._kept:
            self._check_room(message)
        try:
            row = await self._outbox.keep(message, params)
        except FeishuWsError as fault:
            raise _gave_up(fault) from fault
        if row.outcome is not None:
            job = Job(message, row.made_ms)
            job.done.set_result(row.outcome)
            return job
        known = self._kept.get(message.uuid)
        if known is None:
            known = self._kept[message.uuid] = Job(message, row.made_ms, row.first_attempt_ms)
            self._enqueue(known)
        return known

    def _check_room(self, message: Message) -> None:
        if self._bytes + len(message.request.body) > MAX_BYTES:
            raise RpcError(Code.FULL, f"{self._bytes} bytes wait to be sent, the most there may")
        try:
            self._queues.check_room(message.line)
        except FullError as full:
            raise RpcError(Code.FULL, str(full)) from full

    def _enqueue(self, job: Job) -> None:
        self._queues.add(job.message.line, job)
        self._bytes += len(job.message.request.body)
        self._tally.sends_waiting = len(self._queues)
        self._nudge.give()

    # -- sending --------------------------------------------------------------------------

    async def run(self) -> None:
        """Take up what was left by an earlier life, then send for ever."""
        async for message, row in self._outbox.unfinished():
            job = self._kept[message.uuid] = Job(message, row.made_ms, row.first_attempt_ms)
            job.tries = row.attempts
            self._enqueue(job)
        self._loaded.set()
        while True:
            await self._go_on()

    async def _go_on(self) -> None:
        now_s = self._clock.monotonic()
        found = self._queues.take(now_s) if len(self._trying) < IN_FLIGHT else None
        self._tally.sends_waiting = len(self._queues)
        if found is not None:
            task = asyncio.get_running_loop().create_task(self._try(*found), name="send")
            self._trying.add(task)
            task.add_done_callback(self._tried)
            return
        if now_s - self._tidied_s >= TIDY_S:
            self._queues.tidy(now_s)
            self._tidied_s = now_s
        is_full = len(self._trying) >= IN_FLIGHT
        wait_s = TIDY_S if is_full else min(self._queues.ready_at() - now_s, TIDY_S)
        await self._nudge.sleep(self._clock, wait_s)

    def _tried(self, task: asyncio.Task[None]) -> None:
        self._trying.discard(task)
        self._nudge.give()
        if not task.cancelled() and (defect := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a message failed in a way that is a defect", "exception": defect}
            )

    async def _try(self, line: str, job: Job) -> None:
        """Try a message once, and see to what follows."""
        step: Done | Again = after_fault(_defect(), job.tries + 1, 1.0)
        try:
            step = await self._step(job)
        finally:  # also after a defect the receiver's queue goes on
            self._follow(line, job, step)

    async def _step(self, job: Job) -> Done | Again:
        if job.message.durable:
            try:
                outcome = await self._prepare(job)
            except FeishuWsError as fault:  # the journal's, which shows it
                return after_fault(fault, job.tries + 1, self._luck())
            if outcome is not None:
                return Done(outcome)
        job.tries += 1
        try:
            answer = await self._caller.call(job.message.request, most=MAX_ANSWER)
        except FeishuWsError as fault:
            self._note_fault(fault)
            return after_fault(fault, job.tries, self._luck())
        self._note_answer()
        return after_answer(answer, job.tries, self._luck())

    async def _prepare(self, job: Job) -> SendOutcome | None:
        """Note that a kept message will be tried; return its outcome where it must not be."""
        now_ms = self._clock.wall_ms()
        late = too_late(job.made_ms, job.first_ms, now_ms)
        if late is not None:
            return late
        outcome = await self._outbox.note(job.message.uuid, now_ms)
        if outcome is None and job.first_ms is None:
            job.first_ms = now_ms
        return outcome

    def _follow(self, line: str, job: Job, step: Done | Again) -> None:
        now_s = self._clock.monotonic()
        if isinstance(step, Done):
            self._queues.finish(line, now_s)
            self._finish(job, step.outcome)
        elif self._is_given_up(job, step, now_s):
            self._queues.finish(line, now_s)
            self._give_up(job, step.trouble)
        else:
            self._tally.api_retries += 1
            if step.is_asked:
                self._tally.api_rate_limit_wait_s += step.wait_s
            if step.is_for_all:
                self._queues.hold(now_s + step.wait_s)
            self._queues.put_back(line, job, min(now_s + step.wait_s, self._patient_until_s(job)))

    def _is_given_up(self, job: Job, step: Again, now_s: float) -> bool:
        """Whether somebody who waits for an answer has waited for long enough."""
        if job.tried_since_s is None:
            job.tried_since_s = now_s
        if job.message.durable:
            return False
        if step.is_asked:
            job.failing_since_s = None
            return now_s - job.tried_since_s > LIMITED_S
        if job.failing_since_s is None:
            job.failing_since_s = now_s
        is_hopeless = step.trouble.spec.remedy is Remedy.HOLD
        return is_hopeless or now_s >= self._patient_until_s(job)

    def _patient_until_s(self, job: Job) -> float:
        """Return until when a message may fail before whoever waits is told."""
        if job.message.durable or job.failing_since_s is None:
            return float("inf")
        return job.failing_since_s + PATIENCE_S

    # -- the end of a message -------------------------------------------------------------

    def _finish(self, job: Job, outcome: SendOutcome) -> None:
        self._forget(job)
        self._tally.sends[outcome.kind] += 1
        if outcome.is_dead:
            age_s = (self._clock.wall_ms() - job.made_ms) / 1000
            self._observe(SendBuried(outcome.kind, job.tries, age_s))
        if job.message.durable:
            self._outbox.close(job.message.uuid, outcome, self._clock.wall_ms(), job.done)
        else:
            job.done.set_result(outcome)

    def _give_up(self, job: Job, trouble: FeishuWsError) -> None:
        self._forget(job)
        self._tally.sends[FAILED] += 1
        waited_s = self._clock.monotonic() - (job.failing_since_s or self._clock.monotonic())
        self._observe(SendFailed(trouble.fault, trouble.detail, job.tries, waited_s))
        job.done.set_exception(trouble)
        job.done.exception()  # whoever asked may have left

    def _forget(self, job: Job) -> None:
        self._bytes -= len(job.message.request.body)
        self._kept.pop(job.message.uuid, None)

    # -- Feishu's API as a whole ------------------------------------------------------------

    def _note_fault(self, fault: FeishuWsError) -> None:
        if self._faulted_since_s is None:
            self._faulted_since_s = self._clock.monotonic()
            self._observe(ApiFaulted(fault.fault, fault.detail))

    def _note_answer(self) -> None:
        if self._faulted_since_s is not None:
            self._observe(ApiRecovered(self._clock.monotonic() - self._faulted_since_s))
            self._faulted_since_s = None

    async def stop(self, within_s: float) -> None:
        """Let what is on its way end, for a while; what was not kept and waits is given up."""
        if self._trying:
            await asyncio.wait(self._trying, timeout=within_s)
        for task in self._trying:
            task.cancel()


def _defect() -> FeishuWsError:
    return FeishuWsError(Fault.INTERNAL, "a message failed in a way that is a defect")


def _gave_up(fault: FeishuWsError) -> RpcError:
    return RpcError(
        Code.INTERNAL_ERROR,
        f"not sent as far as is known: {fault.detail}",
        {"fault": str(fault.fault), "code": fault.code},
    )
