"""The protocol of CONTRACT 5, to the letter, over real sockets."""

import asyncio
import base64
import contextlib
import json
import os
import socket
from datetime import datetime

import pytest
from downstream.rig import CARD, held, make_event, turns
from downstream.served import RefusedError, Served, raw_socket
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support import eventually

from feishu_ws import __version__
from feishu_ws.downstream import connection
from feishu_ws.downstream.session import MAX_UNANSWERED
from feishu_ws.events.envelope import open_envelope
from feishu_ws.happenings import ClientRefused, ConsumerConnected, ConsumerDisconnected
from feishu_ws.model import Envelope, Event, Filter, Form
from feishu_ws.wire import native


async def refused(awaitable):
    """Return the code a request is refused with."""
    with pytest.raises(RefusedError) as caught:
        await awaitable
    return caught.value.code


class TestHello:
    """Becoming a consumer."""

    async def test_the_answer_says_where_it_stands(self, served):
        """Protocol, version, app, journal, the newest position and the cursor, and nothing else."""
        await served.world.publish("a", "b", "c")
        client = await served.consumer(start=3)

        assert client.greeting == {
            "protocol": 1,
            "version": __version__,
            "app_id": "cli_a",
            "journal": "11111111-2222-3333-4444-555555555555",
            "position": 3,
            "cursor": 2,
        }

    async def test_a_reader_along_has_no_cursor(self, served):
        """`durable: false` gets the same answer with a null cursor."""
        client = await served.consumer(durable=False, start="latest")

        assert client.greeting["cursor"] is None
        assert served.world.journal.consumers() == {}

    async def test_deliveries_come_after_the_answer(self, served):
        """The first line is the answer, then events in order."""
        await served.world.fill(3)
        client = await served.client()
        client.ask("hello", consumer="bot", start="earliest")
        lines = [await client.line() for _ in range(4)]

        assert "result" in lines[0]
        assert [line["params"]["position"] for line in lines[1:]] == [1, 2, 3]

    async def test_who_connected_is_told(self, served):
        """The happening names the peer's uid."""
        await served.consumer()

        assert served.world.of(ConsumerConnected) == [
            ConsumerConnected("bot", durable=True, cursor=0, behind=0, uid=os.getuid())
        ]

    async def test_hello_is_said_once(self, served):
        """A second hello on a connection is refused, also while the first is being answered."""
        client = await served.client()
        with held(served.world.journal):
            first = client.ask("hello", consumer="bot")
            second = await refused(client.hello())
        await client.answer(first)
        third = await refused(client.hello("other"))

        assert (second, third) == (native.Code.INVALID_REQUEST, native.Code.INVALID_REQUEST)

    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"consumer": 5},
            {"consumer": "A"},
            {"consumer": "bot", "types": "im.*"},
            {"consumer": "bot", "types": [1]},
            {"consumer": "bot", "start": True},
            {"consumer": "bot", "start": 1.5},
            {"consumer": "bot", "start": 10**30},
            {"consumer": "bot", "start": "later"},
            {"consumer": "bot", "window": 0},
            {"consumer": "bot", "durable": 1},
            {"consumer": "bot", "force": "yes"},
        ],
    )
    async def test_bad_params_are_refused_and_the_connection_goes_on(self, served, params):
        """The error says what is wrong, and a good hello is taken afterwards."""
        client = await served.client()
        code = await refused(client.call("hello", **params))
        await client.hello()

        assert code == native.Code.INVALID_PARAMS

    async def test_unknown_params_are_left_alone(self, served):
        """A newer client may say more than this daemon knows."""
        client = await served.client()

        assert (await client.hello(colour="blue"))["protocol"] == 1

    async def test_a_disk_that_cannot_be_read_is_an_internal_error(self, served):
        """The client is told the fault and may try again on the same connection."""
        served.world.journal.failures = 1
        client = await served.client()
        code = await refused(client.hello())
        await client.hello()

        assert code == native.Code.INTERNAL_ERROR

    async def test_a_conflict_is_refused(self, served):
        """The fifth connection of a name within a minute gets -32007, and may stay connected."""
        for _ in range(4):
            await served.consumer()
        client = await served.client()
        code = await refused(client.hello())

        assert (code, await client.call("ping")) == (native.Code.CONSUMER_CONFLICT, "pong")

    async def test_the_33rd_consumer_is_refused(self, served):
        """Names are bounded, with -32005."""
        for number in range(32):
            served.world.journal.enroll(f"c{number}", Filter(), 0, declared=False)

        assert await refused((await served.client()).hello("more")) == native.Code.FULL

    @pytest.mark.parametrize("method", ["settle", "reject", "reply"])
    async def test_what_needs_a_hello_says_so(self, served, method):
        """-32001 before a hello; ping and status need none."""
        client = await served.client()

        assert await refused(client.call(method, position=1)) == native.Code.NOT_GREETED
        assert await client.call("ping") == "pong"
        assert await client.call("status") == {"ready": True}


