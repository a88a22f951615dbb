"""Does the EV do what it said it would? Power in the loop against its EVPowerProfile, with time to mend.

Taking (or giving) more than planned, or going the other way, breaks the profile: WARNING first, FAILED when it goes on
[V2G20-1864]. Doing less than planned gets the WARNING only: every battery tapers before it is full, and no driver is
served by an end of the session. Nor is it held against the EV when the station allows less than was planned.
"""

from __future__ import annotations

import enum
import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from evse_controller.model.offer import PowerProfile


@dataclass(frozen=True, slots=True)
class ProfileTimes:
    """How patient the watch is, in seconds of control time, and how exact.

    `warn_after_s` of deviation the EV is warned in each answer, and `fail_after_s` later it is refused. `clock_slack_s`
    (of the EV's time): steps of the profile may come so much earlier or later. Without an agreed power tolerance the
    larger of `margin_w` and `margin_share` of the planned power is tolerated. A loop that was left for more than
    `gap_s` begins anew. `less_fails`: doing less than planned ends the session, too.
    """

    warn_after_s: float = 5.0
    fail_after_s: float = 60.0
    clock_slack_s: float = 30.0
    gap_s: float = 2.0
    margin_w: float = 500.0
    margin_share: float = 0.05
    less_fails: bool = False

    def __post_init__(self) -> None:
        for name in ("warn_after_s", "clock_slack_s", "gap_s", "margin_w", "margin_share"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")
        # Each answer in between warns, so that no EV is refused without a word before.
        if not self.gap_s < self.fail_after_s < math.inf:
            raise ValueError(f"fail_after_s must be more than gap_s, {self.gap_s:g} s, got {self.fail_after_s}")


class Verdict(enum.Enum):
    KEPT = "kept"
    WARNED = "warned"
    BROKEN = "broken"


class ProfileWatch:
    """Watches one accepted profile. `tolerance_w`: as agreed with its tuple, None without."""

    def __init__(self, profile: PowerProfile, tolerance_w: float | None, times: ProfileTimes) -> None:
        self.profile = profile
        self._tolerance_w = tolerance_w
        self._times = times
        self._powers = [slot.power_w for slot in profile.slots]
        self._ends = list(accumulate(slot.duration_s for slot in profile.slots))
        self._off_since_s: float | None = None
        self._more_since_s: float | None = None
        self._last_s: float | None = None
        self.reason = ""

    def judge(
        self, power_w: float, utc_s: float, now_s: float, charge_room_w: float, discharge_room_w: float
    ) -> Verdict:
        """`power_w` signed as measured now; the rooms (>= 0) are what the station allows in each direction now."""
        if self._last_s is not None and now_s - self._last_s > self._times.gap_s:
            self._off_since_s = self._more_since_s = None
        self._last_s = now_s
        more, off = self._deviation(power_w, utc_s, charge_room_w, discharge_room_w)
        self._more_since_s = _since(self._more_since_s, more, now_s)
        self._off_since_s = _since(self._off_since_s, more or off, now_s)
        times = self._times
        failing_s = self._off_since_s if times.less_fails else self._more_since_s
        if failing_s is not None and now_s - failing_s >= times.warn_after_s + times.fail_after_s:
            return Verdict.BROKEN
        if self._off_since_s is not None and now_s - self._off_since_s >= times.warn_after_s:
            return Verdict.WARNED
        return Verdict.KEPT

    def _deviation(
        self, power_w: float, utc_s: float, charge_room_w: float, discharge_room_w: float
    ) -> tuple[bool, bool]:
        """(does more than planned or goes the other way, does less than planned)."""
        span = self._planned(utc_s)
        if span is None:
            return False, False
        low_w, high_w = span
        most_w, least_w = max(high_w, 0.0), min(low_w, 0.0)
        more = not least_w - self._tolerance(least_w) <= power_w <= most_w + self._tolerance(most_w)
        low_w, high_w = min(low_w, charge_room_w), max(high_w, -discharge_room_w)
        less = not low_w - self._tolerance(low_w) <= power_w <= high_w + self._tolerance(high_w)
        if more or less:
            self.reason = f"{power_w:.0f} W where the profile says {low_w:.0f} to {high_w:.0f} W"
        return more, less

    def _planned(self, utc_s: float) -> tuple[float, float] | None:
        """(least, most) planned around this moment; None beyond the plan, where the schedule alone rules."""
        into_s, slack_s = utc_s - self.profile.anchor_utc_s, self._times.clock_slack_s
        if not self._ends or not 0.0 <= into_s < self._ends[-1]:
            return None
        first = bisect_right(self._ends, into_s - slack_s)
        last = min(bisect_right(self._ends, into_s + slack_s), len(self._powers) - 1)
        around = self._powers[first : last + 1]
        return min(around), max(around)

    def _tolerance(self, planned_w: float) -> float:
        if self._tolerance_w is not None:
            return self._tolerance_w
        return max(self._times.margin_w, abs(planned_w) * self._times.margin_share)


def _since(before_s: float | None, holds: bool, now_s: float) -> float | None:
    if not holds:
        return None
    return now_s if before_s is None else before_s
