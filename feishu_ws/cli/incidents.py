"""`feishu-ws incidents`: what became of the links, as a table and a timeline."""

import argparse
import math
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from feishu_ws.cli.channel import carry_out, decode
from feishu_ws.cli.parser import UsageError
from feishu_ws.cli.render import NOTHING, Cell, Paint, age, local_time_ms, table, verbatim
from feishu_ws.cli.timeline import COLOURED, PLAIN, is_loss, timeline
from feishu_ws.cli.when import advise, to_wall_ms
from feishu_ws.clock import SystemClock
from feishu_ws.events.summary import printable
from feishu_ws.wire.admin import MOST_INCIDENTS

Told = Mapping[str, Any]

HEAD: Final = ("when", "link", "lived", "why", "away for", "tried after")
SHOWN: Final = 40  # rows, unless --max says otherwise
SHORT_S: Final = 10.0  # below this tenths are told
PIPE_COLUMNS: Final = 100
MOST_TRIED_SHOWN: Final = 4
_KNOWN_SHARE: Final = 0.99  # of the span; where less is known, that is said
_MS: Final = 1000
_MINUTE_MS: Final = 60_000


def run(args: argparse.Namespace) -> int:
    """Ask and print.

    Raises:
        UsageError: The time is still to come.
        FeishuWsError: It was refused, or neither daemon nor journal can be had.
    """
    params = {"since_ms": _since_ms(args), "limit": MOST_INCIDENTS}
    if args.json and args.max is not None:
        params["limit"] = min(args.max, MOST_INCIDENTS)
    answer = carry_out(args, lambda ask: ask("incidents", params))
    if args.json:
        print(verbatim(answer.decode(), sys.stdout))
    else:
        is_terminal = sys.stdout.isatty()
        columns = shutil.get_terminal_size().columns if is_terminal else PIPE_COLUMNS
        print(describe(decode(answer), sys.stdout, columns, args.max or SHOWN))
    return 0


def _since_ms(args: argparse.Namespace) -> int:
    now_ms = SystemClock().wall_ms()
    try:
        return to_wall_ms(args.since, now_ms)
    except ValueError as exc:
        detail = f"argument --since: {exc}, expected a time that was"
        raise UsageError(detail, f"--since {advise(args.since, now_ms)}") from exc


def describe(told: Told, stream: Any, columns: int, most: int) -> str:
    """Return the answer for people.

    Args:
        told: The answer to `incidents`.
        stream: Where it goes.
        columns: How wide that is.
        most: Rows of the table, of which the newest are shown.
    """
    paint = Paint(stream)
    lines = [*_table(told, most, paint), *_timeline(told, stream, columns, paint)]
    return "\n".join([*lines, _sum(told)])


# -- the table ----------------------------------------------------------------------------


def _table(told: Told, most: int, paint: Paint) -> list[str]:
    incidents: Sequence[Told] = told["incidents"]
    if not incidents:
        return []
    shown = incidents[-most:]
    lines = table([[Cell(name, "dim") for name in HEAD], *map(_row, shown)], paint, indent=0)
    total = max(told.get("total", 0), len(incidents))
    if len(shown) < total:
        lines.append(paint(f"the newest {len(shown)} of {total}", "dim"))
    return [*lines, ""]


def _row(incident: Told) -> list[Cell]:
    lived_s, away_s = incident.get("lived_s"), incident.get("away_s")
    is_over = incident.get("back_ms") is not None
    return [
        Cell(local_time_ms(incident["ended_ms"])),
        Cell(str(incident["link"])),
        Cell(NOTHING if lived_s is None else duration(lived_s)),
        Cell(_why(incident), "bad" if is_loss(incident) else ""),
        Cell(duration(away_s or 0.0)) if is_over else Cell("still", "warn"),
        Cell(_tried(incident.get("tried", ()))),
    ]


