"""The station on the simulated plant with the real drivers: what flows, what opens, and what the referee says.

Every plant comes from `make_plant`, whose teardown fails the test when the referee objects.
"""

from __future__ import annotations

import pytest

from evse_controller.model.commands import ControlMode, EndKind, SessionEnded
from evse_controller.model.fault import FaultCode
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Notification, Step
from evse_controller.model.wish import EnergyWish
from evse_controller.safety import Phase
from evse_controller.safety.reactions import REACTIONS
from hal.sim.testing import MakePlant
from tests.station.rig import CAR, Rig


def test_a_whole_session_charges_and_discharges_and_ends_unplugged(make_plant: MakePlant) -> None:
    rig = Rig(make_plant(CAR))
    rig.ready()
    rig.negotiate()
    assert rig.cable_check() < 35.0
    assert rig.snapshot.cable_check is Step.DONE, rig.story()
    rig.precharge()
    rig.start_energy()
    rig.set_power(20_000.0)
    rig.run(2.0)
    rig.set_power(-10_000.0)
    rig.run(2.0)
    rig.set_power(5_000.0)
    meter = rig.snapshot.meter
    assert meter is not None
    assert meter.charged_wh > 8.0
    assert meter.discharged_wh > 4.0
    rig.stop()
    rig.unplug()
    assert rig.fault_codes == set(), rig.story()
    assert rig.snapshot.meter is None  # the session and its registers are over


def test_scheduled_mode_follows_the_ev_target_in_both_directions(make_plant: MakePlant) -> None:
    rig = Rig(make_plant(CAR))
    rig.start(ControlMode.SCHEDULED)
    rig.target_a = 30.0
    rig.until(lambda: abs(rig.current_a - 30.0) < 1.5, 4.0)
    rig.target_a = -20.0
    rig.until(lambda: abs(rig.current_a + 20.0) < 1.5, 6.0)
    rig.stop()
    assert rig.fault_codes == set(), rig.story()


def test_charge_only_service_never_discharges(make_plant: MakePlant) -> None:
    rig = Rig(make_plant(CAR))
    rig.start(bidirectional=False)
    rig.wish = EnergyWish(setpoint_w=-10_000.0)
    rig.run(3.0)
    assert rig.current_a > -1.0
    assert rig.station.status().export_denied == "no bidirectional service selected"


def test_over_voltage_on_the_meter_trips_instead_of_being_clamped(make_plant: MakePlant) -> None:
    plant = make_plant(CAR)
    rig = Rig(plant)
    rig.at_power(10_000.0)
    plant.inject("meter", "wrong", factor=1.5)
    rig.until(lambda: "over-voltage" in rig.fault_codes, 0.3)
    rig.until(lambda: not rig.contactor_closed, 0.1)
    assert rig.snapshot.emergency is not None
    assert rig.snapshot.notification is Notification.TERMINATE


def test_module_that_runs_away_at_load_dump_is_cut_off(make_plant: MakePlant) -> None:
    plant = make_plant(CAR)
    plant.referee.waive("opened-under-load", "the EV opens under load: that is the event under test")
    plant.referee.waive("over-ev-voltage", "the first milliseconds belong to the module's own protection, broken here")
    rig = Rig(plant)
    rig.at_power(10_000.0)
    plant.inject("power.1", "over_voltage", volts=150.0)
    plant.inlet.open_contactor()
    rig.until(lambda: "over-voltage" in rig.fault_codes, 1.0)
    rig.until(lambda: not rig.contactor_closed, 0.1)


def test_load_dump_stays_below_the_ev_limit(make_plant: MakePlant) -> None:
    plant = make_plant(CAR)
    plant.referee.waive("opened-under-load", "the EV opens under load: that is the event under test")
    rig = Rig(plant)
    rig.at_power(10_000.0)
    plant.inlet.open_contactor()
    rig.run(1.0)  # the referee watches the voltage


def test_site_cut_reaches_the_set_point_within_100_ms(make_plant: MakePlant) -> None:
    rig = Rig(make_plant(CAR))
    rig.at_power(20_000.0)
    rig.import_w = 5_000.0
    rig.run(0.1)
    assert rig.station.status().setpoint_w <= 5_000.0 * 0.93 * 1.01
    rig.until(lambda: rig.power_w < 5_000.0, 0.5)
    assert rig.contactor_closed


def test_stale_building_meter_stops_export_and_keeps_contactors_closed(make_plant: MakePlant) -> None:
    rig = Rig(make_plant(CAR))
    rig.at_power(-10_000.0)
    rig.site_stale, rig.import_w = True, 3_000.0
    rig.until(lambda: rig.power_w > -100.0, 1.0)
    rig.run(3.0)
    assert rig.contactor_closed
    assert rig.phase is Phase.ENERGY
    assert rig.fault_codes == {"site-input-stale"}
    rig.site_stale, rig.import_w = False, 50_000.0
    rig.until(lambda: rig.power_w < -9_000.0, 6.0)
    assert rig.fault_codes == set()


