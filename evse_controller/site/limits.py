"""Every limit on the grid connection with its source, reason and expiry; the tightest valid one rules."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from evse_controller.model.limits import Limit, tightest


class Direction(enum.Enum):
    """Of energy at the grid connection. Two limits, never one signed one."""

    IMPORT = "import"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """One line of `evsectl limits`. `expires_in_s` None: does not expire. `rules`: the tightest of its direction."""

    direction: Direction
    value_w: float
    source: str
    reason: str
    expires_in_s: float | None
    rules: bool


@dataclass(frozen=True, slots=True)
class _Entry:
    limit: Limit
    lease: bool


class LimitBook:
    """The commissioned limit of each direction plus one external entry per source and direction.

    An entry of another source never loosens anything. A source replaces its own entry: lower counts at once, and so
    does higher, which its direction's other entries still bound. When an entry runs out it is simply gone, except a
    *lease* (a source that must keep renewing): a lease that ran out means the failsafe until renewed or cleared.
    """

    def __init__(self, import_limit_w: float, export_limit_w: float) -> None:
        self._commissioned = {
            Direction.IMPORT: Limit(import_limit_w, "commissioning", "import limit of the grid connection"),
            Direction.EXPORT: Limit(export_limit_w, "commissioning", "export limit of the grid connection"),
        }
        self._entries: dict[tuple[Direction, str], _Entry] = {}

    def set(
        self,
        direction: Direction,
        value_w: float,
        source: str,
        reason: str,
        ttl_s: float | None,
        now_s: float,
        lease: bool = False,
    ) -> None:
        """Enter (or replace) the limit of `source`. Raises ValueError for a value < 0, NaN, a ttl <= 0 or no source."""
        if not (math.isfinite(value_w) and value_w >= 0.0):
            raise ValueError(f"{direction.value} limit of {source!r} must be a number >= 0 W, got {value_w}")
        if ttl_s is not None and not (math.isfinite(ttl_s) and ttl_s > 0.0):
            raise ValueError(f"ttl of the limit of {source!r} must be > 0 s, got {ttl_s}")
        if lease and ttl_s is None:
            raise ValueError(f"the lease of {source!r} needs a ttl")
        if not source or source == "commissioning":
            raise ValueError(f"a limit needs a source of its own, got {source!r}")
        expires_at_s = None if ttl_s is None else now_s + ttl_s
        self._entries[direction, source] = _Entry(Limit(value_w, source, reason, expires_at_s), lease)

    def clear(self, source: str, direction: Direction | None = None) -> bool:
        """Forget what `source` set (in one or both directions); false when there was nothing."""
        keys = [key for key in self._entries if key[1] == source and direction in (None, key[0])]
        for key in keys:
            del self._entries[key]
        return bool(keys)

    def expired_leases(self, direction: Direction, now_s: float) -> list[str]:
        """Sources whose lease ran out: their silence means the failsafe."""
        return [
            source
            for (way, source), entry in self._entries.items()
            if way is direction and entry.lease and not entry.limit.valid(now_s)
        ]

    def purge(self, now_s: float) -> None:
        """Forget entries that ran out; expired leases stay, they mean something."""
        gone = [key for key, entry in self._entries.items() if not entry.lease and not entry.limit.valid(now_s)]
        for key in gone:
            del self._entries[key]

    def all(self, direction: Direction, now_s: float) -> list[Limit]:
        """Valid limits of one direction, the commissioned one first."""
        valid = [e.limit for (way, _), e in self._entries.items() if way is direction and e.limit.valid(now_s)]
        return [self._commissioned[direction], *valid]

    def ruling(self, direction: Direction, now_s: float) -> Limit:
        """The tightest valid limit of one direction; there is always the commissioned one."""
        return tightest(self.all(direction, now_s), now_s)

    def course(self, direction: Direction, now_s: float) -> list[tuple[float, float]]:
        """(in s, limit in W) from now (0 s) on, as limits run out; leases are expected to be renewed."""
        valid = [e for (way, _), e in self._entries.items() if way is direction and e.limit.valid(now_s)]
        ends = {now_s, *(e.limit.expires_at_s for e in valid if e.limit.expires_at_s is not None and not e.lease)}
        course: list[tuple[float, float]] = []
        for at_s in sorted(ends):
            then = [e.limit.value for e in valid if e.lease or e.limit.valid(at_s)]
            value_w = min([self.commissioned_w(direction), *then])
            if not course or value_w != course[-1][1]:
                course.append((at_s - now_s, value_w))
        return course

    def commissioned_w(self, direction: Direction) -> float:
        return self._commissioned[direction].value

    def earliest_expiry_s(self, direction: Direction, now_s: float) -> float | None:
        """When the next *lease* of this direction runs out (control time), None without one."""
        times = [
            entry.limit.expires_at_s
            for (way, _), entry in self._entries.items()
            if way is direction and entry.lease and entry.limit.valid(now_s) and entry.limit.expires_at_s is not None
        ]
        return min(times, default=None)
