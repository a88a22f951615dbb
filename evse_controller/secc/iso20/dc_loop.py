"""DC_ChargeLoop: targets in, present limits and measurements out, many times a minute.

The answer's variant mirrors the request's. Limits are what holds now, never above ChargeParameterDiscovery
[V2G20-2654], so that they can shrink in one loop and recover in a later one. Targets above a limit are clamped
[V2G20-2188]. Limits of the EV that make no sense are refused; `loop_limits` says which do not.
"""

from __future__ import annotations

from dataclasses import replace

from evse_controller.messages.generated import dc
from evse_controller.messages.generated.common_types import RationalNumber, ResponseCode
from evse_controller.messages.rational import rational_down, rational_nearest, rational_up, rational_value
from evse_controller.model.commands import ControlMode, EvDcLimits, LoopUpdate
from evse_controller.secc.iso20.data import RatedDc
from evse_controller.secc.iso20.dc_steps import NO_VOLTAGE, clamp_voltage
from evse_controller.secc.iso20.dynamic import tell_wishes
from evse_controller.secc.iso20.ending import evse_status, station_ends
from evse_controller.secc.iso20.loop import loop_meter_info, looped
from evse_controller.secc.iso20.loop_limits import ABSURD, dc_fault
from evse_controller.secc.iso20.needs import loop_needs, shown_soc
from evse_controller.secc.iso20.profile import warned, watch
from evse_controller.secc.iso20.states import Accepted, Answer, Refused, State, Turn

ReqMode = (
    dc.BPT_Dynamic_DC_CLReqControlMode
    | dc.BPT_Scheduled_DC_CLReqControlMode
    | dc.Dynamic_DC_CLReqControlMode
    | dc.Scheduled_DC_CLReqControlMode
)
ResMode = (
    dc.BPT_Dynamic_DC_CLResControlMode
    | dc.BPT_Scheduled_DC_CLResControlMode
    | dc.Dynamic_DC_CLResControlMode
    | dc.Scheduled_DC_CLResControlMode
)
_DYNAMIC_MODES = (dc.BPT_Dynamic_DC_CLReqControlMode, dc.Dynamic_DC_CLReqControlMode)
_MODES: dict[tuple[ControlMode, bool], type] = {
    (ControlMode.SCHEDULED, False): dc.Scheduled_DC_CLReqControlMode,
    (ControlMode.SCHEDULED, True): dc.BPT_Scheduled_DC_CLReqControlMode,
    (ControlMode.DYNAMIC, False): dc.Dynamic_DC_CLReqControlMode,
    (ControlMode.DYNAMIC, True): dc.BPT_Dynamic_DC_CLReqControlMode,
}


def charge_loop(turn: Turn, request: dc.DC_ChargeLoopReq) -> Answer:
    mode, selection, snapshot = request.cl_req_control_mode, turn.data.selection, turn.snapshot
    if type(mode) is not _MODES[selection.control_mode, selection.bidirectional]:
        return Refused(ResponseCode.FAILED, f"{type(mode).__name__} is not the selected control mode and service")
    if snapshot.present_voltage_v is None or snapshot.present_current_a is None:
        return Refused(ResponseCode.FAILED, NO_VOLTAGE)
    meter_info = loop_meter_info(turn, request.meter_info_requested, selection.bidirectional)
    if isinstance(meter_info, Refused):
        return meter_info
    memory = turn.data.dc
    assert memory.limits is not None
    assert memory.rated is not None
    assert memory.negotiated is not None
    negative = turn.config.accept_negative_discharge_limits
    fault = None if turn.config.accept_senseless_loop_limits else dc_fault(memory.limits, mode, negative)
    if fault is not None:
        return Refused(ResponseCode.FAILED_WrongChargeParameter, fault)
    memory.limits = _within(memory.negotiated, memory.limits, _refreshed(memory.limits, mode, negative))
    turn.do(_update(turn, request, memory.limits))
    code = watch(turn, snapshot.present_voltage_v * snapshot.present_current_a)
    if isinstance(code, Refused):
        return code
    looped(turn)
    present = snapshot.present
    response = dc.DC_ChargeLoopRes(
        turn.header(),
        code,
        meter_info=meter_info,
        evse_present_current=rational_nearest(snapshot.present_current_a),
        evse_present_voltage=rational_nearest(snapshot.present_voltage_v),
        evse_power_limit_achieved=present.power_limited,
        evse_current_limit_achieved=present.current_limited,
        evse_voltage_limit_achieved=present.voltage_limited,
        cl_res_control_mode=_limits(turn, memory.rated),
        evse_status=evse_status(turn, State.CHARGE_LOOP),
    )
    return Accepted(response, State.CHARGE_LOOP, station_ends(snapshot) or warned(turn, code))


