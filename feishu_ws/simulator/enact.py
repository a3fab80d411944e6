"""Doing what a mishap says to a running simulator; one function per kind.

Lasting mishaps of one kind share what they change: the latest wins, and the first that
ends, ends them all.
"""

from collections.abc import Awaitable, Callable
from functools import singledispatch
from itertools import islice

from feishu_ws.simulator import mishaps
from feishu_ws.simulator.corpus import text_message
from feishu_ws.simulator.door import Refusal, refuse_body
from feishu_ws.simulator.hostile import FAMILIES, hostile_frames
from feishu_ws.simulator.link import Link
from feishu_ws.simulator.mishaps import Mishap
from feishu_ws.simulator.octets import VIOLATIONS
from feishu_ws.simulator.reception import ordinary_pong
from feishu_ws.simulator.server import Simulator

End = Callable[[], Awaitable[None] | None]
"""Ends a mishap that lasts."""


@singledispatch
async def begin(mishap: Mishap, feishu: Simulator) -> End | None:
    """Do it; return how it ends, None if it is over already."""
    raise TypeError(f"{type(mishap).__name__} cannot be enacted on {feishu.domain}")


def befallen(feishu: Simulator, which: mishaps.Links) -> list[Link]:
    """Return the links it befalls, which may be none."""
    links = feishu.links
    return links if which == "all" or not links else [feishu.rng.choice(links)]


# -- links end ------------------------------------------------------------------------------


@begin.register
async def _reset(mishap: mishaps.Reset, feishu: Simulator) -> None:
    for link in befallen(feishu, mishap.links):
        link.reset()


@begin.register
async def _hang_up(mishap: mishaps.HangUp, feishu: Simulator) -> None:
    for link in befallen(feishu, mishap.links):
        link.hang_up()


@begin.register
async def _close(mishap: mishaps.Close, feishu: Simulator) -> None:
    for link in befallen(feishu, mishap.links):
        link.close(mishap.code, mishap.reason)


@begin.register
async def _silent(mishap: mishaps.Silent, feishu: Simulator) -> None:
    for link in befallen(feishu, mishap.links):
        link.go_silent(notices_close=mishap.notices_close)


@begin.register
async def _violate(mishap: mishaps.Violate, feishu: Simulator) -> None:
    for link in befallen(feishu, mishap.links):
        link.violate(VIOLATIONS[mishap.octets])


# -- links say odd things -------------------------------------------------------------------


@begin.register
async def _mute(mishap: mishaps.Mute, feishu: Simulator) -> End:
    links = befallen(feishu, mishap.links)

    def answer(*, answers: bool) -> None:
        for link in links:
            if mishap.pings != "websocket":
                link.answers_pings = answers
            if mishap.pings != "feishu":
                link.answers_ws_pings = answers

    answer(answers=False)
    return lambda: answer(answers=True)


@begin.register
async def _pong(mishap: mishaps.Pong, feishu: Simulator) -> End:
    if mishap.left_out:
        feishu.pong_config = None
    else:
        feishu.pong_config = mishap.payload.encode() if mishap.config is None else mishap.config
    if mishap.unasked:
        feishu.send_pongs()

    def end() -> None:
        feishu.pong_config = ordinary_pong(feishu.settings)

    return end


@begin.register
async def _hostile(mishap: mishaps.Hostile, feishu: Simulator) -> None:
    frames = hostile_frames(feishu.rng, mishap.families or tuple(FAMILIES))
    for link in befallen(feishu, mishap.links):
        for frame in islice(frames, mishap.frames):
            link.send_raw(frame)


@begin.register
async def _large_event(mishap: mishaps.LargeEvent, feishu: Simulator) -> None:
    origin = feishu.new_origin()
    feishu.push(text_message(1, size=mishap.size_bytes, origin=origin), parts=mishap.parts)


@begin.register
async def _lose_acks(mishap: mishaps.LoseAcks, feishu: Simulator) -> End:
    feishu.lost_ack_share = mishap.share

    def end() -> None:
        feishu.lost_ack_share = 0.0

    return end


# -- the door -------------------------------------------------------------------------------


@begin.register
async def _refuse_discovery(mishap: mishaps.RefuseDiscovery, feishu: Simulator) -> End:
    body = refuse_body(mishap.code, mishap.message) if mishap.code else mishap.message.encode()
    feishu.answer_discovery(body, http_status=mishap.status, headers=mishap.headers)
    return feishu.door.answer.clear


@begin.register
async def _garble_discovery(mishap: mishaps.GarbleDiscovery, feishu: Simulator) -> End:
    if mishap.body is not None:
        feishu.answer_discovery(mishap.body.encode())
        return feishu.door.answer.clear
    feishu.door.shape.set(mishap.shape)
    return feishu.door.shape.clear


@begin.register
async def _hang_discovery(mishap: mishaps.HangDiscovery, feishu: Simulator) -> End:
    script = feishu.door.drip_s if mishap.drip else feishu.door.hang_s
    script.set(mishap.delay_s)
    return script.clear


@begin.register
async def _drop_discovery(_: mishaps.DropDiscovery, feishu: Simulator) -> End:
    feishu.door.drop.set(True)
    return feishu.door.drop.clear


@begin.register
async def _refuse_handshake(mishap: mishaps.RefuseHandshake, feishu: Simulator) -> End:
    feishu.door.refusal.set(Refusal(mishap.status, headers=handshake_headers(mishap)))
    return feishu.door.refusal.clear


def handshake_headers(mishap: mishaps.RefuseHandshake) -> dict[str, str]:
    """Return the headers of a refused handshake."""
    headers: dict[str, str] = {}
    if mishap.handshake_status:
        headers["Handshake-Status"] = str(mishap.handshake_status)
        headers["Handshake-Msg"] = mishap.reason
        if mishap.code:
            headers["Handshake-Autherrcode"] = str(mishap.code)
    return headers | mishap.headers


@begin.register
async def _hang_handshake(mishap: mishaps.HangHandshake, feishu: Simulator) -> End:
    feishu.door.handshake_hang_s.set(mishap.delay_s)
    return feishu.door.handshake_hang_s.clear


@begin.register
async def _limit(mishap: mishaps.Limit, feishu: Simulator) -> End:
    feishu.door.max_connections = mishap.connections

    def end() -> None:
        feishu.door.max_connections = feishu.settings.max_connections

    return end


# -- Feishu as a whole ----------------------------------------------------------------------


@begin.register
async def _outage(_: mishaps.Outage, feishu: Simulator) -> End:
    await feishu.stop_listening()
    for link in feishu.links:
        link.reset()
    return feishu.start_listening


@begin.register
async def _skew_date(mishap: mishaps.SkewDate, feishu: Simulator) -> End:
    feishu.door.date_offset_s = mishap.offset_s

    def end() -> None:
        feishu.door.date_offset_s = 0.0

    return end
