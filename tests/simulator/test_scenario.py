"""Scenarios as data."""

import re
import tomllib

import msgspec
import pytest

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.simulator.answers import SHAPES
from feishu_ws.simulator.corpus import SAMPLES
from feishu_ws.simulator.enact import begin
from feishu_ws.simulator.hostile import FAMILIES
from feishu_ws.simulator.mishaps import KINDS, PLANNING, Pong, Reset
from feishu_ws.simulator.octets import VIOLATIONS
from feishu_ws.simulator.scenario import (
    Scenario,
    SplitPlan,
    Tuning,
    load_scenario,
    parse_scenario,
    scenario_names,
    scenario_text,
    summaries,
)
from feishu_ws.simulator.settings import SimulatorSettings

LEAST = 'name = "n"\nsummary = "t"\n[mix]\n"message.text" = 1\n'
MISHAP = LEAST + "[[mishap]]\n"
TOUR = scenario_text("tour")


def keys(struct):
    return {field.name for field in msgspec.structs.fields(struct)}


def test_the_promised_scenarios_are_shipped():
    """The names people were promised are there, one for each family of faults among them."""
    promised = {"calm", "chat", "corpus", "storm", "outage", "split", "callbacks", "tour"}
    families = {
        "refusals",
        "limit",
        "hostile",
        "pongs",
        "redelivery",
        "parts",
        "discovery",
        "losses",
    }
    assert set(scenario_names()) == promised | families


@pytest.mark.parametrize("name", scenario_names())
def test_every_shipped_scenario_is_valid(name):
    """Each loads under its own name, says in a line what it is, and gives settings that hold."""
    scenario = load_scenario(name)
    assert scenario.name == name
    assert 0 < len(scenario.summary) <= 80
    assert scenario.events_per_s > 0
    assert scenario.tune(SimulatorSettings()).max_connections > 0


def test_summaries_list_all_of_them():
    """The list has every name, with what it is about."""
    assert set(summaries()) == set(scenario_names())
    assert summaries()["calm"] == load_scenario("calm").summary


def test_what_is_left_out_has_defaults():
    """Name, summary and mix are enough."""
    scenario = parse_scenario(LEAST, "here")
    assert (scenario.events_per_s, scenario.mishap, scenario.split.share) == (1.0, (), 0)
    assert scenario.tune(SimulatorSettings(time_scale=5)).time_scale == 5


def test_everything_can_be_said():
    """Mix, split, tuning and mishaps are read as written."""
    scenario = parse_scenario(
        LEAST
        + "[split]\nshare = 0.5\nparts = 4\nshuffle = true\ndrop = 1\n"
        + "[simulator]\ntime_scale = 100\nmax_connections = 2\nredelivery_s = [1, 2]\n"
        + '[[mishap]]\nkind = "pong"\nat_s = 1\nevery_s = 2.5\nconfig = { PingInterval = 0 }\n'
        + '[[mishap]]\nkind = "reset"\nlinks = "all"\n',
        "here",
    )
    assert scenario.split.split().parts == 4
    tuned = scenario.tune(SimulatorSettings())
    assert (tuned.max_connections, tuned.redelivery_s) == (2, (1.0, 2.0))
    assert scenario.mishap == (
        Pong(at_s=1, every_s=2.5, config={"PingInterval": 0}),
        Reset(links="all"),
    )


