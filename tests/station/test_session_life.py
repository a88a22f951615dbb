"""Hold, service release and what rests with them: the session goes on while energy does not flow."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from evse_controller.model.commands import (
    CableCheckRequested,
    Command,
    EndKind,
    EnergyHold,
    EnergyStart,
    EnergyStop,
    ScheduleRequested,
    ServiceReleased,
    SessionEnded,
    SessionOpened,
)
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import DriverWishes, Step
from evse_controller.safety import Phase
from evse_controller.station.ac.context import HANDLERS as AC_HANDLERS
from evse_controller.station.commands import HANDLERS, Handlers, take
from evse_controller.station.context import SessionContext
from hal.api import IsolationState
from hal.sim.testing import MakePlant
from tests.safety.facts import METER, NEEDS
from tests.station.bench import BPT, LIMITS, LOOP, PAUSED, Bench
from tests.station.rig import CAR, Rig

HOLD = EnergyHold("standby")


# -- hold ------------------------------------------------------------------------------------------------------


def test_hold_takes_the_current_to_zero_and_keeps_contactors_closed_and_isolation_watched() -> None:
    bench = Bench()
    bench.to_energy()
    bench.tell(LOOP)
    bench.steps(5)
    bench.tell(HOLD)
    bench.steps(400)  # 20 s without a loop request: none is due
    assert bench.phase == "hold"
    assert bench.devices.wanted_contactors
    assert bench.devices.power is not None
    assert not bench.devices.power.on
    assert bench.devices.isolation is not None
    assert bench.devices.isolation.state is IsolationState.MEASURING
    assert not bench.snapshot.energy_ready
    assert bench.fault_codes == set()


def test_after_hold_nothing_flows_before_the_ev_asks_again() -> None:
    bench = Bench()
    bench.to_energy()
    bench.tell(LOOP)
    bench.steps(20)
    assert bench.devices.output[1] > 0.0
    bench.tell(HOLD)
    bench.steps(10)
    bench.tell(EnergyStart(None))
    bench.steps(10)
    assert bench.phase == "energy"
    assert bench.snapshot.energy_ready
    assert bench.devices.output[1] == 0.0
    bench.tell(LOOP)
    bench.steps(5)
    assert bench.devices.output[1] > 0.0


@pytest.mark.parametrize("hold", [HOLD, EnergyHold("schedule renegotiation"), replace(HOLD, standby=True)])
@pytest.mark.parametrize("asleep_steps", [3, 200])
def test_a_session_whose_contactors_opened_in_a_hold_is_told_that_power_is_gone(
    hold: EnergyHold, asleep_steps: int
) -> None:
    """Pilot B for an instant, or as long as the EV sleeps: Start alone cannot give it power again."""
    bench = Bench()
    bench.to_energy()
    bench.tell(LOOP, hold)
    bench.steps(10)
    assert bench.snapshot.emergency is None
    for pilot, steps in ((PilotState.B, asleep_steps), (PilotState.C, 40)):
        bench.pilot = pilot
        bench.steps(steps)
        assert bench.snapshot.emergency is not None
        assert "new session" in bench.snapshot.emergency
        assert not bench.devices.wanted_contactors
    bench.tell(EnergyStart(None), SessionEnded(EndKind.FAILED, "power is gone"))
    bench.steps(40)
    assert bench.snapshot.emergency is None
    bench.pilot = PilotState.B
    bench.steps(400)
    assert bench.phase == "connected"
    bench.to_energy()
    assert bench.snapshot.emergency is None


def test_an_emergency_that_is_soon_over_leaves_no_session_without_power() -> None:
    bench = Bench()
    bench.to_energy()
    bench.tell(LOOP, HOLD)
    bench.steps(10)
    assert bench.devices.mcu is not None
    bench.devices.mcu = replace(bench.devices.mcu, emergency_stop=True)
    bench.steps(2)
    bench.devices.mcu = replace(bench.devices.mcu, emergency_stop=False)
    bench.steps(40)
    for fault in bench.station.faults:
        assert bench.station.clear_fault(fault.code, bench.now_s)
    bench.steps(40)
    assert bench.fault_codes == set()
    assert bench.snapshot.emergency is not None


def test_a_stop_that_the_ev_asked_for_is_no_loss() -> None:
    bench = Bench()
    bench.to_energy()
    bench.tell(LOOP, EnergyStop("the EV is done"))
    bench.steps(40)
    assert bench.snapshot.emergency is None


def test_isolation_lost_in_hold_opens() -> None:
    bench = Bench()
    bench.to_energy()
    bench.tell(HOLD)
    bench.steps(5)
    assert bench.devices.isolation is not None
    bench.devices.isolation = replace(bench.devices.isolation, resistance_ohm=50_000.0)
    bench.steps(2)
    assert bench.fault_codes == {"isolation-fault"}
    assert not bench.devices.wanted_contactors


def test_current_that_does_not_end_in_hold_is_a_fault() -> None:
    bench = Bench()
    bench.to_energy()
    bench.tell(LOOP)
    bench.steps(5)
    bench.amps = 2.5  # below every over-current level, above zero
    bench.tell(HOLD)
    bench.steps(45)
    assert bench.fault_codes == {"power-module-fault"}


def test_pilot_b_in_hold_opens_without_a_fault_and_only_a_cable_check_closes_again() -> None:
    bench = Bench()
    bench.to_energy()
    bench.tell(HOLD)
    bench.steps(5)
    bench.pilot = PilotState.B
    bench.steps(10)
    assert not bench.devices.wanted_contactors
    assert bench.fault_codes == set()
    bench.pilot = PilotState.C
    bench.tell(EnergyStart(None))
    bench.devices.log.clear()
    bench.steps(20)
    assert "close" not in bench.devices.log


@pytest.mark.parametrize("end", [EnergyStop("stop"), SessionEnded(EndKind.EV_CLOSED, "tcp"), PAUSED])
def test_whatever_ends_the_session_ends_the_hold(end: object) -> None:
    bench = Bench()
    bench.to_energy()
    bench.tell(HOLD)
    bench.steps(5)
    bench.tell(end)
    bench.steps(10)
    assert not bench.devices.wanted_contactors
    assert bench.fault_codes == set()


def test_hold_before_energy_was_started_is_nothing() -> None:
    bench = Bench()
    bench.ask_cable_check()
    bench.tell(HOLD)
    bench.steps(5)
    assert bench.phase == "cable-check"


def test_hold_and_go_on_with_power_on_the_plant(make_plant: MakePlant) -> None:
    rig = Rig(make_plant(CAR))
    rig.at_power(10_000.0)
    rig.looping = False
    rig.send(EnergyHold("schedule renegotiation"))
    rig.until(lambda: abs(rig.current_a) < 1.0, 1.0)
    rig.run(20.0)
    assert rig.phase is Phase.HOLD
    assert rig.contactor_closed
    rig.start_energy()
    rig.set_power(-8_000.0)
    rig.looping = False
    rig.send(EnergyHold("standby"))
    rig.run(5.0)
    assert rig.phase is Phase.HOLD
    assert abs(rig.current_a) < 1.0
    rig.start_energy()
    rig.set_power(10_000.0)
    assert rig.fault_codes == set(), rig.story()
    rig.stop()


# -- service renegotiation ---------------------------------------------------------------------------------------


def test_service_released_under_power_drains_in_order_and_keeps_the_account() -> None:
    bench = Bench()
    bench.to_energy()
    bench.devices.meter = replace(METER, import_wh=500.0)
    bench.steps(2)
    bench.tell(ServiceReleased())
    assert bench.snapshot.cable_check is Step.IDLE
    bench.steps(20)
    assert bench.phase == "connected"
    assert not bench.devices.wanted_contactors
    assert bench.snapshot.meter is not None
    assert bench.snapshot.meter.charged_wh == 500.0
    bench.tell(BPT, LIMITS, ScheduleRequested(NEEDS))
    bench.tell(CableCheckRequested())
    bench.steps(60)
    assert bench.snapshot.cable_check is Step.DONE


def test_limits_of_the_released_service_guard_until_the_outlet_is_open() -> None:
    bench = Bench()
    bench.to_energy()
    bench.outlet_v = 560.0  # above what the EV negotiated, below what the EVSE can give
    bench.tell(ServiceReleased())
    bench.steps(1)
    assert "over-voltage" in bench.fault_codes


def test_released_service_leaves_no_limits_for_a_cable_check() -> None:
    bench = Bench()
    bench.ask_cable_check()
    bench.tell(EnergyStop("stop"), ServiceReleased())
    bench.steps(20)
    bench.tell(CableCheckRequested())
    bench.steps(5)
    assert bench.snapshot.cable_check is Step.FAILED


def test_service_released_without_a_session_is_nothing() -> None:
    bench = Bench()
    bench.to_energy()
    bench.tell(SessionEnded(EndKind.EV_CLOSED, "tcp"), ServiceReleased())
    bench.steps(20)
    assert bench.snapshot.meter is not None
    assert not bench.devices.wanted_contactors


# -- what the session knows ----------------------------------------------------------------------------------------


def test_drivers_wishes_are_handed_through() -> None:
    bench = Bench()
    bench.driver = DriverWishes(departure_utc_s=5.0, target_soc=80)
    bench.steps(1)
    assert bench.snapshot.driver == bench.driver


def test_discharge_ends_at_the_minimum_that_the_driver_told_us() -> None:
    """The EV's own minimum is lower, and it may have chosen a mode in which it hears nothing of the driver."""
    bench = Bench()
    bench.to_energy()
    for soc, minimum, denied in ((61.0, 60, False), (60.0, 60, True), (60.0, None, False)):
        bench.driver = DriverWishes(minimum_soc=minimum)
        bench.tell(replace(LOOP, soc=soc))
        bench.steps(3)
        assert (bench.station.status().export_denied is not None) is denied, (soc, minimum)


