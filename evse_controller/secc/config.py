"""What the operator decides about the protocol. Every default is the strict one; lab switches have names."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from evse_controller.model.commands import ControlMode
from evse_controller.model.snapshot import Notification
from evse_controller.secc.iso20.price_terms import MOST_NUMBER, PriceTerms
from evse_controller.secc.iso20.profile_watch import ProfileTimes
from evse_controller.secc.iso20.timers import Timers
from evse_controller.secc.quirks import Quirk, overrides_for
from evse_controller.secc.v2gtp import MAX_PAYLOAD
from evse_controller.secc.value_added import CustomService, Internet, ParkingStatus

AC_SERVICES = frozenset({1, 5})
DC_SERVICES = frozenset({2, 6, 8, 9})
PRICING_NONE = 0
PRICING_ABSOLUTE = 1
PRICING_LEVELS = 2
# The largest legal price schedule has 1.48 MB; below 64 KiB a legal energy offer of an EV would be refused.
MIN_MESSAGE_LIMIT, MAX_MESSAGE_LIMIT = 64 * 1024, 1536 * 1024
_MOST_SERVICES = 8  # in a ServiceDiscoveryRes, of each kind


@dataclass(frozen=True, slots=True)
class SeccConfig:
    """Configuration of all protocol sessions of one outlet.

    Connection and coding:
    `lab_tcp`: -20 is also selected on plain TCP (never on TLS 1.2). `max_message_bytes`: a V2GTP frame that declares
    more is refused before it is stored, and ends the connection. `refuse_deviations`: a message that breaks its schema
    does not decode, although it could be understood; what conformance tests ask. Cars in the field send such messages,
    so by default they are served and logged.

    Services:
    `services`: energy services in order of preference, all of one kind, as an outlet is: 1 AC, 5 AC_BPT; or 2 DC,
    6 DC_BPT, 8 MCS, 9 MCS_BPT. A bidirectional one is offered only while the snapshot says the outlet is bidirectional.
    `control_modes`: order of the parameter sets; many EVs take the first. `mobility_needs_modes`: for Dynamic, who says
    when the driver leaves: 1 the EV, 2 the EV and we; a set for each, in this order. `internet`, `parking`,
    `custom_services`: value-added services, None or empty: not offered.

    What parameter sets say where public sources disagree (an EV usually reads ControlMode and Connector only):
    `dc_connector` 1 Core, 2 Extended, 3 Dual2, 4 Dual4. `mcs_connector` 1 MCS, 2 ChaoJi, 3 UltraChaoJi, 4 rMCS, 5 xMCS,
    6 Aviation, 7 Marine. `ac_three_phase_connector`: 2 or 3 (single phase is 1). `ac_nominal_voltage_v`: None is the
    line-to-neutral voltage of the outlet; others send 400. `islanding_parameter`: the parameter's name, also seen as
    DetectionMethodGridCodeIslanding. `islanding_method` 1 active, 2 passive. `bpt_channel` 1 unified, 2 separated.
    `generator_mode` 1 grid following, 2 grid forming.

    What sources settle differently, otherwise:
    `filter_energy_services`: SupportedServiceIDs filters energy services too, unless none would be left; else only
    value-added ones [V2G20-1248]. `unknown_service_is_no_energy`: selecting an energy service that was never offered is
    FAILED_NoEnergyTransferServiceSelected; else FAILED_ServiceSelectionInvalid [V2G20-467]. `session_stop_in_loop`:
    SessionStopReq is accepted in PowerDelivery and ChargeLoop, after a safe shutdown; else FAILED_SequenceError.
    `eim_pending_waits_for_customer`: a pending EIM answers Ongoing_WaitingForCustomerInteraction, else Ongoing.
    `invalid_signature_fails`: a contract's invalid signature is FAILED_SignatureError; else a WARNING, and the EV may
    try otherwise. `discharge_schedule_sign`: +1 or -1, sign of the powers in a DischargingSchedule (+ is what is seen
    in the field). `accept_negative_discharge_limits`: cars that send discharge limits as negative numbers are served;
    else refused. `accept_senseless_loop_limits`: limits in the charge loop that make no sense narrow what holds; else
    they end the session (`loop_limits` says which do). `notifications`: what the EV is ever told in EVSEStatus (values
    of `Notification`); Terminate always. `quirks`: any of these for some vehicles only, see `for_vehicle`.

    Session:
    `check_pilot`: hold the rules that tie messages to pilot states (state C in CableCheck, state B after
    PowerDelivery(Stop)). `service_renegotiation`, `standby`, `pause`: whether an EV may change its service without
    unplugging, stop for a while with closed contactors, sleep and come back. `metering_confirmation_signed`: a
    MeteringConfirmationReq without a signature is refused in every session; else only in one that was authorised by
    contract. `ack_max_delay_s`: how long the EV may take to follow a new set-point in Dynamic mode.

    Prices:
    `scheduled_pricing`: 0 none, 1 absolute prices, 2 price levels. `local_price_per_kwh` prices the schedule that the
    session offers by itself when no plan arrived in time. `prices`: what absolute prices hold besides that of energy.

    Schedules:
    `power_tolerance_w`: PowerTolerance of schedules whose plan names none (None: not said); it holds for an EV that
    confirms it. `power_tolerance_required`: one that does not is refused, else warned and held to the margins of
    `profile_watch`, which says how an EV is held to its EVPowerProfile.
    `go_to_pause_after_s`: an EV that can get no power at first for so long is told to sleep meanwhile (None: never).
    """

    # connection and coding
    lab_tcp: bool = False
    max_message_bytes: int = MAX_PAYLOAD
    refuse_deviations: bool = False
    # services
    services: tuple[int, ...] = (2, 6)
    control_modes: tuple[ControlMode, ...] = (ControlMode.SCHEDULED, ControlMode.DYNAMIC)
    mobility_needs_modes: tuple[int, ...] = (1,)
    free_service: bool = False
    internet: Internet | None = None
    parking: ParkingStatus | None = None
    custom_services: tuple[CustomService, ...] = ()
    # parameter sets
    dc_connector: int = 2
    mcs_connector: int = 1
    ac_three_phase_connector: int = 2
    ac_nominal_voltage_v: int | None = None
    islanding_parameter: str = "GridCodeIslandingDetectionMethod"
    islanding_method: int = 1
    bpt_channel: int = 1
    generator_mode: int = 1
    # otherwise disputed
    filter_energy_services: bool = False
    unknown_service_is_no_energy: bool = False
    session_stop_in_loop: bool = True
    eim_pending_waits_for_customer: bool = True
    invalid_signature_fails: bool = False
    discharge_schedule_sign: int = 1
    accept_negative_discharge_limits: bool = False
    accept_senseless_loop_limits: bool = False
    notifications: tuple[str, ...] = tuple(notification.value for notification in Notification)
    quirks: tuple[Quirk, ...] = ()
    # session
    check_pilot: bool = True
    service_renegotiation: bool = True
    standby: bool = True
    pause: bool = True
    metering_confirmation_signed: bool = False
    ack_max_delay_s: int = 30
    # authorization
    # prices
    scheduled_pricing: int = PRICING_ABSOLUTE
    currency: str = "EUR"
    language: str = "eng"
    local_price_per_kwh: float = 0.0
    prices: PriceTerms = field(default_factory=PriceTerms)
    # schedules
    power_tolerance_w: float | None = None
    power_tolerance_required: bool = False
    profile_watch: ProfileTimes = field(default_factory=ProfileTimes)
    go_to_pause_after_s: float | None = None
    # timers
    timers: Timers = field(default_factory=Timers)

    def __post_init__(self) -> None:
        self._check_services()
        self._check_parameters()
        if self.scheduled_pricing not in (PRICING_NONE, PRICING_ABSOLUTE, PRICING_LEVELS):
            raise ValueError(f"scheduled_pricing must be 0, 1 or 2, got {self.scheduled_pricing}")
        if self.discharge_schedule_sign not in (1, -1):
            raise ValueError(f"discharge_schedule_sign must be 1 or -1, got {self.discharge_schedule_sign}")
        unknown = set(self.notifications) - {notification.value for notification in Notification}
        if unknown:
            raise ValueError(f"notifications must name EVSE notifications, got {sorted(unknown)}")
        if len(self.currency) != 3 or len(self.language) != 3:
            raise ValueError(f"currency and language have 3 letters, got {self.currency!r} and {self.language!r}")
        if self.power_tolerance_w is not None and not 0.0 <= self.power_tolerance_w <= MOST_NUMBER:
            raise ValueError(f"power_tolerance_w must be from 0 to {MOST_NUMBER:g}, got {self.power_tolerance_w}")
        if self.go_to_pause_after_s is not None and not self.go_to_pause_after_s > 0.0:
            raise ValueError(f"go_to_pause_after_s must be above 0, got {self.go_to_pause_after_s}")
        if not MIN_MESSAGE_LIMIT <= self.max_message_bytes <= MAX_MESSAGE_LIMIT:
            allowed = f"{MIN_MESSAGE_LIMIT} to {MAX_MESSAGE_LIMIT}"
            raise ValueError(f"max_message_bytes must be from {allowed}, got {self.max_message_bytes}")
        for quirk in self.quirks:
            # A quirk that cannot be is found when the station starts, not when that car comes.
            changed = replace(self, quirks=(), **quirk.overrides)
            if changed.ac is not self.ac:
                raise ValueError(f"a quirk must keep to the outlet's kind, got services {list(changed.services)}")

    @property
    def ac(self) -> bool:
        """Whether this is an AC outlet's configuration."""
        return AC_SERVICES.issuperset(self.services)

    def for_vehicle(self, evccid: str, common_name: str | None) -> SeccConfig:
        """This configuration as it is for one vehicle, itself when no quirk matches.

        `common_name` is that of the vehicle certificate, None without one.
        """
        overrides = overrides_for(self.quirks, evccid, common_name)
        return replace(self, **overrides) if overrides else self

    def _check_services(self) -> None:
        chosen = set(self.services)
        if len(chosen) != len(self.services) or not 1 <= len(chosen) <= _MOST_SERVICES:
            raise ValueError(f"services must be named once each, got {list(self.services)}")
        if not (chosen <= AC_SERVICES or chosen <= DC_SERVICES):
            kinds = f"{sorted(AC_SERVICES)} (AC) or from {sorted(DC_SERVICES)} (DC, MCS)"
            raise ValueError(f"services must be chosen from {kinds}, got {list(self.services)}")
        if set(self.control_modes) != {ControlMode.SCHEDULED, ControlMode.DYNAMIC} or len(self.control_modes) != 2:
            raise ValueError("control_modes must name SCHEDULED and DYNAMIC once each [V2G20-2656]")
        if tuple(sorted(self.mobility_needs_modes)) not in ((1,), (2,), (1, 2)):
            raise ValueError(f"mobility_needs_modes must be from 1 and 2, got {list(self.mobility_needs_modes)}")
        ids = [service.service_id for service in self.custom_services]
        if len(set(ids)) != len(ids) or len(ids) + 2 > _MOST_SERVICES:
            raise ValueError(f"custom_services must be at most 6 of different ids, got {ids}")

    def _check_parameters(self) -> None:
        allowed = {
            "dc_connector": (1, 2, 3, 4),
            "mcs_connector": (1, 2, 3, 4, 5, 6, 7),
            "ac_three_phase_connector": (2, 3),
            "islanding_method": (1, 2),
            "bpt_channel": (1, 2),
            "generator_mode": (1, 2),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} must be from {values[0]} to {values[-1]}, got {getattr(self, name)}")
        if not 1 <= len(self.islanding_parameter) <= 80:
            raise ValueError(f"islanding_parameter must have 1 to 80 letters, got {self.islanding_parameter!r}")
        if self.ac_nominal_voltage_v is not None and not 100 <= self.ac_nominal_voltage_v <= 1000:
            raise ValueError(f"ac_nominal_voltage_v must be from 100 to 1000, got {self.ac_nominal_voltage_v}")
        if not 1 <= self.ack_max_delay_s <= 0xFFFF:
            raise ValueError(f"ack_max_delay_s must be from 1 to 65535, got {self.ack_max_delay_s}")
