"""The scripted EV on a connection: bytes, split at random and on their streams, instead of message objects.

Every answer must be of its request's paired type, on its request's stream, in order, exactly once; a FAILED one ends
the session, and so does SessionStop unless it changes the service. An auditor watches commands, figures and times.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from evse_controller.messages.base import Kind, Message, Node
from evse_controller.messages.generated.common_types import RationalNumber, ResponseCode
from evse_controller.secc.coding import Work
from evse_controller.secc.connection import Connection
from evse_controller.secc.output import Output
from evse_controller.secc.streams import Stream, stream_of
from evse_controller.secc.v2gtp import PAYLOAD_OF_SCHEMA, PayloadType
from tests.secc.auditor import CLOSE_S, SEQUENCE_S, Auditor
from tests.secc.ev import Bench, connection, frame, read

PAYLOAD_OF_STREAM = {
    Stream.SCHEDULE: PayloadType.SCHEDULE_RENEGOTIATION,
    Stream.METERING: PayloadType.METERING_CONFIRMATION,
    Stream.PARKING: PayloadType.PARKING_STATUS,
}
_EDGES = (0, 1, -1, 2**15 - 1, 2**31, 2**32 - 1, 2**64 - 1)
_PATIENCE_S = 2.0  # how long the EV waits for an answer that waits for hardware


def stretch(node: Node, chance: random.Random, share: float) -> None:
    """Puts this share of all numbers of a request, stated or left out, to the extremes that its schema allows."""
    for spec in node.FIELDS:
        value = getattr(node, spec.name)
        if isinstance(value, list):
            for entry in value:
                if isinstance(entry, Node):
                    stretch(entry, chance, share)
        elif spec.type is RationalNumber and (value is not None or not spec.choice) and chance.random() < share:
            exponent, digits = chance.choice((-128, -3, 0, 3, 127)), chance.choice((-(2**15), -1, 0, 1, 2**15 - 1))
            setattr(node, spec.name, RationalNumber(exponent, digits))
        elif isinstance(value, Node):
            stretch(value, chance, share)
        elif isinstance(spec.type, Kind) and spec.type.base == "integer" and chance.random() < share:
            low = -(2**159) if spec.type.low is None else spec.type.low
            high = 2**159 if spec.type.high is None else spec.type.high
            if value is not None or not spec.choice:
                setattr(node, spec.name, min(max(chance.choice((low, high, *_EDGES)), low), high))


@dataclass
class Answer:
    """What came back, None for nothing (yet)."""

    response: Any


def link_of(bench: Wire) -> Connection:
    return connection(bench.config, opened_s=bench.now_s, around=bench.around)


@dataclass
class Wire(Bench):
    """A `Bench` that talks to a connection. `slow` is the share of large side-stream work that takes its time."""

    chance: random.Random = field(default_factory=random.Random)
    roughness: float = 0.5
    link: Connection = field(init=False)
    judge: Auditor = field(default_factory=Auditor)
    may_join: bool | None = None  # whether this EV has a session to come back to; None: nobody knows
    patience_s: float = 1e3  # a silence that lasts longer is not played
    stretched: float = 0.0
    slow: float = 0.0
    large_bytes: int | None = None
    owed: dict[Stream, deque[Message]] = field(default_factory=dict)
    working: list[Work] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.connect()

    def connect(self) -> None:
        """A new connection, as after a pause; its session is judged by itself."""
        self.link = link_of(self)
        self.link.large_bytes = self.large_bytes
        self.judge = Auditor(self.may_join)
        self.session_id = bytes(8)
        self.owed = {stream: deque() for stream in Stream}
        self.working = []

    @property
    def state(self) -> str:
        return self.link.state_name

    def take(self, outputs: list[Output]) -> list[Output]:
        """Carries outputs out as the shell does, and what follows from them."""
        taken = list(outputs)
        for output in outputs:
            for command in output.commands:
                self.commands.append(command)
                self.judge.command(command)
            if output.data is not None:
                self._answered(output, last=output is outputs[-1])
                self.link.on_sent(self.now_s)
            if output.work is not None:
                if output.beside and self.chance.random() < self.slow:
                    self.working.append(output.work)
                else:
                    taken += self.take(self.link.coded(output.work, output.work.run(), self.snapshot, self.now_s))
        self.judge.stands_in(self.state)
        self.judge.waits(self)
        return taken

    def fall_silent(self) -> None:
        """The EV says no more. By our clock, not by the connection's, the session and then the link must be over."""
        if self.state != "Ended":
            self.after(self.judge.silence_s(self.state) + 0.01)  # the plant moves in steps of that
            self.timers()
            assert self.state == "Ended", f"session left open in {self.state} although its EV is silent"
        self.after((SEQUENCE_S if self.working else CLOSE_S) + 0.01)
        self.timers()
        assert self.link.closed, "connection left open"

    def work(self) -> None:
        """What was being coded beside the loop is done."""
        while self.working:
            work = self.working.pop(0)
            self.take(self.link.coded(work, work.run(), self.snapshot, self.now_s))

    def feed(self, data: bytes) -> list[Output]:
        cut = self.chance.randrange(len(data) + 1) if data and self.chance.random() < 0.3 else 0
        outputs = self.take(self.link.receive(data[:cut], self.snapshot, self.now_s))
        return outputs + self.take(self.link.receive(data[cut:], self.snapshot, self.now_s))

    def timers(self) -> list[Output]:
        return self.take(self.link.on_timer(self.now_s, self.snapshot))

    def ask(self, request: Message, session_id: bytes | None = None, stream: Stream = Stream.MAIN) -> Any:
        request.header.session_id = self.session_id if session_id is None else session_id  # type: ignore[attr-defined]
        if self.stretched:
            stretch(request, self.chance, self.stretched)
        payload_type = PAYLOAD_OF_STREAM.get(stream, PAYLOAD_OF_SCHEMA[request.SCHEMA])
        alive, deadline_s = self.state != "Ended", self.link.next_deadline_s
        late = deadline_s is not None and self.now_s >= deadline_s
        self.answers.clear()
        if alive and not late:
            self.owed[stream].append(request)
        outputs = self.feed(frame(request, payload_type))
        if not alive:
            assert all(output.data is None and not output.commands for output in outputs)
            return Answer(None)
        if late:
            assert [output.data for output in outputs if not output.beside] == [None]
            assert self.state == "Ended"
            return Answer(None)
        begun_s = self.now_s
        while stream is Stream.MAIN and self.owed[stream] and self.state != "Ended":
            assert self.now_s - begun_s < _PATIENCE_S, f"{request.ELEMENT} is not answered"
            self.after(0.0625)
            self.timers()
        if self.owed[stream] and self.state == "Ended":
            self.owed[stream].clear()
            assert stream is not Stream.MAIN, f"{request.ELEMENT} ended the session without an answer"
        return Answer(self.answers[-1] if self.answers else None)

    def _answered(self, output: Output, last: bool) -> None:
        response = read(output)
        assert output.payload_type is not None
        if output.payload_type == PayloadType.APP_PROTOCOL:
            return
        stream = stream_of(output.payload_type)
        assert self.owed[stream], f"{response.ELEMENT} answers nothing on the {stream.value} stream"
        request = self.owed[stream].popleft()
        assert request.ELEMENT.removesuffix("Req") + "Res" == response.ELEMENT
        failed = response.response_code >= ResponseCode.FAILED
        stopped = response.ELEMENT == "SessionStopRes" and self.state != "ServiceDiscovery"
        over = failed or stopped
        assert (self.state == "Ended") is over or not (over or last), f"{response.ELEMENT} in {self.state}"
        if request.ELEMENT == "SessionSetupReq" and not failed:
            self.session_id = response.header.session_id
        assert response.header.session_id == self.session_id
        self.answers.append(response)
        self.judge.answered(request, response, self)
