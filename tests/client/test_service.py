"""Serving: who is handled when, and what is said of it."""

import asyncio
import logging
import threading
from contextvars import ContextVar

import pytest
from client.fake_daemon import FakeDaemon, cloud_event
from support import eventually

from feishu_ws.client import (
    Consumer,
    Disconnected,
    RpcError,
    Superseded,
    blocking,
    service,
    toast,
)

IN_TIME = "2099-01-01T00:00:00.000Z"
CARD = "card.action.trigger"
COLOUR = ContextVar("colour", default="none")
LATE = {"code": -32002, "message": "waits for no reply (any more)"}


class Stage:
    """A consumer that serves, and a daemon to feed it.

    Attributes:
        began, ended: Positions handed to the handler, and those it was done with.
        gates: By position, what the handler waits for.
        results: By position, what it returns, or raises if it is an exception.
    """

    def __init__(self, daemon):
        self.daemon = daemon
        self.consumer = Consumer("bot", daemon.path)
        self.began, self.ended = [], []
        self.gates, self.results = {}, {}
        self.serving = None

    async def handler(self, delivery):
        """Wait, and return or raise as told."""
        self.began.append(delivery.position)
        if delivery.position in self.gates:
            await self.gates[delivery.position].wait()
        self.ended.append(delivery.position)
        result = self.results.get(delivery.position)
        if isinstance(result, Exception):
            raise result
        return result

    async def start(self, handlers=None, **options):
        """Serve, and wait until the daemon knows."""
        serve = self.consumer.serve(handlers or self.handler, **options)
        self.serving = asyncio.create_task(serve)
        await self.daemon.wait_for("hello")
        return self

    def hold(self, *positions):
        """Let the handler wait with these; return what to set."""
        for position in positions:
            self.gates[position] = asyncio.Event()
        return self.gates[positions[0]]

    def say(self, position, subject="oc_1", kind="im.message.receive_v1", **more):
        """Deliver an event about a subject."""
        event = cloud_event(position, subject=subject, type=kind)
        self.daemon.deliver(position, event=event, **more)

    def press(self, position, **more):
        """Deliver a callback that is waited for."""
        self.say(position, kind=CARD, **{"reply_by": IN_TIME, **more})


@pytest.fixture
async def stage(daemon):
    """A stage whose consumer is closed in the end."""
    made = Stage(daemon)
    yield made
    for gate in made.gates.values():
        gate.set()
    await made.consumer.aclose()
    if made.serving is not None:
        await asyncio.wait([made.serving])


class TestSettling:
    """What becomes of an event is what its handler did."""

    async def test_an_event_is_settled_after_its_handler_returned(self, stage):
        """Not before; and with a request, so that it never comes again."""
        gate = stage.hold(1)
        await stage.start()
        stage.say(1)
        await eventually(lambda: stage.began)
        before = stage.daemon.params("settle")
        gate.set()

        assert before == []
        assert await stage.daemon.wait_for("settle") == [{"positions": [1]}]

    async def test_what_a_handler_raises_is_logged_and_rejected(self, stage, caplog):
        """With its traceback and its reason; the next event is handled as ever."""
        stage.results[1] = LookupError("no such user")
        await stage.start()
        stage.say(1)
        stage.say(2)
        await stage.daemon.wait_for("settle")

        assert stage.daemon.params("reject") == [
            {"position": 1, "reason": "LookupError: no such user"}
        ]
        (record,) = caplog.records
        assert (record.name, record.levelname) == ("feishu_ws.client", "ERROR")
        assert record.message == "handler.failed position=1 attempt=1 type=im.message.receive_v1"
        assert "Traceback" in record.exc_text
        assert "no such user" in record.exc_text

    @pytest.mark.parametrize("how", ["settle", "reject", "reply"])
    async def test_a_handler_may_say_it_by_itself(self, stage, how):
        """Then nothing else is said of the event."""

        async def handler(delivery):
            say = {
                "settle": delivery.settle,
                "reject": lambda: delivery.reject("busy", 30),
                "reply": lambda: delivery.reply({"a": 1}),
            }
            await say[how]()
            return toast("not this")

        await stage.start(handler)
        stage.press(1)
        await stage.daemon.wait_for(how)
        await stage.consumer.aclose()

        assert [method for method, _ in stage.daemon.calls] == ["hello", how]

    async def test_what_no_handler_names_is_settled(self, stage):
        """It would come again for ever."""
        await stage.start({"im.*": stage.handler})
        stage.say(1, kind="other.event")
        await stage.daemon.wait_for("settle")

        assert stage.began == []

    async def test_the_handlers_are_what_is_asked_for(self, stage):
        """Without `types` of its own a consumer wants what it can handle."""
        await stage.start({"im.*": stage.handler, CARD: stage.handler})

        assert stage.daemon.params("hello")[0]["types"] == ["im.*", CARD]

    async def test_types_of_its_own_are_kept(self, daemon):
        """They may be narrower than the handlers."""
        consumer = Consumer("bot", daemon.path, types=["im.message.*"])
        serving = asyncio.create_task(consumer.serve({"im.*": print}))
        (hello,) = await daemon.wait_for("hello")
        await consumer.aclose()
        await serving

        assert hello["types"] == ["im.message.*"]


