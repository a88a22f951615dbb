"""AC_ChargeLoop: protocol.md B.10 and F.2 cases 53 to 58 for AC."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.messages.generated import ac
from evse_controller.messages.generated.common_types import EvseNotification, RationalNumber, ResponseCode
from evse_controller.model.commands import AcLoopUpdate, EnergyStop, SessionEnded
from evse_controller.model.power import PhasePower
from evse_controller.model.snapshot import DriverWishes, MeterTotals, Notification, Step
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.iso20.ac_phases import at_most, inside
from tests.secc.ev import DYNAMIC, SCHEDULED, UTC_S, header
from tests.secc.ev_ac import AC, AC_BPT, PRESENT, AcBench, loop, loop_mode, three, told

COMBINATIONS = [(mode, service) for mode in (SCHEDULED, DYNAMIC) for service in (AC, AC_BPT)]


LENIENT = replace(AcBench().config, accept_senseless_loop_limits=True)


def looping(
    mode: int = DYNAMIC, service: int = AC_BPT, config: SeccConfig | None = None, **present: Any
) -> AcBench:
    bench = AcBench(config or AcBench().config, service=service, control_mode=mode)
    bench.to("ChargeLoop")
    bench.set(ac_present=replace(PRESENT, **present))
    return bench


def ask(bench: AcBench, meter: bool = False, soc: int | None = None, **changes: float) -> Any:
    return bench.after(0.25).say(loop(bench.control_mode, bench.bidirectional, meter, soc, **changes))


def last(bench: AcBench) -> AcLoopUpdate:
    update: AcLoopUpdate = bench.commands_of(AcLoopUpdate)[-1]
    return update


@pytest.mark.parametrize(("mode", "service"), COMBINATIONS)
@pytest.mark.parametrize(("asked_mode", "asked_service"), COMBINATIONS)
def test_case_53_ac_answer_mirrors_the_request_and_any_other_variant_fails(
    mode: int, service: int, asked_mode: int, asked_service: int
) -> None:
    bench = looping(mode, service)
    answer = bench.say(ac.AC_ChargeLoopReq(header(), False, loop_mode(asked_mode, asked_service == AC_BPT)))
    if (mode, service) == (asked_mode, asked_service):
        assert answer.response_code is ResponseCode.OK
        expected = type(loop_mode(mode, service == AC_BPT)).__name__.replace("Req", "Res")
        assert type(answer.cl_res_control_mode).__name__ == expected
    else:
        assert answer.response_code is ResponseCode.FAILED
        assert bench.state == "Ended"


def test_case_57_the_dynamic_target_is_signed_per_phase_and_measured_power_is_told() -> None:
    bench = looping(target_w=three(-1000.0), measured_w=three(-990.0))
    answer = ask(bench)
    assert told(answer) == (-1000.0, -1000.0, -1000.0)
    assert told(answer, "evse_present_active_power") == (-990.0, -990.0, -990.0)


def test_case_57_charge_discharge_charge_without_a_new_session() -> None:
    bench = looping()
    for target_w in (2000.0, -1500.0, 2000.0):
        bench.set(ac_present=replace(PRESENT, target_w=three(target_w)))
        assert told(ask(bench)) == (target_w, target_w, target_w)


def test_a_target_is_rounded_towards_zero() -> None:
    assert told(ask(looping(target_w=three(1234.5678)))) == (1234.5,) * 3
    assert told(ask(looping(target_w=three(-1234.5678)))) == (-1234.5,) * 3


def test_a_one_way_service_never_gets_a_negative_target() -> None:
    assert told(ask(looping(service=AC, target_w=three(-1000.0)))) == (0.0, 0.0, 0.0)


def test_case_55_a_target_never_exceeds_charge_parameter_discovery_the_ev_or_what_holds_now() -> None:
    assert told(ask(looping(target_w=three(9000.0), max_charge_w=three(9000.0)))) == (3680.0,) * 3  # the EV's limit
    assert told(ask(looping(target_w=three(3000.0), max_charge_w=three(2000.0)))) == (2000.0,) * 3  # what holds now
    assert told(ask(looping(target_w=three(-9000.0), max_discharge_w=three(9000.0)))) == (-3000.0,) * 3
    bench = looping(target_w=three(9000.0), max_charge_w=three(9000.0))
    memory = bench.session._data.ac
    assert memory.negotiated is not None
    memory.negotiated = replace(memory.negotiated, max_charge_w=three(1e6))  # an EV that could do more
    request = loop(DYNAMIC, True, ev_maximum_charge_power=3e6)
    assert told(bench.say(request)) == (7360.0,) * 3  # the rating


def test_case_55_limits_of_the_ev_shrink_in_one_loop_and_recover_up_to_its_own_charge_parameter_discovery() -> None:
    bench = looping(target_w=three(3000.0))
    ask(bench, ev_maximum_charge_power=3000.0)
    assert last(bench).limits.max_charge_w == PhasePower(3000.0)
    assert told(bench.say(loop(DYNAMIC, True, ev_maximum_charge_power=3000.0))) == (1000.0,) * 3
    ask(bench, ev_maximum_charge_power=50_000.0)
    assert last(bench).limits.max_charge_w == PhasePower(11_040.0)
    ask(bench, ev_maximum_charge_power=0.0, ev_maximum_discharge_power=0.0)
    assert last(bench).limits.max_charge_w == PhasePower(0.0)
    assert last(bench).limits.max_discharge_w == PhasePower(0.0)


HUGE = 1e30
SENSELESS: list[dict[str, float]] = [
    {"ev_maximum_charge_power": -3.0},
    {"ev_minimum_charge_power": 9e6},
    {"ev_maximum_charge_power": HUGE},
    {"ev_maximum_discharge_power": -5.0},
    {"ev_maximum_discharge_power": HUGE},
    {"ev_minimum_discharge_power": 2_000.0, "ev_maximum_discharge_power": 1_500.0},
    {
        "ev_minimum_charge_power": 500.0,
        "ev_minimum_charge_power_l2": 1_000.0,
        "ev_maximum_charge_power": 3_000.0,
        "ev_maximum_charge_power_l2": 500.0,
    },
]


def saying(bench: AcBench, changes: dict[str, float]) -> Any:
    """The answer to a loop with these limits; HUGE is the largest number that the schema can say."""
    known: Any = {name: value for name, value in changes.items() if value != HUGE}
    request = loop(bench.control_mode, bench.bidirectional, **known)
    for name, number in changes.items():
        if number == HUGE:
            setattr(request.cl_req_control_mode, name, RationalNumber(127, 32767))
    return bench.after(0.25).say(request)


@pytest.mark.parametrize("changes", SENSELESS, ids=str)
@pytest.mark.parametrize("mode", [SCHEDULED, DYNAMIC])
def test_a_limit_that_makes_no_sense_ends_the_session_energy_first(mode: int, changes: dict[str, float]) -> None:
    bench = looping(mode)
    assert ask(bench).response_code is ResponseCode.OK
    before = len(bench.commands)
    assert saying(bench, changes).response_code is ResponseCode.FAILED_WrongChargeParameter
    assert [type(command) for command in bench.commands[before:]] == [EnergyStop, SessionEnded]
    assert bench.state == "Ended"


@pytest.mark.parametrize(
    "changes",
    [
        {"ev_maximum_charge_power": 0.0, "ev_minimum_charge_power": 1_380.0},
        {"ev_maximum_discharge_power": 0.0, "ev_minimum_discharge_power": 100.0},
        {"ev_maximum_charge_power": 300e3, "ev_minimum_charge_power": 100.0},
        {"ev_maximum_discharge_power": 3e7},
        {"ev_maximum_charge_power": 3_680.0, "ev_maximum_charge_power_l2": 0.0, "ev_maximum_charge_power_l3": 0.0,
         "ev_minimum_charge_power": 1_380.0, "ev_minimum_charge_power_l2": 1_000.0},
        {"ev_present_active_power": -5_000.0},
        {"ev_minimum_energy_request": 9e4, "ev_target_energy_request": -9e4},
    ],
    ids=str,
)
def test_what_cars_mean_well_is_served(changes: dict[str, float]) -> None:
    """Nothing now is 0, what is too much is bounded, present powers and energies are signed."""
    bench = looping()
    assert saying(bench, changes).response_code is ResponseCode.OK
    limits = last(bench).limits
    assert limits.min_charge_w.total_w <= limits.max_charge_w.total_w <= 11_040.0


def test_a_minimum_alone_is_held_against_the_maximum_that_holds_and_a_maximum_alone_against_none() -> None:
    bench = looping(SCHEDULED)
    memory = bench.session._data.ac
    assert memory.limits is not None
    memory.limits = replace(memory.limits, min_charge_w=PhasePower(2_000.0))
    assert ask(bench, ev_maximum_charge_power=1_500.0).response_code is ResponseCode.OK
    assert last(bench).limits.min_charge_w.total_w <= 1_500.0
    assert ask(bench, ev_minimum_charge_power=1_600.0).response_code is ResponseCode.FAILED_WrongChargeParameter


def test_negative_discharge_limits_in_the_loop_are_a_quirk_that_is_configured() -> None:
    bench = looping(config=replace(AcBench().config, accept_negative_discharge_limits=True))
    assert ask(bench, ev_maximum_discharge_power=-1_000.0).response_code is ResponseCode.OK
    assert last(bench).limits.max_discharge_w == PhasePower(1_000.0)


@pytest.mark.parametrize("changes", SENSELESS, ids=str)
def test_where_it_is_accepted_a_limit_that_makes_no_sense_widens_nothing(changes: dict[str, float]) -> None:
    bench = looping(config=LENIENT)
    shrunk = {"ev_maximum_charge_power": 4_000.0, "ev_maximum_discharge_power": 1_500.0}
    saying(bench, shrunk)
    before = last(bench).limits
    assert saying(bench, shrunk | changes).response_code is ResponseCode.OK
    after = last(bench).limits
    assert after.max_charge_w.total_w <= before.max_charge_w.total_w
    assert after.min_charge_w.total_w <= after.max_charge_w.total_w
    assert after.max_discharge_w is not None
    assert before.max_discharge_w is not None
    assert after.max_discharge_w.total_w <= before.max_discharge_w.total_w


def test_scheduled_limits_that_are_left_out_keep_their_last_value() -> None:
    bench = looping(SCHEDULED)
    ask(bench, ev_maximum_charge_power=2000.0, ev_maximum_charge_power_l2=1000.0, ev_maximum_charge_power_l3=9999.0)
    ask(bench)
    assert last(bench).limits.max_charge_w == PhasePower(2000.0, 1000.0, 3680.0)
    assert last(bench).limits.max_discharge_w == three(3000.0)


def test_scheduled_is_told_a_target_only_where_less_holds_than_was_planned() -> None:
    bench = looping(SCHEDULED, target_w=three(3680.0))
    _cap(bench, 11_040.0)
    assert told(ask(bench)) == (None, None, None)
    bench.set(ac_present=replace(PRESENT, target_w=three(2000.0)))
    assert told(ask(bench)) == (2000.0, 2000.0, 2000.0)
    # From then on it is told what holds, never more than the schedule.
    _cap(bench, 9000.0)
    bench.set(ac_present=replace(PRESENT, target_w=three(3680.0)))
    assert told(ask(bench)) == (3000.0, 3000.0, 3000.0)


def test_scheduled_is_told_of_a_phase_that_holds_less_and_of_schedules_by_phase() -> None:
    bench = looping(SCHEDULED, target_w=PhasePower(500.0, 3680.0, 3680.0))
    _cap(bench, 6000.0)
    assert told(ask(bench)) == (381.6, 2809.1, 2809.1)  # 6 kW together, in the station's proportion
    bench = looping(SCHEDULED, target_w=three(3680.0))
    _cap(bench, 5000.0, (1000.0, 2000.0, 2000.0))
    assert told(ask(bench)) == (None, None, None)
    bench.set(ac_present=replace(PRESENT, target_w=PhasePower(3000.0, 1500.0, 3000.0)))
    assert told(ask(bench)) == (1000.0, 1500.0, 2000.0)


def _cap(bench: AcBench, power_w: float, phases_w: tuple[float, float, float] | None = None) -> None:
    """The schedule in force allows this from now on."""
    chosen = bench.session._data.chosen
    assert chosen is not None
    slot = replace(chosen.charging[0], start_s=0, end_s=86400, power_w=power_w, phases_w=phases_w)
    bench.session._data.chosen = replace(chosen, charging=(slot,))


def test_the_update_carries_the_present_power_the_needs_and_the_soc() -> None:
    bench = looping()
    ask(bench, soc=55, ev_present_active_power=-100.0, ev_present_active_power_l2=-50.0)
    update = last(bench)
    assert update.present_active_w == PhasePower(-100.0, -50.0)
    assert update.soc == 55.0
    assert update.needs is not None
    assert (update.needs.target_wh, update.needs.minimum_wh) == (20_000.0, -5000.0)


def test_case_58_meter_info_on_request_and_in_the_first_loop_with_both_directions() -> None:
    bench = looping()
    first = ask(bench)
    assert first.meter_info.meter_id == "METER-1"
    assert ask(bench).meter_info is None
    bench.set(meter=MeterTotals("METER-1", 1300.0, 600.0, UTC_S))
    asked = ask(bench, meter=True).meter_info
    assert (asked.charged_energy_reading_wh, asked.bpt_discharged_energy_reading_wh) == (1300, 600)


def test_case_59_terminate_is_told_in_the_loop() -> None:
    bench = looping()
    bench.set(notification=Notification.TERMINATE)
    status = ask(bench).evse_status
    assert (status.evse_notification, status.notification_max_delay) == (EvseNotification.Terminate, 0)


def test_case_44_dynamic_wishes_of_the_driver_only_with_mobility_needs_mode_2() -> None:
    wishes = DriverWishes(UTC_S + 3600, 80, 90)
    for modes, expected in (((1,), (None, None)), ((2,), (80, 80))):
        config = SeccConfig(services=(AC, AC_BPT), mobility_needs_modes=modes)
        bench = AcBench(config, control_mode=DYNAMIC, parameter_set=2 if modes == (1,) else 3)
        bench.set(driver=wishes)
        bench.to("ChargeLoop")
        mode = ask(bench).cl_res_control_mode
        assert (mode.minimum_soc, mode.target_soc) == expected
        assert (mode.departure_time is None) is (modes == (1,))
        assert mode.ack_max_delay == bench.config.ack_max_delay_s


def test_a_contactor_that_failed_ends_the_loop() -> None:
    bench = looping()
    bench.set(contactor=Step.FAILED)
    assert ask(bench).response_code is ResponseCode.FAILED_ContactorError


def test_case_54_silence_in_the_ac_loop_ends_after_half_a_second() -> None:
    bench = looping()
    ask(bench)
    assert bench.session.deadline_s == bench.now_s + 0.5  # [V2G20-1500]


_power = st.floats(-1e5, 1e5)
_bound = st.floats(0, 1e5)


def _phased(values: st.SearchStrategy[float]) -> st.SearchStrategy[PhasePower]:
    return st.builds(PhasePower, values) | st.builds(PhasePower, values, values, values)


@settings(max_examples=300, deadline=None)
@given(_phased(_power), _phased(_bound), _phased(_bound))
def test_a_power_inside_its_bounds_is_inside_in_every_form(
    power: PhasePower, charge: PhasePower, discharge: PhasePower
) -> None:
    clamped = inside(power, charge, discharge)
    assert clamped.per_phase is power.per_phase
    slack = 1 + 1e-9
    assert -discharge.total_w * slack - 1e-6 <= clamped.total_w <= charge.total_w * slack + 1e-6
    if power.per_phase and charge.per_phase:
        for value, bound in zip(_three(clamped), _three(charge), strict=True):
            assert value <= bound * slack
    if power.per_phase and discharge.per_phase:
        for value, bound in zip(_three(clamped), _three(discharge), strict=True):
            assert value >= -bound * slack
    # Nothing grows, and nothing changes its sign.
    for before, after in zip(_three(power), _three(clamped), strict=True):
        assert abs(after) <= abs(before)
        assert before * after >= 0
    assert at_most(charge, charge) == charge


def _three(power: PhasePower) -> tuple[float, float, float]:
    return power.l1_w, power.l2_w or 0.0, power.l3_w or 0.0


_numbers = st.builds(RationalNumber, st.integers(-128, 127), st.integers(-32768, 32767))


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(COMBINATIONS), _phased(_power))
def test_whatever_the_ev_says_no_target_leaves_the_ratings(
    data: st.DataObject, combination: tuple[int, int], target: PhasePower
) -> None:
    bench = looping(*combination, config=LENIENT, target_w=target)
    mode = loop_mode(bench.control_mode, bench.bidirectional)
    for entry in type(mode).FIELDS:
        if entry.type is RationalNumber and (entry.low or data.draw(st.booleans())):
            setattr(mode, entry.name, data.draw(_numbers))
    answer = bench.say(ac.AC_ChargeLoopReq(header(), False, mode))
    assert answer.response_code is ResponseCode.OK
    for value in told(answer):
        assert value is None or -11_040.0 - 1e-6 <= value <= 22_080.0 + 1e-6
    limits = last(bench).limits
    assert 0 <= limits.min_charge_w.total_w <= 11_040.0
    assert 0 <= limits.max_charge_w.total_w <= 11_040.0
