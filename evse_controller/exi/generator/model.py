"""What the generator keeps of XML Schema: names, simple types, elements, particles and complex types."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from lxml import etree

XS = "http://www.w3.org/2001/XMLSchema"
UNBOUNDED = 1 << 30


class SchemaError(Exception):
    """The schema uses something that the generator does not support, or is inconsistent."""


class UnsupportedType(Exception):
    """A built-in type that the generator does not know."""


def refused(node: etree._Element, what: str) -> SchemaError:
    """The error with the file and the line of the construct."""
    name = node.getroottree().docinfo.URL or "schema"
    return SchemaError(f"{name}:{node.sourceline}: {what}")


class QName(NamedTuple):
    """A qualified name; sorts by local name first, as EXI orders names (EXI 1.0, 8.5.4)."""

    local: str
    uri: str

    def __str__(self) -> str:
        return f"{{{self.uri}}}{self.local}"


@dataclass(frozen=True)
class Simple:
    """A simple type reduced to what decides its EXI representation (EXI 1.0, 7.1) and its facets."""

    kind: str  # boolean, integer, string, hex, base64 or enum
    name: QName | None = None
    values: tuple[str, ...] = ()
    low: int | None = None
    high: int | None = None
    min_length: int = 0
    max_length: int | None = None


@dataclass(frozen=True)
class Attribute:
    """An attribute declaration as used by one complex type."""

    name: QName
    type: Simple
    required: bool


@dataclass(eq=False)
class Element:
    """An element declaration; `type` is resolved lazily because types may refer to each other."""

    name: QName
    type_name: QName | None
    node: etree._Element
    is_global: bool = False
    abstract: bool = False
    head: QName | None = None

    @property
    def is_anonymous(self) -> bool:
        """Whether the type is written inside the element."""
        return self.type_name is None


@dataclass
class Particle:
    """A term with its occurrence bounds: an element, a wildcard, a sequence or a choice."""

    kind: str  # element, any, sequence or choice
    low: int = 1
    high: int = 1
    element: Element | None = None
    children: list[Particle] = field(default_factory=list)


@dataclass(eq=False)
class Complex:
    """A complex type with its inherited content already put in front of its own (EXI 1.0, 8.5.4.1.3)."""

    name: QName
    abstract: bool
    attributes: list[Attribute]
    content: Particle | None
    simple: Simple | None
    mixed: bool
    where: str = ""  # file and line, for error messages

    def refused(self, what: str) -> SchemaError:
        """An error about the type."""
        return SchemaError(f"{self.where}: type {self.name.local}: {what}")


_INTEGERS: dict[str, tuple[int | None, int | None]] = {
    "integer": (None, None),
    "nonNegativeInteger": (0, None),
    "positiveInteger": (1, None),
    "nonPositiveInteger": (None, 0),
    "negativeInteger": (None, -1),
    "byte": (-(2**7), 2**7 - 1),
    "short": (-(2**15), 2**15 - 1),
    "int": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
    "unsignedByte": (0, 2**8 - 1),
    "unsignedShort": (0, 2**16 - 1),
    "unsignedInt": (0, 2**32 - 1),
    "unsignedLong": (0, 2**64 - 1),
}
_STRINGS = {"string", "anyURI", "ID", "IDREF", "NCName", "Name", "token", "normalizedString", "NMTOKEN", "language"}


def builtin(local: str) -> Simple:
    """The model of a built-in simple type: what of EXI's datatypes (EXI 1.0, 7.1) the generator supports."""
    if local in _INTEGERS:
        low, high = _INTEGERS[local]
        return Simple("integer", low=low, high=high)
    if local in _STRINGS:
        return Simple("string")
    kinds = {"boolean": "boolean", "hexBinary": "hex", "base64Binary": "base64"}
    if local in kinds:
        return Simple(kinds[local])
    raise UnsupportedType(f"built-in type xs:{local} is not supported")
