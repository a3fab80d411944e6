"""What strangers send to the local sockets: lines and requests that are wrong in every way."""

import json
import random

NAMES = tuple(f"stranger-{n}" for n in range(8))
METHODS = ("hello", "settle", "reject", "reply", "status", "ping", "send", "api", "incidents",
           "consumers.list", "dead.list", "nonsense", "", "x" * 300)  # fmt: skip
ODD = (None, True, -1, 0, 1.5, 2**53, 2**63, 10**400, "", "x" * 300, "\ud800", [], {}, [1, "2"],
       {"a": {"b": [None]}}, "1e999", [-1] * 50)  # fmt: skip
FIELDS = ("consumer", "types", "start", "window", "durable", "force", "positions", "through",
          "position", "reason", "retry_in_s", "dead", "data", "name", "limit")  # fmt: skip
NO_JSON = (b"\xff\xfe\x00", b"{", b'{"a":}', b"nonsense", b"\x00" * 40, b'"\xc3', b"GET / HTTP/1.1",
           b"[" * 5000, b"1e", b'{"jsonrpc":"2.0","id":1,"method":"ping"}garbage')  # fmt: skip
NO_CALL = (b"[]", b"1", b"null", b'""', b"{}", b'{"jsonrpc":"1.0","method":"ping","id":1}',
           b'{"jsonrpc":"2.0","id":{},"method":"ping"}', b'{"jsonrpc":"2.0","id":1,"method":7}',
           b"1e999", b'{"jsonrpc":"2.0","id":1e999,"method":"ping"}', b"9" * 5000, b"   ", b"\r",
           b'{"jsonrpc":"2.0","id":1,"result":{}}', b"[" * 40 + b"]" * 40)  # fmt: skip
LONG_LINE = b"x" * (9 * 1024 * 1024)  # a line may have 8 MiB
LONG_SHARE = 0.0002
HALF_SHARE = 0.1

HEADS = (
    b"GET /metrics HTTP/1.1\r\nHost: %b\r\nAccept: application/openmetrics-text\r\n\r\n",
    b"GET /status HTTP/1.0\r\nHost: %b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: %b\r\nOrigin: http://evil.example\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nHost: %b\r\nContent-Length: 1000000\r\n\r\nxxxx",
    b"DELETE /%2e%2e/ HTTP/1.1\r\nHost: %b\r\n\r\n",
    b"GET /../etc/passwd HTTP/1.1\r\nHost: %b\r\n\r\n" * 3,
    b"GET /" + b"a" * 30_000 + b" HTTP/1.1\r\nHost: %b\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 500 + b"Host: %b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: %b\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: %b\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET / HTTP/9.9\r\nHost: %b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: %b\r\nX: ",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x00" * 50,
    b"nonsense %b\r\n\r\n",
    b"",
)
"""What is sent to the HTTP port, around the listener's own address."""


def line(rng):
    """Return one line to the native socket, with or without its end."""
    if rng.random() < LONG_SHARE:
        return LONG_LINE
    kind = rng.randrange(4)
    if kind == 0:
        said = rng.choice(NO_JSON)
    elif kind == 1:
        said = rng.choice(NO_CALL)
    else:
        said = _call(rng)
    return said if rng.random() < HALF_SHARE else said + b"\n"


def _call(rng):
    params = {rng.choice(FIELDS): rng.choice(ODD) for _ in range(rng.randrange(4))}
    if rng.random() < 0.3:
        params["consumer"] = rng.choice(NAMES)
    call = {"jsonrpc": "2.0", "method": rng.choice(METHODS), "params": params}
    if rng.random() < 0.8:
        call["id"] = rng.choice((1, "a", 1.5, None, 10**30))
    if rng.random() < 0.1:
        call["params"] = rng.choice(ODD)
    return json.dumps(call).encode()


def lines(seed):
    """Yield what each of endless clients sends, as a list of lines; [] only connects."""
    rng = random.Random(seed)
    while True:
        yield [line(rng) for _ in range(rng.choice((0, 1, 1, 2, 5, 20)))]


def requests(seed, address):
    """Yield endless requests to the HTTP server at `address`."""
    rng = random.Random(seed)
    while True:
        head = rng.choice(HEADS)
        yield head.replace(b"%b", address)
