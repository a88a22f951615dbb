"""What `ac_evaluate` reads: plain immutable data. Its answer is the same `Verdict` as for DC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evse_controller.model.commands import EvAcLimits
from evse_controller.model.fault import Fault
from evse_controller.model.limits import Limit, SiteAllowance
from evse_controller.model.offer import EnergyNeeds
from evse_controller.safety.ac_phase import AcPhase
from hal.api import AcOutletReading, McuReading


@dataclass(frozen=True, slots=True)
class AcPlate:
    """Commissioned facts of an AC outlet. Currents per phase in A: `max_current_a` is the weakest of fuse, cable and
    contactor. `socket`: the cable is the driver's, and its proximity resistor says what it may carry.
    `export_authorised`: the site may be fed by a car's converter (ARCHITECTURE rule 5)."""

    phases: int
    max_current_a: float
    max_discharge_current_a: float
    nominal_voltage_v: float
    bidirectional: bool
    export_authorised: bool
    max_asymmetry_w: float | None
    socket: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """The most that the EV was told within its reaction time: what it may still take and give, in W, both >= 0."""

    charge_w: float
    discharge_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AcInputs:
    """Everything a verdict depends on. Readings are None until a device has answered once.

    `started_s`: control time at which the station began, the age of a device that never answered. `ev`: the EV's newest
    limits. `contactor_since_s`: when the present contactor command began. `charged_wh` and `discharged_wh`: energy at
    the outlet since `needs` were stated, NaN = unknown. `watch`: the previous verdict's.
    `soc`: as the EV showed it `soc_age_s` ago; `driver_minimum_soc`: what the driver told us not to go below, in %.
    """

    phase: AcPhase
    started_s: float
    plate: AcPlate
    mcu: McuReading | None
    meter: AcOutletReading | None
    allowance: SiteAllowance
    told: Told
    ev: EvAcLimits | None = None
    charge_cap: Limit | None = None
    discharge_cap: Limit | None = None
    service_bidirectional: bool = False
    needs: EnergyNeeds | None = None
    soc: float | None = None
    soc_age_s: float = 0.0
    driver_minimum_soc: float | None = None
    charged_wh: float = 0.0
    discharged_wh: float = 0.0
    contactor_commanded: bool = False
    contactor_since_s: float = 0.0
    stopping: bool = False
    latched: tuple[Fault, ...] = ()
    watch: Mapping[str, float] = field(default_factory=dict)
