"""`feishu-ws api`: any call of Feishu's API through the daemon."""

import argparse
import sys
from typing import Any

import msgspec

from feishu_ws.cli.outward import ask_daemon, read_input, read_json
from feishu_ws.cli.render import verbatim
from feishu_ws.faults import CATALOGUE, Fault


class _Result(msgspec.Struct):
    http_status: int
    headers: dict[str, str] = {}
    body: msgspec.Raw = msgspec.Raw(b"")
    body_base64: bytes | None = None


class _Body(msgspec.Struct):
    code: int = 0


def run(args: argparse.Namespace) -> int:
    """Make the call, print Feishu's answer, and tell by the exit code whether it is code 0.

    Raises:
        FeishuWsError: Nobody is there, or there is no answer.
    """
    params: dict[str, Any] = {"method": args.method, "path": args.path, "query": _query(args)}
    if args.body is not None:
        params["body"] = read_json(read_input(args.body, "the body"), args.body)
    answer = ask_daemon(args, "api", params)
    result = msgspec.json.decode(answer, type=_Result)
    if args.json:
        print(verbatim(answer.decode(), sys.stdout))
    elif result.body_base64 is None:
        print(verbatim(bytes(result.body).decode(), sys.stdout))
    else:
        sys.stdout.buffer.write(result.body_base64)
    return _exit_code(result)


def _query(args: argparse.Namespace) -> dict[str, list[str]]:
    query: dict[str, list[str]] = {}
    for name, value in args.query:
        query.setdefault(name, []).append(value)
    return query


def _exit_code(result: _Result) -> int:
    spec = CATALOGUE[Fault.API_REFUSED]
    try:
        code = msgspec.json.decode(result.body, type=_Body).code if bytes(result.body) else 0
    except msgspec.DecodeError:
        code = 0  # JSON without a code says nothing of success; the HTTP status does
    is_fine = 200 <= result.http_status < 300 and code == 0
    return 0 if is_fine else int(spec.exit_code)
