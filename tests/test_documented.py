"""README and docs say what is there: tables are made from the code, examples are tried on it."""

import ast
import importlib
import os
import re
import shlex
from contextlib import suppress

import pytest
from tools.tables import DESIGN, MEASURED, MESSAGES, README, ROOT, TABLES, filled

from feishu_ws.cli import parser
from feishu_ws.cli.parser import build_parser
from feishu_ws.config import load
from feishu_ws.downstream import desk, outward, session
from feishu_ws.events.message import READERS
from feishu_ws.faults import CATALOGUE, Exit, Fault
from feishu_ws.telemetry.catalogue import CATALOGUE as METRICS
from feishu_ws.telemetry.catalogue import PREFIX

PAGES = (README, DESIGN, MEASURED, MESSAGES)
TEXT = README.read_text()
PACKAGE = ROOT / "feishu_ws"
ENOUGH = {"FEISHU_WS_APP__ID": "cli_a1b2c3d4e5f60718", "FEISHU_WS_APP__SECRET": "s"}
INVOCATION = re.compile(r"(?:[A-Z_]+=\S+ )*feishu-ws (.+)")


def blocks(language):
    """The fenced blocks of a language in all pages, with the page's name."""
    fence = rf"^```{language}\n(.*?)^```"
    return [
        pytest.param(block, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, block in enumerate(
            re.findall(fence, page.read_text(), re.DOTALL | re.MULTILINE), 1
        )
    ]


def section(heading):
    """What stands below a heading of the README, up to the next one."""
    return re.search(rf"^#+ {heading}\n(.*?)(?=^#|\Z)", TEXT, re.DOTALL | re.MULTILINE)[1]


def rows(text):
    """The words in backticks in the first column of a table."""
    firsts = re.findall(r"^\|([^|]*)\|", text, flags=re.MULTILINE)
    return {word for first in firsts for word in re.findall(r"`([^`]+)`", first)}


def words_of_commands():
    """The arguments of every `feishu-ws …` at a prompt or between backticks, made tables aside."""
    found = set()
    for page in PAGES:
        text = re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", "", page.read_text(), flags=re.DOTALL)
        shown = re.findall(r"^[$#] (.*)$", text, re.MULTILINE) + re.findall(r"`([^`\n]+)`", text)
        for line in shown:
            bare = re.sub(r"\s#\s.*", "", line.replace("\\|", "|"))
            for part in re.split(r" \| | && |; ", bare):
                if (asked := INVOCATION.fullmatch(part.strip())) and "COMMAND" not in part:
                    found.add(asked[1])
    return sorted(found)


@pytest.mark.parametrize("page", TABLES, ids=lambda page: page.stem)
def test_tables_are_up_to_date(page):
    """The tables are what the code says now (`python tests/tools/tables.py` rewrites them)."""
    assert filled(page) == page.read_text()


def test_every_command_is_documented():
    """Each command of the parser has a row."""
    (commands,) = [a for a in build_parser()._actions if a.dest == "command"]

    assert set(commands.choices) == rows(section("Commands")) - {"command"}


def test_every_exit_code_is_documented():
    """Each exit code is named in the README."""
    line = next(line for line in TEXT.splitlines() if line.startswith("Exit codes:"))

    assert {int(number) for number in re.findall(r"\b\d+\b", line)} == {int(code) for code in Exit}


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_is_in_the_catalogue(fault):
    """A fault has a title, a hint unless there is nothing to do, and a README row."""
    spec = CATALOGUE[fault]

    assert spec.title
    assert spec.hint or spec.remedy == "note"
    assert f"| `{fault}` |" in TEXT


def test_every_method_of_the_socket_is_documented():
    """Each method of the native socket has its row."""
    methods = {*session._METHODS, *outward._METHODS, *desk._FOR_ALL, *desk._FOR_FEW}

    assert rows(section("The socket")) == methods


def test_every_type_of_message_is_documented():
    """Each type of message that is read has a row in docs/MESSAGES.md."""
    assert set(READERS) <= rows(MESSAGES.read_text())


def test_every_room_is_documented():
    """Each folder of the package has a row in docs/DESIGN.md, and each row a folder or file."""
    folders = {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    named = {word for word in rows(DESIGN.read_text()) if word.endswith(("/", ".py"))}

    assert folders == {word for word in named if word.endswith("/")}
    assert all((PACKAGE / word).exists() for word in named)


def test_every_metric_named_in_prose_is_one():
    """No page speaks of a metric that there is not."""
    known = {f"{PREFIX}{metric.name}" for metric in METRICS}
    for page in PAGES:
        for name in re.findall(rf"`({PREFIX}[a-z_]+)`", page.read_text()):
            assert {name, name.removesuffix("_total")} & known, name


@pytest.mark.parametrize("words", words_of_commands())
def test_commands_that_are_shown_are_understood(words):
    """Every `feishu-ws` command that a page shows is one the parser takes."""
    with suppress(SystemExit):  # --version; what is not understood raises another error
        parser.parse(shlex.split(words))


@pytest.mark.parametrize("block", blocks("python"))
def test_python_that_is_shown_finds_its_names(block):
    """Every example compiles, and what it imports of ours is there."""
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("feishu_ws"):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)


@pytest.mark.parametrize("block", blocks("toml"))
def test_configuration_that_is_shown_is_valid(block, tmp_path):
    """Every piece of TOML is a valid configuration, once app and secret are known."""
    file = tmp_path / "config.toml"
    file.write_text(block)
    file.chmod(0o600)

    load(str(file), ENOUGH | {"HOME": os.fspath(tmp_path)})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    """Every link to a file or heading of ours finds it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_make_targets_that_are_named_exist():
    """Every `make` command that a page names is a target."""
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in set(re.findall(r"(?:`|^\$ )make ([a-z]+)", page.read_text(), re.MULTILINE)):
            assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_summaries_quote_what_was_measured():
    """Every row of the README's summary stands in docs/MEASURED.md, figure for figure."""
    measured = MEASURED.read_text().splitlines()
    shown = [line for line in section("Measured").splitlines() if line.startswith("|")]

    assert shown
    assert set(shown) <= set(measured)


def test_top_level_is_as_agreed():
    """Only what a stranger expects lies at the top."""
    agreed = {
        "pyproject.toml", "README.md", "feishu_ws", "tests", "systemd", "grafana",
        "LICENSE", "CHANGELOG.md", "Makefile", "requirements.lock", "docs",
    }  # fmt: skip
    listed = {p.name for p in ROOT.iterdir() if not p.name.startswith(".")}
    assert listed - {"dist", "build"} <= agreed
