"""`evsectl decode`: V2G messages as JSON with the schema's own element names, without a daemon.

Beside the message, the object of a line (`--json`) has its schema, the payload type of its frame, in captures time and
sender, and `deviations`, if the data deviate from the schema in a way that is read nevertheless. `evsectl encode` takes
such lines as they are.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from evse_controller.cli.documents import LARGEST, PCAPNG, Unreadable, binary, frames, is_framed, schema_named
from evse_controller.cli.render import printable
from evse_controller.exi.errors import ExiError
from evse_controller.messages.base import Schema

# What stands beside the element in the object of one message.
BESIDE = frozenset({"time", "from", "schema", "payload_type", "deviations", "error", "hex"})
_SDP = (0x9000, 0x9001)


def run(args: argparse.Namespace) -> int:
    """Decode and print; the exit code."""
    try:
        found = 0
        broken = 0
        for item in _items(args):
            found += 1
            broken += "error" in item
            if args.json:
                print(json.dumps(item))
            else:
                _show(item)
    except (Unreadable, OSError) as error:
        print(f"evsectl: {error}", file=sys.stderr)
        return 2
    if not found:
        print("evsectl: no V2G message found", file=sys.stderr)
        return 1
    return 1 if broken else 0


def _items(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    schema = None if args.schema in (None, "auto") else schema_named(args.schema)
    data = binary(args.input, args.format)
    if data[:4] == PCAPNG:
        from evse_controller.cli import capture

        yield from capture.items(data, lambda kind, payload: _routed(kind, payload, args.strict))
    elif args.fragment:
        if schema is None:
            raise Unreadable("a fragment does not say its schema: add --schema (xmldsig for SignedInfo)")
        yield _fragment(schema, data)
    elif is_framed(data):
        for frame in frames(data):
            if frame.payload is None:
                yield {"error": frame.problem, "hex": data[frame.offset :].hex()}
            else:
                yield _routed(frame.payload_type, frame.payload, args.strict)
    elif schema is None:
        raise Unreadable("bare EXI does not say its schema: add the V2GTP header, or --schema (see --help)")
    else:
        yield _message(schema, data, args.strict)


def _routed(payload_type: int, payload: bytes, strict: bool) -> dict[str, Any]:
    """The message in a V2GTP frame; its payload type, not --schema, says what it is."""
    from evse_controller.messages.routing import schema_of_payload

    if payload_type in _SDP:
        from evse_controller.cli.capture import sdp_item
        from evse_controller.secc.v2gtp import encode_frame

        return sdp_item(encode_frame(payload_type, payload))
    beside = {"payload_type": f"0x{payload_type:04X}"}
    try:
        schema = schema_of_payload(payload_type, payload)
    except ExiError as error:
        return {**beside, "error": error.reason, "hex": payload.hex()}
    return {**beside, **_message(schema, payload, strict)}


def _message(schema: Schema, payload: bytes, strict: bool) -> dict[str, Any]:
    from evse_controller.messages import decode, to_json

    try:
        message = decode(schema, payload, limit=LARGEST, strict=strict)
    except ExiError as error:
        return {"schema": schema.name, "error": str(error), "hex": payload.hex()}
    item = {"schema": schema.name, **to_json(message)}
    if message.deviations:
        item["deviations"] = [deviation._asdict() for deviation in message.deviations]
    return item


def _fragment(schema: Schema, data: bytes) -> dict[str, Any]:
    from evse_controller.messages.fragments import decode_fragment
    from evse_controller.messages.json_form import fragment_to_json

    try:
        return {"schema": schema.name, **fragment_to_json(*decode_fragment(schema, data, limit=LARGEST))}
    except ExiError as error:
        return {"schema": schema.name, "error": str(error), "hex": data.hex()}


def _show(item: dict[str, Any]) -> None:
    """The message on standard output, what is wrong with it on standard error; in a capture both stay in order."""
    head = " ".join(item[key] for key in ("time", "from") if key in item)
    if "error" in item and not head:
        print(printable(f"evsectl: {item['error']}"), file=sys.stderr)
        return
    body = {key: value for key, value in item.items() if key not in BESIDE or key in ("error", "hex")}
    print(f"{head} {json.dumps(body, indent=2)}".strip())
    for deviation in item.get("deviations", ()):
        where = deviation["path"] if deviation["offset"] is None else f"{deviation['path']}, bit {deviation['offset']}"
        text = f"evsectl: {head} deviation: {item['schema']}, {where}: {deviation['reason']}"
        print(printable(" ".join(text.split())), file=sys.stderr)
