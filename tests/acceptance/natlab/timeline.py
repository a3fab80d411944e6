"""From what was written down during a trial to its figures. Pure.

Times are Unix seconds; all processes of a lab share one machine's clock.
"""

from dataclasses import dataclass, field
from datetime import datetime
from statistics import median

DELAYED_S = 1.0  # an event later than this from push to consumer counts as delayed
WINDOW_S = 30.0  # the share of delayed events is that of so long after the harm began
LOST = "link.lost"
LIVE = "link.live"
TAKEN_OVER = "taken over"
"""A link is live again without having been lost: a fresh one took over from a suspect one."""

ENDS = (LOST, TAKEN_OVER)
DASH = "\N{EN DASH}"


@dataclass(frozen=True)
class Turn:
    """A link came, went or was replaced, by the daemon's log.

    Attributes:
        took_s: Of the attempt, where it came.
    """

    what: str
    link: int
    at_s: float
    took_s: float = 0.0


def read_turns(lines):
    """Return the turns among the daemon's JSON log lines."""
    turns, live = [], set()
    for line in lines:
        what, link = line["event"], line.get("link")
        if what not in {LOST, LIVE}:
            continue
        if what == LIVE and link in live:
            what = TAKEN_OVER
        (live.discard if what == LOST else live.add)(link)
        at_s = datetime.fromisoformat(line["ts"]).timestamp()
        turns.append(Turn(what, link, at_s, line.get("took_s", 0.0)))
    return turns


def live_links(turns):
    """Return the links that are live after all these turns."""
    return {link for link, what in {t.link: t.what for t in turns}.items() if what != LOST}


def ends_since(turns, at_s):
    """Return the first end of each link from then on."""
    found = {}
    for turn in turns:
        if turn.what in ENDS and turn.at_s >= at_s:
            found.setdefault(turn.link, turn)
    return list(found.values())


@dataclass(frozen=True)
class Fault:
    """When the lab began to do harm, and when it was done: it may be busy between the two."""

    since_s: float
    done_s: float


@dataclass(frozen=True)
class End:
    """A link that ended, or was not there at first, by a fault of the lab.

    Attributes:
        noticed_s: From the fault to the daemon's word that the link is lost, or that it
            was replaced; None: it was not live yet.
        live_s: From the fault, or from its end if that came later, to live again; None: never.
    """

    link: int
    noticed_s: float | None
    live_s: float | None


def find_ends(turns, faults, healed_s=None):
    """Return what each of the lab's faults did to each link."""
    until = [*(fault.since_s for fault in faults[1:]), float("inf")]
    return [
        _end(turns, turn, fault.done_s, healed_s)
        for fault, until_s in zip(faults, until, strict=True)
        for turn in ends_since(turns, fault.since_s)
        if turn.at_s < until_s
    ]


def _end(turns, end, at_s, healed_s):
    lives = (t.at_s for t in turns if t.what != LOST and t.link == end.link)
    live_s = next((each for each in lives if each >= end.at_s), None)
    origin_s = max(at_s, healed_s or 0)
    noticed_s = max(0, end.at_s - at_s)
    return End(end.link, noticed_s, None if live_s is None else max(0, live_s - origin_s))


def find_births(turns, healed_s):
    """Return how long after the end of a fault each link was live for the first time."""
    first = {}
    for turn in turns:
        if turn.what == LIVE:
            first.setdefault(turn.link, max(0, turn.at_s - healed_s))
    return [End(link, None, live_s) for link, live_s in first.items()]


@dataclass(frozen=True)
class Fates:
    """What became of the events.

    Attributes:
        missing: Pushed, and never seen by the consumer.
        unconfirmed: Pushed, and not confirmed in the end.
        repeated: Seen by the consumer more than once.
        in_window: Pushed within `WINDOW_S` of when the harm began.
        delays_s: Of those, how late the delayed ones were.
        misrouted: Of the delayed, how many were pushed when all links were live again: into
            one that was dead, since Feishu had yet to find out.
        third_copy: Of the window, how many needed more than one repeat by Feishu, the second
            of which comes after 5 min in truth.
    """

    pushed: int
    missing: int
    unconfirmed: int
    repeated: int
    in_window: int
    delays_s: list[float] = field(repr=False)
    misrouted: int = 0
    third_copy: int = 0

    @property
    def delayed_share(self):
        """Share of the events of the window that were delayed."""
        return len(self.delays_s) / self.in_window if self.in_window else 0.0


