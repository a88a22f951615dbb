"""The largest message of each kind: every optional part, every list at its maximum, the widest choice."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from evse_controller.messages.base import UNBOUNDED, Field, Node
from tests.campaign.exi_grammar import Class, class_of, options

_WITHOUT_MAXIMUM = 3  # items of a list that the schema does not bound


class Fullest:
    """Makes them; parts of the same class are one and the same object, so that a megabyte costs little memory."""

    def __init__(self) -> None:
        self._made: dict[type[Node], tuple[Node, int]] = {}

    def make(self, cls: type[Node]) -> tuple[Node, int]:
        """A full node of the class, and how many values it holds."""
        if cls not in self._made:
            described = class_of(cls)
            values: dict[str, Any] = {}
            size = 0
            for field in self._chosen(described):
                value, weight = self._value(field)
                high = min(field.high, _WITHOUT_MAXIMUM) if field.high >= UNBOUNDED else field.high
                values[field.name] = [value] * high if field.high > 1 else value
                size += high * weight
            self._made[cls] = cls(**values), size + 1
        return self._made[cls]

    def _chosen(self, described: Class) -> list[Field]:
        """The fields that may stand together: of a choice the one that holds most."""
        if not described.lists:
            # In a type described by states: one of the shapes that are known to be allowed.
            names = max(described.productions.values(), key=len)
            return [described.fields[index]._replace(high=min(described.fields[index].high, 2)) for index, _ in names]
        best: dict[int, Field] = {}
        for field in described.fields:
            key = field.choice or -1 - described.names.index(field.name)
            if key not in best or self._value(field)[1] > self._value(best[key])[1]:
                best[key] = field
        return list(best.values())

    def _value(self, field: Field) -> tuple[Any, int]:
        kind = field.type
        if isinstance(kind, dict):
            return max((self.make(cls) for cls in kind.values()), key=lambda made: made[1])
        if isinstance(kind, type) and issubclass(kind, Node):
            return self.make(kind)
        if isinstance(kind, type) and issubclass(kind, IntEnum):
            return list(kind)[-1], 1
        simple = [value for value in options(field).values() if not isinstance(value, str) or value.isascii()]
        return max(simple, key=len) if isinstance(simple[0], str | bytes) else max(simple), 1
