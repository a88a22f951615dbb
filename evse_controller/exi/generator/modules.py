"""Which namespaces become which modules."""

from __future__ import annotations

from dataclasses import dataclass

from evse_controller.exi.generator.model import SchemaError
from evse_controller.exi.naming import module_name


@dataclass(frozen=True)
class Module:
    """A generated module.

    `schema` is the name of the schema set that it is the root of (None: it has only types for others), `namespaces`
    are those whose types it holds, the root first: DIN 70121 and ISO 15118-2 spread one message over four of them.
    """

    name: str
    schema: str | None
    namespaces: tuple[str, ...]

    @property
    def root(self) -> str:
        """The namespace from which the schema set is gathered."""
        return self.namespaces[0]


def _family(stem: str) -> tuple[str, ...]:
    return tuple(f"{stem}:{part}" for part in ("MsgDef", "MsgHeader", "MsgBody", "MsgDataTypes"))


_ISO20 = "urn:iso:std:iso:15118:-20"
KNOWN = (
    Module("app_protocol", "APP_PROTOCOL", ("urn:iso:15118:2:2010:AppProtocol",)),
    Module("xmldsig", "XMLDSIG", ("http://www.w3.org/2000/09/xmldsig#",)),
    Module("din70121", "DIN70121", _family("urn:din:70121:2012")),
    Module("iso2", "ISO2", _family("urn:iso:15118:2:2013")),
    Module("common_types", None, (f"{_ISO20}:CommonTypes",)),
    Module("common_messages", "ISO20_COMMON", (f"{_ISO20}:CommonMessages",)),
    Module("dc", "ISO20_DC", (f"{_ISO20}:DC",)),
    Module("ac", "ISO20_AC", (f"{_ISO20}:AC",)),
    Module("acdp", "ISO20_ACDP", (f"{_ISO20}:ACDP",)),
    Module("wpt", "ISO20_WPT", (f"{_ISO20}:WPT",)),
)
_OF_NAMESPACE = {uri: module for module in KNOWN for uri in module.namespaces}


def is_known(uri: str) -> bool:
    """Whether the package itself has the module of the namespace."""
    return uri in _OF_NAMESPACE


def module_of(uri: str) -> Module:
    """The module of a namespace, from the table or named after the namespace's last part."""
    if uri in _OF_NAMESPACE:
        return _OF_NAMESPACE[uri]
    name = module_name(uri)
    if any(name == module.name or name.upper() == module.schema for module in KNOWN):
        raise SchemaError(f"namespace {uri!r} would become module {name}, which holds another namespace")
    return Module(name, name.upper(), (uri,))
