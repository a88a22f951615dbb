"""What the EV was told, and what it may therefore still do: it has 5 s to follow a lowered limit (IEC 61851-1)."""

from __future__ import annotations

from collections import deque

from evse_controller.safety import Told
from evse_controller.safety import thresholds as t


class ToldLimits:
    """The limits of the last seconds. `loosest` is the most that the EV was told within its reaction time."""

    def __init__(self) -> None:
        self._told: deque[tuple[float, Told]] = deque()

    def restart(self, charge_w: float, discharge_w: float, now_s: float) -> None:
        """Energy begins: what the EV knows until its first loop response."""
        self._told.clear()
        self._told.append((now_s, Told(charge_w, discharge_w)))

    def tell(self, charge_w: float, discharge_w: float, now_s: float) -> None:
        """The EV is told this from now on, until it is told something else."""
        told = Told(charge_w, discharge_w)
        if not self._told or self._told[-1][1] != told:
            self._told.append((now_s, told))
        # an entry holds until the next one was told; it counts until the EV has had its time since then
        while len(self._told) > 1 and now_s - self._told[1][0] >= t.EV_REACTION_S:
            self._told.popleft()

    def loosest(self) -> Told:
        """Nothing told permits nothing."""
        return Told(
            max((told.charge_w for _, told in self._told), default=0.0),
            max((told.discharge_w for _, told in self._told), default=0.0),
        )
