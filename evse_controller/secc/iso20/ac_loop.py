"""AC_ChargeLoop: the vehicle's own converter makes the power; it is told how much, many times a minute.

The answer's variant mirrors the request's. A target is signed, minus discharges, and never leaves what
ChargeParameterDiscovery said or what the EV can do [V2G20-2654]. Limits of the EV that make no sense
are refused; `loop_limits` says which do not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

from evse_controller.messages.generated import ac
from evse_controller.messages.generated.common_types import RationalNumber, ResponseCode
from evse_controller.messages.rational import rational_nearest
from evse_controller.model.commands import AcLoopUpdate, ControlMode, EvAcLimits
from evse_controller.model.power import PhasePower
from evse_controller.model.snapshot import AcPresent, Step
from evse_controller.secc.iso20.ac_data import NO_POWER
from evse_controller.secc.iso20.ac_phases import at_most, each, inside, parts, physical, rational_inwards, stated, wire
from evse_controller.secc.iso20.data import SentSlot
from evse_controller.secc.iso20.dynamic import tell_wishes
from evse_controller.secc.iso20.ending import evse_status, station_ends
from evse_controller.secc.iso20.loop import loop_meter_info, looped
from evse_controller.secc.iso20.loop_limits import ac_fault
from evse_controller.secc.iso20.needs import loop_needs, shown_soc
from evse_controller.secc.iso20.profile import by_schedule, warned, watch
from evse_controller.secc.iso20.states import Accepted, Answer, Refused, State, Turn

ReqMode = (
    ac.BPT_Dynamic_AC_CLReqControlMode
    | ac.BPT_Scheduled_AC_CLReqControlMode
    | ac.Dynamic_AC_CLReqControlMode
    | ac.Scheduled_AC_CLReqControlMode
)
ResMode = (
    ac.BPT_Dynamic_AC_CLResControlMode
    | ac.BPT_Scheduled_AC_CLResControlMode
    | ac.Dynamic_AC_CLResControlMode
    | ac.Scheduled_AC_CLResControlMode
)
_BPT_REQUESTS = (ac.BPT_Dynamic_AC_CLReqControlMode, ac.BPT_Scheduled_AC_CLReqControlMode)
_MODES: dict[tuple[ControlMode, bool], type] = {
    (ControlMode.SCHEDULED, False): ac.Scheduled_AC_CLReqControlMode,
    (ControlMode.SCHEDULED, True): ac.BPT_Scheduled_AC_CLReqControlMode,
    (ControlMode.DYNAMIC, False): ac.Dynamic_AC_CLReqControlMode,
    (ControlMode.DYNAMIC, True): ac.BPT_Dynamic_AC_CLReqControlMode,
}

_ALIKE_W = 1.0  # a bound that differs from the schedule by less is the schedule's


def charge_loop(turn: Turn, request: ac.AC_ChargeLoopReq) -> Answer:
    mode, selection, snapshot = request.cl_req_control_mode, turn.data.selection, turn.snapshot
    if type(mode) is not _MODES[selection.control_mode, selection.bidirectional]:
        return Refused(ResponseCode.FAILED, f"{type(mode).__name__} is not the selected control mode and service")
    present, memory = snapshot.ac_present, turn.data.ac
    if present is None:
        return Refused(ResponseCode.FAILED, "nothing is known of this AC outlet")
    if snapshot.contactor is Step.FAILED:
        return Refused(ResponseCode.FAILED_ContactorError, "the contactor failed")
    meter_info = loop_meter_info(turn, request.meter_info_requested, selection.bidirectional)
    if isinstance(meter_info, Refused):
        return meter_info
    drawn = stated(mode.ev_present_active_power, mode.ev_present_active_power_l2, mode.ev_present_active_power_l3)
    code = watch(turn, (drawn if present.measured_w is None else present.measured_w).total_w)
    if isinstance(code, Refused):
        return code
    assert memory.negotiated is not None
    negative = turn.config.accept_negative_discharge_limits
    accepted = turn.config.accept_senseless_loop_limits
    fault = None if accepted else ac_fault(memory.limits or memory.negotiated, mode, negative)
    if fault is not None:
        return Refused(ResponseCode.FAILED_WrongChargeParameter, fault)
    memory.limits = _refreshed(memory.negotiated, memory.limits, mode, negative)
    soc = shown_soc(turn, request.display_parameters)
    limits = memory.usable(present.three_phases)
    assert limits is not None
    target = _target(turn, present, limits)
    told = _told(turn, present, target)
    scheduled, said = by_schedule(turn), told.evse_target_active_power is not None
    turn.do(AcLoopUpdate(drawn, limits, loop_needs(turn, mode, soc), soc, scheduled, said))
    looped(turn)
    response = ac.AC_ChargeLoopRes(
        turn.header(),
        code,
        told,
        evse_status=evse_status(turn, State.CHARGE_LOOP),
        meter_info=meter_info,
    )
    return Accepted(response, State.CHARGE_LOOP, station_ends(snapshot) or warned(turn, code))


def _refreshed(
    negotiated: EvAcLimits, known: EvAcLimits | None, mode: ReqMode, negative_discharge: bool
) -> EvAcLimits:
    """The EV's limits with what this request says anew: they shrink, and recover up to what was negotiated.

    A number that is none keeps the last one, a negative one is zero, a minimum never stands above its maximum.
    """
    known = known or negotiated

    def newer(
        l1: RationalNumber | None,
        l2: RationalNumber | None,
        l3: RationalNumber | None,
        old: PhasePower,
        bound: PhasePower,
        sign: bool = False,
    ) -> PhasePower:
        if l1 is None or not physical(power := stated(l1, l2, l3)):
            return old
        return at_most(each(power, abs if sign else lambda value: max(0.0, value)), bound)

    most = newer(
        mode.ev_maximum_charge_power,
        mode.ev_maximum_charge_power_l2,
        mode.ev_maximum_charge_power_l3,
        known.max_charge_w,
        negotiated.max_charge_w,
    )
    least = newer(
        mode.ev_minimum_charge_power,
        mode.ev_minimum_charge_power_l2,
        mode.ev_minimum_charge_power_l3,
        known.min_charge_w,
        negotiated.max_charge_w,
    )
    least = at_most(least, most)
    if not isinstance(mode, _BPT_REQUESTS):
        return EvAcLimits(most, least)
    bound = negotiated.max_discharge_w or NO_POWER
    most_out = newer(
        mode.ev_maximum_discharge_power,
        mode.ev_maximum_discharge_power_l2,
        mode.ev_maximum_discharge_power_l3,
        known.max_discharge_w or NO_POWER,
        bound,
        negative_discharge,
    )
    least_out = newer(
        mode.ev_minimum_discharge_power,
        mode.ev_minimum_discharge_power_l2,
        mode.ev_minimum_discharge_power_l3,
        known.min_discharge_w or NO_POWER,
        bound,
        negative_discharge,
    )
    return EvAcLimits(most, least, most_out, at_most(least_out, most_out))


def _told(turn: Turn, present: AcPresent, target: PhasePower) -> ResMode:
    """The target in the variant of the request: always in Dynamic mode, in Scheduled once it has something to say."""
    selection, memory = turn.data.selection, turn.data.ac
    told = _phases("evse_target_active_power", target)
    measured = {}
    if present.measured_w is not None:
        numbers = wire(present.measured_w, rational_nearest)
        measured = dict(zip(_names("evse_present_active_power"), numbers, strict=True))
    if selection.control_mode is ControlMode.DYNAMIC:
        memory.target = target
        kind = ac.BPT_Dynamic_AC_CLResControlMode if selection.bidirectional else ac.Dynamic_AC_CLResControlMode
        dynamic = kind(**told, **measured)  # type: ignore[arg-type]
        tell_wishes(turn, dynamic)
        return dynamic
    cap = _planned_cap(turn, target.total_w >= 0)
    if cap is not None:
        # Once told, the EV is told what holds, but never more than its schedule.
        bounded = inside(target, cap, cap)
        memory.target_told |= _less(bounded, cap) or _does_more(present.measured_w, bounded) or _next_slot(turn)
        memory.target = bounded if memory.target_told else None
        told = _phases("evse_target_active_power", bounded) if memory.target_told else {}
    if selection.bidirectional:
        return ac.BPT_Scheduled_AC_CLResControlMode(**told, **measured)
    return ac.Scheduled_AC_CLResControlMode(**told, **measured)


def _does_more(measured: PhasePower | None, bounded: PhasePower) -> bool:
    """Whether the EV goes beyond this, whatever it believes to be its schedule now."""
    if measured is None:
        return False
    sign = 1.0 if bounded.total_w > 0 or (bounded.total_w == 0 and measured.total_w > 0) else -1.0
    return sign * (measured.total_w - bounded.total_w) > _ALIKE_W


def _next_slot(turn: Turn) -> bool:
    """Whether the schedule has gone on since the first loop: an EV whose clock is late does not know."""
    memory, chosen = turn.data.ac, turn.data.chosen
    assert chosen is not None
    into_s = turn.snapshot.utc_s - chosen.anchor_utc_s
    now = tuple(
        bisect_right(slots or (), into_s, key=attrgetter("end_s")) for slots in (chosen.charging, chosen.discharging)
    )
    slot = (now[0], now[1])
    before, memory.slot = memory.slot, slot
    return before is not None and before != slot


def _target(turn: Turn, present: AcPresent, limits: EvAcLimits) -> PhasePower:
    """What the station wants, inside present limits, ratings as sent, and the EV's own limits.

    In a one-way service nobody stated discharge, so that nothing is left of it.
    """
    rated = turn.data.ac.rated
    assert rated is not None
    target = present.target_w
    for charge, discharge in (
        (present.max_charge_w, present.max_discharge_w),
        (limits.max_charge_w, limits.max_discharge_w),
        (rated.max_charge_w, rated.max_discharge_w),
    ):
        target = inside(target, charge, discharge or NO_POWER)
    return target


def _planned_cap(turn: Turn, charging: bool) -> PhasePower | None:
    """What the EV's schedule allows now in this direction, None when no schedule is in force."""
    chosen = turn.data.chosen
    if chosen is None:
        return None
    slots: Sequence[SentSlot] = (chosen.charging if charging else chosen.discharging) or ()
    into_s = turn.snapshot.utc_s - chosen.anchor_utc_s
    now = next((slot for slot in slots if into_s < slot.end_s), slots[-1] if slots else None)
    if now is None:
        return NO_POWER
    return PhasePower(now.power_w) if now.phases_w is None else PhasePower(*now.phases_w)


def _less(bounded: PhasePower, cap: PhasePower) -> bool:
    """Whether an EV that does what its schedule allows could do more than this, in total or in a phase."""
    if abs(bounded.total_w) + _ALIKE_W < cap.total_w:
        return True
    if not bounded.per_phase or cap.per_phase:
        return False
    return min(abs(value) for value in parts(bounded)) + _ALIKE_W < cap.total_w / len(parts(bounded))


def _phases(name: str, power: PhasePower) -> dict[str, RationalNumber | None]:
    return dict(zip(_names(name), wire(power, rational_inwards), strict=True))


def _names(name: str) -> tuple[str, str, str]:
    return name, f"{name}_l2", f"{name}_l3"
