"""The building's load from a meter at the grid connection, whose reading holds the outlet's own power as well.

Two meters, each late in its own way: a building reading that arrived at `at_s` was measured at some moment from
`at_s - meter_lag_s` to `at_s`, an own power with `at_s` from `at_s - own_lag_s` to `at_s`. Whatever our own power was
over that span bounds the building's load at that moment. A reading is *judged* only when own samples on both sides
enclose the span: a reading that is newer than the last own sample would count our own cut as the building's.

What comes out of it:
- `import_load_w` and `export_load_w`, what is believed: kept while inside the bounds of each reading, so that our own
  ramps are never mistaken for the building's and no limit cycle arises. Just outside (conversion losses, noise) they
  move to the nearest bound; far outside the building has certainly moved and may be anywhere inside by now, so they
  move to the safe bound, which is the highest for import and the lowest for export;
- `highest_w` and `lowest_w`, the bounds of the last judged reading: an allowance may rise no further than they confirm.

A reading that is not yet judged is bounded by what we were allowed to draw and feed instead. That moves the belief
only when the grid's limit is exceeded for certain, and then at once.

A load that changes is thus answered `meter_lag_s` and a reading later at the latest when our own power is steady at its
allowance, and `own_lag_s` and an own sample after that when our own power was just changing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TypeVar

from hal.api import AcMeterReading

_OBEYED_WITHIN_S = 0.5  # own power may lie above an allowance that was just cut
_NOISE_W = 200.0
_NOISE_SHARE = 0.2  # of our own power's change: its AC value is known through an efficiency only
_FROZEN_CHANGE_W = 1000.0
_FROZEN_AFTER_S = 3.0


@dataclass(frozen=True, slots=True)
class _Own:
    at_s: float
    power_w: float


@dataclass(frozen=True, slots=True)
class _Allowed:
    at_s: float
    import_w: float
    export_w: float


_T = TypeVar("_T", _Own, _Allowed)


class GridMeter:
    """Feed `own` and `allowed` in every step, then `take` the reading; the results are attributes."""

    def __init__(self, meter_lag_s: float, own_lag_s: float, keep_s: float) -> None:
        """`keep_s`: readings older than this are not waited for any more."""
        self._meter_lag_s = meter_lag_s
        self._own_lag_s = own_lag_s
        self._keep_s = keep_s
        self._own: deque[_Own] = deque()
        self._allowed: deque[_Allowed] = deque()
        self._pending: deque[AcMeterReading] = deque()
        self._newest_s: float | None = None
        self._judged_w: tuple[float, float] | None = None
        self._frozen = _FrozenWatch()
        self.judged_at_s: float | None = None
        self.import_load_w: float | None = None
        self.export_load_w: float | None = None
        self.highest_w = 0.0
        self.lowest_w = 0.0

    @property
    def frozen(self) -> bool:
        """The meter's value has not followed our own power: it is not a measurement any more."""
        return self._frozen.frozen

    def own(self, at_s: float, power_w: float) -> None:
        """A sample of own AC power, + import. The same sample may be told again."""
        if not self._own or at_s > self._own[-1].at_s:
            self._own.append(_Own(at_s, power_w))
            _forget(self._own, at_s - self._horizon_s)

    def allowed(self, now_s: float, import_w: float, export_w: float) -> None:
        """What the outlet was allowed to draw and feed (AC, >= 0) from `now_s` on."""
        self._allowed.append(_Allowed(now_s, import_w, export_w))
        _forget(self._allowed, now_s - self._horizon_s)

    def own_unknown(self) -> None:
        """Own power was not known for a while: nothing encloses a reading until there is a new history of it."""
        self._own.clear()
        self._pending.clear()
        self.forget()

    def forget(self) -> None:
        """Believe nothing until the next judged reading."""
        self._judged_w = self.import_load_w = self.export_load_w = None
        self.judged_at_s = None

    def take(self, reading: AcMeterReading, now_s: float) -> None:
        """Judge all readings that can be judged by now, and bound the load by those that cannot."""
        if reading.at_s != self._newest_s:
            self._newest_s = reading.at_s
            self._pending.append(reading)
        while self._pending and now_s - self._pending[0].at_s > self._keep_s:
            self._pending.popleft()
        while self._pending and self._enclosed(self._pending[0].at_s):
            self._judge(self._pending.popleft())
        if self._judged_w is None:
            return
        import_load_w, export_load_w = self._judged_w
        for waiting in self._pending:
            own_low_w, own_high_w = self._allowed_span(waiting.at_s)
            lowest_w, highest_w = waiting.power_w - own_high_w, waiting.power_w - own_low_w
            import_load_w = min(max(import_load_w, lowest_w), highest_w)
            export_load_w = min(max(export_load_w, lowest_w), highest_w)
        self.import_load_w, self.export_load_w = import_load_w, export_load_w

    @property
    def _horizon_s(self) -> float:
        return self._keep_s + self._meter_lag_s + self._own_lag_s + 1.0

    def _judge(self, reading: AcMeterReading) -> None:
        first_s = reading.at_s - self._meter_lag_s
        if self._own[0].at_s > first_s:
            return  # what flowed before the first sample is not known and never will be
        own = _span(self._own, first_s, reading.at_s + self._own_lag_s)
        low_w, high_w = min(sample.power_w for sample in own), max(sample.power_w for sample in own)
        self._frozen.take(reading, low_w, high_w)
        if self._frozen.frozen:
            self.forget()
            return
        self.highest_w, self.lowest_w = reading.power_w - low_w, reading.power_w - high_w
        import_load_w, export_load_w = self._judged_w or (self.highest_w, self.lowest_w)
        self._judged_w = (
            _believed(import_load_w, self.lowest_w, self.highest_w, self.highest_w),
            _believed(export_load_w, self.lowest_w, self.highest_w, self.lowest_w),
        )
        self.judged_at_s = reading.at_s

    def _enclosed(self, at_s: float) -> bool:
        return bool(self._own) and self._own[-1].at_s >= at_s + self._own_lag_s

    def _allowed_span(self, at_s: float) -> tuple[float, float]:
        """(lowest, highest) own power that our allowances and samples leave for a reading not yet enclosed."""
        first_s = at_s - self._meter_lag_s
        allowed = _span(self._allowed, first_s - _OBEYED_WITHIN_S, at_s)
        own = _span(self._own, first_s, at_s)
        low_w = min([-a.export_w for a in allowed] + [sample.power_w for sample in own])
        return low_w, max([a.import_w for a in allowed] + [sample.power_w for sample in own])


