"""Step 2b of the generator: the fragment grammar of a schema set, and which elements signatures may refer to."""

from __future__ import annotations

from dataclasses import dataclass

from evse_controller.exi.generator.grammar import bits_for
from evse_controller.exi.generator.model import Complex, Element, Particle, QName, Simple
from evse_controller.exi.generator.xsd import SchemaSet

SIGNED_INFO = "SignedInfo"


@dataclass(frozen=True)
class Signable:
    """An element that a signature covers: its event code in the fragment grammar and its type.

    `relaxed` says that the name is declared with several types, so that the element's content follows the relaxed
    Element Fragment grammar (EXI 1.0, 8.5.3) instead of the type's own.
    """

    name: QName
    code: int
    type: Complex
    relaxed: bool


class FragmentGrammar:
    """FragmentContent of a schema set (EXI 1.0, 8.5.2): SE of every unique name, then SE(*), then ED."""

    def __init__(self, schema: SchemaSet) -> None:
        self.schema = schema
        self._declared: dict[QName, list[Element]] = {}
        self._attributes: set[QName] = set()
        self._walked: set[Complex] = set()
        for element in schema.elements.values():
            self._element(element)
        for uri in schema.namespaces:
            for kind in schema.complex_types(uri):
                self._type(kind)
        self.names = sorted(self._declared)
        self.attributes = sorted(self._attributes)

    def _element(self, element: Element) -> None:
        known = self._declared.setdefault(element.name, [])
        if element in known:
            return
        known.append(element)
        kind = self.schema.type_of(element)
        if isinstance(kind, Complex):
            self._type(kind)

    def _type(self, kind: Complex) -> None:
        if kind in self._walked:
            return
        self._walked.add(kind)
        self._attributes.update(attribute.name for attribute in kind.attributes)
        if kind.content is not None:
            self._particle(kind.content)

    def _particle(self, particle: Particle) -> None:
        if particle.element is not None:
            self._element(particle.element)
        for child in particle.children:
            self._particle(child)

    @property
    def end(self) -> int:
        """The event code of ED, behind all names and SE(*)."""
        return len(self.names) + 1

    @property
    def bits(self) -> int:
        """The width of the event codes; a fragment grammar has no second level with the options in use."""
        return bits_for(len(self.names) + 2)

    @property
    def ambiguous(self) -> list[QName]:
        """The names that are declared with several types."""
        return [name for name in self.names if len({_identity(e) for e in self._declared[name]}) > 1]

    @property
    def signable(self) -> list[Signable]:
        """Elements with an attribute Id, and SignedInfo; of XML signatures themselves nothing else is ever signed."""
        found = []
        ambiguous = set(self.ambiguous)
        for code, name in enumerate(self.names):
            types = {self.schema.type_of(element) for element in self._declared[name]}
            kinds = [kind for kind in types if isinstance(kind, Complex) and not kind.abstract]
            if len(kinds) == 1 and _is_signed(name, kinds[0]):
                found.append(Signable(name, code, kinds[0], name in ambiguous))
        return found


def _identity(element: Element) -> object:
    return element.type_name or id(element.node)


def _is_signed(name: QName, kind: Complex) -> bool:
    if name.uri == "http://www.w3.org/2000/09/xmldsig#":
        return name.local == SIGNED_INFO
    return any(attribute.name.local == "Id" for attribute in kind.attributes)


@dataclass(frozen=True)
class RelaxedCodes:
    """Event codes of the relaxed Element Fragment grammar (EXI 1.0, 8.5.3) with their widths.

    The start state has AT of every attribute name, AT(*), SE of every element name, SE(*), EE and CH; behind the
    attributes and characters come only SE, SE(*), EE and CH. Both have a second level.
    """

    attributes: dict[QName, int]
    characters: int
    start_bits: int
    end: int
    end_bits: int


def relaxed_codes(grammar: FragmentGrammar) -> RelaxedCodes:
    """The codes for one schema set."""
    elements = len(grammar.names) + 1
    before = len(grammar.attributes) + 1
    start, content = before + elements + 2, elements + 2
    return RelaxedCodes(
        {name: code for code, name in enumerate(grammar.attributes)},
        start - 1, bits_for(start + 1), elements, bits_for(content + 1),
    )


def is_plain_text(kind: Complex) -> bool:
    """Whether the relaxed grammar is supported for the type: characters with string attributes, all required."""
    simple = kind.simple is not None and kind.simple.kind == "string"
    return simple and all(a.required and _is_string(a.type) for a in kind.attributes)


def _is_string(kind: Simple) -> bool:
    return kind.kind == "string"
