"""What the EV was told, and what it may therefore still do: it has 5 s to follow a lowered limit (IEC 61851-1).

A limit that changes faster than that would for ever leave it the loosest: so time in which it goes on in a direction in
which it was told zero is added up, and only that it came down (there, at any time) forgives it.
"""

from __future__ import annotations

from collections import deque

from evse_controller.safety import Told
from evse_controller.safety import thresholds as t


class _Patience:
    """How long the EV went on in one direction although it was told zero there, since it last came down."""

    def __init__(self) -> None:
        self._on_s = 0.0
        self._seen_s: float | None = None

    def watch(self, power_w: float, told_w: float, now_s: float) -> None:
        """`power_w` measured in this direction, < 0 in the other one."""
        if power_w <= t.TOLD_MARGIN_W:
            self._on_s = 0.0
        elif told_w <= t.TOLD_MARGIN_W and self._seen_s is not None:
            self._on_s += now_s - self._seen_s
        self._seen_s = now_s

    @property
    def over(self) -> bool:
        return self._on_s > t.EV_DEAF_S


class ToldLimits:
    """The limits of the last seconds. `loosest` is the most that the EV was told within its reaction time."""

    def __init__(self) -> None:
        self._told: deque[tuple[float, Told]] = deque()
        self._charge, self._discharge = _Patience(), _Patience()

    def watch(self, power_w: float, now_s: float) -> None:
        """What is measured in this step, signed, all phases together."""
        told = self._told[-1][1] if self._told else Told(0.0, 0.0)
        self._charge.watch(power_w, told.charge_w, now_s)
        self._discharge.watch(-power_w, told.discharge_w, now_s)

    def restart(self, now_s: float) -> None:
        """Energy begins: until its first loop response the EV was told of none."""
        self._told.clear()
        self._charge, self._discharge = _Patience(), _Patience()
        self._told.append((now_s, Told(0.0, 0.0)))

    def tell(self, charge_w: float, discharge_w: float, now_s: float) -> None:
        """The EV is told this from now on, until it is told something else."""
        told = Told(charge_w, discharge_w)
        if not self._told or self._told[-1][1] != told:
            self._told.append((now_s, told))

    def loosest(self, now_s: float) -> Told:
        """Nothing told permits nothing; nor does anything in a direction in which the EV is deaf."""
        # an entry holds until the next one was told; it counts until the EV has had its time since then
        while len(self._told) > 1 and now_s - self._told[1][0] >= t.EV_REACTION_S:
            self._told.popleft()
        charge_w = max((told.charge_w for _, told in self._told), default=0.0)
        discharge_w = max((told.discharge_w for _, told in self._told), default=0.0)
        return Told(0.0 if self._charge.over else charge_w, 0.0 if self._discharge.over else discharge_w)
