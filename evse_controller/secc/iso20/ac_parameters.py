"""AC_ChargeParameterDiscovery: the EV's limits are checked, ours are the ratings, per phase where there are three.

A vehicle that reads only phase 1 of a three-phase answer takes a third of what it could: never too much. One
that states phase 1 only gets no more than phase 1 can carry, until the meter has shown that it loads three.
"""

from __future__ import annotations

from evse_controller.messages.generated import ac
from evse_controller.messages.generated.common_types import RationalNumber, ResponseCode
from evse_controller.messages.rational import rational_down, rational_nearest, rational_up
from evse_controller.model.commands import EvAcLimits, LimitsNegotiated
from evse_controller.model.power import PhasePower
from evse_controller.model.snapshot import AcPresent, AcRatings
from evse_controller.secc.iso20.ac_data import NO_POWER, RatedAc
from evse_controller.secc.iso20.ac_phases import Rationals, at_most, each, parts, physical, stated, wire
from evse_controller.secc.iso20.pause import gone_on
from evse_controller.secc.iso20.states import Accepted, Answer, Refused, State, Turn

ReqMode = ac.AC_CPDReqEnergyTransferMode | ac.BPT_AC_CPDReqEnergyTransferMode
ResMode = ac.AC_CPDResEnergyTransferMode | ac.BPT_AC_CPDResEnergyTransferMode


def charge_parameter_discovery(turn: Turn, request: ac.AC_ChargeParameterDiscoveryReq) -> Answer:
    """The variant must match the selected service; incompatible values are refused [V2G20-1619]."""
    mode, bidirectional = request.ac_cpd_req_energy_transfer_mode, turn.data.selection.bidirectional
    if isinstance(mode, ac.BPT_AC_CPDReqEnergyTransferMode) is not bidirectional:
        service = "a bidirectional" if bidirectional else "a one-way"
        return Refused(ResponseCode.FAILED_WrongChargeParameter, f"{type(mode).__name__} in {service} service")
    ratings, present = turn.snapshot.ac_ratings, turn.snapshot.ac_present
    if ratings is None or present is None:
        return Refused(ResponseCode.FAILED, "this outlet has no AC ratings")
    limits = ev_limits(mode, turn.config.accept_negative_discharge_limits)
    fault = limits_fault(limits, ratings)
    if fault is not None:
        return Refused(ResponseCode.FAILED_WrongChargeParameter, fault)
    offer = _ratings(ratings, present, bidirectional)
    memory = turn.data.ac
    memory.negotiated = memory.limits = limits
    memory.rated = _as_sent(offer)
    gone_on(turn)
    turn.do(LimitsNegotiated(memory.usable(present.three_phases) or limits, None))
    response = ac.AC_ChargeParameterDiscoveryRes(turn.header(), ResponseCode.OK, offer)
    return Accepted(response, State.SCHEDULE_EXCHANGE)


def ev_limits(mode: ReqMode, negative_discharge: bool = False) -> EvAcLimits:
    """The EV's limits as plain numbers; `negative_discharge` accepts the quirk of negative discharge limits."""
    charge = (
        stated(mode.ev_maximum_charge_power, mode.ev_maximum_charge_power_l2, mode.ev_maximum_charge_power_l3),
        stated(mode.ev_minimum_charge_power, mode.ev_minimum_charge_power_l2, mode.ev_minimum_charge_power_l3),
    )
    if not isinstance(mode, ac.BPT_AC_CPDReqEnergyTransferMode):
        return EvAcLimits(*charge)
    discharge = [
        stated(
            mode.ev_maximum_discharge_power, mode.ev_maximum_discharge_power_l2, mode.ev_maximum_discharge_power_l3
        ),
        stated(
            mode.ev_minimum_discharge_power, mode.ev_minimum_discharge_power_l2, mode.ev_minimum_discharge_power_l3
        ),
    ]
    if negative_discharge:
        discharge = [each(power, abs) for power in discharge]
    return EvAcLimits(*charge, *discharge)


