"""Configuration and devices of one outlet."""

from __future__ import annotations

from dataclasses import dataclass

from evse_controller.model.snapshot import DcRatings
from evse_controller.safety import thresholds as t
from hal.api import DcMeter, IsolationMonitor, PowerSupply, SafetyMcu


@dataclass(frozen=True, slots=True, kw_only=True)
class StationConfig:
    """Commissioned facts of one outlet.

    `ratings`: what the site's wiring and cable allow; the modules' own capability tightens them. `grid_profile`: the
    commissioned country code, None = the outlet may never export. `ramp_up_a_per_s` limits growing current only.
    `efficiency_import` (lowest) and `efficiency_export` (highest) carry the site's AC limits to the DC side.
    `isolation_response_s`: in this time the isolation monitor's reading follows the line (IEC 61851-23: at most 5 s a
    sample); the cable check waits it out at test voltage before each of its samples, which must fit into its 35 s. With
    the default the three samples outlast a monitor that takes 10 s (IEC 61557-8) to show a fault.
    `loop_timeout_s`: the EV's charge-loop timer, 0.5 s by [V2G20-1502]; larger only under `lab-slow-loop`.
    `mcs`: a megawatt connector, whose isolation must be 125 kohm at least. `pause_allowed`: a session may sleep here.
    `pwm_allowed`: false keeps the oscillator off (a modem that is not ready).
    """

    evseid: str
    ratings: DcRatings
    name: str = "outlet-1"
    bidirectional: bool = True
    grid_profile: int | None = None
    efficiency_import: float = 0.93
    efficiency_export: float = 0.98
    ramp_up_a_per_s: float = 50.0
    loop_timeout_s: float = 0.5
    isolation_response_s: float = 5.0
    self_test_interval_s: float = 3600.0
    direction_dwell_s: float = 1.0
    zero_samples: int = 2
    pwm_allowed: bool = True
    mcs: bool = False
    pause_allowed: bool = True

    def __post_init__(self) -> None:
        if not 0.5 <= self.efficiency_import <= self.efficiency_export <= 1.0:
            raise ValueError("station: need 0.5 <= efficiency_import <= efficiency_export <= 1")
        if self.ramp_up_a_per_s <= 0:
            raise ValueError("station: ramp_up_a_per_s must be > 0")
        if self.loop_timeout_s < 0.5:
            raise ValueError("station: loop_timeout_s must be >= 0.5 [V2G20-1502]")
        if not 0.0 < self.isolation_response_s <= t.ISOLATION_RESPONSE_S:
            raise ValueError(f"station: isolation_response_s must be > 0 and <= {t.ISOLATION_RESPONSE_S:.0f}")
        if self.zero_samples < 1:
            raise ValueError("station: zero_samples must be >= 1")


@dataclass(frozen=True, slots=True)
class OutletDevices:
    """The drivers of one outlet. The station reads them all; only its actuator uses outputs."""

    mcu: SafetyMcu
    supply: PowerSupply
    meter: DcMeter
    isolation: IsolationMonitor
