"""The book of raised faults: what is raised stays until the fault table says that it may go."""

from __future__ import annotations

from dataclasses import dataclass, replace

from evse_controller.model.fault import Fault, FaultCode, Severity
from evse_controller.safety import thresholds as t


@dataclass(slots=True)
class _Entry:
    fault: Fault
    powered: bool
    last_seen_s: float


class FaultBook:
    """Raised faults by code. `powered` faults (raised while the outlet was energised) need the plug pulled.

    NOTICE clears when its cause is gone. STOP and EMERGENCY that do not latch clear when the cause is gone and the
    plug was pulled, or at once when nothing was energised. Latching ones clear only by `clear` (a technician).
    """

    def __init__(self, restored: tuple[Fault, ...], now_s: float) -> None:
        self._entries = {fault.code: _Entry(replace(fault, since_s=now_s), True, now_s) for fault in restored}

    def __contains__(self, code: FaultCode) -> bool:
        return code in self._entries

    @property
    def active(self) -> tuple[Fault, ...]:
        return tuple(entry.fault for entry in self._entries.values())

    def worst(self) -> Fault | None:
        """The first raised EMERGENCY, else the first STOP, else None (notices do not count)."""
        for severity in (Severity.EMERGENCY, Severity.STOP):
            for fault in self.active:
                if fault.kind.severity is severity:
                    return fault
        return None

    @property
    def emergency(self) -> Fault | None:
        worst = self.worst()
        return worst if worst is not None and worst.kind.severity is Severity.EMERGENCY else None

    def see(self, fault: Fault, now_s: float, powered: bool) -> bool:
        """A cause is present now. True when this raises it (it was not raised before)."""
        entry = self._entries.get(fault.code)
        if entry is not None:
            entry.last_seen_s = now_s
            return False
        self._entries[fault.code] = _Entry(fault, powered, now_s)
        return True

    def expire(self, now_s: float, unplugged: bool) -> list[Fault]:
        """Drop what clears by itself; returns the dropped faults."""
        gone = [
            entry.fault
            for entry in self._entries.values()
            if now_s - entry.last_seen_s >= t.FAULT_GONE_S
            and not entry.fault.kind.latching
            and (entry.fault.kind.severity is Severity.NOTICE or unplugged or not entry.powered)
        ]
        for fault in gone:
            del self._entries[fault.code]
        return gone

    def clear(self, code: FaultCode, now_s: float) -> Fault | None:
        """A technician clears `code`. None when it is not raised or was still seen within the last second."""
        entry = self._entries.get(code)
        if entry is None or now_s - entry.last_seen_s < t.FAULT_GONE_S:
            return None
        del self._entries[code]
        return entry.fault
