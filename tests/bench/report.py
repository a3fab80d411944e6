"""Tables out of turns and lives. Pure: takes figures, returns markdown lines.

A ratio is taken inside each round, and the median of those is shown: the machine's speed
moves by half between minutes, so that only neighbours can be compared.
"""

from dataclasses import dataclass
from statistics import median

from bench.turns import OTHERS_CORES, STOLEN_CORES

OURS = "feishu-ws"
NONE, TO, TIMES = "\N{EN DASH}", "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
PEERS = ("sdk-typed", "sdk-lean", "sdk-node", "bare")
BOT = "feishu-ws+client"
BOT_PEERS = ("sdk-inproc", "sdk-node")
LATENCY = {"p50": 0, "p99": 1, "p99.9": 2, "max": 3}

HARNESS_CORES = 0.85  # beyond it the harness may have been what held events up
SPREAD = 1.6  # largest of the rounds over the smallest


@dataclass(frozen=True)
class Figure:
    """A row of the comparison.

    Attributes:
        load: Of which load; empty for figures of a whole life.
        field: Of `Turn` or `Life`; `end_to_end_ms.p99` picks one of a list.
        more_is_better: For the direction of ratios.
    """

    title: str
    field: str
    load: str = ""
    unit: str = ""
    digits: int = 0
    more_is_better: bool = False


def figures(loads, latency="end_to_end_ms"):
    """Return the rows for these loads; `latency` is a field of `Turn`."""
    noun = {"end_to_end_ms": "end to end", "handled_ms": "to the handler"}[latency]
    rows = [
        Figure(f"events/s, {load.name}", "rate", load.name, more_is_better=True)
        for load in loads
        if load.window
    ]
    rows += [Figure(f"CPU per event, {load.name}", "cpu_us", load.name, " µs") for load in loads]
    rows += [
        Figure(f"{noun} {which}, {load.name}", f"{latency}.{which}", load.name, " ms", 1)
        for load in loads
        if load.rate
        for which in ("p50", "p99")
    ]
    return [
        *rows,
        Figure("resident, idle", "idle_mb", unit=" MB"),
        Figure("resident after 50,000 events", "after_mb", unit=" MB"),
        Figure("start to first link", "start_s", unit=" s", digits=2),
    ]


def values(result, figure, candidate):
    """Return {round: value} of a figure, without what was not measured."""
    name, _, which = figure.field.partition(".")
    found = {}
    for record in result["turns"] if figure.load else result["lives"]:
        if record["candidate"] == candidate and record.get("load", "") == figure.load:
            value = record.get(name)
            if which:
                value = value[LATENCY[which]] if value else None
            if value is not None:
                found[record["round"]] = value
    return found


def ratio(ours, theirs, *, more_is_better):
    """Return how many times better `ours` is, the median over common rounds; None if none."""
    both = [(ours[number], theirs[number]) for number in ours.keys() & theirs.keys()]
    if not both:
        return None
    return median(a / b if more_is_better else b / a for a, b in both)


def shown(found, figure, *, spread=True):
    """Return a median, with the least and the most."""
    if not found:
        return NONE
    low, middle, high = min(found.values()), median(found.values()), max(found.values())
    text = f"{middle:,.{figure.digits}f}{figure.unit}"
    if spread and len(found) > 1:
        text += f" ({low:,.{figure.digits}f}{TO}{high:,.{figure.digits}f})"
    return text


def times(value):
    """Return a ratio; what loses stands out."""
    if value is None:
        return NONE
    text = f"{value:.1f}{TIMES}" if value >= 0.95 else f"{value:.2f}{TIMES}"
    return text if value >= 1 else f"**{text}**"


def rows_of(table):
    """Return markdown lines; the first row is the head."""
    head, *body = table
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in body),
    ]


