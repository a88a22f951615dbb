"""An EV that follows its power profile or does not: who is warned, who is refused, and what is forgiven."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model.offer import PowerProfile, PowerSlot
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.iso20.profile_watch import ProfileTimes, ProfileWatch, Verdict
from tests.secc.ev import DYNAMIC, SNAPSHOT, UTC_S, Bench, loop, power_delivery, profile
from tests.secc.test_profile import CONFIRMED, NOT_CONFIRMED, accepting, ready, start

TIMES = ProfileTimes()
WARNING = ResponseCode.WARNING_EVPowerProfileViolation
FAILED = ResponseCode.FAILED_EVPowerProfileViolation


def watch_of(*slots: tuple[int, float], tolerance_w: float | None = None, times: ProfileTimes = TIMES) -> ProfileWatch:
    plan = PowerProfile(1, int(UTC_S), tuple(PowerSlot(*slot) for slot in slots), 7)
    return ProfileWatch(plan, tolerance_w, times)


def verdicts(
    watch: ProfileWatch, power_w: float, seconds: float, into_s: float = 100.0, rooms: tuple[float, float] = (1e6, 1e6)
) -> dict[Verdict, float]:
    """When each verdict came first, in seconds since the deviation began; asked every quarter of a second."""
    first: dict[Verdict, float] = {}
    for step in range(round(seconds * 4) + 1):
        verdict = watch.judge(power_w, UTC_S + into_s, 1000.0 + step / 4, *rooms)
        first.setdefault(verdict, step / 4)
    return first


def test_more_than_planned_is_warned_of_first_and_refused_later() -> None:
    assert verdicts(watch_of((3600, 10_000.0)), 12_000.0, 70.0) == {
        Verdict.KEPT: 0.0,
        Verdict.WARNED: TIMES.warn_after_s,
        Verdict.BROKEN: TIMES.warn_after_s + TIMES.fail_after_s,
    }


def test_the_times_are_data() -> None:
    times = ProfileTimes(warn_after_s=1.0, fail_after_s=3.0)
    assert verdicts(watch_of((3600, 0.0), times=times), 600.0, 10.0) == {
        Verdict.KEPT: 0.0,
        Verdict.WARNED: 1.0,
        Verdict.BROKEN: 4.0,
    }


@pytest.mark.parametrize(
    ("planned_w", "power_w", "worst"),
    [
        (10_000.0, 10_499.0, Verdict.KEPT),
        (10_000.0, 10_501.0, Verdict.BROKEN),
        (20_000.0, 20_999.0, Verdict.KEPT),  # a share of the power, where that is more
        (20_000.0, 21_001.0, Verdict.BROKEN),
        (10_000.0, 9_501.0, Verdict.KEPT),
        (10_000.0, 9_400.0, Verdict.WARNED),  # less is no harm
        (10_000.0, 0.0, Verdict.WARNED),
        (10_000.0, -501.0, Verdict.BROKEN),  # the other way
        (-10_000.0, -10_501.0, Verdict.BROKEN),
        (-10_000.0, -9_400.0, Verdict.WARNED),
        (-10_000.0, 501.0, Verdict.BROKEN),
        (0.0, 499.0, Verdict.KEPT),
        (0.0, 501.0, Verdict.BROKEN),
        (0.0, -501.0, Verdict.BROKEN),
    ],
)
def test_what_breaks_a_profile(planned_w: float, power_w: float, worst: Verdict) -> None:
    assert list(verdicts(watch_of((3600, planned_w)), power_w, 120.0))[-1] is worst


def test_an_agreed_tolerance_takes_the_place_of_our_own_margin() -> None:
    assert list(verdicts(watch_of((3600, 10_000.0), tolerance_w=2000.0), 11_900.0, 120.0)) == [Verdict.KEPT]
    assert Verdict.BROKEN in verdicts(watch_of((3600, 10_000.0), tolerance_w=100.0), 10_200.0, 120.0)


def test_less_than_planned_may_be_made_to_fail() -> None:
    strict = ProfileTimes(less_fails=True)
    assert Verdict.BROKEN in verdicts(watch_of((3600, 10_000.0), times=strict), 0.0, 120.0)


@pytest.mark.parametrize(("planned_w", "power_w"), [(10_000.0, 4_000.0), (-10_000.0, -3_000.0)])
def test_less_than_planned_is_not_held_against_an_ev_that_is_allowed_no_more(planned_w: float, power_w: float) -> None:
    rooms = (4_000.0, 3_000.0)
    assert list(verdicts(watch_of((3600, planned_w)), power_w, 120.0, rooms=rooms)) == [Verdict.KEPT]


@pytest.mark.parametrize(("into_s", "worst"), [(29.0, Verdict.KEPT), (31.0, Verdict.WARNED)])
def test_an_ev_whose_clock_is_late_has_not_begun_its_profile_yet(into_s: float, worst: Verdict) -> None:
    assert list(verdicts(watch_of((3600, 10_000.0)), 0.0, 60.0, into_s))[-1] is worst
    assert Verdict.BROKEN in verdicts(watch_of((3600, 10_000.0)), 12_000.0, 120.0, into_s)  # but it is held to it


@pytest.mark.parametrize("into_s", [3571.0, 3629.0])
def test_around_a_step_of_the_profile_either_power_is_right(into_s: float) -> None:
    watch = watch_of((3600, 10_000.0), (3600, 0.0))
    for power_w in (10_000.0, 0.0):
        assert list(verdicts(watch, power_w, 120.0, into_s)) == [Verdict.KEPT]
    assert Verdict.BROKEN in verdicts(watch, 10_000.0, 120.0, 3631.0)


@pytest.mark.parametrize("into_s", [-1.0, 3600.0])
def test_beyond_the_profile_the_schedule_alone_rules(into_s: float) -> None:
    assert list(verdicts(watch_of((3600, 0.0)), 50_000.0, 120.0, into_s)) == [Verdict.KEPT]
    assert list(verdicts(watch_of(), 50_000.0, 120.0)) == [Verdict.KEPT]


def pulsed(watch: ProfileWatch, period_s: float, over_s: float, seconds: float, powers: tuple[float, float]) -> Verdict:
    """The last verdict over an EV that does powers[0] for `over_s` of each period and powers[1] for the rest."""
    verdict, worst = Verdict.KEPT, list(Verdict)
    for step in range(round(seconds * 10)):
        power_w = powers[0] if step / 10 % period_s < over_s else powers[1]
        verdict = max(verdict, watch.judge(power_w, UTC_S + 60, 1000.0 + step / 10, 1e6, 1e6), key=worst.index)
    return verdict


@pytest.mark.parametrize(
    ("over_s", "powers"),
    [
        (4.9, (20_000.0, 5_000.0)),  # one good sample in five seconds
        (2.5, (20_000.0, 5_000.0)),
        (0.5, (60_000.0, 5_000.0)),
        (2.5, (20_000.0, -20_000.0)),  # one wrong does not make up for another
        (3.0, (8_000.0, 5_000.0)),  # nor does room on the other side
        (4.0, (-11_000.0, 5_000.0)),
    ],
)
def test_a_profile_is_not_kept_by_moments_in_order(over_s: float, powers: tuple[float, float]) -> None:
    assert pulsed(watch_of((3600, 5000.0)), 5.0, over_s, 3000.0, powers) is Verdict.BROKEN


@pytest.mark.parametrize(("over_s", "powers"), [(0.5, (6_000.0, 5_000.0)), (4.0, (6_000.0, 500.0))])
def test_what_was_taken_too_much_is_made_up_for_by_taking_less(over_s: float, powers: tuple[float, float]) -> None:
    assert pulsed(watch_of((3600, 5000.0)), 5.0, over_s, 3000.0, powers) is not Verdict.BROKEN


def test_an_ev_that_comes_back_to_its_plan_long_enough_begins_anew() -> None:
    watch = watch_of((3600, 10_000.0))
    for second in range(10_000):
        over = second % 1000 < 50
        verdict = watch.judge(11_000.0 if over else 10_000.0, UTC_S + 60, 1000.0 + second, 1e6, 1e6)
        assert verdict is not Verdict.BROKEN
    assert verdict is Verdict.KEPT


def test_a_hold_forgives_no_violation_and_counts_for_none() -> None:
    watch = watch_of((3600, 10_000.0))
    assert watch.judge(12_000.0, UTC_S + 60, 1000.0, 1e6, 1e6) is Verdict.KEPT
    assert watch.judge(12_000.0, UTC_S + 60, 1100.0, 1e6, 1e6) is Verdict.KEPT
    for count in range(100):
        for step in range(40):
            verdict = watch.judge(12_000.0, UTC_S + 60, 2000.0 + count * 60 + step / 10, 1e6, 1e6)
            if verdict is Verdict.BROKEN:
                assert 8 <= count <= 16
                return
    pytest.fail("standby now and then lets an EV take what it wants")


def test_a_hold_makes_up_for_nothing() -> None:
    watch = watch_of((3600, 10_000.0))
    verdicts(watch, 12_000.0, 60.0)
    assert watch.judge(0.0, UTC_S + 60, 1160.0, 1e6, 1e6) is Verdict.WARNED
    assert Verdict.BROKEN in [watch.judge(12_000.0, UTC_S + 60, 1160.0 + step / 4, 1e6, 1e6) for step in range(24)]


def test_a_new_profile_forgives_no_violation() -> None:
    watch = watch_of((3600, 10_000.0))
    verdicts(watch, 12_000.0, 60.0)
    plan = PowerProfile(1, int(UTC_S), (PowerSlot(3600, 9_000.0),), 8)
    anew = ProfileWatch(plan, None, TIMES, watch)
    now_s = 1060.0
    while anew.judge(12_000.0, UTC_S + 60, now_s, 1e6, 1e6) is not Verdict.BROKEN:
        now_s += 0.25
    assert now_s <= 1066.0


@settings(max_examples=100, deadline=None)
@given(
    powers=st.lists(st.sampled_from((-20_000.0, -600.0, 0.0, 9_000.0, 10_000.0, 30_000.0)), max_size=400),
    pace_s=st.sampled_from((0.05, 0.25, 1.0, 1.9)),
)
def test_no_ev_is_refused_that_was_not_warned_before(powers: list[float], pace_s: float) -> None:
    watch, before = watch_of((3600, 10_000.0), (3600, -5000.0)), Verdict.KEPT
    for step, power_w in enumerate(powers):
        verdict = watch.judge(power_w, UTC_S + step * pace_s, 1000.0 + step * pace_s, 1e6, 1e6)
        if verdict is Verdict.BROKEN:
            assert before is Verdict.WARNED
            return
        before = verdict


@pytest.mark.parametrize("change", [{"fail_after_s": 1.0}, {"warn_after_s": -1.0}, {"margin_w": float("inf")}])
def test_senseless_times_are_refused_by_name(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        ProfileTimes(**change)


def looping(power_w: float, control_mode: int = 1, **config: Any) -> Bench:
    voltage_v = SNAPSHOT.present_voltage_v or 0.0
    bench = ready(SeccConfig(**config), control_mode=control_mode)
    assert start(bench, profile(1 if control_mode == 1 else None, (3600, 10_000.0))) is ResponseCode.OK
    bench.set(present_current_a=power_w / voltage_v)
    return bench


def codes(bench: Bench, seconds: float, control_mode: int = 1) -> list[ResponseCode]:
    """The different codes of the loop's answers, in order."""
    seen: list[ResponseCode] = []
    for _ in range(round(seconds * 4)):
        code = bench.after(0.25).say(loop(control_mode)).response_code
        if code not in seen:
            seen.append(code)
        if code >= ResponseCode.FAILED:
            break
    return seen


