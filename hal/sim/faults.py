"""Injected faults as data: named, with parameters, cleared by name."""

from __future__ import annotations

import random
from collections.abc import Callable

#: What can go wrong with any device that measures and talks.
COMMON = frozenset({"silent", "frozen", "wrong", "late", "drifting", "noise", "reset"})


class Faults:
    """The faults of one device.

    Common parameters: `wrong` factor=1.1 offset=0.0; `drifting` per_s=0.01 (relative); `noise` relative=0.02;
    `late` delay_s=0.5. `reset` happens once, at injection, through the device's `on_reset`.
    """

    def __init__(self, device: str, known: frozenset[str] = COMMON, seed: int = 1) -> None:
        self.device = device
        self.known = known
        self.now_s = 0.0
        self.on_reset: Callable[[], None] | None = None
        self._active: dict[str, dict[str, float]] = {}
        self._since: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._random = random.Random(f"{seed} {device}")

    def inject(self, fault: str, **parameters: float) -> None:
        if fault not in self.known:
            raise ValueError(f"{self.device} has no fault {fault!r}; it has {', '.join(sorted(self.known))}")
        if fault == "reset" and self.on_reset is not None:
            self.on_reset()
        self._active[fault] = dict(parameters)
        self._since[fault] = self.now_s

    def clear(self, fault: str) -> bool:
        """Returns whether that fault was active."""
        return self._active.pop(fault, None) is not None

    def active(self, fault: str) -> bool:
        return fault in self._active

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._active)

    def parameter(self, fault: str, key: str, default: float) -> float:
        return self._active.get(fault, {}).get(key, default)

    def measured(self, key: str, value: float) -> float:
        """What the device believes it measures when the truth is `value`."""
        if self.active("frozen") and key in self._last:
            return self._last[key]
        if self.active("wrong"):
            value = value * self.parameter("wrong", "factor", 1.1) + self.parameter("wrong", "offset", 0.0)
        if self.active("drifting"):
            value *= 1.0 + self.parameter("drifting", "per_s", 0.01) * (self.now_s - self._since["drifting"])
        if self.active("noise"):
            value *= 1.0 + self._random.gauss(0.0, self.parameter("noise", "relative", 0.02))
        self._last[key] = value
        return value

    @property
    def delay_s(self) -> float:
        """Extra time before an answer leaves."""
        return self.parameter("late", "delay_s", 0.5) if self.active("late") else 0.0
