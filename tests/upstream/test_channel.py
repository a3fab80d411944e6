"""The options of a link's socket."""

import socket

from feishu_ws.upstream.channel import set_options


def test_options():
    """TCP keepalive, its timeout and no delay are set as measured to be right."""
    with socket.socket() as sock:
        set_options(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        tcp = [socket.TCP_NODELAY, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT]
        assert [sock.getsockopt(socket.IPPROTO_TCP, each) for each in tcp] == [1, 20, 5, 3]
        timeout_ms = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert timeout_ms >= (20 + 5 * 3) * 1000


def test_socket_that_takes_none():
    """A socket without these options is used as it is."""
    one, other = socket.socketpair()
    with one, other:
        set_options(one)