def find_fates(events, received, began_s, live_s=None):
    """Return what became of the events.

    Args:
        events: By id: when pushed, whether confirmed, how many attempts.
        received: By id: when the consumer got it, each time.
        began_s: When the harm began.
        live_s: When all links were live again, None if none had ended.
    """
    window = {
        event: (at_s, attempts)
        for event, (at_s, _, attempts) in events.items()
        if began_s <= at_s < began_s + WINDOW_S
    }
    delayed = {
        at_s: received[event][0] - at_s
        for event, (at_s, _) in window.items()
        if event in received and received[event][0] - at_s > DELAYED_S
    }
    return Fates(
        pushed=len(events),
        missing=len(events.keys() - received.keys()),
        unconfirmed=sum(not confirmed for _, confirmed, _ in events.values()),
        repeated=sum(len(times) > 1 for times in received.values()),
        in_window=len(window),
        delays_s=sorted(delayed.values()),
        misrouted=0 if live_s is None else sum(at_s > live_s for at_s in delayed),
        third_copy=sum(attempts > 2 for _, attempts in window.values()),
    )


@dataclass(frozen=True)
class Result:
    """Everything a trial found out.

    Attributes:
        ends: Of links, by faults of the lab.
        lost: How often a link was lost, whatever the cause.
        taken_over: How often a fresh link took over from one that was suspect.
        is_healed: Whether `live_s` of the ends counts from the end of the fault.
        machine_s: What the first attempt took, when nothing was wrong: some 0.05 s on a
            machine that has nothing else to do.
    """

    scenario: str
    connections: int
    ends: list[End]
    lost: int
    taken_over: int
    fates: Fates
    is_healed: bool
    machine_s: float
    log: str = field(repr=False)

    @property
    def noticed_s(self):
        """Seconds to notice, of the slowest link."""
        return max(end.noticed_s for end in self.ends)

    @property
    def live_s(self):
        """Seconds to live again, of the slowest link; 0 where none ended."""
        return max((end.live_s for end in self.ends), default=0.0)


def last_live(turns, since_s):
    """Return when a link was last live anew from then on, None if none was."""
    return max((t.at_s for t in turns if t.what != LOST and t.at_s >= since_s), default=None)


def count_turns(turns, what):
    """Return how many of these turns there were."""
    return sum(turn.what == what for turn in turns)


HEAD = """\
| fault | links | noticed (s) | live again (s) | links lost / replaced | events lost | \
delayed > 1 s | by, median / worst (s) | pushed when live again | repeated twice | others |
|---|---|---|---|---|---|---|---|---|---|---|"""
"""Delayed is a share of what was pushed in the 30 s from when the harm began; some of it was
pushed when all links were live again, into a dead one that Feishu had not given up yet. The
lab's Feishu repeats every 15 s; the second repeat takes the real one 5 min."""


def row(result, title, peers):
    """Return a row of the table `HEAD` begins."""
    fates = result.fates
    noticed = _range([end.noticed_s for end in result.ends if end.noticed_s is not None])
    live = _range([end.live_s for end in result.ends])
    if result.is_healed and result.ends:
        live += " after its end"
    delayed, late = "0 %", DASH
    if fates.delays_s:
        delayed = f"{len(fates.delays_s)} of {fates.in_window} ({fates.delayed_share:.0%})"
        late = f"{median(fates.delays_s):.1f} / {fates.delays_s[-1]:.1f}"
    cells = [
        title, result.connections, noticed, live, f"{result.lost} / {result.taken_over}",
        fates.missing, delayed, late, fates.misrouted, fates.third_copy, peers,
    ]  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def _range(values):
    """Return the least and the greatest of some seconds."""
    if not values:
        return DASH
    if None in values:
        return "never"
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low} {DASH} {high}"