class TestCallbacks:
    """Somebody waits."""

    async def test_what_the_handler_returns_is_the_answer(self, stage):
        """A reply settles too."""
        stage.results[1] = toast("好", kind="success")
        await stage.start()
        stage.press(1)
        await stage.daemon.wait_for("reply")
        await stage.consumer.aclose()

        assert stage.daemon.calls[1:] == [
            ("reply", {"position": 1, "data": {"toast": {"type": "success", "content": "好"}}})
        ]

    @pytest.mark.parametrize(
        ("result", "more"),
        [(None, {}), (toast("x"), {"reply_by": None, "late": True})],
        ids=["no answer", "late"],
    )
    async def test_without_an_answer_it_is_settled(self, stage, result, more):
        """So is one that nobody waits for any more, whatever was returned."""
        stage.results[1] = result
        await stage.start()
        stage.press(1, **more)
        await stage.daemon.wait_for("settle")

        assert stage.daemon.params("reply") == []

    async def test_it_does_not_wait_for_slow_handlers(self, stage):
        """Neither of events, however many wait, nor of other callbacks."""
        await stage.start()
        stage.hold(1, 31)
        for position in range(1, 31):
            stage.say(position)
        await eventually(lambda: stage.began)
        stage.results |= dict.fromkeys((32, 33), toast("quick"))
        for position in (31, 32, 33):
            stage.press(position)
        await stage.daemon.wait_for("reply", 2)

        assert stage.began[0] == 1
        assert set(stage.began[1:]) == {31, 32, 33}
        assert [params["position"] for params in stage.daemon.params("reply")] == [32, 33]

    async def test_too_late_is_told_and_no_failure(self, stage, caplog):
        """The daemon settled it all the same; it is not rejected."""
        stage.daemon.refuse["reply"] = LATE
        stage.results[1] = toast("x")
        await stage.start()
        stage.press(1)
        await stage.daemon.wait_for("reply")
        await stage.consumer.aclose()

        assert stage.daemon.params("reject") == []
        assert [(r.levelname, r.message) for r in caplog.records] == [
            ("WARNING", f"callback.late position=1 attempt=1 type={CARD}")
        ]

    @pytest.mark.parametrize(
        ("result", "reason"),
        [
            ("toast", "TypeError: the handler returned str, expected a mapping such as"),
            ({"card": object()}, "TypeError: Encoding objects of type object is unsupported"),
            ({"x": "y" * (8 << 20)}, "RpcError: reply of 8"),
        ],
        ids=["no mapping", "no JSON", "too long"],
    )
    async def test_what_cannot_be_an_answer_is_a_failure(self, stage, caplog, result, reason):
        """Logged and rejected like what the handler raises."""
        stage.results[1] = result
        await stage.start()
        stage.press(1)
        (rejected,) = await stage.daemon.wait_for("reject")

        assert rejected["reason"].startswith(reason)
        assert len(caplog.records) == 1

    async def test_only_so_many_are_handled_at_once(self, stage, monkeypatch):
        """The others wait for a place, not for ever."""
        monkeypatch.setattr(service, "CALLBACKS_AT_ONCE", 2)
        stage.hold(1, 2)
        await stage.start()
        for position in range(1, 7):
            stage.press(position)
        stage.say(7)
        await stage.daemon.wait_for("settle")
        before = sorted(stage.began)
        stage.gates[1].set()
        await eventually(lambda: len(stage.ended) == 6)

        assert before == [1, 2, 7]


