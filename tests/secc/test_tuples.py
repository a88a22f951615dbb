"""Schedule tuples: how many, how exact, when there is nothing to get, and over which phases. protocol.md B.7."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evse_controller.messages.generated import ac
from evse_controller.messages.generated.common_types import Processing
from evse_controller.messages.rational import rational_value as value
from evse_controller.model.offer import PowerSlot, ScheduleOffer
from evse_controller.model.power import shared
from evse_controller.model.snapshot import Notification
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.surroundings import Peer, Surroundings
from tests.secc.ev import DYNAMIC, OFFER, SCHEDULED, Bench, header, schedule_request
from tests.secc.ev_ac import AcBench, cpd_mode
from tests.secc.test_schedule import DAY_S, exchange, tuples_of


def with_tuples(count: int) -> ScheduleOffer:
    return replace(OFFER, tuples=tuple(replace(OFFER.tuples[0], tuple_id=number + 1) for number in range(count)))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_case_43_one_to_three_tuples_of_an_offer_are_sent(count: int) -> None:
    assert [entry.schedule_tuple_id for entry in tuples_of(exchange(with_tuples(count)))] == list(range(1, count + 1))


def test_more_tuples_than_the_schema_has_room_for_are_not_sent() -> None:
    assert exchange(with_tuples(4)).evse_processing is Processing.Ongoing


@pytest.mark.parametrize(
    ("planned_w", "configured_w", "sent_w"), [(None, None, None), (None, 800.0, 800), (250.0, 8e2, 250)]
)
def test_the_power_tolerance_of_the_plan_or_of_the_configuration(
    planned_w: float | None, configured_w: float | None, sent_w: float | None
) -> None:
    offer = replace(OFFER, tuples=(replace(OFFER.tuples[0], power_tolerance_w=planned_w),))
    (entry,) = tuples_of(exchange(offer, SeccConfig(power_tolerance_w=configured_w)))
    for schedule in (entry.charging_schedule, entry.discharging_schedule):
        tolerance = schedule.power_schedule.power_tolerance
        assert (None if tolerance is None else value(tolerance)) == sent_w


LEAF = Surroundings(Peer(bytes(64)))


@pytest.mark.parametrize(
    ("zero_s", "after_s", "around", "pause"),
    [
        (7200, 3600.0, LEAF, True),
        (3599, 3600.0, LEAF, False),
        (7200, None, LEAF, False),
        (7200, 3600.0, Surroundings(), False),  # nobody could prove to be the same EV
    ],
)
def test_an_ev_that_can_get_nothing_for_long_is_told_to_sleep(
    zero_s: int, after_s: float | None, around: Surroundings, pause: bool
) -> None:
    idle = (PowerSlot(zero_s, 0.0), PowerSlot(DAY_S, 20_000.0))
    offer = replace(OFFER, tuples=(replace(OFFER.tuples[0], charging=idle, discharging=idle),))
    bench = Bench(SeccConfig(go_to_pause_after_s=after_s), around=around).to("ScheduleExchange")
    bench.set(pause_allowed=True)
    bench.say(schedule_request(SCHEDULED))
    bench.after(0.1).set(offer=offer)
    answer = bench.say(schedule_request(SCHEDULED))
    assert answer.go_to_pause is (True if pause else None)
    assert bench.session._data.pause_until_s == (math.inf if pause else None)


@pytest.mark.parametrize("mode", [SCHEDULED, DYNAMIC])
@pytest.mark.parametrize("allowed", [True, False])
def test_a_station_that_wants_the_ev_to_pause_says_so_with_the_schedule(mode: int, allowed: bool) -> None:
    bench = Bench(control_mode=mode, around=LEAF).to("ScheduleExchange")
    bench.set(pause_allowed=allowed, notification=Notification.PAUSE)
    answer = bench.say(schedule_request(mode))
    if mode == SCHEDULED:
        bench.after(0.1).set(offer=OFFER)
        answer = bench.say(schedule_request(mode))
    assert answer.go_to_pause is (True if allowed else None)


def test_a_discharge_that_is_possible_is_no_idle_time() -> None:
    charging = (PowerSlot(7200, 0.0), PowerSlot(DAY_S, 20_000.0))
    offer = replace(OFFER, tuples=(replace(OFFER.tuples[0], charging=charging, discharging=(PowerSlot(DAY_S, 1e4),)),))
    bench = Bench(SeccConfig(go_to_pause_after_s=3600.0), around=LEAF).to("ScheduleExchange")
    bench.set(pause_allowed=True)
    bench.say(schedule_request(SCHEDULED))
    bench.after(0.1).set(offer=offer)
    assert bench.say(schedule_request(SCHEDULED)).go_to_pause is None


# AC


def ac_bench(**changes: float) -> AcBench:
    bench = AcBench().to("ChargeParameterDiscovery")
    bench.say(ac.AC_ChargeParameterDiscoveryReq(header(), cpd_mode(True, **changes)))
    assert isinstance(bench, AcBench)
    return bench


def powers_of(schedule: Any) -> list[tuple[float | None, ...]]:
    return [
        tuple(None if power is None else value(power) for power in (entry.power, entry.power_l2, entry.power_l3))
        for entry in schedule.power_schedule.power_schedule_entries.power_schedule_entry
    ]


def ac_tuple(bench: Bench) -> Any:
    caps = (PowerSlot(3600, 9_000.0), PowerSlot(3600, 3_000.0), PowerSlot(DAY_S - 7200, 60_000.0))
    bench.say(schedule_request(SCHEDULED))
    bench.after(0.1).set(offer=replace(OFFER, tuples=(replace(OFFER.tuples[0], charging=caps, discharging=caps),)))
    (entry,) = tuples_of(bench.say(schedule_request(SCHEDULED)))
    return entry


def test_ac_phases_that_are_alike_are_one_power() -> None:
    entry = ac_tuple(ac_bench())
    assert powers_of(entry.charging_schedule)[0] == (9_000, None, None)


def test_ac_phases_that_differ_are_told_apart_and_none_is_above_its_own() -> None:
    entry = ac_tuple(ac_bench(ev_maximum_charge_power_l2=2_000.0, ev_maximum_charge_power_l3=0.0))
    assert powers_of(entry.charging_schedule) == [(3680, 2000, 0), (1500, 1500, 0), (3680, 2000, 0)]
    assert powers_of(entry.discharging_schedule)[1] == (1000, 1000, 1000)


def test_the_local_schedule_of_an_ac_outlet_is_what_both_sides_can_do() -> None:
    bench = ac_bench(ev_maximum_charge_power_l2=2_000.0)
    bench.say(schedule_request(SCHEDULED))
    (entry,) = tuples_of(bench.after(50.0).say(schedule_request(SCHEDULED)))
    assert powers_of(entry.charging_schedule) == [(3680, 2000, 3680)]
    assert entry.discharging_schedule is None


@given(
    total_w=st.floats(0, 50_000),
    most=st.tuples(st.floats(0, 8000), st.floats(0, 8000), st.floats(0, 8000)),
)
def test_a_total_is_shared_over_phases_without_loss_and_above_no_limit(
    total_w: float, most: tuple[float, float, float]
) -> None:
    shares = shared(total_w, most)
    assert all(0.0 <= share <= limit for share, limit in zip(shares, most, strict=True))
    assert sum(shares) == pytest.approx(min(total_w, sum(most)), abs=1e-6)
    assert sum(shares) <= total_w + 1e-6