def test_isolation_fault_under_power_opens_at_once(make_plant: MakePlant) -> None:
    plant = make_plant(CAR)
    rig = Rig(plant)
    rig.at_power(10_000.0)
    plant.inject("cable", "isolation", ohm=20_000.0)
    rig.until(lambda: "isolation-fault" in rig.fault_codes, 2.0)
    rig.until(lambda: not rig.contactor_closed, 0.1)


def test_isolation_fault_in_cable_check_fails_it_before_any_energy(make_plant: MakePlant) -> None:
    plant = make_plant(CAR)
    rig = Rig(plant)
    rig.ready()
    plant.inject("cable", "isolation", ohm=20_000.0)
    rig.negotiate()
    rig.cable_check()
    assert rig.snapshot.cable_check is Step.FAILED
    assert "isolation-fault" in rig.fault_codes
    rig.run(0.3)
    assert not rig.contactor_closed


def test_no_isolation_monitor_means_no_energy(make_plant: MakePlant) -> None:
    plant = make_plant(CAR)
    plant.inject("imd", "silent")
    rig = Rig(plant)
    rig.run(3.0)
    rig.negotiate()
    assert rig.cable_check() <= 35.2
    assert rig.snapshot.cable_check is Step.FAILED
    assert "cable-check-timeout" in rig.fault_codes
    assert not any(event.text == "cable-check -> precharge" for event in rig.events)


def test_isolation_monitor_that_dies_under_power_opens(make_plant: MakePlant) -> None:
    plant = make_plant(CAR)
    rig = Rig(plant)
    rig.at_power(10_000.0)
    plant.inject("imd", "silent")
    rig.until(lambda: not rig.contactor_closed, 2.5)
    assert "isolation-monitor-missing" in rig.fault_codes


def test_silent_module_under_power_opens_through_the_pilot_board(make_plant: MakePlant) -> None:
    plant = make_plant(CAR)
    rig = Rig(plant)
    rig.at_power(10_000.0)
    plant.inject("power.1", "silent")
    assert rig.until(lambda: not rig.contactor_closed, 1.0) < 1.0
    assert "power-module-silent" in rig.fault_codes


def test_dead_can_bus_under_power_opens_through_the_pilot_board(make_plant: MakePlant) -> None:
    plant = make_plant(CAR)
    rig = Rig(plant)
    rig.at_power(10_000.0)
    plant.inject("can", "dead")
    assert rig.until(lambda: not rig.contactor_closed, 1.0) < 1.0


def test_silent_outlet_meter_under_power_opens(make_plant: MakePlant) -> None:
    plant = make_plant(CAR)
    rig = Rig(plant)
    rig.at_power(10_000.0)
    plant.inject("meter", "silent")
    rig.until(lambda: not rig.contactor_closed, 1.3)
    assert "measurement-stale" in rig.fault_codes


def test_welded_contactor_is_found_when_it_should_have_opened_and_latches(make_plant: MakePlant) -> None:
    plant = make_plant(CAR)
    rig = Rig(plant)
    rig.at_power(5_000.0)
    plant.inject("contactor", "welded")
    rig.looping = False
    rig.send(SessionEnded(EndKind.TERMINATED, "done"))
    rig.until(lambda: bool({"contactor-welded", "power-module-fault"} & rig.fault_codes), 4.0)
    rig.until(lambda: "contactor-welded" in rig.fault_codes, 4.0)
    plant.inlet.open_contactor()
    rig.run(3.0)
    plant.inlet.unplug()
    rig.run(5.0)
    assert "contactor-welded" in rig.fault_codes
    assert rig.phase is Phase.EMERGENCY
    assert not rig.station.clear_fault(FaultCode.CONTACTOR_WELDED, rig.now_s)


def test_pilot_loss_under_power_is_an_emergency_that_ends_with_the_plug(make_plant: MakePlant) -> None:
    plant = make_plant(CAR)
    rig = Rig(plant)
    rig.at_power(10_000.0)
    plant.inlet.set_pilot(PilotState.B)
    rig.until(lambda: not rig.contactor_closed, 0.3)
    rig.until(lambda: "pilot-lost" in rig.fault_codes, 0.3)
    rig.run(2.0)
    assert rig.phase is Phase.EMERGENCY  # not cleared while the plug is in
    rig.unplug()
    rig.run(1.5)
    assert rig.station.status().phase == "idle"
    assert rig.fault_codes == set()


def test_frozen_daemon_ends_in_contactors_opened_by_the_board(make_plant: MakePlant) -> None:
    plant = make_plant(CAR)
    rig = Rig(plant)
    rig.at_power(20_000.0)
    rig.frozen = True
    plant.step(0.7)
    assert not rig.contactor_closed
    rig.frozen = False
    rig.run(0.5)
    assert rig.phase is Phase.EMERGENCY
    assert not rig.contactor_closed


def test_steps_that_stop_while_polling_goes_on_switch_off_by_the_expired_permit(make_plant: MakePlant) -> None:
    rig = Rig(make_plant(CAR))
    rig.at_power(20_000.0)
    began_s = rig.now_s
    while rig.contactor_closed and rig.now_s - began_s < 1.0:
        rig.plant.step(0.01)
        for driver in rig.drivers:
            driver.poll(rig.now_s)
        rig.station.guard(rig.now_s)
    assert rig.now_s - began_s < 0.35  # before the board's own 500 ms


