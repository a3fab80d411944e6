"""Rules between keys, and about what keys name on this machine."""

import pytest

from feishu_ws.config import ConfigError, load


def _error(env, **more):
    with pytest.raises(ConfigError) as caught:
        load(None, env | more)
    [error] = caught.value.errors
    return error


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (
            {"JOURNAL__RETENTION_HOURS": "12"},
            (
                "journal.retention_hours: 12, expected at least journal.dedupe_hours = 24 "
                "(FEISHU_WS_JOURNAL__RETENTION_HOURS)"
            ),
        ),
        (
            {"JOURNAL__DEDUPE_HOURS": "200"},
            "journal.retention_hours: 168, expected at least journal.dedupe_hours = 200 (default)",
        ),
        (
            {"SOCKET__GROUP": "no-such-group"},
            (
                'socket.group: "no-such-group", expected a group of this machine '
                "(FEISHU_WS_SOCKET__GROUP)"
            ),
        ),
        (
            {"SOCKET__ALLOW_USERS": '["root","no-such-user"]'},
            (
                'socket.allow_users: "no-such-user", expected a user of this machine '
                "(FEISHU_WS_SOCKET__ALLOW_USERS)"
            ),
        ),
        (
            {"LOOKALIKE__LISTEN": "127.0.0.1:9530"},
            (
                'lookalike.listen: "127.0.0.1:9530", expected another address than telemetry.listen '
                "(FEISHU_WS_LOOKALIKE__LISTEN)"
            ),
        ),
        (
            {"SOCKET__PATH": "/r/s", "TELEMETRY__LISTEN": "unix:/r/s"},
            (
                'telemetry.listen: "unix:/r/s", expected another path than socket.path '
                "(FEISHU_WS_TELEMETRY__LISTEN)"
            ),
        ),
        (
            {"UPSTREAM__CA_FILE": "/no/such.pem"},
            (
                'upstream.ca_file: "/no/such.pem", expected a readable file '
                "(FEISHU_WS_UPSTREAM__CA_FILE)"
            ),
        ),
    ],
)
def test_keys_that_contradict_each_other_or_the_machine_are_refused(place, env, values, error):
    """The key to change is named, with the other one's value."""
    prefixed = {f"FEISHU_WS_{name}": value for name, value in values.items()}

    assert _error(env, **prefixed) == error


def test_a_path_that_is_only_too_long_when_absolute_is_refused(place, env):
    """The kernel takes 107 bytes, wherever the path counts from."""
    error = _error(env, FEISHU_WS_SOCKET__PATH="x" * 100)

    assert error.startswith("socket.path: ")
    assert "expected at most 107 bytes as an absolute path" in error


def test_a_key_already_refused_triggers_no_second_error(place, env):
    """One mistake, one line."""
    error = _error(env, FEISHU_WS_JOURNAL__DEDUPE_HOURS="never")

    assert error.startswith("journal.dedupe_hours: ")


def test_two_free_ports_are_not_the_same_address(place, env):
    """Port 0 means any port."""
    ports = {
        "FEISHU_WS_LOOKALIKE__LISTEN": "127.0.0.1:0",
        "FEISHU_WS_TELEMETRY__LISTEN": "127.0.0.1:0",
    }

    assert load(None, env | ports).warnings == ()


@pytest.mark.parametrize(
    ("listen", "warned"),
    [("0.0.0.0:1", True), ("[::]:1", True), ("host:1", True), ("localhost:1", False), ("[::1]:1", False), ("unix:/x", False), ("", False)],
)  # fmt: skip
def test_listening_beyond_this_machine_is_a_warning(place, env, listen, warned):
    """It is allowed, and said."""
    warnings = load(None, env | {"FEISHU_WS_TELEMETRY__LISTEN": listen}).warnings

    assert len(warnings) == warned


def test_forgetting_duplicates_before_feishu_does_is_a_warning(place, env):
    """Feishu sends an event again for 7.1 h."""
    [warning] = load(None, env | {"FEISHU_WS_JOURNAL__DEDUPE_HOURS": "2"}).warnings

    assert warning.startswith("journal.dedupe_hours: 2, expected at least 7.1")