def limits_fault(limits: EvAcLimits, ratings: AcRatings) -> str | None:
    """Why these limits cannot be used, None if they can: negative, absurd, inverted, or no power in common."""
    pairs = (
        ("charge power", limits.min_charge_w, limits.max_charge_w),
        ("discharge power", limits.min_discharge_w, limits.max_discharge_w),
    )
    for name, low, high in pairs:
        if low is not None and high is not None and (fault := _pair_fault(low, high)) is not None:
            return f"{name}: {fault}"
    least_w, most_w = limits.min_charge_w.total_w, limits.max_charge_w.total_w
    if least_w > ratings.max_charge_w.total_w:
        return f"the EV takes no less than {least_w:g} W, the outlet gives {ratings.max_charge_w.total_w:g} W"
    # A vehicle of one phase has to take no more than the least of one.
    if most_w < ratings.min_charge_w.l1_w:
        return f"the EV takes no more than {most_w:g} W, the outlet gives no less than {ratings.min_charge_w.l1_w:g} W"
    return None


def _pair_fault(low: PhasePower, high: PhasePower) -> str | None:
    if not (physical(low) and physical(high)):
        return "no physical value"
    if min(*parts(low), *parts(high)) < 0:
        return f"negative value among {parts(low)} and {parts(high)} W"
    if low.per_phase and high.per_phase:
        least = (low.l1_w, low.l2_w or 0.0, low.l3_w or 0.0)
        most = (high.l1_w, high.l2_w or 0.0, high.l3_w or 0.0)
        inverted = any(minimum > maximum for minimum, maximum in zip(least, most, strict=True))
    else:
        inverted = low.total_w > high.total_w
    return f"inverted, minimum {parts(low)}, maximum {parts(high)} W" if inverted else None


def _ratings(ratings: AcRatings, present: AcPresent, bidirectional: bool) -> ResMode:
    """Ratings for the wire, rounded to the safe side: maxima down, minima up but not above their maxima."""
    charge = _range(ratings.min_charge_w, ratings.max_charge_w)
    asymmetry, ramp = ratings.max_asymmetry_w, ratings.power_ramp_w_per_s
    names = {
        "evse_nominal_frequency": rational_nearest(ratings.nominal_frequency_hz),
        "maximum_power_asymmetry": None if asymmetry is None else rational_down(asymmetry),
        "evse_power_ramp_limitation": None if ramp is None else rational_down(ramp),
    }
    values = names | _named("evse_{}_charge_power", *charge)
    if present.measured_w is not None:
        values |= _phases("evse_present_active_power", wire(present.measured_w, rational_nearest))
    if not bidirectional:
        return ac.AC_CPDResEnergyTransferMode(**values)  # type: ignore[arg-type]
    discharge = _range(ratings.min_discharge_w, ratings.max_discharge_w)
    values |= _named("evse_{}_discharge_power", *discharge)
    return ac.BPT_AC_CPDResEnergyTransferMode(**values)  # type: ignore[arg-type]


def _range(low: PhasePower, high: PhasePower) -> tuple[Rationals, Rationals]:
    maximum = wire(high, rational_down)
    return wire(at_most(low, stated(*maximum)), rational_up), maximum


def _named(template: str, minimum: Rationals, maximum: Rationals) -> dict[str, RationalNumber | None]:
    return _phases(template.format("minimum"), minimum) | _phases(template.format("maximum"), maximum)


def _phases(name: str, numbers: Rationals) -> dict[str, RationalNumber | None]:
    return dict(zip((name, f"{name}_l2", f"{name}_l3"), numbers, strict=True))


def _as_sent(mode: ResMode) -> RatedAc:
    charge = (
        stated(mode.evse_maximum_charge_power, mode.evse_maximum_charge_power_l2, mode.evse_maximum_charge_power_l3),
        stated(mode.evse_minimum_charge_power, mode.evse_minimum_charge_power_l2, mode.evse_minimum_charge_power_l3),
    )
    if not isinstance(mode, ac.BPT_AC_CPDResEnergyTransferMode):
        return RatedAc(*charge, NO_POWER, NO_POWER)
    return RatedAc(
        *charge,
        stated(
            mode.evse_maximum_discharge_power,
            mode.evse_maximum_discharge_power_l2,
            mode.evse_maximum_discharge_power_l3,
        ),
        stated(
            mode.evse_minimum_discharge_power,
            mode.evse_minimum_discharge_power_l2,
            mode.evse_minimum_discharge_power_l3,
        ),
    )
