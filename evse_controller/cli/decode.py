"""`evsectl decode`: V2G messages as JSON with the schema's own element names, without a daemon."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evse_controller.exi.errors import ExiError
from evse_controller.messages import Schema, decode, to_json
from evse_controller.secc import sdp
from evse_controller.secc.v2gtp import SCHEMA_OF_PAYLOAD, Frame, FrameReader, PayloadType

_SCHEMAS = {
    "sap": Schema.APP_PROTOCOL,
    "common": Schema.ISO20_COMMON,
    "dc": Schema.ISO20_DC,
    "ac": Schema.ISO20_AC,
}
_SDP_PORT = 15118


class Unreadable(Exception):
    """The input is neither hex nor a capture, or holds nothing that can be decoded."""


def run(args: argparse.Namespace) -> int:
    try:
        found = 0
        broken = 0
        for item in _items(args.input, args.schema):
            found += 1
            broken += "error" in item
            print(json.dumps(item) if args.json else _pretty(item))
    except (Unreadable, OSError) as error:
        print(f"evsectl: {error}", file=sys.stderr)
        return 2
    if not found:
        print("evsectl: no V2G message found", file=sys.stderr)
        return 1
    return 1 if broken else 0


def _items(source: str, schema: str) -> Iterator[dict[str, Any]]:
    if source == "-":
        data = sys.stdin.buffer.read()
    elif re.fullmatch(r"(?:0[xX])?[0-9a-fA-F:\s]+", source):
        data = source.encode()
    else:
        data = Path(source).read_bytes()
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        yield from _capture(data)
        return
    try:
        payload = bytes.fromhex(re.sub(r"0[xX]|[\s:]", "", data.decode("ascii")))
    except ValueError:
        raise Unreadable(f"{source}: neither hex digits nor a pcapng file") from None
    if payload[:2] == b"\x01\xfe":
        reader = FrameReader()
        frames = reader.feed(payload)
        if not frames:
            raise Unreadable(
                "an incomplete or unknown V2GTP frame: " + (reader.broken or ", ".join(reader.ignored) or "cut off")
            )
        for frame in frames:
            yield _frame(frame, schema)
    else:
        yield _bare(payload, schema)


def _frame(frame: Frame, schema: str = "auto") -> dict[str, Any]:
    if frame.payload_type == PayloadType.APP_PROTOCOL:
        return _bare(frame.payload, "sap")
    chosen = SCHEMA_OF_PAYLOAD.get(frame.payload_type)
    if chosen is None:
        return {"error": f"payload type 0x{frame.payload_type:04X} is not decoded", "hex": frame.payload.hex()}
    return _message(chosen, frame.payload)


def _bare(payload: bytes, schema: str) -> dict[str, Any]:
    """An EXI payload without its V2GTP header: the schema must be named, for no content tells it for certain."""
    if schema == "auto":
        raise Unreadable("bare EXI does not say its schema: add the V2GTP header, or --schema sap|common|dc|ac")
    return _message(_SCHEMAS[schema], payload)


def _message(schema: Schema, payload: bytes) -> dict[str, Any]:
    try:
        return to_json(decode(schema, payload))
    except ExiError as error:
        return {"error": str(error), "hex": payload.hex()}


def _capture(data: bytes) -> Iterator[dict[str, Any]]:
    from evse_controller.net import capture_reader

    try:
        capture = capture_reader.read_pcapng(data)
    except capture_reader.CaptureError as error:
        raise Unreadable(str(error)) from None
    items: list[tuple[float, dict[str, Any]]] = []
    for segment in capture_reader.segments(capture.packets):
        if not segment.tcp and _SDP_PORT in (segment.source[1], segment.destination[1]):
            items.append(
                (segment.time_s, _stamp(segment.time_s, segment.destination[1] == _SDP_PORT, _sdp(segment.payload)))
            )
    for stream in capture_reader.tcp_streams(capture.packets):
        items += [(at, _stamp(at, from_ev, item)) for at, from_ev, item in _stream(stream, capture.secrets)]
    for _, item in sorted(items, key=lambda pair: pair[0]):
        yield item
    if capture.truncated:
        yield {"error": "the capture ends in the middle of a block"}


def _stream(stream: Any, secrets: bytes) -> Iterator[tuple[float, bool, dict[str, Any]]]:
    from evse_controller.net import tls_decrypt

    chunks = iter(stream.chunks)
    if tls_decrypt.is_tls(stream):
        chunks = tls_decrypt.decrypt(stream, secrets)
    readers = {True: FrameReader(), False: FrameReader()}
    at = stream.chunks[0].time_s if stream.chunks else 0.0
    try:
        for chunk in chunks:
            at = chunk.time_s
            for frame in readers[chunk.from_client].feed(chunk.data):
                yield at, chunk.from_client, _frame(frame)
    except tls_decrypt.DecryptError as error:
        yield at, True, {"error": f"TLS connection {stream.client} to {stream.server}: {error}"}


def _sdp(datagram: bytes) -> dict[str, Any]:
    response = sdp.decode_response(datagram)
    if response is not None:
        return {"SDPResponse": {"Port": response.port, "Security": response.security.name}}
    request = sdp.decode_request(datagram)
    return {"SDPRequest": {"Security": request.security.name}} if request is not None else {"error": "malformed SDP"}


def _stamp(at: float, from_ev: bool, item: dict[str, Any]) -> dict[str, Any]:
    clock = time.strftime("%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}"
    return {"time": clock, "from": "EV" if from_ev else "EVSE", **item}


def _pretty(item: dict[str, Any]) -> str:
    head = " ".join(str(item[key]) for key in ("time", "from") if key in item)
    body = {key: value for key, value in item.items() if key not in ("time", "from")}
    return f"{head} {json.dumps(body, indent=2)}".strip()
