"""Dynamic mode: needs, the driver's wishes, what is told in every loop: protocol.md B.7, B.10, F.2 cases 44 and 57."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.messages.generated.common_types import DisplayParameters, Processing
from evse_controller.messages.rational import rational_nearest
from evse_controller.model import commands as c
from evse_controller.model.snapshot import DriverWishes, Step
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.streams import Stream
from tests.secc import ev, ev_ac
from tests.secc.ev import DC, DC_BPT, DYNAMIC, SCHEDULED, UTC_S, Bench, schedule_request
from tests.secc.ev_ac import AC, AC_BPT, AcBench

SECC_SET = 3  # Dynamic with MobilityNeedsMode 2
WISHES = DriverWishes(UTC_S + 36_000.0, 90, 40)
SAID = ("departure_time", "target_soc", "minimum_soc")


class _Dc(Bench):
    """A DC bench that selects the set in which we provide the driver's wishes."""

    parameter_set = SECC_SET

    def _usual(self, state: str) -> Any:
        if state == "ServiceSelection":
            return ev.selection(self.service, self.parameter_set)
        return super()._usual(state)


def bench_of(service: int, parameter_set: int = SECC_SET, driver: DriverWishes | None = WISHES) -> Bench:
    if service in (AC, AC_BPT):
        config = SeccConfig(services=(AC, AC_BPT), mobility_needs_modes=(1, 2), ack_max_delay_s=12)
        bench: Bench = AcBench(config, service=service, control_mode=DYNAMIC, parameter_set=parameter_set)
    else:
        bench = _Dc(SeccConfig(mobility_needs_modes=(1, 2), ack_max_delay_s=12), service=service, control_mode=DYNAMIC)
        bench.parameter_set = parameter_set
    bench.set(driver=driver)
    return bench


def told(mode: Any) -> tuple[int | None, ...]:
    return tuple(getattr(mode, name) for name in SAID)


def exchange(bench: Bench) -> Any:
    return bench.to("ScheduleExchange").say(schedule_request(DYNAMIC)).dynamic_se_res_control_mode


def looped(bench: Bench) -> Any:
    """The control mode block of a loop's answer."""
    bench.to("ChargeLoop").set(precharge=Step.DONE)
    return bench.say(bench._loop()).cl_res_control_mode


@pytest.mark.parametrize("service", [DC, DC_BPT, AC, AC_BPT])
def test_case_44_the_drivers_wishes_are_told_with_mobility_needs_mode_2(service: int) -> None:
    bench = bench_of(service)
    for answer in (exchange, looped):
        mode = answer(bench)
        left_s = UTC_S + 36_000.0 - bench.snapshot.utc_s
        assert told(mode) == (int(left_s), 90, 40)
    assert mode.ack_max_delay == 12


@pytest.mark.parametrize("service", [DC, DC_BPT, AC, AC_BPT])
def test_case_44_nothing_is_told_with_mobility_needs_mode_1(service: int) -> None:
    bench = bench_of(service, parameter_set=2)
    assert told(exchange(bench)) == (None, None, None)
    mode = looped(bench)
    assert told(mode) == (None, None, None)
    assert mode.ack_max_delay == 12


def test_case_44_nothing_is_told_that_the_driver_did_not_say() -> None:
    assert told(exchange(bench_of(DC, driver=None))) == (None, None, None)
    assert told(exchange(bench_of(DC, driver=DriverWishes(target_soc=70)))) == (None, 70, None)


@settings(max_examples=60, deadline=None)
@given(
    minimum=st.none() | st.integers(-10, 200),
    target=st.none() | st.integers(-10, 200),
    departure_s=st.none() | st.floats(-1e6, 1e10),
)
def test_case_44_what_is_told_encodes_and_the_minimum_is_never_above_the_target(
    minimum: int | None, target: int | None, departure_s: float | None
) -> None:
    departure = None if departure_s is None else UTC_S + departure_s
    bench = bench_of(DC, driver=DriverWishes(departure, target, minimum))
    for mode in (exchange(bench), looped(bench)):
        left_s, target_soc, minimum_soc = told(mode)
        assert (left_s is None) is (departure is None)
        assert (target_soc is None, minimum_soc is None) == (target is None, minimum is None)
        if target_soc is not None and minimum_soc is not None:
            assert minimum_soc <= target_soc


def needs_of_exchange(bench: Bench) -> Any:
    exchange(bench)
    (asked,) = bench.commands_of(c.ScheduleRequested)
    return asked.needs


def test_the_drivers_wishes_come_before_what_the_ev_says() -> None:
    needs = needs_of_exchange(bench_of(DC_BPT))
    assert (needs.departure_utc_s, needs.target_soc, needs.minimum_soc) == (WISHES.departure_utc_s, 90.0, 40.0)
    assert needs.target_wh == 20_000
    needs = needs_of_exchange(bench_of(DC_BPT, parameter_set=2))
    assert (needs.departure_utc_s, needs.target_soc) == (pytest.approx(UTC_S + 7200, abs=5), 80.0)


def loop_needs(bench: Bench) -> Any:
    bench.say(bench._loop())
    return (bench.commands_of(c.LoopUpdate) + bench.commands_of(c.AcLoopUpdate))[-1].needs


@pytest.mark.parametrize("service", [DC_BPT, AC_BPT])
def test_a_driver_who_changes_the_mind_is_heard_in_the_loop(service: int) -> None:
    bench = bench_of(service).to("ChargeLoop")
    assert loop_needs(bench).departure_utc_s == WISHES.departure_utc_s
    bench.after(0.25).set(driver=DriverWishes(UTC_S + 3600.0, 60, 50))
    needs = loop_needs(bench)
    assert (needs.departure_utc_s, needs.target_soc, needs.minimum_soc) == (UTC_S + 3600.0, 60.0, 50.0)


