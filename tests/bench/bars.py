"""What this project asks of itself, met or not. Pure.

The numbers are the design's: a first bar that has to be met, and an aim beyond it.
"""

from dataclasses import dataclass
from statistics import median

from bench.report import NONE, OURS, TIMES, Figure, ratio, rows_of, values


@dataclass(frozen=True)
class Bar:
    """A figure with a bar and an aim, as most (or least) of the figure itself.

    Attributes:
        peer: The bar is a multiple of this candidate's figure (`factor` times as good), or
            of its figure plus `slack`.
    """

    figure: Figure
    bar: float | None = None
    aim: float | None = None
    bar_peer: str = ""
    aim_peer: str = ""
    slack: float = 0.0


W64, W1000 = "64 unconfirmed", "paced 1000/s"
BARS = (
    Bar(
        Figure("events/s, 64 unconfirmed", "rate", W64, more_is_better=True),
        bar=6,
        bar_peer="sdk-typed",
        aim=1,
        aim_peer="sdk-node",
    ),
    Bar(
        Figure("CPU per event, 64 unconfirmed", "cpu_us", W64, " µs"),
        bar=200,
        aim=1,
        aim_peer="sdk-node",
    ),
    Bar(Figure("CPU per event, paced 1000/s", "cpu_us", W1000, " µs"), bar=500, aim=330),
    Bar(Figure("end to end p99, paced 1000/s", "end_to_end_ms.p99", W1000, " ms", 1), 20, 5),
    Bar(
        Figure("end to end p99, paced 100/s", "end_to_end_ms.p99", "paced 100/s", " ms", 1),
        bar_peer="sdk-typed",
        slack=10,
    ),
    Bar(Figure("resident, idle", "idle_mb", unit=" MB", digits=1), 60, 50),
    Bar(Figure("resident after 50,000 events", "after_mb", unit=" MB", digits=1), 60, 50),
    Bar(Figure("start to first link", "start_s", unit=" s", digits=2), 0.9, 0.5),
)


def verdicts(result):
    """Return the table of bars."""
    table = [["", "measured", "first bar", "", "aim", ""]]
    for bar in BARS:
        mine = values(result, bar.figure, OURS)
        if mine:
            measured = f"{median(mine.values()):,.{bar.figure.digits}f}{bar.figure.unit}"
            table.append(
                [
                    bar.figure.title,
                    measured,
                    *_judge(result, bar, mine, bar.bar, bar.bar_peer),
                    *_judge(result, bar, mine, bar.aim, bar.aim_peer),
                ]
            )
    return rows_of(table)


def _judge(result, bar, mine, limit, peer):
    """Return what is asked and whether it is met."""
    figure, middle = bar.figure, median(mine.values())
    if not peer:
        if limit is None:
            return [NONE, ""]
        return [f"≤ {limit:g}{figure.unit}", "met" if middle <= limit else "MISSED"]
    theirs = values(result, figure, peer)
    if not theirs:
        return [f"needs {peer}", "?"]
    if limit is None:
        allowed = median(theirs.values()) + bar.slack
        met = middle <= allowed
        return [f"{peer} + {bar.slack:g}{figure.unit} = {allowed:.1f}", "met" if met else "MISSED"]
    reached = ratio(mine, theirs, more_is_better=figure.more_is_better)
    met = "met" if reached >= limit else "MISSED"
    return [f"{limit:g}{TIMES} {peer}", f"{met} ({reached:.2f}{TIMES})"]
