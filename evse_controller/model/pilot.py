"""Control pilot states, shared by hal, station and safety."""

from __future__ import annotations

import enum


class PilotState(enum.Enum):
    """IEC 61851-1 Table A.2 vehicle states as seen by the EVSE."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"
    E = "E"
    F = "F"
    INVALID = "invalid"

    @property
    def connected(self) -> bool:
        return self in (PilotState.B, PilotState.C, PilotState.D)

    @property
    def ready(self) -> bool:
        """C or D: the vehicle asks for (or permits) energy."""
        return self in (PilotState.C, PilotState.D)