class TestEvent:
    """What a delivery looks like."""

    async def test_it_is_the_line_of_the_contract(self, served):
        """Position, attempt, deadline, lateness, the CloudEvent and the message: exactly."""
        payload = (
            b'{"schema":"2.0","header":{"event_id":"ev1","event_type":"im.message.receive_v1",'
            b'"create_time":"1774004591000","tenant_key":"t1","app_id":"cli_a"},'
            b'"event":{"sender":{"sender_id":{"open_id":"ou_1"},"sender_type":"user"},'
            b'"message":{"message_id":"om_1","chat_id":"oc_1","chat_type":"p2p",'
            b'"message_type":"text","content":"{\\"text\\":\\"\xe4\xbd\xa0\xe5\xa5\xbd\\"}"}}}'
        )
        client = await served.consumer()
        event = Event(open_envelope(payload), payload, 1_774_004_591_415, (b"k" * 16,))
        served.world.journal.append(event, lambda _: None)
        raw = await client.reader.readline()
        line = json.loads(raw)
        params = line.pop("params")

        assert line == {"jsonrpc": "2.0", "method": "event"}
        assert {k: params[k] for k in ("position", "attempt", "reply_by", "late")} == {
            "position": 1, "attempt": 1, "reply_by": None, "late": False,
        }  # fmt: skip
        assert params["event"] == {
            "specversion": "1.0",
            "id": "ev1",
            "source": "/feishu/cli_a/t1",
            "type": "im.message.receive_v1",
            "time": "2026-03-20T11:03:11.000Z",
            "datacontenttype": "application/json",
            "receivedtime": "2026-03-20T11:03:11.415Z",
            "subject": "oc_1",
            "appid": "cli_a",
            "tenantkey": "t1",
            "feishuschema": "2.0",
            "data": json.loads(payload),
        }
        assert params["message"]["text"] == "你好"
        assert payload in raw
        assert "你好".encode() in raw

    async def test_what_is_no_json_travels_as_base64(self, served):
        """Any bytes are delivered, on one line."""
        client = await served.consumer()
        event = Event(Envelope(form=Form.OPAQUE), b"\xff\n\x00", 0, (b"k" * 16,))
        served.world.journal.append(event, lambda _: None)
        delivered = (await client.event())["event"]

        assert base64.b64decode(delivered["data_base64"]) == b"\xff\n\x00"
        assert (delivered["type"], "feishuschema" in delivered) == ("feishu.unknown", False)

    async def test_a_redelivery_says_which_attempt_it_is(self, served):
        """A counted attempt raises the number, a new connection does not."""
        client = await served.consumer()
        await served.world.publish("a")
        first = await client.event()
        await client.call("reject", position=1, retry_in_s=0)
        second = await client.event()
        client = await served.consumer()
        third = await client.event()

        assert [e["attempt"] for e in (first, second, third)] == [1, 2, 2]


