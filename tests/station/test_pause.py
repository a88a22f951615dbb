"""Pause, resume and wake-up: the outlet sleeps, and knows whose session it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.model.commands import (
    CableCheckRequested,
    EnergyStart,
    EnergyStop,
    PreChargeRequested,
)
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Step
from tests.safety.facts import METER
from tests.station.bench import LIMITS, LOOP, OPENED, PAUSED, Bench

RESUMED = replace(OPENED, resumed=True)


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
