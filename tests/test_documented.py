"""The README says what is there: tables are made from the code, words are all in it."""

import re
from pathlib import Path

import pytest
from tools.tables import README, filled

from feishu_ws.cli.parser import build_parser
from feishu_ws.faults import CATALOGUE, Exit, Fault

TEXT = README.read_text()
ROOT = Path(__file__).resolve().parents[1]


def test_tables_are_up_to_date():
    """The tables are what the code says now (`python tests/tools/tables.py` rewrites them)."""
    assert filled(TEXT) == TEXT


def test_every_command_is_documented():
    """Each command of the parser has a row."""
    documented = set(re.findall(r"^\| `([a-z]+)` \|", TEXT, flags=re.MULTILINE))
    (commands,) = [a for a in build_parser()._actions if a.dest == "command"]

    assert set(commands.choices) <= documented


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


def test_make_targets_of_the_readme_exist():
    """Every `make` command the README names is a target."""
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make ([a-z]+)", TEXT)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_top_level_is_as_agreed():
    """Only what a stranger expects lies at the top."""
    agreed = {
        "pyproject.toml", "README.md", "feishu_ws", "tests", "systemd", "grafana",
        "LICENSE", "CHANGELOG.md", "Makefile", "requirements.lock", "docs",
    }  # fmt: skip
    listed = {p.name for p in ROOT.iterdir() if not p.name.startswith(".")}
    assert listed - {"dist", "build"} <= agreed
