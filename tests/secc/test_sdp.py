"""SDP: protocol.md A.3 and F.2 cases 4 to 6."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evse_controller.secc import sdp
from evse_controller.secc.v2gtp import encode_frame

ADDRESS = bytes.fromhex("fe80") + bytes(13) + b"\x01"
TLS_ONLY = sdp.SdpPolicy(ADDRESS, tls_port=50000)
LAB = sdp.SdpPolicy(ADDRESS, tls_port=None, tcp_port=50001)
BOTH = sdp.SdpPolicy(ADDRESS, tls_port=50000, tcp_port=50001)
TLS_REQUEST = sdp.encode_request(sdp.SdpRequest(sdp.Security.TLS))
PLAIN_REQUEST = sdp.encode_request(sdp.SdpRequest(sdp.Security.NONE))


def ask(datagram: bytes, policy: sdp.SdpPolicy = TLS_ONLY, now_s: float = 10.0) -> sdp.SdpResponse | None:
    answer = sdp.answer_datagram(datagram, policy, sdp.SetupWindow(0.0), now_s)
    return None if answer is None else sdp.decode_response(answer)


def test_octets_on_the_wire() -> None:
    assert TLS_REQUEST.hex() == "01fe9000000000020000"
    answer = sdp.encode_response(sdp.SdpResponse(ADDRESS, 50000, sdp.Security.TLS))
    assert answer == bytes.fromhex("01fe900100000014") + ADDRESS + bytes.fromhex("c3500000")


@pytest.mark.parametrize(
    "datagram",
    [
        encode_frame(0x9000, b""),
        encode_frame(0x7000, b"\x00\x00"),
        b"\x02" + TLS_REQUEST[1:],
        b"\x01\xff" + TLS_REQUEST[2:],
        TLS_REQUEST + b"\x00",
        TLS_REQUEST[:-1],
        encode_frame(0x9000, b"\x00\x10"),
        encode_frame(0x9000, b"\x01\x00"),
    ],
    ids=["length 0", "type", "version", "inverse", "too long", "too short", "udp", "reserved security"],
)
def test_case_04_malformed_request_is_ignored(datagram: bytes) -> None:
    assert ask(TLS_REQUEST) is not None
    assert ask(datagram) is None


@pytest.mark.parametrize(
    ("request_", "policy", "security", "port"),
    [
        (TLS_REQUEST, TLS_ONLY, sdp.Security.TLS, 50000),
        (TLS_REQUEST, LAB, sdp.Security.NONE, 50001),
        (TLS_REQUEST, BOTH, sdp.Security.TLS, 50000),
        (PLAIN_REQUEST, BOTH, sdp.Security.NONE, 50001),
        (PLAIN_REQUEST, TLS_ONLY, sdp.Security.TLS, 50000),
    ],
)
def test_case_05_security_is_what_is_served_not_an_echo(
    request_: bytes, policy: sdp.SdpPolicy, security: sdp.Security, port: int
) -> None:
    assert ask(request_, policy) == sdp.SdpResponse(ADDRESS, port, security)


def test_case_06_silence_after_the_communication_setup_time() -> None:
    assert ask(TLS_REQUEST, now_s=17.999) is not None
    assert ask(TLS_REQUEST, now_s=18.0) is None


def test_nothing_to_offer_is_silence() -> None:
    assert ask(TLS_REQUEST, sdp.SdpPolicy(ADDRESS, None)) is None


@given(st.binary(max_size=40))
def test_any_datagram_is_answered_or_ignored(datagram: bytes) -> None:
    assert ask(datagram) is None or datagram in (TLS_REQUEST, PLAIN_REQUEST)
