"""WebSocket frames as octets; what breaks the protocol is met by a client in test_enact."""

from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.simulator.octets import BINARY, encode_header


@given(st.integers(0, 2**40))
def test_frame_headers_say_their_length(length):
    """A header is final, unmasked, and as short as RFC 6455 wants it."""
    header = encode_header(BINARY, length)
    assert header[0] == 0x82
    if length < 126:
        assert header[1:] == bytes([length])
    elif length < 65536:
        assert header[1:] == b"\x7e" + length.to_bytes(2, "big")
    else:
        assert header[1:] == b"\x7f" + length.to_bytes(8, "big")
