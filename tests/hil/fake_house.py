"""A house without hardware for tests of the vehicle: a tame outlet and inlet around the real SECC connection."""

from __future__ import annotations

import hashlib
import random
import secrets
from dataclasses import dataclass, field, replace

from evse_controller.identity import XmlSignatures
from evse_controller.model import commands as c
from evse_controller.model.offer import OfferTuple, PowerSlot, PriceSlot, ScheduleOffer
from evse_controller.model.pilot import PilotState
from evse_controller.model.power import PhasePower
from evse_controller.model.snapshot import (
    AcPresent,
    AcRatings,
    Authorization,
    DcPresent,
    DcRatings,
    DriverWishes,
    EvseSnapshot,
    MeterTotals,
    Notification,
    Step,
)
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.connection import Connection
from evse_controller.secc.contracts import ContractVerifier
from evse_controller.secc.reply import Transport
from evse_controller.secc.surroundings import Peer, Surroundings
from hal.sim.battery import BmsLimits
from hil.evcc import AC_PROTOCOLS, Close, Evcc, EvccConfig, Send

UTC0 = 1_700_000_000.0
RATINGS = DcRatings(
    max_voltage_v=920.0, min_voltage_v=150.0, max_charge_current_a=100.0, max_charge_power_w=30_000.0,
    max_discharge_current_a=80.0, max_discharge_power_w=30_000.0,
)


def offer(charge_w: float = 11_000.0, discharge_w: float | None = 9_000.0) -> ScheduleOffer:
    """Two hours: a cheap half hour, then a dear one in which discharge pays, then the rest."""
    return ScheduleOffer(
        1, int(UTC0), "EUR",
        (
            OfferTuple(
                1, charging=(PowerSlot(7200, charge_w),),
                charge_prices=(PriceSlot(1800, 0.05), PriceSlot(1800, 0.50), PriceSlot(3600, 0.10)),
                discharging=None if discharge_w is None else (PowerSlot(7200, discharge_w),),
                discharge_prices=() if discharge_w is None else
                (PriceSlot(1800, 0.02), PriceSlot(1800, 0.45), PriceSlot(3600, 0.05)),
            ),
        ),
    )


@dataclass
class FakeCharger:
    """Takes at once what it is set to, when the outlet's contactor is closed."""

    power_w: float = 0.0
    closed: bool = False

    def set_power(self, total_w: float) -> None:
        self.power_w = total_w if self.closed else 0.0


@dataclass
class FakeInlet:
    """What the vehicle feels; ideal contactor, constant battery voltage."""

    plugged: bool = False
    pilot: PilotState = PilotState.A
    contactor_closed: bool = False
    outlet_v: float = 0.0
    battery_voltage_v: float = 380.0
    current_a: float = 0.0
    soc_percent: float = 40.0
    capacity_wh: float = 60_000.0
    limits: BmsLimits = field(default_factory=lambda: BmsLimits(125.0, 80.0, 450.0, 300.0))
    closed_at_difference_v: float | None = None
    charger: FakeCharger | None = None

    @property
    def inlet_voltage_v(self) -> float:
        return self.battery_voltage_v if self.contactor_closed else self.outlet_v

    def plug(self) -> None:
        if not self.plugged:
            self.plugged, self.pilot = True, PilotState.B

    def unplug(self) -> None:
        self.plugged, self.pilot, self.contactor_closed, self.current_a = False, PilotState.A, False, 0.0

    def set_pilot(self, state: PilotState) -> None:
        self.pilot = state

    def close_contactor(self) -> None:
        self.closed_at_difference_v = abs(self.outlet_v - self.battery_voltage_v)
        self.contactor_closed = True

    def open_contactor(self) -> None:
        self.contactor_closed = False