def test_patterns_stand_for_what_they_match():
    """Each sample a pattern matches gets its weight; a name that comes later wins."""
    text = LEAST.replace('"message.text" = 1', '"v1.*" = 2\n"v1.approval_task" = 5')
    weights = parse_scenario(text, "here").weights
    assert set(weights) == {name for name in SAMPLES if name.startswith("v1.")}
    assert (weights.pop("v1.approval_task"), set(weights.values())) == (5, {2})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "here: Invalid value"),
        ('name = "n"\nsummary = "t"\n', "mix"),
        ('name = "n"\nsummary = "t"\nmix = {}\n', "[mix] is empty"),
        (LEAST.replace('"t"', '"two\\nlines"'), "summary"),
        (LEAST.replace("message.text", "message.txt"), "nearest known name is 'message.text'"),
        (LEAST.replace("message.text", "drvie.*"), "[mix] names 'drvie.*'"),
        (LEAST.replace("= 1", "= 0"), "> 0"),
        ("speed = 3\n" + LEAST, "here has key 'speed', expected one of card_share"),
        (LEAST.replace("summary", "sumary"), "key 'sumary', the nearest known name is 'summary'"),
        ("events_per_s = -1\n" + LEAST, "events_per_s"),
        ("duplicate_share = 2\n" + LEAST, "duplicate_share"),
        (LEAST + "[split]\npart = 3\n", "here: [split] has key 'part', the nearest known name is"),
        (LEAST + "[split]\nparts = 65\n", "parts"),
        (LEAST + "[split]\nparts = 3\ndrop = 3\n", "here: split: drop = 3, expected 0 to 2 of 3"),
        (LEAST + "[split]\nparts = 3\nempty = 3\n", "empty = 3"),
        (LEAST + "[simulator]\nport = 3\n", "here: [simulator] has key 'port'"),
        (LEAST + '[mishap]\nkind = "reset"\n', "expected [[mishap]]"),
        (LEAST + "mishap = 3\n", "mix"),
        ("mishap = [3]\n" + LEAST, "mishap[0]"),
        ("split = 3\n" + LEAST, "split"),
        (MISHAP + "at_s = 3\n", "here: mishap 1 has no kind"),
        (
            MISHAP + 'kind = "rset"\n',
            "mishap 1 is of kind 'rset', the nearest known name is 'reset'",
        ),
        (MISHAP + 'kind = "explode"\n', "kind 'explode', expected one of close, drop_discovery"),
        (MISHAP + 'kind = "reset"\nlinks = "two"\n', "two"),
        (MISHAP + 'kind = "reset"\ncode = 1\n', "mishap 1 (reset) has key 'code', expected one of"),
        (MISHAP + 'kind = "reset"\nfor_s = 1\n', "mishap 1 (reset) has key 'for_s'"),
        (MISHAP + 'kind = "mute"\npings = "all"\n', "pings"),
        (MISHAP + 'kind = "close"\ncode = 7\n', ">= 1000"),
        (MISHAP + 'kind = "violate"\noctets = "maskd"\n', "nearest known name is 'masked'"),
        (MISHAP + 'kind = "hostile"\nfamilies = ["texts"]\n', "nearest known name is 'text'"),
        (MISHAP + 'kind = "hostile"\nframes = 0\n', "frames"),
        (MISHAP + 'kind = "garble_discovery"\nshape = "arry"\n', "nearest known name is 'array'"),
        (MISHAP + 'kind = "refuse_discovery"\n', "neither code nor status"),
        (MISHAP + 'kind = "refuse_discovery"\nstatus = 99\n', ">= 200"),
        (MISHAP + 'kind = "lose_acks"\nshare = 1.5\n', "<= 1"),
        (MISHAP + 'kind = "large_event"\nsize_bytes = 99999999\n', "size_bytes"),
    ],
)
def test_errors_say_what_and_where(text, said):
    """A scenario that cannot be used is a config fault that names the cause."""
    with pytest.raises(FeishuWsError) as caught:
        parse_scenario(text, "here")
    assert caught.value.fault is Fault.CONFIG_INVALID
    assert caught.value.detail.startswith("here")
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
    """A misspelt name is answered with the one that was meant, another one with all."""
    with pytest.raises(FeishuWsError, match="nearest known name is 'storm'"):
        load_scenario("strom")
    with pytest.raises(FeishuWsError, match=r"expected one of callbacks, calm, .* tour"):
        load_scenario("xyzzy")


# -- the tour explains everything -----------------------------------------------------------


def test_every_kind_of_mishap_can_be_enacted():
    """No kind is without a function that does it."""
    assert set(KINDS.values()) <= set(begin.registry)


def test_the_tour_explains_every_key():
    """Whatever the reader accepts occurs in the tour, perhaps as an example in a comment."""
    tour = tomllib.loads(TOUR)
    assert keys(Scenario) <= set(tour)
    assert keys(SplitPlan) <= set(tour["split"])
    assert keys(Tuning) <= set(tour["simulator"])
    assert all(re.search(rf"^{key} = ", TOUR, re.MULTILINE) for key in PLANNING)


@pytest.mark.parametrize("kind", KINDS)
def test_the_tour_has_every_mishap_with_its_keys(kind):
    """Each kind comes in the tour with all the keys of its own."""
    blocks = [
        b for b in TOUR.split("[[mishap]]") if re.search(rf'^kind = "{kind}"', b, re.MULTILINE)
    ]
    said = {key for block in blocks for key in re.findall(r"^(?:# )?(\w+) = ", block, re.MULTILINE)}
    assert keys(KINDS[kind]) - PLANNING <= said


@pytest.mark.parametrize("name", sorted({*SHAPES, *FAMILIES, *VIOLATIONS}))
def test_the_tour_names_everything_that_has_a_name(name):
    """Shapes of answers, families of frames and violations are all named."""
    assert re.search(rf"\b{name}\b", TOUR)


def test_the_tour_shows_the_defaults_of_the_simulator():
    """What the tour says of the simulator is what it is without being told, time apart."""
    tuned = load_scenario("tour").tune(SimulatorSettings())
    assert tuned == SimulatorSettings(time_scale=15, seed=7)
