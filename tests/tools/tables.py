"""The tables of README and docs, made from the code they describe.

`python tests/tools/tables.py` rewrites them between their markers;
tests/test_documented.py fails when they differ.
"""

import re
import runpy
import sys
from pathlib import Path

from feishu_ws.config import KEYS
from feishu_ws.faults import CATALOGUE as FAULTS
from feishu_ws.telemetry.catalogue import CATALOGUE as METRICS
from feishu_ws.telemetry.catalogue import PREFIX
from feishu_ws.wire.link import render_mermaid

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
DESIGN = DOCS / "DESIGN.md"
MEASURED = DOCS / "MEASURED.md"
MESSAGES = DOCS / "MESSAGES.md"
DIFFERENCES = TESTS / "acceptance" / "sdk" / "differences.py"

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


def difference_table():
    """Every reason for which we read messages otherwise than lark-oapi, and where it shows."""
    listed = runpy.run_path(str(DIFFERENCES))
    names = {value: name for name, value in listed.items() if isinstance(value, str)}
    found = {}
    for (message, aspect), (_, _, reason) in listed["DIFFERENCES"].items():
        found.setdefault(reason, []).append((message, aspect))
    rows = ["| | why | what differs | in |", "|---|---|---|---|"]
    for reason, places in found.items():
        aspects = ", ".join(dict.fromkeys(aspect for _, aspect in places))
        messages = ", ".join(f"`{name}`" for name in dict.fromkeys(name for name, _ in places))
        rows.append(f"| {names[reason]} | {reason} | {aspects} | {messages} |")
    return "\n".join(rows)


TABLES = {
    README: {
        "link": link_diagram,
        "faults": fault_table,
        "config": config_table,
        "metrics": metric_table,
    },
    MESSAGES: {"differences": difference_table},
}
"""By file, the tables that are made."""


def _literal(table):
    return table.replace("\\", r"\\")


def filled(path):
    """Return the text of a file with every table made anew."""
    text = path.read_text()
    for name, make in TABLES[path].items():
        marks = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        table = make()
        text, count = re.subn(marks, rf"\g<1>{_literal(table)}\n\g<2>", text, flags=re.DOTALL)
        if count != 1:
            sys.exit(f"{path.name}: expected one table {name}, found {count}")
    return text


if __name__ == "__main__":
    for each in TABLES:
        each.write_text(filled(each))
