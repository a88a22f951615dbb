"""Cable check, pre-charge, welding detection: the EV polls, the hardware works, the snapshot tells how far it is."""

from __future__ import annotations

from evse_controller.messages.generated import dc
from evse_controller.messages.generated.common_types import Processing, ResponseCode
from evse_controller.messages.rational import rational_nearest, rational_value
from evse_controller.model.commands import CableCheckRequested, PreChargeRequested, WeldingDetectionRequested
from evse_controller.model.snapshot import Step
from evse_controller.secc.iso20.states import Accepted, Answer, Refused, State, Turn
from evse_controller.secc.iso20.stop import pilot_still_asks_for_energy
from evse_controller.secc.iso20.timers import SNAPSHOT_SETTLE_S

NO_VOLTAGE = "no fresh voltage measurement at the outlet"
# At this distance from its target the EV closes its contactors (IEC 61851-23).
PRE_CHARGE_MATCH_V = 20.0
# Share of the target that we must have measured when the EV goes on: outlets rise by 100 V within 150 ms.
PRE_CHARGE_BEHIND = 0.5


def cable_check(turn: Turn, request: dc.DC_CableCheckReq) -> Answer:
    """The hardware test is started by the first request only; the snapshot says when it is done."""
    memory, timers, step = turn.data.dc, turn.config.timers, turn.snapshot.cable_check
    first = memory.cable_check_asked_s is None
    if memory.cable_check_asked_s is None:
        memory.cable_check_asked_s = turn.now_s
        memory.cable_check_before = step
        turn.data.energy_possible = True
        turn.do(CableCheckRequested())
    waited_s = turn.now_s - memory.cable_check_asked_s
    # A result that stood there before we asked belongs to another test.
    fresh = not first and (step is not memory.cable_check_before or waited_s >= SNAPSHOT_SETTLE_S)
    if fresh and step is Step.FAILED:
        return Refused(ResponseCode.FAILED, "cable check failed")
    if turn.config.check_pilot and not turn.snapshot.pilot.ready and waited_s >= timers.pilot_s:
        return Refused(ResponseCode.FAILED, f"pilot in state {turn.snapshot.pilot.value} during cable check")
    if fresh and step is Step.DONE:
        return Accepted(
            dc.DC_CableCheckRes(turn.header(), ResponseCode.OK, Processing.Finished), State.PRE_CHARGE
        )
    if waited_s >= timers.cable_check_total_s:
        return Refused(ResponseCode.FAILED, f"cable check not done within {timers.cable_check_total_s:g} s")
    return Accepted(dc.DC_CableCheckRes(turn.header(), ResponseCode.OK, Processing.Ongoing), State.CABLE_CHECK)


def cable_check_again(turn: Turn, request: dc.DC_CableCheckReq) -> Answer:
    """An EV that has not understood Finished asks once more: the test is done, and nothing is tested anew."""
    memory, timers = turn.data.dc, turn.config.timers
    if memory.pre_charge_asked_s is not None:
        return Refused(ResponseCode.FAILED_SequenceError, "cable check after pre-charge")
    if turn.snapshot.cable_check is Step.FAILED:
        return Refused(ResponseCode.FAILED, "cable check failed")
    assert memory.cable_check_asked_s is not None
    waited_s = turn.now_s - memory.cable_check_asked_s
    if turn.config.check_pilot and not turn.snapshot.pilot.ready and waited_s >= timers.pilot_s:
        return Refused(ResponseCode.FAILED, f"pilot in state {turn.snapshot.pilot.value} after cable check")
    if waited_s >= timers.ev_ongoing_s:
        return Refused(ResponseCode.FAILED, f"no pre-charge within {timers.ev_ongoing_s:g} s of the first cable check")
    return Accepted(dc.DC_CableCheckRes(turn.header(), ResponseCode.OK, Processing.Finished), State.PRE_CHARGE)


