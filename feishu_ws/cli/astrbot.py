"""`feishu-ws astrbot install`: puts the AstrBot plugin in place, and says what to enter."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feishu_ws.astrbot.place import CONFIG, PLUGIN, Outcome, check_data, install, remove
from feishu_ws.astrbot.platform import (
    ENDPOINT,
    TYPE,
    Entry,
    merge,
    read_config,
    rivals,
    write_config,
)
from feishu_ws.cli.outward import read_input
from feishu_ws.cli.parser import UsageError
from feishu_ws.cli.reach import socket_of
from feishu_ws.cli.render import verbatim
from feishu_ws.client import Disconnected, NotAllowed, RpcError, ask

ASK_S = 3.0  # a daemon that does not answer is none, for what is only advice


def run(args: argparse.Namespace) -> int:
    """Install or remove, and print what is to be done in AstrBot.

    Raises:
        FeishuWsError: The directory is none of AstrBot's, or cannot be written.
    """
    data = Path(args.data)
    if args.remove:
        return _print(args, {"plugin": remove(data), "at": _place(data)}, [])
    entry, is_known = _entry(args)
    config = read_config(data)
    merged = _merged(config, entry) if args.write else config
    told: dict[str, Any] = {"plugin": install(data), "at": _place(data)}
    lines = _enter(entry, is_known=is_known)
    if args.write:
        if merged != config:
            write_config(data, merged)
        lines = [f"platform {entry.name}: written to {data / CONFIG}"]
        lines += [] if entry.secret else ["its app_secret is still to be entered: lookalike.secret"]
    lines += [
        f"platform {each}: disable it, it takes events of {entry.app_id} away from the daemon"
        for each in rivals(config, entry.app_id)
    ]
    shown = entry.fields() | ({"app_secret": "(set)"} if entry.secret else {})
    return _print(
        args, told | {"platform": shown, "written": args.write}, [*lines, "then restart AstrBot"]
    )


def _place(data: Path) -> str:
    return str(check_data(data) / PLUGIN)


def _entry(args: argparse.Namespace) -> tuple[Entry, bool]:
    """Return the platform's entry, and whether a daemon told what is in it."""
    socket = socket_of(args)
    status = _status(socket)
    address = (status.get("lookalike") or {}).get("address") or ENDPOINT
    secret = ""
    if args.secret_file is not None:
        given = read_input(args.secret_file, "lookalike.secret")
        secret = given.decode("utf-8", "replace").strip()
    app_id = args.app_id or str(status.get("app_id", ""))
    if args.write and not app_id:
        raise UsageError(
            f"no app id, and no daemon answers at {socket} to ask, expected one of the two",
            "start the daemon, or name --app-id",
        )
    return Entry(args.id, app_id, str(address), socket, secret), bool(status)


def _status(socket: str) -> Mapping[str, Any]:
    """Return the daemon's status, empty if none answers: the plugin can wait for it."""
    try:
        status = asyncio.run(ask(socket, "status", timeout_s=ASK_S))
    except (Disconnected, NotAllowed, RpcError):
        return {}
    return status if isinstance(status, dict) else {}


def _enter(entry: Entry, *, is_known: bool) -> list[str]:
    """Return what to enter in AstrBot's dashboard."""
    rows = {
        "app_id": entry.app_id or "cli_…, the daemon's app.id",
        "app_secret": "the daemon's lookalike.secret (not the app's own)",
        "domain": entry.fields()["domain"],
        "socket_path": entry.socket,
        "consumer": entry.consumer,
    }
    source = "" if is_known else " (no daemon answers there; these are the defaults)"
    lines = [f"in AstrBot add a platform of type {TYPE} and enter{source}:"]
    return lines + [f"  {name:<12} {value}" for name, value in rows.items()]


def _merged(config: Mapping[str, Any], entry: Entry) -> dict[str, Any]:
    try:
        return merge(config, entry)
    except ValueError as exc:
        seen = f"{exc}, expected {TYPE} or no platform of that id"
        raise UsageError(seen, "name another one with --id") from exc


def _print(args: argparse.Namespace, told: Mapping[str, Any], lines: list[str]) -> int:
    if args.json:
        print(verbatim(json.dumps(told, ensure_ascii=False), sys.stdout))
        return 0
    outcome = told["plugin"]
    print(f"plugin {PLUGIN}: {outcome}, {told['at']}")
    if outcome == Outcome.REMOVED:
        lines = [f"in AstrBot delete platforms of type {TYPE}, then restart it"]
    for line in lines:
        print(verbatim(line, sys.stdout))
    return 0
