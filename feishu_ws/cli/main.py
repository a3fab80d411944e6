"""The way in and the only way out: parses, runs a command, turns faults into exit codes."""

import importlib
import json
import os
import sys
import traceback
from typing import Final, NoReturn

from feishu_ws.cli.commands import COMMANDS
from feishu_ws.cli.parser import PROGRAM, parse
from feishu_ws.faults import CATALOGUE, Exit, Fault, FeishuWsError

INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it


def main() -> NoReturn:
    """Run `sys.argv` and exit."""
    sys.exit(execute(sys.argv[1:]))


def execute(argv: list[str]) -> int:
    """Run a command line and return its exit code; whatever goes wrong is told on stderr."""
    for stream in (sys.stdout, sys.stderr):
        _never_refuse(stream)
    try:
        code = _dispatch(argv)
        sys.stdout.flush()
    except FeishuWsError as exc:
        return _tell(exc, as_json="--json" in argv)
    except BrokenPipeError:
        _drop_stdout()
        return Exit.OK  # whoever read had enough
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as exc:  # noqa: BLE001  # the top: a defect must end with a code and a hint
        return _tell(_defect(exc), as_json="--json" in argv)
    return code


def _dispatch(argv: list[str]) -> int:
    args = parse(argv)
    command = next(command for command in COMMANDS if command.name == args.command)
    return int(importlib.import_module(command.module).run(args))


def _never_refuse(stream: object) -> None:
    """Let a character that the terminal's encoding lacks be escaped instead of raising."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _drop_stdout() -> None:
    """Let nothing be flushed into the broken pipe when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _defect(exc: Exception) -> FeishuWsError:
    traceback.print_exception(exc)
    frame = traceback.extract_tb(exc.__traceback__)[-1]
    seen = f"{type(exc).__name__}: {exc}"
    where = f"{frame.filename}:{frame.lineno}"
    return FeishuWsError(Fault.INTERNAL, f"{seen}, expected no such thing, {where}")


def _tell(exc: FeishuWsError, *, as_json: bool) -> int:
    """Print an error in the form of CONTRACT 3 and return its exit code."""
    spec = CATALOGUE[exc.fault]
    hint = getattr(exc, "hint", spec.hint)
    errors, warnings = getattr(exc, "errors", ()), getattr(exc, "warnings", ())
    if as_json:
        told: dict[str, object] = {
            "fault": exc.fault.value,
            "message": exc.detail,
            "hint": hint,
            "exit": int(spec.exit_code),
        }
        if errors:
            told["errors"] = list(errors)
        if warnings:
            told["warnings"] = list(warnings)
        print(json.dumps({"error": told}, ensure_ascii=False), file=sys.stderr)
        return spec.exit_code
    for line in errors or (exc.detail,):
        print(f"{PROGRAM}: {_one_line(line)}", file=sys.stderr)
    for line in warnings:
        print(f"{PROGRAM}: warning: {_one_line(line)}", file=sys.stderr)
    if hint:
        print(f"  try: {hint}", file=sys.stderr)
    if exc.fault is not Fault.USAGE:
        print(f"  fault: {exc.fault}", file=sys.stderr)  # the word of logs, metrics and README
    return spec.exit_code


def _one_line(text: str) -> str:
    """Return text without what could steer a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
