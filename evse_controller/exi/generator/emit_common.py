"""What the emitters of decoders and encoders share: positions of terminals, widths of states, size bounds."""

from __future__ import annotations

from collections.abc import Callable

from evse_controller.exi.bits import BIG_GROUPS, GROUPS, MAX_BINARY, MAX_ITEMS, MAX_TEXT
from evse_controller.exi.generator.grammar import Item, Slot, TypePlan, bits_for, code_bits
from evse_controller.exi.generator.model import UNBOUNDED, Complex, Simple

FIXED_RANGE = 4096  # integers with at most this many values take a fixed number of bits (EXI 1.0, 7.1.5)
LONG_LIST = 16  # lists that may be longer are read through a window and written in parts


class Code:
    """Indented source lines.

    `at` is what the generated variable of that name holds at this point, the element or attribute being worked on;
    None if that depends on the way taken.
    """

    def __init__(self, indent: int = 0) -> None:
        self.lines: list[str] = []
        self.indent = indent
        self.at: str | None = ""

    def name(self, element: str) -> None:
        """Have the variable `at` hold the element."""
        if self.at != element:
            self.add(f'at = "{element}"')
            self.at = element

    def tried(self) -> list[str]:
        """The lines in a `try`, with the first value of `at` in front of it."""
        if self.lines and self.lines[0].startswith("        at = "):
            return [self.lines[0][4:], "    try:", *self.lines[1:]]
        return ['    at = ""', "    try:", *self.lines]

    def add(self, text: str) -> None:
        """Append a line at the current depth."""
        self.lines.append("    " * self.indent + text if text else "")


class Row:
    """The numbering of a regular type's terminals and the event codes of its states."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.base: list[int] = []
        count = 0
        for item in items:
            self.base.append(count)
            count += len(item.terminals)
        self.base.append(count)
        self.end = count

    def productions(self, state: int) -> int:
        """How many first-level productions the state before item `state` has, its end element included."""
        count = 0
        for item in self.items[state:]:
            count += len(item.terminals)
            if item.low:
                return count
        return count + 1

    def width(self, state: int) -> int:
        """The event code's width in the state before item `state`."""
        return code_bits(self.productions(state))


def item_name(plan: TypePlan, slot: Slot) -> str:
    """The variable that holds one item of a list; where a type has several lists, one variable for each."""
    return "one" if sum(s.is_list for s in plan.slots) == 1 else f"one_{slot.name}"


def is_fixed(kind: Simple) -> bool:
    """Whether an integer type is encoded in a fixed number of bits."""
    return kind.low is not None and kind.high is not None and kind.high - kind.low < FIXED_RANGE


def fixed_bits(kind: Simple) -> int:
    """The width of a fixed-width integer."""
    assert kind.low is not None
    assert kind.high is not None
    return bits_for(kind.high - kind.low + 1)


def is_unsigned(kind: Simple) -> bool:
    """Whether a variable-length integer goes without a sign bit."""
    return kind.low is not None and kind.low >= 0


def groups(kind: Simple) -> int:
    """How many octets an integer of the type may take: more than it needs, so that a wrong value can be named."""
    return BIG_GROUPS if kind.high is None or kind.low is None else GROUPS


def text_limit(kind: Simple) -> int:
    """The largest length of a string that is accepted."""
    return MAX_TEXT if kind.max_length is None else kind.max_length


def text_bounds(kind: Simple) -> str:
    """The arguments for a string's largest length and, where there is one, its smallest."""
    return f"{text_limit(kind)}, {kind.min_length}" if kind.min_length else f"{text_limit(kind)}"


def binary_limit(kind: Simple) -> int:
    """The largest length of a binary value that is accepted."""
    return MAX_BINARY if kind.max_length is None else kind.max_length


def item_limit(item: Item) -> int:
    """The largest number of items of a list that is accepted."""
    return MAX_ITEMS if item.high == UNBOUNDED else item.high


def value_bound(kind: Simple | Complex, plan_of: Callable[[Complex], TypePlan], lenient: bool = False) -> int:
    """At least as many bits as a value of the type can take: what a window must hold of it.

    A lenient reading takes values that are longer than their type allows.
    """
    if isinstance(kind, Simple):
        if kind.kind == "string":
            return 40 + 24 * max(text_limit(kind), MAX_TEXT if lenient else 0)
        if kind.kind in ("hex", "base64"):
            return 40 + 8 * max(binary_limit(kind), MAX_BINARY if lenient else 0)
        return 16 + 8 * groups(kind) if kind.kind == "integer" else 16
    plan = plan_of(kind)
    total = 16
    if plan.states is not None:
        types = [slot.type for slot in plan.slots if not isinstance(slot.type, dict)]
        return sum(32 * value_bound(one, plan_of, lenient) for one in types) + total
    for item in plan.items:
        largest = max(value_bound(t.type, plan_of, lenient) for t in item.terminals if not t.abstract)
        total += item_limit(item) * (largest + 16)
    return total
