"""One outlet: joins station, site, energy, identity and journal around one control step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evse_controller.app.describe import agreed_text, needs_text
from evse_controller.app.recorder import Recorder
from evse_controller.config import Config
from evse_controller.config.devices import Devices
from evse_controller.energy.manager import EnergyConfig, EnergyManager
from evse_controller.energy.prices import Tariff, TariffTerms, flat_day_ahead, load_day_ahead
from evse_controller.identity import EimAuthorizer
from evse_controller.metering import SettlementTerms
from evse_controller.model.clock import ControlClock, WorldClock
from evse_controller.model.commands import (
    AuthorizationRequested,
    Command,
    EnergyStart,
    EvDcLimits,
    LimitsNegotiated,
    LoopUpdate,
    ScheduleRequested,
    ServiceSelected,
    SessionEnded,
    SessionOpened,
)
from evse_controller.model.fault import Fault, FaultCode
from evse_controller.model.snapshot import Authorization, EvseSnapshot
from evse_controller.net.ports import LinkInfo, NetEvent, Output
from evse_controller.site import MeterScope, Site, SiteConfig
from evse_controller.station import Station, StationConfig
from evse_controller.store import Journal

if TYPE_CHECKING:
    from evse_controller.net.ports import V2gConnection
    from evse_controller.net.server import V2gServer

_START_LEAD_S, _ISOLATION_SAMPLES = 4.0, 3  # control time of cable check and pre-charge beside the isolation samples
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
        self.site = Site(_site_config(config))
        self.tariff = _tariff(config)
        self.energy = EnergyManager(_energy_config(config), self.tariff)
        self.authorizer = EimAuthorizer(config.authorization.mode == "free-vend", config.authorization.tokens)
        typical = _typical_efficiency(config)
        terms = SettlementTerms(typical, typical, 0.98, config.energy.wear_cost_per_kwh)
        self.recorder = Recorder(
            journal, ",".join(config.controller.lab), self.tariff, terms, devices.outlet.meter.meter_id
        )
        now_s, utc_s = control.now_s(), world.utc_s()
        latched = tuple(Fault(FaultCode(code), source, cause, now_s) for code, source, cause, _ in journal.latched())
        self.station = Station(_station_config(config), devices.outlet, latched)
        self.recorder.close_interrupted(utc_s, now_s)
        self._bidirectional = False
        self._ev_limits: EvDcLimits | None = None
        self._plugged = False
        self._step_failed = False

    def attach(self, server: V2gServer) -> None:
        self.server = server

    # Hooks of the network shell

    def now_s(self) -> float:
        return self.control.now_s()

    def snapshot(self) -> EvseSnapshot:
        snapshot = self.station.snapshot
        if snapshot is None:
            raise RuntimeError("the first control step must come before the network")
        return snapshot

    def on_commands(self, commands: Sequence[Command]) -> None:
        now_s, utc_s = self.control.now_s(), self.world.utc_s()
        for command in commands:
            self.station.command(command, now_s)
            self._dispatch(command, utc_s)
            self.recorder.command(command, self.devices.outlet.meter.reading(), utc_s, now_s)
        self._drain(utc_s)

    def _drain(self, utc_s: float) -> None:
        for event in self.station.drain_events():
            self.recorder.event(utc_s, event.at_s, event.kind, event.text, event.data)

    def on_output(self, link: LinkInfo, output: Output) -> None:
        event = getattr(output, "event", None)
        if event is not None:
            text = f"{event.request} -> {event.response} {event.code}"
            text += f": {event.reason}" if event.reason else ""
            data: dict[str, Any] = {"state": event.state}
            if event.deviations:
                text += f"; breaks its schema, served: {'; '.join(event.deviations)}"
                data["deviations"] = list(event.deviations)
            self.event("message", text, data)

    def on_event(self, event: NetEvent) -> None:
        self.event(event.kind, event.text)

    def _dispatch(self, command: Command, utc_s: float) -> None:
        moved = self._moved_wh()
        if isinstance(command, SessionOpened):
            self._ev_limits, self._bidirectional = None, False
        elif isinstance(command, AuthorizationRequested):
            if self.authorizer.state(self.now_s()) is Authorization.REJECTED:
                self.authorizer.told()
            self.authorizer.asked()
            state = self.authorizer.state(self.now_s()).value
            self.event("authorization", f"EIM ({self.config.authorization.mode}): {state}")
        elif isinstance(command, ServiceSelected):
            self._bidirectional = command.bidirectional
        elif isinstance(command, LimitsNegotiated):
            self._ev_limits = command.limits
        elif isinstance(command, ScheduleRequested) and self._ev_limits is not None:
            ratings = self.snapshot().ratings
            self.event("schedule", needs_text(command.needs))
            self.energy.request(command.needs, self._ev_limits, ratings, self._bidirectional, utc_s, moved_wh=moved)
        elif isinstance(command, EnergyStart):
            self.energy.accepted(command.profile)
            self.event("schedule", agreed_text(command.profile, self.energy.wish(utc_s).offer))
        elif isinstance(command, LoopUpdate):
            self.recorder.soc = command.soc if command.soc is not None else self.recorder.soc
            self.energy.update(command.needs, command.limits, command.soc, utc_s, moved_wh=moved)
        elif isinstance(command, SessionEnded):
            self.energy.end()
            self.authorizer.session_ended()

    # the control step

    def step(self, now_s: float) -> None:
        """One control step, 20 Hz: site, energy, station (which acts and beats), then the record."""
        utc_s = self.world.utc_s()
        meter = self.devices.outlet.meter.reading()
        building = self.devices.building.reading() if self.devices.building is not None else None
        own_at_s = None if meter is None else meter.at_s
        allowance = self.site.step(now_s, building, self._own_ac_w(), own_at_s)
        self.energy.observe(self.site.outlook(now_s), utc_s, moved_wh=self._moved_wh())
        snapshot = self.station.step(
            now_s,
            utc_s,
            self.world.trusted,
            allowance,
            self.energy.wish(utc_s),
            self.authorizer.state(now_s),
        )
        self.energy.work(clock=self._work_clock)
        self._drain(utc_s)
        status = self.station.status()
        self.recorder.faults(status.faults, utc_s)
        self.recorder.cause(snapshot.emergency or status.stopping)
        max_charge_w = min(
            allowance.import_w.value * self.config.outlet.efficiency_import, self._max_charge_w(snapshot)
        )
        self.recorder.step(meter, self.site.building_w, max_charge_w, utc_s, now_s)
        self._follow_plug(snapshot)
        self._step_failed = False

    def failed(self, error: Exception, now_s: float) -> None:
        """A control step raised: outputs off, no heartbeat; told once until a step succeeds again."""
        self.station.fail_safe(f"control step failed: {error!r}", now_s)
        if not self._step_failed:
            self.event("internal-error", f"control step failed: {error!r}")
        self._step_failed = True

    def _follow_plug(self, snapshot: EvseSnapshot) -> None:
        plugged = snapshot.pilot.connected
        if plugged != self._plugged and self.server is not None:
            self._plugged = plugged
            self.server.set_enabled(plugged)

    def _own_ac_w(self) -> float:
        """AC power of this outlet from the DC meter, estimated low in magnitude.

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
        rated_w = snapshot.ratings.max_charge_power_w
        return rated_w if self._ev_limits is None else min(rated_w, self._ev_limits.max_charge_power_w)

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


