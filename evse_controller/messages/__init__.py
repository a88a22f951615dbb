"""Typed messages of the charging protocols and their EXI and JSON forms.

Importing this package loads no generated module: the modules of a schema are loaded when the first message of
that schema is encoded or decoded, or when their classes are imported. Message classes live in
`evse_controller.messages.generated`.
"""

from evse_controller.exi.errors import ExiError
from evse_controller.messages.base import Message, Node, Schema
from evse_controller.messages.codec import decode, encode, schema_of
from evse_controller.messages.json_form import from_json, to_json

__all__ = ["ExiError", "Message", "Node", "Schema", "decode", "encode", "from_json", "schema_of", "to_json"]
