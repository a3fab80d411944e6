"""What the command line may say."""

import importlib

import pytest

from feishu_ws.cli.parser import COMMANDS, UsageError, parse


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "--config", "c", "--socket", "s", "tail"],
        ["tail", "--json", "--config", "c", "--socket", "s"],
        ["--config", "c", "tail", "--socket", "s", "--json"],
    ],
)
def test_global_options_may_stand_before_and_after_the_command(words):
    """Nobody has to remember which."""
    args = parse(words)

    assert (args.json, args.config, args.socket) == (True, "c", "s")


def test_defaults():
    """What is not said."""
    args = parse(["tail"])

    assert (args.json, args.config, args.socket) == (False, None, None)
    assert (args.start, args.types, args.max) == ("latest", None, None)


def test_tail_takes_all_its_options():
    """A position is a number, types repeat."""
    args = parse(["tail", "--from", "17", "--type", "im.*", "--type", "drive.*", "--max", "3"])

    assert (args.start, args.types, args.max) == (17, ["im.*", "drive.*"], 3)


@pytest.mark.parametrize(
    "words",
    [
        ["tail", "--from", "0"],
        ["tail", "--from", "-1"],
        ["tail", "--max", "many"],
        ["demo", "--for", "nan"],
        ["demo", "--for", "0"],
        ["demo", "--rate", "inf"],
        ["simulate", "--listen", "18080"],
        ["simulate", "--listen", "host:http"],
        ["completion", "tcsh"],
        ["completion"],
        ["tail", "--fro", "latest"],
        ["run", "--socket", "s"],
        ["--config", "c", "demo"],
        ["frobnicate"],
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(words):
    """No guessing, no abbreviations."""
    with pytest.raises(UsageError):
        parse(words)


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_every_command_has_a_module_that_runs_it(name):
    """One file per command."""
    command = next(command for command in COMMANDS if command.name == name)

    assert callable(importlib.import_module(command.module).run)
