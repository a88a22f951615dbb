"""EVPowerProfile, power tolerance, and the EV held to what it planned: protocol.md B.9, B.10 and F.2 case 51."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.messages.rational import rational_nearest as n
from evse_controller.model import commands as c
from evse_controller.model.offer import PowerSlot
from evse_controller.model.power import PhasePower
from evse_controller.model.snapshot import Step
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.iso20.data import SentSlot, SentTuple
from evse_controller.secc.iso20.profile import Planned, profile_fault
from tests.secc.ev import OFFER, Bench, power_delivery, profile

CONFIRMED = cm.PowerToleranceAcceptance.PowerToleranceConfirmed
NOT_CONFIRMED = cm.PowerToleranceAcceptance.PowerToleranceNotConfirmed


def ready(config: SeccConfig | None = None, **kinds: Any) -> Bench:
    bench = Bench(config or SeccConfig(), **kinds).to("PowerDelivery")
    bench.set(precharge=Step.DONE)
    return bench


def start(bench: Bench, plan: cm.EVPowerProfile | None) -> ResponseCode:
    code = bench.say(power_delivery(plan=plan)).response_code
    assert isinstance(code, ResponseCode)
    return code


def accepting(acceptance: cm.PowerToleranceAcceptance | None) -> cm.EVPowerProfile:
    plan = profile(1, (3600, 10_000.0))
    assert plan.scheduled_evppt_control_mode is not None
    plan.scheduled_evppt_control_mode.power_tolerance_acceptance = acceptance
    return plan


# Power tolerance


def test_the_event_says_that_a_tolerance_is_not_confirmed() -> None:
    reply = ready(SeccConfig(power_tolerance_w=1234.5)).ask(power_delivery(plan=accepting(NOT_CONFIRMED)))
    assert reply.event is not None
    assert reply.event.code == "WARNING_PowerToleranceNotConfirmed"
    assert "does not confirm the power tolerance" in (reply.event.reason or "")


@pytest.mark.parametrize(
    ("acceptance", "required", "code"),
    [
        (CONFIRMED, False, ResponseCode.OK_PowerToleranceConfirmed),
        (CONFIRMED, True, ResponseCode.OK_PowerToleranceConfirmed),
        (NOT_CONFIRMED, False, ResponseCode.WARNING_PowerToleranceNotConfirmed),
        (NOT_CONFIRMED, True, ResponseCode.FAILED_PowerToleranceNotConfirmed),
        (None, False, ResponseCode.OK),
        (None, True, ResponseCode.FAILED_PowerToleranceNotConfirmed),
    ],
)
def test_power_tolerance_is_offered_and_its_acceptance_answered(
    acceptance: cm.PowerToleranceAcceptance | None, required: bool, code: ResponseCode
) -> None:
    bench = ready(SeccConfig(power_tolerance_w=1234.5, power_tolerance_required=required))
    assert start(bench, accepting(acceptance)) is code
    assert len(bench.commands_of(c.EnergyStart)) == (code < ResponseCode.FAILED)


@pytest.mark.parametrize("acceptance", [CONFIRMED, NOT_CONFIRMED, None])
def test_a_tolerance_that_was_not_offered_cannot_be_confirmed(acceptance: cm.PowerToleranceAcceptance | None) -> None:
    """Josev confirms one whether or not there is any."""
    assert start(ready(SeccConfig(power_tolerance_required=True)), accepting(acceptance)) is ResponseCode.OK


def test_a_required_tolerance_is_not_confirmed_without_a_profile() -> None:
    bench = ready(SeccConfig(power_tolerance_w=1000.0, power_tolerance_required=True))
    assert start(bench, None) is ResponseCode.FAILED_PowerToleranceNotConfirmed
    assert start(ready(SeccConfig(power_tolerance_w=1000.0)), None) is ResponseCode.OK


def test_the_accepted_plan_says_which_offer_it_belongs_to() -> None:
    bench = ready()
    start(bench, profile(1, (3600, 10_000.0)))
    (started,) = bench.commands_of(c.EnergyStart)
    assert started.profile.offer_id == OFFER.offer_id


# Acceptance


@settings(max_examples=200, deadline=None)
@given(
    caps=st.lists(st.tuples(st.integers(1, 50), st.sampled_from((0.0, 500.0, 4000.0, 9000.0))), min_size=1, max_size=8),
    back=st.none() | st.lists(st.tuples(st.integers(1, 50), st.sampled_from((0.0, 800.0))), min_size=1, max_size=4),
    plan=st.lists(st.tuples(st.integers(0, 60), st.integers(-1000, 10_000)), min_size=1, max_size=12),
    shift_s=st.integers(-40, 80),
)
def test_a_profile_is_accepted_exactly_when_no_second_of_it_is_above_its_cap(
    caps: list[tuple[int, float]],
    back: list[tuple[int, float]] | None,
    plan: list[tuple[int, int]],
    shift_s: int,
) -> None:
    sent = SentTuple(1, 0, _sent(caps), None if back is None else _sent(back))
    planned = tuple(Planned(duration, PhasePower(float(power))) for duration, power in plan)
    good, at = True, shift_s
    for duration, power in plan:
        for second in range(at, at + max(1, duration)):
            schedule = caps if power >= 0 else back
            cap = 0.0 if schedule is None else _cap_at(schedule, second)
            good = good and abs(power) <= cap * 1.001 + 1.0
        at += duration
    assert (profile_fault(sent, shift_s, planned) is None) is good


def _sent(caps: list[tuple[int, float]]) -> tuple[SentSlot, ...]:
    slots, at = [], 0
    for duration, power in caps:
        slots.append(SentSlot(at, at + duration, power))
        at += duration
    return tuple(slots)


def _cap_at(caps: list[tuple[int, float]], second: int) -> float:
    """Before the first cap the first holds, after the last the last."""
    for duration, power in caps:
        if second < duration:
            return power
        second -= duration
    return caps[-1][1]


BY_PHASE = SentTuple(
    1,
    0,
    (SentSlot(0, 100, 6000.0, (3000.0, 2000.0, 1000.0)), SentSlot(100, 200, 3000.0, (1000.0, 1000.0, 1000.0))),
    None,
)


@pytest.mark.parametrize(
    ("duration_s", "power", "good"),
    [
        (100, PhasePower(3000.0, 2000.0, 1000.0), True),
        (101, PhasePower(3000.0, 2000.0, 1000.0), False),
        (100, PhasePower(2000.0, 3000.0, 1000.0), False),
        (100, PhasePower(1000.0, 1000.0, 2000.0), False),
        (100, PhasePower(6000.0), True),
        (100, PhasePower(6010.0), False),
        (100, PhasePower(1000.0, -1000.0, 0.0), False),
    ],
)
def test_phases_are_compared_where_both_sides_tell_them_apart(duration_s: int, power: PhasePower, good: bool) -> None:
    assert (profile_fault(BY_PHASE, 0, (Planned(duration_s, power),)) is None) is good


def test_a_profile_of_three_phases_is_their_sum_where_the_tuple_has_totals() -> None:
    plan = profile(1, (3600, 20_000.0))
    entry = plan.ev_power_profile_entries.ev_power_profile_entry[0]
    entry.power_l2, entry.power_l3 = n(20_000.0), n(10_000.0)
    bench = ready()
    assert start(bench, plan) is ResponseCode.OK
    assert bench.commands_of(c.EnergyStart)[0].profile.slots == (PowerSlot(3600, 50_000.0),)
    entry.power_l3 = n(11_000.0)
    assert start(ready(), plan) is ResponseCode.FAILED_EVPowerProfileInvalid


# The watch


# In the loop