class TestOrder:
    """One subject at a time."""

    async def test_one_after_another_by_default(self, stage):
        """In the order of their positions, whatever they are about."""
        gate = stage.hold(1)
        await stage.start()
        for position, subject in enumerate("abac", 1):
            stage.say(position, subject)
        await eventually(lambda: stage.began)
        await stage.consumer.call("ping")
        before = list(stage.began)
        gate.set()
        await stage.daemon.wait_for("settle", 4)

        assert (before, stage.began) == ([1], [1, 2, 3, 4])

    async def test_the_next_does_not_wait_for_the_disk(self, stage):
        """That one is settled is the daemon's business; what was said comes in order."""
        stage.daemon.silent.add("settle")
        await stage.start()
        for position in (1, 2, 3):
            stage.say(position)
        await stage.daemon.wait_for("settle", 3)

        assert stage.daemon._positions() == [1, 2, 3]

    async def test_no_handler_sees_what_another_one_set(self, stage):
        """Context variables are those of whoever serves."""
        seen = []

        async def handler(delivery):
            seen.append(COLOUR.get())
            COLOUR.set(f"of {delivery.position}")

        COLOUR.set("blue")
        await stage.start(handler)
        for position in (1, 2, 3):
            stage.say(position)
        await stage.daemon.wait_for("settle", 3)

        assert seen == ["blue"] * 3

    async def test_subjects_beside_one_another_and_each_in_order(self, stage):
        """As many as were asked for; a busy one holds up nobody else."""
        stage.hold(1, 3)
        await stage.start(concurrency=2)
        for position, subject in enumerate("aabbcc", 1):
            stage.say(position, subject)
        await eventually(lambda: len(stage.began) == 2)
        both = list(stage.began)
        stage.gates[3].set()
        await eventually(lambda: len(stage.ended) == 4)
        others = list(stage.ended)
        stage.gates[1].set()
        await stage.daemon.wait_for("settle", 6)

        assert (both, others, stage.ended) == ([1, 3], [3, 4, 5, 6], [3, 4, 5, 6, 1, 2])

    async def test_reading_ahead_is_bounded(self, stage, monkeypatch):
        """What waits for busy handlers is at most so many bytes, and one."""
        monkeypatch.setattr(service, "READ_AHEAD_BYTES", 1000)
        gate = stage.hold(1)
        await stage.start()
        for position in range(1, 41):
            stage.say(position)
        await eventually(lambda: stage.began)
        await stage.consumer.call("ping")
        lanes = stage.consumer._service._lanes
        waiting, size = lanes.waiting_bytes, lanes.waiting_bytes // len(lanes._waiting["oc_1"])
        gate.set()
        await stage.daemon.wait_for("settle", 40)

        assert 1000 < waiting <= 1000 + size
        assert stage.began == list(range(1, 41))


