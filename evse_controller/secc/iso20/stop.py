"""SessionStop: the three ways to leave, and the check that the pilot followed PowerDelivery(Stop).

Whatever the EV wants, energy is stopped before anything ends, sleeps or changes.
"""

from __future__ import annotations

from evse_controller.messages.generated.common_messages import ChargingSession, SessionStopReq, SessionStopRes
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model.commands import EndKind, ServiceReleased, SessionEnded
from evse_controller.secc.iso20.pause import gone_on, keep
from evse_controller.secc.iso20.power_delivery import stop_energy
from evse_controller.secc.iso20.states import Accepted, Answer, Pending, Refused, State, Turn

_WITH_ENERGY = frozenset(
    {State.POWER_DELIVERY, State.CHARGE_LOOP, State.STANDBY, State.SCHEDULE_RENEGOTIATION, State.RENEGOTIATED}
)


def session_stop_early(turn: Turn, request: SessionStopReq) -> Answer:
    """Before a service is selected there is nothing to pause and nothing to change."""
    if request.charging_session is ChargingSession.Pause:
        return Refused(ResponseCode.FAILED_PauseNotAllowed, "no service was selected that could be paused")
    if request.charging_session is ChargingSession.ServiceRenegotiation:
        return Refused(ResponseCode.FAILED_NoServiceRenegotiationSupported, "no service was selected yet")
    return _terminate(turn, request)


def session_stop(turn: Turn, request: SessionStopReq) -> Answer:
    """Terminate ends; Pause ends and keeps; ServiceRenegotiation starts over with ServiceDiscovery [V2G20-1477]."""
    if turn.state in _WITH_ENERGY and not turn.config.session_stop_in_loop:
        return Refused(ResponseCode.FAILED_SequenceError, f"PowerDeliveryReq(Stop) is due first in {turn.state.value}")
    if (refused := pilot_still_asks_for_energy(turn)) is not None:
        return refused
    if turn.state not in _WITH_ENERGY and _pilot_may_follow(turn):
        return Pending()
    if request.charging_session is ChargingSession.Pause:
        return _pause(turn, request)
    if request.charging_session is ChargingSession.ServiceRenegotiation:
        return _change_service(turn, request)
    return _terminate(turn, request)


def _terminate(turn: Turn, request: SessionStopReq) -> Answer:
    reason = _said(request, "the EV ended the session")
    stop_energy(turn, f"SessionStopReq in {turn.state.value}")
    gone_on(turn)
    turn.do(SessionEnded(EndKind.TERMINATED, reason))
    return Accepted(SessionStopRes(turn.header(), ResponseCode.OK), State.ENDED, reason)


def _pause(turn: Turn, request: SessionStopReq) -> Answer:
    """The context is written down before the answer leaves, and before the session ends."""
    stop_energy(turn, f"SessionStopReq(Pause) in {turn.state.value}")
    if (refused := keep(turn)) is not None:
        return refused
    reason = _said(request, "the EV pauses")
    turn.do(SessionEnded(EndKind.PAUSED, reason))
    return Accepted(SessionStopRes(turn.header(), ResponseCode.OK), State.ENDED, reason)


def _change_service(turn: Turn, request: SessionStopReq) -> Answer:
    if not turn.config.service_renegotiation:
        return Refused(ResponseCode.FAILED_NoServiceRenegotiationSupported, "service renegotiation is not offered")
    reason = _said(request, "the EV changes its service")
    stop_energy(turn, f"SessionStopReq(ServiceRenegotiation) in {turn.state.value}")
    gone_on(turn)
    turn.do(ServiceReleased())
    turn.data.release_service()
    return Accepted(SessionStopRes(turn.header(), ResponseCode.OK), State.SERVICE_DISCOVERY, reason)


def _said(request: SessionStopReq, reason: str) -> str:
    if request.ev_termination_code is not None:
        reason += f", code {request.ev_termination_code!r}"
    if request.ev_termination_explanation is not None:
        reason += f", {request.ev_termination_explanation!r}"
    return reason


def _pilot_may_follow(turn: Turn) -> bool:
    """Energy was stopped a moment ago and the pilot still asks for it: the answer waits, so that it is true."""
    return turn.config.check_pilot and turn.data.stopped_s is not None and turn.snapshot.pilot.ready


def pilot_still_asks_for_energy(turn: Turn) -> Refused | None:
    """After PowerDelivery(Stop) the EV must leave state C or D; it has `pilot_s` to do so."""
    stopped_s = turn.data.stopped_s
    if stopped_s is None or not _pilot_may_follow(turn):
        return None
    waited_s = turn.now_s - stopped_s
    if waited_s < turn.config.timers.pilot_s:
        return None
    pilot = turn.snapshot.pilot.value
    return Refused(ResponseCode.FAILED, f"pilot still in state {pilot} {waited_s:.1f} s after PowerDelivery(Stop)")
