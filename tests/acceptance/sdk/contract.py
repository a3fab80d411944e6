"""What both official SDKs do on the simulated Feishu, and where they differ.

`test_sdk_python.py` and `test_sdk_node.py` subclass this. The differences are the tables
below: each row is met by both, and a row that no longer holds fails.
"""

import asyncio
import hashlib
import json
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from acceptance.sdk.peer import HONEST, ODD, QUICK_CONFIG, Peer, simulator

from feishu_ws.simulator import corpus, mishaps
from feishu_ws.simulator.enact import begin
from feishu_ws.simulator.link import Link
from feishu_ws.simulator.stats import Flaw
from feishu_ws.simulator.transmission import Split

TOAST = {"toast": {"type": "success", "content": "同意"}}
PREVIEW = {"inline": {"title": "Ticket"}}
PATIENCE_S = 10.0  # for an answer, on a busy machine
SILENCE_S = 1.0  # after which nothing more is expected
PLAIN = 1518  # bytes of an ordinary event

PYTHON, NODE = 0, 1

ODD_ANSWERS = {
    #                    Python 1.7.5   Node 1.74.0
    "odd.not_json":      (500,          None),
    "odd.empty":         (500,          None),
    "odd.not_utf8":      (None,         200),
    "odd.array":         (500,          200),
    "odd.deep":          (500,          200),
    "odd.no_envelope":   (500,          200),
    "odd.no_header":     (500,          200),
    "odd.unknown_type":  (500,          200),  # Node sends `"no … event handle"` as data
    "odd.no_event_id":   (500,          200),
    "odd.pretty":        (500,          200),
    "odd.huge_number":   (500,          200),
}  # fmt: skip
"""Code of the answer to what no handler is registered for; None: no answer at all."""

REFUSALS = [
    #                                                          Python          Node
    (mishaps.RefuseDiscovery(code=1),                          "tries again",  "gives up"),
    (mishaps.RefuseDiscovery(code=1000040343),                 "tries again",  "tries again"),
    (mishaps.RefuseDiscovery(code=1000040345),                 "gives up",     "gives up"),
    (mishaps.RefuseDiscovery(code=1000040346),                 "gives up",     "gives up"),
    (mishaps.RefuseDiscovery(code=1000040350),                 "gives up",     "gives up"),
    (mishaps.RefuseDiscovery(code=1000040351),                 "gives up",     "gives up"),
    (mishaps.RefuseDiscovery(code=403),                        "gives up",     "gives up"),
    (mishaps.RefuseDiscovery(code=514),                        "gives up",     "gives up"),
    (mishaps.RefuseDiscovery(status=503),                      "tries again",  "tries again"),
    (mishaps.RefuseDiscovery(status=429),                      "tries again",  "tries again"),
    (mishaps.GarbleDiscovery(shape="not_json"),                "tries again",  "tries again"),
    (mishaps.GarbleDiscovery(shape="null_data"),               "tries again",  "tries again"),
    (mishaps.GarbleDiscovery(shape="empty_url"),               "tries again",  "tries again"),
    (mishaps.DropDiscovery(),                                  "tries again",  "tries again"),
    (mishaps.RefuseHandshake(code=1000040350),                 "gives up",     "tries again"),
    (mishaps.RefuseHandshake(handshake_status=403),            "gives up",     "tries again"),
    (mishaps.RefuseHandshake(code=7),                          "tries again",  "tries again"),
    (mishaps.RefuseHandshake(),                                "tries again",  "tries again"),
    (mishaps.RefuseHandshake(handshake_status=0, status=502),  "tries again",  "tries again"),
]  # fmt: skip
"""What they do about a refusal. Who gives up stays away for ever, also if it heals."""

EMPTY_PARTS = ("never whole", "whole")
"""The Python SDK takes a part without payload for one that is missing."""

PARTS_AFTER_THE_LAST = ("handled again", "ignored")
"""The Python SDK keeps what is complete, so that a part that comes twice completes it anew."""

