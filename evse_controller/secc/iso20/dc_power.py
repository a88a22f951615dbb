"""PowerDelivery: from when energy may flow, until when, and what the EV plans to do with it."""

from __future__ import annotations

from evse_controller.messages.generated.common_messages import ChargeProgress, PowerDeliveryReq, PowerDeliveryRes
from evse_controller.messages.generated.common_types import Processing, ResponseCode
from evse_controller.model.commands import EnergyStart, EnergyStop
from evse_controller.model.snapshot import Step
from evse_controller.secc.iso20.ending import evse_status, station_ends
from evse_controller.secc.iso20.profile import accept_profile
from evse_controller.secc.iso20.states import Accepted, Answer, Refused, State, Turn


def power_delivery_before_loop(turn: Turn, request: PowerDeliveryReq) -> Answer:
    """Start opens the way to energy once pre-charge has run and the EV's profile obeys its tuple."""
    if request.charge_progress is ChargeProgress.Stop:
        return _stop(turn, "PowerDeliveryReq(Stop) before any energy")
    if request.charge_progress is ChargeProgress.Standby:
        return _standby(turn)
    if request.charge_progress is ChargeProgress.ScheduleRenegotiation:
        return Refused(ResponseCode.FAILED_SequenceError, "schedule renegotiation outside the charge loop")
    if (ending := station_ends(turn.snapshot)) is not None:
        return _stop(turn, ending)
    if turn.data.dc.pre_charge_asked_s is None or turn.snapshot.precharge is Step.FAILED:
        return Refused(ResponseCode.FAILED_PowerDeliveryNotApplied, "the outlet was not pre-charged")
    if request.ev_processing is not Processing.Finished:
        # The EV is still computing: nothing is checked and nothing happens.
        turn.data.dc.pending_start = request
        return _answer(turn, ResponseCode.OK, State.POWER_DELIVERY, "the EV is not ready yet")
    refused = start_energy(turn, request)
    return refused or _answer(turn, ResponseCode.OK, State.CHARGE_LOOP)


def start_energy(turn: Turn, request: PowerDeliveryReq) -> Refused | None:
    """Accepts the profile and lets energy flow, once."""
    profile = accept_profile(turn, request.ev_power_profile)
    if isinstance(profile, Refused):
        return profile
    turn.data.energy_possible = True
    turn.do(EnergyStart(profile))
    return None


def power_delivery_in_loop(turn: Turn, request: PowerDeliveryReq) -> Answer:
    """Stop leaves the loop; Standby and renegotiation are refused with a WARNING and charging goes on."""
    if request.charge_progress is ChargeProgress.Stop:
        return _stop(turn, "PowerDeliveryReq(Stop)")
    if request.charge_progress is ChargeProgress.Standby:
        return _standby(turn)
    if request.charge_progress is ChargeProgress.ScheduleRenegotiation:
        return _answer(
            turn,
            ResponseCode.WARNING_ScheduleRenegotiationFailed,
            State.CHARGE_LOOP,
            "schedule renegotiation is not offered; the old schedule holds",
        )
    if turn.data.dc.loops == 0:
        return _answer(turn, ResponseCode.OK, State.CHARGE_LOOP, "Start repeated before the first loop")
    return Refused(ResponseCode.FAILED_SequenceError, "Start inside the charge loop")


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