def _site_config(config: Config) -> SiteConfig:
    s = config.site
    return SiteConfig(
        import_limit_w=s.import_limit_w,
        export_limit_w=s.export_limit_w,
        failsafe_import_w=s.failsafe_import_w,
        margin_w=s.margin_w,
        meter_scope=MeterScope[s.meter_scope.upper()],
    )


def _station_config(config: Config) -> StationConfig:
    o, c = config.outlet, config.controller
    return StationConfig(
        evseid=c.evseid,
        ratings=o.ratings,
        bidirectional=o.bidirectional,
        grid_profile=o.grid_profile,
        efficiency_import=o.efficiency_import,
        efficiency_export=o.efficiency_export,
        ramp_up_a_per_s=o.ramp_up_a_per_s,
        isolation_response_s=o.isolation_response_s,
        loop_timeout_s=c.slow_loop_timeout_s if "lab-slow-loop" in c.lab else 0.5,
    )


def _energy_config(config: Config) -> EnergyConfig:
    e = config.energy
    speed = 1.0 if config.world is None else config.world.speed
    lead_s = _START_LEAD_S + _ISOLATION_SAMPLES * config.outlet.isolation_response_s
    return EnergyConfig(
        slot_s=e.slot_s,
        default_stay_s=e.default_stay_s,
        wear_per_kwh=e.wear_cost_per_kwh,
        charge_efficiency=_typical_efficiency(config),
        discharge_efficiency=_typical_efficiency(config),
        building_profile_w=e.building_profile_w,
        start_lead_s=lead_s * speed,
        world_speed=speed,
    )


def _typical_efficiency(config: Config) -> float:
    """Between the lowest and the highest, which are for limits: what plans and bills reckon with."""
    return (config.outlet.efficiency_import + config.outlet.efficiency_export) / 2


def _tariff(config: Config) -> Tariff:
    e = config.energy
    terms = TariffTerms(currency=e.currency, buy_surcharge_per_kwh=e.buy_surcharge, sell_fee_per_kwh=-e.sell_surcharge)
    return Tariff(load_day_ahead(e.prices) if e.prices is not None else flat_day_ahead(0.0), terms)