class TestAgain:
    """What comes again while it is in hand."""

    async def test_it_is_not_handled_twice_at_the_same_time(self, stage):
        """The handler that runs, or is about to, counts for it."""
        gate = stage.hold(1)
        await stage.start()
        stage.say(1)
        stage.say(2)
        await eventually(lambda: stage.began)
        stage.say(1, attempt=2)
        stage.say(2, attempt=2)
        await stage.consumer.call("ping")
        gate.set()
        await stage.daemon.wait_for("settle", 2)

        assert (stage.began, stage.daemon._positions()) == ([1, 2], [1, 2])

    async def test_after_a_loss_the_answer_goes_over_the_new_connection(self, stage):
        """A callback may still be answered, an event is still settled, and nothing is done twice."""
        stage.hold(1, 2)
        stage.results[2] = toast("still in time")
        await stage.start()
        stage.say(1)
        stage.press(2)
        await eventually(lambda: len(stage.began) == 2)
        stage.daemon.drop()
        await stage.daemon.wait_for("hello", 2)
        for gate in stage.gates.values():
            gate.set()  # before they come again
        await eventually(lambda: len(stage.ended) == 2)
        stage.say(1)
        stage.press(2)
        await stage.daemon.wait_for("settle")
        await stage.daemon.wait_for("reply")

        assert sorted(stage.began) == [1, 2]
        assert stage.daemon.params("reject") == []

    async def test_what_does_not_come_again_is_not_waited_for_long(self, stage, monkeypatch):
        """It may have been settled just before the loss; the handlers go on."""
        monkeypatch.setattr(service, "AGAIN_S", 0.05)
        gate = stage.hold(1)
        await stage.start()
        stage.say(1)
        await eventually(lambda: stage.began)
        stage.daemon.drop()
        await stage.daemon.wait_for("hello", 2)
        gate.set()
        stage.say(2)
        await stage.daemon.wait_for("settle")

        assert (stage.began, stage.daemon._positions()) == ([1, 2], [2])

    async def test_another_event_at_the_same_position_is_another_event(self, stage, monkeypatch):
        """The journal was replaced meanwhile: it is handled, too."""
        monkeypatch.setattr(service, "AGAIN_S", 0.05)
        gate = stage.hold(1)
        await stage.start()
        stage.say(1)
        await eventually(lambda: stage.began)
        stage.daemon.drop()
        await stage.daemon.wait_for("hello", 2)
        gate.set()
        stage.daemon.deliver(1, event=cloud_event(1, id="another"))
        await eventually(lambda: stage.ended == [1, 1], 10)

    async def test_a_reject_that_is_refused_is_told(self, stage, caplog):
        """The daemon took the event back meanwhile."""
        stage.daemon.refuse["reject"] = {"code": -32003, "message": "not delivered here"}
        stage.results[1] = LookupError("x")
        await stage.start()
        stage.say(1)
        stage.say(2)
        await eventually(lambda: len(caplog.records) == 2)

        assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
        assert "reject.refused position=1" in caplog.records[1].message


