"""Each rule of the referee fires on its violation, and all stay silent on a good session."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from evse_controller.model.pilot import PilotState
from hal.sim.events import BusOverrun, IsolationMeasured, ModeWritten
from hal.sim.excuses import OPENING_UNDER_LOAD
from hal.sim.plant import Plant, PlantConfig
from hal.sim.power_stage import INVERTER, RECTIFIER
from hal.sim.referee import RULES, RefereeConfig
from hal.sim.testing import MakePlant
from tests.sim.referee_bench import Bench, full_power


def test_a_good_session_with_both_directions_meets_no_objection() -> None:
    bench = Bench()
    bench.referee.set_grid_limits(30_000.0, 15_000.0)
    bench.prepare()
    bench.output(450.0, 50.0)
    bench.run(3.0)
    bench.stage.country_code = 1
    bench.turn(INVERTER)
    bench.output(0.0, 20.0)
    bench.run(3.0)
    bench.turn(RECTIFIER)
    bench.output(450.0, 30.0)
    bench.run(1.0)
    bench.finish()
    bench.referee.check()
    assert bench.world.energy.battery_in_wh > 10.0
    assert bench.world.energy.battery_out_wh > 5.0


def test_the_ev_closing_with_a_mismatch() -> None:
    bench = Bench()
    bench.prepare()
    bench.finish()
    bench.world.plug()
    bench.world.evse_contactor.command(True)
    bench.run(0.1)
    bench.world.ev_contactor.command(True)
    bench.run(0.1)
    assert "closed-on-mismatch" in bench.broken


def test_evse_contactors_closed_onto_a_live_line() -> None:
    bench = Bench()
    bench.world.plug()
    bench.world.ev_contactor.command(True)
    bench.run(0.1)
    bench.output(bench.world.battery.ocv_v, 2.0)
    bench.run(1.5)
    bench.world.evse_contactor.command(True)
    bench.run(0.1)
    assert "closed-on-live-line" in bench.broken


@pytest.mark.parametrize("which", ["evse_contactor", "ev_contactor"])
def test_opening_under_load(which: str) -> None:
    bench = full_power()
    getattr(bench.world, which).command(False)
    bench.run(0.1)
    assert bench.broken == ["opened-under-load"]


def _heartbeat_stops(bench: Bench) -> None:
    bench.beating = False
    bench.run(0.51)


EXCUSES: dict[str, Callable[[Bench], None]] = {
    "injected fault": lambda bench: bench.world.note_fault("mcu", "reset", True),
    "module out of reach": lambda bench: bench.world.note_fault("power.2", "disconnected", True),
    "emergency stop": lambda bench: setattr(bench.world, "emergency_stop", True),
    "safe state": lambda bench: setattr(bench.world, "mcu_safe_state", True),
    "heartbeat late": _heartbeat_stops,
    "grid gone": lambda bench: setattr(bench.world, "grid_present", False),
    "pilot lost": lambda bench: setattr(bench.world, "vehicle_pilot", PilotState.B),
}


@pytest.mark.parametrize("cause", sorted(EXCUSES))
def test_opening_under_load_is_right_in_an_emergency(cause: str) -> None:
    bench = full_power()
    EXCUSES[cause](bench)
    bench.world.evse_contactor.command(False)
    bench.run(0.05)
    bench.referee.check()


@pytest.mark.parametrize(
    ("device", "fault"),
    [("building", "noise"), ("building", "silent"), ("imd", "noise"), ("meter", "noise"), ("power.1", "wrong")],
)
def test_a_fault_that_forces_nobody_excuses_nothing(device: str, fault: str) -> None:
    bench = full_power()
    bench.world.note_fault(device, fault, True)
    bench.world.evse_contactor.command(False)
    bench.run(0.1)
    assert bench.broken == ["opened-under-load"]


def test_every_excuse_names_a_fault_that_the_plant_has(plant: Plant, make_plant: MakePlant) -> None:
    ac_plant = make_plant(PlantConfig(kind="ac"))
    for device, faults in OPENING_UNDER_LOAD.items():
        for fault in faults:
            where = ac_plant if device in ("ev.charger", "mains", "plug") else plant
            where.inject("power.1" if device == "power" else device, fault)


def test_the_excuse_of_a_fault_ends_five_seconds_after_it() -> None:
    bench = full_power()
    bench.world.note_fault("can", "dead", True)
    bench.world.note_fault("can", "dead", False)
    bench.run(5.2)
    bench.world.evse_contactor.command(False)
    bench.run(0.1)
    assert bench.broken == ["opened-under-load"]


@pytest.mark.parametrize("cable_ohm", [None, 20_000.0])
def test_energy_through_a_cable_that_was_not_tested_or_failed(cable_ohm: float | None) -> None:
    bench = Bench()
    bench.prepare(cable_ohm)
    bench.output(450.0, 20.0)
    bench.run(0.5)
    assert bench.broken == ["energy-before-cable-test"]


@pytest.mark.parametrize(("evse_closed", "volts"), [(False, 500.0), (True, 20.0), (True, 470.0)])
def test_a_measurement_without_cable_or_below_the_test_voltage_tests_nothing(evse_closed: bool, volts: float) -> None:
    bench = Bench()
    bench.prepare(None)
    bench.world.events.append(IsolationMeasured(bench.world.now_s, 1e6, volts, evse_closed, False))
    bench.output(450.0, 20.0)
    bench.run(0.5)
    assert bench.broken == ["energy-before-cable-test"]


def test_a_cable_test_counts_for_one_plug_in_only() -> None:
    bench = Bench()
    bench.prepare()
    bench.world.evse_contactor.welded = True  # it never closes anew
    bench.finish()
    bench.prepare(None)
    bench.output(450.0, 20.0)
    bench.run(0.5)
    assert bench.broken == ["energy-before-cable-test"]


def test_a_cable_test_counts_for_one_closing_only() -> None:
    bench = Bench()
    bench.prepare()
    bench.finish(unplug=False)
    bench.prepare(None)
    bench.output(450.0, 20.0)
    bench.run(0.5)
    assert bench.broken == ["energy-before-cable-test"]


def test_a_second_session_in_one_plug_in_tests_the_cable_again_at_its_voltage() -> None:
    bench = Bench()
    bench.prepare()
    bench.finish(unplug=False)
    bench.prepare()
    bench.finish()
    bench.referee.check()


@pytest.mark.parametrize(
    ("car_v", "plate_v", "test_v"), [(420.0, 920.0, 470.0), (450.0, 480.0, 480.0), (800.0, 920.0, 880.0)]
)
def test_the_test_voltage_follows_the_car_and_the_type_plate(car_v: float, plate_v: float, test_v: float) -> None:
    for volts, broken in ((0.96 * test_v, []), (0.94 * test_v, ["energy-before-cable-test"])):
        bench = Bench(RefereeConfig(evse_max_voltage_v=plate_v))
        bench.world.battery.config = dataclasses.replace(bench.world.battery.config, max_voltage_v=car_v)
        bench.prepare(test_v=volts)
        bench.output(car_v, 20.0)
        bench.run(0.5)
        assert bench.broken == broken


@pytest.mark.parametrize(("amps", "broken"), [(2.0, []), (40.0, ["current-before-the-car-closed"])])
def test_two_amperes_are_all_that_stands_ready_before_the_car_closes(amps: float, broken: list[str]) -> None:
    bench = Bench()
    bench.world.plug()
    bench.world.evse_contactor.command(True)
    bench.run(0.1)
    bench.output(bench.world.battery.ocv_v, amps)
    bench.run(1.0)
    assert bench.broken == broken


def test_what_stands_ready_while_the_car_opens_its_contactors_at_the_end_is_no_pre_charge() -> None:
    bench = full_power()
    bench.referee.waive("opened-under-load", "the car does it")
    bench.world.ev_contactor.command(False)
    bench.run(1.0)
    bench.referee.check()


@pytest.mark.parametrize(("voltage_v", "broken"), [(495.0, []), (530.0, ["over-ev-voltage"])])
def test_an_outlet_above_the_cars_voltage_while_the_car_is_open(voltage_v: float, broken: list[str]) -> None:
    """450 V car: the cable's test may reach 500 V (IEC 61851-23:2023 CC.4.1.2)."""
    bench = Bench()
    bench.world.plug()
    bench.world.evse_contactor.command(True)
    bench.run(0.1)
    bench.output(voltage_v, 2.0)
    bench.run(2.0)
    assert bench.broken == broken


