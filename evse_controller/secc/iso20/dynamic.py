"""Dynamic mode: what the EV is told besides its set-points.

DepartureTime, MinimumSOC and TargetSOC are told only where MobilityNeedsMode 2 says that we provide them, and the
driver did so; the minimum is never told above the target [V2G20-1640], [V2G20-1290], [V2G20-1366].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evse_controller.messages.generated import common_messages as cm
from evse_controller.secc.iso20.needs import wishes
from evse_controller.secc.iso20.states import Turn

if TYPE_CHECKING:  # an outlet loads the classes of its own kind, not the other's
    from evse_controller.messages.generated import ac, dc

    DynamicRes = (
        ac.BPT_Dynamic_AC_CLResControlMode
        | ac.Dynamic_AC_CLResControlMode
        | dc.BPT_Dynamic_DC_CLResControlMode
        | dc.Dynamic_DC_CLResControlMode
    )
_LONGEST_S = 2**32 - 1


def tell_wishes(turn: Turn, mode: DynamicRes | cm.Dynamic_SEResControlMode) -> None:
    """Fills in what the driver told us, and in the loop how soon a new set-point must be followed."""
    driver = wishes(turn)
    if driver.departure_utc_s is not None:
        # Seconds from this message; a departure that has passed is now.
        mode.departure_time = max(0, min(int(driver.departure_utc_s - turn.snapshot.utc_s), _LONGEST_S))
    minimum, target = _percent(driver.minimum_soc), _percent(driver.target_soc)
    if minimum is not None and target is not None:
        minimum = min(minimum, target)
    mode.minimum_soc, mode.target_soc = minimum, target
    if not isinstance(mode, cm.Dynamic_SEResControlMode):
        mode.ack_max_delay = turn.config.ack_max_delay_s


def _percent(number: int | None) -> int | None:
    return None if number is None else max(0, min(number, 100))
