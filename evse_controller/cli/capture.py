"""`evsectl decode` of pcapng captures: SDP and V2G messages of all connections in the order of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from evse_controller.cli.documents import LARGEST, Unreadable
from evse_controller.messages.routing import NAMESPACES, SHARED
from evse_controller.net import capture_reader, tls_decrypt
from evse_controller.secc import sdp
from evse_controller.secc.v2gtp import FrameReader

Decoder = Callable[[int, bytes], dict[str, Any]]


def items(data: bytes, decode: Decoder) -> Iterator[dict[str, Any]]:
    """What a capture holds; `decode` gets the payload type and payload of every V2GTP frame with an EXI document."""
    try:
        capture = capture_reader.read_pcapng(data)
    except capture_reader.CaptureError as error:
        raise Unreadable(str(error)) from None
    found: list[tuple[float, dict[str, Any]]] = []
    for segment in capture_reader.segments(capture.packets):
        if not segment.tcp and sdp.PORT in (segment.source[1], segment.destination[1]):
            asked = segment.destination[1] == sdp.PORT
            found.append((segment.time_s, _stamp(segment.time_s, asked, sdp_item(segment.payload))))
    for stream in capture_reader.tcp_streams(capture.packets):
        found += [(at, _stamp(at, from_ev, item)) for at, from_ev, item in _stream(stream, capture.secrets, decode)]
    for _, item in sorted(found, key=lambda pair: pair[0]):
        yield item
    if capture.truncated:
        yield {"error": "the capture ends in the middle of a block"}


def _stream(
    stream: capture_reader.TcpStream, secrets: bytes, decode: Decoder
) -> Iterator[tuple[float, bool, dict[str, Any]]]:
    chunks = iter(stream.chunks)
    if tls_decrypt.is_tls(stream):
        chunks = tls_decrypt.decrypt(stream, secrets)
    accepted = frozenset({SHARED, *NAMESPACES})
    readers = {side: FrameReader(accepted, LARGEST) for side in (True, False)}
    at = stream.chunks[0].time_s if stream.chunks else 0.0
    try:
        for chunk in chunks:
            at = chunk.time_s
            for frame in readers[chunk.from_client].feed(chunk.data):
                yield at, chunk.from_client, decode(frame.payload_type, frame.payload)
    except tls_decrypt.DecryptError as error:
        yield at, True, {"error": f"TLS connection {stream.client} to {stream.server}: {error}"}


def sdp_item(datagram: bytes) -> dict[str, Any]:
    """An SDP request or response."""
    response = sdp.decode_response(datagram)
    if response is not None:
        return {"SDPResponse": {"Port": response.port, "Security": response.security.name}}
    request = sdp.decode_request(datagram)
    return {"SDPRequest": {"Security": request.security.name}} if request is not None else {"error": "malformed SDP"}


def _stamp(at: float, from_ev: bool, item: dict[str, Any]) -> dict[str, Any]:
    clock = time.strftime("%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}"
    return {"time": clock, "from": "EV" if from_ev else "EVSE", **item}
