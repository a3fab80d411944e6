"""Answers of discovery that cannot be used."""

import json

import pytest

from feishu_ws.simulator.answers import ENORMOUS_BYTES, SHAPES
from feishu_ws.simulator.settings import CLIENT_CONFIG

URL = "ws://127.0.0.1:9/ws/v2?fpid=493&device_id=1&service_id=2&ticket=t"
GOOD = {"code": 0, "msg": "ok", "data": {"URL": URL, "ClientConfig": CLIENT_CONFIG}}


def shaped(name):
    return json.loads(SHAPES[name](GOOD))


@pytest.mark.parametrize("name", ["not_json", "nothing", "half"])
def test_some_are_no_json(name):
    """They cannot be read at all."""
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
        json.loads(SHAPES[name](GOOD))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("array", []),
        ("string_code", GOOD | {"code": "0"}),
        ("no_code", {"data": GOOD["data"]}),
        ("no_data", {"code": 0, "msg": "ok"}),
        ("null_data", {"code": 0, "msg": "ok", "data": None}),
        ("no_url", GOOD | {"data": {"ClientConfig": CLIENT_CONFIG}}),
        ("empty_url", GOOD | {"data": GOOD["data"] | {"URL": ""}}),
        ("numeric_url", GOOD | {"data": GOOD["data"] | {"URL": 7}}),
        ("no_config", GOOD | {"data": {"URL": URL}}),
        ("partial_config", GOOD | {"data": {"URL": URL, "ClientConfig": {"PingInterval": 90}}}),
    ],
)
def test_some_lack_something(name, expected):
    """All but the one thing is as in a good answer."""
    assert shaped(name) == expected


@pytest.mark.parametrize(
    ("name", "start"),
    [("foreign_host", "wss://"), ("plain_ws", "ws://"), ("http_url", "https://")],
)
def test_some_point_elsewhere(name, start):
    """Another host or scheme, path and query kept."""
    url = shaped(name)["data"]["URL"]
    assert url == f"{start}frontier.example.com/ws/v2?{URL.partition('?')[2]}"


def test_an_absurd_config_has_no_sensible_value():
    """Four keys, and none that could be obeyed."""
    config = shaped("absurd_config")["data"]["ClientConfig"]
    assert set(config) == set(CLIENT_CONFIG)
    assert not any(type(value) is int and value > 0 for value in config.values())


def test_an_enormous_answer_is_good_but_for_its_size():
    """Megabytes of JSON with everything in it."""
    assert len(SHAPES["enormous"](GOOD)) > ENORMOUS_BYTES
    assert shaped("enormous")["data"] == GOOD["data"]


@pytest.mark.parametrize("name", SHAPES)
def test_the_good_answer_stays_good(name):
    """Garbling one answer leaves the next one alone."""
    before = json.dumps(GOOD)
    assert SHAPES[name](GOOD) != before.encode()
    assert json.dumps(GOOD) == before