def test_renegotiation_that_does_not_repeat_the_soc_does_not_forget_it() -> None:
    needs = replace(NEEDS, present_soc=55.0)
    for renegotiation, soc in ((True, 55.0), (False, None)):
        session = SessionContext()
        take(session, ScheduleRequested(needs), 0.0)
        take(session, ScheduleRequested(NEEDS, renegotiation=renegotiation), 1.0)
        assert session.soc == soc


@pytest.mark.parametrize("handlers", [HANDLERS, AC_HANDLERS])
def test_every_command_of_a_session_is_taken_in_by_both_kinds_of_outlet(handlers: Handlers) -> None:
    assert set(get_args(Command)) - {SessionOpened, ServiceReleased} == set(handlers)


# -- megawatt ---------------------------------------------------------------------------------------------------


def test_mcs_connector_needs_125_kohm() -> None:
    for mcs, step in ((False, Step.DONE), (True, Step.FAILED)):
        bench = Bench(mcs=mcs)
        assert bench.devices.isolation is not None
        bench.devices.isolation = replace(bench.devices.isolation, resistance_ohm=110_000.0)
        bench.ask_cable_check()
        bench.steps(60)
        assert bench.snapshot.cable_check is step


# -- an EV that never asks for power -----------------------------------------------------------------------------


def test_start_and_hold_in_turn_are_no_loop() -> None:
    bench = Bench()
    bench.to_energy()
    bench.tell(LOOP)
    bench.steps(2)
    for _ in range(4):
        bench.tell(EnergyHold("standby", standby=True))
        bench.steps(80)
        bench.tell(EnergyStart(None))
        bench.steps(2)
    assert bench.fault_codes == set()
    bench.tell(EnergyHold("standby", standby=True))
    bench.steps(80)
    bench.tell(EnergyStart(None))
    bench.steps(2)
    assert bench.fault_codes == {"ev-silent"}


@pytest.mark.parametrize("standby", [True, False])
def test_only_standby_holds_for_long(standby: bool) -> None:
    bench = Bench()
    bench.to_energy()
    bench.tell(LOOP)
    bench.steps(2)
    bench.tell(EnergyHold("why", standby=standby))
    bench.steps(2590)
    assert bench.phase == "hold"
    bench.steps(30)
    assert bench.fault_codes == (set() if standby else {"ev-silent"})
