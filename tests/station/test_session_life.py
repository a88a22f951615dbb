"""Hold, service release, pause and wake-up: the session goes on while energy rests."""

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
    LoopUpdate,
    PreChargeRequested,
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
from tests.safety.facts import EV, METER, NEEDS
from tests.station.bench import BPT, LIMITS, OPENED, Bench
from tests.station.rig import CAR, Rig

HOLD = EnergyHold("standby")
PAUSED = SessionEnded(EndKind.PAUSED, "pause")
LOOP = LoopUpdate(400.0, 450.0, 20.0, EV, None, None)
RESUMED = replace(OPENED, resumed=True)


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


# -- pause and resume -------------------------------------------------------------------------------------------


def paused() -> Bench:
    bench = Bench()
    bench.to_energy()
    bench.devices.meter = replace(METER, import_wh=700.0)
    bench.tell(EnergyStop("pause"))
    bench.steps(10)
    bench.pilot = PilotState.B
    bench.steps(2)
    bench.tell(PAUSED)
    bench.steps(10)
    return bench


def test_paused_session_sleeps_with_the_oscillator_off_and_the_evs_toggle_wakes_it() -> None:
    bench = paused()
    assert bench.devices.duty is None
    assert bench.station.asleep
    bench.steps(200)
    assert bench.devices.duty is None
    bench.pilot = PilotState.C
    bench.steps(1)
    assert bench.devices.duty == 5.0
    assert not bench.station.asleep
    bench.pilot = PilotState.B
    bench.steps(5)
    assert bench.devices.duty == 5.0


@pytest.mark.parametrize("pilot", [PilotState.B, PilotState.C])
def test_after_a_restart_a_session_sleeps_on_unless_its_ev_is_ready(pilot: PilotState) -> None:
    bench = Bench()
    bench.pilot = pilot
    bench.station.restore_sleep()
    bench.steps(40)
    assert bench.station.asleep is (pilot is PilotState.B)
    assert bench.devices.duty == (None if pilot is PilotState.B else 5.0)
    bench.pilot = PilotState.C
    bench.steps(2)
    assert bench.devices.duty == 5.0


def test_pilot_that_is_still_c_when_the_session_pauses_is_no_wake_up() -> None:
    bench = Bench()
    bench.to_energy()
    bench.tell(EnergyStop("pause"))
    bench.steps(10)
    bench.tell(PAUSED)
    bench.steps(10)
    assert bench.devices.duty is None
    bench.pilot = PilotState.B
    bench.steps(5)
    assert bench.devices.duty is None


def test_oscillator_stays_on_until_a_pause_under_power_has_opened_the_contactors() -> None:
    bench = Bench()
    bench.to_energy()
    bench.tell(LOOP)
    bench.steps(5)
    bench.tell(PAUSED)
    while bench.devices.wanted_contactors:
        assert bench.devices.duty == 5.0
        bench.steps(1)
    bench.steps(2)
    assert bench.devices.duty is None


def test_we_wake_the_ev_not_before_three_seconds_of_x1() -> None:
    bench = paused()
    asleep_s = 0.5
    bench.station.wake("the plan wants power", bench.now_s)
    while bench.devices.duty is None:
        bench.steps(1)
        asleep_s += 0.05
        assert asleep_s < 4.0
    assert asleep_s >= 3.0


def test_resumed_session_keeps_its_energy_account_and_another_does_not() -> None:
    for opened, wh in ((RESUMED, 700.0), (OPENED, 0.0), (replace(RESUMED, session_id="77"), 0.0)):
        bench = paused()
        bench.tell(opened)
        bench.steps(2)
        assert bench.devices.duty == 5.0
        assert bench.snapshot.meter is not None
        assert bench.snapshot.meter.charged_wh == wh


def test_resumed_session_needs_a_new_cable_check_and_pre_charge_before_energy() -> None:
    bench = paused()
    bench.tell(RESUMED)
    bench.pilot = PilotState.C
    bench.steps(2)
    assert (bench.snapshot.cable_check, bench.snapshot.precharge) == (Step.IDLE, Step.IDLE)
    bench.tell(LIMITS, PreChargeRequested(400.0, 400.0), EnergyStart(None), LOOP)
    for _ in range(100):
        bench.steps(1)
        assert not bench.devices.wanted_contactors
        assert not bench.snapshot.energy_ready
    bench.tell(CableCheckRequested())  # voids the start that nothing had prepared
    bench.steps(1)
    assert (bench.snapshot.cable_check, bench.snapshot.precharge) == (Step.RUNNING, Step.IDLE)
    for _ in range(400):
        bench.steps(1)
        assert bench.phase not in ("precharge", "energy")


def test_account_of_a_paused_session_survives_a_restart() -> None:
    bench = Bench()
    bench.station.restore_account("00", 300.0, 20.0)
    bench.devices.meter = replace(METER, import_wh=1000.0, export_wh=20.0)
    bench.pilot = PilotState.B
    bench.steps(5)
    bench.tell(RESUMED)
    bench.steps(2)
    assert bench.snapshot.meter is not None
    assert (bench.snapshot.meter.charged_wh, bench.snapshot.meter.discharged_wh) == (700.0, 0.0)


def test_pause_is_allowed_by_configuration_and_only_in_health() -> None:
    bench = Bench()
    bench.to_energy()
    assert bench.snapshot.pause_allowed
    bench.station.request_stop("stop", bench.now_s)
    bench.steps(1)
    assert not bench.snapshot.pause_allowed
    bench = Bench(pause_allowed=False)
    bench.to_energy()
    assert not bench.snapshot.pause_allowed


# -- what the session knows ----------------------------------------------------------------------------------------


def test_drivers_wishes_are_handed_through() -> None:
    bench = Bench()
    bench.driver = DriverWishes(departure_utc_s=5.0, target_soc=80)
    bench.steps(1)
    assert bench.snapshot.driver == bench.driver


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