def test_the_loop_warns_and_then_ends_a_session_that_breaks_its_profile() -> None:
    bench = looping(12_000.0)
    assert codes(bench, 70.0) == [ResponseCode.OK, WARNING, FAILED]
    assert bench.state == "Ended"


def test_the_event_of_a_warning_says_what_is_wrong() -> None:
    bench = looping(10_600.0)
    for _ in range(60):
        reply = bench.after(0.125).ask(loop())
        assert reply.event is not None
        assert (reply.event.reason is None) is (reply.event.code == "OK")
    assert reply.event.code == WARNING.name
    assert reply.event.reason == "10600 W where the profile says 0 to 10000 W"


def test_the_loop_keeps_an_ev_that_keeps_its_plan_or_tapers() -> None:
    assert codes(looping(10_000.0), 70.0) == [ResponseCode.OK]
    assert codes(looping(3_000.0), 70.0) == [ResponseCode.OK, WARNING]


def test_a_site_that_allows_less_is_no_violation_of_the_ev() -> None:
    bench = looping(3_000.0)
    bench.set(present=replace(bench.snapshot.present, max_charge_power_w=3_000.0))
    assert codes(bench, 70.0) == [ResponseCode.OK]


@pytest.mark.parametrize("tolerance_w", [3000.0, 50.0])
@pytest.mark.parametrize("acceptance", [CONFIRMED, NOT_CONFIRMED, None])
def test_the_tolerance_of_the_chosen_tuple_counts_for_an_ev_that_confirmed_it(
    acceptance: cm.PowerToleranceAcceptance | None, tolerance_w: float
) -> None:
    """Else our own margin does, which is neither wider nor narrower for having offered another one."""
    for over_w, by_agreement in ((2500.0, tolerance_w > 2500.0), (400.0, tolerance_w > 400.0)):
        bench = ready(SeccConfig(power_tolerance_w=tolerance_w))
        start(bench, accepting(acceptance))
        bench.set(present_current_a=(10_000.0 + over_w) / (bench.snapshot.present_voltage_v or 1.0))
        kept = by_agreement if acceptance is CONFIRMED else over_w < TIMES.margin_w
        assert (codes(bench, 70.0) == [ResponseCode.OK]) is kept


