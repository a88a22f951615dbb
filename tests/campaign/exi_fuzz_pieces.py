"""A second EXI encoder, which checks nothing and remembers where every piece of a document begins.

It reads only what each message class tells of itself (FIELDS, STATES), so a message object that breaks the schema
(values over their facets, lists over their maximum, wrong classes) still becomes bits in the form that the schema's
grammar gives them. Where the product's encoder accepts the message both must give the same bytes; tests hold that.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from typing import Any, NamedTuple

from evse_controller.exi.irregular import States
from evse_controller.messages import Message, Node, Schema
from evse_controller.messages.base import Field, Kind
from evse_controller.messages.codec import HEADER, coders

FIXED_RANGE = 4096  # integers with at most this many values take a fixed number of bits (EXI 1.0, 7.1.5)


class Piece(NamedTuple):
    """Some bits of a document with one meaning.

    `role` is code (event code, one of `values` productions), number (one of `values`), uint (variable length, at
    most `values`), length (of a string, plus two, or of octets), text, octets or bit.
    """

    start: int
    width: int
    role: str
    values: int


class Document(NamedTuple):
    """A document as one number of `size` bits, without padding, and its pieces in order."""

    bits: int
    size: int
    pieces: list[Piece]

    def data(self) -> bytes:
        """The document as octets."""
        padding = -self.size % 8
        return (self.bits << padding).to_bytes((self.size + padding) // 8, "big")


class Row(NamedTuple):
    """A regular type: its items (fields that compete), the number of each one's first production, and the end's."""

    items: list[list[tuple[Field, list[str]]]]
    base: list[int]
    productions: list[int]  # by state, the end element included


def width_of(count: int) -> int:
    """The width of an event code: one code more than there are productions leads to the second level."""
    return count.bit_length()


def names_of(field: Field) -> list[str]:
    """The elements that compete in a field's place; a head that is abstract stands in no table, but has its code."""
    if not isinstance(field.type, dict):
        return [field.element]
    names = list(field.type)
    return names if field.element in names else sorted([*names, field.element])


@cache
def row_of(cls: type[Node]) -> Row:
    """The event codes of a class that a row of fields describes."""
    items: list[list[tuple[Field, list[str]]]] = []
    choice = 0
    for field in cls.FIELDS:
        if field.choice and field.choice == choice:
            items[-1].append((field, names_of(field)))
        else:
            items.append([(field, names_of(field))])
        choice = field.choice
    sizes = [sum(len(names) for _, names in item) for item in items]
    base = [sum(sizes[:index]) for index in range(len(sizes) + 1)]
    productions = []
    for state in range(len(items) + 1):
        count = 1
        for item, size in zip(items[state:], sizes[state:], strict=True):
            count += size
            if item[0][0].low:
                count -= 1
                break
        productions.append(count)
    return Row(items, base, productions)


def uint(value: int) -> tuple[int, int]:
    """An unsigned integer (7.1.6): its bits and their number."""
    bits, width = 0, 0
    while value > 127:
        bits, width = bits << 8 | value & 127 | 128, width + 8
        value >>= 7
    return bits << 8 | value, width + 8


