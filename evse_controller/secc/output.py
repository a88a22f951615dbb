"""What a connection asks of the asyncio shell that carries it."""

from __future__ import annotations

from dataclasses import dataclass

from evse_controller.messages.base import Message
from evse_controller.model.commands import Command
from evse_controller.secc.coding import Work
from evse_controller.secc.reply import CloseReason, MessageEvent

_TOLD = 8  # deviations of one request that are logged line by line


@dataclass(frozen=True, slots=True)
class Output:
    """One effect of a connection.

    `data` is a whole V2GTP frame to send, None for nothing; `payload_type` and `message` describe it for the log.
    `commands` go to the station before anything is sent. `close` set: close the socket now (after sending `data`).
    `work`: run it, and give its result to `coded`; what follows from it comes then. `beside`: it belongs to a side
    stream, so that `receive` may go on being called while its work is out.
    """

    data: bytes | None = None
    payload_type: int | None = None
    message: Message | None = None
    request: Message | None = None
    commands: tuple[Command, ...] = ()
    event: MessageEvent | None = None
    close: CloseReason | None = None
    work: Work | None = None
    beside: bool = False


def told_deviations(request: Message) -> tuple[str, ...]:
    """How a request deviates, as lines for the log; what came from the EV is escaped."""
    lines = [f"{found.path}: {found.reason}".encode("unicode_escape").decode() for found in request.deviations]
    return (*lines[:_TOLD], f"and {len(lines) - _TOLD} more") if len(lines) > _TOLD else tuple(lines)
