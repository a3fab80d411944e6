"""Scenarios as data."""

import pytest

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.simulator.scenario import (
    MishapKind,
    load_scenario,
    parse_scenario,
    scenario_names,
)
from feishu_ws.simulator.settings import SimulatorSettings

LEAST = 'name = "n"\ntitle = "t"\n[mix]\n"message.text" = 1\n'


def test_the_promised_scenarios_are_shipped():
    """The names people were promised are there."""
    assert {"calm", "chat", "storm", "outage", "split", "callbacks"} <= set(scenario_names())


@pytest.mark.parametrize("name", scenario_names())
def test_every_shipped_scenario_is_valid(name):
    """Each loads under its own name and gives settings that hold."""
    scenario = load_scenario(name)
    assert scenario.name == name
    assert scenario.title
    assert scenario.events_per_s > 0
    scenario.tune(SimulatorSettings())


def test_what_is_left_out_has_defaults():
    """Name, title and mix are enough."""
    scenario = parse_scenario(LEAST, "here")
    assert (scenario.events_per_s, scenario.mishap, scenario.split.share) == (1.0, (), 0)
    assert scenario.tune(SimulatorSettings(time_scale=5)).time_scale == 5


def test_everything_can_be_said():
    """Mix, split, tuning and mishaps are read as written."""
    scenario = parse_scenario(
        LEAST
        + "[split]\nshare = 0.5\nparts = 4\nshuffle = true\ndrop = 1\n"
        + "[simulator]\ntime_scale = 100\nmax_connections = 2\n"
        + '[[mishap]]\nkind = "pong"\nat_s = 1\nevery_s = 2.5\nconfig = { PingInterval = 0 }\n'
        + '[[mishap]]\nkind = "reset"\nlinks = "all"\n',
        "here",
    )
    assert scenario.split.split().parts == 4
    assert scenario.tune(SimulatorSettings()).max_connections == 2
    assert [mishap.kind for mishap in scenario.mishap] == [MishapKind.PONG, MishapKind.RESET]
    assert scenario.mishap[0].config == {"PingInterval": 0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "here"),
        ('name = "n"\ntitle = "t"\n', "mix"),
        ('name = "n"\ntitle = "t"\nmix = {}\n', "[mix] is empty"),
        (LEAST.replace("message.text", "message.txt"), "nearest known name is 'message.text'"),
        (LEAST.replace("= 1", "= 0"), "> 0"),
        ("speed = 3\n" + LEAST, "speed"),
        ("events_per_s = -1\n" + LEAST, "events_per_s"),
        ("duplicate_share = 2\n" + LEAST, "duplicate_share"),
        (LEAST + '[[mishap]]\nkind = "explode"\n', "explode"),
        (LEAST + '[[mishap]]\nkind = "reset"\nlinks = "two"\n', "two"),
        (LEAST + "[split]\nparts = 1\n", "parts"),
        (LEAST + "[split]\nparts = 3\ndrop = 3\n", "split"),
    ],
)
def test_errors_say_what_and_where(text, said):
    """A scenario that cannot be used is a config fault that names the cause."""
    with pytest.raises(FeishuWsError) as caught:
        parse_scenario(text, "here")
    assert caught.value.fault is Fault.CONFIG_INVALID
    assert said in caught.value.detail


def test_a_tuning_out_of_range_is_refused():
    """What a scenario asks of the simulator is checked like any setting."""
    scenario = parse_scenario(LEAST + "[simulator]\ntime_scale = 0\n", "here")
    with pytest.raises(FeishuWsError, match="time_scale"):
        scenario.tune(SimulatorSettings())


def test_scenarios_are_loaded_from_files(tmp_path):
    """A path is read, with or without the suffix; errors name it."""
    path = tmp_path / "mine"
    path.write_text(LEAST)
    assert load_scenario(str(path)).name == "n"
    with pytest.raises(FeishuWsError, match=r"absent\.toml"):
        load_scenario(str(tmp_path / "absent.toml"))
    path.write_bytes(b"\xff")
    with pytest.raises(FeishuWsError, match="UTF-8"):
        load_scenario(str(path))


def test_an_unknown_name_gets_the_nearest():
    """A misspelt name is answered with the one that was meant."""
    with pytest.raises(FeishuWsError, match="nearest known name is 'storm'"):
        load_scenario("strom")
