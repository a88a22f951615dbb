"""The bounds that our classes know are the schemas' own, by libxml2, which reads the schemas without our help.

The messages that hit every point (exi_cover) are valid. One step beyond each bound, an item more, a character or an
octet more or less, a number higher or lower, they are not, and our encoder refuses them.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import etree

from evse_controller.messages import ExiError, Message, Schema, encode
from evse_controller.messages.base import Field, Kind, Node
from tests.campaign import Skipped
from tests.campaign.exi_exact import covering
from tests.campaign.exi_grammar import class_of
from tests.campaign.exi_messages import SCHEMAS
from tests.campaign.exi_oracle import Unavailable, prepare_schemas, schema_folder
from tests.campaign.exi_xml import XmlWriter

# The forms of these types are nothing that EXI knows: it codes any text.
_LEXICAL = ("'xs:ID'", "'xs:IDREF'", "'xs:anyURI'", "protocolNamespaceType'")


class Validator:
    """One schema in libxml2."""

    def __init__(self, schemas: Path, schema: Schema) -> None:
        self.xsd = etree.XMLSchema(etree.parse(str(prepare_schemas(schemas)[schema])))
        self.writer = XmlWriter(schema_folder(), schema)

    def valid(self, message: Message) -> bool:
        """Whether the schema allows a message."""
        return bool(self.xsd.validate(etree.fromstring(self.writer.write(message).encode())))

    def only_forms(self) -> bool:
        """Whether the last message was refused for the forms of its ids alone."""
        said = [str(entry.message) for entry in self.xsd.error_log]
        return all("not a valid value" in text or "is not a valid" in text for text in said) and any(
            name in text for text in said for name in _LEXICAL
        )


def beyond(field: Field, value: Any) -> Iterator[tuple[str, Any]]:
    """Values of a field one step beyond a bound at which it stands, each with what is wrong with it."""
    if field.high == 1:
        yield from _beyond_simple(field, value)
        return
    if len(value) == field.high:
        yield "too many", [*value, value[-1]]
    if len(value) == field.low > 1:
        yield "too few", value[:-1]
    for index, item in enumerate(value):
        for label, changed in _beyond_simple(field, item):
            yield f"item {label}", [*value[:index], changed, *value[index + 1 :]]


def _beyond_simple(field: Field, value: Any) -> Iterator[tuple[str, Any]]:
    kind = field.type
    if isinstance(kind, Kind) and kind.base == "integer":
        if value == kind.high:
            yield "too high", value + 1
        if value == kind.low:
            yield "too low", value - 1
    elif isinstance(kind, Kind) and kind.base != "boolean":
        if len(value) == kind.max_length:
            yield "too long", value + value[:1]
        if len(value) == kind.min_length > 0:
            yield "too short", value[:-1]


def make_plain(message: Message) -> None:
    """Give every text that is no XML name the form of one, as long as it was, and every id a number of its own."""
    nodes: list[Node] = [message]
    for number, node in enumerate(nodes):
        for field in node.FIELDS:
            value = getattr(node, field.name)
            if value is not None and class_of(type(node)).members[field.name]:
                nodes += value if isinstance(value, list) else [value]
            elif isinstance(value, str) and field.name == "id":
                setattr(node, field.name, f"A{number}")
            elif isinstance(value, str) and not re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]*", value):
                setattr(node, field.name, "A" * max(1, len(value)))


def steps_beyond(message: Message, done: set[tuple[type[Node], str, str]]) -> Iterator[tuple[str, Message]]:
    """The message with one bound exceeded, for each bound not done yet; it is changed and set right again."""
    nodes: list[Node] = [message]
    for node in nodes:
        for field in node.FIELDS:
            value = getattr(node, field.name)
            if value is None:
                continue
            if class_of(type(node)).members[field.name]:
                nodes += value if isinstance(value, list) else [value]
            for label, changed in beyond(field, value):
                if (type(node), field.name, label) not in done:
                    done.add((type(node), field.name, label))
                    setattr(node, field.name, changed)
                    yield f"{type(node).__name__}.{field.name} {label}", message
                    setattr(node, field.name, value)


def check(schema: Schema, share: float, seed: int, schemas: Path) -> int:
    """Messages and steps beyond a bound; AssertionError names the first that is judged wrongly."""
    validator = Validator(schemas, schema)
    done: set[tuple[type[Node], str, str]] = set()
    count = 0
    for message in covering(share, seed, (schema,)):
        count += 1
        if not validator.valid(message):
            forms = validator.only_forms()
            make_plain(message)  # refused anyway, it would say nothing about bounds
            if not forms or not validator.valid(message):
                raise AssertionError(f"{schema.name}: {validator.xsd.error_log}\n  {message!r}")
        for where, wrong in steps_beyond(message, done):
            count += 1
            if validator.valid(wrong):
                raise AssertionError(f"{schema.name}: the schema's bound is wider than ours at {where}\n  {wrong!r}")
            try:
                encode(wrong)
            except ExiError:
                continue
            raise AssertionError(f"{schema.name}: encoded beyond the schema's bound at {where}\n  {wrong!r}")
    return count


def run(scale: float, seed: int) -> int:
    """The campaign; the number of messages that were judged."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return sum(check(schema, scale, seed, Path(folder)) for schema in SCHEMAS)
        except Unavailable as reason:
            raise Skipped(str(reason)) from reason
