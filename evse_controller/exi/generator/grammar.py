"""Step 2 and 3 of the generator: content models -> proto-grammars -> the normal form that is emitted.

A *regular* type is a row of items (attributes, then elements, choices or substitution groups, or text), each
with its own bounds. Its grammar states (EXI 1.0, 8.5.4.1) follow from the position in the row and one counter,
so a list of up to 2048 entries needs no 2048 states. Everything else (mixed content, wildcards, repeated or
nested groups; in practice only XML signature types) becomes a table of states by Glushkov's construction,
which yields the normalised grammar of EXI 1.0, 8.5.4.2 directly because schemas have unique attribution.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from evse_controller.exi.generator.model import UNBOUNDED, Complex, Element, Particle, QName, Simple, refused
from evse_controller.exi.generator.naming import class_name, snake
from evse_controller.exi.generator.xsd import SchemaSet

COPIES = 64  # bounded repetitions inside an irregular type are copied, up to here


@dataclass(eq=False)
class Slot:
    """One attribute of the generated class."""

    name: str
    element: str
    place: str  # attribute, element, text or substitution
    type: Simple | Complex | dict[str, Complex | None]
    low: int
    high: int
    choice: int = 0
    uri: str = ""  # the namespace of the element or attribute

    @property
    def is_list(self) -> bool:
        """Whether the attribute holds a list."""
        return self.high > 1


@dataclass(eq=False)
class Terminal:
    """One event: an attribute, the start of an element, or characters, and the slot that it fills."""

    slot: Slot
    type: Simple | Complex
    element: str = ""
    abstract: bool = False
    uri: str = ""


@dataclass
class Item:
    """A row element of a regular type: alternative terminals that share bounds."""

    terminals: list[Terminal]
    low: int
    high: int


@dataclass
class Edge:
    """A production of an irregular type's state: an event and the state that follows."""

    event: str  # AT, SE, SE*, EE or CH
    slot: Slot | None
    target: int


@dataclass(eq=False)
class TypePlan:
    """The normal form of one complex type; `element` and `code` are those of its global element, if it has one."""

    type: Complex
    class_name: str
    element: str | None = None
    code: int = -1
    slots: list[Slot] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    states: list[list[Edge]] | None = None

    @property
    def uses(self) -> list[Complex]:
        """The complex types that the slots refer to."""
        found: list[Complex] = []
        for slot in self.slots:
            types = list(slot.type.values()) if isinstance(slot.type, dict) else [slot.type]
            found += [t for t in types if isinstance(t, Complex)]
        return found


def bits_for(count: int) -> int:
    """The width of an event code or of an index among `count` values (EXI 1.0, 7.1.9)."""
    return (count - 1).bit_length()


def code_bits(productions: int) -> int:
    """The width of a first-level code: one more code announces the second level (EXI 1.0, 8.5.4.4.1)."""
    return bits_for(productions + 1)


def plan_type(schema: SchemaSet, kind: Complex) -> TypePlan:
    """The normal form of a complex type in a schema set."""
    plan = TypePlan(kind, class_name(kind.name.local))
    for attribute in kind.attributes:
        slot = Slot(snake(attribute.name.local), attribute.name.local, "attribute", attribute.type,
                    int(attribute.required), 1, uri=attribute.name.uri)
        plan.slots.append(slot)
        plan.items.append(Item([Terminal(slot, attribute.type)], slot.low, 1))
    if kind.simple is not None:
        slot = Slot("value", "value", "text", kind.simple, 1, 1)
        plan.slots.append(slot)
        plan.items.append(Item([Terminal(slot, kind.simple)], 1, 1))
        _check(plan)
        return plan
    if kind.mixed or (kind.content is not None and not _flatten(schema, plan, kind.content, top=True)):
        _irregular(schema, plan)
    _check(plan)
    return plan


