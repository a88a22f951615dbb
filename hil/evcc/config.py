"""What a vehicle is and wants, and how it misbehaves: all of it data."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from evse_controller.model.commands import ControlMode
from evse_controller.model.offer import EnergyOffer
from hal.sim.battery import BmsLimits
from hil.evcc.contract import Contract

DC_NAMESPACE = "urn:iso:std:iso:15118:-20:DC"
AC_NAMESPACE = "urn:iso:std:iso:15118:-20:AC"
SERVICE_AC, SERVICE_DC, SERVICE_AC_BPT, SERVICE_DC_BPT, SERVICE_MCS, SERVICE_MCS_BPT = 1, 2, 5, 6, 8, 9
SERVICE_INTERNET, SERVICE_PARKING_STATUS = 65, 66
AC_SERVICES = frozenset({SERVICE_AC, SERVICE_AC_BPT})
BIDIRECTIONAL_SERVICES = frozenset({SERVICE_AC_BPT, SERVICE_DC_BPT, SERVICE_MCS_BPT})
AC_PROTOCOLS = ((AC_NAMESPACE, 1, 0),)


class Deviation(enum.Enum):
    """Scripted misbehaviour. Those of the charge loop begin with loop request number `EvccConfig.after_loops`."""

    SILENT_IN_LOOP = "stops talking, keeps the connection and its contactors"
    DROP_IN_LOOP = "closes the connection without a word"
    SLOW_LOOP = "sends a loop request every 532 ms, as some stacks in the field do"
    WRONG_SESSION_ID = "sends a loop request with a foreign session id"
    ZERO_SESSION_ID = "sends a loop request with session id 0"
    UNEXPECTED_REQUEST = "sends ServiceDiscoveryReq in the loop"
    WRONG_CONTROL_MODE = "sends a loop request of the other control mode"
    STOP_WITHOUT_POWER_DELIVERY = "sends SessionStopReq in the loop"
    TARGET_VOLTAGE_ZERO = "states no target voltage any more (some cars do that)"
    IGNORE_LIMITS = "asks for its own maximum whatever the station allows"
    IGNORE_NOTIFICATION = "does not react to Terminate or Pause"
    START_THRICE = "repeats PowerDelivery(Start) with EVProcessing Ongoing before it finishes"
    NO_PRECHARGE_FINISHED = "goes on to PowerDelivery without EVProcessing Finished"
    CLOSE_EARLY = "closes its contactors before the voltages match"
    SKIP_WELDING_DETECTION = "goes from PowerDelivery(Stop) to SessionStop"
    STAY_IN_STATE_C = "keeps pilot state C until after SessionStop"
    PULL_PLUG = "the plug leaves the inlet under power"
    NEGATIVE_LIMIT = "states a negative maximum charge current"
    WRONG_TUPLE = "selects a schedule tuple that was never offered"
    SIDE_WRONG_SESSION_ID = "sends a side stream request with a foreign session id"
    TWICE_BESIDE = "sends a second request on a side stream before the first one was answered"
    NO_NEW_SCHEDULE = "goes on with the loop where it asked for a new schedule"
    NEW_WRONG_TUPLE = "takes a tuple into force that the renegotiation never offered"
    PAUSES_UNASKED = "pauses although neither its plan nor the station allows it"
    SILENT_AFTER_STANDBY = "says nothing more once it is in Standby"
    SLEEPS_IN_STANDBY = "opens its contactors in Standby: pilot state B"
    CLOSES_AFTER_SERVICE_RENEGOTIATION = "closes the connection where it should go on with ServiceDiscovery"
    CONFIRMS_UNASKED = "sends MeteringConfirmationReq although it was not asked to"
    CONFIRMS_OTHER_READING = "confirms a reading that the station never sent"
    UNOFFERED_VALUE_ADDED = "selects a value-added service that was never offered"
    LEAVES_PROFILE = "draws its maximum whatever its own profile says"
    OVERDRAWS = "AC: draws half as much again as it was told, and all it can where it leads itself"
    STAYS_IN_STATE_B = "AC: does not go to pilot state C after PowerDelivery(Start)"


@dataclass(frozen=True, slots=True)
class VehicleRatings:
    """What the vehicle's DC system can do; its battery management may allow less at any moment. All >= 0."""

    max_voltage_v: float = 450.0
    min_voltage_v: float = 300.0
    max_charge_current_a: float = 100.0
    max_discharge_current_a: float = 60.0
    max_charge_power_w: float = 40_000.0
    max_discharge_power_w: float = 20_000.0

    def charge_current_a(self, bms: BmsLimits, voltage_v: float) -> float:
        """Highest charge current now, >= 0; none at or above the voltage ceiling."""
        if voltage_v <= 0 or voltage_v >= min(self.max_voltage_v, bms.max_voltage_v):
            return 0.0
        return min(self.max_charge_current_a, bms.max_charge_current_a, self.max_charge_power_w / voltage_v)

    def discharge_current_a(self, bms: BmsLimits, voltage_v: float) -> float:
        """Highest discharge current now, >= 0; none at or below the voltage floor."""
        if voltage_v <= max(self.min_voltage_v, bms.min_voltage_v):
            return 0.0
        return min(self.max_discharge_current_a, bms.max_discharge_current_a, self.max_discharge_power_w / voltage_v)


