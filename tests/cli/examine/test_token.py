"""Whether Feishu gives a token for app id and secret."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.cli.examine.passage import Passage
from feishu_ws.cli.examine.token import MAX_BODY, Opinion, ask, read_opinion
from feishu_ws.secret import Secret
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.settings import Credentials
from feishu_ws.upstream.trust import Trust


@pytest.mark.parametrize(
    ("body", "opinion"),
    [
        (b'{"code":0,"tenant_access_token":"t-x"}', Opinion(is_known=True, code=0)),
        (b'{"code":10014,"msg":"app secret invalid"}', Opinion(is_known=False, code=10014)),
        (b'{"code":10003}', Opinion(is_known=False, code=10003)),
        (b'{"code":99991400}', None),
        (b'{"code":true}', None),
        (b"[]", None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_what_an_answer_means(body, opinion):
    """Only what is said of app id and secret counts."""
    assert read_opinion(body) == opinion


@given(st.binary(max_size=100))
def test_any_answer_is_read(body):
    """Whoever answers may write what it likes."""
    assert read_opinion(body) is None


async def exchange(answer):
    """Ask somebody who answers with these bytes; return the opinion and what was asked."""
    asked = bytearray()

    async def serve(reader, writer):
        asked.extend(await reader.readuntil(b"}"))
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        domain = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        passage = Passage("", Resolver(), Trust())
        opinion = await ask(passage, Credentials("cli_a", Secret("s3cret"), domain))
    return opinion, bytes(asked)


async def test_it_is_asked_with_the_credentials():
    """A plain request, answered in chunks or not."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    opinion, asked = await exchange(head + b'a\r\n{"code":0}\r\n0\r\n\r\n')

    line, _, rest = asked.partition(b"\r\n")
    assert opinion == Opinion(is_known=True, code=0)
    assert line == b"POST /open-apis/auth/v3/tenant_access_token/internal HTTP/1.1"
    assert json.loads(rest.partition(b"\r\n\r\n")[2]) == {
        "app_id": "cli_a",
        "app_secret": "s3cret",
    }


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b" " * (MAX_BODY + 9),
        b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"code":0}',
    ],
    ids=["nothing", "no-http", "no-page", "endless", "cut"],
)
async def test_an_answer_that_says_nothing(answer):
    """No opinion is none."""
    assert (await exchange(answer))[0] is None
