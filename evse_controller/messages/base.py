"""What all generated message classes share: description of their fields, equality, readable representation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from importlib import import_module
from reprlib import recursive_repr
from typing import Any, ClassVar, NamedTuple, TypeAlias

from evse_controller.exi.leniency import Deviation
from evse_controller.exi.naming import module_name

UNBOUNDED = 1 << 30
GENERATED = "evse_controller.messages.generated"


class _Schemas(type):
    """Lets the class Schema itself be iterated over and indexed by name."""

    def __iter__(cls) -> Iterator[Schema]:
        return iter(tuple(_BY_NAMESPACE.values()))

    def __getitem__(cls, name: str) -> Schema:
        return {schema.name: schema for schema in cls}[name]


class Schema(metaclass=_Schemas):
    """A schema set that a payload may be encoded with: the protocol's own name for one EXI grammar.

    There is one object for each, so `is` compares them. `name` is the constant's name, `namespace` that of the
    set's root, `module` the module of the set in `evse_controller.messages.generated`. Beside the known ones stand
    those that a user generated from schemas of their own; `Schema.of` finds them.
    """

    __slots__ = ("module", "name", "namespace")
    name: str
    namespace: str
    module: str

    APP_PROTOCOL: ClassVar[Schema]
    XMLDSIG: ClassVar[Schema]
    DIN70121: ClassVar[Schema]
    ISO2: ClassVar[Schema]
    ISO20_COMMON: ClassVar[Schema]
    ISO20_DC: ClassVar[Schema]
    ISO20_AC: ClassVar[Schema]
    ISO20_ACDP: ClassVar[Schema]
    ISO20_WPT: ClassVar[Schema]

    def __setattr__(self, attribute: str, value: object) -> None:
        raise AttributeError("a schema does not change")

    def __repr__(self) -> str:
        return f"Schema.{self.name}"

    def __reduce__(self) -> tuple[Callable[[str], Schema], tuple[str]]:
        return Schema.of, (self.namespace,)

    @staticmethod
    def declare(name: str, namespace: str, module: str) -> Schema:
        """The schema of a generated module, entered into the list; the same one if it stands there already."""
        known = _BY_NAMESPACE.get(namespace)
        if known is None:
            if any(name == other.name or module == other.module for other in _BY_NAMESPACE.values()):
                raise ValueError(f"{namespace}: another schema or module is called {name} already")
            known = object.__new__(Schema)
            for attribute, value in (("name", name), ("namespace", namespace), ("module", module)):
                object.__setattr__(known, attribute, value)
            _BY_NAMESPACE[namespace] = known
        return known

    @staticmethod
    def of(namespace: str) -> Schema:
        """The schema of a namespace: a known one, or one whose module a user has generated. LookupError if neither.

        The module of such a schema is looked for in the folders that the environment variable
        EVSE_CONTROLLER_SCHEMAS names; importing it enters its schema into the list.
        """
        if namespace not in _BY_NAMESPACE:
            module = f"{GENERATED}.{module_name(namespace)}"
            try:
                import_module(module)
            except ModuleNotFoundError as error:
                if error.name != module:
                    raise
        if namespace not in _BY_NAMESPACE:
            raise LookupError(f"no schema of namespace {namespace!r} is known or has been generated")
        return _BY_NAMESPACE[namespace]


_BY_NAMESPACE: dict[str, Schema] = {}
Schema.APP_PROTOCOL = Schema.declare("APP_PROTOCOL", "urn:iso:15118:2:2010:AppProtocol", "app_protocol")
Schema.XMLDSIG = Schema.declare("XMLDSIG", "http://www.w3.org/2000/09/xmldsig#", "xmldsig")
Schema.DIN70121 = Schema.declare("DIN70121", "urn:din:70121:2012:MsgDef", "din70121")
Schema.ISO2 = Schema.declare("ISO2", "urn:iso:15118:2:2013:MsgDef", "iso2")
Schema.ISO20_COMMON = Schema.declare("ISO20_COMMON", "urn:iso:std:iso:15118:-20:CommonMessages", "common_messages")
Schema.ISO20_DC = Schema.declare("ISO20_DC", "urn:iso:std:iso:15118:-20:DC", "dc")
Schema.ISO20_AC = Schema.declare("ISO20_AC", "urn:iso:std:iso:15118:-20:AC", "ac")
Schema.ISO20_ACDP = Schema.declare("ISO20_ACDP", "urn:iso:std:iso:15118:-20:ACDP", "acdp")
Schema.ISO20_WPT = Schema.declare("ISO20_WPT", "urn:iso:std:iso:15118:-20:WPT", "wpt")


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

    @recursive_repr("...")
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

    __slots__ = ("_deviations",)
    _deviations: tuple[Deviation, ...]
    SCHEMA: ClassVar[Schema]
    ELEMENT: ClassVar[str]

    @property
    def deviations(self) -> tuple[Deviation, ...]:
        """How the data that were decoded deviate from the schema; empty if they do not, or nothing was decoded.

        They say how the message came, not what it is: they count for nothing in comparisons and in encoding.
        """
        return getattr(self, "_deviations", ())

    @recursive_repr("...")
    def __repr__(self) -> str:
        text = super().__repr__()
        if not self.deviations:
            return text
        return f"{text[:-1]}{', ' if text[-2] != '(' else ''}deviations={self.deviations!r})"


Value: TypeAlias = "int | bool | str | bytes | IntEnum | Node"
# The document grammar of a generated module: event code -> (element, decoder), class -> (event code, encoder).
RootDecoders: TypeAlias = dict[int, tuple[str, Callable[[int, int], tuple[Message, int]]]]
RootEncoders: TypeAlias = dict[type[Message], tuple[int, Callable[[int, Any], int]]]
# The fragment grammar, as far as signatures refer to it: element -> (event code, class, decoder, encoder).
FragmentCoders: TypeAlias = dict[
    str, tuple[int, type[Node], Callable[[int, int], tuple[Node, int]], Callable[[int, Any], int]]
]
