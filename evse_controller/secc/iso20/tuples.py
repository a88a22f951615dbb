"""From an offer to schedule tuples on the wire, and the record of what exactly was sent.

Powers are rounded down, entries stay within what the EV supports, and the schedule covers the departure time: beyond
the plan's end nothing is promised (0 W). Where the phases of an AC outlet differ, each entry says the power of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.rational import rational_down, rational_value
from evse_controller.model.offer import OfferTuple, PowerSlot, PriceSlot, ScheduleOffer
from evse_controller.model.power import shared
from evse_controller.secc.config import PRICING_ABSOLUTE, PRICING_LEVELS, SeccConfig
from evse_controller.secc.iso20.compress import compress_caps
from evse_controller.secc.iso20.data import SentSlot, SentTuple
from evse_controller.secc.iso20.phases import PhaseCaps, Shares
from evse_controller.secc.iso20.price_schedule import absolute, levels, priced
from evse_controller.secc.iso20.price_terms import MOST_ID, MOST_NUMBER

DAY_S = 86400
MOST_TUPLES = 3
MOST_ENTRIES = 1024
# Durations are 32 bits wide; merging slots adds them up, so that a whole schedule must fit.
_MOST_LENGTH_S = 2**32 - 1
_CURRENCY_LENGTH = 3  # ISO 4217


def usable(offer: ScheduleOffer) -> bool:
    """Whether this offer can be put on the wire at all."""
    ids = [entry.tuple_id for entry in offer.tuples]
    return (
        1 <= len(ids) <= MOST_TUPLES
        and len(set(ids)) == len(ids)
        and all(1 <= tuple_id <= MOST_ID for tuple_id in ids)
        and all(any(slot.duration_s > 0 for slot in entry.charging) for entry in offer.tuples)
        and 0 <= offer.anchor_utc_s < 2**64
        and len(offer.currency) == _CURRENCY_LENGTH
        and all(abs(number) <= MOST_NUMBER for entry in offer.tuples for number in _numbers(entry))
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
    if entry.power_tolerance_w is not None:
        yield entry.power_tolerance_w


def build(
    offer: ScheduleOffer,
    config: SeccConfig,
    pricing: int,
    bidirectional: bool,
    most: int,
    departure_utc_s: float | None,
    phases: PhaseCaps | None = None,
) -> tuple[list[cm.ScheduleTuple], dict[int, SentTuple]]:
    """Schedule tuples of a usable offer, each schedule with at most `most` entries, and what they promise.

    Discharging schedules are sent for a bidirectional service only, their powers with the configured sign. `phases`:
    what each phase can do, where they differ.
    """
    most = max(1, min(most, MOST_ENTRIES))
    cover_s = DAY_S if departure_utc_s is None else int(departure_utc_s) - offer.anchor_utc_s
    cover_s = max(1, min(cover_s, _MOST_LENGTH_S))
    tuples: list[cm.ScheduleTuple] = []
    sent: dict[int, SentTuple] = {}
    way = _Way(offer, config, pricing, most, cover_s)
    for entry in offer.tuples:
        tolerance_w = config.power_tolerance_w if entry.power_tolerance_w is None else entry.power_tolerance_w
        if tolerance_w is not None:
            tolerance_w = rational_value(rational_down(max(0.0, tolerance_w)))
        charging, charge_slots = way.schedule(
            entry.charging, entry.charge_prices, tolerance_w, None if phases is None else phases.charging, True
        )
        discharging, discharge_slots = None, None
        if bidirectional and entry.discharging is not None and any(slot.duration_s > 0 for slot in entry.discharging):
            discharging, discharge_slots = way.schedule(
                entry.discharging,
                entry.discharge_prices or entry.charge_prices,
                tolerance_w,
                None if phases is None else phases.discharging,
                False,
            )
        tuples.append(cm.ScheduleTuple(entry.tuple_id, charging, discharging))
        sent[entry.tuple_id] = SentTuple(
            entry.tuple_id, offer.anchor_utc_s, charge_slots, discharge_slots, offer.offer_id, tolerance_w
        )
    return tuples, sent


def local_offer(anchor_utc_s: int, power_w: float, config: SeccConfig) -> ScheduleOffer:
    """What the session offers by itself when no plan came: charge up to `power_w` for a day, never discharge."""
    flat = PriceSlot(DAY_S, config.local_price_per_kwh)
    return ScheduleOffer(
        0, anchor_utc_s, config.currency, (OfferTuple(1, (PowerSlot(DAY_S, power_w),), (flat,)),)
    )


@dataclass(frozen=True, slots=True)
class _Way:
    """What all schedules of an offer share."""

    offer: ScheduleOffer
    config: SeccConfig
    pricing: int
    most: int
    cover_s: int

    def schedule(
        self,
        caps: Sequence[PowerSlot],
        prices: Sequence[PriceSlot],
        tolerance_w: float | None,
        phases: Shares | None,
        charging: bool,
    ) -> tuple[cm.ChargingSchedule, tuple[SentSlot, ...]]:
        entries, sent, start_s = [], [], 0
        for slot in _covering(caps, self.most, self.cover_s):
            end_s = start_s + slot.duration_s
            entry, told = _entry(slot, start_s, phases, 1 if charging else self.config.discharge_schedule_sign)
            entries.append(entry)
            sent.append(told)
            start_s = end_s
        schedule = cm.ChargingSchedule(
            cm.PowerSchedule(
                time_anchor=self.offer.anchor_utc_s,
                power_tolerance=None if tolerance_w is None else rational_down(tolerance_w),
                power_schedule_entries=cm.PowerScheduleEntryList(entries),
            )
        )
        stretched = priced(prices, self.most, start_s, self.config.local_price_per_kwh)
        if self.pricing == PRICING_ABSOLUTE:
            schedule.absolute_price_schedule = absolute(self.offer, self.config, stretched, charging)
        elif self.pricing == PRICING_LEVELS:
            schedule.price_level_schedule = levels(self.offer, self.config, stretched)
        return schedule, tuple(sent)


def _entry(slot: PowerSlot, start_s: int, phases: Shares | None, sign: int) -> tuple[cm.PowerScheduleEntry, SentSlot]:
    powers = [rational_down(power_w) for power_w in _powers(slot.power_w, phases)]
    values = [rational_value(power) for power in powers]
    told = SentSlot(
        start_s,
        start_s + slot.duration_s,
        sum(values),
        None if phases is None else (values[0], values[1], values[2]),
    )
    for power in powers:
        power.value *= sign
    return cm.PowerScheduleEntry(slot.duration_s, *powers), told


def _powers(total_w: float, phases: Shares | None) -> tuple[float, ...]:
    return (max(0.0, total_w),) if phases is None else shared(total_w, phases)


def _covering(caps: Sequence[PowerSlot], most: int, cover_s: int) -> tuple[PowerSlot, ...]:
    """Compressed caps that last at least `cover_s`; what the plan does not cover is 0 W."""
    missing_s = cover_s - _length_s(caps)
    if missing_s > 0:
        caps = [*caps, PowerSlot(missing_s, 0.0)]
    return compress_caps(caps, most)
