"""Discovery and the handshake, over real sockets."""

import asyncio
import time
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
import websockets
from simulator.rawclient import connect, discover, endpoint, linked

from feishu_ws.simulator.door import KEPT_TICKETS, Door, Scripted
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import CLIENT_CONFIG, SimulatorSettings


@pytest.fixture
async def feishu():
    async with Simulator(SimulatorSettings(seed=1)) as simulator:
        yield simulator


async def refusal(url: str) -> tuple[int, dict[str, str]]:
    """Status and headers of a handshake that has to fail."""
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with connect(url):
            pass
    response = caught.value.response
    return response.status_code, {k.lower(): v for k, v in response.headers.raw_items()}


async def test_discovery_names_a_websocket_and_its_config(feishu):
    """The right credentials get a URL on the same port and all four config keys."""
    status, body, _ = await discover(feishu)
    assert (status, body["code"]) == (200, 0)
    assert body["data"]["ClientConfig"] == CLIENT_CONFIG
    url = urlsplit(body["data"]["URL"])
    assert (url.scheme, url.port, url.path) == ("ws", feishu.port, "/ws/v2")
    query = parse_qsl(url.query)
    assert {"device_id", "service_id", "access_key", "ticket"} <= {key for key, _ in query}
    assert query[0][0] not in {"device_id", "service_id"}
    assert feishu.stats.discoveries == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"AppID": "cli_other"}, 1000040346), ({"AppSecret": "wrong"}, 1000040345)],
)
async def test_wrong_credentials_are_refused_as_feishu_does(feishu, changes, code):
    """HTTP 200 with Feishu's code and an empty URL."""
    status, body, _ = await discover(feishu, **changes)
    assert (status, body["code"], body["data"]) == (200, code, {"URL": ""})


async def test_discovery_without_json_is_a_bad_request(feishu):
    """A body that is not JSON gets 400."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(feishu.domain + "/callback/ws/endpoint", data=b"x") as answer,
    ):
        assert answer.status == 400


async def test_the_config_can_be_left_out():
    """With client_config None discovery names none."""
    async with Simulator(SimulatorSettings(client_config=None)) as feishu:
        _, body, _ = await discover(feishu)
        assert "ClientConfig" not in body["data"]


async def test_scripted_codes_last_so_many_times(feishu):
    """A refusal holds for the given number of answers, then all is well again."""
    feishu.refuse_discovery(1, times=2)
    codes = [(await discover(feishu))[1]["code"] for _ in range(3)]
    assert codes == [1, 1, 0]


async def test_scripted_statuses_last_until_accepted(feishu):
    """An HTTP error holds until discovery is accepted again."""
    feishu.refuse_discovery(http_status=503)
    assert [(await discover(feishu))[0] for _ in range(2)] == [503, 503]
    feishu.accept_discovery()
    assert (await discover(feishu))[0] == 200


async def test_any_bytes_can_be_the_answer(feishu):
    """Discovery can be answered with what is no JSON, and with headers of choice."""
    feishu.answer_discovery(b"<html>", headers={"x-ogw-ratelimit-reset": "7"}, http_status=429)
    status, body, headers = await discover(feishu)
    assert (status, body["text"], headers["x-ogw-ratelimit-reset"]) == (429, "<html>", "7")


async def test_discovery_can_hang(feishu):
    """A hanging discovery answers late, once, and does not hold up the end of the simulator."""
    feishu.hang_discovery(0.2, times=1)
    began = time.monotonic()
    assert (await discover(feishu))[1]["code"] == 0
    assert time.monotonic() - began >= 0.19
    feishu.hang_discovery(3600)
    hanging = asyncio.create_task(discover(feishu))
    while feishu.stats.discoveries < 2:
        await asyncio.sleep(0.01)
    began = time.monotonic()
    await feishu.stop()
    assert time.monotonic() - began < 5
    with pytest.raises(aiohttp.ClientError):
        await hanging


async def test_a_shape_garbles_what_would_be_good(feishu):
    """An answer can be made useless; refusals stay refusals."""
    feishu.door.shape.set("empty_url", times=2)
    assert (await discover(feishu))[1]["data"]["URL"] == ""
    assert (await discover(feishu, AppSecret="x"))[1]["code"] == 1000040345
    assert (await discover(feishu))[1]["data"]["URL"] == ""
    assert (await discover(feishu))[1]["data"]["URL"].startswith("ws://")


async def test_accepting_discovery_ends_every_script(feishu):
    """Whatever was scripted for it, discovery then answers as usual and at once."""
    feishu.refuse_discovery(1)
    feishu.hang_discovery(60)
    feishu.door.drip_s.set(60)
    feishu.door.drop.set(True)
    feishu.door.shape.set("array")
    feishu.accept_discovery()
    assert (await asyncio.wait_for(discover(feishu), 2))[1]["code"] == 0


async def test_the_date_can_be_off(feishu):
    """The Date header follows the simulator's clock and a chosen offset."""
    feishu.door.date_offset_s = 3600.0
    _, _, headers = await discover(feishu)
    off_s = parsedate_to_datetime(headers["Date"]).timestamp() - time.time()
    assert 3590 < off_s < 3610


