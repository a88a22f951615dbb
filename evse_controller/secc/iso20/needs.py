"""What EV and driver need: from ScheduleExchangeReq and from each charge loop, AC and DC alike.

Times relative to a message become UTC by our own clock. With MobilityNeedsMode 2 what the driver told us comes before
what the EV says. A driver's target state of charge also rules the energy that is planned for, where the EV shows its
state of charge and the capacity of its battery (DisplayParameters): then EVTargetEnergyRequest is replaced, up to
EVMaximumEnergyRequest, unless the EV means the same within `_SAME_SHARE`: its own number is finer than a percentage. An
EV that shows no capacity is planned for by its own energies; it hears TargetSOC and may change them, and stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import DisplayParameters, RationalNumber
from evse_controller.messages.rational import rational_value
from evse_controller.model.commands import ControlMode
from evse_controller.model.offer import EnergyNeeds
from evse_controller.model.snapshot import DriverWishes
from evse_controller.secc.iso20.states import Turn

if TYPE_CHECKING:  # an outlet loads the classes of its own kind, not the other's
    from evse_controller.messages.generated import ac, dc

    BptDynamicReq = ac.BPT_Dynamic_AC_CLReqControlMode | dc.BPT_Dynamic_DC_CLReqControlMode
    DynamicReq = BptDynamicReq | ac.Dynamic_AC_CLReqControlMode | dc.Dynamic_DC_CLReqControlMode
    ScheduledReq = (
        ac.BPT_Scheduled_AC_CLReqControlMode
        | ac.Scheduled_AC_CLReqControlMode
        | dc.BPT_Scheduled_DC_CLReqControlMode
        | dc.Scheduled_DC_CLReqControlMode
    )

PROVIDED_BY_SECC = 2
NO_WISHES = DriverWishes()
_SAME_SHARE = 0.02
_CAPACITY_WH = (1e3, 1e7)  # a smaller or larger number is no battery of a vehicle
_NO_POINTS = 0  # the loop names none: those of the exchange hold


def wishes(turn: Turn) -> DriverWishes:
    """The driver's own, where the service says that we provide them; else none [V2G20-2663]."""
    if turn.data.selection.mobility_needs_mode != PROVIDED_BY_SECC:
        return NO_WISHES
    return turn.snapshot.driver or NO_WISHES


def needs_of(turn: Turn, request: cm.ScheduleExchangeReq) -> EnergyNeeds:
    """What a ScheduleExchangeReq says."""
    utc_s, target_soc = turn.snapshot.utc_s, percent(turn.data.target_soc)
    dynamic = request.dynamic_se_req_control_mode
    if dynamic is not None:
        upper, lower = v2x_window(dynamic.ev_maximum_v2x_energy_request, dynamic.ev_minimum_v2x_energy_request)
        driver = wishes(turn)
        return EnergyNeeds(
            dynamic=True,
            max_supporting_points=request.maximum_supporting_points,
            departure_utc_s=_first(driver.departure_utc_s, utc_s + dynamic.departure_time),
            target_wh=_target_wh(turn, dynamic.ev_target_energy_request, dynamic.ev_maximum_energy_request),
            maximum_wh=rational_value(dynamic.ev_maximum_energy_request),
            minimum_wh=rational_value(dynamic.ev_minimum_energy_request),
            v2x_maximum_wh=upper,
            v2x_minimum_wh=lower,
            # A floor beyond 100 % stays one: it forbids to discharge, unknown it would not.
            minimum_soc=_first(_float(driver.minimum_soc), _float(dynamic.minimum_soc)),
            target_soc=_first(
                _float(driver.target_soc), target_soc if dynamic.target_soc is None else percent(dynamic.target_soc)
            ),
        )
    scheduled = request.scheduled_se_req_control_mode or cm.Scheduled_SEReqControlMode()
    return EnergyNeeds(
        dynamic=False,
        max_supporting_points=request.maximum_supporting_points,
        departure_utc_s=None if scheduled.departure_time is None else utc_s + scheduled.departure_time,
        target_wh=optional(scheduled.ev_target_energy_request),
        maximum_wh=optional(scheduled.ev_maximum_energy_request),
        minimum_wh=optional(scheduled.ev_minimum_energy_request),
        target_soc=target_soc,
    )


