"""Power over one or three phases, and how a power of all together is shared among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


def shared(total_w: float, most: Sequence[float]) -> tuple[float, float, float]:
    """`total_w` over three phases as evenly as `most` allows: no phase above its own, the sum not above the total."""
    left_w, shares = max(0.0, total_w), [0.0, 0.0, 0.0]
    for count, phase in enumerate(sorted(range(3), key=lambda index: most[index])):
        shares[phase] = max(0.0, min(most[phase], left_w / (3 - count)))
        left_w -= shares[phase]
    return shares[0], shares[1], shares[2]


@dataclass(frozen=True, slots=True)
class PhasePower:
    """Active power in W as ISO 15118-20 AC messages carry it.

    Without `l2_w` and `l3_w`, `l1_w` is the power of all phases together; with them it is that of phase 1 alone.
    """

    l1_w: float
    l2_w: float | None = None
    l3_w: float | None = None

    @property
    def per_phase(self) -> bool:
        return self.l2_w is not None or self.l3_w is not None

    @property
    def by_phase(self) -> tuple[float, float, float]:
        """Of a power that tells phases apart: each, 0 where nothing is said."""
        return self.l1_w, self.l2_w or 0.0, self.l3_w or 0.0

    @property
    def total_w(self) -> float:
        return self.l1_w + (self.l2_w or 0.0) + (self.l3_w or 0.0)

    def within(self, other: PhasePower) -> PhasePower:
        """The lower of both, phase by phase where both tell phases apart, else of the totals."""
        if not (self.per_phase and other.per_phase):
            return PhasePower(min(self.total_w, other.total_w))
        return PhasePower(
            min(self.l1_w, other.l1_w),
            min(self.l2_w or 0.0, other.l2_w or 0.0),
            min(self.l3_w or 0.0, other.l3_w or 0.0),
        )
