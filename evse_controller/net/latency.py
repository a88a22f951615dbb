"""How long our own computation takes: frame bytes in to frame bytes out, pacing excluded."""

from __future__ import annotations

from collections import deque


class LatencyRecord:
    """Keeps the last `keep` durations and the total count."""

    def __init__(self, keep: int = 4096) -> None:
        self.count = 0
        self._recent: deque[float] = deque(maxlen=keep)

    def add(self, duration_s: float) -> None:
        self.count += 1
        self._recent.append(duration_s)

    def samples(self) -> tuple[float, ...]:
        """The kept durations in seconds, oldest first."""
        return tuple(self._recent)

    def percentile_s(self, fraction: float) -> float | None:
        """Nearest-rank percentile of the kept durations (`fraction` 0..1), None without any."""
        if not self._recent:
            return None
        ordered = sorted(self._recent)
        return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]
