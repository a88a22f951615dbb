"""A plan from outside: caps over time that a back office or a site manager has settled on for this outlet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

MOST_SLOTS = 256
LONGEST_S = 14 * 86_400
_SHORTEST_S = 60


@dataclass(frozen=True, slots=True)
class OfficeSlot:
    """So long, at most these powers at the outlet: both >= 0; `discharge_w` 0 allows none."""

    duration_s: int
    charge_w: float
    discharge_w: float = 0.0

    def __post_init__(self) -> None:
        if not _SHORTEST_S <= self.duration_s <= LONGEST_S:
            raise ValueError(f"a slot must last {_SHORTEST_S} to {LONGEST_S} s, got {self.duration_s}")
        for power_w in (self.charge_w, self.discharge_w):
            if not 0.0 <= power_w < math.inf:
                raise ValueError(f"powers must be finite and 0 or more, got {power_w:g} W")


@dataclass(frozen=True, slots=True)
class OfficePlan:
    """Our own plans stay inside it. It says nothing of the time before `anchor_utc_s` and after its last slot."""

    source: str
    anchor_utc_s: int
    slots: tuple[OfficeSlot, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.slots) <= MOST_SLOTS:
            raise ValueError(f"a plan must have 1 to {MOST_SLOTS} slots, got {len(self.slots)}")
        if self.ends_utc_s - self.anchor_utc_s > LONGEST_S:
            raise ValueError(f"a plan must not last longer than {LONGEST_S} s")

    @property
    def ends_utc_s(self) -> int:
        return self.anchor_utc_s + sum(slot.duration_s for slot in self.slots)

    def next_change(self, utc_s: int) -> float:
        """When its caps change next after `utc_s`; never, after its end."""
        return min((start for start, _ in self._starts() if start > utc_s), default=math.inf)

    def caps(self, start: int, until: int) -> tuple[float, float]:
        """(charge, discharge) in W that hold from `start` to `until`: the tightest within."""
        found = [
            slot
            for begins, slot in self._starts()
            if slot is not None and begins < until and begins + slot.duration_s > start
        ]
        return (
            min((slot.charge_w for slot in found), default=math.inf),
            min((slot.discharge_w for slot in found), default=math.inf),
        )

    def _starts(self) -> Iterator[tuple[int, OfficeSlot | None]]:
        at = self.anchor_utc_s
        for slot in self.slots:
            yield at, slot
            at += slot.duration_s
        yield at, None
