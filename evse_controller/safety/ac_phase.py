"""The phases of one AC outlet and what safety lets each of them do: a table, read by `safety` and `station`."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class AcPhase(enum.Enum):
    """Where the outlet is. Order of a good session: top to bottom, then back to CONNECTED or IDLE. HOLD (energy rests,
    contactor closed) only when the session asks for it, and back to ENERGY."""

    IDLE = "idle"
    CONNECTED = "connected"
    CLOSING = "closing"
    ENERGY = "energy"
    HOLD = "hold"
    RAMP_DOWN = "ramp-down"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class AcPhaseRule:
    """What a phase may and must have.

    `contactor`: it may be closed (pilot C or D always needed). `pilot_ready`: while it is, any other pilot is an
    emergency, elsewhere it only opens. `measured`: the outlet's meter must answer within its deadline.
    """

    contactor: bool
    pilot_ready: bool
    measured: bool


AC_PHASES: dict[AcPhase, AcPhaseRule] = {
    #                               contactor pilot measured
    AcPhase.IDLE: AcPhaseRule(False, False, False),
    AcPhase.CONNECTED: AcPhaseRule(False, False, False),
    AcPhase.CLOSING: AcPhaseRule(True, False, True),
    AcPhase.ENERGY: AcPhaseRule(True, True, True),
    AcPhase.HOLD: AcPhaseRule(True, False, True),
    AcPhase.RAMP_DOWN: AcPhaseRule(True, False, True),
    AcPhase.EMERGENCY: AcPhaseRule(False, False, False),
}
