"""V2GTP framing: protocol.md A.1 and F.2 cases 1 to 3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evse_controller.secc.v2gtp import (
    HEADER_LENGTH,
    MAX_PAYLOAD,
    Frame,
    FrameReader,
    PayloadType,
    decode_datagram,
    encode_frame,
)

GOOD = encode_frame(PayloadType.ISO20_COMMON, b"good")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"\xff\xfe\x80\x02\x00\x00\x00\x02ab", "bad version"),
        (b"\x01\xff\x80\x02\x00\x00\x00\x02ab", "bad inverse version"),
        (b"\x01\xfe\x70\x01\x00\x00\x00\x02ab", "unknown payload type"),
        (b"\x01\xfe\x90\x00\x00\x00\x00\x02ab", "unknown payload type"),
        (b"\x01\xfe\x80\x02\x00\x00\x00\x00", "length zero"),
    ],
)
def test_case_01_bad_header_is_ignored_and_counted_and_the_next_frame_is_served(bad: bytes, reason: str) -> None:
    reader = FrameReader()
    assert reader.feed(bad + GOOD) == [Frame(PayloadType.ISO20_COMMON, b"good")]
    assert reader.ignored == {reason: 1}
    assert reader.broken is None


def test_case_02_single_bytes_and_two_frames_in_one_segment() -> None:
    reader = FrameReader()
    assert [frame for octet in GOOD for frame in reader.feed(bytes([octet]))] == [Frame(0x8002, b"good")]
    assert reader.feed(GOOD + GOOD) == [Frame(0x8002, b"good")] * 2


def test_case_03_absurd_length_breaks_the_stream_and_stores_nothing() -> None:
    reader = FrameReader()
    assert reader.feed(GOOD + b"\x01\xfe\x80\x02\xff\xff\xff\xff" + bytes(1000)) == [Frame(0x8002, b"good")]
    assert reader.broken is not None
    assert reader.buffered == 0
    assert reader.feed(GOOD) == []


def test_absurd_length_of_an_ignored_frame_breaks_the_stream_too() -> None:
    reader = FrameReader()
    assert reader.feed(b"\xff\xfe\x80\x02\xff\xff\xff\xff") == []
    assert reader.broken is not None


def test_largest_payload_is_accepted_one_more_is_not() -> None:
    largest = bytes(MAX_PAYLOAD)
    assert FrameReader().feed(encode_frame(0x8002, largest)) == [Frame(0x8002, largest)]
    reader = FrameReader()
    assert reader.feed(encode_frame(0x8002, largest + b"x")) == []
    assert reader.broken is not None


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.data())
def test_frames_survive_any_split(payloads: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(encode_frame(0x8004, payload) for payload in payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reader, found, start = FrameReader(), [], 0
    for cut in [*cuts, len(stream)]:
        found += reader.feed(stream[start:cut])
        start = cut
    assert [frame.payload for frame in found] == payloads


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_reader_never_raises_and_never_holds_more_than_the_cap(chunks: list[bytes]) -> None:
    reader = FrameReader(max_payload=64)
    for chunk in chunks:
        reader.feed(b"\x01\xfe\x80\x02\x00\x00\x00" + chunk)
        assert reader.buffered <= HEADER_LENGTH + 64


@given(st.binary(max_size=64))
def test_datagram_of_the_wrong_shape_is_nothing(datagram: bytes) -> None:
    payload = decode_datagram(datagram, PayloadType.SDP_REQUEST)
    assert payload is None or encode_frame(PayloadType.SDP_REQUEST, payload) == datagram
