"""Typed messages of the charging protocols.

Importing this package loads no generated module. Message classes live in `evse_controller.messages.generated`.
"""

from evse_controller.messages.base import Message, Node, Schema

__all__ = ["Message", "Node", "Schema"]
