"""One request outstanding on each stream: what carries the vehicle's conversation, whatever it is about."""

from __future__ import annotations

import abc
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from evse_controller.messages import Message, decode, encode
from evse_controller.messages.generated.app_protocol import SupportedAppProtocolRes
from evse_controller.messages.generated.common_messages import SessionSetupRes
from evse_controller.messages.generated.common_types import MessageHeader, Processing, ResponseCode
from evse_controller.model.pilot import PilotState
from hal.sim.inlet import Inlet
from hil.evcc.config import Deviation, EvccConfig
from hil.evcc.wire import PAYLOAD_OF_SCHEMA, SCHEMA_OF_PAYLOAD, SIDE_STREAMS, Deframer, WireError, frame

MESSAGE_TIMEOUT_S = 2.0
OPENING_CURRENT_A = 1.0
MAIN = 0
"""The main stream; a side stream goes by its payload type."""
_WATCH_PERIOD_S = 0.02


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes to the connection."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection; the session is over for this vehicle."""

    reason: str


Output = Send | Close


@dataclass(slots=True)
class Exchange:
    """One request and its response (None while, or because, none came). Control time in s.

    `stream`: 0 the main stream, else the payload type of a side stream.
    """

    request: Message
    sent_s: float
    response: Message | None = None
    received_s: float | None = None
    stream: int = MAIN

    @property
    def latency_s(self) -> float | None:
        return None if self.received_s is None else self.received_s - self.sent_s


@dataclass(slots=True)
class _Waiting:
    exchange: Exchange
    response: type[Message]
    handler: Callable[[Message], None]
    until_s: float


