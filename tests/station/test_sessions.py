"""One session after another: nothing of the old one, contactors least of all, is handed to the new one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.model.commands import (
    CableCheckRequested,
    ControlMode,
    EndKind,
    EnergyStart,
    LoopUpdate,
    PreChargeRequested,
    ScheduleRequested,
    ServiceSelected,
    SessionEnded,
    SessionOpened,
)
from evse_controller.model.snapshot import Authorization, Step
from evse_controller.safety import Phase
from hal.sim.testing import MakePlant
from tests.safety.facts import EV, METER, NEEDS
from tests.station.bench import BPT, LIMITS, Bench
from tests.station.rig import CAR, Rig

OTHER = SessionOpened("FF", "OTHER", "-20")
GONE = SessionEnded(EndKind.EV_CLOSED, "tcp")


@pytest.mark.parametrize("ended", [True, False])
def test_session_opened_in_the_step_that_ended_another_finds_open_contactors(ended: bool) -> None:
    bench = Bench()
    bench.to_energy()
    bench.tell(*([GONE] if ended else []), OTHER, BPT, LIMITS, ScheduleRequested(NEEDS))
    seen = []
    for _ in range(40):
        bench.steps()
        seen.append(bench.phase)
        assert bench.snapshot.cable_check is bench.snapshot.precharge is Step.IDLE
    assert "energy" not in seen
    assert seen[-1] == "connected"
    assert not bench.devices.wanted_contactors


def test_new_session_is_not_told_what_the_old_one_reached_even_before_the_next_step() -> None:
    bench = Bench()
    bench.to_energy()
    bench.tell(GONE, OTHER)
    snapshot = bench.snapshot
    assert snapshot.cable_check is snapshot.precharge is Step.IDLE
    assert snapshot.authorization is Authorization.PENDING
    assert snapshot.meter is None
    assert snapshot.offer is None
    assert not snapshot.energy_ready


def test_whole_handshake_before_the_next_step_gets_a_cable_check_of_its_own() -> None:
    bench = Bench()
    bench.to_energy()
    bench.devices.log.clear()
    bench.tell(GONE, OTHER, BPT, LIMITS, ScheduleRequested(NEEDS), CableCheckRequested())
    assert bench.snapshot.cable_check is Step.RUNNING
    bench.steps(100)
    assert bench.snapshot.cable_check.value == "done"
    log = bench.devices.log
    assert log.index("open") < log.index("close") < log.index("measure")
    bench.tell(PreChargeRequested(400.0, 0.0), EnergyStart(None))
    bench.steps(10)
    assert bench.phase == "energy"


def test_session_opened_while_an_earlier_one_drains_can_end_before_its_turn() -> None:
    bench = Bench()
    bench.to_energy()
    bench.tell(GONE, OTHER, BPT, LIMITS, CableCheckRequested(), GONE)
    bench.devices.log.clear()
    bench.steps(100)
    assert bench.phase == "connected"
    assert "close" not in bench.devices.log


def test_cable_check_asked_for_in_an_emergency_fails_also_in_a_new_session() -> None:
    bench = Bench()
    bench.to_energy()
    assert bench.devices.mcu is not None
    bench.devices.mcu = replace(bench.devices.mcu, emergency_stop=True)
    bench.steps(2)
    bench.tell(GONE, OTHER, BPT, LIMITS, CableCheckRequested())
    bench.steps()
    assert bench.phase == "emergency"
    assert bench.snapshot.cable_check is Step.FAILED


def test_car_that_reconnects_at_once_under_power_starts_from_open_contactors(make_plant: MakePlant) -> None:
    rig = Rig(make_plant(CAR))
    rig.at_power(10_000.0)
    rig.looping = False
    rig.send(GONE)
    rig.send(OTHER)
    rig.until(lambda: not rig.contactor_closed, 1.5)
    rig.plant.inlet.open_contactor()
    rig.until(lambda: rig.phase is Phase.CONNECTED, 20.0)
    assert rig.fault_codes == set(), rig.story()
    rig.negotiate()
    rig.cable_check()
    assert rig.snapshot.cable_check is Step.DONE, rig.story()


def test_meter_registers_carry_the_minimum_of_a_scheduled_session_forward() -> None:
    bench = Bench()
    bench.to_energy()
    needs = replace(NEEDS, dynamic=False, minimum_wh=-1_000.0, v2x_minimum_wh=None, minimum_soc=None)
    scheduled = ServiceSelected(6, 1, ControlMode.SCHEDULED, True, 1)
    bench.tell(scheduled, ScheduleRequested(needs), LoopUpdate(400.0, 450.0, 0.0, EV, None, None))
    bench.steps(2)
    assert bench.station.status().export_denied is None
    bench.devices.meter = replace(METER, export_wh=940.0)
    bench.steps()
    assert bench.station.status().export_denied is None
    bench.devices.meter = replace(METER, export_wh=960.0)
    bench.steps()
    assert "minimum energy" in (bench.station.status().export_denied or "")
    bench.tell(ScheduleRequested(needs))  # the same words again are no new statement
    bench.steps()
    assert bench.station.status().export_denied is not None
    bench.tell(ScheduleRequested(replace(needs, minimum_wh=-900.0)))
    bench.steps()
    assert bench.station.status().export_denied is None
