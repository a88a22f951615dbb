"""Coding of large messages, told apart from who does it and when.

A legal price schedule of 1.5 MB takes a second to encode, and this core never waits: it hands the coding out as `Work`
and goes on with the result. The shell does it beside its loop, virtual time does it at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from evse_controller.exi.errors import ExiError
from evse_controller.messages.base import Kind, Message, Node

# From this size on a message is worth handing out: about 2 ms of decoding, twice that of encoding. The messages of a
# charge loop have 50 to 150 octets, the longest schedule that this SECC offers by itself some thousand.
LARGE_BYTES = 4096
# Up to this size even a message full of deviations is read within 4 ms: nothing is read more than 12 times.
FLAWED_BYTES = 256

Coded: TypeAlias = "Message | bytes | ExiError"

_SMALL = 256  # a field that can never have more octets is not looked into
_NUMBER = 10
_ENDLESS = 1 << 40


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """One message to decode or encode, with no other effect: it may run anywhere, and its result be thrown away."""

    code: Callable[[], Message | bytes]

    def run(self) -> Coded:
        """The message, its bytes, or why there are none."""
        try:
            return self.code()
        except ExiError as error:
            return error


def weight(node: Node, enough: int) -> int:
    """About how many octets a message has, from above; counting stops when `enough` are found.

    Only lists, texts and optional parts that could make it large are looked at, so that a small one costs a
    microsecond.
    """
    kind = type(node)
    plan = _PLANS.get(kind)
    if plan is None:
        plan = _PLANS[kind] = _plan(kind)
    total, loose = plan
    for name in loose:
        value: Any = getattr(node, name)
        for part in value if isinstance(value, list) else (value,):
            total += _part(part, enough - total)
            if total >= enough:
                return total
    return total


def _part(value: Any, enough: int) -> int:
    if isinstance(value, Node):
        return weight(value, enough)
    if isinstance(value, str | bytes):
        return len(value)
    return 0 if value is None else _NUMBER


_PLANS: dict[type[Node], tuple[int, tuple[str, ...]]] = {}


def _plan(kind: type[Node]) -> tuple[int, tuple[str, ...]]:
    """What the small fields of a class have at most together, and the names of the others."""
    fixed, loose = 1, []
    for field in kind.FIELDS:
        most = field.high * _most_of(field.type, ())
        if most <= _SMALL:
            fixed += most
        else:
            loose.append(field.name)
    return fixed, tuple(loose)


def _most_of(kind: Any, above: tuple[type[Node], ...]) -> int:
    """The most octets that a value of a field's type can have; `above` are the classes around it."""
    if isinstance(kind, Kind):
        if kind.base in ("boolean", "integer"):
            return _NUMBER if kind.high is None else 1 + int(kind.high).bit_length() // 7
        return _ENDLESS if kind.max_length is None else int(kind.max_length)
    if isinstance(kind, dict):
        return max((_most_of(member, above) for member in kind.values()), default=0)
    if not issubclass(kind, Node):
        return 1  # an enumeration
    if kind in above or kind.STATES is not None:
        return _ENDLESS
    most: int = 1 + sum(field.high * _most_of(field.type, (*above, kind)) for field in kind.FIELDS)
    return min(_ENDLESS, most)
