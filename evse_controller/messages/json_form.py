"""The JSON form of messages: the schema's own element names, in the shape of EXIficient's bridge (package iso15118).

The root key is the element name. Binary values are base64, except hexBinary, which is upper-case hexadecimal;
enumerations are their schema values; an element without content is an empty object; the characters of an element
that has attributes too are under "value"; elements that may repeat are lists. So are the single elements of the few
XML signature types that mix characters, wildcards and elements (HMACOutputLength, DSAKeyValue, RSAKeyValue,
PGPKeyID, PGPKeyPacket): the bridge's JAXB keeps all content of such a type in lists. Both forms are read.

Where the bridge (release 0.31.2) loses or refuses something, we do not follow; all of it is measured by
tests/campaign/json_bridge.py and held by tests/messages/test_json_form.py:

- a few absent integers become 0 (SchemaID of supportedAppProtocolRes, and of -2: SAScheduleTupleID in
  MeteringReceiptReq, NumEPriceLevels, EPriceLevel);
- an empty string or binary is encoded as a second-level end element, which the common C decoder cannot read;
- characters that XML cannot carry (NUL, which real cars send) end in an error;
- certificates, keys and other binaries inside KeyInfo need a javax.mail that the package does not bring;
- long lists (16 items in -2, 255 in -20) at their exact maximum are written and read wrongly, by its own grammars;
- DIN 70121: every attribute Id is refused (read as a reference); SignatureValue without Id is plain text;
- ACDP and WPT are refused, since it never registers their classes; with them registered, JSON is ours.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from enum import IntEnum
from functools import cache
from typing import Any, TypeVar

from evse_controller.exi.errors import ExiError, invalid, within
from evse_controller.messages.base import Field, Kind, Message, Node, Schema
from evse_controller.messages.codec import coders

NodeT = TypeVar("NodeT", bound=Node)


def to_json(message: Message) -> dict[str, Any]:
    """The JSON form of a message."""
    return {message.ELEMENT: _object(message)}


def fragment_to_json(element: str, node: Node) -> dict[str, Any]:
    """The JSON form of a single element, as `fragments.decode_fragment` gives it."""
    return {element: _object(node)}


def _object(node: Node) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for field in node.FIELDS:
        value = getattr(node, field.name)
        if value is None:
            continue
        if isinstance(field.type, dict):
            name = next((n for n, cls in field.type.items() if type(value) is cls), field.element)
            result[name] = _object(value)
        elif field.high > 1:
            result[field.element] = [_value(field, item) for item in value]
        elif _kept_as_list(node, field):
            result[field.element] = [_value(field, value)]
        else:
            result[field.element] = _value(field, value)
    return result


def _kept_as_list(node: Node | type[Node], field: Field) -> bool:
    """Whether JAXB writes this single element as a list: its type allows characters or foreign elements beside it."""
    if node.STATES is None or field.place != "element":
        return False
    return any(event in ("CH", "SE*") for state in node.STATES for event, _, _ in state)


def _value(field: Field, value: Any) -> Any:
    if isinstance(value, Node):
        return _object(value)
    if isinstance(value, IntEnum):
        return _schema_value(value)
    if isinstance(value, bytes):
        assert isinstance(field.type, Kind)
        return value.hex().upper() if field.type.base == "hex" else base64.b64encode(value).decode("ascii")
    return value


def _schema_value(value: IntEnum) -> str:
    values: dict[int, str] | None = getattr(type(value), "SCHEMA_VALUES", None)
    return value.name if values is None else values.get(int(value), value.name)


@cache
def _by_schema_value(kind: type[IntEnum]) -> dict[str, IntEnum]:
    return {_schema_value(member): member for member in kind}


def from_json(schema: Schema, form: dict[str, Any]) -> Message:
    """The message of a JSON form. What the schema has no place for raises ExiError; bounds are the encoder's matter."""
    roots = {cls.ELEMENT: cls for cls in coders(schema).ROOT_ENCODERS}
    return _root(schema, form, roots, "no message of this schema")[1]


def fragment_from_json(schema: Schema, form: dict[str, Any]) -> tuple[str, Node]:
    """Element and node of the JSON form of a single element that can be signed, for `fragments.encode_fragment`."""
    table = coders(schema).FRAGMENT_CODERS
    return _root(schema, form, {element: row[1] for element, row in table.items()}, "no element that can be signed")


def _root(schema: Schema, form: Any, roots: Mapping[str, type[NodeT]], otherwise: str) -> tuple[str, NodeT]:
    """The element and the node of an object with one key; errors name the schema."""
    try:
        if type(form) is not dict or len(form) != 1:
            raise ExiError("a message is an object with one key, the element's name")
        element, content = next(iter(form.items()))
        if element not in roots:
            raise ExiError(f"{element!r} is {otherwise}")
        try:
            return element, _node(roots[element], content)
        except ExiError as error:
            raise within(error, element) from None
    except ExiError as error:
        error.schema = schema.name
        raise


def _node(cls: type[NodeT], form: Any) -> NodeT:
    if type(form) is str and any(field.place == "text" for field in cls.FIELDS):
        form = {"value": form}  # the bridge's short form of characters without attributes (DIN SignatureValue)
    if type(form) is not dict:
        raise ExiError("an object is expected")
    rest = dict(form)
    values: dict[str, Any] = {}
    for field in cls.FIELDS:
        at = field.element
        try:
            if isinstance(field.type, dict):
                names = [name for name in field.type if name in rest]
                if len(names) > 1:
                    raise ExiError(f"only one may be set of {', '.join(names)}")
                if names:
                    at = names[0]
                    values[field.name] = _node(field.type[at], rest.pop(at))
                elif field.low:
                    raise ExiError(f"missing, one of {', '.join(field.type)} is required")
            elif at in rest:
                value = rest.pop(at)
                if field.high > 1:
                    if type(value) is not list:
                        raise ExiError("a list is expected")
                    items = values[field.name] = []
                    for position, item in enumerate(value):
                        at = f"{field.element}[{position}]"
                        items.append(_parsed(field, item))
                elif type(value) is list and len(value) == 1 and _kept_as_list(cls, field):
                    values[field.name] = _parsed(field, value[0])
                else:
                    values[field.name] = _parsed(field, value)
            elif field.low and not field.choice:
                raise ExiError("missing")
        except ExiError as error:
            raise within(error, at) from None
    if rest:
        raise ExiError(f"unknown content: {', '.join(sorted(map(str, rest)))}")
    return cls(**values)


def _parsed(field: Field, value: Any) -> Any:
    kind = field.type
    if isinstance(kind, Kind):
        if kind.base == "boolean" and type(value) is bool:
            return value
        if kind.base == "integer" and type(value) is int:
            return value
        if kind.base == "string" and type(value) is str:
            return value
        if kind.base in ("hex", "base64") and type(value) is str:
            try:
                return bytes.fromhex(value) if kind.base == "hex" else base64.b64decode(value, validate=True)
            except (ValueError, binascii.Error):
                pass
        raise invalid(value, f"a value of type {kind.base}")
    assert not isinstance(kind, dict)
    if issubclass(kind, IntEnum):
        members = _by_schema_value(kind)
        if type(value) is not str or value not in members:
            raise invalid(value, f"one of {', '.join(members)}")
        return members[value]
    return _node(kind, value)