def loop_needs(turn: Turn, mode: DynamicReq | ScheduledReq, soc: float | None) -> EnergyNeeds | None:
    """What a charge loop says; None for a Scheduled one that states no energy: nothing has changed then.

    `mode` is that of the selected service and control mode, as every loop checks before. What a loop cannot say (the
    minimum SoC) or leaves out (the departure) is that of the schedule exchange.
    """
    data, utc_s, selection = turn.data, turn.snapshot.utc_s, turn.data.selection
    target, most, least = (
        mode.ev_target_energy_request,
        mode.ev_maximum_energy_request,
        mode.ev_minimum_energy_request,
    )
    if selection.control_mode is not ControlMode.DYNAMIC:
        if target is None and most is None and least is None:
            return None
        return EnergyNeeds(
            dynamic=False,
            max_supporting_points=_NO_POINTS,
            departure_utc_s=data.departure_utc_s,
            target_wh=optional(target),
            maximum_wh=optional(most),
            minimum_wh=optional(least),
            present_soc=soc,
            target_soc=percent(data.target_soc),
        )
    upper, lower = None, None
    if selection.bidirectional:
        both_ways = cast("BptDynamicReq", mode)
        upper, lower = v2x_window(both_ways.ev_maximum_v2x_energy_request, both_ways.ev_minimum_v2x_energy_request)
    dynamic, driver = cast("DynamicReq", mode), wishes(turn)
    return EnergyNeeds(
        dynamic=True,
        max_supporting_points=_NO_POINTS,
        departure_utc_s=_first(
            driver.departure_utc_s,
            data.departure_utc_s if dynamic.departure_time is None else utc_s + dynamic.departure_time,
        ),
        target_wh=_target_wh(turn, dynamic.ev_target_energy_request, dynamic.ev_maximum_energy_request),
        maximum_wh=rational_value(dynamic.ev_maximum_energy_request),
        minimum_wh=rational_value(dynamic.ev_minimum_energy_request),
        v2x_maximum_wh=upper,
        v2x_minimum_wh=lower,
        present_soc=soc,
        minimum_soc=_first(_float(driver.minimum_soc), _float(data.minimum_soc)),
        target_soc=_first(_float(driver.target_soc), percent(data.target_soc)),
    )


def shown_soc(turn: Turn, shown: DisplayParameters | None) -> float | None:
    """The state of charge that a charge loop shows, in percent; it and the battery's capacity are remembered."""
    if shown is None:
        return None
    data, soc, capacity_wh = turn.data, percent(shown.present_soc), optional(shown.battery_energy_capacity)
    data.shown_soc = data.shown_soc if soc is None else soc
    if capacity_wh is not None and _CAPACITY_WH[0] <= capacity_wh <= _CAPACITY_WH[1]:
        data.capacity_wh = capacity_wh
    return soc


def _target_wh(turn: Turn, target: RationalNumber, maximum: RationalNumber) -> float:
    """The energy to plan for: the EV's own, or what is missing to the driver's target."""
    stated_wh, data, wanted = rational_value(target), turn.data, wishes(turn).target_soc
    if wanted is None or data.shown_soc is None or data.capacity_wh is None:
        return stated_wh
    missing_wh = (wanted - data.shown_soc) / 100.0 * data.capacity_wh
    if abs(missing_wh - stated_wh) <= _SAME_SHARE * data.capacity_wh:
        return stated_wh
    return min(missing_wh, max(stated_wh, rational_value(maximum)))


def v2x_window(upper: RationalNumber | None, lower: RationalNumber | None) -> tuple[float | None, float | None]:
    """Both edges or none [V2G20-2681]: half a window is no window, and so no leave to discharge."""
    if upper is None or lower is None:
        return None, None
    return rational_value(upper), rational_value(lower)


def optional(number: RationalNumber | None) -> float | None:
    return None if number is None else rational_value(number)


def percent(number: int | None) -> float | None:
    """A state of charge; what is no percentage (7 bits can say 127) is not known."""
    return None if number is None or not 0 <= number <= 100 else float(number)


def _float(number: int | None) -> float | None:
    return None if number is None else float(number)


def _first(preferred: float | None, otherwise: float | None) -> float | None:
    return otherwise if preferred is None else preferred
