"""PowerDelivery: from when energy may flow, until when, and what the EV plans to do with it."""

from __future__ import annotations

from evse_controller.messages.generated.common_messages import ChargeProgress, PowerDeliveryReq, PowerDeliveryRes
from evse_controller.messages.generated.common_types import Processing, ResponseCode
from evse_controller.model.commands import EnergyStart, EnergyStop
from evse_controller.secc.iso20.dc_steps import pre_charge_fault
from evse_controller.secc.iso20.ending import evse_status, station_ends
from evse_controller.secc.iso20.profile import accept_profile
from evse_controller.secc.iso20.states import Accepted, Answer, Refused, State, Turn


def power_delivery_before_loop(turn: Turn, request: PowerDeliveryReq) -> Answer:
    """Start opens the way to energy once pre-charge has run and the EV's profile obeys its tuple."""
    if request.charge_progress is ChargeProgress.Stop:
        return _stop(turn, "PowerDeliveryReq(Stop) before any energy")
    if (late := _too_late(turn)) is not None:
        return late
    if request.charge_progress is ChargeProgress.Standby:
        return _standby(turn)
    if request.charge_progress is ChargeProgress.ScheduleRenegotiation:
        return Refused(ResponseCode.FAILED_SequenceError, "schedule renegotiation outside the charge loop")
    if (ending := station_ends(turn.snapshot)) is not None:
        return _stop(turn, ending)
    if request.ev_processing is not Processing.Finished:
        # The EV is still computing: nothing is checked and nothing happens.
        turn.data.dc.pending_start = request
        return _answer(turn, ResponseCode.OK, State.POWER_DELIVERY, "the EV is not ready yet")
    refused = start_energy(turn, request)
    return refused or _answer(turn, ResponseCode.OK, State.CHARGE_LOOP)


def start_energy(turn: Turn, request: PowerDeliveryReq) -> Refused | None:
    """Accepts the profile and lets energy flow, once, from an outlet that was pre-charged."""
    if (fault := pre_charge_fault(turn)) is not None:
        return Refused(ResponseCode.FAILED_PowerDeliveryNotApplied, fault)
    profile = accept_profile(turn, request.ev_power_profile)
    if isinstance(profile, Refused):
        return profile
    turn.data.energy_possible = True
    turn.data.dc.profile = profile
    turn.do(EnergyStart(profile))
    return None


def power_delivery_in_loop(turn: Turn, request: PowerDeliveryReq) -> Answer:
    """Stop leaves the loop; Standby and renegotiation are refused with a WARNING and charging goes on."""
    if request.charge_progress is ChargeProgress.Stop:
        return _stop(turn, "PowerDeliveryReq(Stop)")
    if (late := _too_late(turn)) is not None:
        return late
    if request.charge_progress is ChargeProgress.Standby:
        return _standby(turn)
    if request.charge_progress is ChargeProgress.ScheduleRenegotiation:
        return _answer(
            turn,
            ResponseCode.WARNING_ScheduleRenegotiationFailed,
            State.CHARGE_LOOP,
            "schedule renegotiation is not offered; the old schedule holds",
        )
    if turn.data.loops > 0:
        return Refused(ResponseCode.FAILED_SequenceError, "Start inside the charge loop")
    return _start_repeated(turn, request)


def _start_repeated(turn: Turn, request: PowerDeliveryReq) -> Answer:
    """Before the first loop EVs may say Start again, but not plan anew: energy was started on the first plan."""
    if request.ev_processing is Processing.Finished:
        profile = accept_profile(turn, request.ev_power_profile)
        if isinstance(profile, Refused):
            return profile
        if profile != turn.data.dc.profile:
            return Refused(ResponseCode.FAILED_EVPowerProfileInvalid, "Start repeated with another profile")
    return _answer(turn, ResponseCode.OK, State.CHARGE_LOOP, "Start repeated before the first loop")


def _too_late(turn: Turn) -> Refused | None:
    """An EV that only ever announces its start would hold a live outlet: its first loop must come in time."""
    memory, limit_s = turn.data.dc, turn.config.timers.ev_ongoing_s
    if memory.start_asked_s is None:
        memory.start_asked_s = turn.now_s
    if turn.data.loops == 0 and turn.now_s - memory.start_asked_s >= limit_s:
        return Refused(ResponseCode.FAILED, f"no charge loop within {limit_s:g} s of the first PowerDeliveryReq")
    return None


def _stop(turn: Turn, reason: str) -> Answer:
    if turn.data.energy_possible:
        turn.data.energy_possible = False
        turn.do(EnergyStop(reason))
    turn.data.stopped_s = turn.now_s
    return _answer(turn, ResponseCode.OK, State.WELDING_DETECTION, reason)


def _standby(turn: Turn) -> Answer:
    return _answer(turn, ResponseCode.WARNING_StandbyNotAllowed, turn.state, "standby is not offered")


def _answer(turn: Turn, code: ResponseCode, then: State, reason: str | None = None) -> Accepted:
    return Accepted(PowerDeliveryRes(turn.header(), code, evse_status(turn.snapshot)), then, reason)
