"""Step 1 of the generator: XML Schema documents -> a small model of types, elements and particles.

Only what schemas of charging protocols use is understood; anything else is refused with the name of the
construct, because a construct that is silently ignored would shift every event code after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lxml import etree

XS = "http://www.w3.org/2001/XMLSchema"
UNBOUNDED = 1 << 30


class SchemaError(Exception):
    """The schema uses something that the generator does not support, or is inconsistent."""


class QName(NamedTuple):
    """A qualified name; sorts by local name first, as EXI orders names (EXI 1.0, 8.5.4)."""

    local: str
    uri: str

    def __str__(self) -> str:
        return f"{{{self.uri}}}{self.local}"


@dataclass(frozen=True)
class Simple:
    """A simple type reduced to what decides its EXI representation (EXI 1.0, 7.1) and its facets."""

    kind: str  # boolean, integer, string, hex, base64 or enum
    name: QName | None = None
    values: tuple[str, ...] = ()
    low: int | None = None
    high: int | None = None
    min_length: int = 0
    max_length: int | None = None


@dataclass(frozen=True)
class Attribute:
    """An attribute declaration as used by one complex type."""

    name: QName
    type: Simple
    required: bool


@dataclass(eq=False)
class Element:
    """An element declaration; `type` is resolved lazily because types may refer to each other."""

    name: QName
    type_name: QName | None
    inline: etree._Element | None
    is_global: bool = False
    abstract: bool = False
    head: QName | None = None


@dataclass
class Particle:
    """A term with its occurrence bounds: an element, a wildcard, a sequence or a choice."""

    kind: str  # element, any, sequence or choice
    low: int = 1
    high: int = 1
    element: Element | None = None
    children: list[Particle] = field(default_factory=list)


@dataclass(eq=False)
class Complex:
    """A complex type with its inherited content already put in front of its own (EXI 1.0, 8.5.4.1.3)."""

    name: QName
    abstract: bool
    attributes: list[Attribute]
    content: Particle | None
    simple: Simple | None
    mixed: bool


_INTEGERS: dict[str, tuple[int | None, int | None]] = {
    "integer": (None, None),
    "nonNegativeInteger": (0, None),
    "positiveInteger": (1, None),
    "nonPositiveInteger": (None, 0),
    "negativeInteger": (None, -1),
    "byte": (-(2**7), 2**7 - 1),
    "short": (-(2**15), 2**15 - 1),
    "int": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
    "unsignedByte": (0, 2**8 - 1),
    "unsignedShort": (0, 2**16 - 1),
    "unsignedInt": (0, 2**32 - 1),
    "unsignedLong": (0, 2**64 - 1),
}
_STRINGS = {"string", "anyURI", "ID", "IDREF", "NCName", "Name", "token", "normalizedString", "NMTOKEN", "language"}


def builtin(local: str) -> Simple:
    """The model of a built-in simple type."""
    if local in _INTEGERS:
        low, high = _INTEGERS[local]
        return Simple("integer", low=low, high=high)
    if local in _STRINGS:
        return Simple("string")
    kinds = {"boolean": "boolean", "hexBinary": "hex", "base64Binary": "base64"}
    if local in kinds:
        return Simple(kinds[local])
    raise SchemaError(f"built-in type xs:{local} is not supported")


class SchemaFolder:
    """All schema documents below a folder, found by their target namespace."""

    def __init__(self, folder: Path) -> None:
        parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, remove_comments=True)
        self.documents: dict[str, list[etree._Element]] = {}
        seen: set[tuple[str, bytes]] = set()
        for path in sorted(folder.rglob("*.xsd"), key=lambda p: (len(p.parts), p.as_posix())):
            root = etree.parse(str(path), parser).getroot()
            uri = root.get("targetNamespace", "")
            key = (uri, etree.tostring(root, method="c14n"))
            # Schema folders hold copies of the XML signature schema beside the schemas that import it.
            if key not in seen:
                seen.add(key)
                self.documents.setdefault(uri, []).append(root)

    def closure(self, uri: str) -> list[str]:
        """The namespace and everything that it imports, directly or not, in import order."""
        order: list[str] = []
        pending = [uri]
        while pending:
            current = pending.pop(0)
            if current in order:
                continue
            if current not in self.documents:
                raise SchemaError(f"no schema document for namespace {current!r} in the folder")
            order.append(current)
            for root in self.documents[current]:
                pending += [str(n.get("namespace")) for n in root.iterfind(f"{{{XS}}}import")]
        return order


class SchemaSet:
    """The components of one root namespace with its imports: what one EXI grammar is built from."""

    def __init__(self, folder: SchemaFolder, uri: str) -> None:
        self.uri = uri
        self.namespaces = folder.closure(uri)
        self.elements: dict[QName, Element] = {}
        self._complex: dict[QName, etree._Element] = {}
        self._simple: dict[QName, etree._Element] = {}
        self._built: dict[QName, Complex] = {}
        self._elements_of: dict[etree._Element, Element] = {}
        for namespace in self.namespaces:
            for root in folder.documents[namespace]:
                self._collect(root, namespace)
        self._members: dict[QName, list[Element]] = {}
        for element in self.elements.values():
            if element.head is not None:
                self._members.setdefault(element.head, []).append(element)

    def _collect(self, root: etree._Element, namespace: str) -> None:
        for node in root:
            tag = _local(node)
            name = QName(node.get("name", ""), namespace)
            if tag == "element":
                self.elements[name] = self._element(node, is_global=True)
            elif tag == "complexType":
                self._complex[name] = node
            elif tag == "simpleType":
                self._simple[name] = node
            elif tag not in ("import", "include", "annotation"):
                raise SchemaError(f"xs:{tag} at the top level of {namespace!r} is not supported")

    def _element(self, node: etree._Element, is_global: bool) -> Element:
        if node in self._elements_of:
            return self._elements_of[node]
        root = node.getroottree().getroot()
        qualified = is_global or node.get("form", root.get("elementFormDefault")) == "qualified"
        uri = root.get("targetNamespace", "") if qualified else ""
        if node.get("nillable") in ("true", "1"):
            raise SchemaError(f"nillable element {node.get('name')} is not supported")
        type_name = node.get("type")
        head = node.get("substitutionGroup")
        element = Element(
            QName(str(node.get("name")), uri),
            _resolve(node, type_name) if type_name else None,
            None if type_name else node,
            is_global,
            node.get("abstract") in ("true", "1"),
            _resolve(node, head) if head else None,
        )
        self._elements_of[node] = element
        return element

    def members(self, head: QName) -> list[Element]:
        """A head element and all that may substitute it, sorted as EXI sorts them (EXI 1.0, 8.5.4.1.6)."""
        found = [self.elements[head]]
        pending = [head]
        while pending:
            for member in self._members.get(pending.pop(), []):
                found.append(member)
                pending.append(member.name)
        return sorted(found, key=lambda e: e.name)

    def complex_types(self, namespace: str) -> Iterator[Complex]:
        """The complex types of a namespace in document order, the anonymous ones of global elements included."""
        for name in self._complex:
            if name.uri == namespace:
                yield self.complex(name)
        for element in self.elements.values():
            if element.name.uri == namespace and element.inline is not None:
                resolved = self.type_of(element)
                if isinstance(resolved, Complex):
                    yield resolved

    def simple_types(self, namespace: str) -> Iterator[Simple]:
        """The named simple types of a namespace in document order."""
        for name in self._simple:
            if name.uri == namespace:
                yield self.simple(name)

    def type_of(self, element: Element) -> Simple | Complex:
        """The resolved type of an element."""
        if element.type_name is not None:
            if element.type_name in self._complex:
                return self.complex(element.type_name)
            return self.simple(element.type_name)
        node = element.inline
        assert node is not None
        inner = node.find(f"{{{XS}}}complexType")
        if inner is not None:
            name = QName(element.name.local, str(node.getroottree().getroot().get("targetNamespace", "")))
            return self._build(name, inner)
        inner = node.find(f"{{{XS}}}simpleType")
        if inner is not None:
            return self._simple_from(inner, QName(element.name.local, element.name.uri))
        raise SchemaError(f"element {element.name} has no type")

    def complex(self, name: QName) -> Complex:
        """A named complex type."""
        return self._build(name, self._complex[name])

    def simple(self, name: QName) -> Simple:
        """A named or built-in simple type."""
        if name.uri == XS:
            return builtin(name.local)
        if name not in self._simple:
            raise SchemaError(f"unknown type {name}")
        return self._simple_from(self._simple[name], name)

    def _simple_from(self, node: etree._Element, name: QName) -> Simple:
        restriction = node.find(f"{{{XS}}}restriction")
        if restriction is None:
            raise SchemaError(f"simple type {name.local}: only restrictions are supported")
        base = self.simple(_resolve(node, str(restriction.get("base"))))
        low, high, least, most = base.low, base.high, base.min_length, base.max_length
        values: list[str] = []
        for facet in restriction:
            tag, value = _local(facet), str(facet.get("value"))
            if tag == "enumeration":
                values.append(value)
            elif tag == "minInclusive":
                low = int(value)
            elif tag == "maxInclusive":
                high = int(value)
            elif tag == "minExclusive":
                low = int(value) + 1
            elif tag == "maxExclusive":
                high = int(value) - 1
            elif tag == "length":
                least = most = int(value)
            elif tag == "minLength":
                least = int(value)
            elif tag == "maxLength":
                most = int(value)
            elif tag not in ("annotation", "whiteSpace"):
                raise SchemaError(f"simple type {name.local}: facet {tag} is not supported")
        if values:
            return Simple("enum", name, tuple(values))
        if base.kind == "enum":
            return base
        return Simple(base.kind, name, (), low, high, least, most)

    def _build(self, name: QName, node: etree._Element) -> Complex:
        if name in self._built:
            return self._built[name]
        attributes: list[Attribute] = []
        parts: list[Particle] = []
        simple: Simple | None = None
        mixed = node.get("mixed") in ("true", "1")
        body = node
        content = node.find(f"{{{XS}}}complexContent")
        if content is None:
            content = node.find(f"{{{XS}}}simpleContent")
        if content is not None:
            extension = content.find(f"{{{XS}}}extension")
            if extension is None:
                raise SchemaError(f"complex type {name.local}: only extensions are supported")
            base = _resolve(node, str(extension.get("base")))
            if base in self._complex:
                parent = self.complex(base)
                attributes += parent.attributes
                parts += [parent.content] if parent.content else []
                simple, mixed = parent.simple, mixed or parent.mixed
            else:
                simple = self.simple(base)
            body = extension
        for child in body:
            tag = _local(child)
            if tag in ("sequence", "choice"):
                parts.append(self._particle(child))
            elif tag == "attribute":
                attributes.append(self._attribute(child))
            elif tag not in ("annotation", "complexContent", "simpleContent"):
                raise SchemaError(f"complex type {name.local}: xs:{tag} is not supported")
        whole = parts[0] if len(parts) == 1 else Particle("sequence", children=parts) if parts else None
        abstract = node.get("abstract") in ("true", "1")
        built = Complex(name, abstract, sorted(attributes, key=lambda a: a.name), whole, simple, mixed)
        self._built[name] = built
        return built

    def _attribute(self, node: etree._Element) -> Attribute:
        root = node.getroottree().getroot()
        qualified = node.get("form", root.get("attributeFormDefault")) == "qualified"
        uri = root.get("targetNamespace", "") if qualified else ""
        kind = self.simple(_resolve(node, str(node.get("type"))))
        return Attribute(QName(str(node.get("name")), uri), kind, node.get("use") == "required")

    def _particle(self, node: etree._Element) -> Particle:
        tag = _local(node)
        high = node.get("maxOccurs", "1")
        bounds = (int(node.get("minOccurs", "1")), UNBOUNDED if high == "unbounded" else int(high))
        if tag == "element":
            ref = node.get("ref")
            element = self.elements[_resolve(node, ref)] if ref else self._element(node, is_global=False)
            return Particle("element", *bounds, element=element)
        if tag == "any":
            if node.get("namespace", "##any") not in ("##any", "##other"):
                raise SchemaError("wildcards that list namespaces are not supported")
            return Particle("any", *bounds)
        if tag in ("sequence", "choice"):
            children = [self._particle(c) for c in node if _local(c) != "annotation"]
            return Particle(tag, *bounds, children=children)
        raise SchemaError(f"xs:{tag} in a content model is not supported")


def _local(node: etree._Element) -> str:
    return etree.QName(node).localname


def _resolve(node: etree._Element, text: str) -> QName:
    prefix, _, local = text.rpartition(":")
    return QName(local, node.nsmap.get(prefix or None) or "")
