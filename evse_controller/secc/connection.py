"""One TCP or TLS connection of an EV: frames, supportedAppProtocol, then the session of the negotiated protocol.

The asyncio shell feeds bytes and time in and carries outputs out, in order: commands first, then bytes, then closing.
It calls `on_timer` when `next_deadline_s` has passed and `on_sent` when a response really left the socket.

Side streams run beside the main one: what arrives on one is answered on it, and each has one request outstanding.

A shell that asks for it codes large messages itself: an output then carries `work`, whose result comes back through
`coded`. Until then no further request of its stream is served, and time goes on counting: the set-up time as ever, and
one sequence time from when the request had arrived. On the main stream in the charge loop that is half a second, for so
long may an EV be deaf; a side stream has the long time, and the loop goes on meanwhile.

A request that deviates from its schema but leaves no doubt is served, and its event says how it deviates: a driver in
front of a charger is not helped by a refusal. What its values may do is judged by the handlers, as any request's are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from evse_controller.messages import decode, encode
from evse_controller.messages.base import Message, Schema
from evse_controller.messages.generated.app_protocol import SupportedAppProtocolReq
from evse_controller.model.commands import Command
from evse_controller.model.snapshot import EvseSnapshot, Notification
from evse_controller.secc import sap
from evse_controller.secc.coding import FLAWED_BYTES, Coded, Work, weight
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.output import Output, told_deviations
from evse_controller.secc.reply import CloseReason, MessageEvent, RandomBytes, Reply, Session, Transport
from evse_controller.secc.streams import Stream, stream_of
from evse_controller.secc.surroundings import NOBODY, Surroundings
from evse_controller.secc.v2gtp import PAYLOAD_OF_SCHEMA, Frame, FrameReader, PayloadType, encode_frame, schema_of

_SAP = "SupportedAppProtocol"
_ENDED = "Ended"
_UNSENT = 64  # answers of one turn, far more than are ever on their way
_AHEAD = 8  # requests that wait behind others: each stream may have one outstanding, and more is no EV's way
_GoOn: TypeAlias = "Callable[[Coded, EvseSnapshot, float], Output]"


@dataclass(frozen=True, slots=True)
class _Job:
    """Work that is out for a stream, what follows from its result, and until when the result is wanted."""

    stream: Stream
    work: Work
    go_on: _GoOn
    deadline_s: float


class Connection:
    """Everything from bytes to bytes of one EV connection. No method raises on anything that the EV can send.

    `setup_deadline_s`: control time by which SessionSetupReq must have come (end of the communication set-up time).
    `random_bytes` must be a cryptographic generator. `large_bytes`: from this size on messages are coded by the shell;
    None: never, all is done within the call. `around`: who the vehicle is, what is paused, who checks signatures.
    Not thread safe; outputs are to be carried out before the next call.
    """

    def __init__(
        self,
        config: SeccConfig,
        transport: Transport,
        random_bytes: RandomBytes,
        opened_s: float,
        setup_deadline_s: float | None = None,
        large_bytes: int | None = None,
        around: Surroundings = NOBODY,
    ) -> None:
        self.config = config
        self.transport = transport
        self._random_bytes = random_bytes
        self._reader = FrameReader(max_payload=config.max_message_bytes)
        self._waiting: deque[tuple[Frame, str]] = deque()  # each with the state that it had arrived in
        self.large_bytes = large_bytes
        self._around = around
        self._held: tuple[int, Message] | None = None
        self._jobs: dict[Stream, _Job] = {}
        # The streams of the answers that the shell has not reported as sent, oldest first.
        self._unsent: deque[Stream] = deque(maxlen=_UNSENT)
        self._session: Session | None = None
        self._protocol: sap.ProtocolKind | None = None
        self._deadline_s: float | None = opened_s + config.timers.sequence_s
        self._setup_deadline_s = setup_deadline_s
        self._closing: CloseReason | None = None
        self._closed = False
        self._late_frames = 0

    @property
    def next_deadline_s(self) -> float | None:
        """Control time at which `on_timer` must be called; None when closed."""
        if self._closed:
            return None
        pending = [self._deadline_s, *(job.deadline_s for job in self._jobs.values() if job.stream is not Stream.MAIN)]
        if self._closing is None and self._setup_pending:
            pending.append(self._setup_deadline_s)
        return min((deadline for deadline in pending if deadline is not None), default=None)

    @property
    def state_name(self) -> str:
        """State of the negotiated session, for status and log."""
        if self._closed or self._closing is not None:
            return _ENDED
        return _SAP if self._session is None else self._session.state_name

    @property
    def session_id(self) -> str | None:
        return None if self._session is None else self._session.session_id

    @property
    def protocol(self) -> str | None:
        """Name of the negotiated protocol, None before."""
        return None if self._protocol is None else self._protocol.name

    def never_served(self, wanted: Notification, snapshot: EvseSnapshot) -> str | None:
        """Why the EV will not be told what the station wants of it, None if it may be."""
        if self._session is None or self._over:
            return "no session is running"
        return self._session.never_served(wanted, snapshot)

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def ignored(self) -> dict[str, int]:
        """How many frames were dropped silently, by reason."""
        return dict(self._reader.ignored)

    def receive(self, data: bytes, snapshot: EvseSnapshot, now_s: float) -> list[Output]:
        """Bytes from the EV, however split; one output per complete request, in the order of each stream.

        While work is out, what `data` completes on its stream waits for its end: unless the work is for a side
        stream, the shell had better not read on. An EV that asks on and on without its answers is let go.
        """
        if self._over:
            return [] if self._closed else self._unheard(self._reader.feed(data))
        # A request that comes too late is no request, even if the shell reads it before its timer fires.
        outputs = self.on_timer(now_s, snapshot)
        if self._over:
            return outputs
        self._waiting += ((frame, self.state_name) for frame in self._reader.feed(data))
        outputs += self._serve(snapshot, now_s)
        if len(self._waiting) > _AHEAD and not self._over:
            ahead = f"{len(self._waiting)} requests sent ahead of the answers to those before them"
            outputs.append(self._end(CloseReason.UNEXPECTED_MESSAGE, ahead, now_s))
        if self._closing is not None:
            outputs += self._unheard([frame for frame, _ in self._waiting])
            self._waiting.clear()
        return outputs

    def _unheard(self, frames: Iterable[Frame]) -> list[Output]:
        """What an EV says after the last answer is not answered; the log has it, up to what no EV's way is."""
        told: list[Output] = []
        for frame in frames:
            self._late_frames += 1
            if self._late_frames <= _AHEAD:
                reason = f"payload {frame.payload_type:#06x} of {len(frame.payload)} bytes after the end: not answered"
                told.append(Output(event=MessageEvent("-", None, None, _ENDED, _ENDED, reason)))
        return told

    def coded(self, work: Work, result: Coded, snapshot: EvseSnapshot, now_s: float) -> list[Output]:
        """`work` is done. Nothing follows from work that a close or a deadline made pointless."""
        job = next((job for job in self._jobs.values() if job.work is work), None)
        if job is None:
            return []
        outputs = self.on_timer(now_s, snapshot)
        if self._over:
            return outputs
        del self._jobs[job.stream]
        return [*outputs, job.go_on(result, snapshot, now_s), *self._serve(snapshot, now_s)]

    def on_sent(self, now_s: float) -> None:
        """The oldest response not yet sent left at `now_s`: sequence timers start now, not when it was computed."""
        stream = self._unsent.popleft() if self._unsent else Stream.MAIN
        if stream is Stream.MAIN and self._session is not None and self._closing is None and not self._closed:
            self._deadline_s = self._session.on_sent(now_s)

    def on_timer(self, now_s: float, snapshot: EvseSnapshot) -> list[Output]:
        """Acts on whatever deadline has passed; nothing when called early."""
        deadline_s = self.next_deadline_s
        if deadline_s is None or now_s < deadline_s:
            return []
        if self._closing is not None:
            self._shut()
            return [Output(close=self._closing)]
        if self._setup_pending and self._setup_deadline_s is not None and now_s >= self._setup_deadline_s:
            return [self._end(CloseReason.SETUP_TIMEOUT, "no SessionSetupReq in the communication set-up time", now_s)]
        if self._session is None:
            return [self._end(CloseReason.SEQUENCE_TIMEOUT, "no supportedAppProtocolReq in time", now_s)]
        if any(stream is Stream.MAIN or now_s >= job.deadline_s for stream, job in self._jobs.items()):
            return [self._end(CloseReason.ABORTED, "a large message was not coded within the sequence time", now_s)]
        reply = self._session.on_timer(now_s, snapshot)
        if reply is None:
            return []
        if self._held is None:
            return [self._output(reply, None, None, snapshot, now_s)]
        output = self._told(reply, *self._held, snapshot, now_s)
        return [output, *self._serve(snapshot, now_s)]

    def on_disconnect(self, now_s: float) -> list[Output]:
        """The EV closed, or the link broke. Ends the session unless it had ended already."""
        if self._closed:
            return []
        reply = None if self._session is None else self._session.on_disconnect(now_s)
        self._shut()
        if reply is None:
            return [Output(close=self._closing or CloseReason.PEER_CLOSED)]
        return [Output(commands=reply.commands, event=reply.event, close=CloseReason.PEER_CLOSED)]

    def abort(self, reason: str, now_s: float) -> list[Output]:
        """The shell gives this connection up (internal error, shutdown of the daemon): end the session and close."""
        return [] if self._closed else [self._end(CloseReason.ABORTED, reason, now_s)]

    @property
    def _setup_pending(self) -> bool:
        return self._session is None or self._session.session_id is None

    @property
    def _over(self) -> bool:
        return self._closed or self._closing is not None

    def _serve(self, snapshot: EvseSnapshot, now_s: float) -> list[Output]:
        """The requests that have arrived, up to the first that must be waited for or that ends it all."""
        outputs: list[Output] = []
        while (waiting := self._next()) is not None:
            outputs.append(self._frame(*waiting, snapshot, now_s))
        if self._reader.broken is not None and not self._jobs and not self._over:
            outputs.append(self._end(CloseReason.FRAME_TOO_LONG, self._reader.broken, now_s))
        return outputs

    def _next(self) -> tuple[Frame, str] | None:
        """The oldest frame whose stream has no request outstanding."""
        if self._over or self._held is not None or Stream.MAIN in self._jobs:
            return None
        for index, waiting in enumerate(self._waiting):
            if stream_of(waiting[0].payload_type) not in self._jobs:
                del self._waiting[index]
                return waiting
        return None

    def _frame(self, frame: Frame, came_in: str, snapshot: EvseSnapshot, now_s: float) -> Output:
        if self._session is None:
            if frame.payload_type != PayloadType.APP_PROTOCOL:
                return self._end(CloseReason.UNEXPECTED_MESSAGE, f"payload type {frame.payload_type:#06x} first", now_s)
            schema = Schema.APP_PROTOCOL
        else:
            schema = schema_of(frame.payload_type)
        go_on = self._negotiate if self._session is None else partial(self._ask, frame.payload_type, came_in=came_in)
        read = partial(decode, schema, frame.payload, self.config.max_message_bytes)
        strict = self.config.refuse_deviations
        work = Work(partial(read, strict))
        if self.large_bytes is None or len(frame.payload) <= min(self.large_bytes - 1, FLAWED_BYTES):
            return go_on(work.run(), snapshot, now_s)
        if len(frame.payload) < self.large_bytes:
            # Finding every deviation takes many readings: of this size they are for the shell, a clean one is not.
            clean = Work(partial(read, True)).run()
            if strict or isinstance(clean, Message):
                return go_on(clean, snapshot, now_s)
        return self._await(stream_of(frame.payload_type), work, go_on, now_s)

    def _await(
        self, stream: Stream, work: Work, go_on: _GoOn, now_s: float, commands: tuple[Command, ...] = ()
    ) -> Output:
        """The EV has spoken: on the main stream its silence counts anew from here, and ours."""
        deadline_s = now_s + self.config.timers.sequence_s
        if stream is Stream.MAIN:
            restarted_s = None if self._session is None else self._session.on_sent(now_s)
            self._deadline_s = deadline_s = deadline_s if restarted_s is None else restarted_s
        self._jobs[stream] = _Job(stream, work, go_on, deadline_s)
        return Output(commands=commands, work=work, beside=stream is not Stream.MAIN)

    def _ask(
        self, payload_type: int, request: Coded, snapshot: EvseSnapshot, now_s: float, came_in: str | None = None
    ) -> Output:
        """The session's answer to a request."""
        assert self._session is not None
        if not isinstance(request, Message):
            reply = self._session.handle_undecodable(payload_type, str(request), now_s)
            return self._output(reply, payload_type, None, snapshot, now_s)
        reply = self._session.handle(request, snapshot, now_s, stream_of(payload_type), came_in)
        return self._told(reply, payload_type, request, snapshot, now_s)

    def _told(
        self, reply: Reply, payload_type: int, request: Message, snapshot: EvseSnapshot, now_s: float
    ) -> Output:
        """An answer with what is to be logged of its request; one that is not ready holds the request."""
        if self._session is None or not self._session.pending:
            self._held = None
        elif stream_of(payload_type) is Stream.MAIN:  # only there an answer may have to wait for hardware
            self._held = (payload_type, request)
        if request.deviations and reply.event is not None:
            reply = replace(reply, event=replace(reply.event, deviations=told_deviations(request)))
        return self._output(reply, payload_type, request, snapshot, now_s)

    def _negotiate(self, request: Coded, snapshot: EvseSnapshot, now_s: float) -> Output:
        if not isinstance(request, Message):
            return self._end(CloseReason.UNDECODABLE, str(request), now_s)
        if not isinstance(request, SupportedAppProtocolReq):
            return self._end(CloseReason.UNEXPECTED_MESSAGE, f"{request.ELEMENT} from an EV", now_s)
        response, protocol = sap.select(request, sap.served(self.config, self.transport))
        if protocol is None:
            self._closing = CloseReason.NO_NEGOTIATION
            self._deadline_s = now_s + self.config.timers.close_after_failed_s
            offered = ", ".join(repr(entry.protocol_namespace) for entry in request.app_protocol)
            reason: str | None = f"nothing served on {self.transport.value} among: {offered}"
        else:
            self._protocol = protocol
            self._session = _open_session(self.config, protocol, self._random_bytes, now_s, self._around)
            self._deadline_s = now_s + self.config.timers.sequence_s
            reason = f"{protocol.name} selected"
        event = MessageEvent(
            request.ELEMENT,
            response.ELEMENT,
            response.response_code.name,
            _SAP,
            self.state_name,
            reason,
            1.5,
            told_deviations(request),
        )
        self._unsent.append(Stream.MAIN)
        data = encode_frame(PayloadType.APP_PROTOCOL, encode(response))
        return Output(data, PayloadType.APP_PROTOCOL, response, request, (), event)

    def _output(
        self,
        reply: Reply,
        payload_type: int | None,
        request: Message | None,
        snapshot: EvseSnapshot,
        now_s: float,
    ) -> Output:
        """A session's reply as bytes, or a large one as work. Its commands do not wait for the coding."""
        response = reply.response
        if response is None:
            return self._sealed(reply, None, None, request, now_s)
        if payload_type is None or payload_type == PayloadType.APP_PROTOCOL:
            payload_type = PAYLOAD_OF_SCHEMA[response.SCHEMA]
        assert request is not None  # only requests have answers
        work = Work(partial(encode, response))
        if self.large_bytes is None or weight(response, self.large_bytes) < self.large_bytes:
            return self._send(reply, payload_type, request, work.run(), snapshot, now_s)
        go_on = partial(self._send, replace(reply, commands=()), payload_type, request)
        return self._await(stream_of(payload_type), work, go_on, now_s, reply.commands)

    def _send(
        self,
        reply: Reply,
        payload_type: int,
        request: Message,
        coded: Coded,
        snapshot: EvseSnapshot,
        now_s: float,
    ) -> Output:
        """An encoded answer. One of ours that does not encode becomes the session's refusal, a refusal silence."""
        if not isinstance(coded, bytes):
            if reply.close is CloseReason.FAILED:
                self._shut()
                why = f"the refusal does not encode: {coded}"
                event = reply.event and replace(reply.event, response=None, code=None, reason=why)
                return Output(request=request, commands=reply.commands, event=event, close=reply.close)
            assert self._session is not None
            reply = self._session.unsendable(request, reply, str(coded), snapshot, now_s)
            return self._output(reply, payload_type, request, snapshot, now_s)
        return self._sealed(reply, payload_type, encode_frame(payload_type, coded), request, now_s)

    def _sealed(
        self, reply: Reply, payload_type: int | None, data: bytes | None, request: Message | None, now_s: float
    ) -> Output:
        stream = Stream.MAIN if payload_type is None else stream_of(payload_type)
        if reply.close is not None or stream is Stream.MAIN:
            self._deadline_s = reply.deadline_s
        if data is not None:
            self._unsent.append(stream)
        close: CloseReason | None = None
        if reply.close is not None:
            if reply.close_delay_s > 0:
                self._closing = reply.close
                self._deadline_s = now_s + reply.close_delay_s
                self._jobs.clear()
            else:
                self._shut()
                close = reply.close
        beside = stream is not Stream.MAIN
        return Output(data, payload_type, reply.response, request, reply.commands, reply.event, close, None, beside)

    def _shut(self) -> None:
        self._closed = True
        self._held = None
        self._jobs.clear()
        self._waiting.clear()

    def _end(self, close: CloseReason, reason: str, now_s: float) -> Output:
        """Ends without an answer, whatever phase the session is in."""
        state = self.state_name
        reply = None if self._session is None or self._closing is not None else self._session.abort(reason, now_s)
        self._shut()
        commands = () if reply is None else reply.commands
        return Output(commands=commands, event=MessageEvent("-", None, None, state, _ENDED, reason), close=close)


def _open_session(
    config: SeccConfig, protocol: sap.ProtocolKind, random_bytes: RandomBytes, now_s: float, around: Surroundings
) -> Session:
    # Imported here: a protocol's messages and coders are loaded when the first EV negotiates it.
    from evse_controller.secc.iso20.session import Iso20Session

    return Iso20Session(config, protocol.name, random_bytes, now_s, around)
