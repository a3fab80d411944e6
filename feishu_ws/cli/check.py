"""`feishu-ws check`: what is in force and where it comes from, or everything wrong at once."""

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from feishu_ws.cli.examine.journal import obstacle
from feishu_ws.cli.render import Cell, Paint, table
from feishu_ws.config import Loaded, effective, load
from feishu_ws.upstream.proxy import choose_proxy


def run(args: argparse.Namespace) -> int:
    """Print the effective settings and warnings.

    Raises:
        ConfigError: Something is not valid; it names everything that is not.
        FeishuWsError: `config_invalid`, the proxy that the environment names cannot be used.
    """
    loaded = _with_place(load(args.config, os.environ))
    choose_proxy(loaded.settings.upstream.proxy, loaded.settings.app.domain)
    print(json.dumps(_as_json(loaded), ensure_ascii=False) if args.json else _as_text(loaded))
    return 0


def _with_place(loaded: Loaded) -> Loaded:
    """Return it with a warning where this user could not keep the journal: another may."""
    path = loaded.settings.journal.path
    why = obstacle(Path(path))
    if not why:
        return loaded
    warning = f"journal.path: {why}, expected a place that the daemon's user can write, {path}"
    return replace(loaded, warnings=(*loaded.warnings, warning))


def _as_json(loaded: Loaded) -> dict[str, object]:
    settings = {
        key: {"value": _plain(value), "source": source} for key, value, source in effective(loaded)
    }
    return {"config": loaded.path, "settings": settings, "warnings": list(loaded.warnings)}


def _plain(shown: str) -> object:
    """Return the value that was shown as JSON, else the text: only `<redacted>` is none."""
    try:
        return json.loads(shown)
    except ValueError:
        return shown


def _as_text(loaded: Loaded) -> str:
    paint = Paint(sys.stdout)
    rows = [_row(*row) for row in effective(loaded)]
    lines = [f"configuration: {loaded.path or 'environment and defaults'}"]
    lines += table(rows, paint)
    lines += [f"{paint('warning', 'warn')}: {warning}" for warning in loaded.warnings]
    lines.append(paint("valid", "good"))
    return "\n".join(lines)


def _row(key: str, value: str, source: str) -> list[Cell]:
    by_default = source == "default"
    style = "dim" if by_default else ""
    return [Cell(key, "name"), Cell(value, style), Cell("" if by_default else source, "dim")]
