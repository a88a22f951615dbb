"""Standby: no current for a while, contactors closed, the EV polls with PowerDeliveryReq(Standby)."""

from __future__ import annotations

from evse_controller.secc.iso20.ending import station_ends
from evse_controller.secc.iso20.states import Turn

STANDBY_HOLD = "standby"
NO_LOOP = "there was no charge loop since Start"


def standby_fault(turn: Turn) -> str | None:
    """Why the EV may not go to standby now, None if it may. It is told with a WARNING, and the loop goes on."""
    if not turn.config.standby:
        return "standby is not offered"
    if turn.data.loops_since_start == 0:
        return NO_LOOP
    return station_ends(turn.snapshot)
