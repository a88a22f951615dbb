"""What the session asks of the station: effects as data. The station may refuse; it answers through the snapshot."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from evse_controller.model.offer import EnergyNeeds, PowerProfile


class ControlMode(enum.Enum):
    SCHEDULED = 1
    DYNAMIC = 2


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """SessionSetup done. `evccid` as sent by the EV; the journal keys on `session_id` (hex, upper case)."""

    session_id: str
    evccid: str
    protocol: str


@dataclass(frozen=True, slots=True)
class AuthorizationRequested:
    """The EV asks for EIM authorisation and will poll; answer through the snapshot's `authorization`."""


@dataclass(frozen=True, slots=True)
class ServiceSelected:
    """The energy service of this session. `bidirectional` is true only for a BPT service."""

    service_id: int
    parameter_set_id: int
    control_mode: ControlMode
    bidirectional: bool
    mobility_needs_mode: int


@dataclass(frozen=True, slots=True)
class EvDcLimits:
    """The EV's own DC limits (CPD, refreshed by every loop request). All >= 0; None = not (or no longer) stated."""

    max_voltage_v: float
    min_voltage_v: float
    max_charge_current_a: float
    min_charge_current_a: float
    max_charge_power_w: float
    min_charge_power_w: float
    max_discharge_current_a: float | None = None
    min_discharge_current_a: float | None = None
    max_discharge_power_w: float | None = None
    min_discharge_power_w: float | None = None


@dataclass(frozen=True, slots=True)
class LimitsNegotiated:
    """ChargeParameterDiscovery done: the trip levels of this session."""

    limits: EvDcLimits
    target_soc: float | None


@dataclass(frozen=True, slots=True)
class ScheduleRequested:
    """ScheduleExchangeReq: plan for these needs; the offer arrives in the snapshot."""

    needs: EnergyNeeds


@dataclass(frozen=True, slots=True)
class CableCheckRequested:
    """First DC_CableCheckReq; progress arrives in the snapshot's `cable_check`."""


@dataclass(frozen=True, slots=True)
class PreChargeRequested:
    """Each DC_PreChargeReq: bring the outlet to `target_voltage_v` with at most 2 A."""

    target_voltage_v: float
    ev_present_voltage_v: float


@dataclass(frozen=True, slots=True)
class EnergyStart:
    """PowerDeliveryReq(Start, Finished) accepted: energy may flow from now on."""

    profile: PowerProfile | None


@dataclass(frozen=True, slots=True)
class LoopUpdate:
    """Each DC_ChargeLoopReq. Scheduled: the EV's signed target current (- = discharge) and last non-zero voltage.

    Dynamic: `target_current_a` is None, the station follows the energy room's set-point inside `limits`.
    """

    present_voltage_v: float
    target_voltage_v: float | None
    target_current_a: float | None
    limits: EvDcLimits
    needs: EnergyNeeds | None
    soc: float | None


@dataclass(frozen=True, slots=True)
class EnergyStop:
    """PowerDeliveryReq(Stop) or Standby: ramp to zero, open at zero current, discharge the link."""

    reason: str


@dataclass(frozen=True, slots=True)
class WeldingDetectionRequested:
    """DC_WeldingDetectionReq: report the voltage measured at the outlet."""


class EndKind(enum.Enum):
    """How a session ended. All but PAUSED forget its context."""

    TERMINATED = "terminated"
    PAUSED = "paused"
    FAILED = "failed"
    EV_TIMEOUT = "ev-timeout"
    EV_CLOSED = "ev-closed"


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The protocol session is over; the station must reach a safe state whatever phase it is in."""

    kind: EndKind
    reason: str


Command = (
    SessionOpened
    | AuthorizationRequested
    | ServiceSelected
    | LimitsNegotiated
    | ScheduleRequested
    | CableCheckRequested
    | PreChargeRequested
    | EnergyStart
    | LoopUpdate
    | EnergyStop
    | WeldingDetectionRequested
    | SessionEnded
)
