"""The cable check tests the cable at test voltage, with samples of that voltage, while the EV's contactors are open."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.model.commands import CableCheckRequested, EndKind, SessionEnded
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Step
from evse_controller.safety import Phase
from hal.api import IsolationState
from hal.sim.testing import MakePlant
from tests.station.bench import BPT, LIMITS, OPENED, Bench
from tests.station.rig import CAR, Rig


def until(bench: Bench, sub_step: str, within_s: float) -> float:
    """Steps until the sub-step holds; returns the time it took."""
    began_s = bench.now_s
    while bench.station.status().sub_step != sub_step:
        assert bench.now_s - began_s < within_s, bench.station.status()
        bench.steps()
    return bench.now_s - began_s


def measuring(response_s: float = 0.2) -> Bench:
    bench = Bench(isolation_response_s=response_s)
    bench.ask_cable_check()
    until(bench, "measure", 2.0)
    return bench


def test_isolation_monitor_is_put_on_the_line_at_test_voltage_and_stays_there() -> None:
    bench = measuring()
    log = bench.devices.log
    assert log.index("close") < log.index("on") < log.index("measure")
    assert bench.devices.output[0] == 500.0
    until(bench, "done", 2.0)
    assert bench.devices.isolation is not None
    assert bench.devices.isolation.state is IsolationState.MEASURING


def test_every_sample_has_the_whole_response_time_of_the_monitor() -> None:
    """However often the reading is polled: it may be the same measuring cycle, or one below test voltage."""
    bench = measuring(4.0)
    assert until(bench, "lower", 20.0) == pytest.approx(3 * 4.0, abs=0.2)


def test_three_samples_at_the_longest_response_end_within_35_s() -> None:
    bench = measuring(8.0)
    bench.steps(20 * 26)
    assert bench.snapshot.cable_check is Step.DONE


@pytest.mark.parametrize("what", ["invalid", "voltage"])
def test_interruption_voids_the_samples_before_it(what: str) -> None:
    bench = measuring(4.0)
    bench.steps(20 * 9)  # two samples
    good = bench.devices.isolation
    assert good is not None
    if what == "invalid":
        bench.devices.isolation = replace(good, valid=False)
    else:
        bench.outlet_v = 400.0
    bench.steps(2 if what == "voltage" else 20 * 4)
    bench.devices.isolation, bench.outlet_v = replace(good, at_s=bench.now_s), None
    assert until(bench, "lower", 20.0) > 11.0


def test_ev_that_closes_its_contactors_in_the_cable_check_ends_it() -> None:
    bench = measuring(4.0)
    bench.amps = 2.0
    bench.steps(18)
    assert bench.fault_codes == set()
    bench.steps(6)
    assert bench.fault_codes == {"over-current"}
    assert not bench.devices.wanted_contactors
    assert bench.snapshot.cable_check is Step.FAILED


def test_short_pulse_of_current_is_not_the_ev() -> None:
    bench = measuring(4.0)
    for _ in range(4):
        bench.amps = 2.0
        bench.steps(15)
        bench.amps = 0.0
        bench.steps(3)
    assert bench.fault_codes == set()


def test_car_that_closes_in_the_cable_check_is_cut_off_on_the_plant(make_plant: MakePlant) -> None:
    plant = make_plant(CAR)
    plant.referee.waive("energy-before-cable-test", "the EV closes too early: that is the event under test")
    plant.referee.waive("current-before-the-car-closed", "the EV closes too early: that is the event under test")
    rig = Rig(plant)
    rig.ready()
    rig.negotiate()
    plant.inlet.set_pilot(PilotState.C)
    rig.run(0.3)
    rig.send(CableCheckRequested())
    plant.referee.waive("closed-on-mismatch", "the EV closes too early: that is the event under test")
    rig.until(lambda: rig.station.status().sub_step == "measure", 10.0)
    plant.inlet.close_contactor()
    assert rig.until(lambda: not rig.contactor_closed, 2.0) > 0.9
    assert "over-current" in rig.fault_codes
    assert rig.snapshot.cable_check is Step.FAILED


def test_cable_check_waits_up_to_5_s_for_the_grid_profile() -> None:
    bench = Bench()
    bench.devices.refuse_profile = True
    bench.pilot = PilotState.C
    bench.devices.power = bench.devices.power and replace(bench.devices.power, grid_profile=None)
    bench.steps(20)
    bench.tell(OPENED, BPT, LIMITS, CableCheckRequested())
    bench.steps(20)
    assert bench.phase == "connected"
    assert bench.snapshot.cable_check is Step.RUNNING
    bench.devices.refuse_profile = False
    bench.steps(42)  # written again every 2 s
    assert bench.phase == "cable-check"


def test_profile_that_never_comes_back_delays_the_cable_check_by_5_s_only() -> None:
    bench = Bench()
    bench.devices.refuse_profile = True
    bench.pilot = PilotState.C
    bench.devices.power = bench.devices.power and replace(bench.devices.power, grid_profile=None)
    bench.steps(5)
    bench.tell(OPENED, BPT, LIMITS, CableCheckRequested())
    bench.steps(94)
    assert bench.phase == "connected"
    bench.steps(3)
    assert bench.phase == "cable-check"


def test_session_that_ends_at_test_voltage_is_no_over_voltage(make_plant: MakePlant) -> None:
    """The cable of a 450 V car is tested at 500 V, its contactors open; what follows the test starts from there."""
    rig = Rig(make_plant(CAR), isolation_response_s=4.0)
    rig.ready()
    rig.negotiate()
    rig.plant.inlet.set_pilot(PilotState.C)
    rig.run(0.3)
    rig.send(CableCheckRequested())
    rig.until(lambda: rig.station.status().sub_step == "measure", 10.0)
    rig.send(SessionEnded(EndKind.EV_CLOSED, "gave up"))
    rig.until(lambda: rig.phase is Phase.CONNECTED, 20.0)
    assert rig.fault_codes == set(), rig.story()
