"""The one place that holds output handles. It accepts nothing but valid Permits.

Order inside: what makes safe comes first (stop frame, then contactors), what adds energy comes last and only if
every condition holds *now*. A demand beyond the permit is clamped (current, voltage) or refused (contactors, mode,
switching on); a refusal is reported as text and asked again in the next step, never queued.
"""

from __future__ import annotations

from dataclasses import dataclass

from evse_controller.model.permit import Permit
from evse_controller.safety import thresholds as t
from evse_controller.station.permitted import Permitted
from hal.api import (
    Contact,
    DcMeterReading,
    IsolationMonitor,
    McuReading,
    PowerMode,
    PowerReading,
    PowerSupply,
    SafetyMcu,
)


@dataclass(frozen=True, slots=True)
class Demand:
    """What the phase machine wants of the outputs in this step. Voltages in V, `current_a` a magnitude >= 0.

    `on` false asks the modules off. `floor_v` is the voltage below which an inverter stops drawing. `new_mode` is
    the working mode wanted; it is written only while the modules are off and no current flows.
    """

    contactors: bool = False
    on: bool = False
    mode: PowerMode = PowerMode.CHARGE
    voltage_v: float = 0.0
    current_a: float = 0.0
    floor_v: float = 0.0


ALL_OFF = Demand()

MODE_REPEAT_S = 0.5
"""A mode that is not read back is written again this often, so that it does not crowd the module bus."""


class Actuator(Permitted):
    """Applies a Demand inside a Permit to power supply and contactors; drives the isolation monitor."""

    def __init__(self, mcu: SafetyMcu, supply: PowerSupply, isolation: IsolationMonitor) -> None:
        super().__init__(mcu)
        self._supply = supply
        self._isolation = isolation
        self._switched_on = False
        self.mode = PowerMode.CHARGE
        self.mode_written_s = -MODE_REPEAT_S
        self.measuring = False
        self.measuring_since_s: float | None = None
        self.output_voltage_v = 0.0
        self.output_current_a = 0.0

    @property
    def switched_on(self) -> bool:
        """True while the modules are commanded on."""
        return self._switched_on

    @property
    def energised(self) -> bool:
        """True while anything that could feed the outlet is commanded."""
        return self.contactors or self._switched_on

    def apply(
        self,
        demand: Demand,
        permit: Permit | None,
        now_s: float,
        mcu: McuReading | None,
        power: PowerReading | None,
        meter: DcMeterReading | None,
    ) -> None:
        """Bring the outputs to `demand` as far as `permit` allows. Contactor changes leave with the next `beat`."""
        permit = self._heed(permit, now_s)
        if permit is None:
            return
        if power is None or not permit.contactors:
            if self._switched_on or (power is not None and power.on):
                self._stop(now_s)
        else:
            self._output(demand, permit, now_s, power, meter)
        self._contacts(demand, permit, now_s, mcu, power, meter)

    def write_grid_profile(self, country_code: int) -> None:
        """Write the commissioned profile, only while the modules are off."""
        if not self._switched_on:
            self._supply.write_grid_profile(country_code)

    def start_self_test(self) -> None:
        """Self-test of the isolation monitor, only while it is not on the line."""
        if not self.measuring:
            self._isolation.start_self_test()

    def set_measuring(self, on: bool, now_s: float) -> None:
        """Put the isolation monitor on the line or take it off."""
        if on != self.measuring:
            self.measuring = on
            self.measuring_since_s = now_s if on else None
            self._isolation.set_measuring(on)

    def _stop(self, now_s: float) -> None:
        self._supply.stop(now_s)
        self._switched_on = False
        self.output_voltage_v = self.output_current_a = 0.0

    def _output(
        self, demand: Demand, permit: Permit, now_s: float, power: PowerReading, meter: DcMeterReading | None
    ) -> None:
        if not demand.on:
            if self._switched_on or power.on:
                self._stop(now_s)
            self._mode(demand, permit, now_s, power, meter)
            return
        if demand.mode is not self.mode:
            self.refusal = f"mode {demand.mode.value} wanted while modules are commanded on in {self.mode.value}"
            self._set(permit, demand, 0.0)
            return
        ceiling = permit.max_charge_current_a
        if self.mode is PowerMode.DISCHARGE:
            ceiling = permit.max_discharge_current_a if permit.export else 0.0
        self._set(permit, demand, min(max(0.0, demand.current_a), ceiling))
        if not self._switched_on:
            if power.mode is not self.mode:
                self.refusal = "modules have not confirmed their mode"
            elif self.mode is PowerMode.DISCHARGE and not permit.export:
                self.refusal = "export is not permitted"
            else:
                self._supply.switch(True)
                self._switched_on = True

    def _set(self, permit: Permit, demand: Demand, current_a: float) -> None:
        self.output_voltage_v = min(max(0.0, demand.voltage_v), permit.max_voltage_v)
        self.output_current_a = current_a
        self._supply.set_output(self.output_voltage_v, current_a)

    def _mode(
        self, demand: Demand, permit: Permit, now_s: float, power: PowerReading, meter: DcMeterReading | None
    ) -> None:
        if demand.mode is self.mode and (power.mode is self.mode or now_s - self.mode_written_s < MODE_REPEAT_S):
            return
        if power.on or abs(power.current_a) >= t.ZERO_CURRENT_A:
            self.refusal = "mode change waits for modules off"
        elif meter is None or abs(meter.current_a) >= t.ZERO_CURRENT_A:
            self.refusal = "mode change waits for zero current"
        elif demand.mode is PowerMode.DISCHARGE and not permit.export:
            self.refusal = "export is not permitted"
        else:
            if demand.mode is PowerMode.DISCHARGE:
                self._supply.set_discharge_floor(demand.floor_v)
            self._supply.set_mode(demand.mode)
            self.mode = demand.mode
            self.mode_written_s = now_s

    def _contacts(
        self,
        demand: Demand,
        permit: Permit,
        now_s: float,
        mcu: McuReading | None,
        power: PowerReading | None,
        meter: DcMeterReading | None,
    ) -> None:
        wanted = demand.contactors and permit.contactors
        if wanted and not self.contactors:
            why_not = _why_not_close(mcu, power, meter)
            if why_not is not None:
                self.refusal = why_not
                return
        if not wanted and self.contactors and (meter is None or abs(meter.current_a) >= t.ZERO_CURRENT_A):
            self.refusal = "contactors wait for zero current"
            return
        self._command(wanted, now_s)


def _why_not_close(mcu: McuReading | None, power: PowerReading | None, meter: DcMeterReading | None) -> str | None:
    """Voltage match on both sides of the open contactors: within 20 V of each other, also when both are harmless."""
    if mcu is None or power is None or meter is None:
        return "contactors wait for measurements"
    if mcu.contactor is not Contact.OPEN:
        return f"contactors wait for open feedback ({mcu.contactor.value})"
    if abs(power.voltage_v - meter.voltage_v) < t.MATCH_VOLTAGE_V:
        return None
    return f"link {power.voltage_v:.0f} V and outlet {meter.voltage_v:.0f} V do not match"
