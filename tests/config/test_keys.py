"""Every key of the table: from the file, from the environment, and a value it refuses."""

import json
import tomllib
from typing import Any

import pytest

from feishu_ws.config import KEYS, ConfigError, Settings, load
from feishu_ws.config.keys import VARIABLES
from feishu_ws.model import Filter
from feishu_ws.secret import Secret

# key: (TOML, environment, parsed, bad TOML, what the error says was seen and expected)
Case = tuple[str, str, Any, str, str]
CASES: dict[str, Case] = {
    "app.id": (
        '"cli_9"', "cli_9", "cli_9", '"oc_9"',
        '"oc_9", expected an app id such as cli_a1b2c3d4e5f60718',
    ),
    "app.secret": (
        '"s3cret"', "s3cret", Secret("s3cret"), '"two words"',
        "blanks or control characters, expected one line of text without blanks",
    ),
    "app.secret_file": ('"KEYFILE"', "KEYFILE", "KEYFILE", "7", "7, expected a path"),
    "app.domain": (
        '"https://open.larksuite.com/"', "https://open.larksuite.com", "https://open.larksuite.com",
        '"http://open.feishu.cn"',
        "HOST[:PORT] without a path (http:// only for loopback)",
    ),
    "upstream.connections": ("3", "3", 3, "11", "11, expected a whole number from 1 to 10"),
    "upstream.keepalive_interval_s": (
        "7.5", "7.5", 7.5, "0", "0, expected a number from 0.1 to 600",
    ),
    "upstream.keepalive_timeout_s": (
        "5", "5", 5.0, '"5"', '"5", expected a number from 0.1 to 120',
    ),
    "upstream.connect_timeout_s": (
        "20", "20", 20.0, "true", "true, expected a number from 0.1 to 300",
    ),
    "upstream.backoff_base_s": (
        "0.25", "0.25", 0.25, "nan", "NaN, expected a number from 0.01 to 60",
    ),
    "upstream.backoff_unreachable_max_s": (
        "9", "9", 9.0, "-1", "-1, expected a number from 0.01 to 600",
    ),
    "upstream.backoff_max_s": ("90", "90", 90.0, "inf", "Infinity, expected a number from 0.01 to 3600"),
    "upstream.settled_s": ("30", "30", 30.0, "1e9", "1000000000.0, expected a number from 0 to 86400"),
    "upstream.storm_tokens": ("5", "5", 5, "2.5", "2.5, expected a whole number from 1 to 1000"),
    "upstream.storm_refill_s": ("1", "1", 1.0, "0", "0, expected a number from 0.01 to 3600"),
    "upstream.rotate_after_s": (
        "3600", "3600", 3600.0, "[]", "[], expected a number from 0 to 2592000",
    ),
    "upstream.proxy": (
        '"socks5://u:p@proxy:1080"', "socks5://u:p@proxy:1080", "socks5://u:p@proxy:1080",
        '"ftp://proxy"',
        '"ftp://proxy", expected "", "env", http://HOST:PORT or socks5://HOST:PORT',
    ),
    "upstream.ca_file": ('"KEYFILE"', "KEYFILE", "KEYFILE", "false", "false, expected a path"),
    "journal.path": ('"/j/j.db"', "/j/j.db", "/j/j.db", '"a\\u0000b"', '"a\\u0000b", expected a path'),
    "journal.retention_hours": (
        "48", "48", 48.0, "0", "0, expected a number from 0.001 to 87600",
    ),
    "journal.max_bytes": (
        "1000000", "1000000", 1000000, "1000",
        "1000, expected a whole number from 65536 to 1125899906842624",
    ),
    "journal.dedupe_hours": ("12", "12", 12.0, '""', '"", expected a number from 0.001 to 87600'),
    "journal.on_full": (
        '"drop_oldest"', "drop_oldest", "drop_oldest", '"drop"', '"drop", expected refuse or drop_oldest',
    ),
    "delivery.consumers": (
        '["astrbot", {name = "audit", types = ["im.*"], chats = ["oc_1"], ignore_own = true}]',
        '["astrbot", {"name":"audit","types":["im.*"],"chats":["oc_1"],"ignore_own":true}]',
        (("astrbot", Filter()), ("audit", Filter(("im.*",), ("oc_1",), ignore_own=True))),
        '["Astr Bot"]',
        'the name "Astr Bot", expected 1 to 64 of a-z 0-9 _ . -',
    ),
    "delivery.new_consumer_window_s": (
        "0", "0", 0.0, "-5", "-5, expected a number from 0 to 31536000",
    ),
    "delivery.forget_after_hours": ("0", "0", 0.0, "-1", "-1, expected a number from 0 to 87600"),
    "delivery.max_attempts": ("3", "3", 3, "0", "0, expected a whole number from 1 to 1000"),
    "delivery.ack_timeout_s": ("10", "10", 10.0, "0", "0, expected a number from 0.05 to 86400"),
    "delivery.window": ("8", "8", 8, "5000", "5000, expected a whole number from 1 to 4096"),
    "delivery.max_age_s": ("60", "60", 60.0, "-1", "-1, expected a number from 0 to 31536000"),
    "delivery.callback_timeout_s": ("1", "1", 1.0, "3", "3, expected a number from 0.05 to 2.9"),
    "delivery.callback_default": (
        '{toast = {type = "info"}}', '{"toast":{"type":"info"}}', b'{"toast":{"type":"info"}}',
        "{n = nan}", '{"n": NaN}, expected a table of JSON values',
    ),
    "delivery.late_callback_s": ("0", "0", 0.0, "-1", "-1, expected a number from 0 to 86400"),
    "socket.path": (
        '"/run/x/e.sock"', "/run/x/e.sock", "/run/x/e.sock", f'"/{"x" * 200}"',
        "expected a path of at most 107 bytes",
    ),
    "socket.mode": (
        '"0600"', "0600", 0o600, "660", '660, expected octal digits in quotes, such as "0660"',
    ),
    "socket.group": ('"root"', "root", "root", '"no such"', '"no such", expected a group of this machine'),
    "socket.allow_users": (
        '["root", "1000"]', '["root", "1000"]', ("root", "1000"), '["root", 1000]',
        "1000 in the list, expected a list of users of this machine",
    ),
    "lookalike.listen": (
        '"[::1]:1"', "[::1]:1", "[::1]:1", '"unix:/x"', '"unix:/x", expected HOST:PORT or ""',
    ),
    "lookalike.secret": (
        '"other"', "other", Secret("other"), "5", "no text, expected one line of text without blanks",
    ),
    "lookalike.window": ("1", "1", 1, "0", "0, expected a whole number from 1 to 4096"),
    "lookalike.event_types": (
        '["im.message.receive_v1"]', '["im.message.receive_v1"]', ("im.message.receive_v1",),
        '["a b"]', '"a b" in the list, expected a list of words',
    ),
    "openapi.per_chat_per_s": ("0", "0", 0, "-1", "-1, expected a whole number from 0 to 1000"),
    "openapi.per_app_per_s": ("0", "0", 0, "1.5", "1.5, expected a whole number from 0 to 10000"),
    "openapi.per_app_per_min": (
        "60", "60", 60, "100001", "100001, expected a whole number from 0 to 100000",
    ),
    "openapi.queued": ("7", "7", 7, "0", "0, expected a whole number from 1 to 100000"),
    "openapi.census_s": ("0", "0", 0.0, "-1", "-1, expected a number from 0 to 86400"),
    "telemetry.listen": (
        '"unix:/run/x/m.sock"', "unix:/run/x/m.sock", "unix:/run/x/m.sock", '"9530"',
        '"9530", expected HOST:PORT, unix:/PATH or ""',
    ),
    "telemetry.event_types": ('["a.b"]', '["a.b"]', ("a.b",), '"a.b"', '"a.b", expected a list of words'),
    "log.level": (
        '"debug"', "debug", "debug", '"trace"', '"trace", expected debug, info, warning or error',
    ),
    "log.format": ('"json"', "json", "json", '"xml"', '"xml", expected auto, text or json'),
}  # fmt: skip


