"""Where the app's secret may come from, and what is said when it cannot."""

import pytest

from feishu_ws.config import ConfigError, load
from feishu_ws.secret import Secret


@pytest.fixture
def env(env):
    """An environment that lacks only the secret."""
    del env["FEISHU_WS_APP__SECRET"]
    return env


@pytest.fixture
def credential(place):
    """A credential as systemd would give it."""
    (place / "creds").mkdir()
    (place / "creds" / "app_secret").write_text("from-systemd")
    return {"CREDENTIALS_DIRECTORY": str(place / "creds")}


def _error(path, env):
    with pytest.raises(ConfigError) as caught:
        load(path, env)
    [error] = caught.value.errors
    return error


def test_a_secret_is_read_from_its_file_without_the_newline(write, env):
    """The file's last newline does not belong to the secret."""
    path = write("s3cret\r\n", "key")

    loaded = load(None, env | {"FEISHU_WS_APP__SECRET_FILE": path})

    assert loaded.settings.app.secret == Secret("s3cret")
    assert loaded.sources["app.secret"] == path
    assert loaded.warnings == ()


def test_a_secret_is_read_from_the_credential(env, credential):
    """LoadCredential=app_secret:… is all a unit needs."""
    loaded = load(None, env | credential)

    assert loaded.settings.app.secret == Secret("from-systemd")
    assert loaded.sources["app.secret"] == "credential app_secret"


def test_a_credential_directory_without_our_credential_is_no_secret(place, env):
    """Credentials of a unit may be for something else."""
    assert "app.secret: nothing" in _error(None, env | {"CREDENTIALS_DIRECTORY": str(place)})


def test_two_secrets_are_an_error_that_names_both(write, env, credential):
    """Which one is meant cannot be guessed."""
    path = write('[app]\nsecret = "s3cret"\n')

    error = _error(path, env | credential)

    assert error == (
        f"app.secret: app.secret ({path}) and credential ({credential['CREDENTIALS_DIRECTORY']}"
        "/app_secret), expected exactly one of them (all sources)"
    )
    assert "s3cret" not in error


def test_an_empty_variable_switches_the_file_off(write, env):
    """Environment wins over the file also when it says nothing."""
    path = write('[app]\nsecret_file = "/nowhere"\n')

    loaded = load(path, env | {"FEISHU_WS_APP__SECRET_FILE": "", "FEISHU_WS_APP__SECRET": "s3cret"})

    assert loaded.settings.app.secret == Secret("s3cret")


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (b"", "0 bytes"),
        (b" \n", "2 bytes"),
        (b"two words", "more than one word, or no text"),
        (b"\xff", "more than one word, or no text"),
        (b"x" * 5000, "4097 bytes"),
    ],
)
def test_a_file_that_holds_no_secret_is_an_error(place, env, content, seen):
    """What the file holds is not repeated."""
    (place / "key").write_bytes(content)
    (place / "key").chmod(0o600)

    error = _error(None, env | {"FEISHU_WS_APP__SECRET_FILE": "key"})

    expected = "a readable file with the secret alone"
    assert error == f"app.secret_file: {seen}, expected {expected} ({place}/key)"


def test_a_missing_secret_file_is_an_error(place, env):
    """The path looked at is named."""
    error = _error(None, env | {"FEISHU_WS_APP__SECRET_FILE": "key"})

    assert error.startswith("app.secret_file: no such file or directory, expected")
    assert error.endswith(f"({place}/key)")


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, True), (0o600, False)])
def test_a_secret_file_that_others_may_read_is_a_warning(write, env, mode, warned):
    """It works, but it is no secret."""
    path = write("s3cret", "key", mode)

    loaded = load(None, env | {"FEISHU_WS_APP__SECRET_FILE": path})

    warning = f"app.secret_file: mode {mode:04o}, which lets others read it, expected 0600 or 0400 ({path})"
    assert loaded.warnings == ((warning,) if warned else ())


def test_a_secret_in_a_configuration_that_others_may_read_is_a_warning(write, env):
    """The same holds for the configuration itself, if the secret is in it."""
    path = write('[app]\nsecret = "s3cret"\n', mode=0o644)

    [warning] = load(path, env).warnings

    assert warning == (
        "app.secret: a secret in a file that others may read, "
        f"expected mode 0600, or app.secret_file ({path})"
    )


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_proxys_password_is_a_secret_too(write, env, credential, mode):
    """Likewise what local clients prove themselves with; a proxy without login is none."""
    lines = "[upstream]\nproxy = 'http://u:p4ss@h:1'\n[lookalike]\nsecret = 'other'\n"
    warned = load(write(lines, mode=mode), env | credential).warnings
    plain = load(
        write("[upstream]\nproxy = 'http://h:1'\n", "d.toml", 0o644), env | credential
    ).warnings

    seen = [warning.partition(": ")[0] for warning in warned]
    assert seen == (["lookalike.secret", "upstream.proxy"] if mode == 0o644 else [])
    assert "p4ss" not in "".join(warned)
    assert plain == ()


def test_a_configuration_without_secret_may_be_readable(write, env, credential):
    """Nothing in it has to be hidden."""
    path = write("[log]\nlevel = 'debug'\n", mode=0o644)

    assert load(path, env | credential).warnings == ()
