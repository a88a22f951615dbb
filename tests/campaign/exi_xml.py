"""Messages as XML, for a codec that starts from XML. Namespaces come from the schemas through the generator's model."""

from __future__ import annotations

import base64
from enum import IntEnum
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from evse_controller.exi.generator.grammar import Slot, TypePlan, plan_type
from evse_controller.exi.generator.model import Complex, Simple
from evse_controller.exi.generator.xsd import SchemaFolder, SchemaSet
from evse_controller.messages import Message, Node, Schema


class XmlWriter:
    """Writes messages of one schema set."""

    def __init__(self, schemas: Path, schema: Schema) -> None:
        self.schema = SchemaSet(SchemaFolder(schemas), schema.namespace)
        self._plans: dict[Complex, TypePlan] = {}

    def write(self, message: Message) -> str:
        """The XML document of a message."""
        # -2 and DIN spread a protocol over several namespaces, in which no name of a global element comes twice.
        (name, element), = ((n, e) for n, e in self.schema.elements.items() if n.local == message.ELEMENT)
        kind = self.schema.type_of(element)
        assert isinstance(kind, Complex)
        return self._element(name.local, name.uri, kind, message)

    def write_fragment(self, element: str, node: Node) -> str:
        """The XML document of one element, which need not be a global one, of the type that the node has."""
        queue = [kind for kind in map(self.schema.type_of, self.schema.elements.values()) if isinstance(kind, Complex)]
        for kind in queue:
            for slot in self._plan(kind).slots:
                if slot.element == element and isinstance(slot.type, Complex) \
                        and self._plan(slot.type).class_name == type(node).__name__:
                    return self._element(element, slot.uri, slot.type, node)
            queue += [use for use in self._plan(kind).uses if use not in queue]
        assert isinstance(node, Message)
        return self.write(node)

    def _plan(self, kind: Complex) -> TypePlan:
        if kind not in self._plans:
            self._plans[kind] = plan_type(self.schema, kind)
        return self._plans[kind]

    def _element(self, local: str, uri: str, kind: Simple | Complex, value: Any) -> str:
        head = f'{local} xmlns="{uri}"' if uri else f'{local} xmlns=""'
        if isinstance(kind, Simple):
            return f"<{head}>{escape(_text(kind, value))}</{local}>"
        content = []
        for slot in self._plan(kind).slots:
            part = getattr(value, slot.name)
            if part is None:
                continue
            if slot.place == "attribute":
                assert isinstance(slot.type, Simple)
                head += _attribute(slot, _text(slot.type, part))
            elif slot.place == "text":
                assert isinstance(slot.type, Simple)
                content.append(escape(_text(slot.type, part)))
            elif isinstance(slot.type, dict):
                content.append(self._substitute(slot.type, part))
            else:
                items = part if slot.is_list else [part]
                content += [self._element(slot.element, slot.uri, slot.type, item) for item in items]
        return f"<{head}>{''.join(content)}</{local}>"

    def _substitute(self, members: dict[str, Complex | None], value: Any) -> str:
        for local, kind in members.items():
            if kind is not None and local == type(value).ELEMENT:
                uri = next(name.uri for name in self.schema.elements if name.local == local)
                return self._element(local, uri, kind, value)
        raise KeyError(type(value).__name__)


def _attribute(slot: Slot, text: str) -> str:
    if slot.uri:
        return f' xmlns:a="{slot.uri}" a:{slot.element}={quoteattr(text)}'
    return f" {slot.element}={quoteattr(text)}"


def _text(kind: Simple, value: Any) -> str:
    if kind.kind == "enum":
        assert isinstance(value, IntEnum)
        return kind.values[int(value)]
    if kind.kind == "boolean":
        return "true" if value else "false"
    if kind.kind == "hex":
        return str(value.hex().upper())
    if kind.kind == "base64":
        return base64.b64encode(value).decode("ascii")
    return str(value)
