"""What `send` and `api` share: words from a file, an order to the daemon, Feishu's refusal."""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from feishu_ws.cli.parser import HintedError, UsageError
from feishu_ws.cli.reach import fault_of, refusal, socket_of
from feishu_ws.client import Code, Disconnected, RpcError
from feishu_ws.client.connection import open_connection
from feishu_ws.faults import CATALOGUE, Fault, FeishuWsError

STDIN: Final = "-"
ANSWER_S: Final = 900.0  # a message may wait behind thousands for Feishu's limits


def read_input(file: str | None, prompt: str) -> bytes:
    """Return what is in a file, or comes from standard input.

    Raises:
        UsageError: The file cannot be read.
    """
    if file in {None, STDIN}:
        if sys.stdin.isatty():
            print(f"{prompt}, Ctrl-D ends it:", file=sys.stderr)
        return sys.stdin.buffer.read()
    try:
        return Path(file or "").read_bytes()
    except OSError as exc:
        raise UsageError(
            f"cannot read {file}: {exc.strerror}", "name a file that can be read"
        ) from exc


def read_json(text: bytes, where: str) -> msgspec.Raw:
    """Return JSON as it is.

    Raises:
        UsageError: It is none.
    """
    try:
        return msgspec.Raw(bytes(msgspec.json.decode(text, type=msgspec.Raw)))
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise UsageError(f"{where} is no JSON: {exc}", "mend it, or see --help") from exc


def ask_daemon(args: argparse.Namespace, method: str, params: dict[str, Any]) -> bytes:
    """Have the daemon do it; return the result's JSON.

    Raises:
        FeishuWsError: Nobody is there, or it was refused: by the daemon or by Feishu.
    """
    path = socket_of(args)
    try:
        return asyncio.run(_ask(path, method, params))
    except RpcError as exc:
        raise _explained(exc, path) from exc


async def _ask(path: str, method: str, params: dict[str, Any]) -> bytes:
    connection = await open_connection(path)
    try:
        async with asyncio.timeout(ANSWER_S):
            return bytes(await connection.call(method, params))
    except TimeoutError as exc:
        seen = f"no answer to {method} in {ANSWER_S:.0f} s, expected one; it may still be done"
        raise Disconnected("timeout", seen) from exc
    finally:
        await connection.close()


def _explained(exc: RpcError, path: str) -> FeishuWsError:
    if exc.code == Code.FEISHU_REFUSED and isinstance(exc.data, dict):
        said = ", ".join(f"{name} {value}" for name, value in exc.data.items() if value)
        return FeishuWsError(Fault.API_REFUSED, f"Feishu refused: {said}, expected code 0")
    if exc.code in {Code.INVALID_PARAMS, Code.FULL}:
        fault = fault_of(exc)
        return HintedError(fault, f"{exc.message}, {path}", CATALOGUE[fault].hint)
    return refusal(exc, path)
