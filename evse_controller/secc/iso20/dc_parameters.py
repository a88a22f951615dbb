"""DC_ChargeParameterDiscovery: the EV's limits are checked and become trip levels, ours are the hardware's ratings."""

from __future__ import annotations

import math

from evse_controller.messages.generated import dc
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.messages.rational import rational_down, rational_up, rational_value
from evse_controller.model.commands import EvDcLimits, LimitsNegotiated
from evse_controller.model.snapshot import DcRatings
from evse_controller.secc.iso20.data import RatedDc
from evse_controller.secc.iso20.loop_limits import ABSURD
from evse_controller.secc.iso20.needs import percent
from evse_controller.secc.iso20.pause import gone_on
from evse_controller.secc.iso20.states import Accepted, Answer, Refused, State, Turn


def charge_parameter_discovery(turn: Turn, request: dc.DC_ChargeParameterDiscoveryReq) -> Answer:
    """The variant must match the selected service; incompatible values are refused [V2G20-2272]."""
    mode = request.dc_cpd_req_energy_transfer_mode
    bidirectional = turn.data.selection.bidirectional
    if isinstance(mode, dc.BPT_DC_CPDReqEnergyTransferMode) is not bidirectional:
        service = "a bidirectional" if bidirectional else "a one-way"
        return Refused(
            ResponseCode.FAILED_WrongChargeParameter, f"{type(mode).__name__} in {service} service"
        )
    limits = ev_limits(mode, turn.config.accept_negative_discharge_limits)
    fault = limits_fault(limits, turn.snapshot.ratings)
    if fault is not None:
        return Refused(ResponseCode.FAILED_WrongChargeParameter, fault)
    offer = _ratings(turn.snapshot.ratings, bidirectional)
    turn.data.dc.negotiated = turn.data.dc.limits = limits
    turn.data.dc.rated = _as_sent(offer)
    turn.data.target_soc = mode.target_soc
    gone_on(turn)
    turn.do(LimitsNegotiated(limits, percent(mode.target_soc)))
    response = dc.DC_ChargeParameterDiscoveryRes(turn.header(), ResponseCode.OK, offer)
    return Accepted(response, State.SCHEDULE_EXCHANGE)


def ev_limits(
    mode: dc.BPT_DC_CPDReqEnergyTransferMode | dc.DC_CPDReqEnergyTransferMode, negative_discharge: bool = False
) -> EvDcLimits:
    """The EV's limits as plain numbers; `negative_discharge` accepts the quirk of negative discharge limits."""
    limits = EvDcLimits(
        max_voltage_v=rational_value(mode.ev_maximum_voltage),
        min_voltage_v=rational_value(mode.ev_minimum_voltage),
        max_charge_current_a=rational_value(mode.ev_maximum_charge_current),
        min_charge_current_a=rational_value(mode.ev_minimum_charge_current),
        max_charge_power_w=rational_value(mode.ev_maximum_charge_power),
        min_charge_power_w=rational_value(mode.ev_minimum_charge_power),
    )
    if not isinstance(mode, dc.BPT_DC_CPDReqEnergyTransferMode):
        return limits
    discharge = [
        rational_value(number)
        for number in (
            mode.ev_maximum_discharge_current,
            mode.ev_minimum_discharge_current,
            mode.ev_maximum_discharge_power,
            mode.ev_minimum_discharge_power,
        )
    ]
    if negative_discharge:
        discharge = [abs(number) for number in discharge]
    return EvDcLimits(
        limits.max_voltage_v,
        limits.min_voltage_v,
        limits.max_charge_current_a,
        limits.min_charge_current_a,
        limits.max_charge_power_w,
        limits.min_charge_power_w,
        *discharge,
    )


