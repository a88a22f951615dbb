"""SessionStop and the check that the pilot followed PowerDelivery(Stop)."""

from __future__ import annotations

from evse_controller.messages.generated.common_messages import ChargingSession, SessionStopReq, SessionStopRes
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model.commands import EndKind, EnergyStop, SessionEnded
from evse_controller.secc.iso20.states import Accepted, Answer, Refused, State, Turn


def session_stop(turn: Turn, request: SessionStopReq) -> Answer:
    """Terminate ends; Pause and ServiceRenegotiation are not offered. Energy is stopped before anything ends."""
    if (refused := pilot_still_asks_for_energy(turn)) is not None:
        return refused
    if request.charging_session is ChargingSession.Pause:
        return Refused(ResponseCode.FAILED_PauseNotAllowed, "the station did not offer to pause")
    if request.charging_session is ChargingSession.ServiceRenegotiation:
        return Refused(ResponseCode.FAILED_NoServiceRenegotiationSupported, "service renegotiation is not offered")
    reason = "the EV ended the session"
    if request.ev_termination_code is not None:
        reason += f", code {request.ev_termination_code!r}"
    if request.ev_termination_explanation is not None:
        reason += f", {request.ev_termination_explanation!r}"
    if turn.data.energy_possible:
        turn.data.energy_possible = False
        turn.do(EnergyStop(f"SessionStopReq in {turn.state.value}"))
    turn.do(SessionEnded(EndKind.TERMINATED, reason))
    return Accepted(SessionStopRes(turn.header(), ResponseCode.OK), State.ENDED, reason)


def pilot_still_asks_for_energy(turn: Turn) -> Refused | None:
    """After PowerDelivery(Stop) the EV must leave state C or D; it has `pilot_s` to do so."""
    stopped_s = turn.data.stopped_s
    if not turn.config.check_pilot or stopped_s is None or not turn.snapshot.pilot.ready:
        return None
    waited_s = turn.now_s - stopped_s
    if waited_s < turn.config.timers.pilot_s:
        return None
    pilot = turn.snapshot.pilot.value
    return Refused(ResponseCode.FAILED, f"pilot still in state {pilot} {waited_s:.1f} s after PowerDelivery(Stop)")