class Writer:
    """Writes one document; with `c_lists`, full lists end as the common C encoder ends them.

    With `empties`, empty elements end by the second-level end element, as EXIficient ends them.
    """

    def __init__(self, c_lists: bool = False, empties: bool = False) -> None:
        self.c_lists = c_lists
        self.empties = empties
        self.parts: list[str] = []
        self.pieces: list[Piece] = []
        self.size = 0

    def document(self, message: Message) -> Document:
        """The document of a message; only the root's class must be one of the schema's."""
        module = coders(message.SCHEMA)
        self._put("bit", HEADER, 8, 0)
        self._put("code", module.ROOT_ENCODERS[type(message)][0], module.DOCUMENT_BITS, len(module.ROOT_ENCODERS))
        self._node(message)
        return self._done()

    def fragment(self, schema: Schema, element: str, node: Node) -> Document:
        """The fragment of an element."""
        module = coders(schema)
        self._put("bit", HEADER, 8, 0)
        self._put("code", module.FRAGMENT_CODERS[element][0], module.FRAGMENT_BITS, module.FRAGMENT_END)
        self._node(node)
        self._put("code", module.FRAGMENT_END, module.FRAGMENT_BITS, module.FRAGMENT_END)
        return self._done()

    def _done(self) -> Document:
        return Document(int("".join(self.parts), 2), self.size, self.pieces)

    def _put(self, role: str, value: int, width: int, count: int) -> None:
        if width:
            self.pieces.append(Piece(self.size, width, role, count))
            self.parts.append(f"{value & (1 << width) - 1:0{width}b}")
            self.size += width

    def _code(self, code: int, count: int) -> None:
        self._put("code", code, width_of(count), count)

    def _uint(self, role: str, value: int, count: int = 0) -> None:
        bits, width = uint(value)
        self._put(role, bits, width, count)

    def _node(self, node: Node) -> None:
        if node.STATES is not None:
            self._states(node, node.STATES)
            return
        row = row_of(type(node))
        # A state is its productions' number and what the first of them is in the type's own numbering.
        first, count = 0, row.productions[0]
        for index, item in enumerate(row.items):
            number = row.base[index]
            for field, names in item:
                value = getattr(node, field.name)
                if value is not None:
                    element = getattr(value, "ELEMENT", "")
                    code = number + (names.index(element) if element in names else 0)
                    for position, one in enumerate(value if isinstance(value, list) else [value]):
                        self._code(code - first, count)
                        self._value(one, field)
                        first, count = row.base[index + 1], row.productions[index + 1]
                        if position + 1 < field.low:
                            first, count = first - 1, 1
                        elif field.high > 1 and (position + 1 != field.high or self.c_lists):
                            first, count = first - 1, count + 1  # another item may follow
                number += len(names)
        self._code(row.base[-1] - first, count)

    def _states(self, node: Node, states: States) -> None:
        pending = [getattr(node, field.name) for field in node.FIELDS]
        queues = [list(v) if isinstance(v, list) else [] if v is None else [v] for v in pending]
        state = 0
        while True:
            edges = states[state]
            fitting = [c for c, (_, field, _) in enumerate(edges) if field >= 0 and queues[field]]
            ends = [c for c, (event, _, _) in enumerate(edges) if event == "EE"]
            code = (fitting or ends or [len(edges)])[0]
            self._code(code, len(edges))
            if not fitting:
                return
            field, state = edges[code][1:]
            self._value(queues[field].pop(0), node.FIELDS[field])

    def _value(self, value: Any, field: Field) -> None:
        if isinstance(value, Node):
            self._node(value)
            return
        boxed = field.place in ("element", "substitution")
        if boxed and self.empties and value in ("", b""):
            self._put("code", 0b1000, 4, 1)
            return
        if boxed:
            self._code(0, 1)
        self._simple(value, field.type)
        if boxed:
            self._code(0, 1)

    def _simple(self, value: Any, kind: Any) -> None:
        if isinstance(value, str):
            self._uint("length", len(value) + 2)
            for character in value:
                self._uint("text", ord(character))
        elif isinstance(value, bytes):
            self._uint("length", len(value))
            self._put("octets", int.from_bytes(value, "big"), 8 * len(value), 0)
        elif isinstance(value, bool):
            self._put("bit", value, 1, 2)
        elif not isinstance(kind, Kind):
            count = len(kind) if isinstance(kind, type) and issubclass(kind, IntEnum) else 1
            self._put("number", value, (count - 1).bit_length(), count)
        elif kind.low is not None and kind.high is not None and kind.high - kind.low < FIXED_RANGE:
            count = kind.high - kind.low + 1
            self._put("number", value - kind.low, (count - 1).bit_length(), count)
        elif kind.low is not None and kind.low >= 0:
            self._uint("uint", abs(value), kind.high or 0)
        else:
            self._put("bit", value < 0, 1, 2)
            self._uint("uint", value if value >= 0 else -1 - value, kind.high or 0)
