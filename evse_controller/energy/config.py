"""Numbers that say how to plan."""

from __future__ import annotations

import math
from dataclasses import dataclass

LONGEST_WAIT_S = 50.0


@dataclass(frozen=True, slots=True)
class EnergyConfig:
    """How to plan. `building_profile_w`: 24 values, the building's usual load by hour of the UTC day; None: as now.

    `start_lead_s`: world time from a schedule request to the first energy (cable check and pre-charge).
    `ready_before_s`: how long before departure the need shall be met. `reaction_s`: control time in which a charger
    can make good what it is late (a change of direction takes about 1 s, ramps as much, then as long at full power).
    `renegotiation_gap_s`: an EV is not asked more often than that for a new schedule. `deviation_wh`: an EV that is so
    far from its own profile (or a tenth of what it planned, if that is more) is planned for anew.
    `back_office_wait_s`: control time for which a Scheduled offer may wait for a back office, 0..50 (at 50 s the
    session answers by itself). `world_speed`: world seconds per second of control time, other than 1 only in
    simulation.
    """

    slot_s: int = 900
    default_stay_s: int = 8 * 3600
    max_horizon_s: int = 36 * 3600
    wear_per_kwh: float = 0.04
    charge_efficiency: float = 0.95
    discharge_efficiency: float = 0.95
    battery_efficiency: float = 0.98
    building_profile_w: tuple[float, ...] | None = None
    start_lead_s: float = 0.0
    ready_before_s: float = 300.0
    reaction_s: float = 3.0
    renegotiation_gap_s: float = 900.0
    deviation_wh: float = 1000.0
    back_office_wait_s: float = 45.0
    world_speed: float = 1.0

    @property
    def reserve_s(self) -> float:
        """World time before departure in which nothing is planned: it makes good what plan and world differ by."""
        return max(self.ready_before_s, self.reaction_s * self.world_speed)

    def __post_init__(self) -> None:
        if not 60 <= self.slot_s <= 3600:
            raise ValueError(f"slot_s must be 60..3600, got {self.slot_s}")
        for name in ("default_stay_s", "max_horizon_s"):
            if getattr(self, name) < self.slot_s:
                raise ValueError(f"{name} must be at least slot_s, got {getattr(self, name)}")
        for name in ("charge_efficiency", "discharge_efficiency", "battery_efficiency"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be above 0 and at most 1, got {getattr(self, name)}")
        for name in ("ready_before_s", "reaction_s"):
            if not 0.0 <= getattr(self, name) <= 3600.0:
                raise ValueError(f"{name} must be 0..3600, got {getattr(self, name)}")
        if not 0.0 <= self.renegotiation_gap_s < math.inf:
            raise ValueError(f"renegotiation_gap_s must be >= 0, got {self.renegotiation_gap_s}")
        if not 0.0 <= self.back_office_wait_s <= LONGEST_WAIT_S:
            raise ValueError(f"back_office_wait_s must be 0..{LONGEST_WAIT_S:g}, got {self.back_office_wait_s}")
        if not self.deviation_wh > 0.0:
            raise ValueError(f"deviation_wh must be above 0, got {self.deviation_wh}")
        if not 0.0 <= self.wear_per_kwh < math.inf:
            raise ValueError(f"wear_per_kwh must be >= 0, got {self.wear_per_kwh}")
        if self.building_profile_w is not None and len(self.building_profile_w) != 24:
            raise ValueError(f"building_profile_w needs 24 values, got {len(self.building_profile_w)}")
