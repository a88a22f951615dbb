"""The one immutable picture of the outlet that a protocol session reads. Built by the station every control step."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from evse_controller.model.offer import ScheduleOffer
from evse_controller.model.pilot import PilotState


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
class MeterTotals:
    """Energy registers of the outlet's meter since this session began, in Wh, each direction >= 0."""

    meter_id: str
    charged_wh: float
    discharged_wh: float
    at_utc_s: float


@dataclass(frozen=True, slots=True)
class EvseSnapshot:
    """Everything a session may know about the outlet. `notification` TERMINATE: the EVSE wants to end the session;
    `emergency` set: power is off already, and why.

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