class TestSettle:
    """Done with it."""

    async def test_a_request_is_answered_after_the_commit(self, served):
        """While the disk hangs there is no answer; the result is an empty object."""
        client = await served.consumer()
        await served.world.publish("a")
        await client.event()
        with held(served.world.journal):
            asked = client.ask("settle", positions=[1])
            await client.call("ping")
        early = [m for m in client.kept if m.get("id") == asked]

        assert (early, await client.answer(asked)) == ([], {})
        assert served.world.record().cursor == 1

    async def test_what_did_not_become_durable_is_not_answered(self, served, monkeypatch):
        """A journal that gives up is no success."""
        client = await served.consumer()
        given_up = asyncio.get_running_loop().create_future()
        monkeypatch.setattr(served.world.journal, "settle", lambda *_: given_up)
        client.ask("settle")
        await client.call("ping")
        given_up.cancel()

        assert await client.quiet() == []

    async def test_a_notification_is_not_answered(self, served):
        """It settles all the same."""
        client = await served.consumer()
        await served.world.fill(3)
        await client.events(3)
        client.notify("settle", positions=[1], through=2)

        assert await client.quiet() == []
        assert served.world.record().cursor == 2

    async def test_only_what_was_delivered_counts(self, served):
        """Ahead of deliveries, twice, or nothing at all: fine, and without effect."""
        client = await served.consumer(window=1)
        await served.world.fill(3)
        await client.event()
        answers = [
            await client.call("settle", positions=[2, 3, 77, -5, 10**30]),
            await client.call("settle"),
            await client.call("settle", through=1),
            await client.call("settle", positions=[1], through=1),
        ]

        assert answers == [{}] * 4
        assert (await client.event())["position"] == 2
        assert served.world.record().cursor == 1

    async def test_many_positions_go_on_one_line(self, served):
        """A line may settle everything at once."""
        client = await served.consumer(window=4096)
        await served.world.fill(3000)
        await client.events(3000)
        await client.call("settle", positions=list(range(3000, 0, -1)))

        assert served.world.record().cursor == 3000

    @pytest.mark.parametrize(
        "params", [{"positions": 1}, {"positions": ["1"]}, {"through": "1"}, {"positions": [1.5]}]
    )
    async def test_nonsense_is_refused(self, served, params):
        """Bad params settle nothing."""
        client = await served.consumer()

        assert await refused(client.call("settle", **params)) == native.Code.INVALID_PARAMS

    async def test_a_superseded_connection_may_settle_until_it_closes(self, served):
        """Its settle counts although the event was handed to the next connection."""
        first = await served.consumer()
        await served.world.fill(2)
        await first.events(2)
        second = await served.consumer()
        await second.events(2)
        first.notify("settle", positions=[1, 2])
        await eventually(lambda: served.world.record().cursor == 2)
        third = await served.consumer()

        assert [m["params"] for m in await first.rest()] == [{"reason": "superseded"}]
        assert await third.quiet() == []


class TestReject:
    """Not now."""

    async def test_it_comes_again_when_asked_for(self, served):
        """The result is an empty object, the next delivery the second attempt."""
        client = await served.consumer()
        await served.world.publish("a")
        await client.event()

        assert await client.call("reject", position=1, reason="busy", retry_in_s=0.01) == {}
        assert (await client.event())["attempt"] == 2
        assert served.world.record().attempts[1].reason == "busy"

    async def test_dead_is_for_ever(self, served):
        """The event goes to the dead letters at once."""
        client = await served.consumer()
        await served.world.publish("a")
        await client.event()
        await client.call("reject", position=1, dead=True, reason="no use")

        assert [d[:3] for d in served.world.journal.dead] == [("bot", 1, "rejected")]

    @pytest.mark.parametrize("wait", [-1, -0.001, 3600.5, 1e300, "soon"])
    async def test_a_wait_out_of_range_is_refused(self, served, wait):
        """0 to 3600 seconds, and nothing is counted otherwise."""
        client = await served.consumer()
        await served.world.publish("a")
        await client.event()
        code = await refused(client.call("reject", position=1, retry_in_s=wait))

        assert (code, served.world.journal.noted) == (native.Code.INVALID_PARAMS, [])

    async def test_an_unknown_position_is_refused(self, served):
        """-32003 for what is not with this consumer."""
        client = await served.consumer()

        assert await refused(client.call("reject", position=7)) == native.Code.UNKNOWN_POSITION

    async def test_a_superseded_connection_may_not_reject(self, served):
        """The event is with its successor."""
        first = await served.consumer()
        await served.world.publish("a")
        await first.event()
        second = await served.consumer()
        await second.event()
        first.notify("reject", position=1, retry_in_s=0)
        first.notify("settle", positions=[])
        await second.call("ping")

        assert (served.world.journal.noted, await second.quiet()) == ([], [])

    async def test_a_reader_along_has_nothing_to_reject(self, served):
        """Whatever it saw, it was not with it."""
        client = await served.consumer(durable=False)
        await served.world.publish("a")
        await client.event()

        assert await refused(client.call("reject", position=1)) == native.Code.UNKNOWN_POSITION


