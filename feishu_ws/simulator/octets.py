"""WebSocket frames as octets: those a server sends, and those it must not. Pure."""

import struct
from typing import Final

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
RESERVED: Final = 0x3
FIN: Final = 0x80
MASK: Final = 0x80
RESERVED_BITS: Final = 0x70


def encode_header(opcode: int, length: int) -> bytes:
    """Return the header of an unmasked, unfragmented WebSocket frame. Source: RFC 6455 5.2."""
    if length < 126:
        return bytes((FIN | opcode, length))
    if length < 65536:
        return struct.pack("!BBH", FIN | opcode, 126, length)
    return struct.pack("!BBQ", FIN | opcode, 127, length)


VIOLATIONS: Final[dict[str, bytes]] = {
    "reserved_opcode": bytes((FIN | RESERVED, 0)),
    "reserved_bits": bytes((FIN | RESERVED_BITS | BINARY, 0)),
    "masked": bytes((FIN | BINARY, MASK | 1)) + b"\x01\x02\x03\x04\x00",
    "stray_continuation": bytes((FIN | CONTINUATION, 0)),
    "bad_utf8": encode_header(TEXT, 2) + b"\xc3\x28",
    "short_close": bytes((FIN | CLOSE, 1, 0)),
    "long_ping": bytes((FIN | PING, 126, 0, 126)) + bytes(126),
    "endless": bytes((FIN | BINARY, 127)) + (2**62).to_bytes(8, "big"),
    "no_websocket": b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n" + b"gone " * 20,
}
"""Octets that no WebSocket server may send, by what is wrong. Source: RFC 6455 5.2-5.5."""
