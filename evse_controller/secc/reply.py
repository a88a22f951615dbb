"""What every protocol session takes and gives: replies, events, close reasons, the transport below it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from evse_controller.messages.base import Message
from evse_controller.model.commands import Command
from evse_controller.model.snapshot import EvseSnapshot, Notification
from evse_controller.secc.streams import Stream

RandomBytes = Callable[[int], bytes]
"""Gives that many cryptographically strong random bytes; injected, so that the core stays deterministic in tests."""


class Transport(enum.Enum):
    """What carries the connection; decides which protocols may be selected on it."""

    TCP = "tcp"
    TLS_1_2 = "tls-1.2"
    TLS_1_3 = "tls-1.3"
    TLS_1_3_MUTUAL = "tls-1.3-mutual"


class CloseReason(enum.Enum):
    """Why a connection ends. The value is the stable name in journal and CLI."""

    SESSION_STOPPED = "session-stopped"
    FAILED = "failed"
    NO_NEGOTIATION = "no-negotiation"
    SEQUENCE_TIMEOUT = "sequence-timeout"
    SETUP_TIMEOUT = "communication-setup-timeout"
    UNDECODABLE = "undecodable"
    UNEXPECTED_MESSAGE = "unexpected-message"
    FRAME_TOO_LONG = "frame-too-long"
    PEER_CLOSED = "peer-closed"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class MessageEvent:
    """One message pair for the log: names, code, states, and the meaning or the reason of a refusal. No secrets.

    `response` and `code` are None when nothing is answered. `performance_s` is the time within which the answer is due
    after its request (V2G_SECC_Msg_Performance_Time), for the shell to compare with the time it took, and to warn.
    `deviations`: how the request breaks its schema, `path: what is wrong there`, though it was understood and served.
    Text of the EV stands in `reason` and `deviations` only escaped. `stream`: which one the pair belongs to.
    """

    request: str
    response: str | None
    code: str | None
    state: str
    next_state: str
    reason: str | None = None
    performance_s: float | None = None
    deviations: tuple[str, ...] = ()
    stream: Stream = Stream.MAIN


@dataclass(frozen=True, slots=True)
class Reply:
    """A session's answer to one request, or to a timer.

    `response` None: nothing is sent. `commands` are to be carried out in order, before the response is sent: hardware
    acts first. `close` set: the session is over; `close_delay_s` later the connection ends (0: at once). `deadline_s`
    is the control time by which the next request must have come, None when the session is over. Without response,
    close and event the answer is not ready: `on_timer` gives it later, and no request of the main stream is due before.
    """

    response: Message | None
    commands: tuple[Command, ...]
    close: CloseReason | None
    deadline_s: float | None
    event: MessageEvent | None
    close_delay_s: float = 0.0


class Session(Protocol):
    """One protocol session. `now_s` is control time; no method raises on anything the EV can send."""

    @property
    def state_name(self) -> str: ...

    @property
    def session_id(self) -> str | None:
        """Upper-case hex, None before SessionSetup."""

    @property
    def pending(self) -> bool:
        """The answer to the last request is being waited for; `on_timer` goes on with it."""

    def handle(
        self,
        message: Message,
        snapshot: EvseSnapshot,
        now_s: float,
        stream: Stream = Stream.MAIN,
        came_in: str | None = None,
    ) -> Reply:
        """The answer to a request. `came_in`: `state_name` when it arrived, if it may have waited since."""

    def never_served(self, wanted: Notification, snapshot: EvseSnapshot) -> str | None:
        """Why the EV of this session will not be told what the station wants of it, None if it may be."""

    def handle_undecodable(self, payload_type: int, error: str, now_s: float) -> Reply: ...

    def unsendable(self, message: Message, lost: Reply, error: str, snapshot: EvseSnapshot, now_s: float) -> Reply:
        """`lost`, the answer to `message`, does not encode: what is answered instead. It ends the session."""

    def on_timer(self, now_s: float, snapshot: EvseSnapshot) -> Reply | None: ...

    def on_sent(self, now_s: float) -> float | None:
        """The last response of the main stream left at `now_s`: restart the sequence timer, return the new deadline."""

    def on_disconnect(self, now_s: float) -> Reply | None: ...

    def abort(self, reason: str, now_s: float) -> Reply | None: ...
