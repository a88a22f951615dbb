"""From an offer to schedule tuples on the wire, and the record of what exactly was sent.

Powers are rounded down, entries stay within what the EV supports, and the schedule covers the departure time: beyond
the plan's end nothing is promised (0 W).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.rational import rational_down, rational_nearest, rational_up, rational_value
from evse_controller.model.offer import OfferTuple, PowerSlot, PriceSlot, ScheduleOffer
from evse_controller.secc.config import PRICING_ABSOLUTE, PRICING_LEVELS, SeccConfig
from evse_controller.secc.iso20.compress import compress_caps, compress_prices
from evse_controller.secc.iso20.data import SentSlot, SentTuple

DAY_S = 86400
MOST_TUPLES = 3
MOST_ENTRIES = 1024
MOST_LEVELS = 16
PRICE_BY_POWER = "urn:iso:std:iso:15118:-20:PriceAlgorithm:1-Power"
_MOST_ID = 2**32 - 1
# Durations are 32 bits wide; merging slots adds them up, so that a whole schedule must fit.
_MOST_LENGTH_S = 2**32 - 1
# What a rational number of the highest permitted exponent holds: 32.767 MW.
_MOST_NUMBER = 32_767e3
_CURRENCY_LENGTH = 3  # ISO 4217


def usable(offer: ScheduleOffer) -> bool:
    """Whether this offer can be put on the wire at all."""
    ids = [entry.tuple_id for entry in offer.tuples]
    return (
        1 <= len(ids) <= MOST_TUPLES
        and len(set(ids)) == len(ids)
        and all(1 <= tuple_id <= _MOST_ID for tuple_id in ids)
        and all(any(slot.duration_s > 0 for slot in entry.charging) for entry in offer.tuples)
        and 0 <= offer.anchor_utc_s < 2**64
        and len(offer.currency) == _CURRENCY_LENGTH
        and all(abs(number) <= _MOST_NUMBER for entry in offer.tuples for number in _numbers(entry))
        and all(_length_s(caps) <= _MOST_LENGTH_S for entry in offer.tuples for caps in _schedules(entry))
    )


def _schedules(entry: OfferTuple) -> tuple[tuple[PowerSlot, ...], ...]:
    return entry.charging, entry.discharging or ()


def _length_s(caps: Sequence[PowerSlot]) -> int:
    return sum(max(0, slot.duration_s) for slot in caps)


def _numbers(entry: OfferTuple) -> Iterator[float]:
    for caps in _schedules(entry):
        yield from (slot.power_w for slot in caps)
    for price in (*entry.charge_prices, *entry.discharge_prices):
        yield price.price_per_kwh


def build(
    offer: ScheduleOffer,
    config: SeccConfig,
    pricing: int,
    bidirectional: bool,
    most: int,
    departure_utc_s: float | None,
) -> tuple[list[cm.ScheduleTuple], dict[int, SentTuple]]:
    """Schedule tuples of a usable offer, each schedule with at most `most` entries, and what they promise.

    Discharging schedules are sent for a bidirectional service only, their powers with the configured sign.
    """
    most = max(1, min(most, MOST_ENTRIES))
    cover_s = DAY_S if departure_utc_s is None else int(departure_utc_s) - offer.anchor_utc_s
    cover_s = max(1, min(cover_s, _MOST_LENGTH_S))
    tuples: list[cm.ScheduleTuple] = []
    sent: dict[int, SentTuple] = {}
    for entry in offer.tuples:
        charging, charge_slots = _schedule(
            offer, config, pricing, entry.charging, entry.charge_prices, most, cover_s, 1
        )
        discharging, discharge_slots = None, None
        if bidirectional and entry.discharging is not None and any(slot.duration_s > 0 for slot in entry.discharging):
            discharging, discharge_slots = _schedule(
                offer,
                config,
                pricing,
                entry.discharging,
                entry.discharge_prices or entry.charge_prices,
                most,
                cover_s,
                config.discharge_schedule_sign,
            )
        tuples.append(cm.ScheduleTuple(entry.tuple_id, charging, discharging))
        sent[entry.tuple_id] = SentTuple(entry.tuple_id, offer.anchor_utc_s, charge_slots, discharge_slots)
    return tuples, sent


def local_offer(anchor_utc_s: int, power_w: float, config: SeccConfig) -> ScheduleOffer:
    """What the session offers by itself when no plan came: charge up to `power_w` for a day, never discharge."""
    flat = PriceSlot(DAY_S, config.local_price_per_kwh)
    return ScheduleOffer(
        0, anchor_utc_s, config.currency, (OfferTuple(1, (PowerSlot(DAY_S, power_w),), (flat,)),)
    )


def _schedule(
    offer: ScheduleOffer,
    config: SeccConfig,
    pricing: int,
    caps: Sequence[PowerSlot],
    prices: Sequence[PriceSlot],
    most: int,
    cover_s: int,
    sign: int,
) -> tuple[cm.ChargingSchedule, tuple[SentSlot, ...]]:
    slots = _covering(caps, most, cover_s)
    entries, sent, start_s = [], [], 0
    for slot in slots:
        rounded = rational_down(max(0.0, slot.power_w))
        sent.append(SentSlot(start_s, start_s + slot.duration_s, rational_value(rounded)))
        start_s += slot.duration_s
        rounded.value *= sign
        entries.append(cm.PowerScheduleEntry(slot.duration_s, rounded))
    schedule = cm.ChargingSchedule(
        cm.PowerSchedule(time_anchor=offer.anchor_utc_s, power_schedule_entries=cm.PowerScheduleEntryList(entries))
    )
    stretched = _priced(prices, most, start_s, config)
    if pricing == PRICING_ABSOLUTE:
        schedule.absolute_price_schedule = _absolute(offer, config, stretched)
    elif pricing == PRICING_LEVELS:
        schedule.price_level_schedule = _levels(offer, stretched)
    return schedule, tuple(sent)


def _covering(caps: Sequence[PowerSlot], most: int, cover_s: int) -> tuple[PowerSlot, ...]:
    """Compressed caps that last at least `cover_s`; what the plan does not cover is 0 W."""
    missing_s = cover_s - _length_s(caps)
    if missing_s > 0:
        caps = [*caps, PowerSlot(missing_s, 0.0)]
    return compress_caps(caps, most)


def _priced(prices: Sequence[PriceSlot], most: int, length_s: int, config: SeccConfig) -> tuple[PriceSlot, ...]:
    """Compressed prices of exactly `length_s`: cut there, or the last price holds on."""
    kept: list[PriceSlot] = []
    left_s = length_s
    for slot in prices:
        duration_s = min(slot.duration_s, left_s)
        if duration_s > 0:
            kept.append(PriceSlot(duration_s, slot.price_per_kwh))
            left_s -= duration_s
    if left_s > 0:
        kept.append(PriceSlot(left_s, kept[-1].price_per_kwh if kept else config.local_price_per_kwh))
    return compress_prices(kept, most)


def _schedule_id(offer: ScheduleOffer) -> int:
    """PriceScheduleID is 1..2^32-1."""
    return 1 + offer.offer_id % _MOST_ID


def _absolute(offer: ScheduleOffer, config: SeccConfig, prices: Sequence[PriceSlot]) -> cm.AbsolutePriceSchedule:
    stacks = [
        cm.PriceRuleStack(slot.duration_s, [cm.PriceRule(rational_nearest(slot.price_per_kwh), rational_up(0))])
        for slot in prices
    ]
    return cm.AbsolutePriceSchedule(
        time_anchor=offer.anchor_utc_s,
        price_schedule_id=_schedule_id(offer),
        currency=offer.currency,
        language=config.language,
        price_algorithm=PRICE_BY_POWER,
        price_rule_stacks=cm.PriceRuleStackList(stacks),
    )


def _levels(offer: ScheduleOffer, prices: Sequence[PriceSlot]) -> cm.PriceLevelSchedule:
    """Levels in the order of price, 0 the cheapest; more than 16 different prices share levels evenly."""
    ranked = sorted({slot.price_per_kwh for slot in prices})
    levels = min(len(ranked), MOST_LEVELS)
    level_of = {price: rank * levels // len(ranked) for rank, price in enumerate(ranked)}
    entries = [cm.PriceLevelScheduleEntry(slot.duration_s, level_of[slot.price_per_kwh]) for slot in prices]
    return cm.PriceLevelSchedule(
        time_anchor=offer.anchor_utc_s,
        price_schedule_id=_schedule_id(offer),
        number_of_price_levels=levels,
        price_level_schedule_entries=cm.PriceLevelScheduleEntryList(entries),
    )
