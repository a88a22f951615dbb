"""Step 4c of the generator: straight-line encoders.

Where the state is known while generating, event codes are constants fused with their neighbours. After an
optional item it is not; then `w` is the width of the next event code and `b` what to subtract from the number of
the terminal that comes next.
"""

from __future__ import annotations

from evse_controller.exi.bits import BIG_GROUPS
from evse_controller.exi.generator.emit_bits import PutRun
from evse_controller.exi.generator.emit_classes import facets, type_name
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
)
from evse_controller.exi.generator.grammar import Item, Slot, Terminal, TypePlan, bits_for, code_bits
from evse_controller.exi.generator.layout import bracketed, signature
from evse_controller.exi.generator.model import Complex, Simple


class EncoderEmitter:
    """Writes the encoder of one type."""

    def __init__(self, plan: TypePlan) -> None:
        self.plan = plan
        self.row = Row(plan.items)
        self.code = Code(2)
        self.run = PutRun(self.code)
        self.known: int | None = 0  # the state, if it is known here

    def emit(self) -> list[str]:
        """The function's lines."""
        name = self.plan.class_name
        lines = signature(f"encode_{name}", ["x: int", f"m: {name}"], "int")
        lines.append(f'    """Append {name} and its end."""')
        lines += [f"    if type(m) is not {name}:", f'        raise invalid(m, "a {name}")']
        if self.plan.states is not None:
            lines += bracketed("values = [", [f"m.{slot.name}" for slot in self.plan.slots], "]", 4, trailing=False)
            return [*lines, f"    return encode_states(x, values, {name}.STATES, {name}_NAMES, {name}_WRITERS)"]
        if not self.plan.slots:
            return [*lines, "    return x << 1"]
        for index, item in enumerate(self.plan.items):
            self._item(index, item)
        if self.known is None:
            self.run.flush()
            self.code.add(f"return x << w | {self.row.end} - b")
        else:
            self._code_of(self.row.end)
            self.code.add(f"return {self.run.take()}")
        lines += self.code.tried()
        return [*lines, "    except ValueError as error:", "        raise within(error, at) from None"]

    def _code_of(self, terminal: int) -> None:
        """Append the event code of a terminal in the present state."""
        if self.known is None:
            self.run.flush()
            self.code.add(f"x = x << w | {terminal} - b")
        else:
            self.run.put(self.row.width(self.known), terminal - self.row.base[self.known])

    def _remember(self, state: int) -> None:
        """Keep the state in variables."""
        self.code.add(f"w, b = {self.row.width(state)}, {self.row.base[state]}")

    def _item(self, index: int, item: Item) -> None:
        add = self.code.add
        if item.high > 1:
            self._list(index, item)
            return
        if len(item.terminals) == 1 and item.low:
            terminal = item.terminals[0]
            self._at(terminal)
            self._code_of(self.row.base[index])
            self._value(terminal.type, f"m.{terminal.slot.name}", terminal.slot)
            self.known = index + 1
            return
        self.run.flush()
        before = self.known
        dynamic = not item.low
        if dynamic and before is not None:
            self._remember(before)
            self.known = None
        substitution = item.terminals[0].slot.place == "substitution"
        if item.terminals[0].slot.choice:
            self._count(item)
        entry, named = self.known, self.code.at
        first = True
        one = item.terminals[0].slot.name
        if substitution:
            add(f"{one} = m.{one}")
        for number, terminal in enumerate(item.terminals):
            if terminal.abstract:
                continue
            word = "if" if first else "elif"
            value = f"m.{terminal.slot.name}"
            test = f"type({one}) is {type_name(terminal.type)}" if substitution else f"{value} is not None"
            add(f"{word} {test}:")
            first = False
            self.code.indent += 1
            self.known, self.code.at = entry, named
            self._at(terminal)
            self._code_of(self.row.base[index] + number)
            self._value(terminal.type, one if substitution else value, terminal.slot)
            self.run.flush()
            if dynamic:
                self._remember(index + 1)
            self.code.indent -= 1
        if substitution:
            names = item.terminals[0].slot.element
            add("else:" if item.low else f"elif {one} is not None:")
            add(f'    at = "{item.terminals[0].slot.element}"')
            add(f'    raise invalid({one}, "a substitute of {names}")')
        self.known = None if dynamic else index + 1
        self.code.at = None

    def _count(self, item: Item) -> None:
        depth = 4 * self.code.indent
        values = [f"m.{t.slot.name}" for t in item.terminals]
        self.code.name("")
        self.code.lines += bracketed("chosen = count_set(", values, ")", depth, trailing=False)
        self.code.add(f"if chosen {'!= 1' if item.low else '> 1'}:")
        names = [f'"{t.element}"' for t in item.terminals]
        wanted = "exactly" if item.low else "at most"
        self.code.lines += bracketed(f'raise wrong_choice("{wanted}", ', names, ")", depth + 4, trailing=False)

    def _list(self, index: int, item: Item) -> None:
        add = self.code.add
        terminal = item.terminals[0]
        slot, limit = terminal.slot, item_limit(item)
        many, one = slot.name, item_name(self.plan, slot)
        self.run.flush()
        if self.known is not None:
            self._remember(self.known)
        add(f"{many} = m.{many}")
        if not item.low:
            add(f"if {many} is not None:")
            self.code.indent += 1
        self._at(terminal)
        bounds = f"{max(item.low, 1)} to {limit}"
        add(f"if type({many}) is not list or not {max(item.low, 1)} <= len({many}) <= {limit}:")
        add(f'    raise invalid({many}, "a list of {bounds}")')
        after = self.row.productions(index + 1)
        again = code_bits(after + 1)
        long = limit > LONG_LIST
        add(f"x = x << w | {self.row.base[index]} - b")
        if long:
            add("parts = []")
        add(f"for position, {one} in enumerate({many}):")
        self.code.indent += 1
        add(f'at = f"{slot.element}[{{position}}]"')
        add("if position:")
        if item.low > 1:
            add(f"    x <<= {again} if position >= {item.low} else 1")
        else:
            add(f"    x <<= {again}")
        if long:
            add("    if x > PART:")
            add("        parts.append(x)")
            add("        x = 1")
        self._value(terminal.type, one, slot)
        self.run.flush()
        self.code.indent -= 1
        if long:
            add("if parts:")
            add("    x = join([*parts, x])")
        if item.high == limit:
            add(f"if len({many}) == {limit}:")
            add(f"    w, b = {self.row.width(index + 1)}, {self.row.base[index + 1]}")
            add("else:")
            add(f"    w, b = {again}, {self.row.base[index + 1] - 1}")
        else:
            add(f"w, b = {again}, {self.row.base[index + 1] - 1}")
        if not item.low:
            self.code.indent -= 1
        self.known = self.code.at = None

    def _at(self, terminal: Terminal) -> None:
        self.code.name(terminal.element or terminal.slot.element)

    def _value(self, kind: Simple | Complex, value: str, slot: Slot) -> None:
        """Append a value; elements of simple type include their CH and EE."""
        run, add = self.run, self.code.add
        if isinstance(kind, Complex):
            add(f"x = encode_{type_name(kind)}({run.take()}, {value})")
            return
        boxed = slot.place in ("element", "substitution")
        if boxed:
            run.put(1)
        if kind.kind == "string":
            add(f"x = put_string({run.take()}, {value}, {text_bounds(kind)})")
        elif kind.kind in ("hex", "base64"):
            add(f"x = put_binary({run.take()}, {value}, {kind.min_length}, {binary_limit(kind)})")
        else:
            # A local of its own per slot: a fused run may hold several of them before it is written.
            local = slot.name if value.startswith("m.") else value
            if local != value:
                add(f"{local} = {value}")
            self._number(kind, local)
        if boxed:
            run.put(1)

    def _number(self, kind: Simple, value: str) -> None:
        run, add = self.run, self.code.add
        if kind.kind == "boolean":
            add(f"if type({value}) is not bool:")
            add(f'    raise invalid({value}, "True or False")')
            run.variable(1, value)
            return
        if kind.kind == "enum":
            add(f"if type({value}) is not {type_name(kind)}:")
            add(f'    raise invalid({value}, "a {type_name(kind)}")')
            run.variable(bits_for(len(kind.values)), value)
            return
        limits = facets(kind) or f"at most {7 * BIG_GROUPS} bits"
        condition = f"type({value}) is not int"
        if kind.low is not None and kind.high is not None:
            condition += f" or not {kind.low} <= {value} <= {kind.high}"
        elif kind.low is not None:
            condition += f" or {value} < {kind.low}"
        elif kind.high is not None:
            condition += f" or {value} > {kind.high}"
        if groups(kind) == BIG_GROUPS:  # more than the decoder accepts
            condition += f" or ({value} if {value} >= 0 else ~{value}) >> {7 * BIG_GROUPS}"
        add(f"if {condition}:")
        add(f'    raise invalid({value}, "an integer ({limits})")')
        if is_fixed(kind):
            assert kind.low is not None
            low = f" - {kind.low}" if kind.low > 0 else f" + {-kind.low}" if kind.low else ""
            run.variable(fixed_bits(kind), f"{value}{low}")
        elif is_unsigned(kind):
            add(f"x = put_uint({run.take()}, {value})")
        else:
            run.flush()
            add(f"x = put_uint(x << 1, {value}) if {value} >= 0 else put_uint(x << 1 | 1, -1 - {value})")