def comparison(result, loads, ours=OURS, peers=PEERS, latency="end_to_end_ms", *, spread=True):
    """Return the table with one column per peer and the ratios to each."""
    names = [name for name in peers if name in result["candidates"]]
    table = [["", *names, ours, *(f"to {name}" for name in names)]]
    for figure in figures(loads, latency):
        mine = values(result, figure, ours)
        theirs = [values(result, figure, name) for name in names]
        if not (mine or any(theirs)):
            continue
        table.append(
            [figure.title]
            + [shown(found, figure, spread=spread) for found in [*theirs, mine]]
            + [times(ratio(mine, found, more_is_better=figure.more_is_better)) for found in theirs]
        )
    return rows_of(table)


HEAD = [
    "candidate",
    "events",
    "events/s",
    "CPU µs per event",
    "of it system",
    "confirm p50 / p99 / max ms",
    "handler p50 / p99 ms",
    "end to end p50 / p99 / max ms",
    "harness",
    "others",
    "",
]


def detail(result, load):
    """Return the table of one load, one row per candidate."""
    shares = (Figure("", "rate"), Figure("", "cpu_us"), Figure("", "system_us"))
    table = [HEAD]
    for name in result["candidates"]:
        turns = [t for t in result["turns"] if t["candidate"] == name and t["load"] == load.name]
        if turns:
            table.append(
                [name, f"{sum(t['events'] for t in turns):,}"]
                + [
                    shown({t["round"]: t[f.field] for t in turns}, f).replace(" (", "<br>(")
                    for f in shares
                ]
                + [
                    latencies(turns, "confirm_ms", ("p50", "p99", "max")),
                    latencies(turns, "handled_ms", ("p50", "p99")),
                    latencies(turns, "end_to_end_ms", ("p50", "p99", "max")),
                ]
                + [f"{median(t[field] for t in turns):.2f}" for field in ("harness", "others")]
                + [" ".join(doubts(turns))]
            )
    return [f"### {load.name}", "", *rows_of(table)]


def latencies(turns, field, which):
    """Return medians over rounds of some quantiles."""
    lists = [t[field] for t in turns if t[field]]
    if not lists:
        return NONE
    return " / ".join(f"{median(x[LATENCY[w]] for x in lists):.2f}" for w in which)


def doubts(turns):
    """Return why the figures of a candidate under a load are to be doubted."""
    bounds = {"others": OTHERS_CORES, "stolen": STOLEN_CORES, "harness": HARNESS_CORES}
    found = []
    for field, bound in bounds.items():
        disturbed = sum(turn[field] > bound for turn in turns)
        if disturbed:
            found.append(f"{field} {disturbed}/{len(turns)}")
    for field, noun in (("rate", "events/s"), ("cpu_us", "CPU")):
        seen = [turn[field] for turn in turns]
        if max(seen) > SPREAD * min(seen):
            found.append(f"spread of {noun}")
    return found


LEGEND = (
    f"Last column, why not to trust a row: `others` = something else on the machine took more "
    f"than {OTHERS_CORES} cores in so many rounds; `stolen` = the host took more than {STOLEN_CORES}; "
    f"`harness` = generator and consumer used more than {HARNESS_CORES} of a core, so events/s "
    f"may be theirs; `spread` = the rounds differ by more than {SPREAD}{TIMES}."
)


def lives(result):
    """Return the table of what does not depend on the load."""
    fields = [
        Figure("start to first link, s", "start_s", digits=2),
        Figure("CPU of the start, s", "start_cpu_s", digits=2),
        Figure("resident idle, MB", "idle_mb", digits=1),
        Figure("after 50,000, MB", "after_mb", digits=1),
        Figure("at the end, MB", "end_mb", digits=1),
        Figure("peak, MB", "peak_mb", digits=1),
    ]
    table = [["candidate", *(figure.title for figure in fields)]]
    table += [
        [name, *(shown(values(result, f, name), f) for f in fields)]
        for name in result["candidates"]
    ]
    return ["### Footprint", "", *rows_of(table)]
