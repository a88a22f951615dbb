"""The ISO 15118-20 session: looks a request up in the state table, calls its handler, pairs every refusal.

Order of checks: does it decode (before us) -> is the session id right -> is it allowed in this state -> its content.
A FAILED response ends the session, a WARNING never does. A side stream is served beside the main one: it has rows of
its own in the same states, changes none, and its requests do not restart the timer that watches the main one.
"""

from __future__ import annotations

from dataclasses import replace

from evse_controller.messages.base import Message
from evse_controller.messages.generated.common_messages import SessionSetupReq
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model.commands import Command, EndKind, EnergyStop, SessionEnded
from evse_controller.model.snapshot import EvseSnapshot, Notification
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.iso20 import services, table_common
from evse_controller.secc.iso20.data import SessionData
from evse_controller.secc.iso20.ending import never_served, refused_for_good
from evse_controller.secc.iso20.fillers import UnpairedMessage, refusal
from evse_controller.secc.iso20.states import Accepted, On, Pending, Refused, Rows, State, Turn, response_header
from evse_controller.secc.iso20.timers import performance_s
from evse_controller.secc.reply import CloseReason, MessageEvent, RandomBytes, Reply
from evse_controller.secc.streams import Stream
from evse_controller.secc.surroundings import NOBODY, Surroundings

_STATES = {state.value: state for state in State}
_COMMON_ROWS = Rows(table_common.TABLE)