def writer(plan: TypePlan, slot: Slot) -> str:
    """An expression for the function that appends one value of a slot of an irregular type."""
    kind = slot.type
    if isinstance(kind, Complex):
        return f"encode_{type_name(kind)}"
    assert isinstance(kind, Simple)
    before, after = ("x << 1", " << 1") if slot.place == "element" else ("x", "")
    if kind.kind == "string":
        return f"lambda x, v: put_string({before}, v, {text_bounds(kind)}){after}"
    if kind.kind in ("hex", "base64"):
        return f"lambda x, v: put_binary({before}, v, {kind.min_length}, {binary_limit(kind)}){after}"
    if kind.kind == "integer" and kind.low is None and kind.high is None and slot.place == "element":
        return "put_integer"
    return f"put_{plan.class_name}_{slot.name}"


def emit_writer(plan: TypePlan, slot: Slot) -> list[str]:
    """The function that `writer` names, if it is one of the module's own."""
    name = writer(plan, slot)
    if not name.startswith(f"put_{plan.class_name}_") or isinstance(slot.type, dict):
        return []
    emitter = EncoderEmitter(plan)
    emitter.code.indent = 1
    emitter._value(slot.type, "value", slot)
    head = signature(name, ["x: int", f"value: {type_name(slot.type)}"], "int")
    last = f"    return {emitter.run.take()}"
    return [*head, f'    """Append {slot.element} of {plan.class_name}."""', *emitter.code.lines, last]
