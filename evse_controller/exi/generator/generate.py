"""The generator's driver: from a folder of schemas to modules, and in which order their classes stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from evse_controller.exi.generator.emit_module import ModuleText
from evse_controller.exi.generator.grammar import TypePlan, plan_type
from evse_controller.exi.generator.modules import Module, known_in, module_of
from evse_controller.exi.generator.naming import class_name
from evse_controller.exi.generator.xsd import Complex, SchemaError, SchemaFolder, SchemaSet

PlanOf = Callable[[Complex], TypePlan]


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


def _check_shared(folder: SchemaFolder, schema: SchemaSet, module: Module) -> None:
    """Refuse a set in which an imported type's grammar differs from that of the imported module's own coders.

    Only a substitution group can do that: its members are those of the whole set (EXI 1.0, 8.5.4.1.6).
    """
    for uri in schema.namespaces:
        if uri in module.namespaces:
            continue
        alone = SchemaSet(folder, module_of(uri).root)
        for kind in alone.complex_types(uri):
            if not kind.abstract and _signature(plan_type(alone, kind)) != _signature(
                plan_type(schema, schema.complex(kind.name))
            ):
                raise SchemaError(f"the grammar of type {kind.name.local} depends on the schema set {schema.uri}")


def _plans(schema: SchemaSet, module: Module, plan_of: PlanOf) -> list[TypePlan]:
    """The plans of the module's types in the order of their classes, each with its global element.

    A message knows its element by its class, so where two elements share a type each has a class of its own.
    """
    kinds = [kind for uri in module.namespaces for kind in schema.complex_types(uri)]
    plans = _ordered([plan_of(kind) for kind in kinds if not kind.abstract])
    # All global elements and SE(*) compete for the root, sorted by name (EXI 1.0, 8.5.1).
    for code, name in enumerate(sorted(schema.elements) if module.schema else ()):
        kind = schema.type_of(schema.elements[name])
        if name.uri not in module.namespaces or not isinstance(kind, Complex):
            continue
        if kind.abstract or schema.elements[name].abstract:
            continue
        plan = plan_of(kind)
        if plan.element is not None:
            plan = replace(plan, class_name=class_name(name.local))
            plans.append(plan)
        plan.element, plan.code = name.local, code
    return plans


def _check_names(schema: SchemaSet, module: Module, plans: list[TypePlan]) -> None:
    """Refuse two types that would become classes of the same name."""
    names = [plan.class_name for plan in plans]
    for uri in module.namespaces:
        names += [class_name(k.name.local) for k in schema.simple_types(uri) if k.kind == "enum" and k.name]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise SchemaError(f"{module.root}: several types would become class {', '.join(doubles)}")


def module_text(folder: SchemaFolder, uri: str) -> str:
    """The source of the module of one namespace."""
    module = module_of(uri)
    schema = SchemaSet(folder, module.root)
    _check_shared(folder, schema, module)
    known: dict[Complex, TypePlan] = {}

    def plan_of(kind: Complex) -> TypePlan:
        if kind not in known:
            known[kind] = plan_type(schema, kind)
        return known[kind]

    plans = _plans(schema, module, plan_of)
    _check_names(schema, module, plans)
    return ModuleText(schema, module, plans, plan_of).text()


def generate(schemas: Path, out: Path, uris: list[str] | None = None) -> list[Path]:
    """Write a module per namespace found below `schemas` that is known or asked for; the files written."""
    folder = SchemaFolder(schemas)
    wanted = [module_of(uri) for uri in uris] if uris is not None else known_in(folder)
    if not wanted:
        raise SchemaError(f"no schema of a known namespace below {schemas}")
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for module in wanted:
        path = out / f"{module.name}.py"
        path.write_text(module_text(folder, module.root), encoding="utf-8")
        written.append(path)
    return written