@pytest.fixture
def place(place):
    """The place with a file that holds a secret."""
    (place / "KEYFILE").write_text("filed-secret\n")
    (place / "KEYFILE").chmod(0o600)
    return place


def _base(key: str) -> dict[str, str]:
    """The least that makes a valid environment, without `key`."""
    env = {"FEISHU_WS_APP__ID": "cli_a", "FEISHU_WS_APP__SECRET": "s", "HOME": "/home/u"}
    if key == "app.secret_file":
        del env["FEISHU_WS_APP__SECRET"]
    return {name: value for name, value in env.items() if name != KEYS[key].variable}


def _wanted(key, value, place):
    relative = key in {"app.secret_file", "upstream.ca_file"}
    return str(place / value) if relative else value


def test_every_key_has_a_case():
    """The table of cases below covers every key, and no other."""
    assert set(CASES) == set(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_read_from_the_file(key, place):
    """A value in the file is parsed, and its source is the file."""
    section, name = key.split(".")
    (place / "c.toml").write_text(f"[{section}]\n{name} = {CASES[key][0]}\n")
    (place / "c.toml").chmod(0o600)

    loaded = load(str(place / "c.toml"), _base(key))

    assert loaded.settings.value(KEYS[key]) == _wanted(key, CASES[key][2], place)
    assert loaded.sources[key] == str(place / "c.toml")
    assert loaded.path == str(place / "c.toml")


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_read_from_the_environment(key, place):
    """A variable is parsed like the file's value, and its source is the variable."""
    loaded = load(None, _base(key) | {KEYS[key].variable: CASES[key][1]})

    assert loaded.settings.value(KEYS[key]) == _wanted(key, CASES[key][2], place)
    assert loaded.sources[key] == KEYS[key].variable
    assert loaded.path is None


@pytest.mark.parametrize("key", KEYS)
def test_a_bad_value_is_refused_with_what_was_seen_and_expected(key, place):
    """An error names key, value, what fits, and the file."""
    section, name = key.split(".")
    (place / "c.toml").write_text(f"[{section}]\n{name} = {CASES[key][3]}\n")

    with pytest.raises(ConfigError) as caught:
        load(str(place / "c.toml"), _base(key))

    [error] = caught.value.errors
    assert error.startswith(f"{key}: ")
    assert error.endswith(f"{CASES[key][4]} ({place / 'c.toml'})")


@pytest.mark.parametrize("key", [key for key in KEYS if CASES[key][0] != CASES[key][1]])
def test_a_bad_variable_is_refused_naming_the_variable(key, place):
    """What TOML refuses as a value, the environment refuses as text."""
    bad = tomllib.loads(f"x = {CASES[key][3]}")["x"]
    text = bad if isinstance(bad, str) else json.dumps(bad)
    if key == "socket.mode":
        text = "rw"
    if key in {"app.secret_file", "upstream.ca_file", "lookalike.secret"}:
        text = "a\nb"

    with pytest.raises(ConfigError) as caught:
        load(None, _base(key) | {KEYS[key].variable: text})

    [error] = caught.value.errors
    assert error.startswith(f"{key}: ")
    assert error.endswith(f"({KEYS[key].variable})")


def _as_written(default):
    """Return a default as TOML would give it."""
    converters = {tuple: list, bytes: json.loads, Secret: Secret.reveal}
    return converters.get(type(default), lambda value: value)(default)


@pytest.mark.parametrize("key", sorted(set(KEYS) - {"app.id", "socket.mode"}))
def test_a_default_fits_its_own_key(key):
    """What stands in the table as default would be accepted if somebody wrote it."""
    row = KEYS[key]

    assert row.kind.parse(_as_written(row.default)) == row.default


def test_the_defaults_are_those_of_the_contract():
    """The numbers operators rely on do not change by accident."""
    settings = Settings()

    assert settings.upstream.connections == 2
    assert (settings.upstream.keepalive_interval_s, settings.upstream.keepalive_timeout_s) == (
        15,
        8,
    )
    assert settings.journal.max_bytes == 1024**3
    assert (settings.journal.retention_hours, settings.journal.dedupe_hours) == (168, 24)
    assert settings.delivery.callback_default == b"{}"
    assert settings.socket.mode == 0o660
    assert settings.lookalike.listen == "127.0.0.1:9531"
    assert settings.telemetry.listen == "127.0.0.1:9530"


def test_a_repr_of_settings_shows_no_secret():
    """Neither the secret nor a proxy's password stands in a repr."""
    env = {
        "FEISHU_WS_APP__ID": "cli_a",
        "FEISHU_WS_APP__SECRET": "s3cret",
        "FEISHU_WS_LOOKALIKE__SECRET": "0ther",
        "FEISHU_WS_UPSTREAM__PROXY": "http://user:pa55@proxy:3128",
    }

    text = repr(load(None, env))

    assert not [word for word in ("s3cret", "0ther", "pa55") if word in text]


def test_variables_are_one_to_one():
    """No two keys share a variable."""
    assert len(VARIABLES) == len(KEYS)
