"""The AC outlet of the world: charger, energy, meter, faults, and what the referee says of each wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.model.pilot import PilotState
from hal.api import AcOutletReading
from hal.meters.eastron_sdm630 import create
from hal.sim.ac_mains import AcConfig, AcMains
from hal.sim.battery import BatteryConfig
from hal.sim.onboard import OnboardConfig
from hal.sim.plant import Plant, PlantConfig
from hal.sim.ptys import PtyBench
from hal.sim.referee import Referee, RefereeConfig
from hal.sim.referee_ac import AcRefereeConfig
from hal.sim.testing import MakePlant
from hal.sim.world import World, WorldConfig


class AcSite:
    """An AC world in the hands of a script that beats like a controller would."""

    def __init__(self, ac: AcRefereeConfig | None = None, onboard: OnboardConfig | None = None, speed: float = 1.0):
        self.mains = AcMains(AcConfig(), onboard or OnboardConfig(max_current_a=32.0))
        self.world = World(WorldConfig(), BatteryConfig(), {}, 1000.0, speed=speed, ac=self.mains)
        self.referee = Referee(self.world, RefereeConfig(ac=ac or AcRefereeConfig()))
        self.car = self.mains.charger
        self.world.pilot_pwm = True

    @property
    def broken(self) -> list[str]:
        return [objection.rule for objection in self.referee.objections]

    def run(self, seconds: float) -> None:
        for _ in range(max(1, round(seconds / 0.01))):
            self.world.heartbeat_at_s = self.world.now_s
            self.world.step(0.01)

    def charge(self, power_w: float) -> None:
        self.world.plug()
        self.world.vehicle_pilot = PilotState.C
        self.world.evse_contactor.command(True)
        self.run(0.1)
        self.car.set_power(power_w)
        self.run(abs(power_w) / self.car.config.ramp_w_per_s + 0.1)
        assert self.car.power_w == pytest.approx(power_w)

    def finish(self) -> None:
        self.car.set_power(0.0)
        self.run(6.0)
        self.world.evse_contactor.command(False)
        self.run(0.1)
        self.world.unplug()
        self.run(0.1)


def test_power_follows_its_ramp_inside_what_the_charger_can_do() -> None:
    site = AcSite(onboard=OnboardConfig())
    site.charge(5_000.0)
    site.car.set_power(50_000.0)
    site.run(1.0)
    assert site.car.power_w == pytest.approx(10_000.0)
    site.run(5.0)
    assert site.car.power_w == pytest.approx(3 * 16 * 230.0)
    assert site.mains.phase_a == pytest.approx((16.0, 16.0, 16.0))
    site.finish()
    assert site.broken == []


def test_car_on_one_phase_uses_the_first_and_one_that_may_not_discharge_does_not() -> None:
    site = AcSite(onboard=OnboardConfig(phases=1, max_current_a=32.0, bidirectional=False))
    site.charge(7_000.0)
    assert site.mains.phase_w == pytest.approx((7_000.0, 0.0, 0.0))
    site.car.set_power(-5_000.0)
    site.run(5.0)
    assert site.car.power_w == 0.0
    site.finish()
    assert site.broken == []


def test_car_stops_by_itself_without_oscillator_or_with_its_switch_open() -> None:
    site = AcSite()
    site.charge(5_000.0)
    site.world.pilot_pwm = False
    site.run(2.0)
    assert site.car.power_w == 0.0
    site.finish()
    assert site.broken == []


def test_opened_contactor_ends_the_current_at_once() -> None:
    site = AcSite()
    site.charge(5_000.0)
    site.world.evse_contactor.command(False)
    site.run(0.05)
    assert site.car.power_w == 0.0
    assert site.world.outlet_v == 0.0
    assert site.broken == []  # an AC contactor may break what the charger takes


@settings(max_examples=15, deadline=None)
@given(powers=st.lists(st.floats(-20_000.0, 20_000.0), min_size=1, max_size=6), speed=st.sampled_from([1.0, 300.0]))
def test_energy_adds_up_whatever_the_car_does(powers: list[float], speed: float) -> None:
    site = AcSite(AcRefereeConfig(export_allowed=True), speed=speed)
    soc, energy = site.world.battery.soc, site.world
    site.charge(1_000.0)
    for power_w in powers:
        site.car.set_power(power_w)
        site.run(1.0)
    site.finish()
    assert abs(site.world.residual_wh) < 1e-6
    stored = energy.world_energy.cells_wh
    assert (site.world.battery.soc - soc) * site.world.battery.capacity_wh == pytest.approx(stored, abs=1e-6)
    assert site.broken == []


def test_loss_of_the_charger_is_paid_in_both_directions() -> None:
    site = AcSite(AcRefereeConfig(export_allowed=True))
    site.charge(10_000.0)
    assert site.world.ev_current_a * site.world.battery_voltage_v == pytest.approx(9_200.0)
    site.car.set_power(-9_200.0)
    site.run(6.0)
    assert site.world.ev_current_a * site.world.battery_voltage_v == pytest.approx(-10_000.0)
    assert site.world.grid_power_w == pytest.approx(1_000.0 - 9_200.0)
    site.finish()
    assert site.broken == []


# -- the referee ------------------------------------------------------------------------------------------------


def test_referee_contactor_closed_without_pilot() -> None:
    site = AcSite()
    site.charge(1_000.0)
    site.world.vehicle_pilot = PilotState.B
    site.run(0.1)
    assert site.broken == []
    site.run(0.1)
    assert site.broken == ["ac-closed-without-pilot"]


def test_referee_contactor_opened_above_its_rating_even_in_an_emergency() -> None:
    site = AcSite(AcRefereeConfig(break_a=20.0))
    site.charge(15_000.0)
    site.world.emergency_stop = True
    site.world.evse_contactor.command(False)
    site.run(0.1)
    assert site.broken == ["ac-opened-above-rating"]


def test_referee_power_back_at_a_site_that_may_not_be_fed() -> None:
    site = AcSite()
    site.charge(-2_000.0)
    site.run(2.0)
    assert site.broken == []
    site.run(1.0)
    assert site.broken == ["ac-reverse-power"]


def test_referee_phase_above_its_fuse() -> None:
    site = AcSite(AcRefereeConfig(phase_limit_a=16.0))
    site.charge(12_000.0)
    site.run(3.0)
    assert site.broken == []
    site.car.one_phase = True
    site.run(1.0)
    assert site.broken == []
    site.run(0.3)
    assert site.broken == ["ac-phase-limit"]


def test_referee_grid_limit_leaves_an_ac_car_its_time_and_no_more() -> None:
    site = AcSite()
    site.referee.set_grid_limits(8_000.0, None)
    site.charge(10_000.0)
    site.run(6.0)
    assert site.broken == []
    site.run(3.0)
    assert site.broken == ["grid-limit"]


def test_referee_owner_that_died() -> None:
    site = AcSite()
    site.charge(10_000.0)
    for _ in range(100):
        site.world.step(0.01)
    assert site.broken == ["fed-after-owner-died"]


# -- the plant --------------------------------------------------------------------------------------------------


def test_ac_plant_from_plain_data() -> None:
    config = PlantConfig.from_dict({"kind": "ac", "onboard": {"phases": 1}, "referee": {"ac": {"break_a": 40.0}}})
    assert (config.kind, config.onboard.phases, config.referee.ac.break_a) == ("ac", 1, 40.0)
    for wrong in ({"kind": "dca"}, {"kind": 3}, {"onboard": {"phases": 2}}):
        with pytest.raises(ValueError, match=r"kind|phases"):
            PlantConfig.from_dict(wrong)


def test_faults_of_an_ac_plant_come_and_go(make_plant: MakePlant) -> None:
    plant = make_plant(PlantConfig(kind="ac"))
    charger = plant.inlet.charger
    assert charger is not None
    plant.inject("ev.charger", "reverse", power_w=-3_000.0)
    plant.inject("mains", "over_voltage", factor=1.2)
    plant.step(0.1)
    assert charger.forced_w == -3_000.0
    assert plant.world.ac is not None
    assert plant.world.ac.voltage_v == pytest.approx(276.0)
    plant.clear()
    plant.step(0.1)
    assert charger.forced_w is None
    assert plant.world.ac.voltage_v == 230.0
    with pytest.raises(ValueError, match="no fault"):
        plant.inject("imd", "silent")
    assert Plant(PlantConfig()).inlet.charger is None


def test_outlet_meter_over_a_pty_with_the_real_driver(tmp_path: Path) -> None:
    bench = PtyBench(tmp_path, replace(PlantConfig(kind="ac"), building_w=0.0))
    meter = create("outlet", {"port": str(bench.path("meter")), "outlet": True})
    try:
        meter.open()
        for _ in range(100):
            bench.run_for(0.02)
            meter.poll(bench.plant.now_s)
            if meter.reading() is not None:
                break
        reading = meter.reading()
        assert isinstance(reading, AcOutletReading)
        assert [phase.voltage_v for phase in reading.phases] == [230.0, 230.0, 230.0]
        assert reading.power_w == 0.0
        assert reading.frequency_hz == 50.0
    finally:
        meter.close()
        bench.close()