def test_a_profile_that_is_taken_again_keeps_what_the_ev_said_last_about_its_tolerance() -> None:
    bench = ready(SeccConfig(power_tolerance_w=3000.0))
    start(bench, accepting(NOT_CONFIRMED))
    start(bench, accepting(CONFIRMED))
    assert bench.session._data.chosen is not None
    assert bench.session._data.chosen.tolerance_w == 3000.0


@pytest.mark.parametrize(
    ("slots", "power_w", "worst"),
    [
        (((1, 0.0),), 50_400.0, ResponseCode.OK),
        (((1, 0.0),), 53_000.0, FAILED),  # 5 % beyond the tuple's 50 kW
        (((1, 0.0),), -2000.0, FAILED),  # the tuple gives discharge later only
        (((3600, 0.0),), 50_000.0, FAILED),  # inside the profile that holds
        ((), 50_400.0, ResponseCode.OK),
        ((), 53_000.0, FAILED),
    ],
    ids=["cap", "above", "other way", "inside", "none: cap", "none: above"],
)
def test_where_the_profile_says_nothing_the_chosen_tuple_does(
    slots: tuple[tuple[int, float], ...], power_w: float, worst: ResponseCode
) -> None:
    """A profile of one second and 0 W would else make the EV free of everything."""
    bench = ready()
    start(bench, profile(1, *slots) if slots else None)
    bench.after(40.0 if len(slots) and slots[0][0] == 1 else 0.0)
    bench.set(present_current_a=power_w / (bench.snapshot.present_voltage_v or 1.0))
    assert codes(bench, 70.0)[-1] is worst


