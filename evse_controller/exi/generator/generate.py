"""The generator's driver: from a folder of schemas to modules, and in which order their classes stand."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from evse_controller.exi.generator.emit_module import ModuleText, enumerations
from evse_controller.exi.generator.grammar import TypePlan, plan_type
from evse_controller.exi.generator.model import Complex, QName, SchemaError, Simple
from evse_controller.exi.generator.modules import KNOWN, Module, is_known, module_of
from evse_controller.exi.generator.naming import class_name, is_class_name
from evse_controller.exi.generator.xsd import SchemaFolder, SchemaSet

PACKAGE_FOLDER = Path(__file__).resolve().parents[2] / "messages" / "generated"
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
            raise plan.type.refused("it contains itself, which is not supported")
        open_types.add(plan.type)
        for used in plan.uses:
            if used in by_type:
                visit(by_type[used])
        order.append(plan)

    for plan in plans:
        visit(plan)
    return order


def _signature(plan: TypePlan) -> list[object]:
    if plan.states is not None:
        return [[(e.event, e.slot.element if e.slot else "", e.target) for e in edges] for edges in plan.states]
    return [([t.element for t in item.terminals], item.low, item.high) for item in plan.items]


def _check_shared(folder: SchemaFolder, schema: SchemaSet, module: Module, plans: list[TypePlan]) -> None:
    """Refuse a set in which an imported type's grammar differs from that of the imported module's own coders.

    Only a substitution group can do that: its members are those of the whole set (EXI 1.0, 8.5.4.1.6).
    """
    sets: dict[str, SchemaSet] = {}
    pending = [used for plan in plans for used in plan.uses]
    seen: set[Complex] = set()
    while pending:
        kind = pending.pop()
        if kind in seen or kind.abstract or kind.name.uri in module.namespaces:
            continue
        seen.add(kind)
        root = module_of(kind.name.uri).root
        alone = sets.setdefault(root, SchemaSet(folder, root))
        plan = plan_type(schema, kind)
        if _signature(plan_type(alone, alone.complex(kind.name))) != _signature(plan):
            raise kind.refused(f"its grammar depends on the schema set {schema.uri}")
        pending += plan.uses


def _plans(schema: SchemaSet, module: Module, plan_of: PlanOf) -> list[TypePlan]:
    """The plans of the module's types in the order of their classes, each with its global element.

    A message knows its element by its class, so where two elements share a type each has a class of its own.
    """
    kinds = [kind for uri in module.namespaces for kind in schema.complex_types(uri) if not kind.abstract]
    for kind in kinds:  # grows: anonymous types of local elements are found where they are used
        inner = [used for used in plan_of(kind).uses if used.name.uri in module.namespaces and not used.abstract]
        kinds += [used for used in dict.fromkeys(inner) if used not in kinds]
    plans = _ordered([plan_of(kind) for kind in kinds])
    # All global elements and SE(*) compete for the root, sorted by name (EXI 1.0, 8.5.1).
    for code, name in enumerate(sorted(schema.elements) if module.schema else ()):
        root = schema.type_of(schema.elements[name])
        if name.uri not in module.namespaces or not isinstance(root, Complex):
            continue
        if root.abstract or schema.elements[name].abstract:
            continue
        plan = plan_of(root)
        if plan.element is not None:
            plan = replace(plan, class_name=class_name(name.local))
            plans.append(plan)
        plan.element, plan.code = name.local, code
    return plans


def _check_names(schema: SchemaSet, module: Module, plans: list[TypePlan]) -> None:
    """Refuse types that would become classes of the same name, and names that a class cannot have here."""
    found = [(plan.class_name, plan.type.name, plan.type.where) for plan in plans]
    enums = [(kind, kind.name) for kind in enumerations(schema, module, plans) if kind.name]
    found += [(class_name(name.local), name, schema.where(kind)) for kind, name in enums]
    for name, kind, where in found:
        if not is_class_name(name):
            raise SchemaError(f"{where}: type {kind.local} would become class {name!r}, which a module cannot have")
    names = [name for name, _, _ in found]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise SchemaError(f"{module.root}: several types would become class {', '.join(doubles)}")
    # What is imported from other modules comes under its own name.
    for used in _imported(module, plans):
        found.append((class_name(used.local), used, ""))
    first: dict[str, tuple[QName, str]] = {}
    for name, kind, where in found:
        other, there = first.setdefault(name, (kind, where))
        if not where and other != kind:
            raise SchemaError(f"{there or module.root}: types {other} and {kind} would both become class {name}")


def _imported(module: Module, plans: list[TypePlan]) -> list[QName]:
    """The types of other modules that the classes refer to."""
    names = [used.name for plan in plans for used in plan.uses if not used.abstract]
    for slot in (slot for plan in plans for slot in plan.slots):
        if isinstance(slot.type, Simple) and slot.type.kind == "enum" and slot.type.name:
            names.append(slot.type.name)
    return [name for name in dict.fromkeys(names) if name.uri not in module.namespaces]


def _check_text(module: Module, text: str) -> None:
    """Refuse a module in which a name of its own would hide another one: tables are named after types, too."""
    try:
        tree = ast.parse(text)
    except SyntaxError as problem:
        raise SchemaError(f"{module.root}: no module can be made of its names: {problem.msg}") from None
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            names += [alias.name for alias in node.names]
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.append(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [target.id for target in targets if isinstance(target, ast.Name)]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise SchemaError(f"{module.root}: the module would have several things called {', '.join(doubles)}")


def module_text(folder: SchemaFolder, uri: str) -> str:
    """The source of the module of one namespace."""
    module = module_of(uri)
    schema = SchemaSet(folder, module.root)
    known: dict[Complex, TypePlan] = {}

    def plan_of(kind: Complex) -> TypePlan:
        if kind not in known:
            known[kind] = plan_type(schema, kind)
        return known[kind]

    plans = _plans(schema, module, plan_of)
    _check_shared(folder, schema, module, plans)
    _check_names(schema, module, plans)
    text = ModuleText(schema, module, plans, plan_of).text()
    if not is_known(module.root):
        _check_text(module, text)
    return text


def _check_known(folder: SchemaFolder, module: Module) -> None:
    """Refuse to build on another edition of a namespace than the one that the package's own module is made from."""
    for uri in folder.closure(module.root):
        own = module_of(uri)
        if is_known(uri) and module_text(folder, uri) != (PACKAGE_FOLDER / f"{own.name}.py").read_text("utf-8"):
            raise SchemaError(
                f"namespace {uri!r} in the folder is another edition than the package's module {own.name} has; "
                f"{module.root!r} {'alone' if uri == module.root else 'imports it and'} would mix the two"
            )