class TestReply:
    """The answer to a callback."""

    async def callback(self, served, *clients):
        """Deliver a callback to the clients and await a reply as intake does."""
        (position,) = await served.world.publish("card", kind=CARD)
        replies = []
        event = served.world.journal._events[position]
        served.world.dispatcher.await_reply(event, replies.append)
        return position, replies, [await client.event() for client in clients]

    async def test_it_reaches_whoever_waits_and_settles(self, served):
        """The data arrives byte for byte; the position is settled."""
        client = await served.consumer()
        position, replies, _ = await self.callback(served, client)
        client.write(
            b'{"jsonrpc":"2.0","id":"r","method":"reply","params":'
            b'{"position":1,"data":{"toast": {"content":"\xe5\xa5\xbd"}, "n":1.0}}}\n'
        )

        assert await client.answer("r") == {}
        assert replies == [b'{"toast": {"content":"\xe5\xa5\xbd"}, "n":1.0}']
        assert served.world.record().cursor == position

    async def test_the_deadline_is_rfc3339_with_milliseconds(self, served):
        """`reply_by` is 2.5 s after the receipt."""
        client = await served.consumer()
        _, _, (delivered,) = await self.callback(served, client)
        received = delivered["event"]["receivedtime"]

        assert (len(delivered["reply_by"]), delivered["reply_by"][-5], delivered["late"]) == (24, ".", False)  # fmt: skip
        assert _ms(delivered["reply_by"]) - _ms(received) == 2500

    async def test_a_reply_after_the_first_is_late_and_settles(self, served):
        """-32002 for the second consumer and for a repetition, but the position is done."""
        one, two = await served.consumer("one"), await served.consumer("two")
        position, replies, _ = await self.callback(served, one, two)
        await one.call("reply", position=position, data={"by": 1})
        codes = [
            await refused(client.call("reply", position=position, data={"by": 2}))
            for client in (two, one)
        ]

        assert (codes, replies) == ([native.Code.LATE_CALLBACK] * 2, [b'{"by": 1}'])
        assert served.world.record("two").cursor == position

    async def test_the_answer_does_not_wait_for_the_disk_and_the_result_does(self, served):
        """Feishu is told at once; who replied, once the settle is durable, late or not."""
        one, two = await served.consumer("one"), await served.consumer("two")
        position, replies, _ = await self.callback(served, one, two)
        with held(served.world.journal):
            first = one.ask("reply", position=position, data={"by": 1})
            second = two.ask("reply", position=position, data={"by": 2})
            await asyncio.gather(one.quiet(), two.quiet())
            before = [message for client in (one, two) for message in client.kept]

        assert (before, replies) == ([], [b'{"by": 1}'])
        assert await one.answer(first) == {}
        assert await refused(two.answer(second)) == native.Code.LATE_CALLBACK

    async def test_settling_it_without_a_word_leaves_it_to_the_others(self, served):
        """The default goes out once the last that holds it has settled it."""
        one, two = await served.consumer("one"), await served.consumer("two")
        position, replies, _ = await self.callback(served, one, two)
        one.notify("settle", positions=[position])
        await one.quiet()
        between = list(replies)
        await two.call("settle", through=position)

        assert (between, replies) == ([], [None])

    async def test_a_reply_to_what_is_no_callback_settles_it(self, served):
        """Nobody waits: -32002, and the event is done all the same."""
        client = await served.consumer()
        await served.world.publish("a")
        await client.event()
        code = await refused(client.call("reply", position=1))

        assert (code, served.world.record().cursor) == (native.Code.LATE_CALLBACK, 1)

    async def test_unknown_positions_are_refused(self, served):
        """-32002: late or unknown."""
        client = await served.consumer()

        assert await refused(client.call("reply", position=9)) == native.Code.LATE_CALLBACK

    async def test_a_notification_replies_as_well(self, served):
        """Without an answer, but taken."""
        client = await served.consumer()
        position, replies, _ = await self.callback(served, client)
        client.notify("reply", position=position)

        assert (await client.quiet(), replies) == ([], [b"{}"])


def _ms(text):
    return round(datetime.fromisoformat(text).timestamp() * 1000)


