"""One outlet: joins station, site, energy, identity and journal around one control step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evse_controller.app.back_office import BackOffice
from evse_controller.app.compose import (
    authorizer_of,
    energy_config,
    settlement_terms,
    site_config,
    station_of,
    tariff_of,
)
from evse_controller.app.describe import agreed_text, message_data, message_text, needs_text
from evse_controller.app.recorder import Recorder
from evse_controller.config import Config
from evse_controller.config.devices import Devices
from evse_controller.energy.manager import EnergyManager
from evse_controller.identity import Phase, XmlSignatures
from evse_controller.model.clock import ControlClock, WorldClock
from evse_controller.model.commands import (
    AcLoopUpdate,
    AuthorizationRequested,
    Command,
    ContractAccepted,
    EnergyStart,
    EvAcLimits,
    EvLimits,
    LimitsNegotiated,
    LoopUpdate,
    ScheduleRequested,
    ServiceReleased,
    ServiceSelected,
    SessionEnded,
    SessionOpened,
)
from evse_controller.model.fault import Fault, FaultCode
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import DriverWishes, EvseSnapshot, Notification
from evse_controller.net.ports import LinkInfo, NetEvent, Output
from evse_controller.secc.surroundings import Peer, Surroundings
from evse_controller.site import Site
from evse_controller.store import Journal

if TYPE_CHECKING:
    from evse_controller.net.ports import V2gConnection
    from evse_controller.net.server import V2gServer

ASKED_S = 60.0
"""How long the car may take to heed what it is asked; for a pause [V2G20-3308]."""
CALL_AFTER_S = 25.0
"""A car without a session for so long does not come by itself any more: its communication set-up is over (18 s), also
after a connection that lingered."""
_REST_PHASES = ("idle", "connected", "emergency")


class Outlet:
    """Also the network shell's `Hooks`: snapshot out, commands in."""

    def __init__(
        self,
        config: Config,
        devices: Devices,
        journal: Journal,
        control: ControlClock,
        world: WorldClock,
        work_clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`work_clock` measures how long planning may take from a step; virtual time passes a counter instead."""
        self._work_clock = work_clock
        self.config = config
        self.devices = devices
        self.journal = journal
        self.control = control
        self.world = world
        self.server: V2gServer | None = None
        self.connection: V2gConnection | None = None
        self.site = Site(site_config(config))
        self.tariff = tariff_of(config)
        self.energy = EnergyManager(energy_config(config), self.tariff)
        self.back_office = BackOffice(self.energy, config.energy.wait_for_back_office_s)
        self.authorizer = authorizer_of(config)
        self._signatures = XmlSignatures(p256="lab-p256" in config.controller.lab)
        self.recorder = Recorder(
            journal,
            ",".join(config.controller.lab),
            self.tariff,
            settlement_terms(config),
            devices.outlet.meter.meter_id,
            config.session.pause_keep_h * 3600.0,
        )
        now_s, utc_s = control.now_s(), world.utc_s()
        latched = tuple(Fault(FaultCode(code), source, cause, now_s) for code, source, cause, _ in journal.latched())
        self.station = station_of(config, devices, latched)
        self.recorder.close_interrupted(utc_s, now_s)
        if self.recorder.sleeping(utc_s):
            self.station.restore_sleep()
        self.driver: DriverWishes | None = None
        self.late_messages = 0
        self._bidirectional = False
        self.mobility_needs_mode: int | None = None
        self._ev_limits: EvLimits | None = None
        self._pilot: PilotState | None = None
        self._plugged = self._patient = self._silent = False
        self._alone_since_s = now_s
        self._told_renegotiation = 0
        self._confirm_due_s = math.inf
        self._step_failed = False
        self.good_step_s: float | None = None

    def attach(self, server: V2gServer) -> None:
        self.server = server
        if self._plugged:
            server.set_enabled(True)
            if self._patient:
                server.expect(True)

    def surroundings(self, peer: Peer = Peer()) -> Surroundings:  # noqa: B008 - it does not change
        """What a protocol session of the vehicle `peer` may ask of this outlet."""
        return Surroundings(
            peer=peer,
            paused=lambda session_id: self.recorder.paused.find(session_id, self._utc_s()),
            signatures=self._signatures,
        )

    def _utc_s(self) -> float:
        return self.world.utc_s()

    # what driver, technician and back office ask for

    def wish(self, driver: DriverWishes | None) -> None:
        """What the driver says of departure and charge, until the plug is out; None takes it back."""
        self.driver = driver

    def ask(self, kind: Notification, reason: str, max_delay_s: float = ASKED_S) -> None:
        """Ask something of the car; see `Station.notify`. TERMINATE ends the session at once."""
        if kind is Notification.TERMINATE:
            self.end(reason)
        else:
            self.station.notify(kind, max_delay_s, reason, self.now_s())

    def end(self, reason: str) -> None:
        """End the session, also one that sleeps, and let nothing that stands begin another."""
        self.authorizer.revoke()
        self.station.request_stop(reason, self.now_s())
        self._forget_paused(reason)

    def call_car(self, reason: str) -> bool:
        """Call the car that is plugged in, if it would not come by itself; tells whether it is called."""
        now_s, station = self.now_s(), self.station
        alone = now_s - self._alone_since_s >= CALL_AFTER_S
        deaf = station.stopped is not None or station.asleep or (alone and not station.silent)
        if not (self._plugged and self.recorder.record is None and deaf):
            return False
        station.call(reason, now_s)
        return True

    def _forget_paused(self, why: str) -> None:
        """Nobody may join what was paused here."""
        for session_id in self.recorder.paused.drop_all():
            self.event("session", f"{session_id} was paused and is over: {why}")

    # Hooks of the network shell

    def now_s(self) -> float:
        return self.control.now_s()

    def snapshot(self) -> EvseSnapshot:
        snapshot = self.station.snapshot
        if snapshot is None:
            raise RuntimeError("the first control step must come before the network")
        # As of now, not of the last step: what let the session before in must not let the next one in.
        return replace(snapshot, authorization=self.authorizer.state(self.now_s()))

    def on_commands(self, commands: Sequence[Command]) -> None:
        now_s, utc_s = self.control.now_s(), self.world.utc_s()
        for command in commands:
            reading = self.devices.outlet.meter.reading()
            if isinstance(command, SessionOpened) and command.resumed:
                start = self.recorder.account(command.session_id, reading)
                if start is not None:
                    self.station.restore_account(command.session_id, *start)
            self.station.command(command, now_s)
            self._dispatch(command, now_s, utc_s)
            self.recorder.command(command, reading, utc_s, now_s)
        self._drain(utc_s)

    def _drain(self, utc_s: float) -> None:
        for event in self.station.drain_events():
            self.recorder.event(utc_s, event.at_s, event.kind, event.text, event.data)

    def on_output(self, link: LinkInfo, output: Output, took_s: float | None) -> None:
        event = getattr(output, "event", None)
        if event is None:
            return
        late = took_s is not None and event.performance_s is not None and took_s > event.performance_s
        self.late_messages += late
        self.event("message", message_text(event, took_s if late else None), message_data(output, event, took_s))

    def on_event(self, event: NetEvent) -> None:
        self.event(event.kind, event.text)

    def _dispatch(self, command: Command, now_s: float, utc_s: float) -> None:
        moved = self._moved_wh()
        if isinstance(command, SessionOpened):
            self._ev_limits, self._bidirectional, self.mobility_needs_mode = None, False, None
            self.authorizer.opened(command.resumed)
        elif isinstance(command, AuthorizationRequested):
            self.authorizer.asked(now_s)
            state = self.authorizer.state(now_s).value
            self.event("authorization", f"EIM ({self.config.authorization.mode}): {state}")
        elif isinstance(command, ContractAccepted):
            self.authorizer.by_contract()
            self.event("authorization", "by contract")
        elif isinstance(command, ServiceSelected):
            self._bidirectional = command.bidirectional
            self.mobility_needs_mode = command.mobility_needs_mode
        elif isinstance(command, LimitsNegotiated):
            self._ev_limits = command.limits
        elif isinstance(command, ScheduleRequested) and self._ev_limits is not None:
            self._plan(command, self._ev_limits, utc_s, moved)
        elif isinstance(command, EnergyStart):
            self._confirm_due_s = now_s + (self.config.session.confirm_meter_every_s or math.inf)
            self.energy.accepted(command.profile)
            self.event("schedule", agreed_text(command.profile, self.energy.wish(utc_s).offer))
        elif isinstance(command, LoopUpdate | AcLoopUpdate):
            self.recorder.soc = command.soc if command.soc is not None else self.recorder.soc
            self.energy.update(command.needs, command.limits, command.soc, utc_s, moved_wh=moved)
        elif isinstance(command, ServiceReleased):
            self._forget_plan()
        elif isinstance(command, SessionEnded):
            self._forget_plan()
            self.authorizer.session_ended(command.kind, now_s)

    def _plan(self, command: ScheduleRequested, limits: EvLimits, utc_s: float, moved_wh: float) -> None:
        snapshot = self.snapshot()
        self.event("schedule", needs_text(command.needs) + (", anew" if command.renegotiation else ""))
        self.energy.request(
            command.needs,
            limits,
            snapshot.ac_ratings or snapshot.ratings,
            self._bidirectional,
            utc_s,
            moved_wh=moved_wh,
            ev_offer=command.ev_offer,
            renegotiation=command.renegotiation,
        )

    def _forget_plan(self) -> None:
        self.energy.end()
        self._ev_limits, self._bidirectional, self._confirm_due_s = None, False, math.inf
        self.mobility_needs_mode = None

    # the control step

    def step(self, now_s: float) -> None:
        """One control step, 20 Hz: site, energy, station (which acts and beats), then the record."""
        utc_s = self.world.utc_s()
        meter = self.devices.outlet.meter.reading()
        building = self.devices.building.reading() if self.devices.building is not None else None
        own_at_s = None if meter is None else meter.at_s
        allowance = self.site.step(now_s, building, self._own_ac_w(), own_at_s)
        if (told := self.back_office.step(now_s, utc_s)) is not None:
            self.event("schedule", told)
        self.energy.driver_minimum_soc = None if self.driver is None else self.driver.minimum_soc
        self.energy.observe(self.site.outlook(now_s), utc_s, moved_wh=self._moved_wh())
        snapshot = self.station.step(
            now_s,
            utc_s,
            self.world.trusted,
            allowance,
            self.energy.wish(utc_s),
            self.authorizer.state(now_s),
            self.driver,
        )
        self.energy.work(clock=self._work_clock)
        self._ask_what_is_due(now_s)
        self._drain(utc_s)
        status = self.station.status()
        self.recorder.faults(status.faults, utc_s)
        self.recorder.cause(snapshot.emergency or status.stopping)
        max_charge_w = min(
            allowance.import_w.value * self.config.outlet.efficiency_import, self._max_charge_w(snapshot)
        )
        self.recorder.step(meter, self.site.building_w, max_charge_w, utc_s, now_s)
        self._follow_plug(snapshot, now_s)
        self._step_failed, self.good_step_s = False, now_s

    def failed(self, error: Exception, now_s: float) -> None:
        """A control step raised: outputs off, no heartbeat; told once until a step succeeds again."""
        self.station.fail_safe(f"control step failed: {error!r}", now_s)
        if not self._step_failed:
            self.event("internal-error", f"control step failed: {error!r}")
        self._step_failed = True

    def _ask_what_is_due(self, now_s: float) -> None:
        """A better schedule than the accepted one is asked for once; the meter's confirmation every so often."""
        wanted = self.energy.renegotiation
        if wanted is None:
            if self._told_renegotiation:
                self.station.withdraw(Notification.SCHEDULE_RENEGOTIATION, now_s)
            self._told_renegotiation = 0
        elif wanted.number != self._told_renegotiation:
            self._told_renegotiation = wanted.number
            self.ask(Notification.SCHEDULE_RENEGOTIATION, wanted.reason)
        if now_s >= self._confirm_due_s:
            self._confirm_due_s = now_s + self.config.session.confirm_meter_every_s
            self.ask(Notification.METERING_CONFIRMATION, "it is time to confirm the meter")

    def _follow_plug(self, snapshot: EvseSnapshot, now_s: float) -> None:
        """The car is listened to from plug-in on for a while, again after it was woken, and as long as a session is
        paused: it may come back. One that may charge and does not come is called."""
        pilot, paused = snapshot.pilot, self.recorder.paused
        if pilot is PilotState.A and self._pilot is not PilotState.A:
            if self._pilot is not None:
                self.driver = None
            self.authorizer.unplugged()
            self._forget_paused("the plug is out")
        for session_id in paused.expire(snapshot.utc_s):
            self.event("session", f"{session_id} was paused for too long and is over")
            self.station.wake("its session was paused for too long", now_s)
        self._pilot = self._pilot if pilot is PilotState.INVALID else pilot
        plugged, patient, silent = pilot.connected, bool(paused.all), self.station.silent
        alone = plugged and self.recorder.record is None
        woken = alone and self._silent and not silent
        if self.server is not None:
            if plugged != self._plugged:
                self.server.set_enabled(plugged)
            if plugged and (woken or patient != (self._patient and self._plugged)):
                self.server.expect(patient)
        self._plugged, self._patient, self._silent = plugged, patient, silent
        if plugged:
            self.authorizer.plugged_in()
        if not alone or silent:
            self._alone_since_s = now_s
        if self.authorizer.phase is Phase.KEPT:
            self.call_car("it may charge")

    def _own_ac_w(self) -> float:
        """AC power of this outlet from its meter; of a DC meter estimated low in magnitude.

        What is not ours counts as building load: so too little is imported or exported, never too much.
        """
        reading = self.devices.outlet.meter.reading()
        if reading is None:
            return math.nan  # unknown: the site then falls back to its failsafe share
        outlet = self.config.outlet
        power_w = reading.power_w
        return power_w / outlet.efficiency_export if power_w >= 0 else power_w * outlet.efficiency_import

    def _max_charge_w(self, snapshot: EvseSnapshot) -> float:
        """What charging at once could have taken now; nothing before the car is connected to power."""
        if not snapshot.energy_ready:
            return 0.0
        rated_w, limits = self.config.outlet.max_charge_w, self._ev_limits
        if snapshot.ac_ratings is None:
            rated_w = snapshot.ratings.max_charge_power_w
        if limits is None:
            return rated_w
        ev_w = limits.max_charge_w.total_w if isinstance(limits, EvAcLimits) else limits.max_charge_power_w
        return min(rated_w, ev_w)

    def _moved_wh(self) -> float:
        meter = self.recorder.meter
        return 0.0 if meter is None else meter.totals.charged_wh - meter.totals.discharged_wh

    @property
    def at_rest(self) -> bool:
        return self.station.status().phase.lower() in _REST_PHASES

    def event(self, kind: str, text: str, data: Mapping[str, Any] | None = None) -> None:
        self.recorder.event(self.world.utc_s(), self.control.now_s(), kind, text, data)

    def close(self) -> None:
        self.event("daemon", "stopped")
        self.recorder.flush()