TOLERATED = ({Flaw.BIZ_RT, Flaw.REPEATED, Flaw.SEQ_ID, Flaw.HEADERS}, {Flaw.BIZ_RT})
"""Rules they break: a 500 of the Python SDK lacks biz_rt, its second answers are of another
part; the Node SDK's biz_rt is negative."""

PINGS_AFTER_AN_EMPTY_CONFIG = ("none", "hundreds a second")
"""What is left of the ping loop once a pong carried `{}`."""

LOSSES = {
    "close_1001": lambda link: link.close(1001, "going away"),
    "close_1000": Link.close,
    "reset": Link.reset,
    "hang_up": Link.hang_up,
}


def content_digest(payload):
    """Return what a handler says of a message: its content's SHA-256."""
    return hashlib.sha256(json.loads(payload)["event"]["message"]["content"].encode()).hexdigest()


@asynccontextmanager
async def connected(words, env=None):
    """An SDK that is connected to a simulated Feishu of its own."""
    async with simulator() as feishu, Peer(feishu, *words, env=env) as peer:
        await peer.start()
        await peer.live()
        yield peer


@asynccontextmanager
async def enacted(mishap, feishu):
    """A mishap while it lasts."""
    end = await begin(mishap, feishu)
    try:
        yield
    finally:
        end()


async def code_of(delivery, timeout_s=PATIENCE_S):
    """Return the code of the first answer, None if there is none."""
    try:
        return (await delivery.confirmed(timeout_s))[0]
    except TimeoutError:
        return None


