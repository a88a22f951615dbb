"""The vehicle's framing and SDP, checked against the station's own."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evse_controller.secc import sdp
from hil.evcc.wire import APP_PROTOCOL, Deframer, WireError, frame, parse_sdp_response, sdp_request


@given(st.lists(st.binary(max_size=40), max_size=5), st.lists(st.integers(0, 300), max_size=8))
def test_frames_survive_any_cut(payloads, cuts) -> None:
    stream = b"".join(frame(APP_PROTOCOL, payload) for payload in payloads)
    deframer, found, position = Deframer(), [], 0
    for cut in [*sorted(cuts), len(stream)]:
        found += list(deframer.feed(stream[position : max(position, cut)]))
        position = max(position, cut)
    assert found == [(APP_PROTOCOL, payload) for payload in payloads]


@pytest.mark.parametrize("header", ["02fe800100000000", "01ff800100000000", "01fe8001ff000000"])
def test_a_foreign_header_is_refused(header: str) -> None:
    with pytest.raises(WireError):
        list(Deframer().feed(bytes.fromhex(header)))


@pytest.mark.parametrize("tls", [True, False])
def test_the_station_answers_our_sdp_request(tls: bool) -> None:
    policy = sdp.SdpPolicy(address=ipaddress.IPv6Address("fe80::1").packed, tls_port=50001, tcp_port=50002)
    answer = sdp.answer_datagram(sdp_request(tls), policy, sdp.SetupWindow(0.0, 18.0), 1.0)
    assert answer is not None
    response = parse_sdp_response(answer)
    assert response.address == ipaddress.IPv6Address("fe80::1")
    assert response.tls is tls
    assert response.port == (50001 if tls else 50002)


@pytest.mark.parametrize("data", [b"", sdp_request(True), frame(0x9001, bytes(19)), frame(0x9001, bytes(20))])
def test_what_is_no_sdp_response_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        parse_sdp_response(data)
