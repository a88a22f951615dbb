"""What an EV might send in each state, sensible or not, and what an outlet might do meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from evse_controller.messages import decode, encode
from evse_controller.messages.base import Message, Schema
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import Processing
from evse_controller.model.pilot import PilotState
from evse_controller.model.power import PhasePower
from evse_controller.model.snapshot import Authorization, Notification, Step
from evse_controller.secc.streams import Stream
from evse_controller.secc.v2gtp import encode_frame
from tests.campaign.exi_grammar import message_classes
from tests.campaign.exi_messages import MessageMaker
from tests.secc.ev import (
    DC,
    DC_BPT,
    DYNAMIC,
    OFFER,
    SCHEDULED,
    every_request,
    header,
    loop,
    power_delivery,
    profile,
    schedule_request,
    stop,
)
from tests.secc.wire import Wire

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


def shake(bench: Wire) -> None:
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
    elif roll < 0.69:
        bench.set(pilot=chance.choice((PilotState.B, PilotState.C, PilotState.C, PilotState.A)))
    elif roll < 0.71:
        bench.set(present_voltage_v=chance.choice((None, 0.0, 400.0)))
    elif roll < 0.8:
        _derate(bench)
    elif roll < 0.84:
        bench.set(meter=chance.choice((None, bench.snapshot.meter)))
    elif roll < 0.97:
        told = chance.choice((None, *(kind for kind in Notification if kind is not Notification.TERMINATE)))
        bench.set(notification=told, notification_max_delay_s=chance.choice((0, 5, 60)))
    elif roll < 0.985:
        bench.set(notification=Notification.TERMINATE)
    else:
        bench.set(emergency="pilot lost")


def _derate(bench: Wire) -> None:
    """What holds right now changes, also to what the ratings do not allow: it must not be told."""
    chance, share = bench.chance, bench.chance.choice((0.0, 0.3, 1.0, 3.0))
    present = bench.snapshot.present
    bench.set(
        present=replace(
            present,
            max_charge_power_w=bench.snapshot.ratings.max_charge_power_w * share,
            max_charge_current_a=bench.snapshot.ratings.max_charge_current_a * share,
            max_discharge_power_w=bench.snapshot.ratings.max_discharge_power_w * share,
        )
    )
    if bench.snapshot.ac_present is not None:
        target_w = chance.choice((-50_000.0, -2_000.0, 0.0, 2_000.0, 50_000.0))
        target = PhasePower(target_w, target_w, target_w)
        wide = PhasePower(90_000.0, 90_000.0, 90_000.0)
        bench.set(
            ac_present=replace(bench.snapshot.ac_present, target_w=target, max_charge_w=wide, max_discharge_w=wide)
        )


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


def loops(bench: Wire) -> None:
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


def _greedy(bench: Wire) -> None:
    """A plan beyond every schedule."""
    power_w = bench.chance.choice((-1e6, 1e6, 60_000.0))
    bench.ask(power_delivery(plan=profile(None if bench.control_mode == DYNAMIC else 1, (3600, power_w))))


def _ponder(bench: Wire) -> None:
    """An EV that is not ready yet, again and again."""
    pace_s = bench.chance.choice((1.0, 16.0))
    for _ in range(bench.chance.randrange(1, 8)):
        bench.after(pace_s)
        bench.timers()
        if bench.state != "PowerDelivery":
            return
        bench.ask(power_delivery(cm.ChargeProgress.Start, Processing.Ongoing))


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
        *(loops,) * 4,
        *(_hold, _schedule_beside) * 2,
        _confirm,
        _power_delivery,
        _leave,
    ),
    "PowerDelivery": (*(lambda bench: bench._step(),) * 6, _ponder, _greedy, _power_delivery),
    "Standby": (_power_delivery, _power_delivery, _back, _back, _confirm, _leave),
    "ScheduleRenegotiation": (*(lambda bench: bench._step(),) * 8, _power_delivery, _leave),
    "Renegotiated": (_power_delivery, *(_back,) * 6, _leave),
    "SessionStop": (_leave, _confirm),
}


def talk(bench: Wire, seed: int, index: int) -> bool:
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
