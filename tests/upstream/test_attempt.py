"""Where an attempt is and how long it took there."""

from feishu_ws.clock import ManualClock
from feishu_ws.upstream.attempt import Attempt, Phase
from feishu_ws.wire.endpoint import Endpoint


def test_phases():
    """Each phase has its time; a proxy's counts as tcp."""
    clock, told = ManualClock(), []
    attempt = Attempt(0, clock, told.append)
    assert not attempt.is_answered
    clock.advance(1)
    endpoint = Endpoint("wss://x/")
    attempt.discovered(endpoint)
    for phase, seconds in [(Phase.DNS, 2), (Phase.PROXY, 3), (Phase.TLS, 4), (Phase.HANDSHAKE, 5)]:
        attempt.enter(phase)
        clock.advance(seconds)
    attempt.close()
    assert attempt.phases_s == {"discovery": 1, "dns": 2, "tcp": 3, "tls": 4, "handshake": 5}
    assert (told, attempt.is_answered, attempt.phase) == ([endpoint], True, Phase.HANDSHAKE)