def test_the_test_voltage_is_not_allowed_any_more_once_the_cable_was_tested_and_discharged() -> None:
    bench = Bench()
    bench.prepare()
    bench.stage.switch(False, bench.world.link_v)
    bench.world.ev_contactor.command(False)
    bench.run(0.1)
    assert not bench.broken
    bench.output(480.0, 2.0)
    bench.run(1.0)
    assert bench.broken == ["over-ev-voltage"]


def test_a_tested_cable_voltage_is_never_the_batterys() -> None:
    bench = Bench()
    bench.world.plug()
    bench.world.evse_contactor.command(True)
    bench.world.ev_contactor.command(True)
    bench.run(0.2)
    bench.output(480.0, 70.0)
    bench.world.battery.soc = 1.55
    bench.run(1.0)
    assert 455.0 < bench.world.outlet_v < 500.0
    assert "over-ev-voltage" in bench.broken


def test_the_cars_own_voltage_limit_rules_once_its_contactors_are_closed() -> None:
    bench = Bench()
    bench.prepare()
    bench.world.battery.soc = 1.0
    bench.output(470.0, 20.0)
    bench.world.battery.config = dataclasses.replace(bench.world.battery.config, max_voltage_v=390.0)
    bench.run(1.0)
    assert bench.broken == ["over-ev-voltage"]


