"""Step 1 of the generator: XML Schema documents -> a small model of types, elements and particles.

Only what schemas of charging protocols use is understood; anything else is refused with the name of the
construct, because a construct that is silently ignored would shift every event code after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from evse_controller.exi.generator.model import (
    XS,
    Attribute,
    Complex,
    Element,
    Particle,
    QName,
    SchemaError,
    Simple,
    UnsupportedType,
    builtin,
    refused,
)
from evse_controller.exi.generator.naming import check_values
from evse_controller.exi.generator.nodes import bounds_of, check_attributes, local, number, resolve, same


class SchemaFolder:
    """All schema documents below a folder, found by their target namespace."""

    def __init__(self, folder: Path) -> None:
        parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, remove_comments=True)
        self.documents: dict[str, list[etree._Element]] = {}
        seen: set[tuple[str, bytes]] = set()
        for path in sorted(folder.rglob("*.xsd"), key=lambda p: (len(p.parts), p.as_posix())):
            try:
                root = etree.parse(str(path), parser).getroot()
            except etree.XMLSyntaxError as problem:
                raise SchemaError(f"{path}: no XML: {problem}") from None
            uri = root.get("targetNamespace", "")
            key = (uri, etree.tostring(root, method="c14n"))
            # Schema folders hold copies of the XML signature schema beside the schemas that import it.
            if key not in seen:
                seen.add(key)
                self.documents.setdefault(uri, []).append(root)

    def closure(self, uri: str) -> list[str]:
        """The namespace and everything that it imports, directly or not, in import order."""
        order: list[str] = []
        pending = [(uri, "")]
        while pending:
            current, where = pending.pop(0)
            if current in order:
                continue
            if current not in self.documents:
                raise SchemaError(f"no schema of namespace {current!r} in the folder{where}")
            order.append(current)
            for root in self.documents[current]:
                where = f", imported by {root.getroottree().docinfo.URL}"
                pending += [(str(node.get("namespace")), where) for node in root.iterfind(f"{{{XS}}}import")]
        return order


class SchemaSet:
    """The components of one root namespace with its imports: what one EXI grammar is built from."""

    def __init__(self, folder: SchemaFolder, uri: str) -> None:
        self.uri = uri
        self.namespaces = folder.closure(uri)
        self.elements: dict[QName, Element] = {}
        self._complex: dict[QName, etree._Element] = {}
        self._simple: dict[QName, etree._Element] = {}
        self._declared: dict[tuple[bool, QName], etree._Element] = {}
        self._built: dict[etree._Element, Complex] = {}
        self._open: list[etree._Element] = []
        self._resolving: list[etree._Element] = []
        self._elements_of: dict[etree._Element, Element] = {}
        self._documents = folder.documents
        for namespace in self.namespaces:
            for root in folder.documents[namespace]:
                self._collect(root, namespace)
        self._members: dict[QName, list[Element]] = {}
        for element in self.elements.values():
            if element.head is not None:
                if element.head not in self.elements:
                    raise refused(element.node, f"element {element.head}, the head, is not declared")
                self._members.setdefault(element.head, []).append(element)
        for element in self.elements.values():
            self._check_heads(element)

    def _check_heads(self, element: Element) -> None:
        """Refuse an element that is in its own substitution group."""
        passed = [element.name]
        while (head := self.elements[passed[-1]].head) is not None:
            if head in passed:
                raise refused(element.node, f"element {element.name.local} substitutes itself, by {head.local}")
            passed.append(head)

    def _collect(self, root: etree._Element, namespace: str) -> None:
        for node in root:
            tag = local(node)
            name = QName(node.get("name", ""), namespace)
            if tag in ("element", "complexType", "simpleType"):
                first = self._declared.setdefault((tag == "element", name), node)
                if not same(first, node):
                    there = f"{first.getroottree().docinfo.URL}:{first.sourceline}"
                    raise refused(node, f"xs:{tag} {name.local} is declared otherwise at {there}")
            if tag == "element":
                check_attributes(node)
                self.elements[name] = self._element(node, is_global=True)
            elif tag == "complexType":
                self._complex[name] = node
            elif tag == "simpleType":
                self._simple[name] = node
            elif tag == "include":
                self._check_include(node, namespace)
            elif tag not in ("import", "annotation"):
                raise refused(node, f"xs:{tag} at the top level is not supported")

    def _check_include(self, node: etree._Element, namespace: str) -> None:
        """Refuse an include of what is not in the folder, or not of the namespace and so not among its parts."""
        location = str(node.get("schemaLocation", ""))
        name = location.rpartition("/")[2]
        urls = [str(root.getroottree().docinfo.URL) for root in self._documents[namespace]]
        if not name or not any(url.rpartition("/")[2] == name for url in urls):
            raise refused(node, f"the included {location!r} is not in the folder as a schema of {namespace!r}")

    def _element(self, node: etree._Element, is_global: bool) -> Element:
        if node in self._elements_of:
            return self._elements_of[node]
        if not node.get("name"):
            raise refused(node, "an element without a name")
        root = node.getroottree().getroot()
        qualified = is_global or node.get("form", root.get("elementFormDefault")) == "qualified"
        uri = root.get("targetNamespace", "") if qualified else ""
        if node.get("nillable") in ("true", "1"):
            raise refused(node, f"nillable element {node.get('name')} is not supported")
        type_name = node.get("type")
        head = node.get("substitutionGroup")
        element = Element(
            QName(str(node.get("name")), uri),
            resolve(node, type_name) if type_name else None,
            node,
            is_global,
            node.get("abstract") in ("true", "1"),
            resolve(node, head) if head else None,
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
            if element.name.uri == namespace and element.is_anonymous:
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
            return self._simple_of(element.node, element.type_name)
        node = element.node
        inner = node.find(f"{{{XS}}}complexType")
        if inner is not None:
            name = QName(element.name.local, str(node.getroottree().getroot().get("targetNamespace", "")))
            return self._build(name, inner)
        inner = node.find(f"{{{XS}}}simpleType")
        if inner is not None:
            return self._simple_from(inner, QName(element.name.local, element.name.uri))
        raise refused(node, f"element {element.name.local} has no type")

    def complex(self, name: QName) -> Complex:
        """A named complex type."""
        return self._build(name, self._complex[name])

    def simple(self, name: QName) -> Simple:
        """A named or built-in simple type."""
        return builtin(name.local) if name.uri == XS else self._simple_from(self._simple[name], name)

    def where(self, kind: Simple) -> str:
        """File and line of a named simple type, for error messages; else its namespace."""
        node = self._simple.get(kind.name) if kind.name else None
        return self.uri if node is None else f"{node.getroottree().docinfo.URL}:{node.sourceline}"

    def _simple_of(self, node: etree._Element, name: QName) -> Simple:
        """The simple type that a construct refers to."""
        if name.uri != XS and name not in self._simple:
            raise refused(node, f"simple type {name} is not declared")
        try:
            return self.simple(name)
        except UnsupportedType as problem:
            raise refused(node, str(problem)) from None

    def _simple_from(self, node: etree._Element, name: QName) -> Simple:
        restriction = node.find(f"{{{XS}}}restriction")
        if restriction is None:
            raise refused(node, f"simple type {name.local}: only restrictions are supported")
        if restriction.get("base") is None:
            raise refused(restriction, f"simple type {name.local}: a base without a name is not supported")
        if node in self._resolving:
            raise refused(node, f"simple type {name.local} restricts itself")
        self._resolving.append(node)
        base = self._simple_of(restriction, resolve(node, str(restriction.get("base"))))
        self._resolving.pop()
        low, high, least, most = base.low, base.high, base.min_length, base.max_length
        values: list[str] = []
        for facet in restriction:
            tag, value = local(facet), str(facet.get("value"))
            if tag == "enumeration":
                values.append(value)
            elif tag == "minInclusive":
                low = number(facet)
            elif tag == "maxInclusive":
                high = number(facet)
            elif tag == "minExclusive":
                low = number(facet) + 1
            elif tag == "maxExclusive":
                high = number(facet) - 1
            elif tag == "length":
                least = most = number(facet)
            elif tag == "minLength":
                least = number(facet)
            elif tag == "maxLength":
                most = number(facet)
            elif tag not in ("annotation", "whiteSpace"):
                raise refused(facet, f"simple type {name.local}: facet {tag} is not supported")
        if least < 0 or (most is not None and most < least) or (low is not None and high is not None and high < low):
            raise refused(node, f"simple type {name.local}: its facets leave no value")
        if values:
            check_values(node, name, values)
            return Simple("enum", name, tuple(values))
        if base.kind == "enum":
            return base
        return Simple(base.kind, name, (), low, high, least, most)

    def _build(self, name: QName, node: etree._Element) -> Complex:
        if node not in self._built:
            if node in self._open:
                raise refused(node, f"type {name.local} extends itself")
            self._open.append(node)
            self._built[node] = self._extended(name, node)
            self._open.pop()
        return self._built[node]

    def _extended(self, name: QName, node: etree._Element) -> Complex:
        """A complex type with what it inherits in front of its own content (EXI 1.0, 8.5.4.1.3)."""
        attributes: list[Attribute] = []
        parts: list[Particle] = []
        simple: Simple | None = None
        mixed = node.get("mixed") in ("true", "1")
        body = node
        content = node.find(f"{{{XS}}}complexContent")
        if content is None:
            content = node.find(f"{{{XS}}}simpleContent")
        if content is not None:
            mixed = content.get("mixed", "true" if mixed else "false") in ("true", "1")
            extension = content.find(f"{{{XS}}}extension")
            if extension is None:
                raise refused(content, f"complex type {name.local}: only extensions are supported")
            base = resolve(node, str(extension.get("base")))
            if base in self._complex:
                parent = self.complex(base)
                attributes += parent.attributes
                parts += [parent.content] if parent.content else []
                if mixed and not parent.mixed and (parent.content is not None or parent.simple is not None):
                    raise refused(content, f"complex type {name.local} is mixed, but its base is not")
                simple, mixed = parent.simple, mixed or parent.mixed
            else:
                simple = self._simple_of(extension, base)
            body = extension
        for child in body:
            tag = local(child)
            if tag in ("sequence", "choice"):
                parts += self._particles([child])
            elif tag == "attribute":
                attributes += [self._attribute(child)] if child.get("use") != "prohibited" else []
            elif tag not in ("annotation", "complexContent", "simpleContent"):
                raise refused(child, f"complex type {name.local}: xs:{tag} is not supported")
        whole = parts[0] if len(parts) == 1 else Particle("sequence", children=parts) if parts else None
        abstract = node.get("abstract") in ("true", "1")
        # Attributes are sorted by local name, then namespace, whatever their order (EXI 1.0, 8.5.4.1.3.1).
        attributes.sort(key=lambda attribute: attribute.name)
        where = f"{node.getroottree().docinfo.URL}:{node.sourceline}"
        return Complex(name, abstract, attributes, whole, simple, mixed, where)

    def _attribute(self, node: etree._Element) -> Attribute:
        if node.get("name") is None:
            raise refused(node, "an attribute by reference is not supported")
        root = node.getroottree().getroot()
        qualified = node.get("form", root.get("attributeFormDefault")) == "qualified"
        name = QName(str(node.get("name")), root.get("targetNamespace", "") if qualified else "")
        inline = node.find(f"{{{XS}}}simpleType")
        if inline is not None:
            kind = self._simple_from(inline, QName(name.local, root.get("targetNamespace", "")))
        elif node.get("type") is not None:
            kind = self._simple_of(node, resolve(node, str(node.get("type"))))
        else:
            raise refused(node, f"attribute {name.local} has no type")
        return Attribute(name, kind, node.get("use") == "required")

    def _particles(self, nodes: list[etree._Element]) -> list[Particle]:
        """The particles of a group; one that may not occur at all is none."""
        found = [self._particle(node) for node in nodes if local(node) != "annotation"]
        return [particle for particle in found if particle.high]

    def _particle(self, node: etree._Element) -> Particle:
        tag = local(node)
        bounds = bounds_of(node)
        if tag == "element":
            check_attributes(node)
            ref = node.get("ref")
            if ref is None:
                return Particle("element", *bounds, element=self._element(node, is_global=False))
            if resolve(node, ref) not in self.elements:
                raise refused(node, f"element {ref} is not declared")
            return Particle("element", *bounds, element=self.elements[resolve(node, ref)])
        if tag == "any":
            if node.get("namespace", "##any") not in ("##any", "##other"):
                raise refused(node, "a wildcard that lists namespaces is not supported")
            return Particle("any", *bounds)
        if tag in ("sequence", "choice"):
            return Particle(tag, *bounds, children=self._particles(list(node)))
        raise refused(node, f"xs:{tag} in a content model is not supported")
