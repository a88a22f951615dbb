"""What was asked and agreed, in one sentence each: for event log, journal and whoever watches."""

from __future__ import annotations

import time

from evse_controller.model.offer import EnergyNeeds, PowerProfile, PowerSlot, ScheduleOffer


def _clock(utc_s: float) -> str:
    return time.strftime("%H:%M", time.gmtime(utc_s))


def _kwh(energy_wh: float | None) -> str:
    return "-" if energy_wh is None else f"{energy_wh / 1000:+.1f} kWh"


def needs_text(needs: EnergyNeeds) -> str:
    """The driver's wishes as the EV told them."""
    by = "no departure told" if needs.departure_utc_s is None else f"by {_clock(needs.departure_utc_s)} UTC"
    text = f"the EV needs {_kwh(needs.target_wh)} ({_kwh(needs.minimum_wh)} to {_kwh(needs.maximum_wh)}) {by}"
    if needs.v2x_minimum_wh is not None:
        text += f", may cycle between {_kwh(needs.v2x_minimum_wh)} and {_kwh(needs.v2x_maximum_wh)}"
    return text


def agreed_text(profile: PowerProfile | None, offer: ScheduleOffer | None) -> str:
    """What the EV accepted: its profile's charging and discharging, with times; Dynamic: the charger steers."""
    if profile is None or profile.tuple_id is None:
        return "Dynamic control: the charger sets the power, minute by minute"
    which = f"tuple {profile.tuple_id}" + (f" of offer {offer.offer_id}" if offer is not None else "")
    parts = [
        f"{word} {_sum(profile, sign):.1f} kWh {_when(profile, sign)}"
        for word, sign in (("charges", 1), ("discharges", -1))
        if _sum(profile, sign) >= 0.05
    ]
    return f"schedule agreed, {which}: the EV " + (", ".join(parts) if parts else "plans no energy")


def _counts(slot: PowerSlot, sign: int) -> bool:
    return slot.power_w * sign > 1.0


def _sum(profile: PowerProfile, sign: int) -> float:
    return sum(abs(s.power_w) * s.duration_s for s in profile.slots if _counts(s, sign)) / 3.6e6


def _when(profile: PowerProfile, sign: int) -> str:
    """Spans in which it flows, neighbours joined: `12:15-14:00, 15:00-15:30`; at most four."""
    spans: list[list[float]] = []
    start = float(profile.anchor_utc_s)
    for slot in profile.slots:
        if _counts(slot, sign):
            if spans and spans[-1][1] == start:
                spans[-1][1] = start + slot.duration_s
            else:
                spans.append([start, start + slot.duration_s])
        start += slot.duration_s
    shown = ", ".join(f"{_clock(a)}-{_clock(b)}" for a, b in spans[:4])
    return shown + (" and more" if len(spans) > 4 else "")
