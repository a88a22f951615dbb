"""The phases of one DC outlet and what safety lets each of them do: a table, read by `safety` and `station`."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Phase(enum.Enum):
    """Where the outlet is. Order of a good session: top to bottom, then back to CONNECTED or IDLE. HOLD (energy rests,
    contactors closed) only when the session asks for it, and back to ENERGY."""

    IDLE = "idle"
    CONNECTED = "connected"
    CABLE_CHECK = "cable-check"
    PRECHARGE = "precharge"
    ENERGY = "energy"
    HOLD = "hold"
    RAMP_DOWN = "ramp-down"
    WELDING = "welding"
    DISCHARGE = "discharge"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class PhaseRule:
    """What a phase may and must have.

    `contactors`: EVSE contactors may be closed. `pilot_ready`: while they are, pilot C or D is needed and anything
    else is an emergency. `output`: the modules may be on. `measured`: outlet meter and modules must answer within
    their deadlines. `isolation`: the monitor must be on the line and good. `small_current`: at most 2 A.
    """

    contactors: bool
    pilot_ready: bool
    output: bool
    measured: bool
    isolation: bool
    small_current: bool


PHASES: dict[Phase, PhaseRule] = {
    #                         contactors pilot  output measured isolation small
    Phase.IDLE: PhaseRule(False, False, False, False, False, True),
    Phase.CONNECTED: PhaseRule(False, False, False, False, False, True),
    Phase.CABLE_CHECK: PhaseRule(True, True, True, True, False, True),  # guarded by its own sub-steps until tested
    Phase.PRECHARGE: PhaseRule(True, True, True, True, True, True),
    Phase.ENERGY: PhaseRule(True, True, True, True, True, False),
    Phase.HOLD: PhaseRule(True, False, True, True, True, False),
    Phase.RAMP_DOWN: PhaseRule(True, False, True, True, False, False),
    Phase.WELDING: PhaseRule(False, False, False, False, False, True),
    Phase.DISCHARGE: PhaseRule(False, False, False, False, False, True),
    Phase.EMERGENCY: PhaseRule(False, False, False, False, False, True),
}
