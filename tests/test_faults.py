"""The catalogue of faults is whole, and everything that tells of faults reads it."""

import ast
import functools
import re
from pathlib import Path

import pytest
from tools.tables import README

import feishu_ws
from feishu_ws.cli.parser import build_parser
from feishu_ws.config import KEYS
from feishu_ws.faults import CATALOGUE, Exit, Fault, FaultSpec, FeishuWsError, Remedy
from feishu_ws.telemetry import labels
from feishu_ws.upstream import discovery, opening
from feishu_ws.upstream.attempt import Phase
from feishu_ws.wire.endpoint import FAULT_BY_CODE

PACKAGE = Path(feishu_ws.__file__).parent
ROWS = re.search(r"<!-- faults -->\n(.*?)<!-- /faults -->", README.read_text(), re.DOTALL)[1]
COMMANDS = next(a for a in build_parser()._actions if a.dest == "command").choices
ACTIONS = {
    name: set().union(*(each.choices for each in parser._actions if isinstance(each.choices, dict)))
    for name, parser in COMMANDS.items()
}
LONGEST_S = 60  # a fault that is hidden for longer would be news to nobody


def test_the_catalogue_is_the_enum():
    """Every fault has an entry, and every entry is a fault's."""
    assert set(CATALOGUE) == set(Fault)


def test_the_table_is_the_enum():
    """Every row of the README is a fault, and every fault has one row."""
    rows = re.findall(r"^\| `([a-z_]+)` \|", ROWS, re.MULTILINE)
    assert sorted(rows) == sorted(Fault)


# -- each word is used --------------------------------------------------------------------


def faults_said_in(node):
    """The names of faults written as `Fault.NAME`, but for those that are only compared with."""
    if isinstance(node, ast.Compare):
        return
    if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "Fault":
        yield node.attr
    for child in ast.iter_child_nodes(node):
        yield from faults_said_in(child)


@functools.cache
def trees():
    """The package's files but the catalogue and what only lists labels."""
    paths = (p for p in sorted(PACKAGE.rglob("*.py")) if p.name not in {"faults.py", "labels.py"})
    return tuple((path, ast.parse(path.read_text())) for path in paths)


def test_every_fault_happens():
    """A word that nothing in the package ever says is no fault of this program."""
    said = {name for _, tree in trees() for name in faults_said_in(tree)}
    assert said == {each.name for each in Fault}


def test_every_error_says_its_fault():
    """Nobody spells a fault by hand: an error is made of a member of the enum, or of another's."""
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "FeishuWsError":
                first = node.args[0]
                assert not isinstance(first, ast.Constant), f"{path}:{node.lineno}"


# -- what an entry says -------------------------------------------------------------------


@pytest.mark.parametrize("fault", Fault)
def test_what_an_entry_says(fault):
    """One line each for what happened and what to do; how it ends a command; when it is shown."""
    spec = CATALOGUE[fault]
    for text in (spec.title, spec.hint):
        assert text == text.strip()
        assert text.isprintable()
        assert not text.endswith(".")
        assert "|" not in text  # it stands in a table
    assert spec.title
    assert bool(spec.hint) or spec.remedy is Remedy.NOTE
    assert spec.exit_code is not Exit.OK
    assert 0 <= spec.visible_after_s <= LONGEST_S
    assert spec.remedy is not Remedy.HOLD or spec.visible_after_s == 0  # an operator has to act


def test_titles_are_distinct():
    """No two faults are the same thing."""
    titles = [spec.title for spec in CATALOGUE.values()]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("fault", [each for each in Fault if CATALOGUE[each].hint])
def test_hints_name_what_exists(fault):
    """A hint names only commands, options and configuration keys that there are."""
    hint = CATALOGUE[fault].hint
    for command, action in re.findall(r"feishu-ws ([a-z]+)(?: ([a-z]+))?", hint):
        assert command in COMMANDS, hint
        assert not action or action in ACTIONS[command], hint
    for option in re.findall(r"(?<![\w-])--[a-z-]+", hint):
        assert any(option in each.format_help() for each in COMMANDS.values()), hint
    sections = "|".join(sorted({key.partition(".")[0] for key in KEYS}))
    for key in re.findall(rf"\b(?:{sections})\.[a-z_]+\b", hint):
        assert key in KEYS, hint


def test_exits():
    """The exit codes of CONTRACT 3 all are some fault's, and each says its kind of trouble."""
    codes = {spec.exit_code for spec in CATALOGUE.values()}
    assert codes == set(Exit) - {Exit.OK}
    refused = {each for each in Fault if CATALOGUE[each].exit_code is Exit.CREDENTIALS}
    assert refused == {Fault.CREDENTIALS_REFUSED, Fault.ACCESS_REFUSED}
    held = {each for each in Fault if CATALOGUE[each].exit_code is Exit.JOURNAL}
    assert all(each.startswith("journal_") or each is Fault.DISK_FULL for each in held)


def test_what_an_error_knows():
    """An error carries its fault, and with it all that the catalogue knows."""
    error = FeishuWsError(Fault.RATE_LIMITED, "seen", code=429, retry_after_s=7.0)
    assert isinstance(error.spec, FaultSpec)
    assert (error.spec, str(error)) == (CATALOGUE[Fault.RATE_LIMITED], "seen")
    assert (error.detail, error.code, error.retry_after_s) == ("seen", 429, 7.0)


# -- every way to fail has a word ---------------------------------------------------------


def test_every_phase_of_an_attempt_has_a_fault():
    """Whatever the system says, in whatever phase, has a word; only discovery's own is short one."""
    assert set(opening._FAULT_OF_PHASE) == set(Phase)
    assert set(discovery._FAULT_OF_PHASE) == set(Phase) - {Phase.HANDSHAKE}
    for table in (opening._FAULT_OF_PHASE, discovery._FAULT_OF_PHASE):
        assert len(set(table.values())) == len(table)
        assert all(CATALOGUE[each].remedy is Remedy.RETRY for each in table.values())


def test_what_nobody_answered_is_tried_soonest():
    """Only faults before anything of Feishu's or a proxy's answered have the smaller cap."""
    assert {each for each in Fault if not CATALOGUE[each].reaches_feishu} == {
        Fault.DNS_FAILED,
        Fault.CONNECT_FAILED,
        Fault.CONNECT_TIMEOUT,
    }


def test_nothing_of_the_network_ends_the_daemon():
    """Every code of Feishu's is retried or held, whatever it means."""
    remedies = {CATALOGUE[each].remedy for each in FAULT_BY_CODE.values()}
    assert remedies == {Remedy.RETRY, Remedy.HOLD}
    assert CATALOGUE[Fault.REFUSED_UNKNOWN].remedy is Remedy.RETRY
    assert CATALOGUE[Fault.REFUSED_UNKNOWN].visible_after_s == 0


# -- metrics ------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [labels.LOSS_CAUSE, labels.REFUSAL], ids=["cause", "fault"])
def test_metrics_speak_the_same_words(label):
    """Labels that tell of faults have the catalogue's words for values, and `other`."""
    words, other = label.values[:-1], label.values[-1]
    assert set(words) <= set(Fault)
    assert len(set(words)) == len(words)
    assert other == labels.OTHER
