"""How much current the vehicle asks for: its plan, its battery, the station's present limits, its own ramp."""

from __future__ import annotations

from dataclasses import dataclass

from evse_controller.messages.generated import ac, dc
from evse_controller.messages.generated.common_types import RationalNumber
from evse_controller.messages.rational import rational_value
from hal.sim.inlet import Inlet
from hil.evcc.config import EvccConfig
from hil.evcc.plan import Plan
from hil.evcc.requests import LoopState


@dataclass(slots=True)
class StationLimits:
    """What the station allows now, all >= 0. Discharge is 0 until a bidirectional response says otherwise."""

    max_charge_current_a: float = 0.0
    max_charge_power_w: float = 0.0
    max_discharge_current_a: float = 0.0
    max_discharge_power_w: float = 0.0
    max_voltage_v: float = 0.0

    def update(self, mode: object) -> None:
        """Take in the limits of a ChargeParameterDiscovery or charge loop response; absent ones stay as they were.

        The sign of discharge limits is not settled between stacks, so magnitudes are read.
        """
        for name, element in (
            ("max_charge_current_a", "evse_maximum_charge_current"),
            ("max_charge_power_w", "evse_maximum_charge_power"),
            ("max_discharge_current_a", "evse_maximum_discharge_current"),
            ("max_discharge_power_w", "evse_maximum_discharge_power"),
            ("max_voltage_v", "evse_maximum_voltage"),
        ):
            number: RationalNumber | None = getattr(mode, element, None)
            if number is not None:
                setattr(self, name, abs(rational_value(number)))


class PowerControl:
    """Target current from request to request."""

    def __init__(self, config: EvccConfig, inlet: Inlet) -> None:
        self.station = StationLimits()
        self.config = config
        self._inlet = inlet
        self._target_a = 0.0
        self._at_s: float | None = None

    def own_limits(self) -> tuple[float, float]:
        """(charge, discharge) current in A that the vehicle allows now, both >= 0."""
        config, inlet = self.config, self._inlet
        voltage, soc = inlet.battery_voltage_v, inlet.soc_percent
        charge = config.ratings.charge_current_a(inlet.limits, voltage) if soc < config.maximum_soc else 0.0
        discharge = config.ratings.discharge_current_a(inlet.limits, voltage) if soc > config.minimum_soc else 0.0
        return charge, discharge

    def state(
        self, now_s: float, wanted_w: float, bidirectional: bool, *,
        target_voltage: bool = True, obey_limits: bool = True,
    ) -> LoopState:
        """The next request's figures for a wanted power (signed). A tighter limit is obeyed at once, the ramp only
        slows changes that the vehicle itself wants."""
        config, station = self.config, self.station
        voltage = max(self._inlet.inlet_voltage_v, 1.0)
        charge, discharge = self.own_limits()
        if not bidirectional:
            discharge = 0.0
        step = config.ramp_a_per_s * (now_s - self._at_s if self._at_s is not None else config.loop_period_s)
        wanted = wanted_w / voltage
        target = min(max(wanted, self._target_a - step), self._target_a + step)
        highest, lowest = charge, discharge
        if not obey_limits:
            highest = target = config.ratings.max_charge_current_a
        else:
            highest = min(highest, station.max_charge_current_a, station.max_charge_power_w / voltage)
            lowest = min(lowest, station.max_discharge_current_a, station.max_discharge_power_w / voltage)
        self._target_a = min(max(target, -lowest), highest)
        self._at_s = now_s
        return LoopState(
            charge_current_a=charge, discharge_current_a=discharge, voltage_v=voltage,
            target_current_a=self._target_a,
            target_voltage_v=config.ratings.max_voltage_v if target_voltage else 0.0,
        )


class PlanFollower:
    """What the plan wants now, with the driver's target first.

    Where a cut of the site took so much that the rest of the plan would miss the target by more than `MISSED_WH`, the
    car keeps what it has: it does not discharge until plan and target meet again.
    """

    MISSED_WH = 1500.0

    def __init__(self) -> None:
        self._saving = False

    def power_w(self, plan: Plan | None, utc_s: float, target_wh: float) -> float:
        """Signed power; 0 without a plan. `target_wh`: what the battery lacks now for the driver's target."""
        if plan is None:
            return 0.0
        deficit_wh = target_wh - plan.net_wh_from(utc_s)
        self._saving = deficit_wh > (0.0 if self._saving else self.MISSED_WH)
        power_w = plan.power_w(utc_s)
        return 0.0 if self._saving and power_w < 0 else power_w


BIDIRECTIONAL_LOOP = (
    dc.BPT_Dynamic_DC_CLResControlMode, dc.BPT_Scheduled_DC_CLResControlMode,
    ac.BPT_Dynamic_AC_CLResControlMode, ac.BPT_Scheduled_AC_CLResControlMode,
)
DYNAMIC_LOOP = (
    dc.Dynamic_DC_CLResControlMode, dc.BPT_Dynamic_DC_CLResControlMode,
    ac.Dynamic_AC_CLResControlMode, ac.BPT_Dynamic_AC_CLResControlMode,
)