def _update(turn: Turn, request: dc.DC_ChargeLoopReq, limits: EvDcLimits) -> LoopUpdate:
    """What the station needs of this request. A target voltage of 0 keeps the last one [V2G20-2183]."""
    mode, memory = request.cl_req_control_mode, turn.data.dc
    soc = shown_soc(turn, request.display_parameters)
    target_current_a: float | None = None
    if not isinstance(mode, _DYNAMIC_MODES):
        target_v = rational_value(mode.ev_target_voltage)
        if target_v > 0:
            memory.target_voltage_v = clamp_voltage(turn, target_v)
        target_current_a = _clamp_current(turn, rational_value(mode.ev_target_current), limits)
    return LoopUpdate(
        present_voltage_v=rational_value(request.ev_present_voltage),
        target_voltage_v=memory.target_voltage_v,
        target_current_a=target_current_a,
        limits=limits,
        needs=loop_needs(turn, mode, soc),
        soc=soc,
    )


def _clamp_current(turn: Turn, target_a: float, limits: EvDcLimits) -> float:
    """A signed current inside what was negotiated; no discharge in a one-way service."""
    rated = turn.data.dc.rated
    assert rated is not None
    charge_a = min(rated.max_charge_current_a, limits.max_charge_current_a)
    discharge_a = min(rated.max_discharge_current_a, limits.max_discharge_current_a or 0.0)
    return max(-discharge_a, min(target_a, charge_a))


def _refreshed(known: EvDcLimits, mode: ReqMode, negative_discharge: bool) -> EvDcLimits:
    """The EV's limits with what this request says anew."""

    def newer(number: RationalNumber | None, old: float) -> float:
        return old if number is None or not _physical(number) else max(0.0, rational_value(number))

    def newer_discharge(number: RationalNumber | None, old: float | None) -> float | None:
        if number is None or not _physical(number):
            return old
        value = rational_value(number)
        return abs(value) if negative_discharge else max(0.0, value)

    discharge = (
        known.max_discharge_current_a,
        known.min_discharge_current_a,
        known.max_discharge_power_w,
        known.min_discharge_power_w,
    )
    if isinstance(mode, (dc.BPT_Dynamic_DC_CLReqControlMode, dc.BPT_Scheduled_DC_CLReqControlMode)):
        discharge = (
            newer_discharge(mode.ev_maximum_discharge_current, known.max_discharge_current_a),
            known.min_discharge_current_a,
            newer_discharge(mode.ev_maximum_discharge_power, known.max_discharge_power_w),
            newer_discharge(mode.ev_minimum_discharge_power, known.min_discharge_power_w),
        )
    return EvDcLimits(
        newer(mode.ev_maximum_voltage, known.max_voltage_v),
        newer(mode.ev_minimum_voltage, known.min_voltage_v),
        newer(mode.ev_maximum_charge_current, known.max_charge_current_a),
        known.min_charge_current_a,
        newer(mode.ev_maximum_charge_power, known.max_charge_power_w),
        newer(mode.ev_minimum_charge_power, known.min_charge_power_w),
        *discharge,
    )


