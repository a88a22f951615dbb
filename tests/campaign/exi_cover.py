"""Messages that hit every point of a schema (see exi_grammar): few enough, and always the same ones.

The classes are taken in turn. While a class has points left, a message is made with the least content on the
shortest way to that class; the class itself has a shape and values that hit points not hit yet. What stands inside
it does the same for its own class, as long as the message stays small.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from evse_controller.messages import Message, Schema
from evse_controller.messages.base import Field, Kind, Node
from tests.campaign.exi_grammar import (
    Class,
    Point,
    Shape,
    Ways,
    all_points,
    class_of,
    empty_values,
    points_of,
    reachable,
)

_TOGETHER = 8  # nodes of one message that hit points of their own
_ITEMS = 8  # items of a list that is made for the sake of its items' values


class CoverageMaker:
    """Makes nodes of the roots of some ways; `empty` asks for those with empty texts and binaries instead."""

    def __init__(self, ways: Ways, empty: bool = False) -> None:
        self.ways = ways
        self.left: dict[type[Node], dict[Point, None]] = {}
        empties = empty_values(ways)
        for point in sorted(empties if empty else all_points(ways) - empties, key=str):
            self.left.setdefault(point.cls, {})[point] = None
        self.spare = 0
        self.counter = 0

    def nodes(self) -> Iterator[Node]:
        """One node after the other until no point is left."""
        for cls in self.ways:
            while self.left.get(cls):
                before = len(self.left[cls])
                node = self._root(cls)
                for point in points_of(node):
                    if point.cls in self.left:
                        self.left[point.cls].pop(point, None)
                if len(self.left[cls]) == before:
                    raise AssertionError(f"cannot reach {next(iter(self.left[cls]))}")
                yield node

    def _root(self, cls: type[Node]) -> Node:
        """A root with the class in it."""
        self.spare = _TOGETHER
        way: list[tuple[type[Node], str]] = []
        step = self.ways[cls]
        while step is not None:
            way.insert(0, step)
            step = self.ways[step[0]]
        return self._towards(way, cls)

    def _towards(self, way: list[tuple[type[Node], str]], goal: type[Node]) -> Node:
        """The least content of the way's first class that holds its second, and so on to the goal."""
        if not way:
            return self._focus(goal)
        (cls, name), *rest = way
        described = class_of(cls)
        shape = described.shape_with(name)
        if not rest:
            shape = _with_room(described, shape, {name})
        inner = self._towards(rest, goal)
        values: dict[str, list[Any]] = {}
        for index, count in shape:
            field = described.fields[index]
            if field.name == name:
                items = [inner] + [self._node(type(inner)) for _ in range(count - 1)]
            else:
                items = [self._plain(field) for _ in range(count)]
            values.setdefault(field.name, []).extend(items)
        return _made(described, values)

    def _focus(self, cls: type[Node]) -> Node:
        """A node that hits points of its class that are left."""
        described = class_of(cls)
        left = self.left[cls]
        values: dict[str, list[Any]] = {}
        for index, count in self._shape(described, left):
            field = described.fields[index]
            values.setdefault(field.name, []).extend([self._value(cls, field) for _ in range(count)])
        node = _made(described, values)
        for point in described.hits(node):
            left.pop(point, None)
        return node

    @staticmethod
    def _shape(described: Class, left: dict[Point, None]) -> Shape:
        for (source, full, target), shape in described.productions.items():
            if described.production(source, full, target) in left:
                return shape
        for point in left:
            if point.what == "length":
                if point.detail == 0:
                    continue
                index = described.names.index(point.field)
                assert isinstance(point.detail, int)
                return [(i, point.detail if i == index else n) for i, n in described.shape_with(point.field)]
        wanted = {point.field for point in left if point.what != "length"}
        first = next(name for name in described.names if name in wanted)
        return _with_room(described, described.shape_with(first), wanted)

    def _value(self, cls: type[Node], field: Field) -> Any:
        """A value that hits a point that is left, if there is one."""
        point = next((p for p in self.left[cls] if p.field == field.name and p.what in ("value", "member")), None)
        if point is not None:
            del self.left[cls][point]
        if isinstance(field.type, dict):
            return self._node(field.type[str(point.detail)] if point else next(iter(field.type.values())))
        if point is not None:
            return class_of(cls).options[field.name][str(point.detail)]
        if isinstance(field.type, type) and issubclass(field.type, Node):
            return self._node(field.type)
        return self._plain(field)

    def _node(self, cls: type[Node]) -> Node:
        if self.spare > 0 and self.left.get(cls):
            self.spare -= 1
            return self._focus(cls)
        return self._least(cls)

    def _least(self, cls: type[Node]) -> Node:
        described = class_of(cls)
        values: dict[str, list[Any]] = {}
        for index, count in described.least():
            field = described.fields[index]
            values.setdefault(field.name, []).extend([self._plain(field) for _ in range(count)])
        return _made(described, values)

    def _plain(self, field: Field) -> Any:
        """A short value; the next one differs."""
        self.counter += 1
        kind = field.type
        if isinstance(kind, dict):
            return self._least(next(iter(kind.values())))
        if not isinstance(kind, Kind):
            return list(kind)[self.counter % len(kind)] if issubclass(kind, IntEnum) else self._least(kind)
        if kind.base == "boolean":
            return bool(self.counter & 1)
        if kind.base == "integer":
            low = kind.low if kind.low is not None else 0
            return low + self.counter % min(100, (kind.high if kind.high is not None else low + 99) - low + 1)
        letter = self.counter % 26 + 97
        length = max(kind.min_length, 1)
        return chr(letter) * length if kind.base == "string" else bytes([letter]) * length


def covering_messages(schema: Schema, empty: bool = False) -> Iterator[Message]:
    """The messages that hit every point of a schema set."""
    for node in CoverageMaker(reachable(schema), empty).nodes():
        assert isinstance(node, Message)
        yield node


def _with_room(described: Class, shape: Shape, wanted: set[str]) -> Shape:
    """The shape with more items in the lists that are wanted."""
    return [
        (i, max(n, min(described.fields[i].high, _ITEMS)) if described.lists and described.names[i] in wanted else n)
        for i, n in shape
    ]


def _made(described: Class, values: dict[str, list[Any]]) -> Node:
    fields = {field.name: field for field in described.fields}
    return described.cls(**{n: items if fields[n].high > 1 else items[0] for n, items in values.items()})
