"""Step 4d of the generator: the fragment grammar's tables, and coders for names with several types."""

from __future__ import annotations

from evse_controller.exi.generator.emit_common import Code, text_bounds
from evse_controller.exi.generator.fragments import (
    FragmentGrammar,
    RelaxedCodes,
    Signable,
    is_plain_text,
    relaxed_codes,
)
from evse_controller.exi.generator.grammar import TypePlan
from evse_controller.exi.generator.layout import bracketed
from evse_controller.exi.generator.model import Simple


def emit_fragments(grammar: FragmentGrammar, plan_of: dict[str, TypePlan]) -> list[list[str]]:
    """The blocks of a module: relaxed coders if any, then the tables. `plan_of` has the plan of each signable."""
    codes = relaxed_codes(grammar)
    blocks: list[list[str]] = []
    lines = [f"FRAGMENT_BITS = {grammar.bits}", f"FRAGMENT_END = {grammar.end}"]
    table = []
    for element in grammar.signable:
        local, name = element.name.local, plan_of[element.name.local].class_name
        if element.relaxed and not is_plain_text(element.type):
            lines.append(f"# {local} is declared with several types and has more than text: it cannot be signed.")
            continue
        prefix = "relaxed_" if element.relaxed else ""
        if element.relaxed:
            blocks += [_decoder(element, plan_of[local], codes), _encoder(element, plan_of[local], codes)]
        coders = [str(element.code), name, f"decode_{prefix}{name}", f"encode_{prefix}{name}"]
        table += bracketed(f'"{local}": (', coders, "),", 4)
    if not table:
        return [*blocks, [*lines, "FRAGMENT_CODERS: FragmentCoders = {}"]]
    return [*blocks, [*lines, "FRAGMENT_CODERS: FragmentCoders = {", *table, "}"]]


def _text(element: Signable, name: str) -> str:
    return (f'    """{name} as {element.name.local}, which has several types in this schema set: by the relaxed '
            'grammar (EXI 1.0, 8.5.3)."""')


def _parts(element: Signable, plan: TypePlan, codes: RelaxedCodes) -> list[tuple[str, str, int, str]]:
    """Attribute of the class, name for errors, event code and bounds of the string of each part."""
    parts = []
    for slot in plan.slots:
        assert isinstance(slot.type, Simple)
        code = codes.characters
        if slot.place == "attribute":
            code = next(codes.attributes[a.name] for a in element.type.attributes if a.name.local == slot.element)
        parts.append((slot.name, slot.element, code, text_bounds(slot.type)))
    return parts


def _decoder(element: Signable, plan: TypePlan, codes: RelaxedCodes) -> list[str]:
    name = plan.class_name
    code = Code()
    add = code.add
    add(f"def decode_relaxed_{name}(n: int, e: int) -> tuple[{name}, int]:")
    add(_text(element, name))
    add(f'    at = "{plan.slots[0].element}"')
    add("    try:")
    code.indent = 2
    for slot, at, event, most in _parts(element, plan, codes):
        if at != plan.slots[0].element:
            add(f'at = "{at}"')
        add(f"e -= {codes.start_bits}")
        add(f"if n >> e & {(1 << codes.start_bits) - 1} != {event}:")
        add("    raise unexpected(e)")
        add(f"{slot}, e = read_characters(n, e, {most})")
    add(f"e -= {codes.end_bits}")
    add(f"if n >> e & {(1 << codes.end_bits) - 1} != {codes.end}:")
    add("    raise unexpected(e)")
    code.indent = 1
    add("except ValueError as error:")
    add("    raise within(error, at, e) from None")
    add(f"return {name}({', '.join(slot.name for slot in plan.slots)}), e")
    return code.lines


def _encoder(element: Signable, plan: TypePlan, codes: RelaxedCodes) -> list[str]:
    name = plan.class_name
    code = Code()
    add = code.add
    add(f"def encode_relaxed_{name}(x: int, m: {name}) -> int:")
    add(_text(element, name))
    add(f"    if type(m) is not {name}:")
    add(f'        raise invalid(m, "a {name}")')
    add(f'    at = "{plan.slots[0].element}"')
    add("    try:")
    code.indent = 2
    for slot, at, event, most in _parts(element, plan, codes):
        if at != plan.slots[0].element:
            add(f'at = "{at}"')
        add(f"x = put_string(x << {codes.start_bits} | {event}, m.{slot}, {most})")
    add(f"return x << {codes.end_bits} | {codes.end}")
    code.indent = 1
    add("except ValueError as error:")
    add("    raise within(error, at) from None")
    return code.lines