def _why(incident: Told) -> str:
    code = incident.get("close_code")
    fault = printable(str(incident["fault"]))
    return f"{fault} ({code})" if code is not None and is_loss(incident) else fault


def _tried(tried: Sequence[Told]) -> str:
    """Return what failed, in order, the last few of it."""
    parts = [_attempts(each) for each in tried]
    left = parts[:-MOST_TRIED_SHOWN]
    return ", ".join([*(["..."] if left else []), *parts[-MOST_TRIED_SHOWN:]]) or NOTHING


def _attempts(tried: Told) -> str:
    code = tried.get("code")
    text = printable(str(tried["fault"])) + (f" ({code})" if code is not None else "")
    times = tried.get("times", 1)
    return f"{text} x{times}" if times > 1 else text


def duration(seconds: float) -> str:
    """Return a duration, a short one with tenths of a second."""
    return f"{seconds:.1f} s" if 0 < seconds < SHORT_S else age(seconds)


# -- the timeline and the sum -------------------------------------------------------------


def _timeline(told: Told, stream: Any, columns: int, paint: Paint) -> list[str]:
    if not told["links"] or told["now_ms"] <= told["since_ms"]:
        return []
    glyphs = COLOURED if paint.is_on and _takes_blocks(stream) else PLAIN
    return [*timeline(told, columns, glyphs, paint), ""]


def _takes_blocks(stream: Any) -> bool:
    """Whether what is written there may be more than ASCII."""
    return "utf" in (getattr(stream, "encoding", None) or "").lower()


def _sum(told: Told) -> str:
    """Return the whole in one sentence."""
    if _was_never_live(told):
        return f"no link was ever live, for {_in_all(told['outages'])}"
    losses = sum(
        is_loss(incident) and incident["ended_ms"] >= told["since_ms"]
        for incident in told["incidents"]
    )
    parts = [_count(losses, "loss", "losses"), _outages(told), *_stops(told), _live(told)]
    return ", ".join(parts)


def _was_never_live(told: Told) -> bool:
    """Whether all that is known is attempts that failed."""
    no_lives = all(incident.get("lived_s") is None for incident in told["incidents"])
    return bool(told["outages"]) and no_lives and not told["live_ms"]


def _in_all(spans: Sequence[Told]) -> str:
    return duration(sum(span["lasted_s"] for span in spans))


def _stops(told: Told) -> Iterator[str]:
    """Say how long the daemon was stopped, nothing where it was not."""
    stops: Sequence[Told] = told.get("stops", ())
    if not stops:
        return
    times = f" {len(stops)} times," if len(stops) > 1 else ""
    still = " until now" if any(stop["to_ms"] is None for stop in stops) else ""
    yield f"stopped{times} for {_in_all(stops)}{still}"


def _outages(told: Told) -> str:
    outages: Sequence[Told] = told["outages"]
    lasted = _in_all(outages)
    going_on = ", one goes on" if any(outage["to_ms"] is None for outage in outages) else ""
    if len(outages) == 1:
        return f"1 outage of {lasted}{' that goes on' if going_on else ''}"
    return f"{len(outages)} outages, {lasted} in all{going_on}" if outages else "no outage"


def _live(told: Told) -> str:
    known_ms, span_ms = told["known_ms"], told["now_ms"] - told["since_ms"]
    if not known_ms:
        return "nothing is known of the time between"
    tenths = math.floor(1000 * told["live_ms"] / known_ms)  # never 100.0 with an outage
    share = f"live {tenths / 10:.1f} % of"
    if known_ms < span_ms * _KNOWN_SHARE:
        return f"{share} the {duration(known_ms / _MS)} that are known"
    return f"{share} {_span(span_ms)}"


def _span(span_ms: int) -> str:
    """Return how much was asked for, as people say it: 24 h."""
    minutes = round(span_ms / _MINUTE_MS)
    return age(span_ms / _MS) if minutes % 60 else f"{minutes // 60} h"


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}" if number else f"no {one}"
