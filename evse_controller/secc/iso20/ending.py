"""What the station wants of the EV, and how the EV is told: EVSEStatus in PowerDeliveryRes and ChargeLoopRes."""

from __future__ import annotations

import math

from evse_controller.messages.base import Message
from evse_controller.messages.generated.common_messages import ChargeProgress, PowerDeliveryReq
from evse_controller.messages.generated.common_types import EvseNotification, EVSEStatus
from evse_controller.model.commands import Notified
from evse_controller.model.snapshot import EvseSnapshot, Notification
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.iso20.data import Told
from evse_controller.secc.iso20.states import State, Turn
from evse_controller.secc.surroundings import Surroundings

_WORDS = {
    Notification.PAUSE: EvseNotification.Pause,
    Notification.EXIT_STANDBY: EvseNotification.ExitStandby,
    Notification.TERMINATE: EvseNotification.Terminate,
    Notification.SCHEDULE_RENEGOTIATION: EvseNotification.ScheduleRenegotiation,
    Notification.SERVICE_RENEGOTIATION: EvseNotification.ServiceRenegotiation,
    Notification.METERING_CONFIRMATION: EvseNotification.MeteringConfirmation,
}
_LONGEST_S = 0xFFFF
# With these the EV is leaving already.
_LEAVING = frozenset({"DC_WeldingDetectionReq", "SessionStopReq"})
# To these the EVSE answers with EVSEStatus, or may wait for the next request that it can answer so.
_TOLD_OTHERWISE = frozenset({"PowerDeliveryReq", "AC_ChargeLoopReq", "DC_ChargeLoopReq", "MeteringConfirmationReq"})


def station_ends(snapshot: EvseSnapshot) -> str | None:
    """Why the station wants this session to end, None if it does not."""
    if snapshot.emergency is not None:
        return f"emergency: {snapshot.emergency}"
    return "the station ends the session" if snapshot.notification is Notification.TERMINATE else None


def refused_for_good(message: Message, snapshot: EvseSnapshot) -> str | None:
    """Why this request is not served any more because the station ends the session, None if it is served.

    Where the EV can be told by EVSEStatus it is asked to leave, as long as it may still leave in good order. Once power
    was taken away by force, asking is over: everything but leaving is refused, so that no session outlives its energy.
    """
    if message.ELEMENT in _LEAVING:
        return None
    if isinstance(message, PowerDeliveryReq) and message.charge_progress is ChargeProgress.Stop:
        return None
    if snapshot.emergency is None and message.ELEMENT in _TOLD_OTHERWISE:
        return None
    return station_ends(snapshot)


def evse_status(turn: Turn, then: State) -> EVSEStatus | None:
    """What is told to the EV; nothing is said that would be refused in the state `then`, to which this answer leads.

    Terminate at once; anything else within a time that is counted down from when it was first told [V2G20-3318].
    """
    data, snapshot = turn.data, turn.snapshot
    if station_ends(snapshot) is not None:
        pause_withdrawn(turn)
        return EVSEStatus(0, EvseNotification.Terminate)
    wanted = snapshot.notification
    if wanted is None or not _served(turn, wanted, then):
        pause_withdrawn(turn)
        data.told = None
        return None
    if data.told is None or data.told.notification is not wanted:
        data.told = Told(wanted, turn.now_s, min(snapshot.notification_max_delay_s, _LONGEST_S))
        data.told_ever.add(wanted)
        turn.commands.append(Notified(wanted))
        if wanted is Notification.METERING_CONFIRMATION:
            data.meter_confirmed.clear()
    if wanted is Notification.PAUSE:
        data.pause_until_s = math.inf
    else:
        pause_withdrawn(turn)
    left_s = data.told.max_delay_s - (turn.now_s - data.told.since_s)
    # The station may count, too, and may get impatient: the EV is told what is left, never more.
    return EVSEStatus(max(0, min(math.ceil(left_s), snapshot.notification_max_delay_s)), _WORDS[wanted])


def pause_fault(turn: Turn) -> str | None:
    """Why this station cannot keep the session while the EV sleeps, None if it can; the EV's own plan aside."""
    return _no_pause(turn.config, turn.around, turn.snapshot)


def never_served(
    wanted: Notification, config: SeccConfig, around: Surroundings, snapshot: EvseSnapshot, state: State
) -> str | None:
    """Why this session's EV will not be told what is wanted, whatever it does next; None if it may be."""
    if wanted.value not in config.notifications:
        return f"this vehicle is not told of {wanted.value}: notifications has it not"
    match wanted:
        case Notification.PAUSE:
            return _no_pause(config, around, snapshot)
        case Notification.EXIT_STANDBY:
            return None if state is State.STANDBY else f"the session is not in standby, but in {state.value}"
        case Notification.SERVICE_RENEGOTIATION:
            return None if config.service_renegotiation else "service_renegotiation is false in the configuration"
        case _:
            return None


def _no_pause(config: SeccConfig, around: Surroundings, snapshot: EvseSnapshot) -> str | None:
    if not config.pause or not snapshot.pause_allowed:
        return "this outlet cannot keep a session now"
    if around.peer.certificate_sha512 is None:
        return "without a vehicle certificate nobody could prove to be the same EV again"
    return None


def pause_withdrawn(turn: Turn) -> None:
    """This answer asks for no pause: what an earlier one asked for holds for a short while, in which the EV may be on
    its way."""
    data = turn.data
    if data.pause_until_s == math.inf:
        data.pause_until_s = turn.now_s + turn.config.timers.pause_grace_s


def _served(turn: Turn, wanted: Notification, then: State) -> bool:
    # EVs in the field end their session at a notification that they do not know.
    if never_served(wanted, turn.config, turn.around, turn.snapshot, then) is not None:
        return False
    match wanted:
        case Notification.SCHEDULE_RENEGOTIATION:
            return then is State.CHARGE_LOOP and turn.data.renegotiation is None
        case Notification.METERING_CONFIRMATION:
            return len(turn.data.meter_told) > 0  # [V2G20-1083]
        case _:
            return True
