"""Random message sequences against a whole connection, with random timing, splits, drops and outlet states.

Whatever comes, the connection must not raise, must answer each request with its paired response exactly once, must
end after a FAILED response, and must ask the station for energy in the one right order.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from evse_controller.messages import decode, encode
from evse_controller.messages.base import Kind, Message, Node, Schema
from evse_controller.messages.generated.common_types import Processing, RationalNumber, ResponseCode
from evse_controller.model import commands as c
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Authorization, Notification, Step
from evse_controller.secc.connection import Connection, Output
from evse_controller.secc.v2gtp import encode_frame
from tests.campaign.exi_messages import MessageMaker, message_classes
from tests.secc.ev import (
    DC,
    DC_BPT,
    DYNAMIC,
    NS_DC,
    OFFER,
    SCHEDULED,
    Bench,
    connection,
    every_request,
    frame,
    loop,
    read,
    sap_request,
)

FULL_CASES = 20_000
# Where the random part begins; up to there the EV behaves.
_STARTS = (
    "SessionSetup",
    "Authorization",
    "ServiceSelection",
    "ScheduleExchange",
    "CableCheck",
    "PreCharge",
    "ChargeLoop",
)
_WILD = tuple(
    kind
    for schema in (Schema.ISO20_COMMON, Schema.ISO20_DC, Schema.ISO20_AC)
    for kind in message_classes(schema)
    if kind.ELEMENT.endswith("Req")
)


_EDGES = (0, 1, -1, 2**15 - 1, 2**31, 2**32 - 1, 2**64 - 1)


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


class Judge:
    """Watches the commands of one connection: the order in which a station may be asked for things."""

    def __init__(self) -> None:
        self.seen: set[type] = set()
        self.ended = 0
        self.energy = False

    def command(self, command: c.Command) -> None:
        kind = type(command)
        assert not self.ended, f"{kind.__name__} after SessionEnded"
        needs = {
            c.AuthorizationRequested: c.SessionOpened,
            c.ServiceSelected: c.AuthorizationRequested,
            c.LimitsNegotiated: c.ServiceSelected,
            c.ScheduleRequested: c.LimitsNegotiated,
            c.CableCheckRequested: c.ScheduleRequested,
            c.PreChargeRequested: c.CableCheckRequested,
            c.EnergyStart: c.PreChargeRequested,
            c.LoopUpdate: c.EnergyStart,
            c.SessionEnded: c.SessionOpened,
        }.get(kind)
        assert needs is None or needs in self.seen, f"{kind.__name__} before {needs.__name__}"
        if kind in (c.EnergyStart, c.CableCheckRequested, c.SessionOpened):
            assert kind not in self.seen, f"{kind.__name__} twice"
        if kind in (c.CableCheckRequested, c.EnergyStart):
            self.energy = True
        if isinstance(command, c.LoopUpdate):
            assert self.energy, "LoopUpdate after EnergyStop"
            limits = command.limits
            if command.target_current_a is not None:
                assert -(limits.max_discharge_current_a or 0) <= command.target_current_a <= limits.max_charge_current_a
        if kind is c.EnergyStop:
            assert self.energy, "EnergyStop without energy"
            self.energy = False
        if kind is c.SessionEnded:
            assert not self.energy, "SessionEnded while energy may flow"
            self.ended += 1
        self.seen.add(kind)


@dataclass
class _Answer:
    response: Any


@dataclass
class Wire(Bench):
    """The scripted EV on a connection: bytes, split at random, instead of message objects."""

    chance: random.Random = field(default_factory=random.Random)
    roughness: float = 0.5
    link: Connection = field(default_factory=connection)
    judge: Judge = field(default_factory=Judge)
    stretched: float = 0.0

    @property
    def state(self) -> str:
        return self.link.state_name

    def take(self, outputs: list[Output]) -> list[Output]:
        for output in outputs:
            for command in output.commands:
                self.judge.command(command)
            if self.chance.random() < 0.5:
                self.link.on_sent(self.now_s)
        return outputs

    def feed(self, data: bytes) -> list[Output]:
        cut = self.chance.randrange(len(data) + 1) if data and self.chance.random() < 0.3 else 0
        outputs = self.link.receive(data[:cut], self.snapshot, self.now_s)
        outputs += self.link.receive(data[cut:], self.snapshot, self.now_s)
        return self.take(outputs)

    def ask(self, request: Message, session_id: bytes | None = None) -> Any:
        request.header.session_id = self.session_id if session_id is None else session_id  # type: ignore[attr-defined]
        if self.stretched:
            stretch(request, self.chance, self.stretched)
        alive, deadline_s = self.state != "Ended", self.link.next_deadline_s
        outputs = self.feed(frame(request))
        if not alive:
            assert outputs == []
            return _Answer(None)
        if deadline_s is not None and self.now_s >= deadline_s:
            assert [output.data for output in outputs] == [None]
            assert self.state == "Ended"
            return _Answer(None)
        (output,) = outputs
        response = read(output)
        assert request.ELEMENT.removesuffix("Req") + "Res" == response.ELEMENT
        failed = response.response_code >= ResponseCode.FAILED
        stopped = response.ELEMENT == "SessionStopRes"
        assert (self.state == "Ended") is (failed or stopped)
        if request.ELEMENT == "SessionSetupReq" and not failed:
            self.session_id = response.header.session_id
        assert response.header.session_id == self.session_id
        return _Answer(response)


def _shake(bench: Wire) -> None:
    """The outlet does something."""
    chance = bench.chance
    roll = chance.random()
    if roll < 0.25:
        bench.set(authorization=chance.choice(list(Authorization)))
    elif roll < 0.45:
        bench.set(cable_check=chance.choice(list(Step)))
    elif roll < 0.6:
        bench.set(precharge=chance.choice(list(Step)))
    elif roll < 0.75:
        bench.set(offer=chance.choice((None, OFFER)))
    elif roll < 0.9:
        bench.set(pilot=chance.choice((PilotState.B, PilotState.C, PilotState.C, PilotState.A)))
    elif roll < 0.94:
        bench.set(present_voltage_v=chance.choice((None, 0.0, 400.0)))
    elif roll < 0.97:
        bench.set(notification=chance.choice((None, *Notification)))
    else:
        bench.set(emergency="pilot lost")


def _wild(bench: Wire, seed: int) -> Message:
    """Any request type with any content that its schema allows."""
    kind = bench.chance.choice(_WILD)
    return decode(kind.SCHEMA, encode(MessageMaker(seed).make(kind)))


def _talk(bench: Wire, seed: int, index: int) -> bool:
    """One thing that an EV might send; False when the stream cannot be read as request and answer any more."""
    chance = bench.chance
    roll = 0.0 if chance.random() > bench.roughness else chance.uniform(0.72, 1.0)
    if bench.state == "ChargeLoop" and chance.random() < 0.5:
        roll = 0.75
    if roll < 0.72:
        bench.stretched = 0.2 if chance.random() < bench.roughness / 4 else 0.0
        bench._step()
        bench.stretched = 0.0
    elif roll < 0.80 and bench.state == "ChargeLoop":
        for _ in range(chance.randrange(1, 5)):
            bench.after(chance.choice((0.05, 0.2)))
            current, voltage = chance.uniform(-300, 300), chance.uniform(-10, 1000)
            bidirectional = bench.service == DC_BPT
            if bench.control_mode == SCHEDULED:
                bench.ask(loop(SCHEDULED, bidirectional, ev_target_current=current, ev_target_voltage=voltage))
            else:
                bench.ask(loop(DYNAMIC, bidirectional, ev_maximum_charge_current=current))
    elif roll < 0.92:
        request: Any = chance.choice(every_request())
        if hasattr(request, "ev_processing"):
            request.ev_processing = chance.choice(list(Processing))
        bench.ask(request)
    elif roll < 0.96:
        bench.ask(_wild(bench, seed * 101 + index))
    elif roll < 0.98:
        bench.ask(chance.choice(every_request()), chance.randbytes(8) if chance.random() < 0.5 else bytes(8))
    else:
        payload_type = chance.choice((0x7001, 0x8001, 0x8002, 0x8003, 0x8004, 0x8101, 0x8102))
        noise = encode_frame(payload_type, chance.randbytes(chance.randrange(0, 60)))
        if chance.random() < 0.2:
            bench.feed(noise[: chance.randrange(len(noise))])
            for request in chance.sample(every_request(), 3):
                bench.feed(frame(request))
            return False
        bench.feed(noise)
    return True


def play(seed: int) -> str:
    """One random life of a connection; returns the furthest state. Raises AssertionError where a rule is broken."""
    chance = random.Random(seed)
    bench = Wire(
        service=chance.choice((DC, DC_BPT)),
        control_mode=chance.choice((SCHEDULED, DYNAMIC)),
        chance=chance,
        roughness=chance.choice((0.03, 0.1, 0.4)),
    )
    bench.feed(frame(sap_request((NS_DC, 1, 0, 1, 1))))
    bench.to(chance.choice(_STARTS))
    furthest = bench.state
    for index in range(chance.randrange(5, 60)):
        if bench.link.closed or bench.state == "Ended":
            break
        furthest = bench.state
        if chance.random() < bench.roughness:
            _shake(bench)
        if chance.random() < 0.03:
            bench.after(chance.choice((0.3, 2.0, 30.0, 61.0)))
        bench.take(bench.link.on_timer(bench.now_s, bench.snapshot))
        if bench.state != "Ended" and not _talk(bench, seed, index):
            break
    bench.take(bench.link.on_disconnect(bench.now_s))
    assert bench.judge.ended == (1 if c.SessionOpened in bench.judge.seen else 0), "session left open, or ended twice"
    assert bench.link.next_deadline_s is None
    return furthest


def run(scale: float, seed: int) -> int:
    count = max(50, round(FULL_CASES * scale))
    reached: dict[str, int] = {}
    for case in range(count):
        number = seed * 1_000_003 + case
        try:
            state = play(number)
        except Exception as error:
            raise AssertionError(f"sequence {number}: {error}") from error
        reached[state] = reached.get(state, 0) + 1
    # A campaign that never gets anywhere proves nothing.
    deep = sum(reached.get(state, 0) for state in ("ChargeLoop", "WeldingDetection", "SessionStop"))
    assert deep >= count // 5, f"only {deep} of {count} sequences reached energy: {reached}"
    return count


