"""The vehicle's own V2GTP framing and SDP codec, written apart from the station's so that each checks the other."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from evse_controller.messages import Schema

APP_PROTOCOL, COMMON, AC, DC = 0x8001, 0x8002, 0x8003, 0x8004
SCHEDULE_STREAM, METERING_STREAM, PARKING_STREAM = 0x8101, 0x8102, 0x8104
SDP_REQUEST, SDP_RESPONSE = 0x9000, 0x9001
SDP_PORT, SDP_GROUP = 15118, "ff02::1"
_TLS, _NO_TLS, _TCP = 0x00, 0x10, 0x00
_HEADER = struct.Struct(">BBHI")
_MAX_PAYLOAD = 1 << 20

PAYLOAD_OF_SCHEMA = {
    Schema.APP_PROTOCOL: APP_PROTOCOL, Schema.ISO20_COMMON: COMMON, Schema.ISO20_AC: AC, Schema.ISO20_DC: DC,
}
SIDE_STREAMS = (SCHEDULE_STREAM, METERING_STREAM, PARKING_STREAM)
SCHEMA_OF_PAYLOAD = {payload: schema for schema, payload in PAYLOAD_OF_SCHEMA.items()} | dict.fromkeys(
    SIDE_STREAMS, Schema.ISO20_COMMON
)


class WireError(ValueError):
    """What arrived is no V2GTP frame or no SDP response."""


def frame(payload_type: int, payload: bytes) -> bytes:
    """A whole V2GTP frame."""
    return _HEADER.pack(0x01, 0xFE, payload_type, len(payload)) + payload


class Deframer:
    """Turns a TCP byte stream into (payload type, payload) pairs, whatever way it was cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Add bytes, get the frames that became whole. Raises WireError for a header that cannot be V2GTP."""
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            version, inverse, payload_type, length = _HEADER.unpack_from(self._buffer)
            if version != 0x01 or inverse != 0xFE or length > _MAX_PAYLOAD:
                raise WireError(f"no V2GTP header: {bytes(self._buffer[:8]).hex()}")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            yield payload_type, payload


@dataclass(frozen=True, slots=True)
class SdpResponse:
    """Where the station listens."""

    address: ipaddress.IPv6Address
    port: int
    tls: bool


def sdp_request(tls: bool) -> bytes:
    """The frame that asks for a station, with or without TLS."""
    return frame(SDP_REQUEST, bytes((_TLS if tls else _NO_TLS, _TCP)))


def parse_sdp_response(data: bytes) -> SdpResponse:
    """Raises WireError for anything but one whole, well-formed response."""
    frames = list(Deframer().feed(data))
    if len(frames) != 1 or frames[0][0] != SDP_RESPONSE or len(frames[0][1]) != 20:
        raise WireError(f"no SDP response: {data[:32].hex()}")
    payload = frames[0][1]
    port, security, transport = struct.unpack(">HBB", payload[16:])
    if security not in (_TLS, _NO_TLS) or transport != _TCP or port == 0:
        raise WireError(f"SDP response with port {port}, security {security:#x}, transport {transport:#x}")
    return SdpResponse(ipaddress.IPv6Address(payload[:16]), port, security == _TLS)