class TestJsonRpc:
    """The envelope of requests and answers."""

    @pytest.mark.parametrize("rpc_id", [0, 1, -7, 2**53, 1.5, "", "a", "ü\n", None])
    async def test_the_id_comes_back_as_it_was(self, served, rpc_id):
        """Numbers, strings and null are ids."""
        client = await served.client()
        client.write({"jsonrpc": "2.0", "id": rpc_id, "method": "ping"})

        assert await client.line() == {"jsonrpc": "2.0", "id": rpc_id, "result": "pong"}

    @pytest.mark.parametrize("rpc_id", [True, False, [], [1], {}, {"a": 1}])
    async def test_other_ids_are_refused(self, served, rpc_id):
        """An id of another type is an invalid request, answered to null."""
        client = await served.client()
        client.write({"jsonrpc": "2.0", "id": rpc_id, "method": "ping"})
        answer = await client.line()

        assert (answer["id"], answer["error"]["code"]) == (None, native.Code.INVALID_REQUEST)

    @pytest.mark.parametrize(
        "line",
        [
            b"{}",
            b"[]",
            b"1",
            b"null",
            b'"ping"',
            b"true",
            b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
            b'{"id":1,"method":"ping"}',
            b'{"jsonrpc":"1.0","id":1,"method":"ping"}',
            b'{"jsonrpc":"2.0","id":1}',
            b'{"jsonrpc":"2.0","id":1,"method":5}',
            b'{"jsonrpc":"2.0","id":1,"result":{}}',
        ],
    )
    async def test_json_that_is_no_request_is_answered(self, served, line):
        """-32600, with the id where there is one, and the connection goes on."""
        client = await served.client()
        client.write(line + b"\n")
        answer = await client.line()

        assert answer["error"]["code"] == native.Code.INVALID_REQUEST
        assert answer["id"] == (1 if b'"id":1' in line and line[:1] == b"{" else None)
        assert await client.call("ping") == "pong"

    async def test_an_unknown_method_is_named(self, served):
        """-32601, with at most 64 characters of its name."""
        client = await served.client()
        with pytest.raises(RefusedError) as caught:
            await client.call("x" * 1000)

        assert caught.value.code == native.Code.METHOD_NOT_FOUND
        assert len(caught.value.error["message"]) < 100

    async def test_notifications_are_never_answered(self, served):
        """Neither unknown methods, bad params, missing hellos nor refusals."""
        client = await served.consumer()
        for method, params in (
            ("nonsense", {}),
            ("ping", {}),
            ("status", {}),
            ("hello", {"consumer": "x"}),
            ("settle", {"positions": "x"}),
            ("reject", {"position": 1}),
            ("reply", {"position": 1}),
        ):
            client.notify(method, **params)

        assert await client.quiet() == []

    async def test_params_may_be_left_out(self, served):
        """A method without params needs none, and null or a list is refused where some are needed."""
        client = await served.client()
        client.write(b'{"jsonrpc":"2.0","id":1,"method":"status"}\n')
        client.write(b'{"jsonrpc":"2.0","id":2,"method":"hello","params":["bot"]}\n')
        client.write(b'{"jsonrpc":"2.0","id":3,"method":"hello","params":null}\n')
        client.write(b'{"jsonrpc":"2.0","id":4,"method":"hello"}\n')

        assert await client.answer(1) == {"ready": True}
        for rpc_id in (2, 3, 4):
            assert await refused(client.answer(rpc_id)) == native.Code.INVALID_PARAMS

    async def test_lines_may_come_in_any_pieces(self, served):
        """Split, joined, with blank lines and carriage returns between."""
        client = await served.client()
        ping = b'{"jsonrpc":"2.0","id":%d,"method":"ping"}'
        stream = b"\n\r\n  \n" + ping % 1 + b"\r\n" + ping % 2 + b"\n\n" + ping % 3 + b"\n"
        for at in range(0, len(stream), 7):
            client.write(stream[at : at + 7])
            await turns(2)

        assert [await client.answer(n) for n in (1, 2, 3)] == ["pong"] * 3


class TestBadLines:
    """What ends a client, and that client only."""

    @pytest.mark.parametrize(
        "line",
        [
            b"hello",
            b"{",
            b"\x00",
            b'{"jsonrpc":"2.0","id":1,"method":"ping"} x',
            b'{"jsonrpc":"2.0","id":1,"method":"\xff"}',
            b"\xff\xfe",
            b"[" * 100_000,
            b"NaN",
            b"{'a':1}",
        ],
    )
    async def test_a_line_that_is_no_json_closes_that_client(self, served, line):
        """It gets an error object and a bye; everybody else is served on."""
        other = await served.consumer("other")
        client = await served.client()
        client.write(line + b"\n")
        error, bye = await client.rest()
        await served.world.publish("a")

        assert (error["id"], error["error"]["code"]) == (None, native.Code.PARSE_ERROR)
        assert bye == {"jsonrpc": "2.0", "method": "bye", "params": {"reason": "protocol"}}
        assert (await other.event())["position"] == 1
        assert ClientRefused("line", os.getuid()) in served.world.happenings

    async def test_a_line_of_8_mib_is_taken(self, served):
        """The longest line there may be is obeyed."""
        client = await served.client()
        line = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":"%b"}'
        pad = native.MAX_LINE_TO_DAEMON - len(line % b"")
        client.write(line % (b"x" * pad) + b"\n")

        assert await client.answer(1) == "pong"

    @pytest.mark.parametrize("ends", [True, False])
    async def test_a_longer_line_closes_that_client(self, served, ends, monkeypatch):
        """Finished or not, it is refused once it is too long, and what follows is thrown away."""
        monkeypatch.setattr(connection, "LEAVE_S", 0.2)
        client = await served.client()
        await client.call("ping")
        (session,) = served.sessions
        client.write(b'"' + b"x" * native.MAX_LINE_TO_DAEMON + (b'"\n' if ends else b""))
        error = await client.line()
        client.write(b"y" * 3_000_000)
        bye = await client.line()
        await eventually(lambda: not served.sessions)

        assert error["error"]["code"] == native.Code.INVALID_REQUEST
        assert bye["params"] == {"reason": "protocol"}
        assert len(session._lines._rest) < native.MAX_LINE_TO_DAEMON + 2**19

    async def test_its_seat_is_free_at_once(self, served):
        """A consumer that breaks the protocol is disconnected, not merely silent."""
        client = await served.consumer()
        client.write(b"rubbish\n")
        await client.rest()

        assert served.world.dispatcher.connected() == 0
        assert served.world.of(ConsumerDisconnected)[0].cause == "protocol"


