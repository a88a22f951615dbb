"""Power over one or three phases."""

from __future__ import annotations

from dataclasses import dataclass


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
