"""Main stream and side streams: side by side on one connection, told apart by their payload type.

Each stream has one request outstanding. Only the main stream says how far the session is and keeps it alive.
"""

from __future__ import annotations

import enum

from evse_controller.secc.v2gtp import PayloadType


class Stream(enum.Enum):
    """What a request belongs to. The value is the name in events."""

    MAIN = "main"
    SCHEDULE = "schedule renegotiation"
    METERING = "metering confirmation"
    PARKING = "parking status"


_SIDE: dict[int, Stream] = {
    PayloadType.SCHEDULE_RENEGOTIATION: Stream.SCHEDULE,
    PayloadType.METERING_CONFIRMATION: Stream.METERING,
    PayloadType.PARKING_STATUS: Stream.PARKING,
}


def stream_of(payload_type: int) -> Stream:
    """Everything that is no side stream is the main one, whatever message set it carries."""
    return _SIDE.get(payload_type, Stream.MAIN)
