"""One connection: answers, coalesced settles, bounds, and its end."""

import asyncio
import json

import pytest
from client.fake_daemon import event_params

from feishu_ws.client import Disconnected, NotAllowed, RpcError, ask
from feishu_ws.client.connection import MAX_QUEUED_BYTES, open_connection
from feishu_ws.faults import Fault
from feishu_ws.wire.native import MAX_LINE_FROM_DAEMON, MAX_LINE_TO_DAEMON


@pytest.fixture
async def connection(daemon):
    """A greeted connection."""
    made = await open_connection(daemon.path)
    await made.call("hello", {"consumer": "bot"})
    yield made
    await made.close()


async def _events(connection, count):
    async with asyncio.timeout(10):
        return [(await connection.next_event())[1].position for _ in range(count)]


async def test_settles_without_answer_leave_in_one_line(daemon, connection):
    """What is said in one turn of the loop is one notification, in order."""
    for position in (3, 1, 2):
        connection.settle_soon(position)
    await daemon.wait_for("settle")
    connection.settle_soon(4)
    await daemon.wait_for("settle", 2)

    assert daemon.params("settle") == [{"positions": [3, 1, 2]}, {"positions": [4]}]


async def test_a_callback_goes_ahead_of_what_waits(daemon, connection):
    """It has a deadline; each kind can also be read by itself."""
    in_time = {"reply_by": "2099-01-01T00:00:00.000Z"}
    daemon.deliver(1, 2)
    daemon.deliver(3, 4, **in_time)
    await connection.call("ping", {})
    first = await _events(connection, 1)
    other, callback = await connection.next_other(), await connection.next_callback()

    assert (first, other[1].position, callback[1].position) == ([3], 1, 4)
    assert await _events(connection, 1) == [2]


async def test_settles_without_answer_come_before_a_later_request(daemon, connection):
    """A request never overtakes what was said before it."""
    connection.settle_soon(1)
    await connection.call("settle", {"positions": [2]})

    assert daemon.params("settle") == [{"positions": [1]}, {"positions": [2]}]


async def test_closing_says_what_is_still_to_be_settled(daemon, connection):
    """A settle is not forgotten because the program ends."""
    connection.settle_soon(1)
    await connection.close()

    assert await daemon.wait_for("settle") == [{"positions": [1]}]


async def test_an_error_object_is_raised(daemon, connection):
    """Code, message and data of the daemon's refusal."""
    daemon.refuse["send"] = {"code": -32004, "message": "refused", "data": {"code": 230002}}

    with pytest.raises(RpcError) as caught:
        await connection.call("send", {})

    assert (caught.value.code, str(caught.value)) == (-32004, "refused")
    assert caught.value.data == {"code": 230002}


async def test_answers_find_their_requests(daemon, connection):
    """Many requests may be under way at once."""
    answers = await asyncio.gather(*(connection.call("ping", {}) for _ in range(50)))

    assert [bytes(answer) for answer in answers] == [b'"pong"'] * 50


async def test_a_loss_fails_what_waits_for_an_answer(daemon, connection):
    """Nobody waits for ever."""
    daemon.silent.add("settle")
    settling = asyncio.create_task(connection.call("settle", {"positions": [1]}))
    await daemon.wait_for("settle")
    daemon.drop()

    with pytest.raises(Disconnected, match="the daemon went away"):
        await settling
    assert await connection.next_event() is None


async def test_after_a_bye_a_settle_is_still_said_but_not_answered(daemon, connection):
    """The daemon reads settles for a second more; whether it took one is not known."""
    daemon.bye("shutdown")
    assert await connection.next_event() is None

    connection.settle_soon(1)
    with pytest.raises(Disconnected, match=r"the daemon went away \(shutdown\)"):
        await connection.call("settle", {"positions": [2]})

    assert await daemon.wait_for("settle", 2) == [{"positions": [1]}, {"positions": [2]}]