def _wanted(folder: SchemaFolder, uris: list[str] | None, home: bool) -> list[Module]:
    """The modules to write: what is asked for and, where it is not known, what that imports."""
    if uris is None:
        uris = [uri for uri in folder.documents if home or not is_known(uri)]
    found = []
    for uri in uris:
        found.append(module_of(uri))
        found += [module_of(other) for other in folder.closure(uri) if not is_known(other)]
    return sorted(dict.fromkeys(found), key=lambda module: KNOWN.index(module) if module in KNOWN else len(KNOWN))


def generate(schemas: Path, out: Path, uris: list[str] | None = None, everything: bool = False) -> list[Path]:
    """Write a module per namespace found below `schemas`; the files written.

    Into the package's own folder go all of them. Into another folder go those that the package does not know, which
    import the package's own modules of the others: those must have been made from the same schemas. `everything`
    writes the known ones there too, where nothing loads them, to look at or to compare.
    """
    folder = SchemaFolder(schemas)
    home = out.resolve() == PACKAGE_FOLDER
    wanted = _wanted(folder, uris, home or everything)
    if not wanted:
        raise SchemaError(f"no schema below {schemas} that the package does not know")
    texts = {module.name: module_text(folder, module.root) for module in wanted}
    if len(texts) < len(wanted):
        raise SchemaError(f"several namespaces would become one module: {', '.join(m.root for m in wanted)}")
    # Only the package as a whole may change what the package has; a part of it would mix two editions.
    whole = home and uris is None and all(module.root in folder.documents for module in KNOWN)
    for module in wanted:
        if not whole and (home or not is_known(module.root)):
            _check_known(folder, module)
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in texts.items():
        written.append(out / f"{name}.py")
        written[-1].write_text(text, encoding="utf-8")
    return written