@pytest.mark.parametrize(("into_s", "kept"), [(3629.0, True), (3631.0, False)])
def test_around_a_step_of_the_tuple_the_higher_cap_rules_beyond_the_profile(into_s: float, kept: bool) -> None:
    bench = ready(SeccConfig(profile_watch=replace(TIMES, warn_after_s=0.0, fail_after_s=0.5, gap_s=0.25)))
    start(bench, None)
    bench.set(
        present_current_a=50_000.0 / (bench.snapshot.present_voltage_v or 1.0), utc_s=UTC_S + into_s - 0.75
    )
    assert (codes(bench, 0.75) == [ResponseCode.OK]) is kept


def test_dynamic_control_follows_set_points_and_no_profile() -> None:
    assert codes(looping(30_000.0, DYNAMIC), 70.0, DYNAMIC) == [ResponseCode.OK]


def test_renegotiation_and_service_renegotiation_forgive_no_violation() -> None:
    bench = looping(12_000.0)
    assert codes(bench, 60.0) == [ResponseCode.OK, WARNING]
    bench._hold("Renegotiated")
    bench.say(power_delivery(plan=profile(1, (3600, 10_000.0))))
    assert codes(bench, 8.0) == [WARNING, FAILED]
    bench.session._data.release_service()
    assert bench.session._data.watch is not None
