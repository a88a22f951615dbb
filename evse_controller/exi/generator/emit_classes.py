"""Step 4a of the generator: enumerations and message classes."""

from __future__ import annotations

from evse_controller.exi.generator.grammar import Slot, TypePlan
from evse_controller.exi.generator.layout import bracketed, union
from evse_controller.exi.generator.model import UNBOUNDED, Complex, Simple
from evse_controller.exi.generator.naming import class_name, member_name

_PYTHON = {"boolean": "bool", "integer": "int", "string": "str", "hex": "bytes", "base64": "bytes"}


def type_name(kind: Simple | Complex) -> str:
    """The Python type of a value of the schema type."""
    if isinstance(kind, Complex):
        return class_name(kind.name.local)
    if kind.kind == "enum":
        assert kind.name is not None
        return class_name(kind.name.local)
    return _PYTHON[kind.kind]


def slot_type(slot: Slot) -> str:
    """The Python type of a slot's value, without list and None."""
    if isinstance(slot.type, dict):
        return " | ".join(type_name(kind) for kind in slot.type.values() if kind is not None)
    return type_name(slot.type)


def is_optional(slot: Slot) -> bool:
    """Whether None is a legal value of the attribute."""
    return slot.low == 0 or bool(slot.choice)


def annotation(slot: Slot) -> list[str]:
    """The alternatives of the attribute's annotation."""
    inner = slot_type(slot)
    words = [f"list[{inner}]"] if slot.is_list else inner.split(" | ")
    return [*words, "None"] if is_optional(slot) else words


def facets(kind: Simple | Complex | dict[str, Complex | None]) -> str:
    """The limits of a simple type in words, or nothing."""
    if not isinstance(kind, Simple):
        return ""
    if kind.kind == "integer" and kind.low is not None and kind.high is not None:
        return f"{kind.low}..{kind.high}"
    if kind.kind == "integer" and kind.low is not None:
        return f"{kind.low} or more"
    if kind.kind in ("string", "hex", "base64") and kind.max_length is not None:
        unit = "characters" if kind.kind == "string" else "bytes"
        if kind.min_length == kind.max_length:
            return f"{kind.max_length} {unit}"
        return f"{kind.min_length}..{kind.max_length} {unit}"
    return ""


def _description(slot: Slot) -> str:
    parts = []
    if slot.place != "element":
        parts.append(slot.place)
    if slot.choice:
        parts.append(f"choice {slot.choice}, {'exactly' if slot.low else 'at most'} one set")
    elif slot.is_list:
        parts.append(f"{slot.low}..{'unbounded' if slot.high == UNBOUNDED else slot.high} items")
    elif slot.low == 0:
        parts.append("optional")
    limits = facets(slot.type)
    if limits:
        parts.append(limits)
    return "; ".join(parts) or "required"


def _field_type(kind: Simple | Complex | dict[str, Complex | None]) -> str:
    if isinstance(kind, dict):
        raise TypeError("a substitution group has no single type")
    if isinstance(kind, Complex) or kind.kind == "enum":
        return type_name(kind)
    words = [f'"{kind.kind}"']
    if kind.kind == "integer":
        words += [str(kind.low), str(kind.high)]
    elif kind.kind != "boolean" and (kind.min_length or kind.max_length is not None):
        words += ["None", "None", str(kind.min_length), str(kind.max_length)]
    return f"Kind({', '.join(words)})"


def field_lines(slot: Slot) -> list[str]:
    """The description of one slot for the class's FIELDS."""
    high = "UNBOUNDED" if slot.high == UNBOUNDED else str(slot.high)
    before = [f'"{slot.name}"', f'"{slot.element}"', f'"{slot.place}"']
    after = [str(slot.low), high] + ([str(slot.choice)] if slot.choice else [])
    if not isinstance(slot.type, dict):
        return bracketed("Field(", [*before, _field_type(slot.type), *after], "),", 8)
    # An abstract member other than the head takes an event code too, but no value is of its type.
    members = [f'"{name}": {type_name(kind) if kind else "Node"}' for name, kind in slot.type.items()]
    return bracketed(f"Field({', '.join(before)}, {{", members, f"}}, {', '.join(after)}),", 8)


def emit_enum(kind: Simple) -> list[str]:
    """An enumeration; the integer value is the index that EXI transmits (EXI 1.0, 7.2)."""
    assert kind.name is not None
    lines = [f"class {type_name(kind)}(IntEnum):", f'    """Schema type {kind.name.local}."""', ""]
    lines += [f"    {member_name(value)} = {index}" for index, value in enumerate(kind.values)]
    if any(member_name(value) != value for value in kind.values):
        # Schema values that are no identifiers: the JSON form needs the originals.
        values = [f'{i}: "{v}"' for i, v in enumerate(kind.values)]
        table = bracketed(f"{type_name(kind)}.SCHEMA_VALUES = {{", values, "}", 0)
        table[0] += "  # type: ignore[attr-defined]"
        lines += ["", *table]
    return lines


def emit_class(plan: TypePlan, schema: str) -> list[str]:
    """The class of one complex type; `schema` is the expression for the schema set."""
    name, element = plan.class_name, plan.element
    base = "Message" if element else "Node"
    what = f"Element {element}" if element else f"Schema type {plan.type.name.local}"
    lines = [f"class {name}({base}):"]
    if plan.slots:
        lines += [f'    """{what}.', ""]
        lines += [f"    {slot.name}: {_description(slot)}" for slot in plan.slots]
        lines += ['    """', ""]
    else:
        lines += [f'    """{what}; it has no content."""', ""]
    lines += bracketed("__slots__ = (", [f'"{slot.name}"' for slot in plan.slots], ")", 4)
    if element:
        lines += [f"    SCHEMA = {schema}", f'    ELEMENT = "{element}"']
    if plan.slots:
        lines += ["    FIELDS = (", *(line for slot in plan.slots for line in field_lines(slot)), "    )"]
    if plan.states is not None:
        index = {id(slot): number for number, slot in enumerate(plan.slots)}
        lines.append("    STATES = (")
        for edges in plan.states:
            parts = [f'("{e.event}", {index[id(e.slot)] if e.slot else -1}, {e.target})' for e in edges]
            lines += bracketed("(", parts, "),", 8)
        lines.append("    )")
    ordered = sorted(plan.slots, key=is_optional)
    if ordered:
        lines += ["", "    def __init__(", "        self,"]
        for slot in ordered:
            lines += union(f"{slot.name}: ", annotation(slot), f"{' = None' if is_optional(slot) else ''},", 8)
        lines.append("    ) -> None:")
        lines += [f"        self.{slot.name} = {slot.name}" for slot in plan.slots]
    return lines
