"""What findings of a control step have in common for every kind of outlet: age, duration, and what they deny."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from evse_controller.model.fault import Fault, FaultCode, Severity
from evse_controller.model.permit import Permit
from evse_controller.safety import thresholds as t

Finding = tuple[FaultCode, str, str]
"""Code, source (device or room), cause in one sentence with figures."""

Held = tuple[str, FaultCode, str, str]
"""A finding that must last before it is a fault, by its name."""


def lasting(
    held: Iterable[Held], before: Mapping[str, float], hold_s: Mapping[str, float], now_s: float
) -> tuple[list[Fault], dict[str, float]]:
    """Of the conditions that are true now, the faults among them, and since when each has been true. `before`: the
    same of the last step; what is not true now begins anew."""
    faults: list[Fault] = []
    watch: dict[str, float] = {}
    for name, code, source, cause in held:
        since = watch[name] = before.get(name, now_s)
        if now_s - since >= hold_s[name]:
            faults.append(Fault(code, source, cause, since))
    return faults, watch


def no_permit(now_s: float, source: str, reason: str) -> Permit:
    """A valid permit that permits nothing; its reason is what the technician reads."""
    return Permit(now_s, now_s + t.PERMIT_LIFE_S, False, 0.0, 0.0, 0.0, False, source, reason)


def emergency_denies(faults: Iterable[Fault], now_s: float) -> Permit | None:
    """The permit of nothing while one of these faults is an emergency, else None."""
    for fault in faults:
        if fault.kind.severity is Severity.EMERGENCY:
            return no_permit(now_s, fault.source, fault.cause)
    return None


def stale_s(at_s: float | None, started_s: float, deadline_s: float, now_s: float) -> float | None:
    """Age in s when it is beyond its deadline, else None. A device that never answered is as old as the station;
    a stamp from the future is a contradiction and counts as stale."""
    age = now_s - (started_s if at_s is None else at_s)
    return age if age > deadline_s or age < -0.001 or math.isnan(age) else None
