"""Mutations: of a frame's bits, of the pieces that a document is made of, and of message objects.

Pieces know what their bits mean, so that a mutated event code leads somewhere and a mutated length is a length.
Objects are changed where the schema draws a line: values at and over their facets, lists at 0, 1, max-1, max and
max+1 items, options taken away and put in, substitutes and whole parts swapped for others.
"""

from __future__ import annotations

import random
from enum import IntEnum
from typing import Any

from evse_controller.messages import Message, Node
from evse_controller.messages.base import Field, Kind
from tests.campaign.exi_fuzz_pieces import Document, Piece, uint

UNBOUNDED = 1 << 20  # a larger maximum of a list means none
NO_BOUND = 130  # items that a list without a maximum is repeated to: more than the coders accept
_NUMBERS = (0, 1, 2, 127, 128, 129, 16383, 16384, 2**31, 2**32, 2**63, 2**64 - 1, 2**64, 2**70, 2**203, 2**300)
_LENGTHS = (0, 1, 2, 3, 66, 127, 128, 4096, 4098, 4099, 8192, 8193, 2**16, 2**20, 2**32, 2**35 - 1, 2**35, 2**64)
_POINTS = (0, 0x7F, 0x80, 0xE9, 0x7FF, 0x20AC, 0xD800, 0xDFFF, 0xFFFF, 0x1D11E, 0x10FFFF, 0x110000, 2**21 - 1, 2**28)
_TEXTS = ("", "\0", "x", "é€", "\U0001d11e" * 3, "\ud800", "a" * 500)


