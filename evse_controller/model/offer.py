"""What energy offers and what the EV needs: data between `energy`, `secc` and `station`, free of message types."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PowerSlot:
    """A span of constant power: >= 0 in charge and discharge schedules, signed in profiles (- = discharge)."""

    duration_s: int
    power_w: float


@dataclass(frozen=True, slots=True)
class PriceSlot:
    """A span of constant energy price, per kWh in the offer's currency; may be negative."""

    duration_s: int
    price_per_kwh: float


@dataclass(frozen=True, slots=True)
class EnergyOffer:
    """EVEnergyOffer: what the EV would sell, and for how much, from `anchor_utc_s` on.

    `power` is signed as the EV sent it: negative = willing to discharge that much, positive = not able to. `prices`
    (per kWh in `currency`) rule from the power range that starts nearest to zero.
    """

    anchor_utc_s: int
    currency: str
    power: tuple[PowerSlot, ...]
    prices: tuple[PriceSlot, ...]


@dataclass(frozen=True, slots=True)
class OfferTuple:
    """One alternative for the EV: caps for charging, caps for discharging (None: no discharge), and their prices."""

    tuple_id: int
    charging: tuple[PowerSlot, ...]
    charge_prices: tuple[PriceSlot, ...]
    discharging: tuple[PowerSlot, ...] | None = None
    discharge_prices: tuple[PriceSlot, ...] = ()
    power_tolerance_w: float | None = None


@dataclass(frozen=True, slots=True)
class ScheduleOffer:
    """One to three alternatives, all starting at `anchor_utc_s` (Unix s). `offer_id` grows with each new plan."""

    offer_id: int
    anchor_utc_s: int
    currency: str
    tuples: tuple[OfferTuple, ...]


@dataclass(frozen=True, slots=True)
class EnergyNeeds:
    """What the EV said it needs (ScheduleExchangeReq, updated in the Dynamic loop). Wh towards the EV, signed.

    `departure_utc_s` None: not given. The V2X window is the -20 pair: minimum < 0 means discharge is allowed.
    """

    dynamic: bool
    max_supporting_points: int
    departure_utc_s: float | None
    target_wh: float | None
    maximum_wh: float | None
    minimum_wh: float | None
    v2x_maximum_wh: float | None = None
    v2x_minimum_wh: float | None = None
    present_soc: float | None = None
    minimum_soc: float | None = None
    target_soc: float | None = None


@dataclass(frozen=True, slots=True)
class PowerProfile:
    """The EV's own plan from PowerDeliveryReq(Start): which tuple, and signed power over time from the anchor.

    `offer_id`: the offer that the tuple belongs to; 0 = the session's own local schedule, None in Dynamic mode.
    """

    tuple_id: int | None
    anchor_utc_s: int
    slots: tuple[PowerSlot, ...]
    offer_id: int | None = None
