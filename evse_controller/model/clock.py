"""The two clocks. Control time drives timers, ramps, staleness; world time drives tariffs, UTC and energy.

Only `hal.sim` may run the world clock faster than the control clock, and the daemon refuses that with real drivers.
"""

from __future__ import annotations

import time
from typing import Protocol


class ControlClock(Protocol):
    """Monotonic seconds at real speed; never jumps, never runs backwards. Its zero has no meaning."""

    def now_s(self) -> float: ...


class WorldClock(Protocol):
    """UTC in Unix seconds, and whether that time may be trusted (RTC or NTP confirmed it)."""

    def utc_s(self) -> float: ...

    @property
    def trusted(self) -> bool: ...


class SystemControlClock:
    """The machine's monotonic clock."""

    def now_s(self) -> float:
        return time.monotonic()


class SystemWorldClock:
    """The machine's UTC. `trusted` is decided once by the composition root (e.g. from the kernel's NTP state)."""

    def __init__(self, trusted: bool) -> None:
        self._trusted = trusted

    def utc_s(self) -> float:
        return time.time()

    @property
    def trusted(self) -> bool:
        return self._trusted


class AnchoredWorldClock:
    """World time that starts at `start_utc_s` when control time was `start_now_s` and runs `speed` times as fast.

    With `speed` other than 1 it belongs to simulation only; the composition root refuses it with real drivers.
    """

    def __init__(self, control: ControlClock, start_utc_s: float, start_now_s: float, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError(f"world clock speed must be > 0, got {speed}")
        self.speed = speed
        self._control = control
        self._start_utc_s = start_utc_s
        self._start_now_s = start_now_s

    def utc_s(self) -> float:
        return self._start_utc_s + (self._control.now_s() - self._start_now_s) * self.speed

    @property
    def trusted(self) -> bool:
        return True


class VirtualClock:
    """A control clock that only `advance` moves: an hour passes in no time."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self._now_s = now_s

    def now_s(self) -> float:
        return self._now_s

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("time does not run backwards")
        self._now_s += seconds
