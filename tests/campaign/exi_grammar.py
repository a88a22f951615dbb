"""What the messages of a schema can look like, as a set of points that a set of messages must hit.

Everything comes from the description that each message class carries (FIELDS or STATES), nothing from the coders.
The points of a class, which count wherever the class stands inside a message:

- a production: behind which part (below or at a list's maximum, where the grammar differs) which part follows;
  this holds every optional branch, every choice alternative and every way around them
- a length: 0 where the schema allows it, the least, one more, max - 1 and max of a list; 1, 2, 3, 17 (decoders take
  a new window after 16 items), and around the coders' own limit of a list without a maximum
- a value: every enumeration value and both booleans; the ends of an integer's range and of its encodings;
  the shortest and longest text and binary, characters of every encoded length; no content at all
- a member: every element that may stand for a substitution group's head
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import cache
from typing import Any, NamedTuple

from evse_controller.exi.bits import MAX_ITEMS
from evse_controller.messages import Message, Schema
from evse_controller.messages.base import UNBOUNDED, Field, Kind, Node
from evse_controller.messages.codec import coders

START = END = -1
TEXT = 300  # characters or bytes of the longest value where the schema has no limit
_LENGTHS = (1, 2, 3, 17, MAX_ITEMS - 1, MAX_ITEMS)
_INTEGERS = (0, 127, 128, 16_383, 16_384, -1, -128, -129, 2**31, 2**63 - 1, 2**63, -(2**63), 2**159, -(2**159))
_LETTERS = {"two octets": "\u00e9", "three octets": "\U0001d11e", "line": "]]>&<\"'"}

Shape = list[tuple[int, int]]  # (field index, how many), in the order of the content


class Point(NamedTuple):
    """One thing that a class can do; `what` is production, length, value or member."""

    cls: type[Node]
    what: str
    field: str
    detail: object

    def __str__(self) -> str:
        return f"{self.cls.__name__}: {self.what} {self.field} {self.detail}"


class Class:
    """The points of one message class and the shortest content through each of its productions."""

    def __init__(self, cls: type[Node]) -> None:
        self.cls = cls
        self.fields = cls.FIELDS
        self.names = [field.name for field in cls.FIELDS]
        self.productions = dict(self._state_productions() if cls.STATES is not None else self._row_productions())
        self.options = {field.name: options(field) for field in cls.FIELDS}
        self._labels = {name: _by_value(values) for name, values in self.options.items()}
        self.members = {field.name: _members(field) for field in cls.FIELDS}
        # In a type described by states an item more is a production more, which is not always there.
        self.lists = cls.STATES is None

    def points(self) -> Iterator[Point]:
        """All points of the class."""
        for (source, full, target), _ in self.productions.items():
            yield self.production(source, full, target)
        for field in self.fields:
            for count in lengths(field) if self.cls.STATES is None else ():
                yield Point(self.cls, "length", field.name, count)
            for label in self.options[field.name]:
                yield Point(self.cls, "value", field.name, label)
            if isinstance(field.type, dict):
                for name in field.type:
                    yield Point(self.cls, "member", field.name, name)

    def production(self, source: int, full: bool, target: int) -> Point:
        """The point of a production; in a type described by states, `source` is the state."""
        if self.cls.STATES is not None:
            return Point(self.cls, "production", f"state {source}", self.names[target] if target >= 0 else "end")
        before = "start" if source == START else f"full {self.names[source]}" if full else self.names[source]
        return Point(self.cls, "production", before, self.names[target] if target >= 0 else "end")

    def hits(self, node: Node) -> Iterator[Point]:
        """The points that one node of the class hits, without those of the nodes inside it."""
        contents = [_items(getattr(node, name)) for name in self.names]
        yield from self._state_hits(contents) if self.cls.STATES is not None else self._row_hits(contents)
        for field, items in zip(self.fields, contents, strict=True):
            if self.cls.STATES is None and field.high > 1:
                yield Point(self.cls, "length", field.name, len(items))
            labels = self._labels[field.name]
            for item in items if labels or isinstance(field.type, dict) else ():
                if isinstance(field.type, dict):
                    name = next(name for name, cls in field.type.items() if type(item) is cls)
                    yield Point(self.cls, "member", field.name, name)
                else:
                    for label in labels.get((type(item), item), ()):
                        yield Point(self.cls, "value", field.name, label)

    def shape_with(self, name: str) -> Shape:
        """The shortest content with the field in it."""
        index = self.names.index(name)
        shapes = [s for (_, _, target), s in self.productions.items() if target == index]
        return min(shapes, key=lambda shape: sum(count for _, count in shape))

    def least(self) -> Shape:
        """The shortest content."""
        return min((s for s in self.productions.values()), key=lambda shape: sum(count for _, count in shape))

    # a row of fields

    def _row_productions(self) -> Iterator[tuple[tuple[int, bool, int], Shape]]:
        heads = {START: list[int]()}
        tails: dict[int, list[int]] = {}
        for index in range(len(self.fields) - 1, START - 1, -1):
            tails[index] = min(([t, *tails[t]] if t != END else [] for t in self._after(index)), key=len)
        for index in range(START, len(self.fields)):
            for target in self._after(index):
                if target != END and (target not in heads or len(heads[target]) > len(heads[index])):
                    heads[target] = [*heads[index], target]
        for index in range(START, len(self.fields)):
            for target in self._after(index):
                chosen = [*heads[index], *([target, *tails[target]] if target != END else [])]
                for full in self._ends(index):
                    yield (index, full, target), [(i, self._count(i, full and i == index)) for i in chosen]

    def _ends(self, index: int) -> list[bool]:
        """Whether what follows a list differs: it may end below its maximum or at it."""
        if index == START or not 1 < self.fields[index].high < UNBOUNDED:
            return [False]
        return [True] if self.fields[index].low == self.fields[index].high else [False, True]

    def _count(self, index: int, full: bool) -> int:
        return self.fields[index].high if full else max(self.fields[index].low, 1)

    def _after(self, index: int) -> Iterator[int]:
        """What may follow a field: later ones up to the first that is required, or the end."""
        group = self.fields[index].choice if index >= 0 else 0
        required = 0
        for later in range(index + 1, len(self.fields)):
            field = self.fields[later]
            if group and field.choice == group:
                continue
            if required and field.choice != required:
                return
            yield later
            if field.low:
                if not field.choice:
                    return
                required = field.choice
        if not required:
            yield END

    def _row_hits(self, contents: list[list[Any]]) -> Iterator[Point]:
        before, full = START, False
        for index, items in enumerate(contents):
            if items:
                yield self.production(before, full, index)
                high = self.fields[index].high
                before, full = index, 1 < high == len(items)
        yield self.production(before, full, END)

    # a table of states

    def _state_productions(self) -> Iterator[tuple[tuple[int, bool, int], Shape]]:
        """Without foreign and mixed content, and with repeated choices in the schema's order (see `out_of_reach`)."""
        assert self.cls.STATES is not None
        heads: dict[int, list[int]] = {0: []}
        queue = [0]
        for state in queue:
            for target, following in self._edges(state):
                if target != END and following not in heads and self._in_order(heads[state], target):
                    heads[following] = [*heads[state], target]
                    queue.append(following)
        for state in sorted(heads):
            for target, following in self._edges(state):
                path = heads[state]
                if target != END:
                    if not self._in_order(path, target):
                        continue
                    path = [*path, target, *self._tail(following, target)]
                yield (state, False, target), [(index, 1) for index in path]

    def _edges(self, state: int) -> list[tuple[int, int]]:
        assert self.cls.STATES is not None
        return [(index, to) for event, index, to in self.cls.STATES[state] if event == "EE" or index >= 0]

    @staticmethod
    def _in_order(path: list[int], target: int) -> bool:
        return not path or target >= path[-1]

    def _tail(self, state: int, last: int) -> list[int]:
        """The shortest way to the end that keeps the order."""
        queue = [(state, last, list[int]())]
        for here, newest, path in queue:
            for target, following in self._edges(here):
                if target == END:
                    return path
                if target > newest:
                    queue.append((following, target, [*path, target]))
        raise AssertionError(f"{self.cls.__name__} has no end behind state {state}")

    def out_of_reach(self) -> list[Point]:
        """Productions that no typed message can ask for (they are in no set of points).

        A repeated choice that goes back in the schema's order, and what follows foreign elements.
        """
        if self.cls.STATES is None:
            return []
        every = [self.production(s, False, t) for s in range(len(self.cls.STATES)) for t, _ in self._edges(s)]
        covered = set(self.points())
        return [point for point in every if point not in covered]

    def _state_hits(self, contents: list[list[Any]]) -> Iterator[Point]:
        left = [len(items) for items in contents]
        state = 0
        while state != END:
            edges = self._edges(state)
            index, following = next(
                (i, f) for i, f in edges if (i != END and left[i]) or (i == END and not any(left))
            )
            yield self.production(state, False, index)
            if index != END:
                left[index] -= 1
            state = following