class SdkContract:
    """Tests for one SDK: `which` is its column in the tables, `version` the one they are of.

    Subclasses have the fixtures `words` and `env` (how to run it) and `peer` (connected,
    the same one for all tests).
    """

    which: int
    version: str

    @pytest.fixture
    def feishu(self, peer):
        return peer.feishu

    @pytest.fixture
    def origin(self, feishu):
        return feishu.new_origin()

    async def test_it_is_the_official_sdk_and_pings(self, peer):
        """It says its version, opened one link, and pings on the server's interval."""
        (link,) = peer.feishu.links
        pings = link.pings
        await peer.feishu.wait_until(lambda: link.pings >= pings + 2, PATIENCE_S)
        assert peer.version == self.version
        assert not peer.feishu.stats.bad_frames

    # -- events ---------------------------------------------------------------------------

    async def test_every_honest_sample_is_confirmed(self, peer, feishu, origin):
        """Each event type of the corpus is handled once and confirmed with 200."""
        before = feishu.stats.confirmed
        for serial, name in enumerate(HONEST):
            delivery = feishu.push(corpus.sample(name, serial, origin))
            assert (name, await code_of(delivery), delivery.attempts) == (name, 200, 1)
            assert (name, len(await peer.handled(origin.event_id(serial)))) == (name, 1)
        assert feishu.stats.confirmed == before + len(HONEST)
        assert set(feishu.stats.bad_ack_flaws) <= TOLERATED[self.which]

    async def test_odd_payloads_are_answered_as_the_table_says(self, feishu, origin):
        """What nothing is registered for, or what cannot be read, gets the code in the table."""
        assert set(ODD_ANSWERS) == ODD
        sent = {
            name: feishu.push(corpus.sample(name, n, origin), redeliver=False)
            for n, name in enumerate(sorted(ODD))
        }
        await asyncio.gather(*(code_of(delivery) for delivery in sent.values()))
        codes = {name: delivery.code or None for name, delivery in sent.items()}
        assert codes == {name: row[self.which] for name, row in ODD_ANSWERS.items()}

    async def test_unknown_types_are_refused_or_answered_with_an_excuse(self, feishu, origin):
        """The Python SDK's 500 has no data, the Node SDK's 200 a sentence that nobody reads."""
        delivery = feishu.push(corpus.sample("odd.unknown_type", 7, origin), redeliver=False)
        _, data = await delivery.confirmed(PATIENCE_S)
        assert data == (None, b'"no nobody.knows.this_v9 event handle"')[self.which]

    @pytest.mark.parametrize("kind", ["event", "card"])
    @pytest.mark.parametrize(
        ("name", "reply"), [("card.action.trigger", TOAST), ("url.preview.get", PREVIEW)]
    )
    async def test_callbacks_get_the_reply_only_as_events(self, feishu, origin, kind, name, reply):
        """In a frame of type `event` the handler's reply comes back; as `card`, nothing does."""
        delivery = feishu.push(corpus.sample(name, 1, origin), kind=kind)
        if kind == "card":
            assert await code_of(delivery) is None
            assert delivery.given_up  # never sent again
        else:
            code, data = await delivery.confirmed(PATIENCE_S)
            assert (code, json.loads(data)) == (200, reply)

    # -- parts ----------------------------------------------------------------------------

    @pytest.mark.parametrize("parts", [2, 5, 64])
    @pytest.mark.parametrize("shuffle", [False, True])
    async def test_split_events_arrive_whole_and_once(self, peer, feishu, origin, parts, shuffle):
        """Parts in any order make one event, confirmed by the answer to the last of them."""
        for serial in range(5):
            payload = corpus.text_message(serial, size=PLAIN * parts, origin=origin)
            delivery = feishu.push(payload, split=Split(parts, shuffle=shuffle))
            assert await code_of(delivery) == 200
            (handled,) = await peer.handled(origin.event_id(serial))
            assert handled["digest"] == content_digest(payload)
            assert delivery.attempts == 1

    async def test_doubled_parts_do_no_harm_before_the_last(self, peer, feishu, origin):
        """Each event arrives whole; the table says what a part after the last one does."""
        again = 0
        for serial in range(20):
            payload = corpus.text_message(serial, size=PLAIN, origin=origin)
            split = Split(3, shuffle=True, duplicates=1)
            delivery = feishu.push(payload, split=split)
            assert await code_of(delivery) == 200
            await code_of(feishu.push(corpus.text_message(100 + serial, origin=origin)))
            await peer.handled(origin.event_id(100 + serial))  # and all before it
            handled = await peer.handled(origin.event_id(serial))
            assert {line["digest"] for line in handled} == {content_digest(payload)}
            answers = [b for b in feishu.stats.bad_acks if b.message_id in delivery.message_ids]
            repeated = sum(Flaw.REPEATED in bad.flaws for bad in answers)
            assert len(handled) == 1 + repeated
            again += repeated
        assert ("handled again" if again else "ignored") == PARTS_AFTER_THE_LAST[self.which]

    async def test_what_lacks_a_part_comes_with_the_repeat(self, peer, feishu, origin):
        """Nothing is answered until Feishu sends all of it again."""
        payload = corpus.text_message(1, size=PLAIN, origin=origin)
        delivery = feishu.push(payload, split=Split(5, drop=1))
        assert await code_of(delivery) == 200
        (handled,) = await peer.handled(origin.event_id(1))
        assert (handled["digest"], delivery.attempts) == (content_digest(payload), 2)

    async def test_empty_parts_count_or_not(self, feishu, origin):
        """An event with an empty part becomes whole, or never does, as the table says."""
        payload = corpus.text_message(1, size=PLAIN, origin=origin)
        delivery = feishu.push(payload, split=Split(5, empty=1), redeliver=False)
        whole = await code_of(delivery) == 200
        assert ("whole" if whole else "never whole") == EMPTY_PARTS[self.which]

    async def test_parts_out_of_range_spoil_at_most_their_own_event(self, peer, feishu, origin):
        """The link goes on, and the next event is confirmed."""
        (link,) = feishu.links
        for serial in range(5):
            payload = corpus.text_message(serial, size=PLAIN, origin=origin)
            feishu.push(payload, split=Split(5, out_of_range=2), redeliver=False)
        assert await code_of(feishu.push(corpus.text_message(9, origin=origin))) == 200
        assert feishu.links == [link]
        assert len(await peer.handled(origin.event_id(9))) == 1

    # -- what is sent again ---------------------------------------------------------------

    async def test_a_failing_handler_brings_the_event_again(self, peer, feishu, origin):
        """Its 500 is counted, and the repeat is the same event under a new message_id."""
        refused = feishu.stats.refused
        delivery = feishu.push(corpus.text_message(1, "fail once", origin=origin))
        await feishu.wait_until(lambda: delivery.is_confirmed, PATIENCE_S)
        assert (delivery.code, delivery.attempts) == (500, 2)
        assert len(set(delivery.message_ids)) == 2
        assert len(await peer.handled(origin.event_id(1), 2)) == 2
        assert feishu.stats.refused == refused + 1

    async def test_repeats_come_on_feishus_schedule(self, peer, feishu, origin):
        """15 s, 5 min, 1 h and 6 h on the compressed clock, then the event is given up."""
        given_up = feishu.stats.given_up
        delivery = feishu.push(corpus.text_message(1, "fail always", origin=origin))
        await feishu.wait_until(lambda: delivery.is_finished, 30)
        times = [line["at_s"] for line in await peer.handled(origin.event_id(1), 5)]
        waits = [later - earlier for earlier, later in pairwise(times)]
        assert (delivery.attempts, delivery.given_up) == (5, True)
        assert feishu.stats.given_up > given_up
        assert waits[2] >= 3600 / feishu.settings.time_scale * 0.95
        assert waits[3] >= 21600 / feishu.settings.time_scale * 0.95
        assert 2 < waits[3] / waits[2] < 12  # 6 on a quiet machine

    # -- links end ------------------------------------------------------------------------

    @pytest.mark.parametrize("loss", LOSSES)
    async def test_it_reconnects_after_a_loss(self, peer, feishu, origin, loss):
        """A new link opens, and an event that came while there was none arrives on it."""
        (link,) = feishu.links
        opened, since = feishu.stats.links_opened, len(peer.said)
        LOSSES[loss](link)
        delivery = feishu.push(corpus.text_message(1, origin=origin))  # nobody is there
        await peer.hears("reconnected", since)
        assert await code_of(delivery) == 200
        assert delivery.attempts > 1
        await peer.live()
        assert feishu.stats.links_opened == opened + 1

    async def test_it_waits_out_refusals_that_heal(self, peer, feishu, origin):
        """Where the table says so it asks again until it is let in."""
        for refusal in self.refusals("tries again"):
            since, discoveries = len(peer.said), feishu.stats.discoveries
            async with enacted(refusal, feishu):
                (await peer.live()).reset()
                await feishu.wait_until(
                    lambda asked=discoveries: feishu.stats.discoveries >= asked + 2, PATIENCE_S
                )
                assert not feishu.links, refusal
            await peer.hears("reconnected", since)
        await peer.live()
        assert await code_of(feishu.push(corpus.text_message(1, origin=origin))) == 200

    async def test_it_gives_up_where_the_table_says_so(self, words, env):
        """A client that starts into such a refusal says why and asks no second time."""
        async with simulator() as feishu, Peer(feishu, *words, env=env) as peer:
            for refusal in self.refusals("gives up"):
                since, discoveries = len(peer.said), feishu.stats.discoveries
                async with enacted(refusal, feishu):
                    await peer.start()
                    told = await peer.hears("gave_up", since)
                    await asyncio.sleep(QUICK_CONFIG["ReconnectInterval"] * 2)
                code = getattr(refusal, "handshake_status", refusal.code)
                assert str(code) in told["error"]
                assert feishu.stats.discoveries == discoveries + 1, refusal

    def refusals(self, outcome):
        """Return the refusals that this SDK meets with that outcome."""
        return [row[0] for row in REFUSALS if row[1 + self.which] == outcome]

    async def test_an_empty_config_ruins_its_pings(self, words, env):
        """After a pong with `{}` the ping loop stops, or runs wild, as the table says."""
        async with connected(words, env) as peer:
            (link,) = peer.feishu.links
            peer.feishu.pong_config = {}
            peer.feishu.send_pongs()
            await asyncio.sleep(SILENCE_S * 2)  # the ping that is due comes yet
            pings = link.pings
            await asyncio.sleep(SILENCE_S * 2)
            rate = (link.pings - pings) / (SILENCE_S * 2)
            assert ("hundreds a second" if rate > 50 else "none" if not rate else "some") == (
                PINGS_AFTER_AN_EMPTY_CONFIG[self.which]
            )
