"""What the session asks of the station: effects as data. The station may refuse; it answers through the snapshot."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from evse_controller.model.offer import EnergyNeeds, EnergyOffer, PowerProfile
from evse_controller.model.power import PhasePower
from evse_controller.model.snapshot import Notification


class ControlMode(enum.Enum):
    SCHEDULED = 1
    DYNAMIC = 2


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """SessionSetup done. `evccid` as sent by the EV; the journal keys on `session_id` (hex, upper case).

    `resumed`: a paused session goes on; its authorisation and its energy account still hold.
    """

    session_id: str
    evccid: str
    protocol: str
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class AuthorizationRequested:
    """The EV asks for EIM authorisation and will poll; answer through the snapshot's `authorization`."""


@dataclass(frozen=True, slots=True)
class ContractAccepted:
    """A contract authorised the session (Plug & Charge). `contract_id` (eMAID) is personal: not for logs."""

    contract_id: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServiceSelected:
    """The energy service of this session. `bidirectional` is true only for a BPT service, `ac` for an AC one.

    `value_added`: (service id, parameter set id) of the value-added services chosen with it.
    """

    service_id: int
    parameter_set_id: int
    control_mode: ControlMode
    bidirectional: bool
    mobility_needs_mode: int
    ac: bool = False
    value_added: tuple[tuple[int, int], ...] = ()


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
class EvAcLimits:
    """The EV's own AC limits. All >= 0; None = not (or no longer) stated. Discharge only with a BPT service."""

    max_charge_w: PhasePower
    min_charge_w: PhasePower
    max_discharge_w: PhasePower | None = None
    min_discharge_w: PhasePower | None = None


EvLimits = EvDcLimits | EvAcLimits


@dataclass(frozen=True, slots=True)
class LimitsNegotiated:
    """ChargeParameterDiscovery done: the trip levels of this session."""

    limits: EvLimits
    target_soc: float | None


@dataclass(frozen=True, slots=True)
class ScheduleRequested:
    """ScheduleExchangeReq: plan for these needs; the offer arrives in the snapshot.

    `ev_offer`: what the EV itself offers to sell, Scheduled mode only. `renegotiation`: energy was flowing by an
    older schedule, whose caps rule until the new one is accepted.
    """

    needs: EnergyNeeds
    ev_offer: EnergyOffer | None = None
    renegotiation: bool = False


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
class AcLoopUpdate:
    """Each AC_ChargeLoopReq: what the EV takes (+) or gives (-) now, its newest limits and needs.

    The EV's own converter makes the power; the station watches that it keeps to what it was told. `by_schedule_w`:
    (charge, discharge) >= 0 that a Scheduled EV may do by its schedule around now, whatever its clock says; None: there
    is no schedule. `target_told`: the answer says a target.
    """

    present_active_w: PhasePower
    limits: EvAcLimits
    needs: EnergyNeeds | None
    soc: float | None
    by_schedule_w: tuple[float, float] | None = None
    target_told: bool = True


@dataclass(frozen=True, slots=True)
class EnergyHold:
    """Schedule renegotiation or Standby: current to zero, contactors stay closed, no loop requests are due.

    `EnergyStart` ends it. Whatever ends the session ends it too, in the usual order. `standby`: it may last.
    """

    reason: str
    standby: bool = False


@dataclass(frozen=True, slots=True)
class EnergyStop:
    """PowerDeliveryReq(Stop): ramp to zero, open at zero current, discharge the link."""

    reason: str


@dataclass(frozen=True, slots=True)
class WeldingDetectionRequested:
    """DC_WeldingDetectionReq: report the voltage measured at the outlet."""


@dataclass(frozen=True, slots=True)
class ServiceReleased:
    """SessionStopReq(ServiceRenegotiation): energy is off, the session goes on with ServiceDiscovery.

    Limits, schedule and service of the session are void; its identity, authorisation and energy account stay.
    """


@dataclass(frozen=True, slots=True)
class MeterConfirmed:
    """MeteringConfirmationReq accepted: the EV has seen these registers. `signed`: with a verified signature."""

    meter_id: str
    charged_wh: int
    discharged_wh: int
    at_utc_s: int | None
    signed: bool


@dataclass(frozen=True, slots=True)
class Notified:
    """The EV is told, for the first time or anew, what the snapshot's `notification` asks of it."""

    notification: Notification


@dataclass(frozen=True, slots=True)
class PausedSession:
    """What must survive until the EV comes back, also a restart of the process. It holds no secret of the EV.

    `binding`: SHA-512 over session id and SHA-512 of the vehicle's leaf certificate [V2G20-2630]. `offered` are the
    (service id, parameter set id) pairs of this session; `value_added` are those of the value-added services chosen.
    `contract_der`: leaf of the contract that authorised it, which signs its meter readings; None for EIM. It names a
    person: not for logs.
    """

    session_id: str
    binding: str
    evccid: str
    protocol: str
    service_id: int
    parameter_set_id: int
    offered: tuple[tuple[int, int], ...]
    paused_utc_s: float
    value_added: tuple[tuple[int, int], ...] = ()
    contract_der: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ContextKept:
    """Write this down before the answer to SessionStopReq(Pause) leaves."""

    context: PausedSession


@dataclass(frozen=True, slots=True)
class ContextDropped:
    """A paused session was joined again, or ended for good: forget it."""

    session_id: str


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
    | ContractAccepted
    | ServiceSelected
    | LimitsNegotiated
    | ScheduleRequested
    | CableCheckRequested
    | PreChargeRequested
    | EnergyStart
    | LoopUpdate
    | AcLoopUpdate
    | EnergyHold
    | EnergyStop
    | WeldingDetectionRequested
    | ServiceReleased
    | MeterConfirmed
    | Notified
    | ContextKept
    | ContextDropped
    | SessionEnded
)
