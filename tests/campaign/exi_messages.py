"""Random schema-valid messages, derived from the description that every message class carries."""

from __future__ import annotations

import random
from enum import IntEnum
from typing import Any, TypeVar

from evse_controller.messages import Message, Schema
from evse_controller.messages.base import Field, Kind, Node
from tests.campaign.exi_grammar import message_classes

SCHEMAS = (
    Schema.APP_PROTOCOL, Schema.XMLDSIG, Schema.DIN70121, Schema.ISO2, Schema.ISO20_COMMON, Schema.ISO20_AC,
    Schema.ISO20_DC, Schema.ISO20_ACDP, Schema.ISO20_WPT,
)
NodeT = TypeVar("NodeT", bound=Node)

_PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:./#*"
_WIDE = _PLAIN + "\u00e9\u00df\u20ac\u4e2d\U0001d11e"


def weighted_classes(schema: Schema) -> list[type[Message]]:
    """The root classes; where one root carries all messages of a protocol, it comes as often as all others."""
    classes = message_classes(schema)
    return classes + [cls for cls in classes if cls.ELEMENT == "V2G_Message"] * (len(classes) - 1)


class MessageMaker:
    """Makes messages; the same seed makes the same messages."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.budget = 0

    def make(self, cls: type[NodeT]) -> NodeT:
        """A message, or a part of one, of the class; now and then with lists at their maximum."""
        self.budget = self.random.choice((150, 150, 400, 4000))
        self.optional = self.random.choice((0.1, 0.5, 0.5, 0.9))
        self.full = self.random.random() < 0.2
        node: NodeT = self._node(cls)
        return node

    def _node(self, cls: type[Any]) -> Any:
        if cls.STATES is not None:
            return cls(**self._walk(cls))
        values: dict[str, Any] = {}
        choices: dict[int, list[Field]] = {}
        for field in cls.FIELDS:
            if field.choice:
                choices.setdefault(field.choice, []).append(field)
            elif field.low or self._wanted():
                values[field.name] = self._field(field)
        for fields in choices.values():
            if fields[0].low or self._wanted():
                field = self.random.choice(fields)
                values[field.name] = self._field(field)
        return cls(**values)

    def _wanted(self) -> bool:
        return self.random.random() < self.optional and self.budget > 0

    def _field(self, field: Field) -> Any:
        if field.high == 1:
            return self._value(field)
        least = max(field.low, 1)
        most = min(field.high, 20 if field.high > 1 << 20 else field.high)
        if self.full and most <= max(self.budget // 4, 5):
            count = self.random.choice((most, most, most - 1))
        else:
            count = self.random.choice((least, least, least + 1, least + 2))
        return [self._value(field) for _ in range(max(least, min(count, most)))]

    def _walk(self, cls: type[Node]) -> dict[str, Any]:
        """Content of a type that a table of states describes: walk it, ending when it may end."""
        assert cls.STATES is not None
        lists: dict[str, list[Any]] = {}
        state, steps = 0, 0
        while True:
            edges = [edge for edge in cls.STATES[state] if edge[0] not in ("CH", "SE*")]
            ends = [edge for edge in edges if edge[0] == "EE"]
            steps += 1
            edge = ends[0] if ends and (steps > 4 or self.budget < 0) else self.random.choice(edges)
            if edge[0] == "EE":
                break
            field = cls.FIELDS[edge[1]]
            lists.setdefault(field.name, []).append(self._value(field))
            state = edge[2]
        by_name = {field.name: field for field in cls.FIELDS}
        return {name: values if by_name[name].high > 1 else values[0] for name, values in lists.items()}

    def _value(self, field: Field) -> Any:
        self.budget -= 1
        kind = field.type
        if isinstance(kind, dict):
            kind = self.random.choice(list(kind.values()))
        if isinstance(kind, Kind):
            return self._simple(kind)
        if issubclass(kind, IntEnum):
            return self.random.choice(list(kind))
        return self._node(kind)

    def _simple(self, kind: Kind) -> Any:
        if kind.base == "boolean":
            return self.random.random() < 0.5
        if kind.base == "integer":
            return self._integer(kind)
        if kind.base == "string":
            most = 40 if kind.max_length is None else kind.max_length
            length = self.random.choice((1, most, self.random.randint(1, min(most, 12))))
            letters = _WIDE if self.random.random() < 0.15 else _PLAIN
            return "".join(self.random.choice(letters) for _ in range(max(length, kind.min_length)))
        most = 60 if kind.max_length is None else kind.max_length
        length = self.random.choice((max(kind.min_length, 1), most, self.random.randint(max(kind.min_length, 1), most)))
        return self.random.randbytes(length)

    def _integer(self, kind: Kind) -> int:
        low = -(2**159) if kind.low is None else kind.low
        high = 2**159 if kind.high is None else kind.high
        size = self.random.randint(0, max(abs(low), abs(high)).bit_length())
        value = self.random.choice((low, high, 0, 1, -1, 127, 128, 16383, 16384, self.random.getrandbits(size or 1)))
        if self.random.random() < 0.3:
            value = -value
        return min(max(value, low), high)
