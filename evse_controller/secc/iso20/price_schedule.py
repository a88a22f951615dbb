"""Prices on the wire: AbsolutePriceSchedule with the operator's terms, or PriceLevelSchedule."""

from __future__ import annotations

from collections.abc import Sequence

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.rational import rational_nearest, rational_up
from evse_controller.model.offer import PriceSlot, ScheduleOffer
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.iso20.compress import compress_prices
from evse_controller.secc.iso20.price_terms import MOST_ID, MOST_NUMBER, Overstay, PriceTerms, TaxRule

MOST_LEVELS = 16
_BARE = PriceTerms()


def priced(prices: Sequence[PriceSlot], most: int, length_s: int, otherwise: float) -> tuple[PriceSlot, ...]:
    """Compressed prices of exactly `length_s`: cut there, or the last price (`otherwise` without any) holds on."""
    kept: list[PriceSlot] = []
    left_s = length_s
    for slot in prices:
        duration_s = min(slot.duration_s, left_s)
        if duration_s > 0:
            kept.append(PriceSlot(duration_s, slot.price_per_kwh))
            left_s -= duration_s
    if left_s > 0:
        kept.append(PriceSlot(left_s, kept[-1].price_per_kwh if kept else otherwise))
    return compress_prices(kept, most)


def absolute(
    offer: ScheduleOffer, config: SeccConfig, prices: Sequence[PriceSlot], charging: bool
) -> cm.AbsolutePriceSchedule:
    """Charging: all of the operator's terms. Discharging: what a kWh is worth, and nothing else."""
    terms = config.prices if charging else _BARE
    return cm.AbsolutePriceSchedule(
        time_anchor=offer.anchor_utc_s,
        price_schedule_id=_schedule_id(offer),
        price_schedule_description=terms.description,
        currency=offer.currency,
        language=config.language,
        price_algorithm=terms.algorithm.value,
        minimum_cost=None if terms.minimum_cost is None else rational_nearest(terms.minimum_cost),
        maximum_cost=None if terms.maximum_cost is None else rational_nearest(terms.maximum_cost),
        tax_rules=cm.TaxRuleList([_tax(rule) for rule in terms.taxes]) if terms.taxes else None,
        price_rule_stacks=cm.PriceRuleStackList([_stack(slot, terms) for slot in prices]),
        overstay_rules=None if terms.overstay is None else _overstay(terms.overstay),
        additional_selected_services=_additional(terms),
    )


def _stack(slot: PriceSlot, terms: PriceTerms) -> cm.PriceRuleStack:
    """One rule for each power range, the lowest first."""
    parking = terms.parking
    return cm.PriceRuleStack(
        slot.duration_s,
        [
            cm.PriceRule(
                rational_nearest(
                    max(-MOST_NUMBER, min(slot.price_per_kwh + entry.surcharge_per_kwh, MOST_NUMBER))
                ),
                rational_up(entry.start_w),
                parking_fee=None if parking is None else rational_nearest(parking.fee),
                parking_fee_period=None if parking is None else parking.period_s,
                carbon_dioxide_emission=terms.carbon_g_per_kwh,
                renewable_generation_percentage=terms.renewable_percent,
            )
            for entry in terms.ranges
        ],
    )


def _tax(rule: TaxRule) -> cm.TaxRule:
    return cm.TaxRule(
        tax_rule_id=rule.tax_id,
        tax_rule_name=rule.name,
        tax_rate=rational_nearest(rule.rate_percent),
        tax_included_in_price=rule.included,
        applies_to_energy_fee=rule.on_energy,
        applies_to_parking_fee=rule.on_parking,
        applies_to_overstay_fee=rule.on_overstay,
        applies_minimum_maximum_cost=rule.on_cost_limits,
    )


def _overstay(overstay: Overstay) -> cm.OverstayRuleList:
    threshold_w = overstay.power_threshold_w
    return cm.OverstayRuleList(
        overstay_time_threshold=overstay.time_threshold_s,
        overstay_power_threshold=None if threshold_w is None else rational_nearest(threshold_w),
        overstay_rule=[
            cm.OverstayRule(
                overstay_rule_description=rule.description,
                start_time=rule.start_s,
                overstay_fee=rational_nearest(rule.fee),
                overstay_fee_period=rule.period_s,
            )
            for rule in overstay.rules
        ],
    )


def _additional(terms: PriceTerms) -> cm.AdditionalServiceList | None:
    services = [cm.AdditionalService(entry.name, rational_nearest(entry.fee)) for entry in terms.additional_services]
    return cm.AdditionalServiceList(services) if services else None


def levels(offer: ScheduleOffer, config: SeccConfig, prices: Sequence[PriceSlot]) -> cm.PriceLevelSchedule:
    """Levels in the order of price, 0 the cheapest; more than 16 different prices share levels evenly."""
    ranked = sorted({slot.price_per_kwh for slot in prices})
    count = min(len(ranked), MOST_LEVELS)
    level_of = {price: rank * count // len(ranked) for rank, price in enumerate(ranked)}
    entries = [cm.PriceLevelScheduleEntry(slot.duration_s, level_of[slot.price_per_kwh]) for slot in prices]
    return cm.PriceLevelSchedule(
        time_anchor=offer.anchor_utc_s,
        price_schedule_id=_schedule_id(offer),
        price_schedule_description=config.prices.description,
        number_of_price_levels=count,
        price_level_schedule_entries=cm.PriceLevelScheduleEntryList(entries),
    )


def _schedule_id(offer: ScheduleOffer) -> int:
    """PriceScheduleID is 1..2^32-1."""
    return 1 + offer.offer_id % MOST_ID
