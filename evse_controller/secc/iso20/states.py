"""What a state table is made of: states, rows, and the turn that a handler works on."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from evse_controller.messages.base import Message
from evse_controller.messages.generated.common_types import MessageHeader, ResponseCode
from evse_controller.model.commands import Command
from evse_controller.model.snapshot import EvseSnapshot
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.iso20.data import SessionData
from evse_controller.secc.reply import RandomBytes
from evse_controller.secc.streams import Stream
from evse_controller.secc.surroundings import NOBODY, Surroundings


class State(enum.Enum):
    """What the SECC waits for. The value is the name in events and status."""

    SESSION_SETUP = "SessionSetup"
    AUTHORIZATION_SETUP = "AuthorizationSetup"
    AUTHORIZATION = "Authorization"
    SERVICE_DISCOVERY = "ServiceDiscovery"
    SERVICE_DETAIL = "ServiceDetail"
    SERVICE_SELECTION = "ServiceSelection"
    CHARGE_PARAMETER_DISCOVERY = "ChargeParameterDiscovery"
    SCHEDULE_EXCHANGE = "ScheduleExchange"
    CABLE_CHECK = "CableCheck"
    PRE_CHARGE = "PreCharge"
    POWER_DELIVERY = "PowerDelivery"
    CHARGE_LOOP = "ChargeLoop"
    STANDBY = "Standby"
    SCHEDULE_RENEGOTIATION = "ScheduleRenegotiation"
    RENEGOTIATED = "Renegotiated"
    WELDING_DETECTION = "WeldingDetection"
    SESSION_STOP = "SessionStop"
    ENDED = "Ended"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A handler's answer with an OK or WARNING code; `next_state` must be one that the row names."""

    response: Message
    next_state: State
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A FAILED code; the session answers with the paired filler and ends."""

    code: ResponseCode
    reason: str


@dataclass(frozen=True, slots=True)
class Pending:
    """Hardware is at work and the answer can wait for it: the handler is called again after `retry_s`.

    With the same request and a newer snapshot; its commands count each time. It limits the time itself.
    """

    retry_s: float = 0.02


Answer = Accepted | Refused | Pending


@dataclass(slots=True)
class Turn:
    """One request being answered: what the handler may read, and where its effects go.

    `data` is the session's memory, the only thing that a handler changes; commands are collected with `do`.
    """

    data: SessionData
    state: State
    config: SeccConfig
    snapshot: EvseSnapshot
    now_s: float
    random_bytes: RandomBytes
    protocol: str
    around: Surroundings = NOBODY
    commands: list[Command] = field(default_factory=list)

    def do(self, command: Command) -> None:
        self.commands.append(command)

    def header(self) -> MessageHeader:
        """The header of every response: the valid session id and our own clock."""
        return response_header(self.data, self.snapshot)


def response_header(data: SessionData, snapshot: EvseSnapshot) -> MessageHeader:
    return MessageHeader(session_id=data.session_id, time_stamp=max(0, int(snapshot.utc_s)))


Handler = Callable[[Turn, Any], Answer]


@dataclass(frozen=True, slots=True)
class On:
    """One row: in this state, this request goes to this handler, which may lead to these states (usual one first).

    A row of a side stream answers beside the main one, and leads nowhere but to the state that it stands in. It may say
    what is answered when the main stream has left that state since the request came: `overtaken`.
    """

    request: type[Message]
    handler: Handler
    then: tuple[State, ...]
    stream: Stream = Stream.MAIN
    overtaken: Handler | None = None


Table = Mapping[State, tuple[On, ...]]


class Rows:
    """Tables joined and indexed for look-up by state, stream and request type."""

    def __init__(self, *tables: Table) -> None:
        self._rows: dict[tuple[State, Stream, type[Message]], On] = {}
        for table in tables:
            for state, rows in table.items():
                for row in rows:
                    if (state, row.stream, row.request) in self._rows:
                        raise ValueError(f"{state.value} has two rows for {row.request.ELEMENT} ({row.stream.value})")
                    if row.stream is not Stream.MAIN and row.then != (state,):
                        raise ValueError(f"{row.request.ELEMENT} of a side stream would leave {state.value}")
                    self._rows[state, row.stream, row.request] = row

    def find(self, state: State, request: type[Message], stream: Stream = Stream.MAIN) -> On | None:
        return self._rows.get((state, stream, request))

    def allowed(self, state: State, stream: Stream = Stream.MAIN) -> tuple[type[Message], ...]:
        return tuple(request for at, beside, request in self._rows if at is state and beside is stream)

    def __iter__(self) -> Iterator[tuple[State, On]]:
        """Every row with its state, in the order of the tables."""
        return ((state, row) for (state, _, _), row in self._rows.items())
