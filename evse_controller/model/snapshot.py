"""The one immutable picture of the outlet that a protocol session reads. Built by the station every control step."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from evse_controller.model.offer import ScheduleOffer
from evse_controller.model.pilot import PilotState
from evse_controller.model.power import PhasePower


class Authorization(enum.Enum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Step(enum.Enum):
    """Progress of a hardware step that the EV polls."""

    IDLE = "idle"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Notification(enum.Enum):
    """What the EVSE wants to tell a -20 EV (EVSENotification)."""

    PAUSE = "Pause"
    EXIT_STANDBY = "ExitStandby"
    TERMINATE = "Terminate"
    SCHEDULE_RENEGOTIATION = "ScheduleRenegotiation"
    SERVICE_RENEGOTIATION = "ServiceRenegotiation"
    METERING_CONFIRMATION = "MeteringConfirmation"


@dataclass(frozen=True, slots=True)
class DcRatings:
    """What the hardware can do when nothing derates it; answers ChargeParameterDiscovery. All >= 0."""

    max_voltage_v: float
    min_voltage_v: float
    max_charge_current_a: float
    max_charge_power_w: float
    max_discharge_current_a: float
    max_discharge_power_w: float
    min_charge_current_a: float = 0.0
    min_charge_power_w: float = 0.0
    min_discharge_current_a: float = 0.0
    min_discharge_power_w: float = 0.0
    power_ramp_w_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class DcPresent:
    """What holds right now (site, derating, faults); answers the charge loop. Never above the ratings, all >= 0."""

    max_voltage_v: float
    min_voltage_v: float
    max_charge_current_a: float
    max_charge_power_w: float
    max_discharge_current_a: float
    max_discharge_power_w: float
    current_limited: bool
    power_limited: bool
    voltage_limited: bool


@dataclass(frozen=True, slots=True)
class AcRatings:
    """What an AC outlet can do when nothing derates it. Powers >= 0; `phases` 1 or 3, voltage line to neutral."""

    max_charge_w: PhasePower
    max_discharge_w: PhasePower
    min_charge_w: PhasePower
    min_discharge_w: PhasePower
    nominal_voltage_v: float
    nominal_frequency_hz: float
    phases: int
    max_asymmetry_w: float | None = None
    power_ramp_w_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class AcPresent:
    """What holds right now at an AC outlet; never above the ratings. `target_w` is signed: what Dynamic mode wants.

    `measured_w`: signed, by the outlet's meter; None when no fresh measurement exists. `three_phases`: in this session
    the meter saw the EV load all three.
    """

    max_charge_w: PhasePower
    max_discharge_w: PhasePower
    target_w: PhasePower
    measured_w: PhasePower | None
    three_phases: bool = False


@dataclass(frozen=True, slots=True)
class DriverWishes:
    """What the driver told us instead of the car (MobilityNeedsMode 2). None = the driver said nothing of it."""

    departure_utc_s: float | None = None
    target_soc: int | None = None
    minimum_soc: int | None = None


@dataclass(frozen=True, slots=True)
class MeterTotals:
    """Energy registers of the outlet's meter since this session began, in Wh, each direction >= 0."""

    meter_id: str
    charged_wh: float
    discharged_wh: float
    at_utc_s: float


@dataclass(frozen=True, slots=True)
class EvseSnapshot:
    """Everything a session may know about the outlet. `notification`: what the EVSE wants of the EV, to be heeded
    within `notification_max_delay_s`; `emergency` set: power is off already, and why.

    `ac_ratings` and `ac_present` are set at an AC outlet, where `ratings` and `present` are all zero; `contactor` is
    the progress of closing for AC energy. `pause_allowed`: this outlet can keep a session while it sleeps.

    `present_voltage_v` and `present_current_a` are measured at the outlet (current signed, + to the EV), None when
    no fresh measurement exists.
    """

    utc_s: float
    evseid: str
    bidirectional: bool
    ratings: DcRatings
    present: DcPresent
    pilot: PilotState
    authorization: Authorization
    cable_check: Step
    precharge: Step
    energy_ready: bool
    stop_done: bool
    present_voltage_v: float | None
    present_current_a: float | None
    meter: MeterTotals | None
    offer: ScheduleOffer | None
    notification: Notification | None = None
    notification_max_delay_s: int = 0
    emergency: str | None = None
    ac_ratings: AcRatings | None = None
    ac_present: AcPresent | None = None
    contactor: Step = Step.IDLE
    driver: DriverWishes | None = None
    pause_allowed: bool = False
