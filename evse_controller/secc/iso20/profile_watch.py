"""Does the EV do what it said it would? Power in the loop against its EVPowerProfile, with time to mend.

Taking (or giving) more than planned, or going the other way, breaks the profile: WARNING first, FAILED when it goes on
[V2G20-1864]. What counts is the energy beyond profile and tolerance: time adds up with it, and is forgiven as far as
the EV stays below by as much energy, by nothing else: not by a moment in order, by a hold or by a new profile. Doing
less than planned gets the WARNING only: every battery tapers before it is full, and no driver is served by an end of
the session. Nor is it held against the EV when the station allows less than was planned.
Beyond the end of its profile the EV may do what its schedule allows, and no more.
"""

from __future__ import annotations

import enum
import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from evse_controller.model.offer import PowerProfile


@dataclass(frozen=True, slots=True)
class ProfileTimes:
    """How patient the watch is, in seconds of control time, and how exact.

    `warn_after_s` of deviation the EV is warned in each answer, and `fail_after_s` later it is refused. `clock_slack_s`
    (of the EV's time): steps of the profile may come so much earlier or later. Without a power tolerance that the EV
    confirmed the larger of `margin_w` and `margin_share` of the planned power is tolerated. Of a loop that was left, no
    more than `gap_s` counts, and nothing is forgiven meanwhile. `less_fails`: doing less than planned ends the session,
    too.
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


Beyond = Callable[[float, float], tuple[float, float]]
"""(least, most) that may be done between two moments of UTC, in W."""


class Verdict(enum.Enum):
    KEPT = "kept"
    WARNED = "warned"
    BROKEN = "broken"


@dataclass(slots=True)
class _Excess:
    """Energy beyond a bound that was not made up for yet, and the time that it took."""

    energy_j: float = 0.0
    seconds: float = 0.0

    def add(self, over_w: float, lasted_s: float) -> None:
        self.energy_j += over_w * lasted_s
        self.seconds += lasted_s

    def make_up(self, under_w: float, lasted_s: float) -> None:
        left_j = max(0.0, self.energy_j - under_w * lasted_s)
        self.seconds = self.seconds * left_j / self.energy_j if left_j > 0 else 0.0
        self.energy_j = left_j


class ProfileWatch:
    """Watches one accepted profile. `tolerance_w`: as agreed with its tuple, None without. `before`: the watch over the
    profile that this one follows; what is to be made up for still is. `beyond`: what rules where the profile says
    nothing, None: nothing does."""

    def __init__(
        self,
        profile: PowerProfile,
        tolerance_w: float | None,
        times: ProfileTimes,
        before: ProfileWatch | None = None,
        beyond: Beyond | None = None,
    ) -> None:
        self.profile = profile
        self._tolerance_w = tolerance_w
        self._times = times
        self._beyond = beyond
        self._powers = [slot.power_w for slot in profile.slots]
        self._ends = list(accumulate(slot.duration_s for slot in profile.slots))
        self._more: _Excess = _Excess() if before is None else before._more
        self._upwards: bool = before is None or before._upwards  # which bound was broken last
        self._less_s: float = 0.0 if before is None else before._less_s
        self._last_s: float | None = None if before is None else before._last_s
        self.reason: str = "" if before is None else before.reason

    def judge(
        self, power_w: float, utc_s: float, now_s: float, charge_room_w: float, discharge_room_w: float
    ) -> Verdict:
        """`power_w` signed as measured now; the rooms (>= 0) are what the station allows in each direction now."""
        past_s = 0.0 if self._last_s is None else max(0.0, now_s - self._last_s)
        self._last_s = now_s
        span = self._planned(utc_s)
        if span is None:
            return Verdict.KEPT
        times = self._times
        more = self._judge_more(power_w, span, past_s)
        less = self._is_less(power_w, span, charge_room_w, discharge_room_w)
        if more or less:
            self.reason = f"{power_w:.0f} W where the profile says {span[0]:.0f} to {span[1]:.0f} W"
        fail_s = times.warn_after_s + times.fail_after_s
        self._judge_less(more or less, past_s, fail_s if times.less_fails else times.warn_after_s)
        if max(self._more.seconds, self._less_s if times.less_fails else 0.0) >= fail_s:
            return Verdict.BROKEN
        if max(self._more.seconds, self._less_s) >= times.warn_after_s and (more or less or self._more.energy_j > 0):
            return Verdict.WARNED
        return Verdict.KEPT

    def _judge_more(self, power_w: float, span: tuple[float, float], past_s: float) -> bool:
        """Does more than planned, or goes the other way."""
        most_w, least_w = max(span[1], 0.0), min(span[0], 0.0)
        above_w = power_w - most_w - self._tolerance(most_w)
        below_w = least_w - self._tolerance(least_w) - power_w
        over_w = max(above_w, below_w)
        if over_w > 0:
            self._upwards = above_w > 0
            self._more.add(over_w, min(past_s, self._times.gap_s))
        elif past_s <= self._times.gap_s:
            self._more.make_up(-(above_w if self._upwards else below_w), past_s)
        return over_w > 0

    def _is_less(
        self, power_w: float, span: tuple[float, float], charge_room_w: float, discharge_room_w: float
    ) -> bool:
        low_w, high_w = span
        low_w, high_w = min(low_w, charge_room_w), max(high_w, -discharge_room_w)
        return not low_w - self._tolerance(low_w) <= power_w <= high_w + self._tolerance(high_w)

    def _judge_less(self, off: bool, past_s: float, most_s: float) -> None:
        """Time off the plan, whatever way; time on it makes up for as much."""
        counted_s = min(past_s, self._times.gap_s) if off else -past_s if past_s <= self._times.gap_s else 0.0
        self._less_s = min(most_s, max(0.0, self._less_s + counted_s))

    def _planned(self, utc_s: float) -> tuple[float, float] | None:
        """(least, most) planned around this moment; beyond the plan the schedule alone rules."""
        into_s, slack_s = utc_s - self.profile.anchor_utc_s, self._times.clock_slack_s
        around: tuple[float, ...] = ()
        end_s = self._ends[-1] if self._ends else 0
        if 0.0 <= into_s < end_s:
            first = bisect_right(self._ends, into_s - slack_s)
            last = min(bisect_right(self._ends, into_s + slack_s), len(self._powers) - 1)
            # An EV whose clock is late has not begun yet.
            around = (*self._powers[first : last + 1], *((0.0,) if into_s < slack_s else ()))
        if self._beyond is not None and not 0.0 <= into_s < end_s - slack_s:
            around += self._beyond(utc_s - slack_s, utc_s + slack_s)
        return (min(around), max(around)) if around else None

    def _tolerance(self, planned_w: float) -> float:
        if self._tolerance_w is not None:
            return self._tolerance_w
        return max(self._times.margin_w, abs(planned_w) * self._times.margin_share)
