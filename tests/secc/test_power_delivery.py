"""PowerDelivery and EVPowerProfile: protocol.md B.9 and F.2 cases 50 to 52."""

from __future__ import annotations

from typing import Any

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import EvseNotification, Processing, ResponseCode
from evse_controller.model import commands as c
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Notification, Step
from evse_controller.secc.config import SeccConfig
from tests.secc.ev import (
    DC,
    DYNAMIC,
    OFFER,
    SCHEDULED,
    UTC_S,
    Bench,
    loop,
    power_delivery,
    profile,
    schedule_request,
    stop,
)
from tests.secc.ev_ac import AcBench

START, STOP, STANDBY, _ = cm.ChargeProgress


def ready(**kinds: Any) -> Bench:
    bench = Bench(**kinds).to("PowerDelivery")
    bench.set(precharge=Step.DONE)
    return bench


def start(plan: cm.EVPowerProfile | None, bench: Bench | None = None) -> ResponseCode:
    code: ResponseCode = (bench or ready()).say(power_delivery(plan=plan)).response_code
    return code


def test_start_with_a_good_profile_lets_energy_flow_once() -> None:
    bench = ready()
    assert start(profile(1, (3600, 50_000.0), (3600, -10_000.0)), bench) is ResponseCode.OK
    (begun,) = bench.commands_of(c.EnergyStart)
    assert (begun.profile.tuple_id, [slot.power_w for slot in begun.profile.slots]) == (1, [50_000, -10_000])


def test_start_may_be_repeated_before_the_first_loop_and_has_no_second_effect() -> None:
    bench, plan = ready(), profile(1, (3600, 50_000.0))
    for _ in range(3):
        assert start(plan, bench) is ResponseCode.OK
    assert bench.say(power_delivery(processing=Processing.Ongoing)).response_code is ResponseCode.OK
    assert len(bench.commands_of(c.EnergyStart)) == 1
    assert bench.say(loop()).response_code is ResponseCode.OK


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (profile(9, (3600, 1e6)), ResponseCode.FAILED_ScheduleSelectionInvalid),
        (profile(1, (3600, 1e6)), ResponseCode.FAILED_EVPowerProfileInvalid),
    ],
    ids=["unknown tuple", "above the tuple"],
)
def test_the_plan_of_a_repeated_start_is_judged_like_the_first(second: cm.EVPowerProfile, code: ResponseCode) -> None:
    bench = ready()
    start(profile(1, (3600, 50_000.0)), bench)
    assert start(second, bench) is code


@pytest.mark.parametrize("mode", [SCHEDULED, DYNAMIC])
def test_a_repeated_start_may_bring_its_plan_up_to_date_and_buys_no_time(mode: int) -> None:
    """EVs reckon their plan from the moment of each Start."""
    bench, tuple_id = ready(control_mode=mode), 1 if mode == SCHEDULED else None
    start(profile(tuple_id, (3600, 1000.0)), bench)
    due = bench.session._data.due
    assert start(profile(tuple_id, (3600, 1000.0), anchor=int(UTC_S) + 1), bench.after(1.0)) is ResponseCode.OK
    assert bench.session._data.due == due
    first, second = bench.commands_of(c.EnergyStart)
    assert second.profile.anchor_utc_s == first.profile.anchor_utc_s + 1
    assert bench.session._data.profile == second.profile


def test_the_same_start_in_dynamic_mode_is_none_twice() -> None:
    bench = ready(control_mode=DYNAMIC)
    assert [start(None, bench), start(None, bench)] == [ResponseCode.OK, ResponseCode.OK]


def test_case_50_start_three_times_ongoing_has_no_effect() -> None:
    bench = ready()
    before = len(bench.commands)
    for _ in range(3):
        answer = bench.say(power_delivery(processing=Processing.Ongoing, plan=profile(99, (1, 1e6))))
        assert (answer.response_code, bench.state) == (ResponseCode.OK, "PowerDelivery")
    assert len(bench.commands) == before


def test_start_ongoing_then_straight_into_the_loop_counts_as_finished() -> None:
    bench = ready()
    bench.say(power_delivery(processing=Processing.Ongoing, plan=profile(1, (3600, 1000.0))))
    assert bench.say(loop()).response_code is ResponseCode.OK
    assert [type(command) for command in bench.commands[-2:]] == [c.EnergyStart, c.LoopUpdate]


def test_straight_into_the_loop_does_not_bypass_the_profile_check() -> None:
    bench = ready()
    bench.say(power_delivery(processing=Processing.Ongoing, plan=profile(1, (3600, 51_000.0))))
    assert bench.say(loop()).response_code is ResponseCode.FAILED_EVPowerProfileInvalid
    assert bench.commands_of(c.EnergyStart) == []


def test_loop_without_any_start_is_a_sequence_error() -> None:
    assert ready().say(loop()).response_code is ResponseCode.FAILED_SequenceError


def test_case_51_unknown_tuple() -> None:
    assert start(profile(2, (3600, 1000.0))) is ResponseCode.FAILED_ScheduleSelectionInvalid