_NOTHING = DcRatings(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
_PHASE = PhasePower(7_360.0, 7_360.0, 7_360.0)
_ZERO = PhasePower(0.0, 0.0, 0.0)
AC_RATINGS = AcRatings(_PHASE, _PHASE, _ZERO, _ZERO, 230.0, 50.0, 3)


class FakeOutlet:
    """Does at once what it is told. `allowed_*` are the present limits; `dynamic_a` the station's own set-point, at an
    AC outlet `dynamic_w` (all phases together). `paused` holds what a pause keeps."""

    def __init__(self, ac: bool = False) -> None:
        self.inlet = FakeInlet(charger=FakeCharger() if ac else None)
        self.ac = ac
        self.dynamic_w = 0.0
        self.paused: dict[str, c.PausedSession] = {}
        self.driver: DriverWishes | None = None
        self.charged_w: list[float] = []
        self._ac_since_s: float | None = None
        self.offer: ScheduleOffer | None = offer()
        self.allowed_charge_w = RATINGS.max_charge_power_w
        self.allowed_discharge_w = RATINGS.max_discharge_power_w
        self.dynamic_a = 0.0
        self.notification: Notification | None = None
        self.commands: list[c.Command] = []
        self.utc_speed = 1.0
        self.currents: list[tuple[float, float]] = []
        self._energy = self._stopped = False
        self._cable = self._pre = Step.IDLE
        self._cable_since_s = 0.0
        self._authorization = Authorization.PENDING
        self.answers: list[Authorization] = []  # to the next asks for authorisation; then everybody is let in
        self._offer_due = False

    def of(self, kind: type[c.Command]) -> list[c.Command]:
        return [command for command in self.commands if isinstance(command, kind)]

    def command(self, command: c.Command, now_s: float) -> None:
        self.commands.append(command)
        if isinstance(command, c.AuthorizationRequested):
            self._authorization = self.answers.pop(0) if self.answers else Authorization.ACCEPTED
        elif isinstance(command, c.ScheduleRequested):
            self._offer_due = True
            if command.renegotiation and self.offer is not None:
                self.offer = replace(offer(8_000.0), offer_id=self.offer.offer_id + 1)
        elif isinstance(command, c.CableCheckRequested):
            self._cable, self._cable_since_s = Step.RUNNING, now_s
        elif isinstance(command, c.PreChargeRequested):
            self._pre = Step.DONE
            self.inlet.outlet_v = command.target_voltage_v
        elif isinstance(command, c.EnergyStart):
            self._energy = True
            self._close(True)
        elif isinstance(command, c.EnergyHold):
            self._energy = False
            self._flow(0.0, now_s)
        elif isinstance(command, c.ServiceReleased):
            self._energy, self._stopped, self._offer_due = False, False, False
            self._cable = self._pre = Step.IDLE
        elif isinstance(command, c.ContextKept):
            self.paused[command.context.session_id] = command.context
        elif isinstance(command, c.ContextDropped):
            self.paused.pop(command.session_id, None)
        elif isinstance(command, c.AcLoopUpdate):
            self.charged_w.append(command.present_active_w.total_w)
            hours = (now_s - self._ac_since_s) * self.utc_speed / 3600.0 if self._ac_since_s is not None else 0.0
            self.inlet.soc_percent += self.charged_w[-1] * hours / self.inlet.capacity_wh * 100.0
            self._ac_since_s = now_s
        elif isinstance(command, c.LoopUpdate) and self._energy:
            wanted = self.dynamic_a if command.target_current_a is None else command.target_current_a
            volts = self.inlet.inlet_voltage_v or 1.0
            self._flow(max(-self.allowed_discharge_w / volts, min(self.allowed_charge_w / volts, wanted)), now_s)
        elif isinstance(command, c.EnergyStop | c.SessionEnded):
            self._energy, self._stopped = False, True
            self._close(False)
            self._flow(0.0, now_s)
            self.inlet.outlet_v = 0.0

    def _close(self, closed: bool) -> None:
        """AC: the contactor follows at once, but only in pilot state C, and the charger has what it feeds."""
        if self.inlet.charger is not None:
            self.inlet.charger.closed = closed and self.inlet.pilot is PilotState.C
            if not self.inlet.charger.closed:
                self.inlet.charger.power_w = 0.0

    def _flow(self, current_a: float, now_s: float) -> None:
        """The battery takes in what flowed since the last change, at the speed of world time."""
        if self.currents:
            hours = (now_s - self.currents[-1][0]) * self.utc_speed / 3600.0
            energy_wh = self.inlet.current_a * self.inlet.battery_voltage_v * hours
            self.inlet.soc_percent += energy_wh / self.inlet.capacity_wh * 100.0
        self.inlet.current_a = current_a if self.inlet.contactor_closed else 0.0
        self.currents.append((now_s, self.inlet.current_a))

    def _target_w(self, present_w: float) -> float:
        """Dynamic: the station leads. Scheduled: its bound in the direction in which the vehicle goes."""
        modes = [command.control_mode for command in self.commands if isinstance(command, c.ServiceSelected)]
        if modes and modes[-1] is c.ControlMode.DYNAMIC:
            return self.dynamic_w
        return -_PHASE.total_w if present_w < 0 else _PHASE.total_w

    def snapshot(self, now_s: float) -> EvseSnapshot:
        if self._cable is Step.RUNNING and now_s - self._cable_since_s > 1.0:
            self._cable = Step.DONE
        present = DcPresent(
            920.0, 150.0, 100.0, self.allowed_charge_w, 80.0, self.allowed_discharge_w, False, False, False
        )
        charger = self.inlet.charger
        if charger is not None and self._energy and not charger.closed:
            self._close(True)
        return EvseSnapshot(
            utc_s=UTC0 + now_s, evseid="DE*EVC*E1", bidirectional=True, ratings=_NOTHING if self.ac else RATINGS,
            present=replace(present, max_charge_power_w=0.0, max_discharge_power_w=0.0) if self.ac else present,
            ac_ratings=AC_RATINGS if self.ac else None,
            ac_present=None if charger is None else AcPresent(
                _PHASE, _PHASE, thirds(self._target_w(charger.power_w)), thirds(charger.power_w)
            ),
            contactor=Step.DONE if charger is not None and charger.closed else
            Step.RUNNING if self._energy else Step.IDLE,
            driver=self.driver, pause_allowed=True, notification_max_delay_s=60,
            pilot=self.inlet.pilot, authorization=self._authorization, cable_check=self._cable, precharge=self._pre,
            energy_ready=self._energy, stop_done=self._stopped, present_voltage_v=self.inlet.inlet_voltage_v,
            present_current_a=self.inlet.current_a, meter=MeterTotals("M1", 0.0, 0.0, UTC0 + now_s),
            offer=self.offer if self._offer_due else None, notification=self.notification,
        )


def thirds(total_w: float) -> PhasePower:
    return PhasePower(total_w / 3, total_w / 3, total_w / 3)


def peer(name: str = "EVLAB0000000001") -> Peer:
    return Peer(hashlib.sha512(name.encode()).digest(), name)


class House:
    """Vehicle, connection and tame outlet in virtual time. `at` maps control seconds to actions. An AC vehicle comes to
    an AC outlet."""

    def __init__(
        self, config: EvccConfig | None = None, secc: SeccConfig | None = None, utc_speed: float = 1.0,
        contracts: ContractVerifier | None = None,
    ) -> None:
        config = config or EvccConfig(stop_after_loop_s=5.0)
        ac = config.protocols == AC_PROTOCOLS
        self.outlet = FakeOutlet(ac)
        self.outlet.utc_speed = utc_speed
        self._secc = secc or SeccConfig(services=(5, 1) if ac else (6, 2))
        self.contracts = contracts
        self.signatures = None if contracts is None else XmlSignatures()
        self.now_s = 0.0
        self.at: list[tuple[float, object]] = []
        self.connect(config)

    def connect(self, config: EvccConfig, who: Peer | None = None) -> House:
        """The vehicle, plugged or not, opens a connection with its certificate."""
        speed = self.outlet.utc_speed
        self.evcc = Evcc(config, self.outlet.inlet, random.Random(1), lambda now_s: UTC0 + now_s * speed)
        self.outlet.inlet.plug()
        self.connection = Connection(
            self._secc, Transport.TLS_1_3_MUTUAL, secrets.token_bytes, self.now_s,
            around=Surroundings(who or peer(), self.outlet.paused.get, self.signatures, self.contracts),
        )
        self.closed_by: str | None = None
        return self

    def _to_station(self, outputs: list[object]) -> None:
        for output in outputs:
            if isinstance(output, Send):
                # One octet first, the rest behind it: TCP cuts as it likes.
                for part in (output.data[:1], output.data[1:]):
                    results = self.connection.receive(part, self.outlet.snapshot(self.now_s), self.now_s)
                    self._from_station(results)
            elif isinstance(output, Close):
                self.closed_by = self.closed_by or "vehicle"
                self._from_station(self.connection.on_disconnect(self.now_s))

    def _from_station(self, results: list[object]) -> None:
        for result in results:
            for command in result.commands:
                self.outlet.command(command, self.now_s)
            if result.data is not None:
                self.connection.on_sent(self.now_s)
                self.now_s += 0.001
                self._to_station(self.evcc.receive(result.data, self.now_s))
            if result.close is not None and self.closed_by is None:
                self.closed_by = "station"
                self._to_station(self.evcc.connection_lost(self.now_s))

    def run(self, until_s: float = 300.0) -> House:
        until_s += self.now_s
        self._to_station(self.evcc.start(self.now_s))
        while self.now_s < until_s and not (self.evcc.finished and self.closed_by):
            moments = [self.now_s + 0.05, *(m for m in (self.evcc.deadline_s, self.connection.next_deadline_s) if m)]
            self.now_s = max(self.now_s + 0.001, min(moments))
            while self.at and self.at[0][0] <= self.now_s:
                self.at.pop(0)[1]()
            self._to_station(self.evcc.on_timer(self.now_s))
            self._from_station(self.connection.on_timer(self.now_s, self.outlet.snapshot(self.now_s)))
        return self
