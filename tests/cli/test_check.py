"""`feishu-ws check`: everything in force, or everything wrong."""

import json

import pytest

from feishu_ws.config import KEYS

GOOD = {"FEISHU_WS_APP__ID": "cli_a", "FEISHU_WS_APP__SECRET": "s3cret"}


async def test_a_valid_configuration_is_shown_with_its_sources(command, tmp_path):
    """A line per key, where it comes from, no secret, exit 0."""
    (tmp_path / "feishu-ws.toml").write_text("[upstream]\nconnections = 3\n")

    code, out, err = await command("check", **GOOD)

    lines = [line.split() for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert lines[0] == ["configuration:", "feishu-ws.toml"]
    assert ["upstream.connections", "3", "feishu-ws.toml"] in lines
    assert ["app.secret", "<redacted>", "FEISHU_WS_APP__SECRET"] in lines
    assert ["log.level", '"info"'] in lines
    assert lines[-1] == ["valid"]
    assert [line[0] for line in lines[1:-1]] == list(KEYS)
    assert "s3cret" not in out


async def test_warnings_follow_the_settings(command):
    """What is unwise is no error."""
    code, out, _ = await command("check", **GOOD, FEISHU_WS_TELEMETRY__LISTEN="0.0.0.0:9530")

    assert code == 0
    assert out.splitlines()[-2].startswith('warning: telemetry.listen: "0.0.0.0:9530", expected')


async def test_for_programs_everything_is_one_object(command):
    """Values have their JSON types."""
    code, out, _ = await command("--json", "check", **GOOD)

    checked = json.loads(out)
    assert code == 0
    assert checked["config"] is None
    assert checked["warnings"] == []
    assert set(checked["settings"]) == set(KEYS)
    assert checked["settings"]["upstream.connections"] == {"value": 2, "source": "default"}
    assert checked["settings"]["app.secret"]["value"] == "<redacted>"
    assert checked["settings"]["lookalike.event_types"]["value"][0] == "im.message.receive_v1"


BAD = {"FEISHU_WS_APP__ID": "x", "FEISHU_WS_LOG__LEVEL": "loud", "FEISHU_WS_APP__SECRET": "s3cret"}
ERRORS = [
    'app.id: "x", expected an app id such as cli_a1b2c3d4e5f60718 (FEISHU_WS_APP__ID)',
    'log.level: "loud", expected debug, info, warning or error (FEISHU_WS_LOG__LEVEL)',
]


@pytest.mark.parametrize("name", ["check", "run"])
async def test_all_errors_are_listed_and_nothing_starts(command, name):
    """A line each, one hint, exit 78."""
    code, out, err = await command(name, **BAD)

    assert (code, out) == (78, "")
    assert err.splitlines() == [
        *(f"feishu-ws: {error}" for error in ERRORS),
        "  try: mend it, then `feishu-ws check`",
        "  fault: config_invalid",
    ]


async def test_errors_for_programs_are_a_list(command):
    """The message holds all of them, `errors` one by one."""
    code, _, err = await command("check", "--json", **BAD)

    error = json.loads(err)["error"]
    assert code == error["exit"] == 78
    assert error["fault"] == "config_invalid"
    assert error["errors"] == ERRORS
    assert error["message"] == "; ".join(ERRORS)


async def test_a_place_that_the_journal_cannot_have_is_a_warning(command, tmp_path):
    """The daemon may run as another user, so it is no error; what is seen is told."""
    (tmp_path / "file").write_text("in the way")
    where = tmp_path / "file" / "journal.db"
    code, out, _ = await command("check", **GOOD, FEISHU_WS_JOURNAL__PATH=str(where))
    assert code == 0
    assert out.splitlines()[-2].startswith("warning: journal.path: not a directory for ")
    assert out.splitlines()[-2].endswith(str(where))
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize("proxy", ["u:hunter2@p:1", "http://u:hunter2#x@p:1"])
async def test_a_proxy_of_the_environment_that_cannot_be_used(command, proxy):
    """What `run` would end with is said before, and without the password."""
    env = {"http_proxy": proxy, "https_proxy": proxy, "no_proxy": "", "NO_PROXY": ""}
    code, out, err = await command("check", **GOOD, FEISHU_WS_UPSTREAM__PROXY="env", **env)
    assert code == 78
    assert err.splitlines()[-1] == "  fault: config_invalid"
    assert "hunter2" not in out + err


async def test_warnings_come_with_errors(command, tmp_path):
    """A file that is unwise, or left alone, may be what an error comes from."""
    (tmp_path / "c.toml").write_text("[app]\nsecret = 's3cret'\n")
    (tmp_path / "c.toml").chmod(0o644)

    code, _, err = await command("check", "--config", "c.toml")
    _, _, told = await command("--json", "check", "--config", "c.toml")

    assert code == 78
    assert [line[:25] for line in err.splitlines()[:2]] == [
        "feishu-ws: app.id: nothin",
        "feishu-ws: warning: app.s",
    ]
    assert json.loads(told)["error"]["warnings"][0].startswith("app.secret: a secret in a file")