def test_ev_that_falls_silent_in_the_loop_is_stopped(make_plant: MakePlant) -> None:
    rig = Rig(make_plant(CAR))
    rig.at_power(10_000.0)
    rig.looping = False
    rig.until(lambda: not rig.contactor_closed, 1.5)
    assert "ev-silent" in rig.fault_codes


@pytest.mark.parametrize("kind", list(EndKind))
def test_any_end_of_the_session_under_power_ramps_down_and_opens_without_current(
    make_plant: MakePlant, kind: EndKind
) -> None:
    rig = Rig(make_plant(CAR))
    rig.at_power(10_000.0)
    rig.looping = False
    rig.send(SessionEnded(kind, "test"))
    rig.until(lambda: not rig.contactor_closed, 1.5)
    rig.plant.inlet.open_contactor()
    rig.until(lambda: rig.phase is Phase.CONNECTED, 20.0)
    assert rig.fault_codes == set(), rig.story()


def test_mode_that_is_not_confirmed_ends_in_a_fault(make_plant: MakePlant) -> None:
    plant = make_plant(CAR)
    rig = Rig(plant)
    rig.at_power(10_000.0)
    plant.inject("power.1", "mode_refused")
    rig.wish = EnergyWish(setpoint_w=-10_000.0)
    rig.until(lambda: "direction-change-failed" in rig.fault_codes, 7.0)
    rig.until(lambda: not rig.contactor_closed, 0.2)


def test_stop_request_tells_the_ev_and_forces_after_20_s(make_plant: MakePlant) -> None:
    rig = Rig(make_plant(CAR))
    rig.at_power(10_000.0)
    rig.station.request_stop("technician", rig.now_s)
    rig.run(0.1)
    assert rig.snapshot.notification is Notification.TERMINATE
    rig.until(lambda: abs(rig.current_a) < 1.0, 0.5)
    assert rig.until(lambda: not rig.contactor_closed, 21.0) > 19.0
    assert rig.fault_codes == set()


def test_emergency_stop_latches_until_a_technician_clears_it(make_plant: MakePlant) -> None:
    plant = make_plant(CAR)
    rig = Rig(plant)
    rig.at_power(10_000.0)
    plant.inject("mcu", "emergency_stop")
    rig.until(lambda: not rig.contactor_closed, 0.3)
    rig.unplug_in_emergency()
    plant.clear("mcu", "emergency_stop")
    rig.run(3.0)
    assert "emergency-stop" in rig.fault_codes
    assert rig.phase is Phase.EMERGENCY


@pytest.mark.parametrize("power_w", [15_000.0, -15_000.0])
def test_modules_that_ignore_a_site_cut_are_cut_off(make_plant: MakePlant, power_w: float) -> None:
    plant = make_plant(CAR)
    rig = Rig(plant)
    rig.at_power(power_w)
    plant.inject("power.1", "setpoint_ignored")
    plant.inject("power.2", "setpoint_ignored")
    rig.import_w = rig.export_w = 1_000.0
    rig.until(lambda: not rig.contactor_closed, REACTIONS[FaultCode.OVER_CURRENT].deadline_s)
    assert "over-current" in rig.fault_codes


def test_second_session_after_a_good_one(make_plant: MakePlant) -> None:
    rig = Rig(make_plant(CAR))
    for _ in range(2):
        rig.at_power(10_000.0)
        rig.stop()
        rig.unplug()
    assert rig.fault_codes == set(), rig.story()


CAUSES = {
    FaultCode.EMERGENCY_STOP: ("mcu", "emergency_stop", {}),
    FaultCode.PILOT_STALE: ("mcu", "silent", {}),
    FaultCode.OVER_VOLTAGE: ("meter", "wrong", {"factor": 1.5}),
    FaultCode.MEASUREMENT_STALE: ("meter", "silent", {}),
    FaultCode.MEASUREMENT_IMPLAUSIBLE: ("meter", "wrong", {"factor": 0.8}),
    FaultCode.ISOLATION_FAULT: ("cable", "isolation", {"ohm": 20_000.0}),
    FaultCode.ISOLATION_MONITOR_MISSING: ("imd", "silent", {}),
    FaultCode.POWER_MODULE_SILENT: ("power.2", "silent", {}),
    FaultCode.POWER_MODULE_FAULT: ("power.1", "trip", {}),
}


@pytest.mark.parametrize("code", CAUSES)
def test_contactors_open_within_the_deadline_of_the_reaction_table(make_plant: MakePlant, code: FaultCode) -> None:
    plant = make_plant(CAR)
    rig = Rig(plant)
    rig.at_power(10_000.0)
    device, fault, parameters = CAUSES[code]
    plant.inject(device, fault, **parameters)
    rig.until(lambda: not rig.contactor_closed, REACTIONS[code].deadline_s)
    rig.run(1.0)
    assert code.value in rig.fault_codes, rig.story()
