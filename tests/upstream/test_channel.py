"""The options of a link's socket."""

import asyncio
import socket
from math import inf

from feishu_ws.upstream.channel import read_acknowledged_ago_s, set_options

RTO_MAX_MS = 44  # Source: Linux 6.15 include/uapi/linux/tcp.h


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


def test_lost_bytes_are_sent_again_every_second():
    """Where the kernel knows how, what was lost is sent again at least every second."""
    with socket.socket() as sock, socket.socket() as other:
        set_options(sock)
        try:
            other.setsockopt(socket.IPPROTO_TCP, RTO_MAX_MS, 2000)
        except OSError:
            return  # a kernel that is older: it took everything else
        assert sock.getsockopt(socket.IPPROTO_TCP, RTO_MAX_MS) == 1000


async def test_what_tcp_acknowledged():
    """Something acknowledged just now is told from silence, and a closed socket knows nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        _, writer = await asyncio.open_connection(*server.getsockname())
        peer, _ = server.accept()
    with peer:
        sock = writer.get_extra_info("socket")
        await asyncio.sleep(0.2)
        silent_s = read_acknowledged_ago_s(sock)
        assert 0.15 < silent_s < inf
        writer.write(b"x")
        async with asyncio.timeout(5):
            while read_acknowledged_ago_s(sock) >= silent_s:
                await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()
        assert read_acknowledged_ago_s(sock) == inf
