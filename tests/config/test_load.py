"""Loading as a whole: precedence, all errors at once, what is shown, what changed."""

import dataclasses

import pytest

from feishu_ws.config import (
    KEYS,
    ConfigError,
    diff,
    documented,
    effective,
    load,
    socket_path,
)
from feishu_ws.faults import Exit, Fault
from feishu_ws.secret import REDACTED, Secret


def test_the_environment_wins_over_the_file(write, env):
    """A variable replaces what the file says, key by key."""
    path = write("[upstream]\nconnections = 3\nsettled_s = 5\n")

    loaded = load(path, env | {"FEISHU_WS_UPSTREAM__CONNECTIONS": "4"})

    assert loaded.settings.upstream.connections == 4
    assert loaded.settings.upstream.settled_s == 5
    assert loaded.sources["upstream.connections"] == "FEISHU_WS_UPSTREAM__CONNECTIONS"
    assert loaded.sources["upstream.settled_s"] == path
    assert loaded.sources["upstream.proxy"] == "default"


def test_a_bad_value_in_the_file_does_not_matter_where_the_environment_replaces_it(write, env):
    """Only the value in force is judged."""
    path = write("[upstream]\nconnections = 99\n")

    loaded = load(path, env | {"FEISHU_WS_UPSTREAM__CONNECTIONS": "1"})

    assert loaded.settings.upstream.connections == 1


def test_all_errors_come_at_once(write):
    """File, environment, secret and rules between keys are reported in one go."""
    path = write(
        '[upstream]\nconnections = 0\nconections = 1\n[app]\nid = "x"\n'
        "[journal]\nretention_hours = 1\n[nonsense]\nx = 1\n"
    )

    with pytest.raises(ConfigError) as caught:
        load(path, {"FEISHU_WS_LOG__LEVEL": "loud", "FEISHU_WS_APP_SECRET": "s"})

    assert caught.value.fault is Fault.CONFIG_INVALID
    assert caught.value.spec.exit_code is Exit.CONFIG
    assert [line.split(", expected")[0] for line in caught.value.errors] == [
        "upstream.conections: an unknown key",
        "nonsense.x: an unknown key",
        "FEISHU_WS_APP_SECRET: an unknown variable",
        'app.id: "x"',
        "upstream.connections: 0",
        'log.level: "loud"',
        "app.secret: nothing",
        "journal.retention_hours: 1",
    ]


def test_without_anything_the_two_missing_keys_are_named(place):
    """The error for nothing at all says which two things are needed and where it looked."""
    with pytest.raises(ConfigError) as caught:
        load(None, {})

    assert caught.value.errors == (
        (
            "app.secret: nothing, expected app.secret_file, app.secret, FEISHU_WS_APP__SECRET "
            "or a credential app_secret (default)"
        ),
        (
            "app.id: nothing, expected an app id such as cli_a1b2c3d4e5f60718 "
            f"(neither ./feishu-ws.toml nor {place}/etc.toml is there)"
        ),
    )


def test_work_on_the_journal_alone_needs_no_secret(place, env):
    """A credential that only the service manager hands out is not asked for; the rest is."""
    del env["FEISHU_WS_APP__SECRET"]

    assert load(None, env, needs_secret=False).settings.app.id == "cli_a"
    with pytest.raises(ConfigError, match=r"app\.id: nothing"):
        load(None, {}, needs_secret=False)


def test_effective_shows_every_key_and_no_secret(place, env):
    """`check` has a row per key; secrets and a proxy's password are left out."""
    env |= {
        "FEISHU_WS_UPSTREAM__PROXY": "http://user:pa55@proxy:3128",
        "FEISHU_WS_APP__SECRET": "s3cret",
        "FEISHU_WS_DELIVERY__CONSUMERS": '["a",{"name":"b","types":["im.*"],"ignore_own":true}]',
    }

    rows = effective(load(None, env))

    shown = {key: value for key, value, _ in rows}
    assert list(shown) == list(KEYS)
    assert shown["app.secret"] == REDACTED
    assert shown["lookalike.secret"] == '""'
    assert shown["upstream.proxy"] == '"http://proxy:3128"'
    assert shown["delivery.consumers"] == '["a", "b (im.*; ignore_own)"]'
    assert shown["socket.mode"] == '"0660"'
    assert shown["upstream.keepalive_interval_s"] == "15"
    assert "pa55" not in str(rows)
    assert "s3cret" not in str(rows)


def test_diff_tells_what_a_reload_changes_from_what_needs_a_restart(place, env):
    """log, app.secret*, delivery and telemetry.event_types are reloadable, the rest is not."""
    old = load(None, env).settings
    new = dataclasses.replace(
        old,
        app=dataclasses.replace(old.app, secret=Secret("t")),
        log=dataclasses.replace(old.log, level="debug"),
        upstream=dataclasses.replace(old.upstream, connections=1),
    )

    changes = diff(old, new)

    assert changes.reloadable == ("app.secret", "log.level")
    assert changes.need_restart == ("upstream.connections",)
    assert diff(old, old) == type(changes)((), ())


def test_what_is_reloadable_is_what_the_contract_says():
    """SIGHUP re-reads these keys and no others."""
    reloadable = {key.path for key in KEYS.values() if key.reloadable}

    expected = {"app.secret", "app.secret_file", "telemetry.event_types"}
    expected |= {key for key in KEYS if key.startswith(("log.", "delivery."))}
    assert reloadable == expected


def test_the_socket_alone_needs_no_valid_configuration(write):
    """A command that only wants the socket does not care about other errors."""
    path = write('[app]\nid = "x"\n[socket]\npath = "/run/x.sock"\n')

    assert socket_path(path, {}) == "/run/x.sock"
    assert socket_path(path, {"FEISHU_WS_SOCKET__PATH": "/run/y.sock"}) == "/run/y.sock"


def test_a_socket_nobody_set_is_empty(place):
    """Whoever asks then looks at the usual places."""
    assert socket_path(None, {}) == ""


def test_a_config_that_was_asked_for_and_cannot_be_read_is_an_error_also_for_the_socket(place):
    """Guessing another socket than the one the operator meant would mislead."""
    with pytest.raises(ConfigError, match=r"no such file or directory, expected a readable TOML"):
        socket_path(str(place / "none.toml"), {})


def test_a_bad_socket_path_is_an_error_also_for_the_socket(place):
    """The one key that is needed is judged."""
    with pytest.raises(ConfigError, match=r"socket\.path: .* expected a path of at most 107 bytes"):
        socket_path(None, {"FEISHU_WS_SOCKET__PATH": "/" + "x" * 200})


def test_every_key_has_a_row_for_the_readme():
    """Key, default and meaning; what depends on the machine is shown as such."""
    rows = {key: (default, meaning) for key, default, meaning in documented()}

    assert list(rows) == list(KEYS)
    assert rows["journal.path"] == ("…/journal.db", "SQLite file")
    assert rows["upstream.connections"] == ("2", "links kept open")
    assert all(default and meaning for default, meaning in rows.values())