def _items(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def lengths(field: Field) -> list[int]:
    """The lengths of a list that matter; nothing for a single value."""
    if field.high == 1:
        return []
    if field.high >= UNBOUNDED:
        wanted = {0, *_LENGTHS}
    else:
        least = max(field.low, 1)
        wanted = {0, least, least + 1, field.high - 1, field.high}
    return sorted(count for count in wanted if field.low <= count <= field.high)


def _members(field: Field) -> list[type[Node]]:
    if isinstance(field.type, dict):
        return list(field.type.values())
    return [field.type] if isinstance(field.type, type) and issubclass(field.type, Node) else []


def options(field: Field) -> dict[str, Any]:
    """The simple values of a field that matter, each with what is special about it."""
    kind = field.type
    if isinstance(kind, Kind):
        return dict(_simple(kind))
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return {member.name: member for member in kind}
    return {}


def _by_value(values: dict[str, Any]) -> dict[tuple[type, Any], list[str]]:
    labels: dict[tuple[type, Any], list[str]] = {}
    for label, value in values.items():
        labels.setdefault((type(value), value), []).append(label)
    return labels


def _simple(kind: Kind) -> Iterator[tuple[str, Any]]:
    if kind.base == "boolean":
        yield from (("false", False), ("true", True))
    elif kind.base == "integer":
        ends = [end for end in (kind.low, kind.high) if end is not None]
        for number in dict.fromkeys((*ends, *_INTEGERS)):
            if (kind.low is None or number >= kind.low) and (kind.high is None or number <= kind.high):
                yield str(number), number
    else:
        text = kind.base == "string"
        longest = TEXT if kind.max_length is None else kind.max_length
        for length in sorted({kind.min_length, max(kind.min_length, 1), longest}):
            yield f"length {length}", _text(length) if text else bytes(i * 37 + 1 & 255 for i in range(length))
        if text:
            for label, letters in _LETTERS.items():
                yield label, (letters * max(kind.min_length, 1))[:longest]


def _text(length: int) -> str:
    return ("Az09-_." * (length // 7 + 1))[:length]


_CLASSES: dict[type[Node], Class] = {}


def class_of(cls: type[Node]) -> Class:
    """The description of a class, made once."""
    if cls not in _CLASSES:
        _CLASSES[cls] = Class(cls)
    return _CLASSES[cls]


Ways = dict[type[Node], tuple[type[Node], str] | None]


def ways_from(roots: Iterable[type[Node]]) -> Ways:
    """Every class that can stand in one of the roots, with the parent and field of a shortest way to it.

    The roots themselves have no way.
    """
    ways: Ways = dict.fromkeys(roots)
    queue = list(ways)
    for cls in queue:
        for name, members in class_of(cls).members.items():
            for member in members:
                if member not in ways:
                    ways[member] = (cls, name)
                    queue.append(member)
    return ways


@cache
def reachable(schema: Schema) -> Ways:
    """Every class that a document of the schema can hold."""
    return ways_from(message_classes(schema))


# Their content is a foreign element by definition.
_FOREIGN = {"SignatureProperty", "SignatureProperties"}


def message_classes(schema: Schema) -> list[type[Message]]:
    """Every class that can stand at the root of a document of the schema set."""
    return [cls for cls in coders(schema).ROOT_ENCODERS if cls.__name__ not in _FOREIGN]


def all_points(ways: Ways) -> set[Point]:
    """Every point of every class."""
    return {point for cls in ways for point in class_of(cls).points()}


def empty_values(ways: Ways) -> set[Point]:
    """The points of elements without text, which EXIficient writes in another way than we do; not attributes."""
    return {
        Point(cls, "value", field.name, "length 0")
        for cls in ways
        for field in cls.FIELDS
        if field.place != "attribute" and "length 0" in class_of(cls).options[field.name]
    }


def points_of(node: Node) -> set[Point]:
    """Every point that a message hits, with all that is inside it."""
    found: set[Point] = set()
    queue = [node]
    for inner in queue:
        described = class_of(type(inner))
        found.update(described.hits(inner))
        for name, members in described.members.items():
            if members:
                queue += _items(getattr(inner, name))
    return found