@pytest.mark.parametrize(
    "line", [b"no json", b"[]", b'{"jsonrpc":"2.0"}', b'{"method":"event","params":{}}']
)
async def test_a_daemon_that_does_not_speak_the_protocol_is_left(daemon, connection, line):
    """The reason is kept."""
    daemon.send_line(line)

    assert await connection.next_event() is None
    assert connection.end.startswith("protocol: ")


async def test_a_notification_of_a_newer_daemon_is_left_alone(daemon, connection):
    """Methods and fields may be added."""
    daemon.send("weather", {"rain": True})
    daemon.send("event", event_params(1, colour="red"))

    assert await _events(connection, 1) == [1]


async def test_an_answer_nobody_waits_for_is_left_alone(daemon, connection):
    """The caller may have been cancelled."""
    daemon.send_line(b'{"jsonrpc":"2.0","id":999,"result":{}}')
    daemon.send_line(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}')
    daemon.deliver(1)

    assert await _events(connection, 1) == [1]


async def test_a_line_beyond_the_bound_ends_the_connection(daemon, connection):
    """Memory is bounded, whatever the other side sends."""
    daemon.send_line(b"x" * (MAX_LINE_FROM_DAEMON + 1))

    assert await connection.next_event() is None
    assert connection.end == f"protocol: a line of more than {MAX_LINE_FROM_DAEMON} bytes"


async def test_a_request_beyond_the_bound_is_refused_here(daemon, connection):
    """The daemon would close the connection for it."""
    with pytest.raises(RpcError, match=f"expected at most {MAX_LINE_TO_DAEMON}"):
        await connection.call("api", {"body": "x" * MAX_LINE_TO_DAEMON})
    await connection.call("ping", {})


async def test_reading_pauses_while_deliveries_pile_up_but_answers_still_come(daemon, connection):
    """Unread deliveries are bounded; a settle in between is not stuck behind them."""
    big = json.dumps(event_params(1, message={"text": "x" * 1024 * 1024}))
    total = MAX_QUEUED_BYTES // (1024 * 1024) * 3
    for _ in range(total):
        daemon.send_line(b'{"jsonrpc":"2.0","method":"event","params":%b}' % big.encode())
    sending = daemon.greeted[-1].transport
    for _ in range(200):
        await asyncio.sleep(0.005)
        if sending.get_write_buffer_size() == 0:
            break

    assert sending.get_write_buffer_size() > 0
    await asyncio.wait_for(connection.call("ping", {}), 5)
    assert await _events(connection, total) == [1] * total


async def test_a_question_needs_no_hello(daemon):
    """`status` is asked on a connection of its own."""
    assert await ask(daemon.path, "status") == {"version": "0.1.0"}
    assert daemon.calls == [("status", {})]


async def test_a_question_without_answer_ends_by_itself(daemon):
    """A daemon that hangs does not hang the command."""
    daemon.silent.add("status")

    with pytest.raises(Disconnected, match=r"no answer to status in 0\.05 s, expected one"):
        await ask(daemon.path, "status", timeout_s=0.05)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("none", "no such file or directory"), ("x" * 200, "af_unix path too long")],
)
async def test_where_nobody_listens_is_an_error_that_names_the_path(tmp_path, name, reason):
    """What was seen, what was expected, where."""
    path = str(tmp_path / name)

    with pytest.raises(Disconnected) as caught:
        await open_connection(path)

    assert caught.value.detail == f"{reason}, expected a daemon that listens, {path}"


async def test_a_stale_socket_file_is_an_error(tmp_path):
    """A file that is left over from a crash looks like a daemon and is none."""
    path = tmp_path / "file"
    path.touch()

    with pytest.raises(Disconnected, match="connection refused, expected a daemon that listens"):
        await open_connection(str(path))


async def test_a_socket_that_may_not_be_opened_is_another_error(monkeypatch):
    """The remedy is another one: be let in, not start the daemon."""

    async def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_unix_connection", refuse)

    with pytest.raises(NotAllowed) as caught:
        await open_connection("/run/x.sock")

    assert caught.value.fault is Fault.CLIENT_REFUSED
    assert "socket.group" in caught.value.hint
    assert "allow_users" not in caught.value.hint, "that is asked only of who is connected"
