"""Step 4b of the generator: straight-line decoders.

Fixed-width pieces that follow each other without a branch (event codes, bounded integers, enumerations, the
CH and EE of simple elements) are fused into one read, checked by one mask. `c` holds the number of the terminal
that comes next wherever the schema leaves a choice; `at` names the element being read, for error messages.
"""

from __future__ import annotations

from collections.abc import Callable

from evse_controller.exi.generator.emit_bits import PLACE, BitRun
from evse_controller.exi.generator.emit_classes import annotation, is_optional, type_name
from evse_controller.exi.generator.emit_common import (
    LONG_LIST,
    Code,
    Row,
    binary_limit,
    fixed_bits,
    groups,
    is_fixed,
    is_unsigned,
    item_limit,
    item_name,
    text_bounds,
    value_bound,
)
from evse_controller.exi.generator.grammar import Item, Slot, Terminal, TypePlan, bits_for, code_bits
from evse_controller.exi.generator.layout import bracketed, signature, union
from evse_controller.exi.generator.model import UNBOUNDED, Complex, Simple


class DecoderEmitter:
    """Writes the decoder of one type."""

    def __init__(self, plan: TypePlan, plan_of: Callable[[Complex], TypePlan]) -> None:
        self.plan, self.plan_of = plan, plan_of
        self.row = Row(plan.items)
        self.code = Code(2)
        self.run = BitRun(self.code)

    def emit(self) -> list[str]:
        """The function's lines."""
        name = self.plan.class_name
        head = signature(f"decode_{name}", ["n: int", "e: int"], f"tuple[{name}, int]")
        head.append(f'    """{name} up to its end."""')
        if self.plan.states is not None:
            return head + self._irregular()
        if not self.plan.slots:
            return [*head, "    e -= 1", "    if n >> e & 1:", "        raise unexpected(e)", f"    return {name}(), e"]
        windowed = any(item_limit(item) > LONG_LIST for item in self.plan.items)
        start = Code(1)
        for slot in self.plan.slots:
            if is_optional(slot) or slot.is_list or isinstance(slot.type, dict):
                value = " = None" if is_optional(slot) else " = []" if slot.is_list else ""
                start.lines += union(f"{slot.name}: ", annotation(slot), value, 4)
        if windowed:
            start.add("base = 0")
        self._items()
        self.run.flush()
        end = Code(1)
        end.add("except ValueError as error:")
        for slot in self.plan.slots:
            if slot.is_list:
                count = f"len({slot.name} or ())" if is_optional(slot) else f"len({slot.name})"
                end.add(f'    if at == "{slot.element}":')
                end.add(f'        at = f"{{at}}[{{{count}}}]"')
        end.add(f"    raise within(error, at, e{', base' if windowed else ''}) from None")
        ordered = sorted(self.plan.slots, key=is_optional)
        end.lines += bracketed(f"return {name}(", [slot.name for slot in ordered], "), e", 4, trailing=False)
        return head + start.lines + self.code.tried() + end.lines

    def _next(self, state: int) -> None:
        """Read the event code of the state before item `state`."""
        productions, base = self.row.productions(state), self.row.base[state]
        item = self.plan.items[state] if state < len(self.plan.items) else None
        # Text may end at once by a second-level event, which is tolerable: then c is one more than the last code.
        last = base + productions - (0 if self._text_next(state) else 1)
        width = code_bits(productions)
        if last == base:
            if item and item.high == 1:
                self.run.element = item.terminals[0].element or item.terminals[0].slot.element
            self.run.zero(1)
            return
        check = (f"if c > {last}:", f"    raise unexpected({PLACE})") if last - base < (1 << width) - 1 else ()
        self.run.value(width, "c", f"({{}}) + {base}" if base else "{}", check)

    def _text_next(self, state: int) -> bool:
        """Whether text may come in the state before item `state`."""
        for item in self.plan.items[state:]:
            if _is_text(item.terminals[0]):
                return True
            if item.low:
                return False
        return False

    def _items(self) -> None:
        self._next(0)
        for index, item in enumerate(self.plan.items):
            if item.low and len(item.terminals) == 1:
                self._content(index, item, item.terminals[0])
                continue
            self.run.flush()
            self._alternatives(index, item)

    def _alternatives(self, index: int, item: Item) -> None:
        """What may come here, by the number in `c`; abstract elements have one, too, but may not come."""
        left = list(enumerate(item.terminals, self.row.base[index]))
        before = self.code.at
        while left and left[0][1].abstract:
            number, terminal = left.pop(0)
            self.code.add(f"if c == {number}:")
            self.code.indent += 1
            self._content(index, item, terminal)
            self.code.indent -= 1
            self.code.at = before
        if len(left) == 1 and item.low:
            self._content(index, item, left[0][1])
            return
        for number, terminal in left:
            last = item.low > 0 and terminal is left[-1][1]
            self.code.add("else:" if last else f"{'if' if terminal is left[0][1] else 'elif'} c == {number}:")
            self.code.indent += 1
            self.code.at = before
            self._content(index, item, terminal)
            self.run.flush()
            self.code.indent -= 1
        self.code.at = None

    def _content(self, index: int, item: Item, terminal: Terminal) -> None:
        slot = terminal.slot
        if terminal.abstract:
            self.code.name(terminal.element)
            self.code.add('raise ExiError("an abstract element stands in the data", e)')
            return
        if item.high > 1:
            self.run.flush()
            self._list(index, item, terminal)
            return
        # What is pending may be the event code that led here; a value of the element before would keep its name.
        if not any(what for _, what, _ in self.run.parts):
            self.code.name(terminal.element or slot.element)
        if _is_text(terminal):
            self._text(index, terminal)
            return
        self.run.element = terminal.element or slot.element
        self._value(terminal.type, slot.name, slot.place, terminal.element or slot.element)
        self._next(index + 1)

    def _text(self, index: int, terminal: Terminal) -> None:
        """The characters of an element with attributes, and its end."""
        kind, name, add = terminal.type, terminal.slot.name, self.code.add
        assert isinstance(kind, Simple)
        self.run.flush()
        self.code.name(terminal.slot.element)
        add(f"if c > {self.row.base[index]}:")
        least = f", {kind.min_length}" if kind.min_length else ""
        empty = '""' if kind.kind == "string" else 'b""'
        add(f"    {name}, e = {empty}, read_empty(n, e{least})")
        add("else:")
        self.code.indent += 1
        bounds = text_bounds(kind) if kind.kind == "string" else f"{kind.min_length}, {binary_limit(kind)}"
        add(f"{name}, e = {'read_characters' if kind.kind == 'string' else 'read_octets'}(n, e, {bounds})")
        self._next(index + 1)
        self.run.flush()
        self.code.indent -= 1

    def _list(self, index: int, item: Item, terminal: Terminal) -> None:
        slot, add = terminal.slot, self.code.add
        limit = item_limit(item)
        after = self.row.productions(index + 1)
        after_base = self.row.base[index + 1]
        self.code.name(slot.element)
        if is_optional(slot):
            add(f"{slot.name} = []")
        if limit > LONG_LIST:
            need = value_bound(terminal.type, self.plan_of) + 64
            lenient_need = value_bound(terminal.type, self.plan_of, lenient=True) + 64
            add(f"whole, window = n, Window(n, e, {need}, {lenient_need})")
            add("need = window.need")
            add("n, e = window.slide(0)")
            add("base = window.base")
        add("while True:")
        self.code.indent += 1
        if limit > LONG_LIST:
            add("if e < need and base:")
            add("    n, e = window.slide(e)")
            add("    base = window.base")
        one = item_name(self.plan, slot)
        self.run.element = ""
        self._value(terminal.type, one, "element", slot.element)
        self.run.flush()
        add(f"{slot.name}.append({one})")
        if item.high == UNBOUNDED:
            add(f"if len({slot.name}) > {limit}:")
            add(f'    raise ExiError("more than {limit} items", e)')
        else:
            add(f"if len({slot.name}) == {limit}:")
            add(f"    {'c' if after > 1 else '_'}, e = full_list_end(n, e, {after})")
            if after > 1 and after_base:
                add(f"    c += {after_base}")
            add("    break")
        if item.low > 1:
            add(f"if len({slot.name}) < {item.low}:")
            self.code.indent += 1
            self.run.zero(1)
            self.run.flush()
            add("continue")
            self.code.indent -= 1
        # One production more than in the state after the list: another item.
        offset = after_base - 1
        self.run.value(code_bits(after + 1), "c")
        self.run.flush()
        add("if c:")
        add(f"    if c > {after}:")
        add("        raise unexpected(e)")
        if after > 1 and offset:
            add(f"    c += {offset}")
        add("    break")
        self.code.indent -= 1
        if limit > LONG_LIST:
            add("n, e, base = whole, e + base, 0")

    def _value(self, kind: Simple | Complex, target: str, place: str, element: str) -> None:
        """Read a value of the type into a variable; elements of simple type include their CH and EE."""
        run, add = self.run, self.code.add
        boxed = place in ("element", "substitution")
        if isinstance(kind, Complex):
            run.flush()
            self.code.name(element)
            add(f"{target}, e = decode_{type_name(kind)}(n, e)")
            return
        if kind.kind in ("string", "hex", "base64"):
            run.flush()
            self.code.name(element)
            if kind.kind == "string":
                name, bounds = ("read_string" if boxed else "read_characters"), text_bounds(kind)
            else:
                name, bounds = ("read_binary" if boxed else "read_octets"), f"{kind.min_length}, {binary_limit(kind)}"
            add(f"{target}, e = {name}(n, e, {bounds})")
            return
        if boxed:
            run.zero(1)
        if kind.kind == "boolean":
            run.value(1, target, "({}) == 1")
        elif kind.kind == "enum":
            self._enum(kind, target)
        elif is_fixed(kind):
            self._fixed(kind, target)
        else:
            self._integer(kind, target, element)
        if boxed:
            run.zero(1)

    def _element(self) -> str:
        """The argument that tells an error's element."""
        return f', "{self.run.element}"' if self.run.element else ""

    def _enum(self, kind: Simple, target: str) -> None:
        width, count, members = bits_for(len(kind.values)), len(kind.values), f"{type_name(kind).upper()}_MEMBERS"
        if count == 1 << width:
            self.run.value(width, target, f"{members}[{{}}]")
            return
        self.run.value(width, "i", "{}", (
            f"if i >= {count}:",
            f'    raise out_of_range(i, "the {count} values of {type_name(kind)}", {PLACE}{self._element()})',
            f"{target} = {members}[i]",
        ))
        # Two enumerations in one read would share the variable.
        self.run.flush()

    def _fixed(self, kind: Simple, target: str) -> None:
        assert kind.low is not None
        assert kind.high is not None
        width, low = fixed_bits(kind), kind.low
        form = f"({{}}) + {low}" if low > 0 else f"({{}}) - {-low}" if low else "{}"
        checks: tuple[str, ...] = ()
        if kind.high - low + 1 < 1 << width:
            checks = (
                f"if {target} > {kind.high}:",
                f'    outside({target}, "{low}..{kind.high}", {PLACE}{self._element()})',
            )
        self.run.value(width, target, form, checks)

    def _integer(self, kind: Simple, target: str, element: str) -> None:
        run, add = self.run, self.code.add
        signed = not is_unsigned(kind)
        if signed:
            run.value(1, "s")
        run.value(8, target)
        run.flush()
        add(f"if {target} > 127:")
        add(f"    {target}, e = read_more(n, e, {target}, {groups(kind)})")
        if signed:
            add("if s:")
            add(f"    {target} = -1 - {target}")
        if kind.high is None and kind.low in (None, 0):
            return
        low, high = kind.low, kind.high
        if low == 0 or low is None:
            condition = f"{target} > {high}"
        elif high is None:
            condition = f"{target} < {low}"
        else:
            condition = f"not {low} <= {target} <= {high}"
        add(f"if {condition}:")
        add(f'    outside({target}, "{low}..{high}", e{self._element()})')

    def _irregular(self) -> list[str]:
        name = self.plan.class_name
        lines = [f"    values, e = decode_states(n, e, {name}.STATES, {name}_NAMES, {name}_READERS)"]
        lines += bracketed(f"return {name}(", [f"values[{self.plan.slots.index(s)}]" for s in
                           sorted(self.plan.slots, key=is_optional)], "), e", 4, trailing=False)
        return lines