class TestAfterAReject:
    """What comes again because it was rejected, and when nothing is due any more."""

    @pytest.fixture
    def again(self, stage):
        """The daemon sends what is rejected again at once, and answers the reject then."""

        def come(params):
            position = params["position"]
            stage.results.pop(position, None)
            stage.say(position, attempt=2)

        stage.daemon.before["reject"] = come

    @pytest.mark.parametrize("how", ["says so", "raises"])
    async def test_it_is_handled_once_more(self, stage, again, how):
        """It may come ahead of the answer, while it is in hand still."""
        attempts = []

        async def handler(delivery):
            attempts.append(delivery.attempt)
            if delivery.attempt > 1:
                return
            if how == "raises":
                raise LookupError("not yet")
            await delivery.reject("not yet", retry_in_s=0)

        await stage.start(handler)
        stage.say(1)
        await stage.daemon.settled(1)

        assert (attempts, len(stage.daemon.params("reject"))) == ([1, 2], 1)

    def test_it_is_handled_once_more_on_a_thread(self, tmp_path):
        """The blocking variant does the same."""
        attempts = []

        def handler(delivery):
            attempts.append(delivery.attempt)
            if delivery.attempt == 1:
                delivery.reject("not yet", retry_in_s=0)

        async def main():
            async with FakeDaemon(tmp_path / "socket") as daemon:
                daemon.before["reject"] = lambda _: daemon.deliver(1, attempt=2)
                with blocking.Consumer("bot", daemon.path) as consumer:
                    serving = asyncio.create_task(asyncio.to_thread(consumer.serve, handler))
                    await daemon.wait_for("hello")
                    daemon.deliver(1)
                    await daemon.settled(1)
                    await asyncio.to_thread(consumer.close)
                    await serving

        asyncio.run(main())

        assert attempts == [1, 2]

    async def test_not_at_the_same_time(self, stage, again):
        """A handler that goes on after its reject is waited for."""
        seen = []
        gate = asyncio.Event()

        async def handler(delivery):
            seen.append(f"begins {delivery.attempt}")
            if delivery.attempt == 1:
                await delivery.reject("not yet", retry_in_s=0)
                await gate.wait()
            seen.append(f"ends {delivery.attempt}")

        await stage.start(handler, concurrency=2)
        stage.say(1)
        await stage.daemon.wait_for("reject")
        await stage.consumer.call("ping")
        before = list(seen)
        gate.set()
        await stage.daemon.settled(1)

        assert before == ["begins 1"]
        assert seen == ["begins 1", "ends 1", "begins 2", "ends 2"]

    async def test_a_callback_comes_once_more(self, stage):
        """One that may still be answered is handled at once."""
        stage.daemon.before["reject"] = lambda _: stage.press(1, attempt=2)

        async def handler(delivery):
            if delivery.attempt == 1:
                await delivery.reject("not yet", retry_in_s=0)
                return None
            return toast("now")

        await stage.start(handler)
        stage.press(1)
        [reply] = await stage.daemon.wait_for("reply")

        assert reply["position"] == 1

    async def test_a_reject_whose_answer_was_lost(self, stage):
        """A higher attempt says that it was taken: the next one is handled, not rejected, too."""
        stage.daemon.silent.add("reject")
        stage.results[1] = LookupError("x")
        await stage.start()
        stage.say(1)
        await stage.daemon.wait_for("reject")
        stage.daemon.drop()
        await stage.daemon.wait_for("hello", 2)
        stage.results.clear()
        stage.say(1, attempt=2)
        await stage.daemon.settled(1)

        assert (stage.began, len(stage.daemon.params("reject"))) == ([1, 1], 1)

    async def test_what_was_settled_and_is_replayed(self, stage):
        """A handler that settled by itself and goes on does not stand in for it."""
        gate = asyncio.Event()
        began = []

        async def handler(delivery):
            began.append(delivery.position)
            await delivery.settle()
            await gate.wait()

        await stage.start(handler)
        stage.say(1)
        await stage.daemon.settled(1)
        stage.say(1)
        await stage.consumer.call("ping")
        gate.set()
        await stage.daemon.settled(2)

        assert began == [1, 1]


