"""Whether the station wants to end, and how the EV is told of it."""

from __future__ import annotations

from evse_controller.messages.generated.common_types import EvseNotification, EVSEStatus
from evse_controller.model.snapshot import EvseSnapshot, Notification


def station_ends(snapshot: EvseSnapshot) -> str | None:
    """Why the station wants this session to end, None if it does not."""
    if snapshot.emergency is not None:
        return f"emergency: {snapshot.emergency}"
    return "the station ends the session" if snapshot.notification is Notification.TERMINATE else None


def evse_status(snapshot: EvseSnapshot) -> EVSEStatus | None:
    """What is told to the EV; nothing is said that this station would not serve when the EV obeys it."""
    return None if station_ends(snapshot) is None else EVSEStatus(0, EvseNotification.Terminate)