def _is_text(terminal: Terminal) -> bool:
    """Whether the terminal is the text of an element with attributes, of a type whose value may be empty."""
    kind = terminal.type
    return terminal.slot.place == "text" and isinstance(kind, Simple) and kind.kind in ("string", "hex", "base64")


def reader(plan: TypePlan, slot: Slot) -> str:
    """An expression for the function that reads one value of a slot of an irregular type."""
    kind = slot.type
    if isinstance(kind, Complex):
        return f"decode_{type_name(kind)}"
    assert isinstance(kind, Simple)
    boxed = slot.place == "element"
    if kind.kind == "string":
        return f"lambda n, e: {'read_string' if boxed else 'read_characters'}(n, e, {text_bounds(kind)})"
    if kind.kind in ("hex", "base64"):
        limit = binary_limit(kind)
        return f"lambda n, e: {'read_binary' if boxed else 'read_octets'}(n, e, {kind.min_length}, {limit})"
    if kind.kind == "integer" and kind.low is None and kind.high is None and boxed:
        return "read_integer"
    return f"read_{plan.class_name}_{slot.name}"


def emit_reader(plan: TypePlan, slot: Slot, plan_of: Callable[[Complex], TypePlan]) -> list[str]:
    """The function that `reader` names, if it is one of the module's own."""
    name = reader(plan, slot)
    if not name.startswith(f"read_{plan.class_name}_") or isinstance(slot.type, dict):
        return []
    emitter = DecoderEmitter(plan, plan_of)
    emitter.code.indent = 1
    emitter._value(slot.type, "value", slot.place, slot.element)
    emitter.run.flush()
    head = signature(name, ["n: int", "e: int"], f"tuple[{type_name(slot.type)}, int]")
    return [*head, f'    """{slot.element} of {plan.class_name}."""', *emitter.code.lines, "    return value, e"]
