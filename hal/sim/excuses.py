"""Which injected faults make opening contactors under load right: data, one line a device.

Only two kinds are here: the board or the car opens by itself, so that nobody can bring the current to zero first; or
what makes the current (modules, the on-board charger of an AC car) cannot be reached or does not obey, so that waiting
for zero current would be waiting for nothing. Whatever else is broken
(a meter, the isolation monitor, the building's meter, the air between them), a controller switches the modules off
first, and their current is gone before the contacts move.
"""

from __future__ import annotations

OPENING_UNDER_LOAD: dict[str, frozenset[str]] = {
    "mcu": frozenset({"reset", "deaf", "noise", "internal", "cp_short", "cp_diode", "rcm", "emergency_stop"}),
    "power": frozenset({"disconnected"}),
    "can": frozenset({"dead", "noise"}),
    "contactor": frozenset({"stuck_open"}),
    "ev.contactor": frozenset({"stuck_open"}),
    "cable": frozenset({"short"}),
    "plug": frozenset({"no_proximity"}),
    "ev.charger": frozenset({"ignores", "reverse", "overdraw", "one_phase"}),
    "mains": frozenset({"over_voltage"}),
}


def justifies_opening(device: str, fault: str) -> bool:
    """`device` as the plant names it; of several alike (`power.1`) the number does not matter."""
    kind, _, number = device.rpartition(".")
    name = kind if number.isdigit() else device
    return fault in OPENING_UNDER_LOAD.get(name, frozenset())
