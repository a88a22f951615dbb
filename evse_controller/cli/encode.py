"""`evsectl encode`: JSON to EXI, without a daemon. Takes what `evsectl decode` writes, one message after the other."""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections.abc import Iterator
from typing import Any

from evse_controller.cli.decode import BESIDE
from evse_controller.cli.documents import Unreadable, given, schema_named
from evse_controller.cli.render import printable
from evse_controller.exi.errors import ExiError
from evse_controller.messages.base import Schema

# Documents of ISO 15118-20 tell their schema by their name; whatever is not here is a message of the common set.
_BEGINNINGS = {
    "supportedAppProtocol": Schema.APP_PROTOCOL,
    "AC_": Schema.ISO20_AC,
    "DC_": Schema.ISO20_DC,
    "ACDP_": Schema.ISO20_ACDP,
    "WPT_": Schema.ISO20_WPT,
}


def run(args: argparse.Namespace) -> int:
    """Encode and print; the exit code."""
    if args.format == "binary" and not args.json and sys.stdout.isatty():
        print("evsectl: binary does not go to a terminal; redirect it to a file, or take hex", file=sys.stderr)
        return 2
    try:
        found = 0
        for form in _forms(args.input):
            found += 1
            _put(args, *_encoded(args, form))
    except (Unreadable, OSError) as error:
        print(f"evsectl: {error}", file=sys.stderr)
        return 2
    except RecursionError:
        print("evsectl: the JSON is nested too deeply for a message", file=sys.stderr)
        return 2
    except ExiError as error:
        print(printable(f"evsectl: message {found}: {error}"), file=sys.stderr)
        return 1
    if not found:
        print("evsectl: no message found", file=sys.stderr)
        return 1
    return 0


def _forms(source: str) -> Iterator[dict[str, Any]]:
    content = given(source)
    name = "standard input" if source == "-" else source[:60]
    if isinstance(content, str) and not content.lstrip().startswith("{"):
        raise Unreadable(f"{name}: no such file, and no JSON object")
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"{name}: byte {error.start} is no UTF-8") from None
    decoder, at = json.JSONDecoder(), 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        try:
            form, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise Unreadable(f"{name}: line {error.lineno} column {error.colno}: {error.msg}") from None
        except ValueError:  # Python reads no number of thousands of digits
            raise Unreadable(f"{name}: a number of too many digits") from None
        if type(form) is not dict:
            raise Unreadable(f"{name}: a message is a JSON object, not {json.dumps(form)[:40]}")
        yield form


def _encoded(args: argparse.Namespace, item: dict[str, Any]) -> tuple[Schema, str, int | None, bytes]:
    """Schema, element, payload type (with --frame) and the bytes of one message."""
    if "error" in item:
        raise ExiError(f"it was not decoded: {item['error']}")
    form = {key: value for key, value in item.items() if key not in BESIDE}
    if len(form) != 1:
        raise ExiError(f"one element is expected at the top, not {', '.join(form) or 'none'}")
    if args.fragment:
        return _fragment(args, item, form)
    from evse_controller.messages import encode, from_json

    element = next(iter(form))
    if element in ("SDPRequest", "SDPResponse"):
        raise ExiError(f"{element} is a datagram of SDP, no EXI")
    schema = _schema(args, item, element)
    data = encode(from_json(schema, form))
    if not args.frame:
        return schema, element, None, data
    from evse_controller.messages.routing import payload_type_of
    from evse_controller.secc.v2gtp import encode_frame

    payload_type = _payload_type(item) or payload_type_of(schema)
    return schema, element, payload_type, encode_frame(payload_type, data)


def _fragment(
    args: argparse.Namespace, item: dict[str, Any], form: dict[str, Any]
) -> tuple[Schema, str, None, bytes]:
    """The element that --fragment names: the one at the top, or the only one of its name in the message."""
    from evse_controller.messages.fragments import SIGNED_INFO, encode_fragment
    from evse_controller.messages.json_form import fragment_from_json

    found = list(_named(form, args.fragment))
    if len(found) != 1:
        raise ExiError(f"--fragment {args.fragment}: {len(found) or 'no'} elements of this name in the message")
    if args.fragment == SIGNED_INFO and args.schema is None:
        schema = Schema.XMLDSIG  # as it is signed
    else:
        schema = _schema(args, item, next(iter(form)))
    element, node = fragment_from_json(schema, {args.fragment: found[0]})
    return schema, element, None, encode_fragment(schema, element, node)


def _named(form: Any, element: str) -> Iterator[Any]:
    if isinstance(form, list):
        for one in form:
            yield from _named(one, element)
    elif isinstance(form, dict):
        for key, value in form.items():
            if key == element:
                yield from value if isinstance(value, list) else (value,)
            else:
                yield from _named(value, element)


def _schema(args: argparse.Namespace, item: dict[str, Any], element: str) -> Schema:
    if args.schema is not None:
        return schema_named(args.schema)
    if isinstance(item.get("schema"), str):
        return schema_named(item["schema"])
    if element == "V2G_Message":
        raise Unreadable("V2G_Message is a message of ISO 15118-2 and of DIN 70121: add --schema iso2 or --schema din")
    if not element.endswith(("Req", "Res")):
        raise Unreadable(f"{element} stands in several schemas: add --schema (see --help)")
    return next((schema for name, schema in _BEGINNINGS.items() if element.startswith(name)), Schema.ISO20_COMMON)


def _payload_type(item: dict[str, Any]) -> int | None:
    """The payload type that `evsectl decode` noted: a side stream has another than its schema."""
    noted = item.get("payload_type")
    if noted is None:
        return None
    try:
        number = int(str(noted), 16)
    except ValueError:
        number = -1
    if not 0 <= number <= 0xFFFF:
        raise Unreadable(f"payload_type {noted!r} is no number like 0x8002")
    return number


def _put(args: argparse.Namespace, schema: Schema, element: str, payload_type: int | None, data: bytes) -> None:
    if args.json:
        beside = {} if payload_type is None else {"payload_type": f"0x{payload_type:04X}"}
        print(json.dumps({"schema": schema.name, "element": element, **beside, "hex": data.hex()}))
    elif args.format == "binary":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        print(base64.b64encode(data).decode() if args.format == "base64" else data.hex())
