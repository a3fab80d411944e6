"""`feishu-ws send`: a message through the daemon."""

import argparse
import sys
from typing import Any, Final

import msgspec

from feishu_ws.cli.outward import ask_daemon, read_input, read_json
from feishu_ws.cli.parser import PROGRAM, UsageError
from feishu_ws.cli.render import verbatim

_BY_PREFIX: Final = {"oc_": "chat_id", "ou_": "open_id", "on_": "union_id"}
"""What an id is. Source: Feishu docs, ids of chats and of persons."""


def run(args: argparse.Namespace) -> int:
    """Send and print the id of the message.

    Raises:
        FeishuWsError: Nobody is there, or it was refused.
    """
    answer = ask_daemon(args, "send", _params(args))
    if args.json:
        print(verbatim(answer.decode(), sys.stdout))
    else:
        print(msgspec.json.decode(answer)["message_id"])
    return 0


def _params(args: argparse.Namespace) -> dict[str, Any]:
    if args.durable and not args.uuid:
        hint = "name the message with --uuid, so that a repeat is not a second one"
        raise UsageError("--durable without --uuid, expected both", hint)
    params: dict[str, Any] = {"msg_type": args.msg_type, "content": _content(args)}
    if args.reply_to is not None:
        params |= {"reply_to": args.reply_to, "reply_in_thread": args.in_thread}
    else:
        params |= {"receive_id": args.to, "receive_id_type": args.id_type or _type_of(args.to)}
    if args.uuid:
        params |= {"uuid": args.uuid, "durable": args.durable}
    return params


def _type_of(receiver: str) -> str:
    by_prefix = next((k for prefix, k in _BY_PREFIX.items() if receiver.startswith(prefix)), None)
    return by_prefix or ("email" if "@" in receiver else "user_id")


def _content(args: argparse.Namespace) -> Any:
    given = read_input(args.file, "the message")
    if args.msg_type != "text":
        return read_json(given, args.file or "what came on standard input")
    try:
        text = given.decode()
    except UnicodeDecodeError as exc:
        raise UsageError(
            f"the message is no UTF-8: {exc.reason}", f"{PROGRAM} send --help"
        ) from exc
    if not text.strip():
        raise UsageError("the message is empty, expected words", f"{PROGRAM} send --help")
    return {"text": text.removesuffix("\n")}