class Dialogue(abc.ABC):
    """One vehicle in one session. `utc` maps control time to Unix seconds; `rng` is for behaviours that vary.

    After the end `finished` is true and `failure` says why a session did not end well (None: it did).
    """

    def __init__(
        self, config: EvccConfig, inlet: Inlet, rng: random.Random, utc: Callable[[float], float]
    ) -> None:
        self.config = config
        self.exchanges: list[Exchange] = []
        self.finished = False
        self.failure: str | None = None
        self.session_id = bytes(8)
        self.loops = 0
        self._inlet = inlet
        self._rng = rng
        self._utc = utc
        self._now_s = 0.0
        self._deframer = Deframer()
        self._outputs: list[Output] = []
        self._waiting: dict[int, _Waiting] = {}
        self._next: tuple[float, Callable[[], None]] | None = None
        self._ongoing_since_s: float | None = None
        self._ending = False
        self._answered: Exchange | None = None

    @abc.abstractmethod
    def _begin(self) -> None:
        """Send the first request."""

    # -- the driver's side -------------------------------------------------------------------------------------------

    @property
    def deadline_s(self) -> float | None:
        """When `on_timer` wants to be called at the latest; None when only the station can move things."""
        moments = [waiting.until_s for waiting in self._waiting.values()]
        if self._next:
            moments.append(self._next[0])
        return min(moments) if moments else None

    def start(self, now_s: float) -> list[Output]:
        """The connection stands: plug in if nobody did, send the handshake."""
        self._now_s = now_s
        self._inlet.plug()
        self._begin()
        return self._take()

    def receive(self, data: bytes, now_s: float) -> list[Output]:
        """Bytes from the connection, cut in any way."""
        self._now_s = now_s
        try:
            for payload_type, payload in self._deframer.feed(data):
                if self.finished:
                    break
                self._on_frame(payload_type, payload)
        except (WireError, ValueError) as error:
            self._fail(f"unreadable response: {error}")
        return self._take()

    def on_timer(self, now_s: float) -> list[Output]:
        """Time passed: send what is due, give up what takes too long."""
        self._now_s = now_s
        late = [waiting for waiting in self._waiting.values() if now_s >= waiting.until_s]
        if late:
            self._fail(f"no {late[0].response.ELEMENT} in time")
        elif self._next and now_s >= self._next[0]:
            action = self._next[1]
            self._next = None
            action()
        return self._take()

    def connection_lost(self, now_s: float) -> list[Output]:
        """The station closed the connection."""
        self._now_s = now_s
        if not self.finished:
            self._fail("the station closed the connection")
        return self._take()

    @property
    def _request(self) -> Message:
        """The request whose response is being handled."""
        assert self._answered is not None
        return self._answered.request

    # -- plumbing ----------------------------------------------------------------------------------------------------

    def _take(self) -> list[Output]:
        outputs, self._outputs = self._outputs, []
        return outputs

    def _header(self) -> MessageHeader:
        return MessageHeader(session_id=self.session_id, time_stamp=int(self._utc(self._now_s)))

    def _deviates(self, deviation: Deviation) -> bool:
        """A scripted misbehaviour is on; those of the loop only from their loop request on."""
        return deviation in self.config.deviations and (self.loops == 0 or self.loops >= self.config.after_loops)

    def _ask(
        self, build: Callable[[], Message], response: type[Message], handler: Callable[..., None],
        timeout_s: float = MESSAGE_TIMEOUT_S, after_s: float = 0.0,
    ) -> None:
        """Send a request now or after a pause (it is built when it is sent) and wait for its response."""

        def send() -> None:
            self._send(MAIN, build(), response, handler, timeout_s)

        if after_s > 0:
            self._next = (self._now_s + after_s, send)
        else:
            send()

    def _ask_beside(
        self, stream: int, message: Message, response: type[Message], handler: Callable[..., None]
    ) -> None:
        """Send a request on a side stream now, while the main stream goes on."""
        self._send(stream, message, response, handler, MESSAGE_TIMEOUT_S)

    def _send(
        self, stream: int, message: Message, response: type[Message], handler: Callable[..., None], timeout_s: float
    ) -> None:
        exchange = Exchange(message, self._now_s, stream=stream)
        self.exchanges.append(exchange)
        self._outputs.append(Send(frame(stream or PAYLOAD_OF_SCHEMA[message.SCHEMA], encode(message))))
        self._waiting[stream] = _Waiting(exchange, response, handler, self._now_s + timeout_s)

    def _wait_until(self, condition: Callable[[], bool], patience_s: float, then: Callable[[], None]) -> None:
        """Look at the inlet every 20 ms until the condition holds (or patience ends), then go on."""
        until_s = self._now_s + patience_s

        def look() -> None:
            if condition() or self._now_s >= until_s:
                then()
            else:
                self._next = (self._now_s + _WATCH_PERIOD_S, look)

        look()

    def _on_frame(self, payload_type: int, payload: bytes) -> None:
        schema = SCHEMA_OF_PAYLOAD.get(payload_type)
        if schema is None:
            raise WireError(f"payload type {payload_type:#06x}")
        message = decode(schema, payload)
        waiting = self._waiting.pop(payload_type if payload_type in SIDE_STREAMS else MAIN, None)
        if waiting is None:
            return None if self.failure is not None else self._fail(f"unasked {message.ELEMENT}")
        self._answered = waiting.exchange
        waiting.exchange.response, waiting.exchange.received_s = message, self._now_s
        if not isinstance(message, waiting.response):
            return self._fail(f"{message.ELEMENT} instead of {waiting.response.ELEMENT}")
        if not isinstance(message, SupportedAppProtocolRes):
            code: ResponseCode = getattr(message, "response_code")  # noqa: B009 - all responses but SAP's have it
            if code >= ResponseCode.FAILED:
                return self._fail(f"{message.ELEMENT}: {code.name}")
            header: MessageHeader = getattr(message, "header")  # noqa: B009
            if not isinstance(message, SessionSetupRes) and header.session_id != self.session_id:
                return self._fail(f"{message.ELEMENT} with a foreign session id")
        return waiting.handler(message)

    def _fail(self, reason: str) -> None:
        """Give up: pilot to B (the station must stop), contactors open at zero current or after 1 s, close."""
        if self.failure is None:
            self.failure = reason
        self._waiting.clear()
        self._next = None
        if self._ending and self.finished:
            return
        self._ending = True
        if self._inlet.plugged:
            self._inlet.set_pilot(PilotState.B)
        self._wait_until(self._no_current, 1.0, partial(self._end, reason))

    def _end(self, reason: str) -> None:
        self._inlet.open_contactor()
        if self._inlet.plugged:
            self._inlet.set_pilot(PilotState.B)
        self._waiting.clear()
        self._next = None
        self.finished = True
        self._outputs.append(Close(reason))

    def _no_current(self) -> bool:
        return abs(self._inlet.current_a) < OPENING_CURRENT_A or not self._inlet.contactor_closed

    def _still_ongoing(self, processing: Processing, limit_s: float, what: str) -> bool | None:
        """True: ask again; False: finished; None: it took too long and the session has been given up."""
        if processing is Processing.Finished:
            self._ongoing_since_s = None
            return False
        if self._ongoing_since_s is None:
            self._ongoing_since_s = self._now_s
        if self._now_s - self._ongoing_since_s > limit_s:
            self._fail(f"{what} stayed Ongoing for {limit_s:.0f} s")
            return None
        return True