@pytest.mark.parametrize(
    ("slots", "good"),
    [
        (((3600, 50_000.0), (82800, 20_000.0)), True),
        (((3600, 51_000.0),), False),
        (((3601, 50_000.0),), False),
        (((3600, -100.0),), False),
        (((3600, 0.0), (100, -10_000.0)), True),
        (((3600, 0.0), (100, -10_100.0)), False),
        (((86400, 20_000.0), (86400, 20_000.0)), True),
        (((86400, 20_000.0), (86400, 20_100.0)), False),
        (((3600, 50_004.0),), True),
    ],
)
def test_case_51_profile_must_obey_the_tuple(slots: tuple[tuple[int, float], ...], good: bool) -> None:
    code = start(profile(1, *slots))
    assert code is (ResponseCode.OK if good else ResponseCode.FAILED_EVPowerProfileInvalid)


def test_profile_is_compared_in_time_with_its_own_anchor() -> None:
    late = int(UTC_S) + 1800
    assert start(profile(1, (1800, 50_000.0), anchor=late)) is ResponseCode.OK
    assert start(profile(1, (1801, 50_000.0), anchor=late)) is ResponseCode.FAILED_EVPowerProfileInvalid


def test_before_the_tuples_anchor_its_first_cap_holds() -> None:
    early = int(UTC_S) - 1800
    assert start(profile(1, (900, 50_000.0), anchor=early)) is ResponseCode.OK
    assert start(profile(1, (900, 51_000.0), anchor=early)) is ResponseCode.FAILED_EVPowerProfileInvalid


def test_profile_anchored_at_zero_means_the_tuples_anchor() -> None:
    bench = ready()
    assert start(profile(1, (3600, 50_000.0), anchor=0), bench) is ResponseCode.OK
    assert bench.commands_of(c.EnergyStart)[0].profile.anchor_utc_s == UTC_S


def test_one_way_service_never_plans_discharge() -> None:
    code = start(profile(1, (3600, 0.0), (100, -500.0)), ready(service=DC))
    assert code is ResponseCode.FAILED_EVPowerProfileInvalid


@pytest.mark.parametrize(("mode", "wrong"), [(SCHEDULED, None), (DYNAMIC, 1)])
def test_profile_of_the_other_control_mode(mode: int, wrong: int | None) -> None:
    code = start(profile(wrong, (3600, 1000.0)), ready(control_mode=mode))
    assert code is ResponseCode.FAILED_EVPowerProfileInvalid


def test_no_profile_accepts_the_only_tuple_and_is_refused_with_several() -> None:
    bench = ready()
    assert start(None, bench) is ResponseCode.OK
    assert bench.commands_of(c.EnergyStart)[0].profile.tuple_id == 1
    several = Bench().to("ScheduleExchange")
    several.say(schedule_request(SCHEDULED))
    second = OFFER.tuples[0].__class__(2, OFFER.tuples[0].charging, OFFER.tuples[0].charge_prices)
    several.after(0.1).set(offer=OFFER.__class__(8, OFFER.anchor_utc_s, "EUR", (OFFER.tuples[0], second)))
    several.say(schedule_request(SCHEDULED))
    several.to("PowerDelivery")
    several.set(precharge=Step.DONE)
    assert start(None, several) is ResponseCode.FAILED_ScheduleSelectionInvalid


def test_dynamic_needs_no_profile() -> None:
    bench = ready(control_mode=DYNAMIC)
    assert start(None, bench) is ResponseCode.OK
    assert bench.commands_of(c.EnergyStart) == [c.EnergyStart(None)]


def test_no_energy_without_pre_charge() -> None:
    bench = Bench().to("PreCharge")
    assert start(profile(1, (1, 1.0)), bench) is ResponseCode.FAILED_PowerDeliveryNotApplied
    assert bench.commands_of(c.EnergyStart) == []


def test_no_energy_after_failed_pre_charge() -> None:
    bench = ready()
    bench.set(precharge=Step.FAILED)
    assert start(profile(1, (1, 1.0)), bench) is ResponseCode.FAILED_PowerDeliveryNotApplied


@pytest.mark.parametrize(
    ("step", "volts", "good"),
    [
        (Step.DONE, 398.5, True),
        (Step.DONE, 376.0, True),  # the EV's contactors are closed: the battery rules
        (Step.DONE, 150.0, False),  # DONE for an earlier target, a control step ago
        (Step.DONE, 420.1, False),
        (Step.RUNNING, 290.0, True),  # the EV measures the match at its inlet before our measurement has followed
        (Step.RUNNING, 199.9, False),
        (Step.RUNNING, 5.0, False),
        (Step.RUNNING, None, False),
        (Step.IDLE, 5.0, False),
        (Step.IDLE, 398.5, False),
        (Step.FAILED, 398.5, False),
    ],
)
@pytest.mark.parametrize("straight_into_the_loop", [False, True])
def test_no_start_before_the_outlet_is_measured_near_the_evs_voltage(
    step: Step, volts: float | None, good: bool, straight_into_the_loop: bool
) -> None:
    bench = Bench().to("PowerDelivery")
    if straight_into_the_loop:
        bench.say(power_delivery(processing=Processing.Ongoing, plan=profile(1, (1, 1.0))))
    bench.set(precharge=step, present_voltage_v=volts)
    request = loop() if straight_into_the_loop else power_delivery(plan=profile(1, (1, 1.0)))
    if volts is not None or not straight_into_the_loop:
        code = bench.say(request).response_code
        assert code is (ResponseCode.OK if good else ResponseCode.FAILED_PowerDeliveryNotApplied)
    assert len(bench.commands_of(c.EnergyStart)) == good


