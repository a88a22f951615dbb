"""The memory of one session: what has been offered, chosen, measured and promised so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from evse_controller.messages.generated.common_messages import PowerDeliveryReq
from evse_controller.model.commands import ControlMode, EvDcLimits
from evse_controller.model.offer import PowerProfile
from evse_controller.model.snapshot import MeterTotals, Step

NO_SESSION_ID = bytes(8)


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
    """A span of a sent schedule, in seconds from its anchor; `power_w` >= 0, the value as rounded for the wire."""

    start_s: int
    end_s: int
    power_w: float


@dataclass(frozen=True, slots=True)
class SentTuple:
    """A ScheduleTuple as sent: what an EVPowerProfile is checked against."""

    tuple_id: int
    anchor_utc_s: int
    charging: tuple[SentSlot, ...]
    discharging: tuple[SentSlot, ...] | None


@dataclass(slots=True)
class DcData:
    """What only the DC states remember.

    `start_asked_s`: first PowerDeliveryReq before the loop; `profile`: the EV's plan as accepted with its Start.
    """

    limits: EvDcLimits | None = None
    rated: RatedDc | None = None
    cable_check_asked_s: float | None = None
    cable_check_before: Step = Step.IDLE
    pre_charge_asked_s: float | None = None
    pre_charge_target_v: float = 0.0
    start_asked_s: float | None = None
    pending_start: PowerDeliveryReq | None = None
    profile: PowerProfile | None = None
    welding_asked_s: float | None = None
    target_voltage_v: float | None = None


@dataclass(slots=True)
class SessionData:
    """What all states remember. `energy_possible`: since CableCheck was asked for and until the energy was stopped.

    `departure_utc_s` is what the first ScheduleExchangeReq said; `meter` the last reading of a charge loop.
    """

    session_id: bytes = NO_SESSION_ID
    evccid: str = ""
    authorization_asked_s: float | None = None
    authorization_retry: bool = False
    offered: dict[tuple[int, int], OfferedSet] = field(default_factory=dict)
    selected: OfferedSet | None = None
    target_soc: int | None = None
    schedule_asked_s: float | None = None
    offer_before: int | None = None
    departure_utc_s: float | None = None
    tuples: dict[int, SentTuple] = field(default_factory=dict)
    energy_possible: bool = False
    loops: int = 0
    meter: MeterTotals | None = None
    stopped_s: float | None = None
    dc: DcData = field(default_factory=DcData)

    @property
    def established(self) -> bool:
        return self.session_id != NO_SESSION_ID

    @property
    def selection(self) -> OfferedSet:
        """The selected service; only states after ServiceSelection may ask."""
        if self.selected is None:
            raise RuntimeError("no service selected: the state table let a request through too early")
        return self.selected
