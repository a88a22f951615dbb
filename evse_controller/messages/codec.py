"""EXI documents: typed messages to bytes and back.

The options are those of all charging protocols: schema-informed, not strict, bit-packed, one header byte, no
string table. The schema set is told by the payload type or the negotiated protocol, never guessed.

A document may begin with any global element of its schema set but these, which are refused both ways:

* the elements of XML signatures (http://www.w3.org/2000/09/xmldsig#) in any set but XMLDSIG itself: there they are
  parts of messages, or of what is signed (`messages.fragments`);
* elements of simple type: DigestValue, KeyName, MgmtData;
* SignatureProperty, and SignatureProperties around it: they must have foreign content, which is not supported.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Protocol, cast

from evse_controller.exi.errors import ExiError, within
from evse_controller.exi.leniency import padding, read_again
from evse_controller.messages.backend import compiled_coders
from evse_controller.messages.base import GENERATED, FragmentCoders, Message, RootDecoders, RootEncoders, Schema

HEADER = 0x80  # distinguishing bits 10, no options document, EXI version 1 (EXI 1.0, 5)
NO_ROOT = "is no message of this schema, or an element that no document begins with"
DEFAULT_LIMIT = 256 * 1024  # bytes; the largest legal price schedules need up to 1.5 MB


class _Coders(Protocol):
    DOCUMENT_BITS: int
    ROOT_DECODERS: RootDecoders
    ROOT_ENCODERS: RootEncoders
    FRAGMENT_BITS: int
    FRAGMENT_END: int
    FRAGMENT_CODERS: FragmentCoders


@cache
def coders(schema: Schema) -> _Coders:
    """The generated module of a schema set, loaded when it is needed first."""
    return cast("_Coders", import_module(f"{GENERATED}.{schema.module}"))


def schema_of(message: Message) -> Schema:
    """The schema set that a message belongs to."""
    return message.SCHEMA


def encode(message: Message) -> bytes:
    """The EXI document of a message. A message that the schema forbids raises ExiError with the element's path."""
    if not isinstance(message, Message):
        raise ExiError(f"{type(message).__name__} is not a message")
    cls = type(message)
    schema: Schema | None = getattr(cls, "SCHEMA", None)
    module = coders(schema) if schema else None
    if schema is None or module is None or cls not in module.ROOT_ENCODERS:
        problem = ExiError(f"{cls.__name__} is the class of no element that a document may begin with")
        raise fault(schema, problem) if schema else problem
    compiled = compiled_coders(schema)
    if compiled is not None and (document := compiled.encode(message)) is not None:
        return document
    code, encoder = module.ROOT_ENCODERS[cls]
    try:
        x = encoder((0x100 | HEADER) << module.DOCUMENT_BITS | code, message)
    except ExiError as error:
        raise fault(schema, within(error, message.ELEMENT)) from None
    return whole_octets(x)


def decode(schema: Schema, data: bytes, limit: int = DEFAULT_LIMIT, strict: bool = False) -> Message:
    """The message in an EXI document of the schema set. Data that are none raise ExiError.

    What deviates from the schema or the specification in a way that leaves no doubt about its meaning is read and
    named in `message.deviations` (`exi.leniency` has the list); `strict` refuses it. Without deviations the message
    encodes to the same data again.

    Any data end in one of the two. Nothing recurses but by the nesting of types, and the generator refuses a type
    that contains itself; every step of a loop takes bits from the data; the work is linear in their length, and no
    value is allocated before its length has been held against a bound.
    """
    check_header(schema, data, limit, "document")
    compiled = compiled_coders(schema)
    if compiled is not None and (clean := compiled.decode(data)) is not None:
        return clean
    module = coders(schema)
    total = 8 * len(data)
    n = int.from_bytes(data, "big")
    e = total - 8 - module.DOCUMENT_BITS
    code = n >> e & (1 << module.DOCUMENT_BITS) - 1 if e >= 0 else -1
    root = module.ROOT_DECODERS.get(code)
    if root is None:
        raise fault(schema, ExiError(f"root element code {code} {NO_ROOT}"), 8)
    element, decoder = root
    deviation = None
    try:
        message, left = decoder(n, e)
        if left < 8 and not n & (1 << left) - 1:
            return message
    except ValueError as error:
        deviation = within(error, "", e)
    try:
        if strict:
            raise deviation or padding(n, left)[0]
        message, message._deviations = read_again(decoder, n, e, element, total, deviation)
    except ExiError as error:
        raise fault(schema, within(error, element), total - (error.left or 0)) from None
    return message


def whole_octets(x: int) -> bytes:
    """The bits behind the leading one of `x`, filled up with zeros."""
    bits = x.bit_length() - 1
    x = (x ^ 1 << bits) << (-bits % 8)
    return x.to_bytes((bits + 7) // 8, "big")


def check_header(schema: Schema, data: bytes, limit: int, what: str) -> None:
    """The size, then the header: ExiError unless something may stand behind it."""
    if len(data) > limit:
        raise fault(schema, ExiError(f"{len(data)} bytes where {limit} are allowed"), 0)
    if len(data) < 2 or data[0] != HEADER:
        raise fault(schema, ExiError(f"no EXI header (0x80) with a {what} behind it"), 0)


def fault(schema: Schema, error: ExiError, offset: int | None = None) -> ExiError:
    """The error with the schema set and the bit at which it was met."""
    error.schema = schema.name
    error.offset = offset
    return error
