"""What a vehicle is and wants, and how it misbehaves: all of it data."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from evse_controller.model.commands import ControlMode
from hal.sim.battery import BmsLimits

DC_NAMESPACE = "urn:iso:std:iso:15118:-20:DC"
SERVICE_DC, SERVICE_DC_BPT = 2, 6


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
class EvccConfig:
    """One vehicle for one session.

    `services`: energy service ids in the order of preference. SoC figures in %; it does not charge above
    `maximum_soc` nor discharge below `minimum_soc`. `departure_utc_s` in Unix seconds or None.
    `v2x_min_soc`..`v2x_max_soc` is the cycling window told in Dynamic mode. `stop_after_loop_s`: control seconds in
    the charge loop after which the driver stops; None = until departure, the station's Terminate or
    `Evcc.request_stop`. `stop_soc`: end when this SoC is reached. Prices are per kWh.
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
    protocols: tuple[tuple[str, int, int], ...] = ((DC_NAMESPACE, 1, 0),)
    deviations: frozenset[Deviation] = frozenset()
    after_loops: int = 5
