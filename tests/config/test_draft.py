"""Reading: which file, what is unknown, where relative paths and defaults lie."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.config import KEYS, ConfigError, load
from feishu_ws.config.draft import default_paths, nearest


def _errors(path, env):
    with pytest.raises(ConfigError) as caught:
        load(path, env)
    return list(caught.value.errors)


# -- which file -----------------------------------------------------------------------------


def test_the_file_asked_for_comes_before_the_variable_and_the_local_one(write, env):
    """--config beats $FEISHU_WS_CONFIG, which beats ./feishu-ws.toml."""
    local = write("[upstream]\nconnections = 1\n", "feishu-ws.toml")
    named = write("[upstream]\nconnections = 2\n", "named.toml")
    asked = write("[upstream]\nconnections = 3\n", "asked.toml")

    assert load(None, env).path == Path(local).name
    assert load(None, env | {"FEISHU_WS_CONFIG": named}).path == named
    assert load(asked, env | {"FEISHU_WS_CONFIG": named}).path == asked


def test_the_system_file_is_read_when_there_is_no_local_one(write, env, monkeypatch):
    """/etc/feishu-ws/config.toml is the last place looked at."""
    path = write("[upstream]\nconnections = 7\n", "etc.toml")

    assert load(None, env).settings.upstream.connections == 7
    assert load(None, env).path == path


def test_a_local_file_of_somebody_else_is_left_alone_with_a_warning(write, env, monkeypatch):
    """Standing in a directory must not mean trusting whoever wrote to it."""
    write("[upstream]\nconnections = 9\n", "feishu-ws.toml")
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    if os.getuid() == 0:  # root's files are trusted
        os.chown("feishu-ws.toml", 4343, -1)

    loaded = load(None, env)

    assert loaded.settings.upstream.connections == 2
    assert "left alone, it belongs to uid" in loaded.warnings[0]


def test_a_local_file_of_somebody_else_may_be_why_something_is_missing(write, place, monkeypatch):
    """It is there, and named with the errors; only the other place is empty."""
    write("[app]\nid = 'cli_a'\n", "feishu-ws.toml")
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    if os.getuid() == 0:  # root's files are trusted
        os.chown("feishu-ws.toml", 4343, -1)

    with pytest.raises(ConfigError) as caught:
        load(None, {"HOME": "/home/u"})

    assert caught.value.errors[-1].endswith(f"({place}/etc.toml is not there)")
    [warning] = caught.value.warnings
    assert "left alone, it belongs to uid" in warning


def test_a_missing_file_nobody_named_is_fine(place, env):
    """The environment suffices."""
    assert load(None, env).settings.app.id == "cli_a"


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_a_missing_file_that_was_named_is_an_error(place, env, how):
    """Whoever names a file wants that file, and hears nothing of what else may be missing."""
    path = str(place / "none.toml")
    given_env = {"FEISHU_WS_CONFIG": path} if how == "variable" else {}

    [error] = _errors(path if how == "argument" else None, given_env)

    assert error == (
        "config file: no such file or directory, expected a readable TOML file "
        f"of at most 1048576 bytes ({path})"
    )


def test_a_directory_is_no_file(place, env):
    """The system's own words are given."""
    assert "config file: is a directory, expected" in _errors(str(place), env)[0]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (b"app = = 1\n", "Invalid value (at line 1, column 7)"),
        (b"\xff\xfe", "'utf-8' codec can't decode byte 0xff"),
        (b"#" * (1024 * 1024 + 1), "a longer one"),
        (b"a = " + b"[" * 5000, ""),
    ],
)
def test_a_file_that_is_no_toml_is_one_error(place, env, text, seen):
    """Errors of the file hide nothing else, and invent nothing."""
    (place / "c.toml").write_bytes(text)

    errors = _errors(str(place / "c.toml"), {"FEISHU_WS_LOG__LEVEL": "loud"})

    assert len(errors) == 2
    assert errors[0].startswith(f"config file: {seen}")
    assert errors[1].startswith("log.level: ")


