"""Limits that carry source, reason and expiry; the tightest valid one wins and can say why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """An upper bound >= 0 on one direction (`value` in the unit of its context, usually W).

    `expires_at_s` is control time; None = does not expire (ratings, commissioned limits).
    """

    value: float
    source: str
    reason: str
    expires_at_s: float | None = None

    def valid(self, now_s: float) -> bool:
        return self.expires_at_s is None or now_s < self.expires_at_s


def tightest(limits: Iterable[Limit], now_s: float) -> Limit:
    """The smallest valid limit. Raises ValueError when none is valid: the caller must always pass a failsafe."""
    valid = [limit for limit in limits if limit.valid(now_s)]
    if not valid:
        raise ValueError("no valid limit: a failsafe without expiry must always be among them")
    return min(valid, key=lambda limit: limit.value)


@dataclass(frozen=True, slots=True)
class SiteAllowance:
    """What the site lets this outlet do at its AC grid connection now. Two numbers, never one signed one.

    `import_w` and `export_w` are >= 0 and already account for the building's measured load. `stale` is true when a
    site input ran out and the commissioned failsafe rules (export is then 0).
    """

    import_w: Limit
    export_w: Limit
    stale: bool
