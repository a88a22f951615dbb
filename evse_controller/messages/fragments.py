"""EXI fragments: the octets of single elements, which XML signatures digest and sign.

A signature's Reference holds the digest of the fragment of the element with that Id, coded with the grammar of the
message's schema set. SignedInfo is different: it is signed as a fragment of the XML signature schema standing alone
(ISO 15118-2, annex J), and so do all stations and cars that were observed but one, which uses the message's schema
set; a verifier therefore tries both. One element, eMAID of ISO 15118-2, is declared with two types and follows the
relaxed grammar of EXI 1.0, 8.5.3. The cryptography itself is not here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evse_controller.exi.errors import ExiError, within
from evse_controller.messages.base import Message, Node, Schema
from evse_controller.messages.codec import DEFAULT_LIMIT, HEADER, check_header, coders, fault, whole_octets

SIGNED_INFO = "SignedInfo"


def encode_fragment(schema: Schema, element: str, node: Node) -> bytes:
    """The EXI fragment of one element. ExiError if the schema set has no such element that can be signed."""
    module = coders(schema)
    if element not in module.FRAGMENT_CODERS:
        raise fault(schema, ExiError(f"{element!r} is no element that can be signed"))
    code, _, _, encoder = module.FRAGMENT_CODERS[element]
    try:
        x = encoder((0x100 | HEADER) << module.FRAGMENT_BITS | code, node)
    except ExiError as error:
        raise fault(schema, within(error, element)) from None
    x = x << module.FRAGMENT_BITS | module.FRAGMENT_END
    return whole_octets(x)


def decode_fragment(schema: Schema, data: bytes, limit: int = DEFAULT_LIMIT) -> tuple[str, Node]:
    """Element and node of an EXI fragment. Anything else raises ExiError; there is no leniency with what is signed."""
    check_header(schema, data, limit, "fragment")
    module = coders(schema)
    total = 8 * len(data)
    n = int.from_bytes(data, "big")
    width = module.FRAGMENT_BITS
    e = total - 8 - width
    code = n >> e & (1 << width) - 1 if e >= 0 else -1
    found = next((item for item in module.FRAGMENT_CODERS.items() if item[1][0] == code), None)
    if found is None:
        raise fault(schema, ExiError(f"element code {code} is no element that can be signed"), 8)
    element, (_, _, decoder, _) = found
    try:
        node, e = decoder(n, e)
        e -= width
        if n >> e & (1 << width) - 1 != module.FRAGMENT_END:
            raise ExiError("more than one element in the fragment", e + width)
        if e > 7 or n & (1 << e) - 1:
            raise ExiError("something behind the end of the fragment", e)
    except ValueError as error:
        located = within(error, element, e)
        raise fault(schema, located, total - (located.left or 0)) from None
    return element, node


def to_be_signed(signed_info: Node) -> bytes:
    """The octets of SignedInfo that a signature is made over."""
    return encode_fragment(Schema.XMLDSIG, SIGNED_INFO, signed_info)


def may_be_signed(schema: Schema, signed_info: Node) -> tuple[bytes, bytes]:
    """The octets of SignedInfo to verify a signature with, one after the other, in a message of the schema set."""
    return to_be_signed(signed_info), encode_fragment(schema, SIGNED_INFO, signed_info)


def signable_parts(message: Message) -> dict[str, tuple[str, Node]]:
    """The elements of a message that a signature may refer to: Id -> (element, node).

    An Id that comes twice raises ExiError: a signature could be said to cover the wrong one of the two.
    """
    found: dict[str, tuple[str, Node]] = {}
    table = coders(message.SCHEMA).FRAGMENT_CODERS
    for element, node in _elements(message.ELEMENT, message):
        name = getattr(node, "id", None)
        if name is None or element not in table or element == SIGNED_INFO or type(node) is not table[element][1]:
            continue
        if name in found:
            raise fault(message.SCHEMA, ExiError(f"Id {name!r} stands on two elements"))
        found[name] = (element, node)
    return found


def _elements(element: str, node: Node) -> Iterator[tuple[str, Node]]:
    yield element, node
    for field in node.FIELDS:
        value: Any = getattr(node, field.name)
        name = field.element
        if isinstance(field.type, dict):
            name = next((member for member, cls in field.type.items() if type(value) is cls), name)
        for item in value if type(value) is list else (value,):
            if isinstance(item, Node):
                yield from _elements(name, item)
