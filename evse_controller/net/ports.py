"""What the network shell needs from the rooms around it, as types: so that tests and benchmarks can plug in fakes.

`evse_controller.secc.connection.Connection` fits `V2gConnection` as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from evse_controller.model.commands import Command
from evse_controller.model.snapshot import EvseSnapshot, Notification
from evse_controller.secc.coding import Coded, Work


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """What is known of a connection before its first V2G byte. The TLS fields are None on plain TCP (`lab-tcp`).

    `opened_s` and `setup_deadline_s` are control time. `peer_leaf_der` is the vehicle certificate; a resumed session is
    bound to its hash [V2G20-2545].
    """

    peer: str
    tls: bool
    opened_s: float
    setup_deadline_s: float | None = None
    tls_profile: str | None = None
    suite: str | None = None
    group: str | None = None
    peer_leaf_der: bytes | None = None
    peer_common_name: str | None = None

    @property
    def peer_leaf_sha512(self) -> bytes | None:
        return None if self.peer_leaf_der is None else hashlib.sha512(self.peer_leaf_der).digest()


class Output(Protocol):
    """One effect of a connection: `commands` to the station, then `data` to the EV, then (if `close`) the end.

    `work` is a large message to be coded beside the loop; its result goes to the connection's `coded`. `beside`: it
    belongs to a side stream, and the connection may be given more meanwhile.
    """

    @property
    def data(self) -> bytes | None: ...

    @property
    def commands(self) -> Sequence[Command]: ...

    @property
    def close(self) -> object | None: ...

    @property
    def work(self) -> Work | None: ...

    @property
    def beside(self) -> bool: ...


class V2gConnection(Protocol):
    """One V2G connection above TCP or TLS: framing, handshake and session in one. Raises on nothing an EV can send."""

    @property
    def next_deadline_s(self) -> float | None:
        """Control time at which `on_timer` must be called, None when nothing is awaited."""

    @property
    def state_name(self) -> str:
        """`Ended` once the session is over and only the delayed close is left."""

    @property
    def session_id(self) -> str | None:
        """Set from SessionSetup on."""

    def never_served(self, wanted: Notification, snapshot: EvseSnapshot) -> str | None:
        """Why the EV will not be told what the station wants of it, None if it may be."""

    def receive(self, data: bytes, snapshot: EvseSnapshot, now_s: float) -> Sequence[Output]:
        """Bytes as TCP delivered them: parts of frames, several frames, garbage."""

    def coded(self, work: Work, result: Coded, snapshot: EvseSnapshot, now_s: float) -> Sequence[Output]:
        """The result of an output's work. Meanwhile `receive` is called only if the work is `beside`."""

    def on_sent(self, now_s: float) -> None:
        """A response left the socket."""

    def on_timer(self, now_s: float, snapshot: EvseSnapshot) -> Sequence[Output]: ...

    def on_disconnect(self, now_s: float) -> Sequence[Output]: ...

    def abort(self, reason: str, now_s: float) -> Sequence[Output]: ...


ConnectionFactory = Callable[[LinkInfo], V2gConnection]


@dataclass(frozen=True, slots=True)
class NetEvent:
    """Something for journal and event log. `kind` is a stable name, `text` one sentence with figures."""

    kind: str
    text: str
    link: LinkInfo | None = None


class Hooks(Protocol):
    """The surroundings of the server, injected by the composition root. None of them may block."""

    def now_s(self) -> float:
        """Control time."""

    def snapshot(self) -> EvseSnapshot: ...

    def on_commands(self, commands: Sequence[Command]) -> None:
        """Called before the response that belongs to them is sent: hardware acts first."""

    def on_output(self, link: LinkInfo, output: Output, took_s: float | None) -> None:
        """Every effect of a connection, for message log and journal; called after its commands were handed over.

        `took_s`: from the last byte of the request to the last of the answer, which has left by now; None: it had none.
        """

    def on_event(self, event: NetEvent) -> None: ...
