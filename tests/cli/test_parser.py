"""What the command line may say."""

import importlib
import shlex
from datetime import timedelta

import pytest

from feishu_ws.cli.commands import COMMANDS
from feishu_ws.cli.parser import UsageError, parse


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
        ["consumers", "show"],
        ["consumers", "forget"],
        ["replay", "bot"],
        ["replay", "--from", "3"],
        ["replay", "bot", "--from", "0"],
        ["replay", "bot", "--from", "yesterday"],
        ["dead", "show"],
        ["dead", "show", "0"],
        ["dead", "show", "1", "2"],
        ["dead", "show", "1", "--send", "u"],
        ["dead", "show", "--send"],
        ["dead", "retry", "--send", "u"],
        ["dead", "retry", "--all-sends"],
        ["dead", "drop", "--send"],
        ["dead", "drop", "--all-sends", "--all"],
        ["dead", "drop", "1", "--send", "u"],
        ["dead", "retry"],
        ["dead", "retry", "--consumer", "bot"],
        ["dead", "retry", "1", "--all"],
        ["dead", "drop", "--all", "1"],
        ["dead", "drop", "all"],
        ["dead", "list", "--max", "0"],
        ["dead", "list", "--all"],
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(words):
    """No guessing, no abbreviations."""
    with pytest.raises(UsageError):
        parse(words)


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "--socket", "s", "dead", "list"],
        ["dead", "--json", "--socket", "s", "list"],
        ["dead", "list", "--json", "--socket", "s"],
        ["--json", "dead", "list", "--socket", "s"],
    ],
)
def test_global_options_may_stand_around_an_action_too(words):
    """Before the command, between the two, and after."""
    args = parse(words)

    assert (args.command, args.action, args.json, args.socket) == ("dead", "list", True, "s")


@pytest.mark.parametrize("command", ["consumers", "dead"])
@pytest.mark.parametrize("options", [[], ["--json"], ["--socket", "s"]])
def test_a_command_by_itself_lists(command, options):
    """What can do harm has to be named; looking has not."""
    assert vars(parse([command, *options])) == vars(parse([command, *options, "list"]))
    assert vars(parse([*options, command])) == vars(parse([command, *options, "list"]))


def test_dead_letters_are_chosen_by_position_or_all():
    """One of them, and perhaps a consumer."""
    some = parse(["dead", "retry", "3", "5", "--consumer", "bot"])
    every = parse(["dead", "drop", "--all"])

    assert (some.positions, some.all, some.consumer) == ([3, 5], False, "bot")
    assert (every.positions, every.all, every.consumer) == ([], True, None)


def test_a_replay_takes_positions_and_times():
    """What `when.py` reads."""
    assert parse(["replay", "bot", "--from", "340", "--skip"]).point == 340
    assert parse(["replay", "bot", "--from", "earliest"]).point == "earliest"
    assert parse(["replay", "bot", "--from", "1h"]).point == timedelta(hours=1)


def _every_command():
    """Return the words of each command and action, and the command itself."""
    for command in COMMANDS:
        yield (command.name,), command
        for action in command.actions:
            yield (command.name, action.name), action


@pytest.mark.parametrize(("words", "command"), list(_every_command()))
def test_the_help_of_every_command_says_what_it_does_and_how(words, command, capsys):
    """Lines fit a terminal of 100 columns, and every example is a valid command line."""
    with pytest.raises(SystemExit):
        parse([*words, "--help"])
    told = capsys.readouterr().out

    assert command.summary[1:] in told
    assert command.examples or words == ("consumers", "list")
    for example, what in command.examples:
        assert f"feishu-ws {example} " in told
        assert what in told
        line = example.partition(" >")[0]
        assert parse(shlex.split(line)).command == words[0]
    assert max(map(len, told.splitlines())) <= 110


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_every_command_has_a_module_that_runs_it(name):
    """One file per command."""
    command = next(command for command in COMMANDS if command.name == name)

    assert callable(importlib.import_module(command.module).run)
