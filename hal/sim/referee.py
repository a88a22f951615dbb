"""The referee: judges the plant, knows nothing of the controller.

It reads only physical state and the plant's own events and keeps a list of objections. What counts as an emergency
cause (opening under load is then right, not wrong) is defined in one place, `_emergency`: now or within the last 5 s an
injected fault that forces it (`hal.sim.excuses`), an emergency stop, the pilot board in its safe state, its heartbeat
late, the grid gone, the car's pilot out of C/D or the connector out, or an outlet above the car's voltage limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from evse_controller.model.pilot import PilotState
from hal.sim.events import BusOverrun, ConnectorMoved, ContactorMoved, IsolationMeasured, ModeWritten
from hal.sim.excuses import justifies_opening
from hal.sim.power_stage import INVERTER, RECTIFIER
from hal.sim.referee_ac import AC_RULES, AcRefereeConfig, judge_ac, opened_above_rating
from hal.sim.world import World

RULES = (
    "closed-on-mismatch",
    "closed-on-live-line",
    "opened-under-load",
    "energy-before-cable-test",
    "current-before-the-car-closed",
    "over-ev-voltage",
    "mode-change-under-power",
    "export-without-grid-profile",
    "bus-over-bit-rate",
    "fed-after-owner-died",
    "unplugged-live",
    "grid-limit",
    "energy-balance",
    *AC_RULES,
)


@dataclass(frozen=True, slots=True)
class Objection:
    """One broken rule, with control time and figures."""

    rule: str
    at_s: float
    detail: str


@dataclass(frozen=True, slots=True)
class RefereeConfig:
    """Thresholds. Times are control time in seconds. `evse_max_voltage_v`: of the type plate, if below the modules'."""

    mismatch_v: float = 20.0
    live_v: float = 60.0
    break_a: float = 5.0
    flow_a: float = 1.0
    flow_s: float = 0.05
    evse_max_voltage_v: float = math.inf
    cable_test_share: float = 0.95
    cable_ohm_per_v: float = 100.0
    small_a: float = 2.0
    small_margin_a: float = 0.5
    small_s: float = 0.05
    over_voltage_v: float = 5.0
    over_voltage_s: float = 0.02
    zero_a: float = 1.0
    heartbeat_s: float = 0.5
    heartbeat_margin_s: float = 0.1
    excuse_s: float = 5.0
    export_w: float = 50.0
    grid_tolerance_w: float = 100.0
    grid_reaction_s: float = 2.0
    balance_relative: float = 1e-6
    balance_wh: float = 1e-4
    required_grid_profile: int | None = None
    ac: AcRefereeConfig = field(default_factory=AcRefereeConfig)


