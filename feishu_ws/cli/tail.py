"""`feishu-ws tail`: events as they arrive. It has no cursor and disturbs nobody."""

import argparse
import asyncio
import sys
from contextlib import suppress
from typing import Final

from feishu_ws.cli.eventline import EventLines
from feishu_ws.cli.reach import refusal, socket_of
from feishu_ws.cli.render import verbatim
from feishu_ws.client import Consumer, RpcError

NAME: Final = "tail"  # without a cursor names may be shared


def run(args: argparse.Namespace) -> int:
    """Print events until --max, the end of the daemon, or an interrupt.

    Raises:
        Disconnected: No daemon is there, or it went away.
    """
    with suppress(KeyboardInterrupt):  # how one ends it
        asyncio.run(_tail(args, socket_of(args)))
    return 0


async def _tail(args: argparse.Namespace, path: str) -> None:
    consumer = Consumer(
        NAME, path, types=args.types, start=args.start, durable=False, reconnect=False
    )
    try:
        async with consumer:
            await _print(consumer, args.max, as_json=args.json)
    except RpcError as exc:
        raise refusal(exc, path) from exc


async def _print(consumer: Consumer, most: int | None, *, as_json: bool) -> None:
    lines, printed = EventLines(sys.stdout), 0
    async for delivery in consumer:
        whole = delivery.raw.decode()
        print(verbatim(whole, sys.stdout) if as_json else lines.line(delivery), flush=True)
        delivery.settle_soon()  # makes room in the window
        printed += 1
        if printed == most:
            return