class _FrozenWatch:
    """Recognises a meter that answers with one and the same value while our own power has moved on."""

    def __init__(self) -> None:
        self.frozen = False
        self._value_w: float | None = None
        self._own_then_w = (0.0, 0.0)
        self._odd_since_s: float | None = None

    def take(self, reading: AcMeterReading, own_low_w: float, own_high_w: float) -> None:
        if reading.power_w != self._value_w:
            self._value_w, self._own_then_w = reading.power_w, (own_low_w, own_high_w)
            self._odd_since_s, self.frozen = None, False
            return
        low_w, high_w = self._own_then_w
        if own_low_w <= high_w + _FROZEN_CHANGE_W and own_high_w >= low_w - _FROZEN_CHANGE_W:
            self._odd_since_s = None  # once frozen it stays so until the value changes
        elif self._odd_since_s is None:
            self._odd_since_s = reading.at_s
        elif reading.at_s - self._odd_since_s > _FROZEN_AFTER_S:
            self.frozen = True


def _believed(load_w: float, lowest_w: float, highest_w: float, safe_w: float) -> float:
    nearest_w = min(max(load_w, lowest_w), highest_w)
    moved = abs(nearest_w - load_w) > _NOISE_W + _NOISE_SHARE * (highest_w - lowest_w)
    return safe_w if moved else nearest_w


def _span(items: deque[_T], first_s: float, last_s: float) -> list[_T]:
    """What held from `first_s` to `last_s`: the items inside and their neighbours on both sides."""
    found: list[_T] = []
    for item in items:
        if item.at_s <= first_s:
            found = [item]
        else:
            found.append(item)
            if item.at_s >= last_s:
                break
    return found


def _forget(items: deque[_T], before_s: float) -> None:
    """Drop what is older; the last item before `before_s` stays, it says what held then."""
    while len(items) > 1 and items[1].at_s <= before_s:
        items.popleft()
