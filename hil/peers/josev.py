"""Our EXI codec in the shape that the package `iso15118` plugs in instead of its Java bridge.

`iso15118.shared.exi_codec.EXI().set_exi_codec(NativeExiCodec())` rids it of the JVM. This module does not need that
package: its interface asks for three methods and takes any object that has them.
"""

from __future__ import annotations

import json
from typing import Any

from evse_controller import __version__
from evse_controller.messages import ExiError, Schema, decode, encode, from_json, to_json

# Where the package's models misspell a schema element, and refuse the schema's name (release 0.31.2).
_NAMES = {
    "BPT_DischargedEnergyReadingWh": "BPTDischargedEnergyReadingWh",
    "BPT_InductiveEnergyReadingVARh": "BPTInductiveEnergyReadingVARh",
}


class NativeExiCodec:
    """JSON text to EXI and back, in the JSON form of EXIficient's bridge."""

    def encode(self, message: str, namespace: str) -> bytes:
        """The EXI document of a message given as JSON text; `namespace` names the schema."""
        form = _renamed(json.loads(message), {theirs: ours for ours, theirs in _NAMES.items()})
        return encode(from_json(_schema(namespace), form))

    def decode(self, stream: bytes, namespace: str) -> str:
        """The JSON text of an EXI document; `namespace` names the schema."""
        return json.dumps(_renamed(to_json(decode(_schema(namespace), bytes(stream))), _NAMES))

    def get_version(self) -> str:
        """Who does the work."""
        return f"evse-controller {__version__}"


def _renamed(form: Any, names: dict[str, str]) -> Any:
    """The JSON form with some keys renamed, at any depth."""
    if isinstance(form, dict):
        return {names.get(key, key): _renamed(value, names) for key, value in form.items()}
    if isinstance(form, list):
        return [_renamed(item, names) for item in form]
    return form


def _schema(namespace: str) -> Schema:
    try:
        # The package's namespaces are members of a str Enum: only their text counts.
        return Schema.of(str.__str__(namespace))
    except LookupError:
        raise ExiError(f"no coders for namespace {str.__str__(namespace)!r}") from None
