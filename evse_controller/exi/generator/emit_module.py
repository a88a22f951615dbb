"""Step 4e of the generator: a module's text, put together from classes, coders, document and fragment grammar."""

from __future__ import annotations

import re
from collections.abc import Callable

from evse_controller.exi.generator.emit_classes import emit_class, emit_enum, type_name
from evse_controller.exi.generator.emit_decode import DecoderEmitter, emit_reader, reader
from evse_controller.exi.generator.emit_encode import EncoderEmitter, emit_writer, writer
from evse_controller.exi.generator.emit_fragment import emit_fragments
from evse_controller.exi.generator.fragments import FragmentGrammar
from evse_controller.exi.generator.grammar import TypePlan, bits_for
from evse_controller.exi.generator.layout import WIDTH, bracketed
from evse_controller.exi.generator.model import Complex, QName, Simple
from evse_controller.exi.generator.modules import Module, is_known, module_of
from evse_controller.exi.generator.naming import RUNTIME
from evse_controller.exi.generator.xsd import SchemaSet

PACKAGE = "evse_controller.messages.generated"


def enumerations(schema: SchemaSet, module: Module, plans: list[TypePlan]) -> list[Simple]:
    """The enumerations of the module's namespaces: the named ones, then those written inside their elements."""
    found = [kind for uri in module.namespaces for kind in schema.simple_types(uri)]
    found += [slot.type for plan in plans for slot in plan.slots if isinstance(slot.type, Simple)]
    enums = [kind for kind in found if kind.kind == "enum" and kind.name and kind.name.uri in module.namespaces]
    return list(dict.fromkeys(enums))


class ModuleText:
    """Writes one module."""

    def __init__(
        self, schema: SchemaSet, module: Module, plans: list[TypePlan], plan_of: Callable[[Complex], TypePlan]
    ) -> None:
        self.schema, self.module, self.plans, self.plan_of = schema, module, plans, plan_of

    def text(self) -> str:
        """The module's source."""
        enums = enumerations(self.schema, self.module, self.plans)
        blocks = [emit_enum(kind) for kind in enums]
        if enums:
            blocks.append([f"{type_name(k).upper()}_MEMBERS = tuple({type_name(k)})" for k in enums])
        schema = f"Schema.{self.module.schema}" if is_known(self.module.root) else "SCHEMA_SET"
        blocks += [emit_class(plan, schema) for plan in self.plans]
        for plan in self.plans:
            blocks.append(DecoderEmitter(plan, self.plan_of).emit())
            blocks.append(EncoderEmitter(plan).emit())
        for plan in self.plans:
            if plan.states is not None:
                blocks += [emit_reader(plan, slot, self.plan_of) for slot in plan.slots]
                blocks += [emit_writer(plan, slot) for slot in plan.slots]
                blocks.append(self._tables(plan))
        if self.module.schema:
            blocks += [self._document(), *self._fragments()]
        body = "\n\n\n".join("\n".join(block) for block in blocks if block) + "\n"
        head = self._header(body)
        if not is_known(self.module.root):
            names = [f'"{self.module.schema}"', f'"{self.module.root}"', f'"{self.module.name}"']
            head += ["", *bracketed("SCHEMA_SET = Schema.declare(", names, ")", 0, trailing=False)]
        return "\n".join(head) + "\n\n\n" + body

    def _tables(self, plan: TypePlan) -> list[str]:
        name = plan.class_name
        lines = bracketed(f"{name}_NAMES: Names = (", [f'("{s.element}", {s.is_list})' for s in plan.slots], ")", 0)
        readers, writers = [reader(plan, s) for s in plan.slots], [writer(plan, s) for s in plan.slots]
        lines += bracketed(f"{name}_READERS: tuple[Reader, ...] = (", readers, ")", 0)
        return lines + bracketed(f"{name}_WRITERS: tuple[Writer, ...] = (", writers, ")", 0)

    def _document(self) -> list[str]:
        """The document grammar: event code -> root element's class and coders (EXI 1.0, 8.5.1)."""
        roots = sorted((plan for plan in self.plans if plan.element), key=lambda plan: plan.code)
        lines = [f"DOCUMENT_BITS = {bits_for(len(self.schema.elements) + 1)}", "ROOT_DECODERS: RootDecoders = {"]
        lines += [f'    {plan.code}: ("{plan.element}", decode_{plan.class_name}),' for plan in roots]
        lines += ["}", "ROOT_ENCODERS: RootEncoders = {"]
        lines += [f"    {plan.class_name}: ({plan.code}, encode_{plan.class_name})," for plan in roots]
        return [*lines, "}"]

    def _fragments(self) -> list[list[str]]:
        """The fragment grammar, for the elements that signatures refer to (EXI 1.0, 8.5.2)."""
        grammar = FragmentGrammar(self.schema)
        return emit_fragments(grammar, {e.name.local: self.plan_of(e.type) for e in grammar.signable})

    def _imports(self, body: str) -> dict[str, set[str]]:
        """Names that come from other generated modules, by module."""
        found: dict[str, set[str]] = {}

        def note(name: QName, *texts: str) -> None:
            if name.uri not in self.module.namespaces:
                used = {text for text in texts if re.search(rf"\b{text}\b", body)}
                found.setdefault(f"{PACKAGE}.{module_of(name.uri).name}", set()).update(used)

        for plan in self.plans:
            for used in plan.uses:
                if not used.abstract:
                    text = type_name(used)
                    note(used.name, text, f"decode_{text}", f"encode_{text}")
        for signable in FragmentGrammar(self.schema).signable if self.module.schema else ():
            text = type_name(signable.type)
            note(signable.type.name, text, f"decode_{text}", f"encode_{text}")
        for plan in self.plans:
            for slot in plan.slots:
                if isinstance(slot.type, Simple) and slot.type.kind == "enum" and slot.type.name is not None:
                    text = type_name(slot.type)
                    note(slot.type.name, text, f"{text.upper()}_MEMBERS")
        return found

    def _title(self) -> list[str]:
        if len(self.module.namespaces) == 1:
            return [f'"""Messages of namespace {self.module.root}.']
        return ['"""Messages of the namespaces', "", *(f"    {uri}" for uri in self.module.namespaces)]

    def _header(self, body: str) -> list[str]:
        lines = [
            *self._title(),
            "",
            "Generated by `python -m evse_controller.exi generate`; do not edit.",
            '"""',
            "",
            "# Slots stand in schema order, and an expression is not broken.",
            f"# ruff: noqa: {'E501, ' if any(len(line) > WIDTH for line in body.splitlines()) else ''}RUF023",
            "",
            "from __future__ import annotations",
            "",
        ]
        if "(IntEnum)" in body:
            lines += ["from enum import IntEnum", ""]
        code = re.sub(r'""".*?"""', "", body, flags=re.DOTALL)
        code = re.sub(r'"[^"\n]*"', "", code)
        imports = {m: {n for n in names if re.search(rf"\b{n}\b", code)} for m, names in RUNTIME.items()}
        imports |= self._imports(body)
        if not is_known(self.module.root):
            imports["evse_controller.messages.base"].add("Schema")
        for module, names in sorted(imports.items()):
            if names:
                ordered = sorted(names, key=lambda n: (not n.isupper(), not n[0].isupper(), n))
                single = f"from {module} import {', '.join(ordered)}"
                if len(single) <= WIDTH:
                    lines.append(single)
                else:
                    lines += [f"from {module} import (", *(f"    {name}," for name in ordered), ")"]
        return lines