class Referee:
    """Attach with `Referee(world)`; it watches every sub-step. `check()` at the end of a test."""

    def __init__(self, world: World, config: RefereeConfig | None = None) -> None:
        self.config = config or RefereeConfig()
        self.objections: list[Objection] = []
        self.import_limit_w: float | None = None
        self.export_limit_w: float | None = None
        self._world = world
        self._seen = 0
        self._tested_ohm: float | None = None
        self._test_over = False
        self._car_open = False
        self._waived: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self._raised: set[str] = set()
        world.observers.append(self._watch)

    def set_grid_limits(self, import_w: float | None, export_w: float | None) -> None:
        """Limits of the grid connection from now on (both >= 0, None = none); a change restarts the allowance."""
        self.import_limit_w = import_w
        self.export_limit_w = export_w
        self._since.pop("grid-import", None)
        self._since.pop("grid-export", None)

    def waive(self, rule: str, why: str) -> None:
        """A test that breaks a rule on purpose says so; objections to it are then not recorded."""
        if rule not in RULES:
            raise ValueError(f"no such rule: {rule}")
        if not why:
            raise ValueError("a waiver needs a reason")
        self._waived[rule] = why

    def check(self) -> None:
        """Raise AssertionError with every objection; silent when there is none."""
        self._take_events(self._world)
        if self.objections:
            lines = "\n".join(f"  {o.at_s:.3f} s {o.rule}: {o.detail}" for o in self.objections)
            raise AssertionError(f"the referee objects:\n{lines}")

    # -- watching --------------------------------------------------------------------------------------------------
    def _object(self, rule: str, at_s: float, detail: str) -> None:
        if rule not in self._waived:
            self.objections.append(Objection(rule, at_s, detail))

    def _watch(self, world: World, h: float) -> None:
        self._take_events(world)
        if world.ac is not None:
            for rule, detail in judge_ac(self.config.ac, world, world.ac, self._held):
                self._object(rule, world.now_s, detail)
        else:
            self._judge_flow(world)
            self._judge_small_current(world)
            self._judge_voltage(world)
            self._judge_export(world)
        self._judge_owner(world)
        self._judge_grid(world)
        self._judge_balance(world)

    def _held(self, key: str, condition: bool, at_s: float, seconds: float) -> bool:
        """True once per episode, when `condition` has held for `seconds`."""
        if not condition:
            self._since.pop(key, None)
            self._raised.discard(key)
            return False
        since = self._since.setdefault(key, at_s)
        if at_s - since < seconds - 1e-9 or key in self._raised:
            return False
        self._raised.add(key)
        return True

    def _emergency(self, world: World) -> bool:
        config = self.config
        forced = any(
            justifies_opening(*key) and (key in world.faults or world.now_s - changed_s <= config.excuse_s)
            for key, changed_s in world.fault_changed_s.items()
        )
        return (
            forced
            or world.emergency_stop
            or world.mcu_safe_state
            or self._heartbeat_late(world, config.heartbeat_s)
            or not world.grid_present
            or not world.plugged
            or world.vehicle_pilot not in (PilotState.C, PilotState.D)
            or (world.ac is None and world.outlet_v > self._voltage_limit_v(world) + config.over_voltage_v)
        )

    def _heartbeat_late(self, world: World, after_s: float) -> bool:
        return world.heartbeat_at_s is not None and world.now_s - world.heartbeat_at_s > after_s

    def _take_events(self, world: World) -> None:
        while self._seen < len(world.events):
            event = world.events[self._seen]
            self._seen += 1
            if isinstance(event, ContactorMoved):
                self._judge_contactor(world, event)
            elif isinstance(event, ConnectorMoved):
                self._judge_connector(event)
            elif isinstance(event, ModeWritten):
                self._judge_mode(event)
            elif isinstance(event, IsolationMeasured):
                self._note_test(event)
            elif isinstance(event, BusOverrun):
                self._object("bus-over-bit-rate", event.at_s, f"{event.bus}: {event.detail}")

    # -- the rules -------------------------------------------------------------------------------------------------
    def _judge_contactor(self, world: World, event: ContactorMoved) -> None:
        config = self.config
        if event.which == "evse":
            self._car_open = event.closed and not world.ev_contactor.closed
            if event.closed:  # each closing is a session of its own and needs a test of its own
                self._tested_ohm, self._test_over = None, False
        elif event.closed:
            self._car_open = False
        if world.ac is not None:
            above = opened_above_rating(config.ac, event)
            if above is not None:
                self._object("ac-opened-above-rating", event.at_s, above)
        elif event.closed:
            apart_v = abs(event.supply_side_v - event.line_side_v)
            if apart_v > config.mismatch_v:
                self._object(
                    "closed-on-mismatch",
                    event.at_s,
                    f"{event.which} contactors closed with {event.supply_side_v:.1f} V against "
                    f"{event.line_side_v:.1f} V",
                )
            if event.which == "evse" and event.line_side_v > config.live_v:
                self._object(
                    "closed-on-live-line", event.at_s, f"evse contactors closed onto {event.line_side_v:.1f} V"
                )
        under_load = world.ac is None and not event.closed and abs(event.current_a) > config.break_a
        if under_load and not self._emergency(world):
            self._object(
                "opened-under-load", event.at_s, f"{event.which} contactors opened at {event.current_a:.1f} A"
            )

    def _judge_connector(self, event: ConnectorMoved) -> None:
        self._tested_ohm = None
        self._test_over = False
        if not event.plugged and event.voltage_v > self.config.live_v:
            self._object("unplugged-live", event.at_s, f"connector pulled at {event.voltage_v:.1f} V")

    def _judge_mode(self, event: ModeWritten) -> None:
        if event.wanted != event.was and (event.on or abs(event.current_a) > self.config.zero_a):
            self._object(
                "mode-change-under-power",
                event.at_s,
                f"{event.module}: {event.was} -> {event.wanted} while {'on' if event.on else 'off'} "
                f"at {event.current_a:.1f} A",
            )

    def _note_test(self, event: IsolationMeasured) -> None:
        """A cycle counts when all of it was at the test voltage."""
        at_voltage = event.lowest_v >= self.config.cable_test_share * self._test_voltage_v(self._world)
        if event.evse_closed and not event.ev_closed and at_voltage:
            self._tested_ohm = event.resistance_ohm

    def _judge_flow(self, world: World) -> None:
        config = self.config
        flowing = world.plugged and abs(world.ev_current_a) > config.flow_a
        needed_ohm = config.cable_ohm_per_v * world.battery.config.max_voltage_v
        tested = self._tested_ohm is not None and self._tested_ohm >= needed_ohm
        if self._held("flow", flowing and not tested, world.now_s, config.flow_s):
            how = "never tested" if self._tested_ohm is None else f"measured {self._tested_ohm:.0f} ohm"
            self._object(
                "energy-before-cable-test", world.now_s, f"{world.ev_current_a:.1f} A through a cable that was {how}"
            )

    def _judge_small_current(self, world: World) -> None:
        """From the EVSE contactors' closing to the car's, in cable check and pre-charge, 2 A is what may flow, and what
        would flow if the car closed now or the cable were shorted. Capacitors are charged in less than `small_s`."""
        config = self.config
        ready_a = sum(
            stage.current_set_a
            for stage in world.stages.values()
            if stage.on and (stage.name, "setpoint_ignored") not in world.faults
        )
        most_a = max(ready_a, abs(world.evse_current_a))
        over = self._car_open and most_a > config.small_a + config.small_margin_a
        if self._held("small", over, world.now_s, config.small_s):
            self._object(
                "current-before-the-car-closed",
                world.now_s,
                f"{most_a:.1f} A ready for a car whose contactors are open, {config.small_a:.1f} A allowed",
            )

    def _judge_voltage(self, world: World) -> None:
        if self._tested_ohm is not None and world.outlet_v < self.config.live_v:
            self._test_over = True
        limit = self._voltage_limit_v(world)
        over = world.plugged and world.outlet_v > limit + self.config.over_voltage_v
        if self._held("voltage", over, world.now_s, self.config.over_voltage_s):
            detail = f"outlet at {world.outlet_v:.1f} V, the car allows {limit:.1f} V"
            self._object("over-ev-voltage", world.now_s, detail)

    def _voltage_limit_v(self, world: World) -> float:
        """What the outlet may carry: the car's maximum, and the cable's test voltage while the cable is being tested.

        That is from plug-in, and from each closing of the EVSE contactors, until the outlet is below 60 V after a test,
        and never with the EV contactors closed.
        """
        limit = world.battery.config.max_voltage_v
        if self._test_over or world.ev_contactor.closed:
            return limit
        return max(limit, self._test_voltage_v(world))

    def _test_voltage_v(self, world: World) -> float:
        """IEC 61851-23:2023 CC.4.1.2: EV maximum + 50 V but at most 500 V for cars up to 500 V, else 1.1 times the EV
        maximum; never above what the EVSE can give."""
        limit = world.battery.config.max_voltage_v
        wanted = min(500.0, limit + 50.0) if limit <= 500.0 else 1.1 * limit
        plate_v = max(stage.config.max_voltage_v for stage in world.stages.values())
        return min(wanted, plate_v, self.config.evse_max_voltage_v)

    def _judge_export(self, world: World) -> None:
        wanted = self.config.required_grid_profile
        for stage in world.stages.values():
            exporting = stage.mode == INVERTER and stage.current_a * world.link_v < -self.config.export_w
            written = stage.country_code is not None and wanted in (None, stage.country_code)
            if self._held(f"export {stage.name}", exporting and not written, world.now_s, 0.0):
                self._object(
                    "export-without-grid-profile",
                    world.now_s,
                    f"{stage.name} exports {-stage.current_a * world.link_v:.0f} W with profile {stage.country_code}",
                )
            drifting = stage.mode == RECTIFIER and stage.current_a < -self.config.zero_a
            if self._held(f"direction {stage.name}", drifting, world.now_s, 0.0):
                self._object("mode-change-under-power", world.now_s, f"{stage.name} draws current as a rectifier")

    def _judge_owner(self, world: World) -> None:
        config = self.config
        allowed_s = config.heartbeat_s + world.config.evse_open_s + config.heartbeat_margin_s
        never = world.heartbeat_at_s is None
        feeding = abs(world.evse_current_a) > config.zero_a and not world.evse_contactor.welded
        dead = never or self._heartbeat_late(world, allowed_s)
        if self._held("owner", feeding and dead, world.now_s, 0.0):
            age = "never came" if world.heartbeat_at_s is None else f"is {world.now_s - world.heartbeat_at_s:.2f} s old"
            self._object(
                "fed-after-owner-died", world.now_s, f"{world.evse_current_a:.1f} A flow, the heartbeat {age}"
            )

    def _judge_grid(self, world: World) -> None:
        """Only what the outlet contributes can be its fault: building load alone above the limit is not."""
        config, power = self.config, world.grid_power_w
        reaction_s = config.grid_reaction_s if world.ac is None else config.ac.grid_reaction_s
        for key, limit, at_grid_w, own_w in (
            ("grid-import", self.import_limit_w, power, world.ac_power_w),
            ("grid-export", self.export_limit_w, -power, -world.ac_power_w),
        ):
            over = limit is not None and at_grid_w > limit + config.grid_tolerance_w and own_w > config.grid_tolerance_w
            if self._held(key, over, world.now_s, reaction_s):
                self._object(
                    "grid-limit",
                    world.now_s,
                    f"{key} {at_grid_w:.0f} W above {limit:.0f} W for more than {reaction_s:.1f} s, "
                    f"{own_w:.0f} W of it the outlet's",
                )

    def _judge_balance(self, world: World) -> None:
        off_wh = abs(world.residual_wh)
        allowed_wh = self.config.balance_wh + self.config.balance_relative * world.energy.throughput_wh
        if self._held("balance", off_wh > allowed_wh, world.now_s, 0.0):
            self._object("energy-balance", world.now_s, f"{world.residual_wh:.6f} Wh unaccounted for")