def planned_for(bench: Bench, soc: int | None, capacity_wh: float | None, **changes: float) -> Any:
    """What the energy room plans for after a loop that shows this; the EV itself wants 20 kWh, at most 40."""
    request = bench._loop()
    for name, number in changes.items():
        setattr(request.cl_req_control_mode, name, rational_nearest(number))
    request.display_parameters = DisplayParameters(
        present_soc=soc, battery_energy_capacity=None if capacity_wh is None else rational_nearest(capacity_wh)
    )
    bench.after(0.25).say(request)
    return (bench.commands_of(c.LoopUpdate) + bench.commands_of(c.AcLoopUpdate))[-1].needs.target_wh


@pytest.mark.parametrize("service", [DC_BPT, AC_BPT])
def test_the_drivers_target_is_the_energy_that_is_planned_for(service: int) -> None:
    bench = bench_of(service).to("ChargeLoop")
    bench.set(driver=DriverWishes(None, 70, None))
    assert planned_for(bench, 50, None) == 20_000.0, "without its capacity the EV's own energy counts"
    assert planned_for(bench, 50, 60_000.0) == pytest.approx(12_000.0)
    assert planned_for(bench, None, None) == pytest.approx(12_000.0), "what was shown before holds"
    assert planned_for(bench, 80, 60_000.0) == pytest.approx(-6_000.0), "so much may be given back"
    assert planned_for(bench, 10, 100_000.0) == 40_000.0, "never above what the EV takes at most"
    assert planned_for(bench, 50, 60_000.0, ev_target_energy_request=12_900.0) == 12_900.0, "the EV means the same"
    assert planned_for(bench, 50, 60_000.0, ev_target_energy_request=13_300.0) == pytest.approx(12_000.0)
    bench.set(driver=None)
    assert planned_for(bench, 50, 60_000.0) == 20_000.0


def test_a_capacity_that_is_none_of_a_vehicle_is_not_reckoned_with() -> None:
    bench = bench_of(DC_BPT).to("ChargeLoop")
    bench.set(driver=DriverWishes(None, 70, None))
    for capacity_wh in (0.0, -60_000.0, 60.0, 3e7):
        assert planned_for(bench, 50, capacity_wh) == 20_000.0


def test_where_the_ev_speaks_for_itself_its_own_energy_counts() -> None:
    bench = bench_of(DC_BPT, parameter_set=2).to("ChargeLoop")
    bench.set(driver=DriverWishes(None, 70, None))
    assert planned_for(bench, 50, 60_000.0) == 20_000.0


@pytest.mark.parametrize("service", [DC_BPT, AC_BPT])
def test_a_new_exchange_plans_for_the_drivers_target_too(service: int) -> None:
    bench = bench_of(service).to("ChargeLoop")
    bench.set(driver=DriverWishes(None, 70, None))
    planned_for(bench, 50, 60_000.0)
    bench.say(schedule_request(DYNAMIC), stream=Stream.SCHEDULE)
    assert bench.commands_of(c.ScheduleRequested)[-1].needs.target_wh == pytest.approx(12_000.0)


def test_what_a_loop_cannot_say_is_remembered_from_the_exchange() -> None:
    """MinimumSOC has no place in a charge loop: forgotten, it would forbid no discharge any more."""
    bench = Bench(service=DC_BPT, control_mode=DYNAMIC).to("ScheduleExchange")
    request = schedule_request(DYNAMIC)
    assert request.dynamic_se_req_control_mode is not None
    request.dynamic_se_req_control_mode.minimum_soc = 30
    request.dynamic_se_req_control_mode.target_soc = 75
    bench.say(request)
    departure = bench.commands_of(c.ScheduleRequested)[0].needs.departure_utc_s
    needs = loop_needs(bench.to("ChargeLoop"))
    assert (needs.minimum_soc, needs.target_soc, needs.departure_utc_s) == (30.0, 75.0, departure)


@pytest.mark.parametrize("service", [DC_BPT, AC_BPT])
def test_the_v2x_window_reaches_the_energy_room_whole_or_not_at_all(service: int) -> None:
    """[V2G20-2681]"""
    bench = bench_of(service).to("ChargeLoop")
    edges = {"ev_maximum_v2x_energy_request": 15_000.0, "ev_minimum_v2x_energy_request": -8_000.0}
    module: Any = ev if service == DC_BPT else ev_ac
    for given_edges, window in ((edges, (15_000.0, -8_000.0)), (dict([*edges.items()][:1]), (None, None))):
        bench.after(0.25).say(module.loop(DYNAMIC, True, **given_edges))
        needs = (bench.commands_of(c.LoopUpdate) + bench.commands_of(c.AcLoopUpdate))[-1].needs
        assert (needs.v2x_maximum_wh, needs.v2x_minimum_wh) == window


@pytest.mark.parametrize("service", [DC_BPT, AC_BPT])
def test_a_scheduled_loop_may_say_what_is_still_needed(service: int) -> None:
    bench: Bench = Bench(service=service) if service == DC_BPT else AcBench(service=service)
    bench.to("ChargeLoop")
    assert loop_needs(bench) is None
    module: Any = ev if service == DC_BPT else ev_ac
    bench.after(0.25).say(module.loop(SCHEDULED, True, ev_target_energy_request=7_000.0))
    needs = (bench.commands_of(c.LoopUpdate) + bench.commands_of(c.AcLoopUpdate))[-1].needs
    assert (needs.dynamic, needs.target_wh, needs.maximum_wh) == (False, 7_000.0, None)


def test_dynamic_waits_for_nobody() -> None:
    answer = bench_of(DC).to("ScheduleExchange").say(schedule_request(DYNAMIC))
    assert answer.evse_processing is Processing.Finished