async def test_a_ticket_opens_one_link(feishu):
    """The second handshake with the same URL is refused as 514 without connection limit."""
    url = await endpoint(feishu)
    async with connect(url):
        status, headers = await refusal(url)
    assert status == 403
    assert headers["handshake-status"] == "514"
    assert "handshake-autherrcode" not in headers
    assert feishu.stats.links_refused == 1


@pytest.mark.parametrize("key", ["ticket", "device_id", "access_key", "service_id"])
async def test_every_credential_of_the_url_is_checked(feishu, key):
    """A changed query parameter is refused."""
    url = await endpoint(feishu)
    values = dict(parse_qsl(urlsplit(url).query))
    _, headers = await refusal(url.replace(f"{key}={values[key]}", f"{key}=7"))
    assert headers["handshake-status"] == "514"


async def test_connections_are_limited():
    """One link more than allowed is refused with 1000040350; a closed one makes room."""
    async with Simulator(SimulatorSettings(max_connections=1)) as feishu:
        async with linked(feishu):
            _, headers = await refusal(await endpoint(feishu))
            assert headers["handshake-status"] == "514"
            assert headers["handshake-autherrcode"] == "1000040350"
        await feishu.wait_until(lambda: not feishu.links)
        async with linked(feishu):
            assert len(feishu.links) == 1


async def test_handshakes_can_be_refused_at_will(feishu):
    """A scripted refusal has the given status and headers, and uses up no ticket."""
    url = await endpoint(feishu)
    feishu.refuse_handshake(200, {"Handshake-Status": "403", "Handshake-Msg": "no"}, times=1)
    status, headers = await refusal(url)
    assert (status, headers["handshake-status"]) == (200, "403")
    async with connect(url):
        assert len(feishu.links) == 1
    feishu.refuse_handshake()
    assert (await refusal(await endpoint(feishu)))[0] == 403
    feishu.door.handshake_hang_s.set(60)
    feishu.accept_handshake()
    async with asyncio.timeout(5), linked(feishu):
        pass


async def test_unused_tickets_are_bounded(feishu):
    """However often a client asks, only the latest tickets are kept."""
    door: Door = feishu.door
    for _ in range(KEPT_TICKETS + 5):
        door._endpoint("127.0.0.1:1")
    assert len(door._tickets) == KEPT_TICKETS


def test_a_script_can_be_cleared():
    """What is scripted is done until its times are over or it is cleared."""
    script: Scripted[str] = Scripted()
    assert script.take() is None
    script.set("a", 1)
    assert [script.take(), script.take()] == ["a", None]
    script.set("b")
    assert [script.take(), script.take()] == ["b", "b"]
    script.clear()
    assert script.take() is None