# -- what is unknown ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "error"),
    [
        ("[upstream]\nconections = 1", "upstream.conections: an unknown key, expected upstream.connections"),
        ("[app]\nconnections = 1", "app.connections: an unknown key, expected upstream.connections"),
        ("[upstraem]\nconnections = 1", "upstraem.connections: an unknown key, expected upstream.connections"),
        ("retention_hours = 1", "retention_hours: an unknown key, expected journal.retention_hours"),
        ('app = "cli_x"', "app: a value, expected a table [app]"),
        ('[app]\n"i\\u001bd" = 1', 'app."i'),
        ("[journal.path]\nx = 1", 'journal.path: {"x": 1}, expected a path'),
        ("[socket]\npath_ = 1", "socket.path_: an unknown key, expected socket.path"),
        ('secret = "hidden"', "secret: an unknown key, expected app.secret"),
        ('app = "hidden"', "app: a value, expected a table [app]"),
    ],
)  # fmt: skip
def test_an_unknown_key_is_an_error_that_names_the_nearest(write, env, toml, error):
    """The nearest key is named, by section and name; values are not repeated."""
    errors = _errors(write(toml + "\n"), env)

    assert len(errors) == 1
    assert errors[0].startswith(error) or "i\\u001bd" in errors[0]
    assert "hidden" not in errors[0]


def test_an_empty_unknown_section_is_no_error(write, env):
    """A section that says nothing changes nothing."""
    assert load(write("[future]\n"), env).settings.app.id == "cli_a"


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("FEISHU_WS_APP_ID", "FEISHU_WS_APP__ID"),
        ("FEISHU_WS_UPSTREAM__CONNECTION", "FEISHU_WS_UPSTREAM__CONNECTIONS"),
        ("FEISHU_WS_app__id", "FEISHU_WS_APP__ID"),
    ],
)
def test_an_unknown_variable_is_an_error_that_names_the_nearest(place, env, variable, expected):
    """A typo in the environment does not pass in silence."""
    assert _errors(None, env | {variable: "1"}) == [
        f"{variable}: an unknown variable, expected {expected} (environment)"
    ]


def test_variables_that_are_no_keys_are_left_alone(place, env):
    """The names of file and socket for the commands are not keys."""
    env |= {"FEISHU_WS_SOCKET": "/x", "OTHER": "1"}

    assert load(None, env).settings.socket.path != "/x"


@given(st.text(max_size=40))
def test_there_is_always_a_nearest_key(path):
    """Whatever somebody writes, one known key is the nearest."""
    assert nearest(path) in KEYS


# -- paths ----------------------------------------------------------------------------------


def test_a_relative_path_in_a_file_counts_from_the_file(place, env):
    """A configuration directory can be moved as a whole."""
    (place / "conf").mkdir()
    (place / "conf" / "c.toml").write_text(
        '[journal]\npath = "j.db"\n[socket]\npath = "~/e.sock"\n'
    )

    settings = load("conf/c.toml", env).settings

    assert settings.journal.path == str(place / "conf" / "j.db")
    assert settings.socket.path == str(Path("~/e.sock").expanduser())


def test_a_relative_path_in_the_environment_counts_from_here(place, env):
    """A shell's habit."""
    settings = load(None, env | {"FEISHU_WS_JOURNAL__PATH": "j.db"}).settings

    assert settings.journal.path == str(place / "j.db")


@pytest.mark.parametrize(
    ("env", "is_root", "journal", "socket"),
    [
        ({"HOME": "/h"}, True, "/var/lib/feishu-ws", "/run/feishu-ws"),
        ({"HOME": "/h"}, False, "/h/.local/state/feishu-ws", "/h/.local/state/feishu-ws"),
        ({"HOME": "/h", "XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/r"}, False, "/s/feishu-ws", "/r/feishu-ws"),
        ({"HOME": "/h", "XDG_STATE_HOME": "s", "XDG_RUNTIME_DIR": "r"}, False, "/h/.local/state/feishu-ws", "/h/.local/state/feishu-ws"),
        ({"HOME": "/h", "STATE_DIRECTORY": "/a:/b", "RUNTIME_DIRECTORY": "/c"}, False, "/a", "/c"),
        ({"HOME": "/h", "STATE_DIRECTORY": "/a", "RUNTIME_DIRECTORY": "/c:/d"}, True, "/a", "/c"),
    ],
)  # fmt: skip
def test_journal_and_socket_lie_where_the_service_manager_or_the_user_keeps_such(
    env, is_root, journal, socket
):
    """Systemd's directories first, then root's, then the user's own."""
    assert default_paths(env, is_root=is_root) == {
        "journal.path": f"{journal}/journal.db",
        "socket.path": f"{socket}/events.sock",
    }


def test_an_empty_path_means_the_default(place, env):
    """Setting a path to nothing is the same as not setting it."""
    env |= {"FEISHU_WS_SOCKET__PATH": "", "RUNTIME_DIRECTORY": "/r"}

    assert load(None, env).settings.socket.path == "/r/events.sock"