def _check(plan: TypePlan) -> None:
    """Refuse names that would be one variable of the coders, or none."""
    several = sum(slot.is_list for slot in plan.slots) > 1
    names: list[str] = []
    for slot in plan.slots:
        simple = isinstance(slot.type, Simple) and slot.type.kind in ("string", "hex", "base64")
        if slot.name == "type" and (slot.is_list or not simple):  # the encoder has a variable of the name
            slot.name = "type_"
        if not slot.name.isidentifier():
            raise plan.type.refused(f"no attribute of a class can be named after {slot.element}")
        names += [slot.name, f"one_{slot.name}"] if slot.is_list and several else [slot.name]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise plan.type.refused(f"two parts are called {', '.join(doubles)}")


def _flatten(schema: SchemaSet, plan: TypePlan, particle: Particle, top: bool = False) -> bool:
    """Append the particle's items to the plan; False if the content is not a row of items."""
    if particle.kind == "sequence" and (particle.low, particle.high) == (1, 1):
        return all(_flatten(schema, plan, child) for child in particle.children)
    if particle.kind == "element":
        assert particle.element is not None
        plan.items.append(_element_item(schema, plan, particle, particle.element))
        return True
    if particle.kind == "choice" and particle.high == 1:
        if any(c.kind != "element" or (c.low, c.high) != (1, 1) for c in particle.children):
            return False
        group = 1 + max((slot.choice for slot in plan.slots), default=0)
        item = Item([], particle.low, 1)
        for child in particle.children:
            assert child.element is not None
            single = _element_item(schema, plan, Particle("element", particle.low, 1, child.element), child.element)
            if len(single.terminals) > 1:
                raise plan.type.refused(f"a substitution group ({child.element.name.local}) inside a choice")
            plan.slots[-1].choice = group
            item.terminals += single.terminals
        plan.items.append(item)
        return True
    return False


def _element_item(schema: SchemaSet, plan: TypePlan, particle: Particle, element: Element) -> Item:
    members = schema.members(element.name) if element.is_global else [element]
    types = [schema.type_of(member) for member in members]
    if len(members) == 1:
        slot = Slot(snake(element.name.local), element.name.local, "element", types[0], particle.low, particle.high,
                    uri=element.name.uri)
        plan.slots.append(slot)
        return Item([Terminal(slot, types[0], element.name.local)], particle.low, particle.high)
    # A substitution group: all members compete in the head's place, sorted by name (EXI 1.0, 8.5.4.1.6).
    if particle.high > 1:
        raise plan.type.refused("a list of a substitution group is not supported")
    table: dict[str, Complex | None] = {}
    slot = Slot(snake(element.name.local), element.name.local, "substitution", table, particle.low, 1)
    plan.slots.append(slot)
    item = Item([], particle.low, 1)
    for member, kind in zip(members, types, strict=True):
        if not isinstance(kind, Complex):
            raise refused(member.node, f"element {member.name.local}: a substitution group of simple types")
        abstract = member.abstract or kind.abstract
        if kind in table.values():
            raise refused(member.node, f"element {member.name.local}: another member of its group has the same type")
        if not abstract or member.name != element.name:
            table[member.name.local] = None if abstract else kind
        item.terminals.append(Terminal(slot, kind, member.name.local, abstract, member.name.uri))
    return item


@dataclass
class _Fragment:
    """A piece of Glushkov's automaton: may it be empty, and which positions begin and end it."""

    nullable: bool
    first: list[int]
    last: list[int]


