"""What `evaluate` reads and what it answers: plain immutable data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evse_controller.model.commands import EvDcLimits
from evse_controller.model.fault import Fault
from evse_controller.model.limits import Limit, SiteAllowance
from evse_controller.model.offer import EnergyNeeds
from evse_controller.model.permit import Permit
from evse_controller.model.snapshot import DcRatings
from evse_controller.safety.phase import Phase
from hal.api import DcMeterReading, IsolationReading, McuReading, PowerCapability, PowerMode, PowerReading

NamedLimit = tuple[str, Limit]
"""A limit in W at the outlet (DC side) with the name under which the CLI lists it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything a verdict depends on. Readings are None until a device has answered once.

    `started_s`: control time at which the station began, the age of a device that never answered. `negotiated`: the
    EV's limits from ChargeParameterDiscovery (trip levels); `ev`: its newest limits (clamps). `efficiency_import`
    is the lowest, `efficiency_export` the highest AC/DC efficiency to reckon with (0..1): both err to the safe side
    of the site's AC limits. `contactors_since_s`: when the present contactor command began. `isolation_since_s`:
    since when the monitor has been told to measure, None = it need not. `charged_wh` and `discharged_wh`: energy at the
    outlet since `needs` were stated, NaN = unknown. `watch`: the previous verdict's. `soc`: as the EV showed it
    `soc_age_s` ago; `driver_minimum_soc`: what the driver told us not to go below, in %, whatever the EV says.
    `mcs`: a megawatt connector.
    `cable_test_unfinished`: a ramp down began in the cable check, so the outlet may still be at its test voltage.
    """

    phase: Phase
    started_s: float
    mcu: McuReading | None
    power: PowerReading | None
    capability: PowerCapability | None
    meter: DcMeterReading | None
    isolation: IsolationReading | None
    ratings: DcRatings
    allowance: SiteAllowance
    efficiency_import: float = 0.93
    efficiency_export: float = 0.98
    negotiated: EvDcLimits | None = None
    ev: EvDcLimits | None = None
    charge_cap: Limit | None = None
    discharge_cap: Limit | None = None
    service_bidirectional: bool = False
    export_configured: bool = False
    grid_profile: int | None = None
    needs: EnergyNeeds | None = None
    soc: float | None = None
    soc_age_s: float = 0.0
    driver_minimum_soc: float | None = None
    charged_wh: float = 0.0
    discharged_wh: float = 0.0
    mode: PowerMode = PowerMode.CHARGE
    changing_direction: bool = False
    cable_test_unfinished: bool = False
    contactors_commanded: bool = False
    contactors_since_s: float = 0.0
    isolation_since_s: float | None = None
    stopping: bool = False
    mcs: bool = False
    latched: tuple[Fault, ...] = ()
    watch: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer. `faults` are the causes present now (the station keeps them as long as the fault table says).

    `charge` and `discharge` list every limit in W at the outlet, `charge_rules` and `discharge_rules` the tightest.
    `export_denied` is why discharging is not permitted, None when it is. `trip_voltage_v` is the level above which
    the outlet trips in this phase.
    """

    permit: Permit
    faults: tuple[Fault, ...]
    charge: tuple[NamedLimit, ...]
    discharge: tuple[NamedLimit, ...]
    charge_rules: NamedLimit
    discharge_rules: NamedLimit
    export_denied: str | None
    trip_voltage_v: float
    watch: Mapping[str, float]