class TestBye:
    """A goodbye is a half-close: what the client still says is heard."""

    async def test_the_bye_is_the_last_line_and_settles_are_taken(self, served):
        """After `superseded` our side is shut, the client's settle counts, then it is over."""
        client = await served.consumer()
        await served.world.fill(2)
        await client.events(2)
        await served.consumer()
        rest = await client.rest()  # reads up to the end of our side
        client.notify("settle", positions=[2])
        client.notify("settle", through=1)
        await eventually(lambda: served.world.record().cursor == 2)
        began = asyncio.get_running_loop().time()
        await eventually(lambda: len(served.sessions) == 1)

        assert rest == [{"jsonrpc": "2.0", "method": "bye", "params": {"reason": "superseded"}}]
        assert asyncio.get_running_loop().time() - began < 2

    async def test_a_client_that_is_writing_does_not_lose_it(self, served):
        """It reads the bye though it went on writing, and nothing was reset."""
        client = await served.consumer()
        await served.world.publish("a")
        await client.event()
        await served.consumer()
        for _ in range(200):
            client.notify("settle", positions=[1])
            await turns(1)
        rest = await client.rest()

        assert [m["params"]["reason"] for m in rest] == ["superseded"]

    async def test_after_the_bye_nothing_else_is_obeyed(self, served):
        """A hello after a bye does not take a seat."""
        client = await served.consumer()
        await served.consumer()
        client.notify("hello", consumer="sneaky")
        client.ask("ping")
        rest = await client.rest()
        await eventually(lambda: len(served.sessions) == 1)

        assert [m["method"] for m in rest] == ["bye"]
        assert "sneaky" not in served.world.journal.consumers()

    @pytest.mark.parametrize("only_its_side", [True, False])
    async def test_a_client_that_closes_after_the_bye_is_gone_at_once(self, served, only_its_side):
        """Its place is free without waiting for the second to pass."""
        client = await served.consumer()
        await served.consumer()
        await client.rest()
        if only_its_side:
            client.writer.write_eof()
        else:
            await client.close()

        await eventually(lambda: len(served.sessions) == 1, 0.5)


class TestLeaving:
    """Clients that go, in all ways there are."""

    async def test_a_client_that_closes_frees_its_seat(self, served):
        """What it had goes to the next connection."""
        client = await served.consumer()
        await served.world.fill(2)
        await client.events(2)
        client.notify("settle", positions=[1])
        await client.close()
        await eventually(lambda: not served.sessions)
        client = await served.consumer()

        assert (await client.event())["position"] == 2
        assert served.world.of(ConsumerDisconnected) == [ConsumerDisconnected("bot", "closed", 1)]

    async def test_one_that_only_closes_its_side_gets_its_answers(self, served):
        """As with `printf … | nc -N`: answered, also when the disk is slow, and closed."""
        client = await served.consumer()
        await served.world.publish("a")
        await client.event()
        with held(served.world.journal):
            settle = client.ask("settle", positions=[1])
            status = client.ask("status")
            client.writer.write_eof()
            early = await client.answer(status)
            await served.world.publish("not for it")
        rest = await client.rest()

        assert early == {"ready": True}
        assert rest == [{"jsonrpc": "2.0", "id": settle, "result": {}}]
        assert served.world.dispatcher.connected() == 0

    async def test_a_half_closed_hello_is_answered(self, served):
        """It learns where it would stand, and holds no seat."""
        client = await served.client()
        asked = client.ask("hello", consumer="bot")
        client.writer.write_eof()

        assert (await client.answer(asked))["protocol"] == 1
        assert await client.rest() == []
        assert served.world.dispatcher.connected() == 0

    async def test_one_that_vanishes_during_its_hello_leaves_nothing(self, served):
        """No seat, no session, no task; the consumer it made exists and can be taken."""
        with held(served.world.journal):
            for name in ("a", "b", "a", "tap"):
                client = await served.client()
                client.ask("hello", consumer=name, durable=name != "tap")
                await turns()
                client.writer.transport.abort()
            await eventually(lambda: not served.sessions)
            await turns()
            assert not [t for t in asyncio.all_tasks() if t.get_name() == "hello"]
        await eventually(lambda: served.world.journal.consumers().keys() == {"a", "b"})
        await turns()

        assert served.world.dispatcher.connected() == 0
        assert served.world.dispatcher.seats.taps == set()
        assert (await served.consumer("a")).greeting["protocol"] == 1

    async def test_one_that_half_closes_and_stays_does_not_hold_its_place(
        self, served, monkeypatch
    ):
        """With a disk that never answers it is let go after a while."""
        monkeypatch.setattr(connection, "ANSWER_S", 0.1)
        client = await served.consumer()
        await served.world.publish("a")
        await client.event()
        served.world.journal.disk.clear()
        client.ask("settle", positions=[1])
        client.writer.write_eof()

        await eventually(lambda: not served.sessions)
        served.world.journal.disk.set()


