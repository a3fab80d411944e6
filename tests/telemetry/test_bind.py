"""Listening sockets, or the reason why not."""

import os
import socket

import pytest

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.telemetry.bind import bind, where
from feishu_ws.telemetry.listen import Listen


def refusal(listen):
    with pytest.raises(FeishuWsError) as raised:
        bind(listen)
    return raised.value


def test_port_zero_takes_any_free_port():
    """The real port can be asked for afterwards."""
    with bind(Listen("127.0.0.1", 0)) as listener:
        assert where(listener).host == "127.0.0.1"
        assert where(listener).port > 0


def test_a_taken_port_names_port_and_owner():
    """The message says which port, and whose it is where that can be seen."""
    with bind(Listen("127.0.0.1", 0)) as listener:
        error = refusal(where(listener))
        assert error.fault is Fault.PORT_IN_USE
        assert f"127.0.0.1:{where(listener).port}" in error.detail
        assert f"process {os.getpid()} (" in error.detail


def test_an_address_of_another_machine_is_a_configuration_error():
    """It cannot be listened on, whatever else runs."""
    error = refusal(Listen("192.0.2.1", 9530))  # TEST-NET-1, RFC 5737
    assert error.fault is Fault.CONFIG_INVALID
    assert "192.0.2.1:9530" in error.detail


def test_a_unix_socket_is_for_owner_and_group(tmp_path):
    """Others cannot connect."""
    path = tmp_path / "t.sock"
    with bind(Listen(path=str(path))) as listener:
        assert path.stat().st_mode & 0o777 == 0o660
        assert where(listener) == Listen(path=str(path))


def test_a_stale_socket_file_is_replaced(tmp_path):
    """What a killed daemon left behind is no obstacle."""
    path = str(tmp_path / "t.sock")
    bind(Listen(path=path)).close()
    with bind(Listen(path=path)), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_a_socket_in_use_is_left_alone(tmp_path):
    """Somebody who answers keeps the path."""
    listen = Listen(path=str(tmp_path / "t.sock"))
    with bind(listen):
        assert refusal(listen).fault is Fault.PORT_IN_USE
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(listen.path)


def test_a_busy_owner_is_an_owner(tmp_path):
    """A listener whose backlog is full is not taken for a stale file."""
    listen = Listen(path=str(tmp_path / "t.sock"))
    with bind(listen) as listener:
        listener.listen(0)
        clients = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        for client in clients:
            client.settimeout(0)
            client.connect_ex(listen.path)
        assert refusal(listen).fault is Fault.PORT_IN_USE
        for client in clients:
            client.close()


def test_an_ordinary_file_is_not_removed(tmp_path):
    """A path that is no socket is the operator's, and stays."""
    path = tmp_path / "notes.txt"
    path.write_text("keep me")
    error = refusal(Listen(path=str(path)))
    assert error.fault is Fault.SOCKET_FAILED
    assert "no socket" in error.detail
    assert path.read_text() == "keep me"


@pytest.mark.parametrize(
    "listen",
    [Listen("a" * 70, 80), Listen("host\0name", 80), Listen(path="/tmp/" + "x" * 200)],
    ids=["label", "zero", "length"],
)
def test_what_no_system_takes_is_a_fault_with_words(listen):
    """Neither a defect of ours nor a message that says None."""
    error = refusal(listen)
    assert error.fault in {Fault.SOCKET_FAILED, Fault.CONFIG_INVALID}
    assert "None" not in error.detail


def test_a_missing_directory_is_named(tmp_path):
    """The message holds the path."""
    error = refusal(Listen(path=str(tmp_path / "nowhere" / "t.sock")))
    assert error.fault is Fault.SOCKET_FAILED
    assert "nowhere/t.sock" in error.detail
