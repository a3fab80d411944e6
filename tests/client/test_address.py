"""Where a client looks for the daemon's socket."""

from feishu_ws.client.address import find_socket


def _socket(tmp_path, *parts):
    path = tmp_path.joinpath(*parts, "feishu-ws", "events.sock")
    path.parent.mkdir(parents=True)
    path.touch()
    return str(path)


def test_the_variable_comes_first(tmp_path):
    """Whoever sets $FEISHU_WS_SOCKET means it, whether or not it is there yet."""
    _socket(tmp_path, "run")

    assert find_socket({"FEISHU_WS_SOCKET": "/x", "XDG_RUNTIME_DIR": str(tmp_path / "run")}) == "/x"


def test_the_daemons_own_variable_counts_as_well():
    """Whoever exported it for `run` need not say it twice; the client's own comes first."""
    daemon = {"FEISHU_WS_SOCKET__PATH": "/y"}

    assert find_socket(daemon) == "/y"
    assert find_socket(daemon | {"FEISHU_WS_SOCKET": "/x"}) == "/x"
    assert find_socket({"FEISHU_WS_SOCKET__PATH": "", "FEISHU_WS_SOCKET": ""}) == find_socket({})


def test_a_home_directory_may_be_meant(monkeypatch):
    """As in the configuration."""
    monkeypatch.setenv("HOME", "/home/u")

    assert find_socket({"FEISHU_WS_SOCKET__PATH": "~/s"}) == "/home/u/s"


def test_a_users_own_daemon_comes_before_the_systems(tmp_path):
    """$XDG_RUNTIME_DIR, or beside the journal where there is none."""
    beside = _socket(tmp_path, ".local", "state")
    assert find_socket({"HOME": str(tmp_path)}) == beside

    runtime = _socket(tmp_path, "run")
    assert find_socket({"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}) == runtime


def test_otherwise_it_is_the_systems_daemon(tmp_path):
    """A consumer's own $RUNTIME_DIRECTORY is not looked at: it is not the daemon's."""
    _socket(tmp_path, "unit")

    env = {"HOME": str(tmp_path), "RUNTIME_DIRECTORY": str(tmp_path / "unit" / "feishu-ws")}
    assert find_socket(env) == "/run/feishu-ws/events.sock"
