"""A world in the hands of a script, for the referee's tests."""

from __future__ import annotations

from evse_controller.model.pilot import PilotState
from hal.sim.battery import BatteryConfig
from hal.sim.events import IsolationMeasured, ModeWritten
from hal.sim.power_stage import PowerStageConfig
from hal.sim.referee import Referee, RefereeConfig
from hal.sim.world import World, WorldConfig


class Bench:
    """A world in the hands of a script that beats like a controller would."""

    def __init__(self, config: RefereeConfig | None = None) -> None:
        self.world = World(WorldConfig(), BatteryConfig(), {"power.1": PowerStageConfig()}, building_w=1000.0)
        self.referee = Referee(self.world, config)
        self.stage = self.world.stages["power.1"]
        self.beating = True

    @property
    def broken(self) -> list[str]:
        return [objection.rule for objection in self.referee.objections]

    def run(self, seconds: float) -> None:
        for _ in range(max(1, round(seconds / 0.01))):
            if self.beating:
                self.world.heartbeat_at_s = self.world.now_s
            self.world.step(0.01)

    def output(self, volts: float, amps: float) -> None:
        self.stage.voltage_set_v, self.stage.current_set_a = volts, amps
        self.stage.switch(True, self.world.link_v)

    def measure_cable(self, ohm: float = 1e6) -> None:
        world = self.world
        world.events.append(
            IsolationMeasured(
                world.now_s, ohm, world.outlet_v, world.evse_contactor.closed, world.ev_contactor.closed
            )
        )

    def prepare(self, cable_ohm: float | None = 1e6, test_v: float = 500.0) -> None:
        """Plug in, test the cable, discharge, pre-charge, close."""
        world = self.world
        world.plug()
        world.vehicle_pilot = PilotState.C
        world.evse_contactor.command(True)
        self.run(0.1)
        self.output(test_v, 2.0)
        self.run(2.0)
        if cable_ohm is not None:
            self.measure_cable(cable_ohm)
        self.stage.switch(False, world.link_v)
        self.run(3.0)
        assert world.outlet_v < 60.0
        self.output(world.battery.ocv_v, 2.0)
        self.run(1.5)
        world.ev_contactor.command(True)
        self.run(0.1)

    def turn(self, mode: str) -> None:
        """Change direction in the right order."""
        self.stage.current_set_a = 0.0
        self.run(0.3)
        self.stage.switch(False, self.world.link_v)
        self.run(0.2)
        stage, world = self.stage, self.world
        world.events.append(
            ModeWritten(world.now_s, stage.name, stage.mode, mode, stage.on, world.evse_current_a, True)
        )
        stage.mode = mode
        stage.floor_v = 300.0

    def finish(self, unplug: bool = True) -> None:
        self.stage.current_set_a = 0.0
        self.run(0.3)
        self.world.ev_contactor.command(False)
        self.world.evse_contactor.command(False)
        self.stage.switch(False, self.world.link_v)
        self.run(4.0)
        if unplug:
            self.world.unplug()
        self.run(0.1)


def full_power() -> Bench:
    bench = Bench()
    bench.prepare()
    bench.output(450.0, 50.0)
    bench.run(1.0)
    assert bench.world.ev_current_a > 40.0
    return bench
