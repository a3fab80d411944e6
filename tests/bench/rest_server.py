"""A Feishu that only takes messages, as fast as it can: what is measured is who sends them.

Run as a process of its own; prints its port. No framework: a request is read up to the
end of its body, and answered with what it asked for.
"""

import asyncio
import json
import re
import sys

TOKEN = b'{"code":0,"msg":"ok","tenant_access_token":"t-bench","expire":7200}'
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class Server(asyncio.Protocol):
    """One connection."""

    made = 0

    def connection_made(self, transport):
        self.transport, self.data = transport, b""

    def data_received(self, data):
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            found = LENGTH.search(self.data, 0, end + 2)
            size = end + 4 + (int(found[1]) if found else 0)
            if len(self.data) < size:
                return
            target = self.data[: self.data.find(b"\r\n")]
            self.data = self.data[size:]
            self.answer(target)

    def answer(self, target):
        if b"/auth/" in target:
            body = TOKEN
        else:
            Server.made += 1
            data = {"message_id": f"om_{Server.made}", "msg_type": "text"}
            body = json.dumps({"code": 0, "msg": "success", "data": data}).encode()
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )


async def main():
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
