"""The generator's driver: which namespaces become which modules, and in which order their classes stand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evse_controller.exi.generator.emit_module import ModuleText
from evse_controller.exi.generator.grammar import TypePlan, plan_type
from evse_controller.exi.generator.naming import module_name
from evse_controller.exi.generator.xsd import Complex, SchemaError, SchemaFolder, SchemaSet


@dataclass(frozen=True)
class Module:
    """A generated module: its file name, and the schema set it is the root of (None: only types for others)."""

    name: str
    schema: str | None


MODULES = {
    "urn:iso:15118:2:2010:AppProtocol": Module("app_protocol", "APP_PROTOCOL"),
    "http://www.w3.org/2000/09/xmldsig#": Module("xmldsig", "XMLDSIG"),
    "urn:iso:std:iso:15118:-20:CommonTypes": Module("common_types", None),
    "urn:iso:std:iso:15118:-20:CommonMessages": Module("common_messages", "ISO20_COMMON"),
    "urn:iso:std:iso:15118:-20:DC": Module("dc", "ISO20_DC"),
    "urn:iso:std:iso:15118:-20:AC": Module("ac", "ISO20_AC"),
}


def module_of(uri: str) -> Module:
    """The module of a namespace, from the table or derived from the namespace's last part."""
    return MODULES.get(uri) or Module(module_name(uri), module_name(uri).upper())


def _ordered(plans: list[TypePlan]) -> list[TypePlan]:
    """Plans in an order in which a class comes after the classes that it uses."""
    by_type = {plan.type: plan for plan in plans}
    order: list[TypePlan] = []
    open_types: set[Complex] = set()

    def visit(plan: TypePlan) -> None:
        if plan in order:
            return
        if plan.type in open_types:
            raise SchemaError(f"type {plan.type.name.local} contains itself, which is not supported")
        open_types.add(plan.type)
        for used in plan.uses:
            if used in by_type:
                visit(by_type[used])
        order.append(plan)

    for plan in plans:
        visit(plan)
    return order


def _signature(plan: TypePlan) -> list[tuple[list[str], int, int]]:
    return [([t.element for t in item.terminals], item.low, item.high) for item in plan.items]


def _check_shared(folder: SchemaFolder, schema: SchemaSet) -> None:
    """Refuse a set in which an imported type's grammar differs from that of the imported module's own coders.

    Only a substitution group can do that: its members are those of the whole set (EXI 1.0, 8.5.4.1.6).
    """
    for uri in schema.namespaces[1:]:
        alone = SchemaSet(folder, uri)
        for kind in alone.complex_types(uri):
            if not kind.abstract and _signature(plan_type(alone, kind)) != _signature(
                plan_type(schema, schema.complex(kind.name))
            ):
                raise SchemaError(f"the grammar of type {kind.name.local} depends on the schema set {schema.uri}")


def module_text(folder: SchemaFolder, uri: str) -> str:
    """The source of the module of one namespace."""
    schema = SchemaSet(folder, uri)
    _check_shared(folder, schema)
    known: dict[Complex, TypePlan] = {}

    def plan_of(kind: Complex) -> TypePlan:
        if kind not in known:
            known[kind] = plan_type(schema, kind)
        return known[kind]

    plans = _ordered([plan_of(kind) for kind in schema.complex_types(uri) if not kind.abstract])
    names = [plan.class_name for plan in plans]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise SchemaError(f"{uri}: several types would become class {', '.join(doubles)}")
    return ModuleText(schema, plans, plan_of, module_of(uri).schema, lambda other: module_of(other).name).text()


def generate(schemas: Path, out: Path, uris: list[str] | None = None) -> list[Path]:
    """Write a module per namespace found below `schemas` that is known or asked for; the files written."""
    folder = SchemaFolder(schemas)
    wanted = uris if uris is not None else [uri for uri in MODULES if uri in folder.documents]
    if not wanted:
        raise SchemaError(f"no schema of a known namespace below {schemas}")
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for uri in wanted:
        path = out / f"{module_of(uri).name}.py"
        path.write_text(module_text(folder, uri), encoding="utf-8")
        written.append(path)
    return written
