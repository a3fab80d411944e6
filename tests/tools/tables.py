"""The README's tables, made from the code they describe.

`python tests/tools/tables.py` rewrites them between their markers;
tests/test_documented.py fails when they differ.
"""

import re
import sys
from pathlib import Path

from feishu_ws.config import KEYS
from feishu_ws.faults import CATALOGUE as FAULTS
from feishu_ws.telemetry.catalogue import CATALOGUE as METRICS
from feishu_ws.telemetry.catalogue import PREFIX
from feishu_ws.wire.link import render_mermaid

README = Path(__file__).resolve().parents[2] / "README.md"

PATHS = {
    "journal.path": "/var/lib/feishu-ws/journal.db",
    "socket.path": "/run/feishu-ws/events.sock",
}
"""As root without systemd; otherwise below its directories, or the XDG ones."""


def config_table():
    """Every configuration key."""
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for key in KEYS.values():
        default = PATHS.get(key.path) or key.kind.show(key.default)
        mark = " ↻" if key.reloadable else ""
        rows.append(f"| `{key.path}`{mark} | `{default}` | {key.meaning} |")
    return "\n".join(rows)


def fault_table():
    """Every fault."""
    rows = [
        "| fault | what happened | the daemon | shown | you | exit |",
        "|---|---|---|---|---|---|",
    ]
    for fault, spec in FAULTS.items():
        shown = f"after {spec.visible_after_s:g} s" if spec.visible_after_s else "at once"
        never_ends = spec.remedy == "note" and spec.exit_code == 69
        code = "" if never_ends else int(spec.exit_code)
        rows.append(
            f"| `{fault}` | {spec.title} | {spec.remedy} | {shown} | {spec.hint} | {code} |"
        )
    return "\n".join(rows)


def metric_table():
    """Every metric."""
    rows = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for metric in METRICS:
        suffix = "_total" if metric.kind == "counter" and not metric.name.endswith("_total") else ""
        labels = ", ".join(f"`{label.name}`" for label in metric.labels)
        rows.append(
            f"| `{PREFIX}{metric.name}{suffix}` | {metric.kind} | {labels} | {metric.help} |"
        )
    return "\n".join(rows)


def link_diagram():
    """The life of a link."""
    return "```mermaid\n" + render_mermaid().strip() + "\n```"


TABLES = {
    "config": config_table,
    "faults": fault_table,
    "metrics": metric_table,
    "link": link_diagram,
}


def _literal(table):
    return table.replace("\\", r"\\")


def filled(text):
    """Return `text` with every table made anew."""
    for name, make in TABLES.items():
        marks = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        table = make()
        text, count = re.subn(marks, rf"\g<1>{_literal(table)}\n\g<2>", text, flags=re.DOTALL)
        if count != 1:
            sys.exit(f"README.md: expected one table {name}, found {count}")
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text()))
