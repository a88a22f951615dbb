"""The vehicle with an on-board charger: its AC messages, and how much power it takes or gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evse_controller.messages.generated import ac
from evse_controller.messages.generated.common_types import MessageHeader, RationalNumber
from evse_controller.messages.rational import rational_down, rational_nearest, rational_up, rational_value
from evse_controller.model.commands import ControlMode
from hal.sim.inlet import Inlet
from hil.evcc.config import EvccConfig
from hil.evcc.requests import Needs, display

SUFFIXES = ("", "_l2", "_l3")
_OVERDRAW = 1.5


def spread(
    name: str, total_w: float, phases: int, number: Callable[[float], RationalNumber]
) -> dict[str, RationalNumber]:
    """A power of all phases as the elements `name`, `name_l2`, `name_l3`; with one phase `name` is all of it."""
    return {name + suffix: number(total_w / phases) for suffix in SUFFIXES[:phases]}


def total(mode: object, name: str) -> float | None:
    """The power that one to three elements state together; None where there is none."""
    stated = [getattr(mode, name + suffix, None) for suffix in SUFFIXES]
    return None if stated[0] is None else sum(rational_value(number) for number in stated if number is not None)


def charge_parameters(
    header: MessageHeader, config: EvccConfig, bidirectional: bool, negative: bool
) -> ac.AC_ChargeParameterDiscoveryReq:
    """The on-board charger's ratings. `negative` states an impossible limit on purpose."""
    own, count = config.ac, config.ac.stated_phases
    most_w = -own.max_charge_w if negative else own.max_charge_w
    limits = spread("ev_maximum_charge_power", most_w, count, rational_down)
    limits |= spread("ev_minimum_charge_power", own.min_charge_w, count, rational_up)
    if not bidirectional:
        return ac.AC_ChargeParameterDiscoveryReq(
            header=header, ac_cpd_req_energy_transfer_mode=ac.AC_CPDReqEnergyTransferMode(**limits)
        )
    limits |= spread("ev_maximum_discharge_power", own.max_discharge_w, count, rational_down)
    limits |= spread("ev_minimum_discharge_power", own.min_discharge_w, count, rational_up)
    return ac.AC_ChargeParameterDiscoveryReq(
        header=header, ac_cpd_req_energy_transfer_mode=ac.BPT_AC_CPDReqEnergyTransferMode(**limits)
    )


class AcControl:
    """What the on-board charger is set to, from response to response. Powers at the outlet, signed, all phases."""

    def __init__(self, config: EvccConfig, inlet: Inlet) -> None:
        self.max_charge_w = 0.0
        self.max_discharge_w = 0.0
        self.target_w: float | None = None
        self.config = config
        self._inlet = inlet

    def negotiated(self, mode: object) -> None:
        """ChargeParameterDiscoveryRes: what the station can do at most."""
        self.max_charge_w = abs(total(mode, "evse_maximum_charge_power") or 0.0)
        self.max_discharge_w = abs(total(mode, "evse_maximum_discharge_power") or 0.0)

    def told(self, mode: object) -> None:
        """Charge loop response: the station's target now; in Scheduled mode it may say nothing."""
        self.target_w = total(mode, "evse_target_active_power")

    def own_limits(self) -> tuple[float, float]:
        """(charge, discharge) power that the vehicle allows now, both >= 0."""
        own, soc = self.config.ac, self._inlet.soc_percent
        return (
            own.max_charge_w if soc < self.config.maximum_soc else 0.0,
            own.max_discharge_w if soc > self.config.minimum_soc else 0.0,
        )

    def power_w(self, planned_w: float | None, bidirectional: bool, overdraw: bool = False) -> float:
        """What the charger shall do. `planned_w` None: the station leads. Where a plan leads, the station's target
        bounds it in the direction in which it goes."""
        charge, discharge = self.own_limits()
        charge = min(charge, self.max_charge_w)
        discharge = min(discharge, self.max_discharge_w) if bidirectional else 0.0
        if planned_w is None:
            power = self.target_w or 0.0
        else:
            power = planned_w
            if self.target_w is not None and self.target_w * power >= 0:
                power = min(abs(power), abs(self.target_w)) * (1.0 if power >= 0 else -1.0)
        if overdraw:
            return power * _OVERDRAW if planned_w is None else self.config.ac.max_charge_w
        power = min(max(power, -discharge), charge)
        least = self.config.ac.min_charge_w if power > 0 else self.config.ac.min_discharge_w
        return power if abs(power) >= least else 0.0


def charge_loop(
    header: MessageHeader, config: EvccConfig, inlet: Inlet, wanted: Needs, control: AcControl,
    *, bidirectional: bool, control_mode: ControlMode, meter_info: bool, present_w: float,
) -> ac.AC_ChargeLoopReq:
    """The loop request of one of the four variants."""
    count = config.ac.stated_phases
    charge, discharge = control.own_limits()
    figures: dict[str, Any] = {
        "ev_target_energy_request": rational_nearest(wanted.target_wh),
        "ev_maximum_energy_request": rational_nearest(wanted.maximum_wh),
        "ev_minimum_energy_request": rational_nearest(wanted.minimum_wh),
        **spread("ev_maximum_charge_power", charge, count, rational_down),
        **spread("ev_minimum_charge_power", min(charge, config.ac.min_charge_w), count, rational_up),
        **spread("ev_present_active_power", round(present_w, 1), count, rational_nearest),
        **spread("ev_present_reactive_power", 0.0, count, rational_nearest),
    }
    if bidirectional:
        figures |= spread("ev_maximum_discharge_power", discharge, count, rational_down)
        figures |= spread("ev_minimum_discharge_power", min(discharge, config.ac.min_discharge_w), count, rational_up)
    mode: (
        ac.BPT_Dynamic_AC_CLReqControlMode | ac.BPT_Scheduled_AC_CLReqControlMode
        | ac.Dynamic_AC_CLReqControlMode | ac.Scheduled_AC_CLReqControlMode
    )
    if control_mode is ControlMode.SCHEDULED:
        kind = ac.BPT_Scheduled_AC_CLReqControlMode if bidirectional else ac.Scheduled_AC_CLReqControlMode
        mode = kind(**figures)
    elif bidirectional:
        mode = ac.BPT_Dynamic_AC_CLReqControlMode(
            departure_time=wanted.departure_s, **figures,
            ev_maximum_v2x_energy_request=rational_nearest(wanted.v2x_maximum_wh),
            ev_minimum_v2x_energy_request=rational_nearest(wanted.v2x_minimum_wh),
        )
    else:
        mode = ac.Dynamic_AC_CLReqControlMode(departure_time=wanted.departure_s, **figures)
    return ac.AC_ChargeLoopReq(
        header=header, display_parameters=display(config, inlet), meter_info_requested=meter_info,
        cl_req_control_mode=mode,
    )
