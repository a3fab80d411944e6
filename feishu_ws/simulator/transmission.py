"""Data frames as Feishu sends them: ids, headers, parts in any order. No I/O.

Source of the header set: lark-oapi 1.7.5 ws/client.py:338-344 and oapi-sdk-go v3.2.2
ws/const.go:10-17 (`timestamp`, `instance_id`).
"""

import random
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.simulator.settings import SimulatorSettings
from feishu_ws.wire.frame import DATA, MESSAGE_ID, SEQ, SUM, TRACE_ID, TYPE
from feishu_ws.wire.pbbp2_pb2 import Frame

TIMESTAMP: Final = "timestamp"
INSTANCE_ID: Final = "instance_id"

NO_SEQS: Final = ("-1", "4294967296", "one", "")
"""No numbers of parts, whatever their sum; besides those that are just too large."""
STRAY: Final = b"no part of this"

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Split:
    """How a payload is cut, and what happens to its parts on the way.

    Attributes:
        shuffle: Parts go out in random order.
        duplicates: How many parts go out twice.
        drop: How many parts are left out of the first transmission; repeats are whole.
        empty: How many parts carry nothing; the others carry everything.
        out_of_range: How many frames with a number that no part has go out besides.

    Raises:
        FeishuWsError: `config_invalid`, fewer than one part, or nothing left to send.
    """

    parts: int = 1
    shuffle: bool = False
    duplicates: int = 0
    drop: int = 0
    empty: int = 0
    out_of_range: int = 0

    def __post_init__(self) -> None:
        self._require("parts", 1)
        self._require("duplicates", 0)
        self._require("out_of_range", 0)
        self._require("drop", 0, self.parts - 1)
        self._require("empty", 0, self.parts - 1)

    def _require(self, name: str, least: int, most: int | None = None) -> None:
        seen = getattr(self, name)
        if seen >= least and (most is None or seen <= most):
            return
        expected = (
            f"{least} or more" if most is None else f"{least} to {most} of {self.parts} parts"
        )
        raise FeishuWsError(Fault.CONFIG_INVALID, f"split: {name} = {seen}, expected {expected}")


WHOLE: Final = Split()


class Transmission(NamedTuple):
    """One attempt to send an event.

    Attributes:
        seq_id: Of the part that completes the payload; None if parts are missing.
        echo: That part without its payload, serialized: what a confirmation has to repeat.
        frames: Serialized frames in the order they go out.
        strays: SeqIDs of frames that are no part; a client may refuse each of them.
    """

    message_id: str
    seq_id: int | None
    echo: bytes
    frames: list[bytes]
    strays: frozenset[int] = frozenset()


class FrameMaker:
    """Numbers and encodes what goes out; SeqIDs never repeat."""

    def __init__(self, settings: SimulatorSettings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng
        self._seq_id = 0
        self._log_id = rng.getrandbits(48)
        self._instance_id = f"{rng.getrandbits(192):048x}"

    def encode(
        self, payload: bytes, kind: str, split: Split, wall_ms: int, *, first: bool = True
    ) -> Transmission:
        """Return a fresh transmission: new message_id, trace_id and SeqIDs.

        Args:
            payload: The whole body.
            kind: `event` or `card`.
            split: How to cut and disturb it.
            wall_ms: For the `timestamp` header.
            first: Whether parts may be dropped.
        """
        message_id, headers = self._headers(kind, split.parts, wall_ms)
        self._log_id += 1
        order = arrange(split, self._rng, first=first) if split.parts > 1 else [0]
        completing = find_completing(order, split.parts)
        pieces = cut(payload, split.parts, draw_empty(split, self._rng))
        seq_id, echo, frames = None, b"", []
        for index, seq in enumerate(order):
            frame = self._frame(headers, str(seq))
            if index == completing:
                seq_id, echo = frame.SeqID, frame.SerializeToString()
            frame.payload = pieces[seq]
            frames.append(frame.SerializeToString())
        strays = self._scatter(frames, headers, split) if split.out_of_range else frozenset()
        return Transmission(message_id, seq_id, echo, frames, strays)

    def _scatter(self, frames: list[bytes], headers: Headers, split: Split) -> frozenset[int]:
        """Put frames that are no part in between; return their SeqIDs."""
        seqs = (str(split.parts), str(split.parts + 1), *NO_SEQS)
        strays = set()
        for _ in range(split.out_of_range):
            frame = self._frame(headers, self._rng.choice(seqs))
            frame.payload = STRAY
            strays.add(frame.SeqID)
            frames.insert(self._rng.randrange(len(frames) + 1), frame.SerializeToString())
        return frozenset(strays)

    def _headers(self, kind: str, parts: int, wall_ms: int) -> tuple[str, Headers]:
        message_id = format_uuid(self._rng.getrandbits(128))
        return message_id, (
            (TYPE, kind),
            (MESSAGE_ID, message_id),
            (SUM, str(parts)),
            (SEQ, ""),
            (TRACE_ID, f"{self._rng.getrandbits(128):032x}"),
            (TIMESTAMP, str(wall_ms)),
            (INSTANCE_ID, self._instance_id),
        )

    def _frame(self, headers: Headers, seq: str) -> Frame:
        self._seq_id += 1
        settings = self._settings
        frame = Frame(
            SeqID=self._seq_id,
            LogID=self._log_id,
            service=settings.service_id,
            method=DATA,
            LogIDNew=f"{self._log_id:032x}",
        )
        add = frame.headers.add
        for key, value in headers:
            add(key=key, value=seq if key == SEQ else value)
        if settings.payload_encoding:
            frame.payload_encoding = settings.payload_encoding
        if settings.payload_type:
            frame.payload_type = settings.payload_type
        return frame


def format_uuid(bits: int) -> str:
    """Return 128 bits as 8-4-4-4-12 hexadecimal digits."""
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def draw_empty(split: Split, rng: random.Random) -> frozenset[int]:
    """Return the numbers of the parts that carry nothing."""
    return frozenset(rng.sample(range(split.parts), split.empty)) if split.empty else frozenset()


def cut(payload: bytes, parts: int, empty: frozenset[int] = frozenset()) -> list[bytes]:
    """Cut into exactly `parts` pieces of nearly equal size, those in `empty` with nothing."""
    if parts == 1:
        return [payload]
    full = parts - len(empty)
    edges = [len(payload) * i // full for i in range(full + 1)]
    pieces = (payload[start:end] for start, end in pairwise(edges))
    return [b"" if seq in empty else next(pieces) for seq in range(parts)]


def arrange(split: Split, rng: random.Random, *, first: bool = True) -> list[int]:
    """Return the seqs of the parts in the order they go out."""
    order = list(range(split.parts))
    if first:
        for _ in range(split.drop):
            order.pop(rng.randrange(len(order)))
    for seq in rng.sample(order, min(split.duplicates, len(order))):
        order.insert(rng.randrange(len(order) + 1), seq)
    if split.shuffle:
        rng.shuffle(order)
    return order


def find_completing(order: list[int], parts: int) -> int | None:
    """Return the index in `order` at which every part has gone out at least once."""
    missing = set(range(parts))
    for index, seq in enumerate(order):
        missing.discard(seq)
        if not missing:
            return index
    return None
