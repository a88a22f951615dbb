"""Configuration and devices of one AC outlet."""

from __future__ import annotations

from dataclasses import dataclass

from evse_controller.model.power import PhasePower
from evse_controller.model.snapshot import AcRatings
from evse_controller.safety import AcPlate
from hal.api import AcOutletMeter, SafetyMcu


@dataclass(frozen=True, slots=True, kw_only=True)
class AcStationConfig:
    """Commissioned facts of one AC outlet.

    `max_current_a`: per phase, the weakest of fuse, cable and contactor. `socket`: the cable is the driver's own; what
    it may carry is read from its proximity resistor, and without that the contactor stays open. `min_current_a`: below
    it the outlet gives nothing. `nominal_voltage_v`: line to neutral. `bidirectional` and `max_discharge_current_a`:
    what the wiring allows; `ac_export_authorised`: the grid operator's and the site's consent to be fed by a car's own
    converter, whose grid profile we can neither write nor read. Both default to no. `max_asymmetry_w`: most that two
    phases may differ by, None = any. `loop_timeout_s`: the EV's charge-loop timer, 0.5 s by [V2G20-1500]; larger only
    under `lab-slow-loop`. `pause_allowed`: a session may sleep here. `pwm_allowed`: false keeps the oscillator off.
    """

    evseid: str
    max_current_a: float
    phases: int = 3
    name: str = "outlet-1"
    nominal_voltage_v: float = 230.0
    nominal_frequency_hz: float = 50.0
    min_current_a: float = 0.0
    bidirectional: bool = False
    ac_export_authorised: bool = False
    max_discharge_current_a: float = 0.0
    socket: bool = False
    max_asymmetry_w: float | None = None
    power_ramp_w_per_s: float | None = None
    loop_timeout_s: float = 0.5
    zero_samples: int = 2
    pwm_allowed: bool = True
    pause_allowed: bool = True

    def __post_init__(self) -> None:
        if self.phases not in (1, 3):
            raise ValueError("AC station: phases must be 1 or 3")
        if not self.max_current_a > 0:
            raise ValueError("AC station: max_current_a must be > 0")
        if not 0 <= self.min_current_a <= self.max_current_a:
            raise ValueError("AC station: min_current_a must be between 0 and max_current_a")
        if not 0 <= self.max_discharge_current_a <= self.max_current_a:
            raise ValueError("AC station: max_discharge_current_a must be between 0 and max_current_a")
        if not self.nominal_voltage_v > 0 or not self.nominal_frequency_hz > 0:
            raise ValueError("AC station: nominal voltage and frequency must be > 0")
        if self.max_asymmetry_w is not None and not self.max_asymmetry_w > 0:
            raise ValueError("AC station: max_asymmetry_w must be > 0")
        if self.loop_timeout_s < 0.5:
            raise ValueError("AC station: loop_timeout_s must be >= 0.5 [V2G20-1500]")
        if self.zero_samples < 1:
            raise ValueError("AC station: zero_samples must be >= 1")

    @property
    def discharges(self) -> bool:
        """Whether this outlet may ever take power from a car."""
        return self.bidirectional and self.ac_export_authorised and self.max_discharge_current_a > 0

    def plate(self) -> AcPlate:
        """What safety has to know."""
        return AcPlate(
            phases=self.phases,
            max_current_a=self.max_current_a,
            max_discharge_current_a=self.max_discharge_current_a if self.bidirectional else 0.0,
            nominal_voltage_v=self.nominal_voltage_v,
            bidirectional=self.bidirectional,
            export_authorised=self.ac_export_authorised,
            max_asymmetry_w=self.max_asymmetry_w,
            socket=self.socket,
        )

    def per_phase(self, current_a: float) -> PhasePower:
        """Power of `current_a` in every phase at nominal voltage."""
        power_w = current_a * self.nominal_voltage_v
        return PhasePower(power_w, power_w, power_w) if self.phases == 3 else PhasePower(power_w)

    def ratings(self, cable_a: float | None = None) -> AcRatings:
        """Answers ChargeParameterDiscovery. `cable_a`: what the plugged cable may carry; it counts at a socket only."""
        amps = min(self.max_current_a, cable_a or 0.0) if self.socket else self.max_current_a
        discharge_a = min(amps, self.max_discharge_current_a) if self.discharges else 0.0
        return AcRatings(
            max_charge_w=self.per_phase(amps),
            max_discharge_w=self.per_phase(discharge_a),
            min_charge_w=self.per_phase(min(self.min_current_a, amps)),
            min_discharge_w=self.per_phase(0.0),
            nominal_voltage_v=self.nominal_voltage_v,
            nominal_frequency_hz=self.nominal_frequency_hz,
            phases=self.phases,
            max_asymmetry_w=self.max_asymmetry_w,
            power_ramp_w_per_s=self.power_ramp_w_per_s,
        )


@dataclass(frozen=True, slots=True)
class AcOutletDevices:
    """The drivers of one AC outlet. The station reads them; only its actuator uses outputs."""

    mcu: SafetyMcu
    meter: AcOutletMeter
