"""What a connection asks of the server that accepted it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from evse_controller.net.capture import Capture
from evse_controller.net.coder import Coder
from evse_controller.net.latency import LatencyRecord
from evse_controller.net.ports import ConnectionFactory, Hooks, LinkInfo

if TYPE_CHECKING:
    from evse_controller.net.link import Link


class LinkOwner(Protocol):
    """The server, as its links see it."""

    hooks: Hooks
    latency: LatencyRecord
    coder: Coder
    capture: Capture | None
    connection_factory: ConnectionFactory
    handshake_timeout_s: float
    min_response_interval_s: float

    def admit(self, link: Link) -> str | None:
        """None to let a new TCP connection in, else why not."""

    def promote(self, link: Link) -> str | None:
        """None to make the link the V2G connection of this outlet, else why not."""

    def setup_deadline_s(self) -> float | None: ...

    def gone(self, link: Link) -> None: ...

    def event(self, kind: str, text: str, link: LinkInfo | None = None) -> None: ...
