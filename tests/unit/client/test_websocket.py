"""The websocket codec: whatever the pieces, the messages are the same."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.client import websocket
from wardian.client.connection import ApiError


def server_frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    head = (0x80 if final else 0) | opcode
    if len(payload) < 126:
        return struct.pack("!BB", head, len(payload)) + payload
    if len(payload) < 65536:
        return struct.pack("!BBH", head, 126, len(payload)) + payload
    return struct.pack("!BBQ", head, 127, len(payload)) + payload


@given(st.lists(st.binary(max_size=70000), max_size=4), st.integers(1, 4096))
def test_messages_survive_any_cutting(payloads: list[bytes], step: int) -> None:
    data = b"".join(server_frame(websocket.BINARY, payload) for payload in payloads)
    decoder = websocket.Decoder()
    found = [m for at in range(0, len(data), step) for m in decoder.feed(data[at : at + step])]
    assert found == [(websocket.BINARY, payload) for payload in payloads]


def test_fragments_are_put_together_around_a_ping() -> None:
    data = server_frame(websocket.TEXT, b"ab", final=False) + server_frame(websocket.PING, b"p")
    data += server_frame(websocket.CONTINUATION, b"cd")
    assert websocket.Decoder().feed(data) == [(websocket.PING, b"p"), (websocket.TEXT, b"abcd")]


def test_a_malformed_or_huge_frame_is_refused() -> None:
    for data in (b"\xf2\x00", b"\x82\x80", struct.pack("!BBQ", 0x82, 127, 1 << 40)):
        with pytest.raises(ApiError):
            websocket.Decoder().feed(data)


@given(st.binary(max_size=500), st.binary(min_size=4, max_size=4))
def test_masking_twice_is_nothing(payload: bytes, mask: bytes) -> None:
    assert websocket.masked(websocket.masked(payload, mask), mask) == payload
