"""The systemd units say what the daemon needs."""

from collections import defaultdict
from pathlib import Path

import pytest

from feishu_ws.faults import Exit

UNITS = Path(__file__).parents[2] / "systemd"
STOP_TAKES_S = 3  # what a stop of the daemon may take


def parse(name):
    """Return the settings of a unit by section and key, each with all its values."""
    settings, section = defaultdict(list), ""
    for line in (UNITS / name).read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            settings[section, key].append(value)
    return settings


@pytest.fixture(scope="module")
def service():
    return parse("feishu-ws.service")


def test_no_restart_after_what_a_restart_cannot_mend(service):
    """Usage, a lock of another, credentials, configuration, and systemd's missing credential."""
    [codes] = service["Service", "RestartPreventExitStatus"]
    expected = {Exit.USAGE, Exit.IN_USE, Exit.CREDENTIALS, Exit.CONFIG, 243}
    assert {int(code) for code in codes.split()} == expected


def test_the_service_reports_readiness_and_life(service):
    """Type notify, a reload by SIGHUP, a watchdog, and time enough for a stop."""
    assert service["Service", "Type"] == ["notify"]
    assert service["Service", "ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert service["Service", "WatchdogSec"] == ["30s"]
    [stop] = service["Service", "TimeoutStopSec"]
    assert int(stop.removesuffix("s")) > STOP_TAKES_S


def test_the_socket_outlives_the_service(service):
    """Nothing in the service removes the directory the socket lies in."""
    assert ("Service", "RuntimeDirectory") not in service
    [path] = parse("feishu-ws.socket")["Socket", "ListenStream"]
    assert path == "/run/feishu-ws/events.sock"
    assert "feishu-ws.socket" in service["Unit", "Requires"]


def test_the_socket_has_the_name_the_daemon_looks_for():
    """The daemon finds it by name and its mode keeps others out."""
    socket = parse("feishu-ws.socket")
    assert socket["Socket", "FileDescriptorName"] == ["events"]
    assert socket["Socket", "SocketMode"] == ["0660"]


def test_the_secret_comes_as_a_credential(service):
    """Not in the environment, where every process of the user could read it."""
    assert service["Service", "LoadCredential"] == ["app_secret:/etc/feishu-ws/app_secret"]
    assert "secret" not in str(service["Service", "Environment"]).lower()


@pytest.mark.parametrize(
    "key", ["NoNewPrivileges", "ProtectHome", "PrivateTmp", "DynamicUser", "ProtectSystem"]
)
def test_the_least_that_keeps_it_in_its_place(service, key):
    """The full hardening has its own tests; this much is never missing."""
    assert service["Service", key] in (["yes"], ["strict"])
