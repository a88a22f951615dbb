"""What every paired refusal is made of, whatever its message set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evse_controller.messages.base import Message
from evse_controller.messages.generated.common_types import MessageHeader, RationalNumber, ResponseCode

Filler = Callable[[Any, MessageHeader, ResponseCode], Message]
"""Makes the response to a request of one type, with this header and code."""


def zero() -> RationalNumber:
    return RationalNumber(exponent=0, value=0)
