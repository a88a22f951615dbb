"""V2GTP: the eight-octet header below every protocol, and a reader that cuts a byte stream into frames.

`01 FE | payload type (2) | payload length (4)`, big endian. A frame with a bad version, an unknown payload type or
length zero is ignored without an answer and counted; an absurd length ends the connection before anything is stored.
"""

from __future__ import annotations

import enum
import struct
from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from typing import NamedTuple

from evse_controller.exi.naming import module_name
from evse_controller.messages.base import GENERATED, Schema
from evse_controller.messages.routing import NAMESPACES, payload_type_of

VERSION = 0x01
INVERSE_VERSION = 0xFE
HEADER_LENGTH = 8
MAX_PAYLOAD = 256 * 1024
_HEADER = struct.Struct(">BBHL")


class PayloadType(enum.IntEnum):
    """Payload types of DIN 70121, ISO 15118-2 and -20 (edition 1 and Amendment 1)."""

    APP_PROTOCOL = 0x8001
    ISO20_COMMON = 0x8002
    ISO20_AC = 0x8003
    ISO20_DC = 0x8004
    ISO20_ACDP = 0x8005
    ISO20_WPT = 0x8006
    ISO20_DER_IEC = 0x8010
    ISO20_DER_SAE = 0x8011
    SCHEDULE_RENEGOTIATION = 0x8101
    METERING_CONFIRMATION = 0x8102
    ACDP_SYSTEM_STATUS = 0x8103
    PARKING_STATUS = 0x8104
    SDP_REQUEST = 0x9000
    SDP_RESPONSE = 0x9001
    SDP_REQUEST_WIRELESS = 0x9002
    SDP_RESPONSE_WIRELESS = 0x9003


# Message sets that this SECC can decode in a -20 session. Anything else is an unknown payload type to it.
_SHIPPED = {schema.namespace: schema for schema in Schema}
SCHEMA_OF_PAYLOAD = {number: _SHIPPED[namespace] for number, namespace in NAMESPACES.items() if namespace in _SHIPPED}
PAYLOAD_OF_SCHEMA = {
    schema: PayloadType(payload_type_of(schema)) for schema in (Schema.APP_PROTOCOL, *SCHEMA_OF_PAYLOAD.values())
}
_AMENDED = NAMESPACES.keys() - SCHEMA_OF_PAYLOAD.keys()


def _generated(payload_type: int) -> bool:
    """Whether a user has generated this message set; found without loading it."""
    return find_spec(f"{GENERATED}.{module_name(NAMESPACES[payload_type])}") is not None


STREAM_PAYLOADS = frozenset(
    {PayloadType.APP_PROTOCOL, *SCHEMA_OF_PAYLOAD, *(number for number in _AMENDED if _generated(number))}
)


def schema_of(payload_type: int) -> Schema:
    """The message set of a payload type that a `FrameReader` accepted in a -20 session.

    Some EVs frame CertificateInstallationReq as 0x8001; inside a -20 session that means CommonMessages.
    """
    if payload_type in _AMENDED:
        return Schema.of(NAMESPACES[payload_type])
    return SCHEMA_OF_PAYLOAD.get(payload_type, Schema.ISO20_COMMON)


class Frame(NamedTuple):
    """One complete V2GTP frame."""

    payload_type: int
    payload: bytes


def encode_frame(payload_type: int, payload: bytes) -> bytes:
    """Header and payload."""
    return _HEADER.pack(VERSION, INVERSE_VERSION, payload_type, len(payload)) + payload


def decode_datagram(datagram: bytes, payload_type: int) -> bytes | None:
    """The payload of a single-frame datagram of this type, None for anything malformed (which gets no answer)."""
    if len(datagram) < HEADER_LENGTH:
        return None
    version, inverse, found, length = _HEADER.unpack_from(datagram)
    if (version, inverse, found) != (VERSION, INVERSE_VERSION, payload_type):
        return None
    payload = datagram[HEADER_LENGTH:]
    return payload if length == len(payload) and length > 0 else None


class FrameReader:
    """Cuts a stream into frames, however the network split or joined them.

    Never holds more than one header plus `max_payload` octets. `ignored` counts what was dropped, by reason.
    """

    def __init__(self, accepted: Iterable[int] = STREAM_PAYLOADS, max_payload: int = MAX_PAYLOAD) -> None:
        self._accepted = frozenset(accepted)
        self._max_payload = max_payload
        self._buffer = bytearray()
        self._skip = 0
        self._broken: str | None = None
        self.ignored: Counter[str] = Counter()

    @property
    def broken(self) -> str | None:
        """Why the stream cannot be followed any further; None while it can."""
        return self._broken

    @property
    def buffered(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. After an absurd length `broken` is set and nothing more is read."""
        frames: list[Frame] = []
        view = memoryview(data)
        position = 0
        while position < len(view) and self._broken is None:
            if self._skip:
                step = min(self._skip, len(view) - position)
                self._skip -= step
                position += step
                continue
            wanted = self._wanted() - len(self._buffer)
            self._buffer += view[position : position + wanted]
            position += wanted
            self._take(frames)
        return frames

    def _wanted(self) -> int:
        """How many octets the buffer needs next: a header, then the frame that the header declares."""
        if len(self._buffer) < HEADER_LENGTH:
            return HEADER_LENGTH
        return HEADER_LENGTH + int(_HEADER.unpack_from(self._buffer)[3])

    def _take(self, frames: list[Frame]) -> None:
        if len(self._buffer) < HEADER_LENGTH:
            return
        version, inverse, payload_type, length = _HEADER.unpack_from(self._buffer)
        if len(self._buffer) == HEADER_LENGTH:
            if length > self._max_payload:
                self._broken = f"declared payload of {length} octets, at most {self._max_payload} are accepted"
                self._buffer.clear()
                return
            reason = self._fault(version, inverse, payload_type, length)
            if reason is not None:
                self.ignored[reason] += 1
                self._skip = length
                self._buffer.clear()
            return
        if len(self._buffer) == HEADER_LENGTH + length:
            frames.append(Frame(payload_type, bytes(self._buffer[HEADER_LENGTH:])))
            self._buffer.clear()

    def _fault(self, version: int, inverse: int, payload_type: int, length: int) -> str | None:
        if version != VERSION:
            return "bad version"
        if inverse != INVERSE_VERSION:
            return "bad inverse version"
        if payload_type not in self._accepted:
            return "unknown payload type"
        if length == 0:
            return "length zero"
        return None
