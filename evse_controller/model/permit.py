"""The Permit: the only thing the actuator accepts. It expires by itself; losing time moves towards zero."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Permit:
    """What outputs may do until `expires_at_s` (control time). All magnitudes >= 0.

    `contactors` false means: EVSE contactors must be open (emergency when they carry current). `export` false means
    no inverter mode at all. `reason` and `source` say what rules the tightest number, for CLI and journal.
    """

    issued_at_s: float
    expires_at_s: float
    contactors: bool
    max_voltage_v: float
    max_charge_current_a: float
    max_discharge_current_a: float
    export: bool
    source: str
    reason: str

    def valid(self, now_s: float) -> bool:
        return self.issued_at_s <= now_s < self.expires_at_s
