"""`feishu-ws astrbot install`."""

import json

import pytest

PLUGIN = "astrbot_plugin_feishu_ws"
INSTALL = ("astrbot", "install", "--data")


@pytest.fixture
def data(tmp_path):
    """AstrBot's data directory."""
    (tmp_path / "bot" / "plugins").mkdir(parents=True)
    return tmp_path / "bot"


@pytest.fixture
def told(daemon):
    """A daemon that says what it serves, and where."""
    daemon.status |= {"app_id": "cli_7", "lookalike": {"address": "127.0.0.1:7000"}}
    return daemon


async def test_what_to_enter(data, told, here):
    """It says what to enter, as the running daemon tells."""
    code, out, err = await here(*INSTALL, str(data), "--socket", told.path)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"plugin {PLUGIN}: installed, {data}/plugins/{PLUGIN}",
        "in AstrBot add a platform of type feishu_ws and enter:",
        "  app_id       cli_7",
        "  app_secret   the daemon's lookalike.secret (not the app's own)",
        "  domain       http://127.0.0.1:7000",
        f"  socket_path  {told.path}",
        "  consumer     astrbot",
        "then restart AstrBot",
    ]
    assert (data / "plugins" / PLUGIN / "main.py").exists()
    assert not (data / "cmd_config.json").exists()


async def test_without_a_daemon(data, here, tmp_path):
    """Where none answers it says so, and names the defaults."""
    code, out, _ = await here(*INSTALL, str(data), "--socket", str(tmp_path / "none"))
    assert code == 0
    assert "no daemon answers there; these are the defaults" in out
    assert "http://127.0.0.1:9531" in out


async def test_writing_the_entry(data, told, here, tmp_path):
    """With --write the platform stands in AstrBot's configuration; the secret is never printed."""
    (tmp_path / "secret").write_text("only-here\n")
    (data / "cmd_config.json").write_text('{"platform": []}', "utf-8-sig")
    words = (*INSTALL, str(data), "--write", "--secret-file", str(tmp_path / "secret"))
    code, out, _ = await here(*words, "--socket", told.path)
    assert code == 0
    assert "platform feishu_ws: written to" in out
    [platform] = json.loads((data / "cmd_config.json").read_text("utf-8-sig"))["platform"]
    assert (platform["app_id"], platform["app_secret"]) == ("cli_7", "only-here")
    code, again, _ = await here(*words, "--socket", told.path, "--json")
    assert json.loads(again)["plugin"] == "already there"
    assert json.loads(again)["platform"]["app_secret"] == "(set)"
    assert "only-here" not in out + again


async def test_a_rival(data, told, here):
    """AstrBot's own platform for the same app is named."""
    lark = {"id": "old", "type": "lark", "enable": True, "app_id": "cli_7"}
    (data / "cmd_config.json").write_text(json.dumps({"platform": [lark]}))
    _, out, _ = await here(*INSTALL, str(data), "--socket", told.path)
    assert "platform old: disable it, it takes events of cli_7 away from the daemon" in out


async def test_writing_needs_the_app(data, here, tmp_path):
    """Without a daemon the app has to be named, and then it is enough."""
    words = (*INSTALL, str(data), "--write", "--socket", str(tmp_path / "none"))
    code, _, err = await here(*words)
    assert code == 64
    assert "no app id" in err
    assert not (data / "plugins" / PLUGIN).exists()
    code, out, _ = await here(*words, "--app-id", "cli_9")
    assert code == 0
    assert "its app_secret is still to be entered" in out


async def test_an_id_that_is_taken(data, told, here):
    """A platform of another type under that id is left alone, and the way out is named."""
    (data / "cmd_config.json").write_text('{"platform": [{"id": "x", "type": "lark"}]}')
    code, _, err = await here(*INSTALL, str(data), "--write", "--id", "x", "--socket", told.path)
    assert code == 64
    assert "name another one with --id" in err
    assert not (data / "plugins" / PLUGIN).exists()


async def test_remove(data, told, here):
    """It is taken away, and what is left to do is said."""
    await here(*INSTALL, str(data), "--socket", told.path)
    code, out, _ = await here(*INSTALL, str(data), "--remove")
    assert code == 0
    assert f"plugin {PLUGIN}: removed" in out
    assert not (data / "plugins" / PLUGIN).exists()
    _, out, _ = await here(*INSTALL, str(data), "--remove", "--json")
    assert json.loads(out)["plugin"] == "not there"


async def test_no_directory_of_astrbots(here, tmp_path):
    """The error says what was expected and what to do."""
    code, _, err = await here(*INSTALL, str(tmp_path))
    assert code == 64
    assert "expected AstrBot's data directory" in err
    assert "try: start AstrBot once" in err