def pre_charge(turn: Turn, request: dc.DC_PreChargeReq) -> Answer:
    """Answers with the measured voltage, never the target. The EV closes at match and decides when to go on."""
    memory, timers = turn.data.dc, turn.config.timers
    if turn.data.pending_start is not None:
        return Refused(ResponseCode.FAILED_SequenceError, "pre-charge after PowerDelivery(Start)")
    first = memory.pre_charge_asked_s is None
    if memory.pre_charge_asked_s is None:
        memory.pre_charge_asked_s = turn.now_s
    waited_s = turn.now_s - memory.pre_charge_asked_s
    if not first and waited_s >= SNAPSHOT_SETTLE_S and turn.snapshot.precharge is Step.FAILED:
        return Refused(ResponseCode.FAILED, "pre-charge failed")
    if waited_s >= timers.pre_charge_total_s:
        return Refused(ResponseCode.FAILED, f"pre-charge not done within {timers.pre_charge_total_s:g} s")
    if turn.snapshot.present_voltage_v is None:
        return Refused(ResponseCode.FAILED, NO_VOLTAGE)
    target_v = clamp_voltage(turn, rational_value(request.ev_target_voltage))
    memory.pre_charge_target_v = target_v
    turn.do(PreChargeRequested(target_v, rational_value(request.ev_present_voltage)))
    response = dc.DC_PreChargeRes(
        turn.header(), ResponseCode.OK, rational_nearest(turn.snapshot.present_voltage_v)
    )
    done = request.ev_processing is Processing.Finished
    return Accepted(response, State.POWER_DELIVERY if done else State.PRE_CHARGE)


def pre_charge_fault(turn: Turn) -> Refused | None:
    """Why Start cannot be obeyed, None if it can: the outlet must be measured on its way to what the EV asked for.

    EVs go on at match, measured at their own inlet and without EVProcessing=Finished, while our measurement is still
    a meter period and a control step behind the ramp. So the station's DONE is not waited for here: Start is refused
    where it cannot be meant, and energy itself flows only once the station has measured the match.
    """
    memory, snapshot = turn.data.dc, turn.snapshot
    if memory.pre_charge_asked_s is None:
        return Refused(ResponseCode.FAILED_PowerDeliveryNotApplied, "the outlet was not pre-charged")
    target_v, volts, step = memory.pre_charge_target_v, snapshot.present_voltage_v, snapshot.precharge
    near = volts is not None and PRE_CHARGE_BEHIND * target_v <= volts <= target_v + PRE_CHARGE_MATCH_V
    if step in (Step.RUNNING, Step.DONE) and near:
        return None
    measured = "unknown" if volts is None else f"{volts:g} V"
    reason = f"outlet at {measured}, pre-charge to {target_v:g} V is {step.value}"
    return Refused(ResponseCode.FAILED_PowerDeliveryNotApplied, reason)


def welding_detection(turn: Turn, request: dc.DC_WeldingDetectionReq) -> Answer:
    """Answers with the measured voltage; the EV must have left pilot state C by then, and be done in time."""
    if (refused := pilot_still_asks_for_energy(turn)) is not None:
        return refused
    if turn.snapshot.present_voltage_v is None:
        return Refused(ResponseCode.FAILED, NO_VOLTAGE)
    memory, limit_s = turn.data.dc, turn.config.timers.ev_ongoing_s
    if memory.welding_asked_s is None:
        memory.welding_asked_s = turn.now_s
    if turn.now_s - memory.welding_asked_s >= limit_s:
        return Refused(ResponseCode.FAILED, f"welding detection not finished within {limit_s:g} s")
    turn.do(WeldingDetectionRequested())
    response = dc.DC_WeldingDetectionRes(
        turn.header(), ResponseCode.OK, rational_nearest(turn.snapshot.present_voltage_v)
    )
    done = request.ev_processing is Processing.Finished
    return Accepted(response, State.SESSION_STOP if done else State.WELDING_DETECTION)


def clamp_voltage(turn: Turn, target_v: float) -> float:
    """A voltage target inside what EV and station negotiated; targets outside are clamped, not refused [V2G20-2188]."""
    memory = turn.data.dc
    assert memory.limits is not None
    assert memory.rated is not None
    return max(0.0, min(target_v, memory.limits.max_voltage_v, memory.rated.max_voltage_v))