@pytest.mark.parametrize(("waited_s", "failed"), [(59.9, False), (60.0, True)])
@pytest.mark.parametrize(
    "request_",
    [power_delivery(processing=Processing.Ongoing), power_delivery(STANDBY), power_delivery(plan=profile(1, (1, 1.0)))],
    ids=["ongoing", "standby", "start repeated"],
)
def test_start_that_never_leads_into_the_loop_fails_after_60_s(
    request_: cm.PowerDeliveryReq, waited_s: float, failed: bool
) -> None:
    bench = ready()
    for _ in range(3):
        assert bench.say(request_).response_code < ResponseCode.FAILED
    code = bench.after(waited_s).say(request_).response_code
    assert (code is ResponseCode.FAILED) is failed
    assert len(bench.commands_of(c.EnergyStop)) == failed


def test_the_loop_itself_may_last() -> None:
    bench = Bench(SeccConfig(standby=False)).to("ChargeLoop")
    for _ in range(2):
        assert bench.say(loop()).response_code is ResponseCode.OK
        assert bench.say(power_delivery(STANDBY)).response_code is ResponseCode.WARNING_StandbyNotAllowed
        bench.after(3600.0)


def test_start_inside_the_running_loop_is_a_sequence_error() -> None:
    bench = Bench().to("ChargeLoop")
    bench.say(loop())
    assert start(profile(1, (1, 1.0)), bench) is ResponseCode.FAILED_SequenceError


@pytest.mark.parametrize("state", ["PreCharge", "PowerDelivery", "ChargeLoop"])
def test_stop_stops_energy_once_and_leads_to_welding_detection(state: str) -> None:
    bench = Bench().to(state)
    assert bench.say(power_delivery(STOP)).response_code is ResponseCode.OK
    assert bench.state == "WeldingDetection"
    bench.to("Ended")
    assert len(bench.commands_of(c.EnergyStop)) == 1


def test_station_that_wants_to_end_says_so_instead_of_starting() -> None:
    bench = ready()
    bench.set(notification=Notification.TERMINATE)
    answer = bench.say(power_delivery(plan=profile(1, (3600, 1000.0))))
    assert answer.response_code is ResponseCode.OK
    assert answer.evse_status.evse_notification is EvseNotification.Terminate
    assert answer.evse_status.notification_max_delay == 0
    assert bench.state == "WeldingDetection"
    assert bench.commands_of(c.EnergyStart) == []
    assert len(bench.commands_of(c.EnergyStop)) == 1


# Stop once more


@pytest.mark.parametrize("kind", [Bench, AcBench])
def test_an_ev_that_is_told_terminate_in_start_may_leave_in_the_usual_order(kind: type[Bench]) -> None:
    bench = kind().to("PowerDelivery")
    bench.set(precharge=Step.DONE, notification=Notification.TERMINATE)
    status = bench.say(power_delivery(plan=profile(1, (3600, 1000.0)))).evse_status
    assert status.evse_notification is EvseNotification.Terminate
    state, before = bench.state, len(bench.commands)
    # The time for its pilot counts from its own first Stop, once.
    for waited_s in (1.25, 1.0):
        assert bench.after(waited_s).say(power_delivery(STOP)).response_code is ResponseCode.OK
        assert (bench.state, len(bench.commands)) == (state, before)
        bench.set(pilot=PilotState.C)
    assert bench.after(0.5).say(stop()).response_code is ResponseCode.FAILED


@pytest.mark.parametrize("kind", [Bench, AcBench])
@pytest.mark.parametrize("state", ["WeldingDetection", "SessionStop"])
@pytest.mark.parametrize("progress", list(cm.ChargeProgress))
def test_after_the_end_of_energy_stop_may_be_said_again_and_nothing_else(
    kind: type[Bench], state: str, progress: cm.ChargeProgress
) -> None:
    if kind is AcBench and state == "WeldingDetection":
        return
    bench = kind().to(state)
    before = len(bench.commands)
    code = bench.after(0.125).say(power_delivery(progress)).response_code
    if progress is STOP:
        assert (code, bench.state, len(bench.commands)) == (ResponseCode.OK, state, before)
    else:
        assert (code, bench.state) == (ResponseCode.FAILED_SequenceError, "Ended")