def limits_fault(limits: EvDcLimits, ratings: DcRatings) -> str | None:
    """Why these limits cannot be used, None if they can: negative, absurd, inverted, or no voltage in common."""
    pairs = (
        ("voltage", limits.min_voltage_v, limits.max_voltage_v),
        ("charge current", limits.min_charge_current_a, limits.max_charge_current_a),
        ("charge power", limits.min_charge_power_w, limits.max_charge_power_w),
        ("discharge current", limits.min_discharge_current_a, limits.max_discharge_current_a),
        ("discharge power", limits.min_discharge_power_w, limits.max_discharge_power_w),
    )
    for name, low, high in pairs:
        if low is None or high is None:
            continue
        if not (math.isfinite(low) and math.isfinite(high)) or max(abs(low), abs(high)) > ABSURD:
            return f"{name} is no physical value"
        if low < 0 or high < 0:
            return f"negative {name}: {low:g}..{high:g}"
        if low > high:
            return f"inverted {name}: minimum {low:g}, maximum {high:g}"
    if limits.max_voltage_v <= 0:
        return "maximum voltage is zero"
    if limits.max_voltage_v < ratings.min_voltage_v or limits.min_voltage_v > ratings.max_voltage_v:
        return (
            f"no voltage in common: EV {limits.min_voltage_v:g}..{limits.max_voltage_v:g} V, "
            f"station {ratings.min_voltage_v:g}..{ratings.max_voltage_v:g} V"
        )
    return _least_fault("A", limits.min_charge_current_a, ratings.max_charge_current_a) or _least_fault(
        "W", limits.min_charge_power_w, ratings.max_charge_power_w
    )


def _least_fault(unit: str, least: float, rated: float) -> str | None:
    return None if least <= rated else f"the EV takes no less than {least:g} {unit}, the station gives {rated:g} {unit}"


def _ratings(
    ratings: DcRatings, bidirectional: bool
) -> dc.BPT_DC_CPDResEnergyTransferMode | dc.DC_CPDResEnergyTransferMode:
    """Ratings for the wire, rounded to the safe side: maxima down, minima up."""
    ramp = None if ratings.power_ramp_w_per_s is None else rational_down(ratings.power_ramp_w_per_s)
    charge = (
        rational_down(ratings.max_charge_power_w),
        rational_up(ratings.min_charge_power_w),
        rational_down(ratings.max_charge_current_a),
        rational_up(ratings.min_charge_current_a),
        rational_down(ratings.max_voltage_v),
        rational_up(ratings.min_voltage_v),
    )
    if not bidirectional:
        return dc.DC_CPDResEnergyTransferMode(*charge, evse_power_ramp_limitation=ramp)
    return dc.BPT_DC_CPDResEnergyTransferMode(
        *charge,
        rational_down(ratings.max_discharge_power_w),
        rational_up(ratings.min_discharge_power_w),
        rational_down(ratings.max_discharge_current_a),
        rational_up(ratings.min_discharge_current_a),
        evse_power_ramp_limitation=ramp,
    )


def _as_sent(mode: dc.BPT_DC_CPDResEnergyTransferMode | dc.DC_CPDResEnergyTransferMode) -> RatedDc:
    charge = RatedDc(
        max_voltage_v=rational_value(mode.evse_maximum_voltage),
        min_voltage_v=rational_value(mode.evse_minimum_voltage),
        max_charge_current_a=rational_value(mode.evse_maximum_charge_current),
        min_charge_current_a=rational_value(mode.evse_minimum_charge_current),
        max_charge_power_w=rational_value(mode.evse_maximum_charge_power),
        min_charge_power_w=rational_value(mode.evse_minimum_charge_power),
    )
    if not isinstance(mode, dc.BPT_DC_CPDResEnergyTransferMode):
        return charge
    return RatedDc(
        charge.max_voltage_v,
        charge.min_voltage_v,
        charge.max_charge_current_a,
        charge.min_charge_current_a,
        charge.max_charge_power_w,
        charge.min_charge_power_w,
        rational_value(mode.evse_maximum_discharge_current),
        rational_value(mode.evse_minimum_discharge_current),
        rational_value(mode.evse_maximum_discharge_power),
        rational_value(mode.evse_minimum_discharge_power),
    )
