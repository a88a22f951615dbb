"""What all generated message classes share: description of their fields, equality, readable representation."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, IntEnum
from typing import Any, ClassVar, NamedTuple, TypeAlias

UNBOUNDED = 1 << 30


class Schema(Enum):
    """The schema sets that a payload may be encoded with; the value is the namespace of the set's root."""

    APP_PROTOCOL = "urn:iso:15118:2:2010:AppProtocol"
    XMLDSIG = "http://www.w3.org/2000/09/xmldsig#"
    ISO20_COMMON = "urn:iso:std:iso:15118:-20:CommonMessages"
    ISO20_DC = "urn:iso:std:iso:15118:-20:DC"
    ISO20_AC = "urn:iso:std:iso:15118:-20:AC"


class Kind(NamedTuple):
    """A simple type: base is boolean, integer, string, hex or base64; the bounds are the schema's facets."""

    base: str
    low: int | None = None
    high: int | None = None
    min_length: int = 0
    max_length: int | None = None


class Field(NamedTuple):
    """One attribute of a message class as the schema describes it.

    `place` says how it appears: attribute, element, text (the element's own characters) or substitution (an
    element whose name tells the class, `type` then maps element name -> class). Fields with the same non-zero
    `choice` exclude each other; exactly one of them is set if `low` is 1.
    """

    name: str
    element: str
    place: str
    type: Kind | type[IntEnum] | type[Node] | dict[str, type[Node]]
    low: int
    high: int
    choice: int = 0


class Node:
    """Base of every class generated from a complex type."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]
    FIELDS: ClassVar[tuple[Field, ...]] = ()
    # For types that no row of fields describes: states of (event, field index, next state), see exi.irregular.
    STATES: ClassVar[tuple[tuple[tuple[str, int, int], ...], ...] | None] = None

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, f.name) == getattr(other, f.name) for f in self.FIELDS)

    def __repr__(self) -> str:
        shown = []
        for field in self.FIELDS:
            value: Any = getattr(self, field.name)
            if value is not None:
                text = value.name if isinstance(value, IntEnum) else repr(value)
                shown.append(f"{field.name}={text}")
        return f"{type(self).__name__}({', '.join(shown)})"


class Message(Node):
    """A node with a global element of its own: it can stand at the root of a document."""

    __slots__ = ()
    SCHEMA: ClassVar[Schema]
    ELEMENT: ClassVar[str]


Value: TypeAlias = "int | bool | str | bytes | IntEnum | Node"
# The document grammar of a generated module: event code -> (element, decoder), class -> (event code, encoder).
RootDecoders: TypeAlias = dict[int, tuple[str, Callable[[int, int], tuple[Message, int]]]]
RootEncoders: TypeAlias = dict[type[Message], tuple[int, Callable[[int, Any], int]]]
