"""Random message sequences against a whole connection, with random timing, splits, drops and outlet states.

Whatever comes, the connection must not raise, must answer each request with its paired response exactly once and on
its stream, must end after a FAILED response, must ask the station for energy in the one right order, and must leave
neither a session open nor a contactor closed. One life is an EV that may pause, sleep and come back on a new
connection; some lives are played on the simulated plant, whose referee must not object.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from evse_controller.messages import decode, encode
from evse_controller.messages.base import Message, Schema
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import Processing
from evse_controller.model.commands import PausedSession
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Authorization, Notification, Step
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.streams import Stream
from evse_controller.secc.surroundings import Peer, Surroundings
from evse_controller.secc.v2gtp import encode_frame
from tests.campaign.exi_grammar import message_classes
from tests.campaign.exi_messages import MessageMaker
from tests.secc.ev import (
    BESIDE_THE_LOOP,
    DC,
    DC_BPT,
    DYNAMIC,
    NS_DC,
    OFFER,
    SCHEDULED,
    every_request,
    frame,
    header,
    loop,
    power_delivery,
    profile,
    sap_request,
    schedule_request,
    stop,
)
from tests.secc.judge import Judge
from tests.secc.wire import Wire, stretch

__all__ = ["Judge", "Wire", "play", "run", "stretch"]

FULL_CASES = 20_000
ON_PLANT = 100  # one life in so many is played on the plant, too
# Where the random part begins; up to there the EV behaves.
_STARTS = (
    "SessionSetup",
    "Authorization",
    "ServiceSelection",
    "ScheduleExchange",
    "CableCheck",
    "PreCharge",
    *("ChargeLoop",) * 5,
    *BESIDE_THE_LOOP,
)
_WILD = tuple(
    kind
    for schema in (Schema.ISO20_COMMON, Schema.ISO20_DC, Schema.ISO20_AC)
    for kind in message_classes(schema)
    if kind.ELEMENT.endswith("Req")
)
_PROGRESS = tuple(cm.ChargeProgress)
_LONG_OFFER = replace(
    OFFER,
    offer_id=11,
    tuples=tuple(replace(OFFER.tuples[0], tuple_id=number) for number in (1, 2, 3)),
)


@dataclass
class Life:
    """One EV over all its connections, and what the store keeps for it."""

    chance: random.Random
    shelf: dict[str, PausedSession] = field(default_factory=dict)
    reached: Counter[str] = field(default_factory=Counter)

    def surroundings(self, certificate: bytes | None) -> Surroundings:
        return Surroundings(Peer(certificate), self.shelf.get)

    def after(self, bench: Wire) -> None:
        """The connection is gone."""
        for session_id in bench.judge.dropped:
            del self.shelf[session_id]
        for context in bench.judge.kept:
            self.shelf[context.session_id] = context


def _shake(bench: Wire) -> None:
    """The outlet does something."""
    chance = bench.chance
    roll = chance.random()
    if roll < 0.2:
        bench.set(authorization=chance.choice(list(Authorization)))
    elif roll < 0.35:
        bench.set(cable_check=chance.choice(list(Step)))
    elif roll < 0.45:
        bench.set(precharge=chance.choice(list(Step)))
    elif roll < 0.6:
        bench.set(offer=chance.choice((None, OFFER, _LONG_OFFER, replace(OFFER, offer_id=chance.randrange(99)))))
    elif roll < 0.75:
        bench.set(pilot=chance.choice((PilotState.B, PilotState.C, PilotState.C, PilotState.A)))
    elif roll < 0.78:
        bench.set(present_voltage_v=chance.choice((None, 0.0, 400.0)))
    elif roll < 0.82:
        bench.set(meter=chance.choice((None, bench.snapshot.meter)))
    elif roll < 0.97:
        told = chance.choice((None, *(kind for kind in Notification if kind is not Notification.TERMINATE)))
        bench.set(notification=told, notification_max_delay_s=chance.choice((0, 5, 60)))
    elif roll < 0.985:
        bench.set(notification=Notification.TERMINATE)
    else:
        bench.set(emergency="pilot lost")


def _wild(bench: Wire, seed: int) -> Message:
    """Any request type with any content that its schema allows."""
    kind = bench.chance.choice(_WILD)
    return decode(kind.SCHEMA, encode(MessageMaker(seed).make(kind)))


def _plan(bench: Wire) -> cm.EVPowerProfile | None:
    chance = bench.chance
    if chance.random() < 0.3:
        return None
    if bench.control_mode == DYNAMIC and chance.random() < 0.9:
        return profile(None, (60, 1000.0))
    power_w = chance.choice((0.0, 1000.0, 20_000.0, 1e6 if chance.random() < 0.1 else 500.0))
    return profile(chance.choice((1, 1, 1, 2)), (chance.choice((1, 3600)), power_w), (3600, 0.0))


def _loops(bench: Wire) -> None:
    chance = bench.chance
    for _ in range(chance.randrange(1, 5)):
        bench.after(chance.choice((0.05, 0.2)))
        bench.timers()
        if bench.state != "ChargeLoop":
            return
        meter = chance.random() < 0.2 and bench.snapshot.meter is not None
        if type(bench) is not Wire:
            bench.ask(bench._loop())
        elif bench.control_mode == SCHEDULED:
            current, voltage = chance.uniform(-300, 300), chance.uniform(-10, 1000)
            bench.ask(loop(SCHEDULED, bench.bidirectional, meter, ev_target_current=current, ev_target_voltage=voltage))
        else:
            bench.ask(loop(DYNAMIC, bench.bidirectional, meter, ev_maximum_charge_current=chance.uniform(-9, 300)))


def _power_delivery(bench: Wire) -> None:
    processing = Processing.Ongoing if bench.chance.random() < 0.15 else Processing.Finished
    bench.ask(power_delivery(bench.chance.choice(_PROGRESS), processing, _plan(bench)))


def _hold(bench: Wire) -> None:
    """Standby or renegotiation, as an EV does it that knows the way in."""
    progress = bench.chance.choice((cm.ChargeProgress.Standby, cm.ChargeProgress.ScheduleRenegotiation))
    bench.ask(power_delivery(progress, plan=_plan(bench)))


def _back(bench: Wire) -> None:
    """Start again, by what was planned or by a modest new plan."""
    dynamic = bench.control_mode == DYNAMIC
    bench.ask(power_delivery(plan=None if dynamic else profile(1, (60, bench.chance.choice((0.0, 1000.0))))))


def _schedule_beside(bench: Wire) -> None:
    bench.ask(schedule_request(bench.control_mode), stream=Stream.SCHEDULE)


def _confirm(bench: Wire) -> None:
    info = next((answer.meter_info for answer in reversed(bench.answers) if getattr(answer, "meter_info", None)), None)
    if info is None and bench.snapshot.meter is not None and bench.state == "ChargeLoop":
        bench.set(notification=Notification.METERING_CONFIRMATION)
        response = bench.ask(bench._loop()).response
        info = getattr(response, "meter_info", None)
    if info is None or bench.state == "Ended":
        return
    data = cm.SignedMeteringData("id1", bench.session_id, info, dynamic_smdt_control_mode=cm.Dynamic_SMDTControlMode())
    bench.ask(cm.MeteringConfirmationReq(header(), data), stream=bench.chance.choice((Stream.METERING, Stream.MAIN)))


def _leave(bench: Wire) -> None:
    kind = bench.chance.choice(tuple(cm.ChargingSession))
    if kind is cm.ChargingSession.Pause and bench.chance.random() < 0.9:
        bench.set(pause_allowed=True, notification=Notification.PAUSE, notification_max_delay_s=60)
        if bench.state == "ChargeLoop":
            bench.ask(bench._loop())
    if bench.state == "ChargeLoop" and bench.chance.random() < 0.6:
        bench.ask(power_delivery(cm.ChargeProgress.Stop))
    bench.set(pilot=PilotState.B)
    bench.ask(stop(kind))
    if bench.state == "ServiceDiscovery":
        bench.set(offer=None, cable_check=Step.IDLE, precharge=Step.IDLE, pilot=PilotState.C)
        if bench.service in (DC, DC_BPT):
            bench.service = bench.chance.choice((DC, DC_BPT))
        bench.control_mode = bench.chance.choice((SCHEDULED, DYNAMIC))


_MOVES: dict[str, tuple[Callable[[Wire], None], ...]] = {
    "ChargeLoop": (
        *(_loops,) * 4,
        *(_hold, _schedule_beside) * 2,
        _confirm,
        _power_delivery,
        _leave,
    ),
    "Standby": (_power_delivery, _power_delivery, _back, _back, _confirm, _leave),
    "ScheduleRenegotiation": (*(lambda bench: bench._step(),) * 8, _power_delivery, _leave),
    "Renegotiated": (_power_delivery, *(_back,) * 6, _leave),
    "SessionStop": (_leave, _confirm),
}


def _talk(bench: Wire, seed: int, index: int) -> bool:
    """One thing that an EV might send; False when the stream cannot be read as request and answer any more."""
    chance = bench.chance
    moves = _MOVES.get(bench.state)
    if chance.random() > bench.roughness / 2:
        bench.stretched = 0.2 if chance.random() < bench.roughness / 8 else 0.0
        if moves is None or chance.random() < 0.1:
            bench._step()
        else:
            chance.choice(moves)(bench)
        bench.stretched = 0.0
        return True
    roll = chance.random()
    if roll < 0.6:
        request: Any = chance.choice(every_request())
        if hasattr(request, "ev_processing"):
            request.ev_processing = chance.choice(list(Processing))
        common = request.SCHEMA is Schema.ISO20_COMMON
        bench.ask(request, stream=chance.choice(list(Stream)) if common and chance.random() < 0.3 else Stream.MAIN)
    elif roll < 0.75:
        bench.ask(_wild(bench, seed * 101 + index))
    elif roll < 0.85:
        bench.ask(chance.choice(every_request()), chance.randbytes(8) if chance.random() < 0.5 else bytes(8))
    else:
        payload_type = chance.choice((0x7001, 0x8001, 0x8002, 0x8003, 0x8004, 0x8101, 0x8102, 0x8104))
        noise = encode_frame(payload_type, chance.randbytes(chance.randrange(0, 60)))
        if chance.random() < 0.2:
            # A frame that never becomes whole swallows what follows; what is answered then is nobody's business.
            bench.link.receive(noise[: chance.randrange(len(noise))], bench.snapshot, bench.now_s)
            return False
        bench.feed(noise)
    return True


def _walk(bench: Wire, target: str) -> None:
    """The usual way to this state, if it leads there: a resumed session has passed some, a station may not offer it."""
    for _ in range(25):
        if bench.state in (target, "Ended"):
            return
        if bench.state == "ChargeLoop" and target in BESIDE_THE_LOOP:
            bench.ask(bench._loop())
            standby = target == "Standby"
            wanted = cm.ChargeProgress.Standby if standby else cm.ChargeProgress.ScheduleRenegotiation
            bench.ask(power_delivery(wanted))
            if target != "Renegotiated":
                return
        bench._step()


def _connection(bench: Wire, life: Life, seed: int) -> None:
    """One connection from its first byte to its end."""
    chance = bench.chance
    bench.feed(frame(sap_request((NS_DC, 1, 0, 1, 1)))) if bench.service in (DC, DC_BPT) else _sap_ac(bench)
    _walk(bench, chance.choice(_STARTS))
    for index in range(chance.randrange(5, 60)):
        if bench.link.closed or bench.state == "Ended":
            break
        life.reached[bench.state] += 1
        if chance.random() < bench.roughness:
            _shake(bench)
        if chance.random() < 0.03:
            bench.after(chance.choice((0.3, 2.0, 30.0, 61.0)))
        bench.timers()
        if chance.random() < 0.5:
            bench.work()
        if bench.state != "Ended" and not _talk(bench, seed, index):
            break
    _end(bench, life)


def _end(bench: Wire, life: Life) -> None:
    bench.take(bench.link.on_disconnect(bench.now_s))
    bench.judge.over()
    assert bench.link.next_deadline_s is None
    life.after(bench)


def _sap_ac(bench: Wire) -> None:
    from tests.secc.ev import NS_AC

    bench.feed(frame(sap_request((NS_AC, 1, 0, 1, 1))))


def _new_bench(life: Life) -> Wire:
    chance = life.chance
    certificate = chance.choice((None, *(hashlib.sha512(name).digest() for name in (b"a", b"b", b"b", b"b"))))
    config = SeccConfig(
        standby=chance.random() < 0.9,
        service_renegotiation=chance.random() < 0.9,
        pause=chance.random() < 0.95,
        session_stop_in_loop=chance.random() < 0.9,
    )
    shared: dict[str, Any] = {
        "control_mode": chance.choice((SCHEDULED, DYNAMIC)),
        "around": life.surroundings(certificate),
        "chance": chance,
        "roughness": chance.choice((0.03, 0.1, 0.4)),
        "slow": chance.choice((0.0, 0.5)),
        "large_bytes": chance.choice((None, None, 48, 400)),
    }
    if chance.random() < 0.3:
        from tests.secc.wire_ac import AC_SERVICES, AcWire

        return AcWire(config=replace(config, services=AC_SERVICES), service=chance.choice(AC_SERVICES), **shared)
    return Wire(config=config, service=chance.choice((DC, DC_BPT)), **shared)


def play(seed: int) -> Counter[str]:
    """One random life; returns how often each state was reached. AssertionError where a rule is broken."""
    life = Life(random.Random(seed))
    bench = _new_bench(life)
    _connection(bench, life, seed)
    while bench.judge.kept and life.chance.random() < 0.8:
        _come_back(bench)
        life.reached["resumed"] += 1
        _connection(bench, life, seed + 1)
    return life.reached


def play_on_plant(seed: int) -> Counter[str]:
    """One random life above the real station on the simulated plant; the referee must not object."""
    from tests.campaign.secc_plant import PlantWire

    chance = random.Random(seed)
    life = Life(chance)
    certificate = hashlib.sha512(b"a").digest()
    bench = PlantWire(
        control_mode=chance.choice((SCHEDULED, DYNAMIC)),
        service=chance.choice((DC, DC_BPT)),
        around=life.surroundings(certificate),
        chance=chance,
        roughness=chance.choice((0.02, 0.05, 0.2)),
    )
    try:
        bench.power(chance.choice((-5000.0, 0.0, 8000.0)))
        _connection_on_plant(bench, life, seed)
        while bench.judge.kept and chance.random() < 0.8:
            bench.after(5.0)
            _come_back(bench)
            life.reached["resumed"] += 1
            _connection_on_plant(bench, life, seed + 1)
        bench.settle()
    finally:
        bench.close()
    return life.reached


def charged_on_plant() -> None:
    """No chance at all: power flows, the EV stops it, the referee is asked. What a planted defect is held against."""
    from tests.campaign.secc_plant import PlantWire

    life = Life(random.Random(0))
    bench = PlantWire(control_mode=DYNAMIC, service=DC_BPT, chance=life.chance)
    try:
        bench.power(8000.0)
        bench.feed(frame(sap_request((NS_DC, 1, 0, 1, 1))))
        for _ in range(600):
            if bench.state == "ChargeLoop":
                break
            bench._step()
        for _ in range(20):
            bench.after(0.2)
            bench.ask(bench._loop())
        assert bench.rig.current_a > 10.0
        bench.ask(power_delivery(cm.ChargeProgress.Stop))
        bench.after(3.0)
        _end(bench, life)
        bench.settle()
    finally:
        bench.close()


def _connection_on_plant(bench: Wire, life: Life, seed: int) -> None:
    bench.feed(frame(sap_request((NS_DC, 1, 0, 1, 1))))
    for _ in range(600):  # cable check and pre-charge take as long as the hardware needs
        if bench.state in ("ChargeLoop", "Ended"):
            break
        bench._step()
    for _ in range(bench.chance.randrange(12)):
        if bench.state == "ChargeLoop":
            _loops(bench)  # some power flows
    for index in range(bench.chance.randrange(5, 40)):
        if bench.link.closed or bench.state == "Ended":
            break
        life.reached[bench.state] += 1
        bench.timers()
        if bench.state != "Ended" and not _talk(bench, seed, index):
            break
    _end(bench, life)


def _come_back(bench: Wire) -> None:
    """The EV wakes up and asks for its old session on a new connection."""
    bench.after(bench.chance.choice((10.0, 3600.0)))
    bench.set(offer=None, cable_check=Step.IDLE, precharge=Step.IDLE, pilot=PilotState.C, notification=None)
    bench.asked_id = bench.session_id
    bench.connect()


def run(scale: float, seed: int) -> int:
    count = max(50, round(FULL_CASES * scale))
    reached: Counter[str] = Counter()
    on_plant: Counter[str] = Counter()
    for case in range(count):
        number = seed * 1_000_003 + case
        try:
            reached += play(number)
            if case % ON_PLANT == 0:
                on_plant += play_on_plant(number)
        except Exception as error:
            raise AssertionError(f"sequence {number}: {error}") from error
    # A campaign that never gets anywhere proves nothing.
    for state in ("ChargeLoop", *BESIDE_THE_LOOP, "WeldingDetection", "SessionStop", "resumed"):
        assert reached[state] >= count // 100, f"only {reached[state]} times in {state}: {dict(reached)}"
    assert on_plant["ChargeLoop"] >= count // ON_PLANT, f"the plant saw too little: {dict(on_plant)}"
    return count
