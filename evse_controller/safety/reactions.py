"""Who meets which deadline: fault, owner, longest time from cause to open contactors, source. Tests read this table.

Owners: "board" is the hard-wired chain and safety MCU, which acts without us; "station" is this process at 20 Hz. A
deadline of the station includes the age at which an input counts as stale, the hold time of a contradiction, two
control steps, one period of the device that shows it, and the contactors' own opening time.
"""

from __future__ import annotations

from dataclasses import dataclass

from evse_controller.model.fault import FaultCode


@dataclass(frozen=True, slots=True)
class Reaction:
    """`deadline_s` from the physical cause to open contactors (or, for site input, to the set-point)."""

    owner: str
    deadline_s: float
    source: str


REACTIONS: dict[FaultCode, Reaction] = {
    FaultCode.EMERGENCY_STOP: Reaction("board", 0.1, "IEC 61851-23: hard-wired chain"),
    FaultCode.PILOT_LOST: Reaction("board", 0.1, "E.3: contactors open within 100 ms after C/D is left"),
    FaultCode.PILOT_STALE: Reaction("board", 0.7, "heartbeat contract: a dead link also starves the board"),
    FaultCode.MCU_SAFE_STATE: Reaction("board", 0.1, "the board opens before it reports"),
    FaultCode.CONTACTOR_MISMATCH: Reaction("station", 0.8, "contactor-time plus two steps"),
    FaultCode.OVER_VOLTAGE: Reaction("station", 0.4, "meter period 200 ms, two steps, contactor 20 ms"),
    FaultCode.OVER_CURRENT: Reaction("station", 1.4, "permit-current-hold plus meter period and two steps"),
    FaultCode.MEASUREMENT_STALE: Reaction("station", 1.4, "meter-deadline plus two steps"),
    FaultCode.MEASUREMENT_IMPLAUSIBLE: Reaction("station", 2.0, "plausible-hold plus meter period and two steps"),
    FaultCode.ISOLATION_FAULT: Reaction("station", 10.0, "IEC 61557-8: response of the monitor, plus two steps"),
    FaultCode.ISOLATION_MONITOR_MISSING: Reaction("station", 2.5, "isolation-deadline plus two steps"),
    FaultCode.POWER_MODULE_SILENT: Reaction("station", 1.0, "issue 4: a silent module opens within 1 s"),
    FaultCode.POWER_MODULE_FAULT: Reaction("station", 1.2, "module-disagree plus two steps"),
    FaultCode.REVERSE_POWER: Reaction("station", 1.9, "ac-reverse-hold plus meter period, its update and two steps"),
    FaultCode.EV_SILENT: Reaction("station", 1.3, "loop timer 0.5 s, ev-silent-margin, EV period, two steps"),
}
