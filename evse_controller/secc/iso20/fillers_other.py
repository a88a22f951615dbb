"""Paired negative responses of services that this SECC does not offer: WPT, ACDP, AC_DER from a user's own schemas.

No handler will ever fill these messages, so that nothing has to be known of them but their fields: what the schema
demands is there, and empty of meaning. Loaded when such a message arrives.
"""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import Any

from evse_controller.messages.base import Field, Kind, Message, Node
from evse_controller.messages.generated.common_types import MessageHeader, ResponseCode

_REQUEST, _RESPONSE = "Req", "Res"


def paired_response(request: Message) -> type[Message] | None:
    """The class of the response to this message by its name, None for what is no request."""
    if not request.ELEMENT.endswith(_REQUEST):
        return None
    name = request.ELEMENT.removesuffix(_REQUEST) + _RESPONSE
    for found in vars(sys.modules[type(request).__module__]).values():
        if isinstance(found, type) and issubclass(found, Message) and getattr(found, "ELEMENT", None) == name:
            return found
    return None


def fill(kind: type[Message], request: Message, header: MessageHeader, code: ResponseCode) -> Message:
    """A response of this class with the least that its schema demands; variants mirror the request [V2G20-1600]."""
    asked = {value.ELEMENT for _, value in _nodes(request) if isinstance(value, Message)}
    message = _least(kind, {"header": header, "response_code": code}, asked)
    assert isinstance(message, Message)
    return message


def _nodes(node: Node) -> list[tuple[str, Any]]:
    return [(field.name, getattr(node, field.name)) for field in type(node).FIELDS]


def _least(kind: type[Node], given: dict[str, Any], asked: set[str]) -> Node:
    values, chosen = dict(given), set()
    for field in kind.FIELDS:
        if field.name in values or field.low == 0 or field.choice in chosen:
            continue
        if field.choice:
            chosen.add(field.choice)
        value = _value(field, asked)
        values[field.name] = [value] * field.low if field.high > 1 else value
    return kind(**values)


def _value(field: Field, asked: set[str]) -> Any:
    kind = field.type
    if isinstance(kind, dict):
        # The variant of the request: Dynamic_...Req... is answered by Dynamic_...Res...
        mirrored = [name for name in kind if name.replace(_RESPONSE, _REQUEST) in asked]
        return _least(kind[(mirrored or list(kind))[0]], {}, asked)
    if isinstance(kind, Kind):
        return _simple(kind)
    return next(iter(kind)) if issubclass(kind, IntEnum) else _least(kind, {}, asked)


def _simple(kind: Kind) -> bool | int | str | bytes:
    if kind.base == "boolean":
        return False
    if kind.base == "integer":
        low, high = kind.low, kind.high
        return max(0 if low is None else low, min(0, 0 if high is None else high))
    return "-" * max(1, kind.min_length) if kind.base == "string" else bytes(kind.min_length)