class _Glushkov:
    def __init__(self, schema: SchemaSet, plan: TypePlan) -> None:
        self.schema, self.plan = schema, plan
        self.positions: list[Slot | None] = []
        self.follow: list[list[int]] = []
        self.slots: dict[QName, Slot] = {}

    def build(self, particle: Particle, repeated: bool) -> _Fragment:
        repeated = repeated or particle.high > 1
        if particle.high == UNBOUNDED:
            copies = [self._once(particle, True) for _ in range(max(particle.low, 1))]
            self._connect(copies[-1].last, copies[-1].first)
            whole = self._sequence(copies)
        else:
            if particle.high > COPIES:
                raise self.plan.type.refused("bounds inside a group are too large")
            copies = [self._once(particle, repeated) for _ in range(particle.high)]
            for optional in copies[max(particle.low, 1):]:
                optional.nullable = True
            whole = self._sequence(copies)
        if particle.low == 0:
            whole.nullable = True
        return whole

    def _once(self, particle: Particle, repeated: bool) -> _Fragment:
        if particle.kind == "element":
            assert particle.element is not None
            return self._position(self._slot(particle.element, repeated))
        if particle.kind == "any":
            return self._position(None)
        parts = [self.build(child, repeated) for child in particle.children]
        if particle.kind == "sequence":
            return self._sequence(parts)
        first = [position for part in parts for position in part.first]
        last = [position for part in parts for position in part.last]
        return _Fragment(any(p.nullable for p in parts), first, last)

    def _position(self, slot: Slot | None) -> _Fragment:
        self.positions.append(slot)
        self.follow.append([])
        here = [len(self.positions) - 1]
        return _Fragment(False, here, list(here))

    def _slot(self, element: Element, repeated: bool) -> Slot:
        known = self.slots.get(element.name)
        if known is None:
            if element.is_global and len(self.schema.members(element.name)) > 1:
                raise self.plan.type.refused(f"element {element.name.local}: a substitution group in an irregular type")
            local = element.name.local
            known = Slot(snake(local), local, "element", self.schema.type_of(element), 0, 1, uri=element.name.uri)
            self.slots[element.name] = known
            self.plan.slots.append(known)
        if repeated:
            known.high = UNBOUNDED
        return known

    def mark_repeated(self) -> None:
        """Make a list of what stands at several positions of which one can follow the other."""
        for start, slot in enumerate(self.positions):
            reached: set[int] = set()
            pending = list(self.follow[start])
            while pending:
                position = pending.pop()
                if position not in reached:
                    reached.add(position)
                    pending += self.follow[position]
            if slot is not None and any(self.positions[position] is slot for position in reached):
                slot.high = UNBOUNDED

    def _sequence(self, parts: list[_Fragment]) -> _Fragment:
        whole = _Fragment(True, [], [])
        for part in parts:
            self._connect(whole.last, part.first)
            if whole.nullable:
                whole.first = whole.first + part.first
            whole.last = part.last + whole.last if part.nullable else list(part.last)
            whole.nullable = whole.nullable and part.nullable
        return whole

    def _connect(self, last: list[int], first: list[int]) -> None:
        for position in last:
            self.follow[position] += [f for f in first if f not in self.follow[position]]


def _irregular(schema: SchemaSet, plan: TypePlan) -> None:
    """Replace the plan's element items by a table of states."""
    attributes = [item for item in plan.items if item.terminals[0].slot.place == "attribute"]
    plan.slots = [item.terminals[0].slot for item in attributes]
    plan.items = []
    maker = _Glushkov(schema, plan)
    whole = maker.build(plan.type.content, False) if plan.type.content else _Fragment(True, [], [])
    maker.mark_repeated()
    offset = len(attributes) + 1  # states: one per attribute, the content's start, one per position

    def content_state(follow: list[int], final: bool, own: int) -> list[Edge]:
        edges = []
        for position in sorted(follow, key=lambda p: (maker.positions[p] is None, p)):
            slot = maker.positions[position]
            edges.append(Edge("SE" if slot else "SE*", slot, offset + position))
        if final:
            edges.append(Edge("EE", None, -1))
        if plan.type.mixed:
            edges.append(Edge("CH", None, own))  # untyped characters between elements (EXI 1.0, 8.5.4.1.3.2)
        return edges

    states = []
    start = content_state(whole.first, whole.nullable, len(attributes))
    for index in range(len(attributes)):
        edges = []
        for later in range(index, len(attributes)):
            edges.append(Edge("AT", attributes[later].terminals[0].slot, later + 1))
            if attributes[later].low:
                break
        else:
            edges += start
        states.append(edges)
    states.append(start)
    for position, follow in enumerate(maker.follow):
        states.append(content_state(follow, position in whole.last, offset + position))
    plan.states = states
