"""What every charge loop does, whatever flows through it."""

from __future__ import annotations

from evse_controller.messages.generated.common_types import MeterInfo, ResponseCode
from evse_controller.model.snapshot import MeterTotals, Notification
from evse_controller.secc.iso20.states import Refused, Turn

_METER_ID_LENGTH = 32


def loop_meter_info(turn: Turn, requested: bool, bidirectional: bool) -> MeterInfo | Refused | None:
    """The reading to send: when asked for [V2G20-1081], when it is to be confirmed, and unasked in the first loop.

    A reading carries its own time: while the meter is silent its last one is still the truth about that time.
    """
    data = turn.data
    meter = data.meter = turn.snapshot.meter or data.meter
    if meter is None:
        if requested:
            return Refused(ResponseCode.FAILED, "meter info asked for, but the meter gave none yet [V2G20-1081]")
        return None
    confirm = turn.snapshot.notification is Notification.METERING_CONFIRMATION
    if not (requested or confirm or data.loops == 0):  # [V2G20-1833]
        return None
    info = _meter_info(meter, bidirectional)
    if info not in data.meter_told:
        data.meter_told.append(info)
    return info


def looped(turn: Turn) -> None:
    """One more charge loop request was served."""
    turn.data.loops += 1
    turn.data.loops_since_start += 1
    turn.data.due = None


def _meter_info(meter: MeterTotals, bidirectional: bool) -> MeterInfo:
    """Energy of this session in whole Wh [V2G20-902]."""
    return MeterInfo(
        meter_id=meter.meter_id[:_METER_ID_LENGTH],
        charged_energy_reading_wh=max(0, int(meter.charged_wh)),
        bpt_discharged_energy_reading_wh=max(0, int(meter.discharged_wh)) if bidirectional else None,
        meter_timestamp=max(0, int(meter.at_utc_s)),
    )
