"""EVEnergyOffer: what the EV would sell, and for how much."""

from __future__ import annotations

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.rational import rational_value
from evse_controller.model.offer import EnergyOffer, PowerSlot, PriceSlot

# An anchor further off than this is no absolute time (0 is seen in the field): the EV means now.
_SANE_ANCHOR_S = 7 * 86400


def ev_offer(request: cm.ScheduleExchangeReq, utc_s: float) -> EnergyOffer | None:
    """The offer of a Scheduled request, None without one. Powers and prices are counted from one anchor.

    Prices may be anchored elsewhere than powers: they are brought to the anchor of the powers, by cutting their
    beginning or by stretching their first price back to it.
    """
    scheduled = request.scheduled_se_req_control_mode
    offer = None if scheduled is None else scheduled.ev_energy_offer
    if offer is None:
        return None
    power, prices = offer.ev_power_schedule, offer.ev_absolute_price_schedule
    anchor_s = _anchor(power.time_anchor, utc_s)
    rules = [
        PriceSlot(stack.duration, _fee(stack)) for stack in prices.ev_price_rule_stacks.ev_price_rule_stack
    ]
    return EnergyOffer(
        anchor_s,
        prices.currency,
        tuple(
            PowerSlot(entry.duration, rational_value(entry.power))
            for entry in power.ev_power_schedule_entries.ev_power_schedule_entry
        ),
        _shifted(rules, _anchor(prices.time_anchor, utc_s) - anchor_s),
    )


def _anchor(time_anchor: int, utc_s: float) -> int:
    return time_anchor if abs(time_anchor - utc_s) <= _SANE_ANCHOR_S else int(utc_s)


def _fee(stack: cm.EVPriceRuleStack) -> float:
    """The price of the power range that starts nearest to zero: what the first kWh costs."""
    first = min(stack.ev_price_rule, key=lambda rule: abs(rational_value(rule.power_range_start)))
    return rational_value(first.energy_fee)


def _shifted(prices: list[PriceSlot], later_s: int) -> tuple[PriceSlot, ...]:
    """The same prices counted from an anchor that lies `later_s` before theirs (negative: after)."""
    if later_s > 0:
        first = prices[0]
        return (PriceSlot(first.duration_s + later_s, first.price_per_kwh), *prices[1:])
    shifted, cut_s = [], -later_s
    for slot in prices:
        if slot.duration_s > cut_s:
            shifted.append(PriceSlot(slot.duration_s - cut_s, slot.price_per_kwh))
        cut_s = max(0, cut_s - slot.duration_s)
    return tuple(shifted)
