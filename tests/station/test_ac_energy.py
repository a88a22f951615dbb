"""An AC outlet under power on obedient fakes: what the EV is told, how it follows, what opens when it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.model.commands import (
    EnergyHold,
    EvAcLimits,
)
from evse_controller.model.limits import Limit
from evse_controller.model.pilot import PilotState
from evse_controller.model.power import PhasePower
from evse_controller.model.wish import EnergyWish
from evse_controller.station.ac.told import ToldLimits
from tests.station.ac_bench import AC_SCHEDULED, LOOP, START, AcBench


def test_dynamic_target_is_the_set_point_inside_every_limit() -> None:
    bench = AcBench()
    bench.to_energy()
    for wish_w, import_w, export_w, target_w in (
        (9_000.0, 22_000.0, 11_000.0, 9_000.0),
        (40_000.0, 15_000.0, 11_000.0, 15_000.0),
        (-9_000.0, 22_000.0, 11_000.0, -9_000.0),
        (-20_000.0, 22_000.0, 6_000.0, -6_000.0),
        (3_000.0, 22_000.0, 11_000.0, 0.0),  # below the EV's 4 140 W: no power it could follow
        (-20_000.0, 22_000.0, 0.0, 0.0),
    ):
        bench.wish = EnergyWish(setpoint_w=wish_w)
        bench.import_w, bench.export_w = import_w, export_w
        bench.steps(1)
        assert bench.present.target_w.total_w == pytest.approx(target_w)
        assert bench.present.max_charge_w.total_w <= import_w
        assert bench.present.max_discharge_w.total_w <= export_w


def test_powers_come_in_the_form_in_which_the_ev_states_its_own() -> None:
    bench = AcBench()
    bench.to_energy()
    bench.amps = (3.0, 2.0, 1.0)
    bench.steps(2)
    assert bench.present.max_charge_w.per_phase
    assert bench.present.measured_w == PhasePower(690.0, 460.0, 230.0)
    together = EvAcLimits(PhasePower(11_000.0), PhasePower(0.0), PhasePower(5_000.0), PhasePower(0.0))
    bench.looping = False
    bench.tell(replace(LOOP, limits=together))
    bench.steps(1)
    assert bench.present.max_charge_w == PhasePower(bench.present.max_charge_w.total_w)
    assert bench.present.measured_w == PhasePower(1380.0)
    one = AcBench(phases=1)
    one.negotiate()
    assert one.snapshot.ac_ratings is not None
    assert one.snapshot.ac_ratings.max_charge_w == PhasePower(7360.0)
    assert one.present.max_charge_w == PhasePower(7360.0)


def test_scheduled_mode_tells_the_bound_in_the_direction_in_which_the_ev_goes() -> None:
    bench = AcBench()
    bench.to_energy(AC_SCHEDULED)
    bench.wish = EnergyWish(
        charge_cap=Limit(8_000.0, "schedule", "slot"), discharge_cap=Limit(5_000.0, "schedule", "slot")
    )
    bench.steps(1)
    assert bench.present.target_w.total_w == pytest.approx(8_000.0)
    bench.amps = -5.0
    bench.steps(2)
    assert bench.present.target_w.total_w == pytest.approx(-5_000.0)


def test_ev_has_five_seconds_to_follow_and_no_more() -> None:
    bench = AcBench()
    bench.to_energy()
    bench.wish = EnergyWish(setpoint_w=11_000.0)
    bench.amps = 15.9
    bench.steps(100)
    bench.import_w = 5_000.0
    begun_s = bench.now_s
    while bench.devices.wanted:
        bench.steps(1)
        assert bench.now_s - begun_s < 7.0
    assert bench.now_s - begun_s > 5.0
    assert bench.fault_codes == {"over-current"}


def test_ev_that_follows_falling_limits_with_its_delay_is_left_alone() -> None:
    bench = AcBench()
    bench.to_energy()
    for second in range(20):
        bench.wish = EnergyWish(setpoint_w=16_000.0 - 500.0 * second)
        bench.amps = (16_000.0 - 500.0 * max(0, second - 4)) / 690.0
        bench.steps(20)
    assert bench.fault_codes == set()
    assert bench.phase == "energy"


def test_told_limits_count_until_the_ev_had_its_time() -> None:
    told = ToldLimits()
    told.restart(0.0)
    assert told.loosest(0.0).charge_w == 0.0
    told.tell(22_000.0, 0.0, 0.1)
    told.tell(6_000.0, 0.0, 10.0)
    assert told.loosest(10.0).charge_w == 22_000.0
    told.tell(6_000.0, 0.0, 14.9)
    assert told.loosest(14.9).charge_w == 22_000.0
    told.tell(6_000.0, 0.0, 15.0)
    assert told.loosest(15.0).charge_w == 6_000.0
    told.tell(9_000.0, 3_000.0, 15.1)
    assert (told.loosest(15.1).charge_w, told.loosest(15.1).discharge_w) == (9_000.0, 3_000.0)


def test_reverse_power_without_permission_opens() -> None:
    bench = AcBench(ac_export_authorised=False)
    bench.to_energy()
    assert not bench.snapshot.bidirectional
    bench.steps(110)
    bench.amps = -5.0
    bench.steps(30)
    assert bench.fault_codes == {"reverse-power"}
    assert not bench.devices.wanted


def test_permission_withdrawn_while_discharging_is_told_and_enforced() -> None:
    bench = AcBench()
    bench.to_energy()
    bench.wish = EnergyWish(setpoint_w=-8_000.0)
    bench.amps = -11.0
    bench.steps(120)
    assert bench.fault_codes == set()
    bench.export_w = 0.0
    bench.steps(1)
    assert bench.present.target_w.total_w == 0.0
    bench.steps(150)
    assert bench.fault_codes == {"reverse-power"}


def test_over_current_of_one_phase_opens_at_once() -> None:
    bench = AcBench()
    bench.to_energy()
    bench.amps = (0.0, 37.0, 0.0)
    bench.steps(1)
    assert bench.fault_codes == {"over-current"}
    assert not bench.devices.wanted
    assert bench.devices.duty is None


def test_silent_ev_and_silent_devices_open() -> None:
    bench = AcBench()
    bench.to_energy()
    bench.looping = False
    bench.steps(25)
    assert bench.fault_codes == {"ev-silent"}
    assert not bench.devices.wanted
    bench = AcBench()
    bench.to_energy()
    bench.silent = True
    bench.steps(8)
    assert bench.fault_codes == {"pilot-stale"}
    assert not bench.devices.wanted


@pytest.mark.parametrize(("sign", "fault"), [(-1.0, "reverse-power"), (1.0, "over-current")])
def test_set_point_that_changes_its_sign_for_ever_does_not_hide_a_car_that_follows_none(
    sign: float, fault: str
) -> None:
    bench = AcBench()
    bench.wish = EnergyWish(setpoint_w=sign * 7_000.0)
    bench.to_energy()
    bench.amps = sign * 10.0
    for step in range(20 * 60):
        bench.wish = EnergyWish(setpoint_w=sign * (-7_000.0 if (step // 80) % 2 else 7_000.0))
        bench.steps(1)
        if not bench.devices.wanted:
            break
    assert not bench.devices.wanted
    assert bench.fault_codes == {fault}
    assert 15.0 <= step * 0.05 <= 40.0


@pytest.mark.parametrize("late_s", [0.0, 2.0, 4.0])
def test_car_that_follows_late_but_follows_is_served_whatever_the_set_point_does(late_s: float) -> None:
    bench = AcBench()
    bench.wish = EnergyWish(setpoint_w=7_000.0)
    bench.to_energy()
    late = round(late_s * 20)
    for step in range(20 * 120):
        bench.wish = EnergyWish(setpoint_w=-7_000.0 if (step // 80) % 2 else 7_000.0)
        bench.amps = -10.0 if (max(0, step - late) // 80) % 2 else 10.0
        bench.steps(1)
    assert bench.fault_codes == set()
    assert bench.devices.wanted


def test_before_a_loop_response_the_ev_was_told_of_no_power() -> None:
    """Start tells of none: an EV that draws all the same is stopped."""
    bench = AcBench()
    bench.wish = EnergyWish(setpoint_w=11_000.0)
    bench.negotiate()
    bench.tell(START)
    bench.pilot = PilotState.C
    bench.steps(4)
    bench.amps = 10.0
    bench.steps(30)
    assert bench.fault_codes == {"over-current"}


def test_start_and_hold_in_turn_are_no_loop() -> None:
    bench = AcBench()
    bench.to_energy()
    bench.looping = False
    for _ in range(4):
        bench.tell(EnergyHold("standby", standby=True))
        bench.steps(80)
        bench.tell(START)
        bench.steps(2)
    assert bench.fault_codes == set()
    bench.tell(EnergyHold("standby", standby=True))
    bench.steps(80)
    bench.tell(START)
    bench.steps(2)
    assert bench.fault_codes == {"ev-silent"}


def test_before_the_first_loop_of_all_the_ev_has_a_minute() -> None:
    bench = AcBench()
    bench.negotiate()
    bench.tell(START)
    bench.pilot = PilotState.C
    bench.steps(1290)
    assert bench.fault_codes == set()
    bench.steps(20)
    assert bench.fault_codes == {"ev-silent"}


@pytest.mark.parametrize("standby", [True, False])
def test_only_standby_holds_for_long(standby: bool) -> None:
    bench = AcBench()
    bench.to_energy()
    bench.looping = False
    bench.tell(EnergyHold("why", standby=standby))
    bench.steps(2590)
    assert bench.phase == "hold"
    bench.steps(30)
    assert bench.fault_codes == (set() if standby else {"ev-silent"})