class TestTheEnd:
    """Closing, cancelling, failing."""

    async def test_closing_lets_handlers_end_and_settles_them(self, stage):
        """Nothing new begins; serve returns, and the consumer is closed."""
        gate = stage.hold(1, 3)
        await stage.start()
        for position in (1, 2):
            stage.say(position)
        stage.press(3)
        await eventually(lambda: len(stage.began) == 2)
        closing = asyncio.create_task(stage.consumer.aclose())
        await stage.consumer.call("ping")
        assert not closing.done()
        gate.set()
        stage.gates[3].set()
        await asyncio.gather(closing, stage.serving)

        settled = stage.daemon._positions()
        assert (sorted(stage.began), sorted(settled)) == ([1, 3], [1, 3])
        with pytest.raises(Disconnected):
            await stage.consumer.call("ping")

    async def test_closing_does_not_wait_for_ever(self, stage, monkeypatch):
        """A handler that takes longer is cancelled, and its event comes again."""
        monkeypatch.setattr(service, "FINISH_S", 0.05)
        stage.hold(1)
        await stage.start()
        stage.say(1)
        await eventually(lambda: stage.began)
        await asyncio.wait_for(stage.consumer.aclose(), 2)
        await stage.serving

        assert (stage.ended, stage.daemon.params("settle")) == ([], [])

    async def test_closing_waits_for_no_daemon_that_is_gone(self, stage):
        """What could not be said comes again another time."""
        gate = stage.hold(1)
        await stage.start()
        stage.say(1)
        await eventually(lambda: stage.began)
        stage.daemon.refuse["hello"] = {"code": -32005, "message": "full"}
        stage.daemon.drop()
        gate.set()
        await stage.daemon.wait_for("hello", 2)
        began = asyncio.get_running_loop().time()
        await stage.consumer.aclose()

        assert asyncio.get_running_loop().time() - began < service.AGAIN_S / 2

    async def test_a_handler_may_close_its_consumer(self, stage):
        """Its event is settled before serve returns: it would close the next one, too."""

        async def handler(delivery):
            del delivery
            await stage.consumer.aclose()

        await stage.start(handler)
        stage.say(1)
        await asyncio.wait_for(stage.serving, 2)

        assert stage.daemon._positions() == [1]

    async def test_cancelling_cancels_the_handlers(self, stage):
        """At once; none takes their place, and nothing is said of their events."""
        stage.hold(1, 2)
        await stage.start()
        stage.say(1)
        stage.say(2)
        await stage.consumer.call("ping")
        await eventually(lambda: stage.began)
        stage.serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stage.serving
        await asyncio.sleep(0)

        left = {task.get_name() for task in asyncio.all_tasks()}
        assert stage.began == [1]
        assert [method for method, _ in stage.daemon.calls] == ["hello", "ping"]
        assert not any(name.startswith("feishu-ws") for name in left)

    async def test_a_successor_ends_it(self, stage):
        """Another process has the name: handlers are cancelled, their events are its."""
        stage.hold(1)
        await stage.start()
        stage.say(1)
        await eventually(lambda: stage.began)
        stage.daemon.bye("superseded")

        with pytest.raises(Superseded):
            await asyncio.wait_for(stage.serving, 2)
        assert stage.ended == []

    async def test_a_refusal_ends_it(self, tmp_path):
        """One that another try would meet again."""
        async with FakeDaemon(tmp_path / "x.sock") as daemon:
            daemon.refuse["hello"] = {"code": -32602, "message": "no such start"}
            with pytest.raises(RpcError, match="no such start"):
                await Consumer("bot", daemon.path, start="odd").serve(print)

    async def test_it_is_not_served_twice(self, stage):
        """Nor by nobody at once."""
        await stage.start()
        with pytest.raises(ValueError, match="a second time"):
            await stage.consumer.serve(stage.handler)
        with pytest.raises(ValueError, match="concurrency 0"):
            await Consumer("x", stage.daemon.path).serve(print, concurrency=0)

    async def test_serving_a_closed_consumer_returns(self, stage):
        """There is nothing to wait for."""
        await stage.consumer.aclose()
        await asyncio.wait_for(stage.consumer.serve(stage.handler), 2)

    async def test_a_function_on_a_thread_is_left_to_itself(self, stage):
        """It cannot be cancelled; serve does not wait for it once it is."""
        release, began = threading.Event(), threading.Event()

        def handler(_):
            began.set()
            release.wait(5)

        await stage.start(handler)
        stage.say(1)
        await eventually(began.is_set)
        stage.serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(stage.serving, 2)
        release.set()

        assert stage.daemon.params("settle") == []


def test_the_logger_is_the_librarys():
    """Programs that want silence know its name."""
    assert service.LOG is logging.getLogger("feishu_ws.client")
