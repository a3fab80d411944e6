"""Talking to systemd, over real datagram and stream sockets."""

import os
import socket
import subprocess
import sys

import pytest

from feishu_ws.telemetry.sd_notify import ServiceManager, listen_fds, notify


@pytest.fixture(params=["path", "abstract"])
def manager_socket(request, tmp_path):
    """What systemd has at its end, and the environment that names it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        if request.param == "path":
            name = str(tmp_path / "notify")
            end.bind(name)
        else:
            end.bind("")  # the kernel chooses an abstract name
            name = "@" + end.getsockname()[1:].decode()
        end.settimeout(5)
        yield end, {"NOTIFY_SOCKET": name}


def test_states_arrive(manager_socket):
    """Each state of a life is one datagram, with its status line."""
    end, env = manager_socket
    manager = ServiceManager(env)
    assert manager.ready("listening")
    assert manager.status("2 links live")
    assert manager.reloading(12.345678)
    assert manager.alive()
    assert manager.stopping("confirming")
    assert [end.recv(1000).decode() for _ in range(5)] == [
        "READY=1\nSTATUS=listening",
        "STATUS=2 links live",
        "RELOADING=1\nMONOTONIC_USEC=12345678",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=confirming",
    ]


def test_an_unchanged_status_is_not_sent_again(manager_socket):
    """What systemctl shows already needs no datagram."""
    end, env = manager_socket
    manager = ServiceManager(env)
    assert manager.status("same")
    assert not manager.status("same")
    assert manager.status("other")
    assert [end.recv(1000).decode() for _ in range(2)] == ["STATUS=same", "STATUS=other"]


def test_a_status_cannot_smuggle_in_a_state(manager_socket):
    """Line breaks become spaces, and the line is cut."""
    end, env = manager_socket
    ServiceManager(env).status("x\nSTOPPING=1\ud800 " + "y" * 1000)
    received = end.recv(4000).decode()
    assert "\n" not in received
    assert len(received) < 250


@pytest.mark.parametrize("name", ["", "/nonexistent/socket", "@feishu-ws-nobody", "vsock:1:2"])
def test_a_missing_manager_is_not_our_problem(name):
    """Without a socket, or with a deaf one, nothing is sent and nothing is raised."""
    assert notify("READY=1", {"NOTIFY_SOCKET": name}) is False
    assert notify("READY=1", {}) is False


def test_a_full_queue_does_not_stop_us(tmp_path):
    """A manager that reads nothing costs a notification, not the loop."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "n"))
        env = {"NOTIFY_SOCKET": str(tmp_path / "n")}
        sent = [notify("WATCHDOG=1", env) for _ in range(5000)]
    assert sent[0]
    assert not sent[-1]


@pytest.mark.parametrize(
    ("env", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
    ],
)
def test_the_watchdog_interval_is_half_of_what_systemd_allows(env, interval_s):
    """Only if it is meant for this process, and only if it is a number."""
    assert ServiceManager(env).watchdog_interval_s == interval_s


RECEIVER = """
import os, sys
from feishu_ws.telemetry.sd_notify import listen_fds
os.environ["LISTEN_PID"] = str(os.getpid())
taken = listen_fds()
left = [name for name in os.environ if name.startswith("LISTEN_")]
kept = [os.get_inheritable(sock.fileno()) for sock in taken.values()]
print(sorted((name, sock.fileno(), sock.getsockname()) for name, sock in taken.items()))
print(left, kept)
for sock in taken.values():
    sock.close()
"""


def test_sockets_are_taken_over_by_name(tmp_path):
    """A process started as systemd does finds its sockets by name, closed to its children."""
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
        for number, listener in enumerate((one, two)):
            listener.bind(str(tmp_path / f"{number}.sock"))
            listener.listen()
        shell = f'exec 3<&{one.fileno()} 4<&{two.fileno()}; exec "$0" -c "$1"'
        done = subprocess.run(
            ["bash", "-c", shell, sys.executable, RECEIVER],
            env=os.environ | {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "events:telemetry"},
            pass_fds=(one.fileno(), two.fileno()),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    names, rest = done.stdout.splitlines()
    assert names == str(
        [("events", 3, str(tmp_path / "0.sock")), ("telemetry", 4, str(tmp_path / "1.sock"))]
    )
    assert rest == "[] [False, False]"


def passed(count, names="", pid=None):
    """Adopt duplicates of `count` fresh sockets, as if passed; return what was taken and the env."""
    fds = []
    first = 200
    for i in range(count):
        with socket.socket(socket.AF_UNIX) as made:
            fds.append(os.dup2(made.fileno(), first + i))
    env = {
        "LISTEN_PID": str(os.getpid() if pid is None else pid),
        "LISTEN_FDS": str(count),
        "LISTEN_FDNAMES": names,
    }
    taken = listen_fds(env, first_fd=first)
    for sock in taken.values():
        sock.close()
    for fd in fds[len(taken) :]:
        os.close(fd)
    return list(taken), env


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("a:b:c", ["a", "b", "c"]),
        ("a:a:a", ["a", "a.2", "a.3"]),
        ("a", ["a", "unknown", "unknown.2"]),
        ("", ["unknown", "unknown.2", "unknown.3"]),
    ],
)
def test_names_are_unique_and_never_empty(names, expected):
    """Sockets without a name of their own get one."""
    assert passed(3, names)[0] == expected


def test_sockets_for_another_process_are_left_alone():
    """A child that inherited the variables takes nothing, and the variables go."""
    assert passed(1, "events", pid=1) == ([], {})


def test_what_is_no_socket_is_left_out():
    """A pipe among the descriptors is skipped."""
    reader, writer = os.pipe()
    env = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"}
    assert listen_fds(env, first_fd=reader) == {}
    os.close(reader)
    os.close(writer)


def test_without_systemd_there_is_nothing():
    """No variables, no sockets."""
    assert listen_fds({}) == {}
    assert listen_fds({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"}) == {}
