"""The way of an admin command to the journal: through the daemon, or as its owner.

While a daemon answers, or may, no file of the journal is opened. Where nobody answers
the lock decides: who gets it may work on the journal, and who does not is told whose
it is.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from feishu_ws.cli.parser import PROGRAM, HintedError
from feishu_ws.cli.reach import (
    HANGS,
    explain_absence,
    fault_of,
    is_silent,
    is_socket_named,
    socket_of,
)
from feishu_ws.client import Code, Disconnected, RpcError
from feishu_ws.client.connection import Connection, open_connection
from feishu_ws.config import ConfigError, Settings, load
from feishu_ws.faults import CATALOGUE, Fault, FeishuWsError

if TYPE_CHECKING:
    from feishu_ws.cli.owner import Owner

T = TypeVar("T")

Ask = Callable[[str, dict[str, Any]], Awaitable[bytes]]
"""Calls a method of CONTRACT 5 and returns the result's JSON."""
Work = Callable[[Ask], Awaitable[T]]

ANSWER_S: Final = 10.0  # to a ping; a daemon that takes longer is one that hangs
ORDER_S: Final = 120.0  # to give back or drop a journal full of dead letters
NAME_IT: Final = "name that process's socket with --socket, or stop it"
SKIPPED: Final = "skipped"  # in the data of a refusal to pass over events


class NobodyThereError(HintedError):
    """No daemon answers, and its journal cannot be found; `errors` has a line for each reason."""

    def __init__(self, nobody: Disconnected, why: tuple[str, ...]) -> None:
        self.errors = (nobody.detail, *why)
        hint = f"{nobody.spec.hint}, or its configuration with --config"
        super().__init__(nobody.fault, "; ".join(self.errors), hint)


def carry_out(args: argparse.Namespace, work: Work[T]) -> T:
    """Run `work` with a way to ask, through the daemon or on a stopped one's journal.

    Raises:
        FeishuWsError: Nobody is there and the journal cannot be had, or it was refused.
    """
    return asyncio.run(_carry_out(args, work))


async def _carry_out(args: argparse.Namespace, work: Work[T]) -> T:
    path = socket_of(args)
    try:
        connection = await open_connection(path)
    except Disconnected as nobody:
        return await _instead(args, nobody, work)
    try:
        silence = await _refusable(args, path, _silence(connection, path))
        if silence is not None:
            return await _instead(args, silence, work)
        return await _refusable(args, path, work(partial(_ask, connection)))
    finally:
        await connection.close()


async def _silence(connection: Connection, path: str) -> Disconnected | None:
    """Return what to say of a daemon that hangs; an order it reads later must not be sent."""
    try:
        async with asyncio.timeout(ANSWER_S):
            await connection.call("ping", {})
    except TimeoutError:
        seen = f"no answer in {ANSWER_S:.0f} s, expected one, {path}"
        return Disconnected("timeout", seen)
    return None


async def _ask(connection: Connection, method: str, params: dict[str, Any]) -> bytes:
    try:
        async with asyncio.timeout(ORDER_S):
            return bytes(await connection.call(method, params))
    except TimeoutError as exc:
        seen = f"no answer to {method} in {ORDER_S:.0f} s, expected one; it may still be done"
        raise Disconnected("timeout", seen) from exc


async def _instead(args: argparse.Namespace, nobody: Disconnected, work: Work[T]) -> T:
    """Work on the journal itself.

    Raises:
        FeishuWsError: It was this very socket that was asked for; or as `Owner` does.
    """
    from feishu_ws.cli.owner import Owner  # the half of a daemon: 0.2 s

    if is_socket_named(args):
        raise explain_absence(nobody, socket_of(args)) from nobody
    settings = _settings(args, nobody)
    try:
        async with Owner(settings) as owner:
            _tell(nobody, owner, as_json=args.json)
            return await _refusable(args, str(owner.path), work(owner.ask))
    except FeishuWsError as exc:
        if exc.fault is Fault.JOURNAL_LOCKED:
            detail = f"{nobody.detail}; {exc.detail}"
            hint = HANGS if is_silent(nobody) else NAME_IT
            raise HintedError(exc.fault, detail, hint) from exc
        if exc.fault is Fault.DAEMON_UNREACHABLE:
            raise NobodyThereError(nobody, (exc.detail,)) from exc
        raise


def _settings(args: argparse.Namespace, nobody: Disconnected) -> Settings:
    try:
        return load(args.config, os.environ, needs_secret=False).settings
    except ConfigError as exc:
        raise NobodyThereError(nobody, exc.errors) from exc


def _tell(nobody: Disconnected, owner: "Owner", *, as_json: bool) -> None:
    """Say whose part was played; a loss is told to programs, too."""
    if owner.salvaged:
        warning = json.dumps({"warning": owner.salvaged}, ensure_ascii=False)
        print(warning if as_json else f"{PROGRAM}: {owner.salvaged}", file=sys.stderr)
    if not as_json:
        note = f"no daemon runs ({nobody.detail}); its journal was used directly, {owner.path}"
        print(f"{PROGRAM}: {note}", file=sys.stderr)


async def _refusable(args: argparse.Namespace, where: str, work: Awaitable[T]) -> T:
    """Return what `work` returns; a refusal becomes a fault with what to do about it."""
    try:
        return await work
    except RpcError as exc:
        raise _refusal(exc, args.command, where) from exc


def _refusal(exc: RpcError, command: str, where: str) -> HintedError:
    """Return the fault of an order that was refused, with what to do about it."""
    fault = Fault.USAGE if exc.code == Code.CONSUMER_CONFLICT else fault_of(exc)
    hint = CATALOGUE[fault].hint
    if exc.code == Code.NOT_ALLOWED:
        hint = "run it as root or as the daemon's user"
    elif exc.code == Code.METHOD_NOT_FOUND:
        hint = "restart the daemon: it is older than this command"
    elif isinstance(exc.data, dict) and SKIPPED in exc.data:
        hint = "the same with --skip, if they are not wanted"
    elif fault is Fault.USAGE:
        hint = f"{PROGRAM} {'dead' if command == 'dead' else 'consumers'} list"
    return HintedError(fault, f"{exc.message} ({where})", hint)


def decode(text: bytes) -> Any:
    """Decode any JSON that RFC 8259 allows."""
    try:
        return msgspec.json.decode(text)
    except msgspec.ValidationError:  # a number beyond every float, such as 1e999
        return json.loads(text)
