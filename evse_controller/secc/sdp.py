"""SDP: the EV asks by multicast which address, port and security to use (UDP port 15118, wired form).

Malformed requests get no answer, and nobody is answered once the communication set-up time is over.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

from evse_controller.secc import v2gtp

PORT = 15118
MULTICAST_GROUP = "ff02::1"
REQUEST_LENGTH = 2
RESPONSE_LENGTH = 20
COMMUNICATION_SETUP_S = 18.0
_RESPONSE = struct.Struct(">16sHBB")
_TCP = 0x00


class Security(enum.IntEnum):
    """The security octet of SDP."""

    TLS = 0x00
    NONE = 0x10


@dataclass(frozen=True, slots=True)
class SdpRequest:
    security: Security


@dataclass(frozen=True, slots=True)
class SdpResponse:
    """Where to connect: `address` are the 16 octets of the link-local IPv6 address."""

    address: bytes
    port: int
    security: Security


@dataclass(frozen=True, slots=True)
class SdpPolicy:
    """What the listeners offer now; a port is None where nothing listens. Plain TCP exists under `lab-tcp` only."""

    address: bytes
    tls_port: int | None
    tcp_port: int | None = None

    def __post_init__(self) -> None:
        if len(self.address) != 16:
            raise ValueError(f"an IPv6 address has 16 octets, got {len(self.address)}")


class SetupWindow:
    """The communication set-up time, started when the data link comes up (V2G_SECC_CommunicationSetup)."""

    def __init__(self, link_up_s: float, length_s: float = COMMUNICATION_SETUP_S) -> None:
        self.deadline_s = link_up_s + length_s

    def open(self, now_s: float) -> bool:
        return now_s < self.deadline_s


def encode_request(request: SdpRequest) -> bytes:
    """The whole datagram."""
    return v2gtp.encode_frame(v2gtp.PayloadType.SDP_REQUEST, bytes((request.security, _TCP)))


def encode_response(response: SdpResponse) -> bytes:
    """The whole datagram."""
    payload = _RESPONSE.pack(response.address, response.port, response.security, _TCP)
    return v2gtp.encode_frame(v2gtp.PayloadType.SDP_RESPONSE, payload)


def decode_request(datagram: bytes) -> SdpRequest | None:
    """None for anything malformed: header, length, reserved security value, transport other than TCP."""
    payload = v2gtp.decode_datagram(datagram, v2gtp.PayloadType.SDP_REQUEST)
    if payload is None or len(payload) != REQUEST_LENGTH or payload[1] != _TCP:
        return None
    security = _security(payload[0])
    return None if security is None else SdpRequest(security)


def decode_response(datagram: bytes) -> SdpResponse | None:
    """None for anything malformed."""
    payload = v2gtp.decode_datagram(datagram, v2gtp.PayloadType.SDP_RESPONSE)
    if payload is None or len(payload) != RESPONSE_LENGTH:
        return None
    address, port, security_octet, transport = _RESPONSE.unpack(payload)
    security = _security(security_octet)
    if security is None or transport != _TCP or port == 0:
        return None
    return SdpResponse(address, port, security)


def answer(request: SdpRequest, policy: SdpPolicy) -> SdpResponse | None:
    """A TLS request is answered with TLS wherever TLS is served [V2G20-1238]; never by echoing what was asked.

    Where only one kind listens, that one is announced and the EV decides. None when nothing listens.
    """
    tls = None if policy.tls_port is None else SdpResponse(policy.address, policy.tls_port, Security.TLS)
    plain = None if policy.tcp_port is None else SdpResponse(policy.address, policy.tcp_port, Security.NONE)
    return (tls or plain) if request.security is Security.TLS else (plain or tls)


def answer_datagram(datagram: bytes, policy: SdpPolicy, window: SetupWindow, now_s: float) -> bytes | None:
    """The datagram to send back, None for silence: malformed request, closed window, or nothing to offer."""
    if not window.open(now_s):
        return None
    request = decode_request(datagram)
    response = None if request is None else answer(request, policy)
    return None if response is None else encode_response(response)


def _security(octet: int) -> Security | None:
    return Security(octet) if octet in (Security.TLS, Security.NONE) else None
