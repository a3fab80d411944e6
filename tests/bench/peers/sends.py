"""Sends N messages, W at a time, by one of three ways; prints seconds and its own CPU.

    sends.py WAY TARGET COUNT AT_ONCE

WAY is `sdk` (lark-oapi's `acreate`), `bare` (aiohttp with a pool, no token, no retry) or
`daemon` (`send` on the native socket at TARGET).
"""

import asyncio
import json
import os
import sys
import time

WAY, TARGET, COUNT, AT_ONCE = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
CONTENT = json.dumps({"text": "bench " + "x" * 100})


async def in_flight(send):
    """Send all, so many at a time, each to a chat of its lane."""
    numbers = iter(range(COUNT))

    async def lane(name):
        for _ in numbers:
            await send(name)

    await send("oc_warm")
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(lane(f"oc_{index}") for index in range(AT_ONCE)))
    result = {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
    print(json.dumps(result | {"pid": os.getpid()}), flush=True)


async def bare():
    """Post over a pool."""
    import aiohttp

    url = f"{TARGET}/open-apis/im/v1/messages?receive_id_type=chat_id"
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def send(chat):
            body = {"receive_id": chat, "msg_type": "text", "content": CONTENT}
            headers = {"Authorization": "Bearer t-bench"}
            async with session.post(url, json=body, headers=headers) as response:
                assert (await response.json())["data"]["message_id"]

        await in_flight(send)


async def sdk():
    """Send by the official SDK."""
    import lark_oapi as lark
    from lark_oapi.api.im.v1 import CreateMessageRequest, CreateMessageRequestBody

    client = (
        lark.Client.builder().app_id("cli_b").app_secret("s").domain(TARGET)
        .log_level(lark.LogLevel.ERROR).build()
    )  # fmt: skip

    async def send(chat):
        body = (
            CreateMessageRequestBody.builder().receive_id(chat).msg_type("text")
            .content(CONTENT).build()
        )  # fmt: skip
        request = (
            CreateMessageRequest.builder().receive_id_type("chat_id").request_body(body).build()
        )
        response = await client.im.v1.message.acreate(request)
        assert response.data.message_id, response.msg

    await in_flight(send)


async def daemon():
    """Ask the daemon over its socket."""
    reader, writer = await asyncio.open_unix_connection(TARGET, limit=2**22)
    waiting, ids = {}, iter(range(1, 2**31))

    async def read():
        async for line in reader:
            answer = json.loads(line)
            waiting.pop(answer["id"]).set_result(answer)

    reading = asyncio.create_task(read())

    async def send(chat):
        number = next(ids)
        waiting[number] = asyncio.get_running_loop().create_future()
        params = {
            "receive_id_type": "chat_id", "receive_id": chat, "msg_type": "text",
            "content": CONTENT,
        }  # fmt: skip
        if DURABLE:
            params |= {"uuid": f"bench-{os.getpid()}-{number}", "durable": True}
        call = {"jsonrpc": "2.0", "id": number, "method": "send", "params": params}
        writer.write(json.dumps(call).encode() + b"\n")
        answer = await waiting[number]
        assert "result" in answer, answer

    await in_flight(send)
    reading.cancel()


DURABLE = WAY == "durable"

if __name__ == "__main__":
    ways = {"bare": bare, "sdk": sdk, "daemon": daemon, "durable": daemon}
    run = asyncio.run
    if WAY != "sdk":  # as each runs in practice: the SDK's users have plain asyncio
        import uvloop

        run = uvloop.run
    run(ways[WAY]())
