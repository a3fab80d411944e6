"""`python -m bench --decode`: what decoding content costs on top of the pipeline.

The step that is measured takes a payload to the line a consumer gets: envelope, dedupe
keys, CloudEvent, line; without the journal and the socket, which know nothing of content.
Each message goes through it twice in a row, with decoding and without, in changing order;
the difference of the two, in CPU time of the thread, is what decoding costs. So each
message is its own reference, and what else the machine does counts for neither.
"""

import gc
import time
from dataclasses import dataclass
from statistics import median

from bench.report import TO, rows_of
from bench.rounds import about

from feishu_ws.clock import ManualClock
from feishu_ws.events import cloudevent
from feishu_ws.events.envelope import open_envelope
from feishu_ws.events.keys import dedupe_keys
from feishu_ws.model import Event
from feishu_ws.simulator.corpus import SAMPLES, Origin, sample
from feishu_ws.wire import native

BAR_US = 30.0  # per text message
TEXTS = ("message.text", "message.text.mention", "message.text.load")
POST, CARD = "message.post", "message.interactive.document"
NOW_MS = 1_774_004_591_415
QUICK_SHARE = 0.1


@dataclass(frozen=True)
class Cost:
    """CPU microseconds per message of one kind over all rounds.

    Attributes:
        without_us: Medians of the step without decoding, by round; `added_us` likewise of
            what decoding adds.
        p99_us: Of what decoding adds, over all rounds.
    """

    name: str
    size: int
    without_us: list
    added_us: list
    p99_us: float

    @property
    def added(self):
        """The median round."""
        return median(self.added_us)


def step(payload, position):
    """Take a payload to the line of a consumer."""
    envelope = open_envelope(payload)
    event = Event(envelope, payload, NOW_MS, dedupe_keys(envelope, payload), position)
    body = cloudevent.encode_body(event, "cli_a")
    return native.event_line(position, 1, None, body, late=False)


def bare_step(payload, position):
    """Take it there without decoding."""
    with_decoder = cloudevent.read_message
    cloudevent.read_message = _nothing
    try:
        return step(payload, position)
    finally:
        cloudevent.read_message = with_decoder


def _nothing(_):
    return None


# -- measuring ----------------------------------------------------------------------------


def took_us(function, payload, position):
    began = time.thread_time_ns()
    function(payload, position)
    return (time.thread_time_ns() - began) / 1000


def pairs(payloads):
    """Return (without, with) in µs of every payload, each first every other time."""
    found = []
    for number, payload in enumerate(payloads):
        if number % 2:
            with_us = took_us(step, payload, number)
            found.append((took_us(bare_step, payload, number), with_us))
        else:
            bare_us = took_us(bare_step, payload, number)
            found.append((bare_us, took_us(step, payload, number)))
    return found


def measure(names, rounds, count):
    """Return {name: Cost}; the kinds take turns within each round."""
    origin = Origin("cli_a", "tenant", "bench", ManualClock(wall_ms=NOW_MS))
    payloads = {name: [sample(name, n, origin) for n in range(count)] for name in names}
    found = {name: [] for name in names}
    for number in range(rounds):
        order = names[number % len(names) :] + names[: number % len(names)]
        for name in order:
            found[name].append(pairs(payloads[name]))
    return {name: cost(name, len(payloads[name][0]), found[name]) for name in names}


def cost(name, size, rounds):
    """Return what the pairs of all rounds say."""
    added = sorted(with_us - bare_us for pairs_ in rounds for bare_us, with_us in pairs_)
    return Cost(
        name,
        size,
        [median(bare_us for bare_us, _ in pairs_) for pairs_ in rounds],
        [median(with_us - bare_us for bare_us, with_us in pairs_) for pairs_ in rounds],
        added[int(len(added) * 0.99)],
    )


def table(costs):
    """Return markdown lines, the dearest kind last."""
    ordered = sorted(costs.values(), key=lambda one: one.added)
    head = ["message", "bytes", "step without, µs", "decoding adds, µs", "p99, µs"]
    return rows_of([head, *map(row, ordered)])


def row(one):
    """Return a kind's row: medians, of what is added the least and the most round too."""
    low, high = min(one.added_us), max(one.added_us)
    return [
        one.name.removeprefix("message."),
        f"{one.size:,}",
        f"{median(one.without_us):.1f}",
        f"{one.added:.1f} ({low:.1f}{TO}{high:.1f})",
        f"{one.p99_us:.1f}",
    ]


def decoding(rounds, *, is_quick):
    """Measure; return markdown lines and whether a text message costs no more than the bar."""
    names = [name for name in SAMPLES if name.startswith("message.")]
    count = int(2000 * (QUICK_SHARE if is_quick else 1))
    gc.collect()
    gc.freeze()
    costs = measure(names, rounds, count)
    gc.unfreeze()
    dearest = max(costs[name].added for name in TEXTS)
    verdict = "holds" if dearest <= BAR_US else "**is missed**"
    told = about()
    where = (
        f"{told['when']}, commit {told['commit']}, {told['cores']} cores ({told['cpu']}), "
        f"Python {told['python']}, msgspec {told['versions']['msgspec']}; "
        f"{rounds} rounds of {count:,} messages of each kind"
    )
    return [
        where,
        "",
        *table({name: costs[name] for name in (*TEXTS, POST, CARD)}),
        "",
        f"A text message: at most {dearest:.1f} µs, aim ≤ {BAR_US:.0f} µs: {verdict}.",
        "",
        *table(costs),
    ], dearest <= BAR_US