class Iso20Session:
    """One -20 session of one EV. `protocol` names what supportedAppProtocol selected; `around` is never waited for."""

    def __init__(
        self,
        config: SeccConfig,
        protocol: str,
        random_bytes: RandomBytes,
        opened_s: float,
        around: Surroundings = NOBODY,
    ) -> None:
        self._config = config
        self._protocol = protocol
        self._random_bytes = random_bytes
        self._around = around
        self._data = SessionData()
        self._state = State.SESSION_SETUP
        self._rows = _COMMON_ROWS
        self._sequence_s = config.timers.sequence_s
        self._deadline_s: float | None = opened_s + self._sequence_s
        self._held: Message | None = None

    @property
    def state(self) -> State:
        return self._state

    @property
    def state_name(self) -> str:
        return self._state.value

    @property
    def session_id(self) -> str | None:
        """Upper-case hex, None before SessionSetup."""
        return self._data.session_id.hex().upper() if self._data.established else None

    @property
    def evccid(self) -> str:
        return self._data.evccid

    @property
    def deadline_s(self) -> float | None:
        return self._deadline_s

    @property
    def pending(self) -> bool:
        """A request has been heard whose answer waits for hardware; `on_timer` goes on with it."""
        return self._held is not None

    def handle(
        self,
        message: Message,
        snapshot: EvseSnapshot,
        now_s: float,
        stream: Stream = Stream.MAIN,
        came_in: str | None = None,
    ) -> Reply:
        """Answers one decoded message. Each request gets exactly one response of its paired type.

        No response at all: after the end of the session, or for a message that is no request (which ends it).
        `came_in`: name of the state in which it had arrived, where reading it took its time; None: the present one.
        """
        if self._state is State.ENDED:
            over = "the session is over"
            return self._silent(message.ELEMENT, CloseReason.UNEXPECTED_MESSAGE, (), self._state, over)
        reply = self._answer(message, snapshot, now_s, stream, came_in)
        if stream is Stream.MAIN or reply.event is None:
            return reply
        return replace(reply, event=replace(reply.event, stream=stream))

    def _answer(
        self, message: Message, snapshot: EvseSnapshot, now_s: float, stream: Stream, came_in: str | None = None
    ) -> Reply:
        row = self._check(message, snapshot, stream, came_in)
        if isinstance(row, Refused):
            return self._refuse(message, row, snapshot, now_s, [])
        if isinstance(message, SessionSetupReq):
            # From here on it is known who speaks, and what that vehicle is known to do.
            self._config = self._config.for_vehicle(message.evccid, self._around.peer.common_name)
        turn = Turn(
            self._data,
            self._state,
            self._config,
            snapshot,
            now_s,
            self._random_bytes,
            self._protocol,
            self._around,
        )
        answer = row.handler(turn, message)
        if isinstance(answer, Pending):
            self._held = message
            self._deadline_s = now_s + answer.retry_s
            return Reply(None, tuple(turn.commands), None, self._deadline_s, None)
        if stream is Stream.MAIN:
            self._held = None
        if isinstance(answer, Refused):
            return self._refuse(message, answer, snapshot, now_s, turn.commands)
        if answer.next_state not in row.then:
            step = f"{self._state.value} to {answer.next_state.value}"
            raise RuntimeError(f"{message.ELEMENT} led from {step}, which no row of the table says")
        if stream is not Stream.MAIN:
            event = _event(message.ELEMENT, answer.response, self._state, self._state, answer.reason)
            return Reply(answer.response, tuple(turn.commands), None, self._deadline_s, event)
        return self._accept(message, answer, now_s, turn.commands)

    def never_served(self, wanted: Notification, snapshot: EvseSnapshot) -> str | None:
        """Why this session's EV will not be told what the station wants of it, None if it may be."""
        return never_served(wanted, self._config, self._around, snapshot, self._state)

    def handle_undecodable(self, payload_type: int, error: str, now_s: float) -> Reply:
        """A frame that does not decode ends the session without an answer."""
        reason = f"payload {payload_type:#06x} does not decode: {error}"
        return self._give_up("-", CloseReason.UNDECODABLE, EndKind.FAILED, reason)

    def unsendable(self, message: Message, lost: Reply, error: str, snapshot: EvseSnapshot, now_s: float) -> Reply:
        """Our own answer `lost` does not encode: the paired refusal goes out instead, and the session ends.

        The commands of the lost answer stay, as this session's memory says that they were given; the end follows them.
        """
        refused = Refused(ResponseCode.FAILED, f"our own answer does not encode: {error}")
        reply = self._refuse(message, refused, snapshot, now_s, list(lost.commands))
        if reply.event is not None and lost.event is not None:
            return replace(reply, event=replace(reply.event, state=lost.event.state))
        return reply

    def on_sent(self, now_s: float) -> float | None:
        """The response on the main stream left at `now_s`: the sequence timer starts here."""
        if self._deadline_s is not None and self._held is None:
            self._deadline_s = now_s + self._sequence_s
        return self._deadline_s

    def on_timer(self, now_s: float, snapshot: EvseSnapshot) -> Reply | None:
        """Ends the session without an answer when the sequence timer has run out [V2G20-443], [V2G20-1502].

        While an answer is pending there is no sequence timer: the EV has asked, and waits for us.
        """
        if self._deadline_s is None or now_s < self._deadline_s:
            return None
        if self._held is not None:
            return self._answer(self._held, snapshot, now_s, Stream.MAIN)
        reason = f"no request within {self._sequence_s:g} s in {self._state.value}"
        return self._give_up("-", CloseReason.SEQUENCE_TIMEOUT, EndKind.EV_TIMEOUT, reason)

    def on_disconnect(self, now_s: float) -> Reply | None:
        """The connection is gone. None when the session had ended before."""
        if self._state is State.ENDED:
            return None
        reason = f"the EV closed the connection in {self._state.value}"
        return self._give_up("-", CloseReason.PEER_CLOSED, EndKind.EV_CLOSED, reason)

    def abort(self, reason: str, now_s: float) -> Reply | None:
        """The shell gives up. None when the session had ended before."""
        if self._state is State.ENDED:
            return None
        return self._give_up("-", CloseReason.ABORTED, EndKind.FAILED, reason)

    def _check(
        self, message: Message, snapshot: EvseSnapshot, stream: Stream, came_in: str | None
    ) -> On | Refused:
        """Session id, then state, then whether the station wants to end where the EV cannot be told otherwise."""
        if self._data.established and not isinstance(message, SessionSetupReq):
            header = getattr(message, "header", None)
            if header is not None and header.session_id != self._data.session_id:
                return Refused(ResponseCode.FAILED_UnknownSession, "session id is not the one of this session")
        if self._held is not None and message is not self._held and stream is Stream.MAIN:
            return Refused(ResponseCode.FAILED_SequenceError, f"{self._held.ELEMENT} is not answered yet")
        row = self._rows.find(self._state, type(message), stream) or self._overtaken(type(message), stream, came_in)
        if row is None:
            allowed = ", ".join(request.ELEMENT for request in self._rows.allowed(self._state, stream)) or "nothing"
            beside = "" if stream is Stream.MAIN else f" on the side stream for {stream.value}"
            return Refused(
                ResponseCode.FAILED_SequenceError,
                f"not allowed in {self._state.value}, which waits for {allowed}{beside}",
            )
        ending = refused_for_good(message, snapshot) if stream is Stream.MAIN else None
        return row if ending is None else Refused(ResponseCode.FAILED, ending)

    def _overtaken(self, request: type[Message], stream: Stream, came_in: str | None) -> On | None:
        """A side request was in time, and the main stream went on while it was being read: no fault of the EV."""
        before = _STATES.get(came_in or "")
        row = None if before is None else self._rows.find(before, request, stream)
        if row is None or row.overtaken is None:
            return None
        return On(request, row.overtaken, (self._state,), stream)

    def _accept(self, message: Message, answer: Accepted, now_s: float, commands: list[Command]) -> Reply:
        before, response = self._state, answer.response
        self._state = answer.next_state
        if self._state is State.CHARGE_PARAMETER_DISCOVERY:
            self._rows = services.rows_of(self._data.selection.service_id)
        over = self._state is State.ENDED
        looping = self._state is State.CHARGE_LOOP and self._data.loops_since_start > 0
        self._sequence_s = self._config.timers.sequence_after(looping)
        if self._data.due is not None:  # no request buys time for what is due
            self._sequence_s = max(0.0, min(self._sequence_s, self._data.due.at_s - now_s))
        self._deadline_s = None if over else now_s + self._sequence_s
        return Reply(
            response,
            tuple(commands),
            CloseReason.SESSION_STOPPED if over else None,
            self._deadline_s,
            _event(message.ELEMENT, response, before, self._state, answer.reason),
            self._config.timers.close_after_stop_s if over else 0.0,
        )

    def _refuse(
        self, message: Message, refused: Refused, snapshot: EvseSnapshot, now_s: float, commands: list[Command]
    ) -> Reply:
        """The paired FAILED response. The commands of ending come with it: hardware does not wait for the EV."""
        before = self._state
        reason = f"{message.ELEMENT}: {refused.reason}"
        try:
            response = refusal(message, refused.code, response_header(self._data, snapshot))
        except UnpairedMessage:
            return self._give_up(message.ELEMENT, CloseReason.UNEXPECTED_MESSAGE, EndKind.FAILED, reason)
        ending = self._ending(EndKind.FAILED, f"{refused.code.name}: {reason}")
        return Reply(
            response,
            (*commands, *ending),
            CloseReason.FAILED,
            None,
            _event(message.ELEMENT, response, before, self._state, refused.reason),
            self._config.timers.close_after_failed_s,
        )

    def _give_up(self, request: str, close: CloseReason, kind: EndKind, reason: str) -> Reply:
        before = self._state
        return self._silent(request, close, self._ending(kind, reason), before, reason)

    def _silent(
        self, request: str, close: CloseReason, commands: tuple[Command, ...], before: State, reason: str
    ) -> Reply:
        event = MessageEvent(request, None, None, before.value, State.ENDED.value, reason)
        return Reply(None, commands, close, None, event)

    def _ending(self, kind: EndKind, reason: str) -> tuple[Command, ...]:
        """Stops energy first if any may flow, then ends; the station is told once, of a session that it knows."""
        told = self._state is State.ENDED
        self._held = None
        self._state = State.ENDED
        self._deadline_s = None
        commands: list[Command] = []
        if self._data.energy_possible:
            self._data.energy_possible = False
            commands.append(EnergyStop(reason))
        if self._data.established and not told:
            commands.append(SessionEnded(kind, reason))
        return tuple(commands)


def _event(request: str, response: Message, before: State, after: State, reason: str | None) -> MessageEvent:
    code: ResponseCode = getattr(response, "response_code")  # noqa: B009 - every response of -20 has one
    name = response.ELEMENT
    return MessageEvent(request, name, code.name, before.value, after.value, reason, performance_s(name))
