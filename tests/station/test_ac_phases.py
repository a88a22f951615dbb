"""Which phases an EV uses, and what one of them carries; what a Scheduled EV may do while its clock is excused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.model.commands import EvAcLimits
from evse_controller.model.limits import Limit
from evse_controller.model.power import PhasePower
from evse_controller.model.wish import EnergyWish
from tests.station.ac_bench import AC_SCHEDULED, LOOP, AcBench

TOTAL = EvAcLimits(PhasePower(22_080.0), PhasePower(0.0), PhasePower(11_040.0), PhasePower(0.0))


def saying(bench: AcBench, limits: EvAcLimits) -> None:
    bench.looping = False
    bench.tell(replace(LOOP, limits=limits))
    bench.steps(2)


@pytest.mark.parametrize(
    ("charge", "total_w", "told"),
    [
        ((7360.0, 0.0, 0.0), 22_080.0, (7360.0, 0.0, 0.0)),
        ((7360.0, 0.0, 0.0), 4000.0, (4000.0, 0.0, 0.0)),
        ((7360.0, 3680.0, 3680.0), 13_000.0, (5640.0, 3680.0, 3680.0)),
        ((7360.0, 7360.0, 7360.0), 6000.0, (2000.0, 2000.0, 2000.0)),
    ],
)
def test_a_power_is_spread_over_the_phases_that_the_ev_can_use(
    charge: tuple[float, float, float], total_w: float, told: tuple[float, float, float]
) -> None:
    bench = AcBench()
    bench.to_energy()
    bench.wish = EnergyWish(setpoint_w=total_w)
    saying(bench, EvAcLimits(PhasePower(*charge), PhasePower(0.0, 0.0, 0.0)))
    assert bench.present.target_w.by_phase == pytest.approx(told)


def test_what_is_given_is_spread_over_the_phases_that_the_ev_can_give_on() -> None:
    bench = AcBench()
    bench.to_energy()
    bench.wish = EnergyWish(setpoint_w=-3000.0)
    three = PhasePower(7360.0, 7360.0, 7360.0)
    saying(bench, EvAcLimits(three, PhasePower(0.0, 0.0, 0.0), PhasePower(3680.0, 0.0, 0.0), PhasePower(0.0, 0.0, 0.0)))
    assert bench.present.target_w == PhasePower(-3000.0, 0.0, 0.0)


def test_an_ev_that_tells_no_phases_apart_and_loads_one_gets_what_one_carries() -> None:
    bench = AcBench()
    bench.to_energy()
    bench.wish = EnergyWish(setpoint_w=20_000.0)
    bench.amps = (20.0, 0.0, 0.0)
    saying(bench, TOTAL)
    assert bench.present.target_w == PhasePower(7360.0)
    assert bench.present.max_discharge_w == PhasePower(3680.0)
    bench.amps = (20.0, 20.0, 20.0)
    bench.steps(2)
    assert bench.present.target_w == PhasePower(20_000.0)


def test_three_phases_are_seen_when_all_are_loaded_and_forgotten_when_one_is_alone() -> None:
    bench = AcBench()
    bench.to_energy()
    for amps, seen in (
        ((2.0, 2.0, 2.0), False),
        ((6.0, 6.0, 0.0), False),
        ((6.0, 6.0, 6.0), True),
        ((0.0, 0.0, 0.0), True),
        ((6.0, 0.0, 0.0), False),
    ):
        bench.amps = amps
        bench.steps(2)
        assert bench.present.three_phases is seen


def by_schedule(
    charge_w: float, target_told: bool, watts: float, seconds: float, import_w: float = 22_000.0
) -> AcBench:
    """A Scheduled EV that charges `watts` although its slot says 0 W now."""
    bench = AcBench()
    bench.to_energy(AC_SCHEDULED)
    bench.wish = EnergyWish(charge_cap=Limit(0.0, "schedule", "slot"))
    bench.amps, bench.looping, bench.import_w = watts / 690.0, False, import_w
    for _ in range(round(seconds * 20)):
        bench.tell(replace(LOOP, by_schedule_w=(charge_w, 0.0), target_told=target_told))
        bench.steps(1)
        if not bench.devices.wanted:
            break
    return bench


def test_an_ev_whose_clock_is_late_is_not_cut_off_at_a_step_of_its_schedule() -> None:
    assert by_schedule(11_000.0, True, 11_000.0, 20.0).fault_codes == set()
    assert by_schedule(0.0, True, 11_000.0, 20.0).fault_codes == {"over-current"}


@pytest.mark.parametrize(("target_told", "faults"), [(True, {"over-current"}), (False, set())])
def test_what_the_site_allows_binds_at_once_as_soon_as_it_was_told(target_told: bool, faults: set[str]) -> None:
    assert by_schedule(11_000.0, target_told, 11_000.0, 20.0, import_w=5_000.0).fault_codes == faults


def test_a_schedule_excuses_no_discharge_that_is_not_permitted() -> None:
    bench = AcBench()
    bench.to_energy(AC_SCHEDULED)
    bench.export_w, bench.looping = 0.0, False
    for _ in range(160):
        bench.tell(replace(LOOP, by_schedule_w=(0.0, 5_000.0), target_told=False))
        bench.steps(1)
        bench.amps = -5.0
    assert bench.fault_codes == {"reverse-power"}


@pytest.mark.parametrize(("amps", "target_w"), [(0.0, -5_000.0), (5.0, 0.0), (-5.0, -5_000.0)])
def test_an_ev_at_rest_is_told_the_direction_in_which_its_schedule_lets_it_go(amps: float, target_w: float) -> None:
    bench = AcBench()
    bench.to_energy(AC_SCHEDULED)
    bench.wish = EnergyWish(
        charge_cap=Limit(0.0, "schedule", "slot"), discharge_cap=Limit(5_000.0, "schedule", "slot")
    )
    bench.amps = amps
    bench.steps(2)
    assert bench.present.target_w.total_w == pytest.approx(target_w)
