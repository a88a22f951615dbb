"""The memory of one session: what has been offered, chosen, measured and promised so far."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, fields

from evse_controller.messages.generated.common_messages import PowerDeliveryReq, ScheduleTuple
from evse_controller.messages.generated.common_types import MeterInfo
from evse_controller.model.commands import ControlMode, EvDcLimits
from evse_controller.model.offer import PowerProfile
from evse_controller.model.snapshot import MeterTotals, Notification, Step
from evse_controller.secc.iso20.ac_data import AcData
from evse_controller.secc.iso20.auth_data import AuthData
from evse_controller.secc.iso20.profile_watch import ProfileWatch

NO_SESSION_ID = bytes(8)
# How many of the last readings told an EV may confirm: it confirms one while newer ones are told.
_READINGS = 64


@dataclass(frozen=True, slots=True)
class OfferedSet:
    """One parameter set that was sent in a ServiceDetailRes: the pair that the EV may select, and what it means."""

    service_id: int
    parameter_set_id: int
    control_mode: ControlMode
    bidirectional: bool
    mobility_needs_mode: int
    pricing: int


@dataclass(frozen=True, slots=True)
class RatedDc:
    """The limits of ChargeParameterDiscoveryRes exactly as sent; the loop never exceeds them [V2G20-2654]."""

    max_voltage_v: float
    min_voltage_v: float
    max_charge_current_a: float
    min_charge_current_a: float
    max_charge_power_w: float
    min_charge_power_w: float
    max_discharge_current_a: float = 0.0
    min_discharge_current_a: float = 0.0
    max_discharge_power_w: float = 0.0
    min_discharge_power_w: float = 0.0


@dataclass(frozen=True, slots=True)
class SentSlot:
    """A span of a sent schedule, in seconds from its anchor; `power_w` >= 0, the value as rounded for the wire.

    `phases_w`: the power of each phase where phases were told apart; `power_w` is their sum.
    """

    start_s: int
    end_s: int
    power_w: float
    phases_w: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class SentTuple:
    """A ScheduleTuple as sent: what an EVPowerProfile is checked against. `offer_id`: the offer that it came from."""

    tuple_id: int
    anchor_utc_s: int
    charging: tuple[SentSlot, ...]
    discharging: tuple[SentSlot, ...] | None
    offer_id: int = 0
    tolerance_w: float | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A notification that the EV is being told, since when, and within which time it was first asked to heed it."""

    notification: Notification
    since_s: float
    max_delay_s: int


@dataclass(frozen=True, slots=True)
class Due:
    """What the EV must have done by `at_s`, whatever it sends meanwhile: an outlet is not held live without it."""

    at_s: float
    what: str


@dataclass(frozen=True, slots=True)
class Renegotiation:
    """A new schedule is being made, or was told and waits for the EV's profile; what to go back to if it fails."""

    tuples_before: dict[int, SentTuple]
    sent_before: list[ScheduleTuple]
    told: bool = False


@dataclass(slots=True)
class DcData:
    """What only the DC states remember."""

    negotiated: EvDcLimits | None = None
    limits: EvDcLimits | None = None
    rated: RatedDc | None = None
    cable_check_asked_s: float | None = None
    cable_check_before: Step = Step.IDLE
    pre_charge_asked_s: float | None = None
    pre_charge_target_v: float = 0.0
    welding_asked_s: float | None = None
    target_voltage_v: float | None = None


@dataclass(slots=True)
class SessionData:
    """What all states remember. `energy_possible`: since energy was prepared for and until it was stopped;
    `stopped_s`: when that was, `stop_said`: whether the EV said so itself.

    `departure_utc_s` is what the first ScheduleExchangeReq said; `tuples` are selectable, as sent; `chosen` is the one
    in force and `profile` the EV's plan as accepted with it. `start_asked_s`: first PowerDeliveryReq that has not led
    to a loop yet; `due`: what is awaited since then. `loops`: since the service was selected; `loops_since_start`:
    since energy was started or started again. `meter` is the last reading of a charge loop, `meter_told` the last ones
    that the EV has seen. `told`: the notification that stands; `told_ever`: all of this service. `pause_until_s`: until
    then the EV may pause because we asked for it, infinite while the newest answer that could say so did.
    `meter_confirmed`: readings that the EV confirmed since it was last asked to. `kept`: it was paused, and may still
    be joined again if it is lost now. `contract_der`: leaf of the contract that authorised the session, None for EIM.
    `offered_extra` and `value_added` are pairs of value-added services: sent, and chosen.
    """

    session_id: bytes = NO_SESSION_ID
    evccid: str = ""
    auth: AuthData = field(default_factory=AuthData)
    contract_der: bytes | None = None
    offered: dict[tuple[int, int], OfferedSet] = field(default_factory=dict)
    offered_extra: set[tuple[int, int]] = field(default_factory=set)
    selected: OfferedSet | None = None
    kept: bool = False
    value_added: tuple[tuple[int, int], ...] = ()
    target_soc: int | None = None
    minimum_soc: int | None = None
    shown_soc: float | None = None
    capacity_wh: float | None = None
    schedule_asked_s: float | None = None
    offer_before: int | None = None
    departure_utc_s: float | None = None
    tuples: dict[int, SentTuple] = field(default_factory=dict)
    schedule_sent: list[ScheduleTuple] = field(default_factory=list)
    renegotiation: Renegotiation | None = None
    pause_until_s: float | None = None
    start_asked_s: float | None = None
    due: Due | None = None
    pending_start: PowerDeliveryReq | None = None
    profile: PowerProfile | None = None
    chosen: SentTuple | None = None
    watch: ProfileWatch | None = None
    energy_possible: bool = False
    loops: int = 0
    loops_since_start: int = 0
    meter: MeterTotals | None = None
    meter_told: deque[MeterInfo] = field(default_factory=lambda: deque(maxlen=_READINGS))
    meter_confirmed: deque[MeterInfo] = field(default_factory=lambda: deque(maxlen=_READINGS))
    told: Told | None = None
    told_ever: set[Notification] = field(default_factory=set)
    stopped_s: float | None = None
    stop_said: bool = False
    dc: DcData = field(default_factory=DcData)
    ac: AcData = field(default_factory=AcData)

    @property
    def established(self) -> bool:
        return self.session_id != NO_SESSION_ID

    @property
    def selection(self) -> OfferedSet:
        """The selected service; only states after ServiceSelection may ask."""
        if self.selected is None:
            raise RuntimeError("no service selected: the state table let a request through too early")
        return self.selected

    @property
    def renegotiating(self) -> bool:
        """A new schedule is being made while an older one is in force."""
        return self.renegotiation is not None and not self.renegotiation.told

    def release_service(self) -> None:
        """Service renegotiation: what belongs to the service is forgotten, what belongs to the session stays."""
        fresh = SessionData()
        for entry in fields(self):
            if entry.name not in OF_SESSION:
                setattr(self, entry.name, getattr(fresh, entry.name))


OF_SESSION = frozenset(
    {
        "session_id",
        "evccid",
        "auth",
        "contract_der",
        "offered",  # offers of this session may be selected again
        "offered_extra",
        "meter",
        "meter_told",
        "meter_confirmed",
        "watch",  # what was taken beyond a profile is not forgiven by changing the service
    }
)