class TestSlow:
    """Clients that do not read."""

    async def fill_up(self, served, slow, **params):
        """Greet, and wait until no more deliveries are sent; return the session."""
        hello = {"consumer": "slow", "start": "earliest", "window": 4096, **params}
        slow.send(native.encode_call("hello", hello, 1))
        await eventually(lambda: served.world.of(ConsumerConnected))
        (session,) = served.sessions
        await eventually(lambda: not session.has_room())
        return session

    @pytest.mark.parametrize("durable", [True, False])
    async def test_deliveries_to_one_that_does_not_read_are_bounded(self, served, durable):
        """It stays connected, little waits for it, others are served, and it gets the rest in order."""
        await served.world.fill(200, size=100_000)
        with raw_socket(served.path) as slow:
            session = await self.fill_up(served, slow, durable=durable)
            other = await served.consumer("other", start="latest")
            await served.world.fill(10, size=100_000)
            await other.events(10)
            unsent = session._unsent()
            positions = await read_positions(slow, 210)

        assert connection.DELIVER_UNTIL <= unsent < connection.DELIVER_UNTIL + 200_000
        assert positions == list(range(1, 211))

    async def test_lines_longer_than_the_bound_are_delivered(self, served):
        """Large events, with their base64 more than may wait, arrive, and asking meanwhile is fine."""
        for name, size in (("a", 2_800_000), ("b", 4 * 2**20), ("c", 4 * 2**20)):
            event = make_event(name, at_ms=served.world.clock.wall_ms())
            event.payload = os.urandom(size)
            event.envelope = Envelope(form=Form.OPAQUE)
            served.world.journal.append(event, lambda _: None)
        await turns()
        with raw_socket(served.path) as slow:
            session = await self.fill_up(served, slow)
            await eventually(lambda: session._unsent() > connection.MAX_UNSENT)
            slow.send(native.encode_call("ping", {}, 2))
            await asyncio.sleep(0.05)

            assert not session.is_leaving
            assert await read_positions(slow, 3) == [1, 2, 3]

    async def test_one_that_asks_and_does_not_read_is_told_slow(self, tmp_path):
        """Answers beyond 8 MiB end it with a bye; memory stays bounded and others are served."""
        status = {"pad": "x" * 100_000}
        peak, got = 0, b""
        async with Served(tmp_path / "s", status=lambda: status) as served:
            other = await served.client()
            with raw_socket(served.path) as hostile:
                for _ in range(200):
                    with contextlib.suppress(ConnectionError):
                        hostile.send(native.encode_call("status", {}, 1))
                    assert await other.call("ping") == "pong"
                    peak = max([peak, *(s._unsent() for s in served.sessions)])
                loop = asyncio.get_running_loop()
                while chunk := await asyncio.wait_for(loop.sock_recv(hostile, 2**20), 5):
                    got += chunk

        assert json.loads(got.splitlines()[-1])["params"] == {"reason": "slow"}
        assert connection.MAX_UNSENT < peak < connection.MAX_UNSENT + 10 * 100_000
        assert ClientRefused("slow", os.getuid()) in served.world.happenings

    async def test_one_with_a_full_buffer_may_still_ask(self, served):
        """Deliveries leave room for answers: a ping in between is no reason to be thrown out."""
        await served.world.fill(100, size=100_000)
        with raw_socket(served.path) as slow:
            session = await self.fill_up(served, slow)
            for rpc_id in range(2, 102):
                slow.send(native.encode_call("ping", {}, rpc_id))
            await asyncio.sleep(0.05)

            assert not session.is_leaving
            assert await read_positions(slow, 100) == list(range(1, 101))