def mutate_bits(rng: random.Random, frame: bytes, others: list[bytes]) -> bytes:
    """A frame with something wrong in it, whatever it means."""
    size = 8 * len(frame)
    kind = rng.randrange(6)
    if kind == 0:
        return frame[: rng.randrange(len(frame))]
    if kind == 1:
        other = rng.choice(others)
        return frame[: rng.randrange(1, len(frame))] + other[rng.randrange(1, len(other)):]
    value = int.from_bytes(frame, "big")
    if kind == 2:
        for _ in range(rng.randint(1, 8)):
            value ^= 1 << rng.randrange(size - 8)
    elif kind == 3:
        width = min(rng.choice((3, 8, 16, 40, 200)), size - 9)
        value |= (1 << width) - 1 << rng.randrange(size - 8 - width)
    elif kind == 4:
        width = min(rng.choice((3, 8, 16, 40, 200)), size - 9)
        value &= ~((1 << width) - 1 << rng.randrange(size - 8 - width))
    else:
        # Insert bits: everything behind shifts, so that values are read as event codes and the other way round.
        at, width = rng.randrange(size - 8), rng.randint(1, 16)
        high, low = value >> at, value & (1 << at) - 1
        value = (high << width | rng.getrandbits(width)) << at | low
        size += width
        value <<= -size % 8
        size += -size % 8
    return value.to_bytes(size // 8, "big")


class PieceMutator:
    """Makes frames from one document by changing some of its pieces."""

    def __init__(self, rng: random.Random, document: Document) -> None:
        self.rng = rng
        self.bits, self.size = document.bits, document.size
        self.pieces = document.pieces[1:]  # without the header octet
        # The characters of texts are many and alike.
        self.structure = [p for p in self.pieces if p.role != "text"] or self.pieces

    def frame(self) -> bytes:
        """The next frame."""
        rng = self.rng
        count = rng.choice((1, 1, 1, 2, 3))
        chosen = {rng.choice(self.pieces if rng.random() < 0.1 else self.structure) for _ in range(count)}
        bits, size = self.bits, self.size
        for piece in sorted(chosen, reverse=True):  # from the end, so that the places before stay
            new, width = self._changed(piece)
            behind = self.size - piece.start - piece.width + (size - self.size)
            bits = (bits >> behind + piece.width << width | new) << behind | bits & (1 << behind) - 1
            size += width - piece.width
        how = rng.randrange(40)
        padding = -size % 8
        bits <<= padding
        if how == 0:
            bits |= rng.getrandbits(padding) if padding else 0
        data = bits.to_bytes((size + padding) // 8, "big")
        if how == 1:
            return data + rng.choice((b"\0", b"\0\0\0", b"\xff", rng.randbytes(rng.randint(1, 40))))
        if how == 2:
            return data[: rng.choice(self.pieces).start // 8 + 1]
        return data

    def _changed(self, piece: Piece) -> tuple[int, int]:
        """Other bits in the place of a piece, and their number."""
        rng, width = self.rng, piece.width
        how = rng.randrange(10)
        if how == 0:  # the piece goes, or stands twice
            if rng.random() < 0.5:
                return 0, 0
            old = self._old(piece)
            return old << width | old, 2 * width
        if how == 1:
            extra = rng.randint(1, 12)
            return rng.getrandbits(extra) << width | self._old(piece), width + extra
        if piece.role == "code":
            return self._code(piece)
        if piece.role == "number":
            top = (1 << width) - 1
            return rng.choice((0, 1, piece.values - 1, piece.values, top, rng.getrandbits(width))) & top, width
        if piece.role == "octets":
            return rng.choice((0, (1 << width) - 1, rng.getrandbits(width))), width
        if piece.role == "bit":
            return self._old(piece) ^ 1, width
        return self._varying(piece)

    def _old(self, piece: Piece) -> int:
        return self.bits >> self.size - piece.start - piece.width & (1 << piece.width) - 1

    def _code(self, piece: Piece) -> tuple[int, int]:
        """Another event code; now and then of the width that it would have at a list's maximum, or before it."""
        rng, width = self.rng, piece.width
        how = rng.randrange(8)
        if how == 0:
            return self._old(piece) & 1, max(1, width - 1)
        if how == 1:
            return self._old(piece), width + 1
        if how == 2:  # the escape to the second level, and an event there
            return piece.values << 3 | rng.choice((0, 0, rng.getrandbits(3))), width + 3
        return rng.getrandbits(width), width

    def _varying(self, piece: Piece) -> tuple[int, int]:
        """Another number in variable length; now and then longer than it need be, or without an end."""
        rng = self.rng
        choices = {"length": _LENGTHS, "text": _POINTS}.get(piece.role, (*_NUMBERS, piece.values, piece.values + 1))
        value = rng.choice(choices)
        if piece.role != "text" and rng.random() < 0.3:
            value = max(0, self._old(piece) + rng.choice((-1, 1))) if piece.width == 8 else rng.getrandbits(14)
        bits, width = uint(value)
        how = rng.randrange(12)
        if how == 0:  # groups of zeros behind the last
            more = rng.choice((1, 2, 10, 30))
            for _ in range(more):
                bits = (bits | 128) << 8
            width += 8 * more
        elif how == 1:
            more = rng.choice((1, 5, 40, 300))
            bits, width = int.from_bytes(b"\xff" * more, "big") << width | bits, width + 8 * more
        return bits, width


class ObjectMutator:
    """Makes messages that the schema forbids, or nearly does, from messages of the same schema."""

    def __init__(self, rng: random.Random, donors: list[Message]) -> None:
        self.rng = rng
        self.parts: dict[tuple[type[Node], str], list[Any]] = {}
        self.nodes: list[Node] = []
        for message in donors:
            for node in walk(message):
                self.nodes.append(node)
                for field in node.FIELDS:
                    value = getattr(node, field.name)
                    kept = self.parts.setdefault((type(node), field.name), [])
                    if value is not None and len(kept) < 8:
                        kept.append(value)

    def changed(self, message: Message, most: int = 4000) -> Message:
        """A copy with 1 to 4 changes; lists grow only as long as the copy keeps within `most` nodes."""
        result: Message = copy(message)
        nodes = list(walk(result))
        room = most - len(nodes)
        for _ in range(self.rng.randint(1, 4)):
            node = self.rng.choice(nodes)
            if node.FIELDS:
                field = self.rng.choice(node.FIELDS)
                room -= self._change(node, field, max(room, 0))
        return result

    def _change(self, node: Node, field: Field, room: int) -> int:
        rng = self.rng
        value = getattr(node, field.name)
        donors = self.parts.get((type(node), field.name), [])
        if value is None:
            setattr(node, field.name, rng.choice(donors) if donors else self._value(field))
            return 0
        if (not field.low and rng.random() < 0.4) or rng.random() < 0.03:
            setattr(node, field.name, None)
            return 0
        if isinstance(value, list):
            cost = 1 + sum(1 for item in value if isinstance(item, Node) for _ in walk(item))
            highest = NO_BOUND if field.high > UNBOUNDED else field.high
            count = rng.choice((0, 1, highest - 1, highest, highest, highest + 1))
            count = min(count, max(len(value), room * len(value) // cost))
            setattr(node, field.name, (value * (count // max(len(value), 1) + 1))[:count])
            return cost * count // max(len(value), 1)
        if isinstance(value, Node):
            if isinstance(field.type, dict) and rng.random() < 0.7:
                members = [n for n in self.nodes if type(n) in field.type.values()]
                setattr(node, field.name, rng.choice(members or self.nodes))
            elif rng.random() < 0.3:
                setattr(node, field.name, rng.choice(donors or self.nodes))
            return 0
        setattr(node, field.name, self._value(field))
        return 0

    def _value(self, field: Field) -> Any:
        """A value of a field, in or out of its bounds."""
        rng, kind = self.rng, field.type
        if isinstance(kind, dict) or (isinstance(kind, type) and issubclass(kind, Node)):
            one: Any = copy(rng.choice(self.nodes))
        elif not isinstance(kind, Kind):
            assert issubclass(kind, IntEnum)
            one = rng.randrange(2 * len(kind))
        elif kind.base == "boolean":
            one = rng.random() < 0.5
        elif kind.base == "integer":
            edges = [edge for edge in (kind.low, kind.high) if edge is not None]
            one = rng.choice([e + d for e in edges for d in (-1, 0, 1)] + [rng.choice(_NUMBERS), -rng.choice(_NUMBERS)])
        else:
            most = 300 if kind.max_length is None else kind.max_length
            count = rng.choice((0, max(kind.min_length - 1, 0), kind.min_length, most - 1, most, most + 1))
            if kind.base == "string":
                one = rng.choice((*_TEXTS, "a" * count, "é" * count))
            else:
                one = rng.randbytes(max(count, 0))
        return [one] if field.high > 1 else one


def walk(node: Node) -> list[Node]:
    """A node and all nodes below it."""
    found = [node]
    for one in found:  # grows while it is read
        for field in one.FIELDS:
            value = getattr(one, field.name)
            if isinstance(value, Node):
                found.append(value)
            elif isinstance(value, list):
                found += [item for item in value if isinstance(item, Node)]
    return found


def copy(node: Any) -> Any:
    """A copy of a node with copies of all nodes below it."""
    other = object.__new__(type(node))
    for field in node.FIELDS:
        value = getattr(node, field.name)
        if isinstance(value, Node):
            value = copy(value)
        elif isinstance(value, list):
            value = [copy(item) if isinstance(item, Node) else item for item in value]
        setattr(other, field.name, value)
    return other
