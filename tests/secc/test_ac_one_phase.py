"""An EV that names phase 1 only, at an outlet of three: it may mean one phase or all, and one carries less.

Also what a Scheduled EV is told when its schedule goes on, whatever its clock says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evse_controller.messages.generated import ac
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.messages.rational import rational_nearest as n
from evse_controller.messages.rational import rational_value
from evse_controller.model.commands import AcLoopUpdate, LimitsNegotiated
from evse_controller.model.power import PhasePower
from evse_controller.model.snapshot import AcPresent, Step
from tests.secc.ev import DYNAMIC, SCHEDULED, UTC_S, header, power_delivery, profile, schedule_request
from tests.secc.ev_ac import AC, AC_SNAPSHOT, PRESENT, RATINGS, AcBench, loop, three, told

ONE_W = 3680.0  # 16 A
NONE = PhasePower(0.0)


def one_phase(mode: int, most_w: float = 7360.0, least_w: float = 1380.0) -> AcBench:
    """Behind ChargeParameterDiscovery with L1 only, at three times 16 A."""
    snapshot = replace(AC_SNAPSHOT, ac_ratings=replace(RATINGS, max_charge_w=three(ONE_W), min_charge_w=three(0.0)))
    bench = AcBench(service=AC, control_mode=mode, snapshot=snapshot).to("ChargeParameterDiscovery")
    limits = ac.AC_CPDReqEnergyTransferMode(n(most_w), n(least_w))
    assert bench.say(ac.AC_ChargeParameterDiscoveryReq(header(), limits)).response_code is ResponseCode.OK
    return bench


def looped(bench: AcBench, three_phases: bool, present_w: float = 11_040.0, limit_w: float = 7360.0) -> Any:
    power = PhasePower(present_w)
    bench.set(ac_present=AcPresent(power, NONE, power, NONE, three_phases))
    return bench.after(0.25).say(loop(bench.control_mode, False, ev_maximum_charge_power=limit_w))


@pytest.mark.parametrize("mode", [SCHEDULED, DYNAMIC])
def test_an_ev_that_names_one_phase_is_told_no_more_than_one_carries_until_three_are_seen(mode: int) -> None:
    bench = one_phase(mode)
    (negotiated,) = bench.commands_of(LimitsNegotiated)
    assert negotiated.limits.max_charge_w == PhasePower(ONE_W)  # what the plan is made for
    bench.to("ChargeLoop")
    bench.session._data.ac.target_told = True
    for seen, limit_w in ((False, ONE_W), (True, 7360.0), (False, ONE_W)):
        assert told(looped(bench, seen)) == (limit_w, None, None)
        assert bench.commands_of(AcLoopUpdate)[-1].limits.max_charge_w == PhasePower(limit_w)


def test_the_schedule_of_an_ev_that_names_one_phase_is_one_that_it_can_follow() -> None:
    bench = one_phase(SCHEDULED)
    bench.say(schedule_request(SCHEDULED))
    response = bench.after(50.0).say(schedule_request(SCHEDULED))  # no plan came: the session's own
    (entry,) = response.scheduled_se_res_control_mode.schedule_tuple
    (slot,) = entry.charging_schedule.power_schedule.power_schedule_entries.power_schedule_entry
    assert (rational_value(slot.power), slot.power_l2) == (ONE_W, None)


def test_an_ev_that_can_do_no_less_than_one_phase_carries_means_three() -> None:
    bench = one_phase(DYNAMIC, 11_040.0, 4140.0).to("ChargeLoop")
    assert told(looped(bench, False, limit_w=11_040.0)) == (11_040.0, None, None)


# What is told in Scheduled mode


def scheduled(powers: tuple[float, float] = (11_040.0, 0.0)) -> AcBench:
    """In the loop by a schedule that steps after 100 s."""
    bench = AcBench(service=AC, control_mode=SCHEDULED).to("PowerDelivery")
    bench.set(contactor=Step.DONE)
    bench.say(power_delivery(plan=profile(1, (100, 3000.0))))
    data = bench.session._data
    assert data.chosen is not None
    (slot, *_), (first_w, then_w) = data.chosen.charging, powers
    data.chosen = replace(
        data.chosen,
        charging=(
            replace(slot, start_s=0, end_s=100, power_w=first_w),
            replace(slot, start_s=100, end_s=9000, power_w=then_w),
        ),
    )
    return bench


def at(bench: AcBench, into_s: float, target_w: float, measured_w: float) -> tuple[Any, AcLoopUpdate]:
    target = three(target_w / 3)
    bench.set(utc_s=UTC_S + into_s, ac_present=replace(PRESENT, target_w=target, measured_w=three(measured_w / 3)))
    bench.now_s += 0.25
    answer = bench.say(loop(SCHEDULED, False))
    return answer, bench.commands_of(AcLoopUpdate)[-1]


def test_a_scheduled_ev_is_told_its_target_when_its_schedule_goes_on() -> None:
    """One whose clock is late would not know."""
    bench = scheduled()
    answer, update = at(bench, 60.0, 11_040.0, 3000.0)
    assert (told(answer), update.target_told) == ((None, None, None), False)
    answer, update = at(bench, 100.0, 0.0, 0.0)
    assert (told(answer), update.target_told) == ((0.0, 0.0, 0.0), True)


def test_a_scheduled_ev_that_does_more_than_the_target_is_told_it() -> None:
    bench = scheduled((3000.0, 3000.0))
    assert told(at(bench, 10.0, 3000.0, 3000.0)[0]) == (None, None, None)
    assert told(at(bench, 11.0, 3000.0, 3300.0)[0]) == (1000.0, 1000.0, 1000.0)


@pytest.mark.parametrize(
    ("into_s", "allowed_w"), [(69.0, 11_040.0), (99.0, 11_040.0), (129.0, 11_040.0), (131.0, 0.0)]
)
def test_the_station_hears_what_the_schedule_allows_by_any_excusable_clock(into_s: float, allowed_w: float) -> None:
    _, update = at(scheduled(), into_s, allowed_w, 0.0)
    assert update.by_schedule_w == (allowed_w, 0.0)
    _, update = at(scheduled((0.0, 11_040.0)), into_s, allowed_w, 0.0)
    assert update.by_schedule_w == (0.0 if into_s < 70.0 else 11_040.0, 0.0)


def test_an_ev_that_does_what_it_was_told_is_not_warned_for_doing_less_than_planned() -> None:
    bench = scheduled()
    codes = {at(bench, 30.0 + step / 4, 1500.0, 1500.0)[0].response_code for step in range(60)}
    assert codes == {ResponseCode.OK}
