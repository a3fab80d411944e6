"""Imports go down only, rooms on one floor do not know each other, pure rooms do no I/O."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "feishu_ws"

FLOORS = {
    "__main__": 5,
    "cli": 4,
    **dict.fromkeys(
        (
            "daemon",
            "config",
            "rooms",
            "intake",
            "answering",
            "outward",
            "lookalike",
            "proven",
            "overview",
            "watchers",
            "clockwatch",
            "recorder",
            "lifetime",
            "start",
        ),
        3,
    ),
    **dict.fromkeys(
        (
            "upstream",
            "journal",
            "downstream",
            "openapi",
            "telemetry",
            "simulator",
            "client",
            "astrbot",
        ),
        2,
    ),
    **dict.fromkeys(("wire", "events"), 1),
    **dict.fromkeys(
        (
            "exits",
            "faults",
            "model",
            "clock",
            "nudge",
            "secret",
            "tally",
            "happenings",
            "surrogates",
            "__init__",
        ),
        0,
    ),
}
MAY_MEET = {("downstream", "journal"), ("openapi", "journal")}
"""They know the journal by its contract alone; see `test_contracts_only`."""
IMPURE = {
    "asyncio",
    "socket",
    "time",
    "threading",
    "subprocess",
    "logging",
    "aiohttp",
    "websockets",
}
PURE = [
    *(PACKAGE / "wire").glob("*.py"),
    *(PACKAGE / "events").glob("*.py"),
    *(PACKAGE / "openapi" / f"{name}.py" for name in ("limits", "queues", "steps")),
    *(
        PACKAGE / "journal" / f"{name}.py"
        for name in ("spans", "ledger", "retention", "pages", "wal", "rows", "findings")
    ),
    *(
        PACKAGE / "downstream" / f"{name}.py"
        for name in (
            "done",
            "handed",
            "hello",
            "incidents",
            "outages",
            "progress",
            "recent",
            "settings",
            "stale",
            "stuck",
        )
    ),
    *(
        PACKAGE / "downstream" / "lookalike" / f"{name}.py"
        for name in ("door", "filtered", "frames", "settings")
    ),
    PACKAGE / "openapi" / "passes.py",
]


def room_of(path):
    """Return the room a file belongs to."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports_of(path):
    """Return every module a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if node.module == "feishu_ws":
                found.update(f"feishu_ws.{alias.name}" for alias in node.names)
    return found


SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if "pbbp2" not in path.name)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    """A file imports its own room, or rooms on lower floors."""
    room = room_of(path)
    for module in imports_of(path):
        if not module.startswith("feishu_ws."):
            continue
        other = module.split(".")[1]
        if other in {room, "__version__"} or (room, other) in MAY_MEET:
            continue
        if FLOORS[room] == FLOORS[other] and FLOORS[room] in {0, 3}:
            continue  # the words, and the composition root, are several files each
        assert FLOORS[other] < FLOORS[room], f"{path.name} ({room}) imports {module}"


def test_contracts_only():
    """Others import of the journal its contract and pure spans, nothing of SQLite."""
    allowed = {"feishu_ws.journal.contract", "feishu_ws.journal.spans"}
    for path in [*(PACKAGE / "downstream").rglob("*.py"), *(PACKAGE / "openapi").glob("*.py")]:
        found = {m for m in imports_of(path) if m.startswith("feishu_ws.journal")}
        assert found <= allowed, path.name


@pytest.mark.parametrize("path", PURE, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_pure_rooms_do_no_io(path):
    """Pure files import nothing that waits, reads a clock or talks to anybody."""
    assert not {module.split(".")[0] for module in imports_of(path)} & IMPURE


def test_only_the_consumer_side_knows_lark_oapi():
    """`lark_oapi` is imported below client/ and in AstrBot only: it costs seconds and 170 MB."""
    users = {
        room_of(path)
        for path in SOURCES
        if any(module.split(".")[0] == "lark_oapi" for module in imports_of(path))
    }
    assert users <= {"client", "astrbot"}


def test_the_plugin_needs_nothing_of_ours():
    """What runs in AstrBot's Python imports the plugin's own files, AstrBot and lark-oapi."""
    theirs = {"astrbot", "lark_oapi"}
    for path in (PACKAGE / "astrbot" / "plugin").glob("*.py"):
        own = {other.stem for other in path.parent.glob("*.py")}
        roots = {module.split(".")[0] for module in imports_of(path)}
        assert roots <= sys.stdlib_module_names | theirs | own, path.name


def test_files_stay_small():
    """A file that outgrows 400 lines is two files."""
    sizes = {path: len(path.read_text().splitlines()) for path in SOURCES}
    assert {path.name: size for path, size in sizes.items() if size > 400} == {}