def _physical(number: RationalNumber) -> bool:
    return abs(rational_value(number)) <= ABSURD


def _within(negotiated: EvDcLimits, known: EvDcLimits, limits: EvDcLimits) -> EvDcLimits:
    """Limits may shrink and recover from loop to loop, but never leave what ChargeParameterDiscovery said.

    A window of voltages that is none keeps the last one; a minimum that nobody could give keeps the last one.
    """

    def least(bound: float | None, value: float | None) -> float | None:
        return value if bound is None or value is None else min(bound, value)

    def minimum(value: float | None, old: float | None, most: float | None, bound: float | None) -> float | None:
        if value is not None and bound is not None and value > bound:
            value = old
        return least(most, value)

    voltages = min(negotiated.max_voltage_v, limits.max_voltage_v), max(negotiated.min_voltage_v, limits.min_voltage_v)
    if voltages[0] <= 0 or voltages[1] > voltages[0]:
        voltages = known.max_voltage_v, known.min_voltage_v
    charge_w = min(negotiated.max_charge_power_w, limits.max_charge_power_w)
    discharge_w = least(negotiated.max_discharge_power_w, limits.max_discharge_power_w)
    charge_min_w = minimum(
        limits.min_charge_power_w, known.min_charge_power_w, charge_w, negotiated.max_charge_power_w
    )
    assert charge_min_w is not None
    return replace(
        limits,
        max_voltage_v=voltages[0],
        min_voltage_v=voltages[1],
        max_charge_current_a=min(negotiated.max_charge_current_a, limits.max_charge_current_a),
        max_charge_power_w=charge_w,
        min_charge_power_w=charge_min_w,
        max_discharge_current_a=least(negotiated.max_discharge_current_a, limits.max_discharge_current_a),
        max_discharge_power_w=discharge_w,
        min_discharge_power_w=minimum(
            limits.min_discharge_power_w,
            known.min_discharge_power_w,
            discharge_w,
            negotiated.max_discharge_power_w,
        ),
    )


def _limits(turn: Turn, rated: RatedDc) -> ResMode:
    """Present limits in the variant of the request: never above the rating, maxima rounded down, minima up."""
    selection, present = turn.data.selection, turn.snapshot.present
    charge_w = rational_down(min(rated.max_charge_power_w, present.max_charge_power_w))
    charge_min_w = _minimum(rated.min_charge_power_w, charge_w)
    charge_a = rational_down(min(rated.max_charge_current_a, present.max_charge_current_a))
    voltage_v = rational_down(min(rated.max_voltage_v, present.max_voltage_v))
    dynamic = selection.control_mode is ControlMode.DYNAMIC
    charge = (charge_w, charge_min_w, charge_a, voltage_v)
    if not selection.bidirectional:
        if not dynamic:
            return dc.Scheduled_DC_CLResControlMode(*charge)
        one_way = dc.Dynamic_DC_CLResControlMode(*charge)
        tell_wishes(turn, one_way)
        return one_way
    discharge_w = rational_down(min(rated.max_discharge_power_w, present.max_discharge_power_w))
    discharge_min_w = _minimum(rated.min_discharge_power_w, discharge_w)
    discharge_a = rational_down(min(rated.max_discharge_current_a, present.max_discharge_current_a))
    voltage_min_v = rational_up(max(rated.min_voltage_v, present.min_voltage_v))
    discharge = (discharge_w, discharge_min_w, discharge_a, voltage_min_v)
    if not dynamic:
        return dc.BPT_Scheduled_DC_CLResControlMode(*charge, *discharge)
    both_ways = dc.BPT_Dynamic_DC_CLResControlMode(*charge, *discharge)
    tell_wishes(turn, both_ways)
    return both_ways


def _minimum(rated: float, maximum: RationalNumber) -> RationalNumber:
    """The rated minimum, but not above a maximum that has shrunk below it."""
    return rational_up(min(rated, rational_value(maximum)))