async def read_positions(client, count):
    """Read deliveries from a raw socket until there are `count`."""
    loop = asyncio.get_running_loop()
    lines = native.Lines(native.MAX_LINE_FROM_DAEMON)
    positions = []
    while len(positions) < count:
        data = await asyncio.wait_for(loop.sock_recv(client, 2**18), 5)
        assert data
        for line in lines.feed(data):
            message = json.loads(line)
            if message.get("method") == "event":
                positions.append(message["params"]["position"])
    return positions


class TestHostile:
    """Clients that mean harm."""

    @pytest.mark.parametrize(
        "line",
        [
            b"{}\n",
            b"\n",
            b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n',
            b'{"jsonrpc":"2.0","method":"settle","params":{"positions":[1]}}\n',
        ],
    )
    async def test_a_flood_does_not_delay_others(self, served, line):
        """While one client sends as much as it can, another's pings are answered at once."""
        other = await served.client()
        waits = []
        with raw_socket(served.path) as hostile:
            flooding = asyncio.create_task(flood(hostile, line))
            await asyncio.sleep(0.05)
            for _ in range(20):
                began = asyncio.get_running_loop().time()
                await other.call("ping")
                waits.append(asyncio.get_running_loop().time() - began)
            flooding.cancel()
            await asyncio.gather(flooding, return_exceptions=True)

        assert sorted(waits)[10] < 0.25

    async def test_requests_that_wait_for_the_disk_are_bounded(self, served):
        """With a disk that hangs, a client that settles for ever is read no further."""
        client = await served.consumer()
        await served.world.publish("a")
        await client.event()
        (session,) = served.sessions
        asked = 0
        with held(served.world.journal):
            for _ in range(20):
                for _ in range(100):
                    asked = client.ask("settle", positions=[1])
                await asyncio.sleep(0.002)
            waiting = (session._unanswered, len(session._waiting))
        last = await client.answer(asked)

        assert waiting[0] == MAX_UNANSWERED
        assert waiting[1] <= 2000
        assert last == {}

    async def test_a_settle_of_a_million_positions_is_quick(self, served):
        """Positions that were never delivered cost next to nothing."""
        client = await served.consumer()
        await served.world.publish("a")
        await client.event()
        began = asyncio.get_running_loop().time()
        await client.call("settle", positions=list(range(1, 900_000)))

        assert asyncio.get_running_loop().time() - began < 3
        assert served.world.record().cursor == 1


async def flood(client, line):
    """Send a line again and again, and throw away what comes back."""
    loop = asyncio.get_running_loop()
    chunk = line * (200_000 // len(line))

    async def read():
        while await loop.sock_recv(client, 2**20):
            pass

    async def write():
        while True:
            await loop.sock_sendall(client, chunk)
            await asyncio.sleep(0)

    await asyncio.gather(read(), write())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
METHODS = st.sampled_from(["hello", "settle", "reject", "reply", "ping", "status", "event", ""])
NAMES = ["consumer", "types", "start", "window", "durable", "force", "positions", "through",
         "position", "reason", "retry_in_s", "dead", "data"]  # fmt: skip
CALLS = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": METHODS | JSON},
    optional={"id": JSON, "params": st.dictionaries(st.sampled_from(NAMES), JSON) | JSON},
)
LINES = st.binary(max_size=80) | (JSON | CALLS).map(lambda value: json.dumps(value).encode())
FUZZ = hypothesis_settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class TestFuzz:
    """Any bytes."""

    def test_any_lines_are_answered_or_end_that_client(self, tmp_path):
        """Whatever comes, every line from the daemon is JSON-RPC, and another client is served."""
        with asyncio.Runner() as runner:
            served = Served(tmp_path / "s")
            runner.run(served.__aenter__())
            witness = runner.run(served.client())
            seen = []
            runner.get_loop().set_exception_handler(lambda _, context: seen.append(context))

            @FUZZ
            @given(st.lists(LINES, max_size=6), st.booleans())
            def fuzz(lines, is_abrupt):
                runner.run(self.speak(served, witness, lines, is_abrupt=is_abrupt))

            fuzz()
            runner.run(witness.call("ping"))
            runner.run(served.__aexit__())
            assert seen == []

    async def speak(self, served, witness, lines, *, is_abrupt):
        client = await served.client()
        client.write(b"\n".join(lines) + b"\n")
        if is_abrupt:
            client.writer.transport.abort()
        else:
            client.writer.write_eof()
            for message in await client.rest():
                assert message["jsonrpc"] == "2.0"
                assert ("id" in message) != ("method" in message)
        served._clients.remove(client)
        await client.close()
        assert await witness.call("ping") == "pong"


def test_unix_sockets_report_errors_as_expected():
    """A guard for the tests above: a closed peer is an end of file."""
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    two.close()

    assert one.recv(1) == b""
    one.close()
