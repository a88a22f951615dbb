"""Physics of the simulated world against closed formulas, and conservation under random switching."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.model.pilot import PilotState
from hal.sim.battery import Battery, BatteryConfig
from hal.sim.plant import Plant
from hal.sim.power_stage import INVERTER, RECTIFIER, PowerStageConfig
from hal.sim.world import World, WorldConfig


def make_world(speed: float = 1.0, building_w: float = 0.0, **battery: float) -> World:
    return World(
        WorldConfig(),
        BatteryConfig(**battery),  # type: ignore[arg-type]
        {"power.1": PowerStageConfig(), "power.2": PowerStageConfig()},
        building_w,
        speed=speed,
    )


def feed(world: World, volts: float, amps: float, mode: str = RECTIFIER) -> None:
    for stage in world.stages.values():
        stage.mode = mode
        stage.voltage_set_v, stage.current_set_a = volts, amps
        stage.switch(True, world.link_v)


def connect(world: World) -> None:
    """Plugged, link at battery voltage, both contactor pairs closed."""
    world.plug()
    world.evse_contactor.command(True)
    world.step(0.1)
    feed(world, world.battery.ocv_v, 2.0)
    world.step(1.5)
    world.ev_contactor.command(True)
    world.step(0.1)


def test_the_bleeder_discharges_the_link_exponentially() -> None:
    world = make_world()
    world.link_v = 400.0
    world.disturb(1.0)
    world.step(1.0)
    tau = world.config.bleeder_ohm * world.config.link_f
    assert world.link_v == pytest.approx(400.0 * math.exp(-1.0 / tau), rel=2e-3)


def test_active_discharge_of_the_modules_is_faster_than_the_bleeder() -> None:
    config = PowerStageConfig(discharge_ohm=2000.0)
    world = World(WorldConfig(), BatteryConfig(), {"power.1": config})
    world.link_v = 400.0
    world.step(0.5)
    assert world.link_v < 40.0


def test_contactors_move_after_their_delay_and_not_before() -> None:
    world = make_world()
    world.evse_contactor.command(True)
    world.step(0.049)
    assert not world.evse_contactor.closed
    world.step(0.002)
    assert world.evse_contactor.closed
    world.evse_contactor.command(False)
    world.step(0.019)
    assert world.evse_contactor.closed
    world.step(0.002)
    assert not world.evse_contactor.closed


def test_a_welded_contactor_stays_closed_and_its_feedback_says_so() -> None:
    world = make_world()
    world.evse_contactor.command(True)
    world.step(0.1)
    world.evse_contactor.welded = True
    world.evse_contactor.command(False)
    world.step(0.1)
    assert world.evse_contactor.closed
    assert world.evse_contactor.feedback_closed
    world.evse_contactor.welded = False
    world.step(0.1)
    assert not world.evse_contactor.closed


def test_a_stuck_open_contactor_never_closes() -> None:
    world = make_world()
    world.evse_contactor.stuck_open = True
    world.evse_contactor.command(True)
    world.step(0.2)
    assert not world.evse_contactor.closed


def test_constant_current_is_shared_and_ramped() -> None:
    world = make_world()
    connect(world)
    feed(world, 450.0, 50.0)
    world.step(0.2)
    ramp_a = 2 * PowerStageConfig().ramp_a_per_s * 0.2
    assert world.ev_current_a == pytest.approx(ramp_a, abs=1.0)
    world.step(2.0)
    assert world.ev_current_a == pytest.approx(100.0, abs=0.1)
    assert [stage.current_a for stage in world.stages.values()] == pytest.approx([50.0, 50.0])


def test_constant_voltage_takes_over_below_the_current_limit() -> None:
    world = make_world()
    connect(world)
    feed(world, world.battery.ocv_v + 2.0, 50.0)
    world.step(3.0)
    r_total = world.config.contact_ohm + world.config.cable_ohm + world.battery.config.r_int_ohm
    assert world.link_v == pytest.approx(world.stages["power.1"].voltage_set_v, abs=0.01)
    assert world.ev_current_a == pytest.approx(2.0 / r_total, rel=0.02)


def test_a_load_dump_never_passes_the_voltage_set_point() -> None:
    world = make_world()
    connect(world)
    feed(world, 420.0, 60.0)
    world.step(2.0)
    world.ev_contactor.command(False)
    for _ in range(200):
        world.step(0.001)
        assert world.link_v <= 420.01


def test_the_inverter_draws_and_stops_at_its_floor() -> None:
    world = make_world()
    connect(world)
    for stage in world.stages.values():
        stage.switch(False, world.link_v)
        stage.floor_v = 300.0
    world.step(0.1)
    feed(world, 0.0, 20.0, INVERTER)
    world.step(1.0)
    assert world.ev_current_a == pytest.approx(-40.0, abs=0.2)
    assert world.grid_power_w == pytest.approx(-40.0 * world.link_v * 0.95 + 30.0, rel=0.01)
    for stage in world.stages.values():
        stage.floor_v = world.battery.ocv_v
    world.step(0.5)
    assert abs(world.ev_current_a) < 0.1


def test_energy_and_charge_run_on_world_time() -> None:
    slow, fast = make_world(speed=1.0), make_world(speed=60.0)
    for world in (slow, fast):
        connect(world)
        feed(world, 450.0, 50.0)
        world.step(10.0)
    assert fast.utc_s == pytest.approx(60.0 * slow.utc_s)
    assert fast.now_s == pytest.approx(slow.now_s)
    gained = [world.battery.soc - 0.5 for world in (slow, fast)]
    assert gained[1] == pytest.approx(60.0 * gained[0], rel=0.02)
    assert fast.world_energy.cells_wh == pytest.approx(gained[1] * 60_000.0, rel=1e-6)


def test_a_change_of_speed_keeps_what_was_counted() -> None:
    world = make_world(speed=10.0)
    connect(world)
    feed(world, 450.0, 50.0)
    world.step(2.0)
    before = world.world_energy.outlet_in_wh
    world.speed = 100.0
    assert world.world_energy.outlet_in_wh == pytest.approx(before, rel=1e-12)
    assert world.world_energy.cells_wh == pytest.approx((world.battery.soc - 0.5) * 60_000.0, rel=1e-6)


def test_without_a_grid_nothing_flows_from_the_modules() -> None:
    world = make_world(building_w=2000.0)
    connect(world)
    feed(world, 450.0, 50.0)
    world.step(1.0)
    world.grid_present = False
    world.step(0.1)
    assert world.grid_power_w == 0.0
    assert not any(stage.on for stage in world.stages.values())


def test_isolation_is_what_is_connected() -> None:
    world = make_world()
    alone = world.isolation_ohm
    world.evse_contactor.command(True)
    world.step(0.1)
    assert world.isolation_ohm < alone
    world.cable_isolation_ohm = 50_000.0
    assert world.isolation_ohm == pytest.approx(50_000.0, rel=0.01)


def test_battery_limits_taper_when_full_and_fade_when_empty() -> None:
    full, empty = Battery(BatteryConfig(soc=0.99)), Battery(BatteryConfig(soc=0.05))
    assert full.limits.max_charge_current_a < 0.2 * full.config.max_charge_current_a
    assert full.limits.max_discharge_current_a == full.config.max_discharge_current_a
    assert empty.limits.max_discharge_current_a == 0.0


def test_a_car_cannot_make_pilot_state_a_by_itself(plant: Plant) -> None:
    with pytest.raises(ValueError, match="plug"):
        plant.inlet.set_pilot(PilotState.C)
    plant.inlet.plug()
    with pytest.raises(ValueError, match="not E"):
        plant.inlet.set_pilot(PilotState.E)


@pytest.mark.parametrize("mode", [RECTIFIER, INVERTER])
def test_every_loss_under_power_is_booked_to_the_last_milliwatthour(mode: str) -> None:
    world = make_world(building_w=500.0)
    connect(world)
    feed(world, 450.0, 60.0, mode)
    world.step(20.0)
    assert abs(world.ev_current_a) > 100.0
    assert abs(world.residual_wh) < 1e-6
    assert world.energy.cable_wh == pytest.approx(120.0**2 * 0.02 * 20.0 / 3600.0, rel=0.1)


ACTIONS = ("evse", "ev", "plug", "on", "off", "mode", "volts", "amps", "short", "grid", "wait")


@settings(max_examples=60, deadline=None)
@given(
    st.booleans(),
    st.lists(
        st.tuples(st.sampled_from(ACTIONS), st.floats(0.0, 1.0), st.sampled_from((0.001, 0.007, 0.05, 0.3))),
        min_size=5,
        max_size=40,
    )
)
def test_no_energy_appears_or_vanishes_whatever_is_switched(
    connected: bool, story: list[tuple[str, float, float]]
) -> None:
    world = make_world(building_w=500.0, speed=30.0)
    if connected:
        connect(world)
    for action, how, wait_s in story:
        yes = how > 0.4
        if action == "evse":
            world.evse_contactor.command(yes)
        elif action == "ev":
            world.ev_contactor.command(yes)
        elif action == "plug":
            (world.plug if yes else world.unplug)()
        elif action == "short":
            world.short_ohm = None if yes else 5.0
        elif action == "grid":
            world.grid_present = yes
        for stage in world.stages.values():
            if action in ("on", "off"):
                stage.switch(action == "on", world.link_v)
            elif action == "mode":
                stage.mode = INVERTER if yes else RECTIFIER
            elif action == "volts":
                stage.voltage_set_v = 1000.0 * how
            elif action == "amps":
                stage.current_set_a = 73.0 * how
        world.step(wait_s)
        allowed_wh = 1e-9 * world.energy.throughput_wh + 1e-9
        assert abs(world.residual_wh) <= allowed_wh
        assert world.energy.losses_wh >= 0.0
        assert world.world_energy.cells_wh == pytest.approx((world.battery.soc - 0.5) * 60_000.0, abs=1e-6)
