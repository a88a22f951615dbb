"""What the operator decides about the protocol. Every default is the strict one; lab switches have names."""

from __future__ import annotations

from dataclasses import dataclass, field

from evse_controller.model.commands import ControlMode
from evse_controller.secc.iso20.timers import Timers
from evse_controller.secc.v2gtp import MAX_PAYLOAD

PRICING_NONE = 0
PRICING_ABSOLUTE = 1
PRICING_LEVELS = 2
# The largest legal price schedule has 1.48 MB; below 64 KiB a legal energy offer of an EV would be refused.
MIN_MESSAGE_LIMIT, MAX_MESSAGE_LIMIT = 64 * 1024, 1536 * 1024


@dataclass(frozen=True, slots=True)
class SeccConfig:
    """Configuration of all protocol sessions of one outlet.

    `lab_tcp`: -20 is also selected on plain TCP (never on TLS 1.2). `services`: energy services in order of preference
    (2 DC, 6 DC_BPT); a bidirectional one is offered only while the snapshot says the outlet is bidirectional.
    `control_modes`: order of the parameter sets; many EVs take the first. `discharge_schedule_sign`: +1 or -1, sign of
    the powers in a DischargingSchedule (public stacks disagree, + is what is seen in the field). `check_pilot`: hold
    the rules that tie messages to pilot states (state C in CableCheck, state B after PowerDelivery(Stop)).
    `local_price_per_kwh` prices the schedule that the session offers by itself when no plan arrived in time.
    `accept_negative_discharge_limits`: quirk of cars that send discharge limits as negative numbers; else refused.
    `max_message_bytes`: a V2GTP frame that declares more is refused before it is stored, and ends the connection.
    `refuse_deviations`: a message that breaks its schema does not decode, although it could be understood; what
    conformance tests ask. Cars in the field send such messages, so by default they are served and logged.
    """

    lab_tcp: bool = False
    services: tuple[int, ...] = (2, 6)
    control_modes: tuple[ControlMode, ...] = (ControlMode.SCHEDULED, ControlMode.DYNAMIC)
    scheduled_pricing: int = PRICING_ABSOLUTE
    dc_connector: int = 2
    discharge_schedule_sign: int = 1
    accept_negative_discharge_limits: bool = False
    check_pilot: bool = True
    free_service: bool = False
    currency: str = "EUR"
    language: str = "eng"
    local_price_per_kwh: float = 0.0
    max_message_bytes: int = MAX_PAYLOAD
    refuse_deviations: bool = False
    timers: Timers = field(default_factory=Timers)

    def __post_init__(self) -> None:
        if set(self.control_modes) != {ControlMode.SCHEDULED, ControlMode.DYNAMIC} or len(self.control_modes) != 2:
            raise ValueError("control_modes must name SCHEDULED and DYNAMIC once each [V2G20-2656]")
        if self.scheduled_pricing not in (PRICING_NONE, PRICING_ABSOLUTE, PRICING_LEVELS):
            raise ValueError(f"scheduled_pricing must be 0, 1 or 2, got {self.scheduled_pricing}")
        if self.discharge_schedule_sign not in (1, -1):
            raise ValueError(f"discharge_schedule_sign must be 1 or -1, got {self.discharge_schedule_sign}")
        if len(self.currency) != 3 or len(self.language) != 3:
            raise ValueError(f"currency and language have 3 letters, got {self.currency!r} and {self.language!r}")
        if not MIN_MESSAGE_LIMIT <= self.max_message_bytes <= MAX_MESSAGE_LIMIT:
            allowed = f"{MIN_MESSAGE_LIMIT} to {MAX_MESSAGE_LIMIT}"
            raise ValueError(f"max_message_bytes must be from {allowed}, got {self.max_message_bytes}")
        unknown = set(self.services) - {2, 6}
        if unknown or not self.services:
            raise ValueError(f"services must be chosen from 2 (DC) and 6 (DC_BPT), got {list(self.services)}")