@pytest.mark.parametrize(("on", "amps"), [(True, 0.0), (False, 10.0)])
def test_a_mode_change_while_on_or_under_current(on: bool, amps: float) -> None:
    bench = Bench()
    bench.world.events.append(ModeWritten(0.0, "power.1", RECTIFIER, INVERTER, on, amps, False))
    bench.run(0.01)
    assert bench.broken == ["mode-change-under-power"]


def test_repeating_the_same_mode_while_on_is_harmless() -> None:
    bench = Bench()
    bench.world.events.append(ModeWritten(0.0, "power.1", RECTIFIER, RECTIFIER, True, 50.0, True))
    bench.run(0.01)
    bench.referee.check()


@pytest.mark.parametrize(("required", "written"), [(None, None), (1, 0)])
def test_export_without_the_grid_profile(required: int | None, written: int | None) -> None:
    bench = Bench(RefereeConfig(required_grid_profile=required))
    bench.prepare()
    bench.turn(INVERTER)
    bench.stage.country_code = written
    bench.output(0.0, 20.0)
    bench.run(1.0)
    assert bench.broken == ["export-without-grid-profile"]


def test_a_bus_beyond_its_bit_rate() -> None:
    bench = Bench()
    bench.world.events.append(BusOverrun(0.0, "can0", "queue full"))
    bench.run(0.01)
    assert bench.broken == ["bus-over-bit-rate"]


def test_current_that_flows_on_after_the_heartbeat_died() -> None:
    bench = full_power()
    bench.beating = False
    bench.run(0.5)
    assert not bench.broken
    bench.run(0.3)
    assert bench.broken == ["fed-after-owner-died"]


def test_a_connector_pulled_live() -> None:
    bench = Bench()
    bench.prepare()
    bench.world.unplug()
    bench.run(0.01)
    assert bench.broken == ["unplugged-live"]


def test_import_above_the_grid_limit_for_longer_than_the_allowance() -> None:
    bench = full_power()
    bench.referee.set_grid_limits(10_000.0, 0.0)
    bench.run(1.9)
    assert not bench.broken
    bench.run(0.2)
    assert bench.broken == ["grid-limit"]


def test_a_limit_obeyed_in_time_meets_no_objection() -> None:
    bench = full_power()
    bench.referee.set_grid_limits(10_000.0, 0.0)
    bench.run(1.0)
    bench.stage.current_set_a = 15.0
    bench.run(5.0)
    bench.referee.check()


def test_a_building_alone_above_the_limit_is_not_the_outlets_fault() -> None:
    bench = Bench()
    bench.world.building = 40_000.0
    bench.referee.set_grid_limits(10_000.0, 0.0)
    bench.run(5.0)
    bench.referee.check()


def test_export_above_the_grid_limit() -> None:
    bench = Bench()
    bench.prepare()
    bench.stage.country_code = 1
    bench.turn(INVERTER)
    bench.output(0.0, 30.0)
    bench.referee.set_grid_limits(30_000.0, 5_000.0)
    bench.run(3.0)
    assert bench.broken == ["grid-limit"]


def test_energy_that_does_not_add_up() -> None:
    bench = Bench()
    bench.prepare()
    bench.world.energy.cells_wh += 0.01
    bench.run(0.01)
    assert bench.broken == ["energy-balance"]


def test_check_names_every_objection_and_a_waiver_needs_a_rule_and_a_reason() -> None:
    bench = full_power()
    bench.referee.waive("opened-under-load", "this test breaks under load on purpose")
    bench.world.ev_contactor.command(False)
    bench.run(0.1)
    bench.referee.check()
    bench.world.events.append(BusOverrun(0.0, "can0", "queue full"))
    with pytest.raises(AssertionError, match="bus-over-bit-rate: can0: queue full"):
        bench.referee.check()
    with pytest.raises(ValueError, match="no such rule"):
        bench.referee.waive("nonsense", "why")
    with pytest.raises(ValueError, match="reason"):
        bench.referee.waive(RULES[0], "")
