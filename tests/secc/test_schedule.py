"""ScheduleExchange, schedule tuples, compression: protocol.md B.7, energy.md 2 and F.2 cases 42 to 45."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.messages.generated.common_types import Processing, ResponseCode
from evse_controller.messages.rational import rational_value as value
from evse_controller.model.commands import ScheduleRequested
from evse_controller.model.offer import OfferTuple, PowerSlot, PriceSlot, ScheduleOffer
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.iso20.compress import compress_caps, compress_prices
from tests.secc.ev import DC, DC_BPT, DYNAMIC, OFFER, SCHEDULED, UTC_S, Bench, schedule_request

DAY_S = 86400


def exchange(
    offer: ScheduleOffer | None = OFFER,
    config: SeccConfig | None = None,
    service: int = DC_BPT,
    points: int = 12,
    departure_s: int | None = None,
) -> Any:
    """The final answer: asked once without an offer, then again with it."""
    bench = Bench(config or SeccConfig(), service=service).to("ScheduleExchange")
    bench.say(schedule_request(SCHEDULED, points, departure_s))
    bench.after(0.1).set(offer=offer)
    return bench.say(schedule_request(SCHEDULED, points, departure_s))


def tuples_of(answer: Any) -> Any:
    return answer.scheduled_se_res_control_mode.schedule_tuple


def entries_of(schedule: Any) -> list[tuple[int, float]]:
    entries = schedule.power_schedule.power_schedule_entries.power_schedule_entry
    return [(entry.duration, value(entry.power)) for entry in entries]


@pytest.mark.parametrize(("selected", "asked"), [(SCHEDULED, DYNAMIC), (DYNAMIC, SCHEDULED)])
def test_case_42_mode_differs_from_the_selected_one(selected: int, asked: int) -> None:
    answer = Bench(control_mode=selected).to("ScheduleExchange").say(schedule_request(asked))
    assert answer.response_code is ResponseCode.FAILED
    assert (answer.dynamic_se_res_control_mode is not None) is (asked == DYNAMIC)


def test_case_43_offer_becomes_tuples_with_both_schedules_and_prices() -> None:
    answer = exchange()
    assert (answer.response_code, answer.evse_processing) == (ResponseCode.OK, Processing.Finished)
    (entry,) = tuples_of(answer)
    assert entry.schedule_tuple_id == 1
    assert entry.charging_schedule.power_schedule.time_anchor == UTC_S
    assert entries_of(entry.charging_schedule) == [(3600, 50_000), (82800, 20_000)]
    assert entries_of(entry.discharging_schedule) == [(3600, 0), (82800, 10_000)]
    prices = entry.charging_schedule.absolute_price_schedule
    assert prices.currency == "EUR"
    stacks = prices.price_rule_stacks.price_rule_stack
    assert [(stack.duration, value(stack.price_rule[0].energy_fee)) for stack in stacks] == [
        (3600, 0.25),
        (82800, 0.31),
    ]
    assert value(stacks[0].price_rule[0].power_range_start) == 0


def test_discharge_schedule_sign_is_configuration() -> None:
    (entry,) = tuples_of(exchange(config=SeccConfig(discharge_schedule_sign=-1)))
    assert entries_of(entry.discharging_schedule) == [(3600, 0), (82800, -10_000)]
    assert entries_of(entry.charging_schedule)[0] == (3600, 50_000)


def test_one_way_service_gets_no_discharging_schedule() -> None:
    (entry,) = tuples_of(exchange(service=DC))
    assert entry.discharging_schedule is None


@pytest.mark.parametrize("pricing", [0, 1, 2])
def test_prices_follow_the_selected_pricing(pricing: int) -> None:
    (entry,) = tuples_of(exchange(config=SeccConfig(scheduled_pricing=pricing)))
    for schedule in (entry.charging_schedule, entry.discharging_schedule):
        assert (schedule.absolute_price_schedule is not None) is (pricing == 1)
        assert (schedule.price_level_schedule is not None) is (pricing == 2)
    if pricing == 2:
        levels = entry.charging_schedule.price_level_schedule
        found = levels.price_level_schedule_entries.price_level_schedule_entry
        assert [(level.duration, level.price_level) for level in found] == [(3600, 0), (82800, 1)]
        assert levels.number_of_price_levels == 2


@settings(max_examples=40, deadline=None)
@given(
    caps=st.lists(st.tuples(st.integers(1, 7200), st.floats(0, 350_000)), min_size=1, max_size=60),
    prices=st.lists(st.tuples(st.integers(1, 7200), st.floats(-1, 2)), max_size=60),
    points=st.integers(12, 20),
    departure_s=st.none() | st.integers(0, 200_000),
)
def test_case_43_tuples_stay_within_points_cover_the_departure_and_never_exceed_a_cap(
    caps: list[tuple[int, float]], prices: list[tuple[int, float]], points: int, departure_s: int | None
) -> None:
    slots = tuple(PowerSlot(*cap) for cap in caps)
    offer = ScheduleOffer(
        9, int(UTC_S), "EUR", (OfferTuple(1, slots, tuple(PriceSlot(*price) for price in prices), slots),)
    )
    (entry,) = tuples_of(exchange(offer, points=points, departure_s=departure_s))
    for schedule in (entry.charging_schedule, entry.discharging_schedule):
        sent = entries_of(schedule)
        assert 1 <= len(sent) <= points
        assert sum(duration for duration, _ in sent) >= (DAY_S if departure_s is None else departure_s)
        assert 1 <= len(schedule.absolute_price_schedule.price_rule_stacks.price_rule_stack) <= points
        _assert_below(sent, caps)


def _assert_below(sent: list[tuple[int, float]], caps: list[tuple[int, float]]) -> None:
    """Beyond the end of the caps nothing may be promised."""
    start = 0
    for duration, power in sent:
        end, at = start + duration, 0
        for length, cap in caps:
            if at < end and start < at + length:
                assert power <= cap
            at += length
        assert end <= at or power == 0
        start = end


def test_case_44_dynamic_says_nothing_with_mobility_needs_mode_1() -> None:
    answer = Bench(control_mode=DYNAMIC).to("ScheduleExchange").say(schedule_request(DYNAMIC))
    assert answer.evse_processing is Processing.Finished
    mode = answer.dynamic_se_res_control_mode
    assert (mode.departure_time, mode.minimum_soc, mode.target_soc) == (None, None, None)


def test_case_45_ongoing_has_a_placeholder_without_power_and_no_price() -> None:
    bench = Bench().to("ScheduleExchange")
    for _ in range(3):
        answer = bench.after(1.0).say(schedule_request(SCHEDULED))
        assert answer.evse_processing is Processing.Ongoing
        (entry,) = tuples_of(answer)
        assert {power for _, power in entries_of(entry.charging_schedule)} == {0.0}
        assert bench.state == "ScheduleExchange"
    assert len(bench.commands_of(ScheduleRequested)) == 1


@pytest.mark.parametrize(("waited_s", "processing"), [(49.9, Processing.Ongoing), (50.0, Processing.Finished)])
def test_local_schedule_answers_by_50_s(waited_s: float, processing: Processing) -> None:
    bench = Bench().to("ScheduleExchange")
    bench.say(schedule_request(SCHEDULED))
    answer = bench.after(waited_s).say(schedule_request(SCHEDULED))
    assert answer.evse_processing is processing
    if processing is Processing.Finished:
        (entry,) = tuples_of(answer)
        # The lower of the station's 60 kW and the EV's 80 kW, and no leave to discharge.
        assert entries_of(entry.charging_schedule) == [(DAY_S, 60_000)]
        assert entry.discharging_schedule is None


def test_an_offer_that_stood_there_before_is_believed_only_after_the_station_could_know() -> None:
    bench = Bench().to("ScheduleExchange")
    bench.set(offer=OFFER)
    assert bench.say(schedule_request(SCHEDULED)).evse_processing is Processing.Ongoing
    assert bench.after(0.2).say(schedule_request(SCHEDULED)).evse_processing is Processing.Ongoing
    bench.set(offer=replace(OFFER, offer_id=8))
    assert bench.say(schedule_request(SCHEDULED)).evse_processing is Processing.Finished


def test_an_unusable_offer_is_not_sent() -> None:
    entry = OFFER.tuples[0]
    nonsense = replace(entry, charging=(PowerSlot(900, float("nan")),))
    offers = [
        replace(OFFER, tuples=tuples)
        for tuples in (
            (),
            (entry, entry),
            (replace(entry, tuple_id=0),),
            (replace(entry, charging=()),),
            (nonsense,),
            (replace(entry, charging=(PowerSlot(900, 32_767_001.0),)),),
            (replace(entry, discharging=(PowerSlot(900, 32_767_001.0),)),),
            (replace(entry, charge_prices=(PriceSlot(900, -4e7),)),),
            (replace(entry, charging=(PowerSlot(2**31, 1.0), PowerSlot(2**31, 2.0))),),
        )
    ]
    for offer in (*offers, replace(OFFER, currency="EURO"), replace(OFFER, anchor_utc_s=2**64)):
        assert exchange(offer).evse_processing is Processing.Ongoing


def test_the_largest_offer_is_sent() -> None:
    most = replace(OFFER.tuples[0], charging=(PowerSlot(2**32 - 1, 32_767_000.0),))
    (entry,) = tuples_of(exchange(replace(OFFER, tuples=(most,))))
    assert entries_of(entry.charging_schedule) == [(2**32 - 1, 32_767_000)]


@pytest.mark.parametrize("departure_s", [2**32 - 1, 2**32 - 2, 0])
@pytest.mark.parametrize("planned", [True, False])
def test_any_departure_time_of_32_bits_gets_a_schedule_that_encodes(departure_s: int, planned: bool) -> None:
    bench = Bench().to("ScheduleExchange").after(5.0)  # later than the offer's anchor
    bench.say(schedule_request(SCHEDULED, departure_s=departure_s))
    bench.after(50.75).set(offer=OFFER if planned else None)
    answer = bench.say(schedule_request(SCHEDULED, departure_s=departure_s))
    (entry,) = tuples_of(answer)
    schedules = [schedule for schedule in (entry.charging_schedule, entry.discharging_schedule) if schedule]
    for schedule in schedules:
        assert DAY_S <= sum(duration for duration, _ in entries_of(schedule)) <= 2**32 - 1


def test_the_departure_is_what_the_first_request_said() -> None:
    """Polls repeat the seconds of the first request; they must not move the departure."""
    bench = Bench().to("ScheduleExchange")
    bench.say(schedule_request(SCHEDULED, departure_s=2 * DAY_S))
    bench.after(40.0).set(offer=OFFER)
    (entry,) = tuples_of(bench.say(schedule_request(SCHEDULED, departure_s=2 * DAY_S)))
    (asked,) = bench.commands_of(ScheduleRequested)
    lasts_s = sum(duration for duration, _ in entries_of(entry.charging_schedule))
    assert lasts_s == int(asked.needs.departure_utc_s) - OFFER.anchor_utc_s


@pytest.mark.parametrize("missing_s", [1, 5000])
def test_what_the_plan_does_not_cover_is_promised_nothing(missing_s: int) -> None:
    short = replace(OFFER.tuples[0], charging=(PowerSlot(DAY_S - missing_s, 50_000.0),))
    (entry,) = tuples_of(exchange(replace(OFFER, tuples=(short,))))
    assert entries_of(entry.charging_schedule) == [(DAY_S - missing_s, 50_000), (missing_s, 0)]


def test_needs_reach_the_energy_room_in_absolute_time() -> None:
    bench = Bench(control_mode=DYNAMIC).to("ScheduleExchange")
    bench.say(schedule_request(DYNAMIC))
    (asked,) = bench.commands_of(ScheduleRequested)
    assert asked.needs.dynamic
    assert asked.needs.departure_utc_s == bench.snapshot.utc_s + 7200
    assert (asked.needs.target_wh, asked.needs.minimum_wh, asked.needs.target_soc) == (20_000, -5000, 80)


def test_half_a_v2x_window_is_none() -> None:
    """[V2G20-2681]"""
    bench = Bench(control_mode=DYNAMIC).to("ScheduleExchange")
    request = schedule_request(DYNAMIC)
    assert request.dynamic_se_req_control_mode is not None
    request.dynamic_se_req_control_mode.ev_minimum_v2x_energy_request = (
        request.dynamic_se_req_control_mode.ev_minimum_energy_request
    )
    bench.say(request)
    (asked,) = bench.commands_of(ScheduleRequested)
    assert (asked.needs.v2x_minimum_wh, asked.needs.v2x_maximum_wh) == (None, None)


@given(st.lists(st.tuples(st.integers(0, 900), st.floats(0, 1e5)), max_size=80), st.integers(1, 20))
def test_compression_takes_the_minimum_and_keeps_the_time(slots: list[tuple[int, float]], most: int) -> None:
    merged = compress_caps([PowerSlot(*slot) for slot in slots], most)
    assert len(merged) <= most
    assert sum(slot.duration_s for slot in merged) == sum(duration for duration, _ in slots)
    start = 0
    for slot in merged:
        at = 0
        for duration, power in slots:
            if max(at, start) < min(at + duration, start + slot.duration_s):
                assert slot.power_w <= power
            at += duration
        start += slot.duration_s


def test_compression_merges_where_it_costs_least() -> None:
    slots = [PowerSlot(900, power) for power in (100.0, 101.0, 50.0, 10.0)]
    assert compress_caps(slots, 3) == (PowerSlot(1800, 100.0), PowerSlot(900, 50.0), PowerSlot(900, 10.0))


def test_price_compression_keeps_the_mean() -> None:
    merged = compress_prices([PriceSlot(900, 0.1), PriceSlot(2700, 0.3)], 1)
    assert merged == (PriceSlot(3600, pytest.approx(0.25)),)


def test_a_thousand_slots_compress_in_no_noticeable_time() -> None:
    slots = [PowerSlot(60, float(index * 7919 % 1000)) for index in range(1024)]
    assert len(compress_caps(slots, 12)) == 12