@dataclass(frozen=True, slots=True)
class AcRatings:
    """What the on-board charger can do: active powers of all phases together, all >= 0.

    `per_phase`: states its limits for each phase (three of them) instead of their sum.
    """

    max_charge_w: float = 11_000.0
    min_charge_w: float = 1_380.0
    max_discharge_w: float = 11_000.0
    min_discharge_w: float = 0.0
    phases: int = 3
    per_phase: bool = True

    @property
    def stated_phases(self) -> int:
        """Over how many figures a power is spread in messages."""
        return self.phases if self.per_phase else 1


class Act(enum.Enum):
    """What a vehicle can do by its script, or because the station asks it to."""

    RENEGOTIATE = "a new schedule on the main stream: energy rests meanwhile"
    RENEGOTIATE_BESIDE = "a new schedule on 0x8101 while the loop goes on"
    CHANGE_SERVICE = "ends the energy transfer and goes on with ServiceDiscovery, without unplugging"
    STANDBY = "no energy for a while, contactors closed"
    PAUSE = "sleeps; another session joins this one later"
    CONFIRM_METER = "confirms the meter reading on 0x8102"
    STOP = "the driver leaves"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a vehicle's script: due `after_s` control seconds in the loop since the step before it was done.

    `hold_s`: how long a Standby lasts unless the station wakes it. `changes`: fields of EvccConfig that are other ones
    from then on, e.g. `{"services": (2,)}` with CHANGE_SERVICE or `{"target_soc": 90.0}` with a new schedule.
    """

    act: Act
    after_s: float = 1.0
    hold_s: float = 5.0
    changes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Memory:
    """What a paused vehicle keeps until it comes back."""

    session_id: bytes
    service_id: int
    parameter_set_id: int
    control_mode: ControlMode


@dataclass(frozen=True, slots=True)
class EvccConfig:
    """One vehicle for one session.

    `services`: energy service ids in the order of preference. SoC figures in %; it does not charge above
    `maximum_soc` nor discharge below `minimum_soc`. `departure_utc_s` in Unix seconds or None.
    `v2x_min_soc`..`v2x_max_soc` is the cycling window told in Dynamic mode. `stop_after_loop_s`: control seconds in
    the charge loop after which the driver stops; None = until departure, the station's Terminate or
    `Evcc.request_stop`. `stop_soc`: end when this SoC is reached. Prices are per kWh.

    `mobility_needs_mode` 2 (Dynamic only): what the station tells of departure and state of charge replaces the
    vehicle's own. `value_added`: (service id, parameter set id or None for the first one); those that are not offered
    are left out. `tolerance`: the answer where a tuple has a power tolerance, None = says nothing of it.
    `energy_offer` goes with every schedule request (Scheduled). `schedule_by`: how a new schedule is asked for when
    the station wants one. `accepts_pause`: pauses when asked to, else it leaves. `resume`: joins a paused session.
    `contract`: authorises by Plug & Charge where that is offered. `authorization_tries`: after so many refusals (each a
    WARNING) it leaves; all tries but the first are by EIM.
    """

    evccid: str = "EVLAB0000000001"
    services: tuple[int, ...] = (SERVICE_DC_BPT, SERVICE_DC)
    control_mode: ControlMode = ControlMode.SCHEDULED
    mobility_needs_mode: int | None = None
    ratings: VehicleRatings = field(default_factory=VehicleRatings)
    target_soc: float = 80.0
    minimum_soc: float = 20.0
    maximum_soc: float = 95.0
    v2x_min_soc: float = 20.0
    v2x_max_soc: float = 95.0
    departure_utc_s: float | None = None
    max_supporting_points: int = 1024
    wear_per_kwh: float = 0.02
    ramp_a_per_s: float = 100.0
    loop_period_s: float = 0.2
    poll_period_s: float = 0.1
    loop_timeout_s: float = 0.5
    ongoing_timeout_s: float = 60.0
    stop_after_loop_s: float | None = None
    stop_soc: float | None = None
    ac: AcRatings = field(default_factory=AcRatings)
    value_added: tuple[tuple[int, int | None], ...] = ()
    energy_offer: EnergyOffer | None = None
    tolerance: bool | None = None
    wants_meter_info: bool = False
    schedule_by: Act = Act.RENEGOTIATE_BESIDE
    accepts_pause: bool = True
    script: tuple[Step, ...] = ()
    resume: Memory | None = None
    contract: Contract | None = None
    authorization_tries: int = 1
    standby_poll_s: float = 2.0
    protocols: tuple[tuple[str, int, int], ...] = ((DC_NAMESPACE, 1, 0),)
    deviations: frozenset[Deviation] = frozenset()
    after_loops: int = 5
