"""SessionSetup, AuthorizationSetup, Authorization (EIM; Plug & Charge is refused with a WARNING)."""

from __future__ import annotations

from evse_controller.messages.generated.common_messages import (
    Authorization,
    AuthorizationReq,
    AuthorizationRes,
    AuthorizationSetupReq,
    AuthorizationSetupRes,
    EIM_ASResAuthorizationMode,
    SessionSetupReq,
    SessionSetupRes,
)
from evse_controller.messages.generated.common_types import Processing, ResponseCode
from evse_controller.model.commands import AuthorizationRequested, ContextDropped, PausedSession, SessionOpened
from evse_controller.model.snapshot import Authorization as Decision
from evse_controller.secc.iso20.data import NO_SESSION_ID
from evse_controller.secc.iso20.pause import join
from evse_controller.secc.iso20.selection import selected_command
from evse_controller.secc.iso20.states import Accepted, Answer, Refused, State, Turn
from evse_controller.secc.iso20.timers import SNAPSHOT_SETTLE_S

_DRAWS = 8


def session_setup(turn: Turn, request: SessionSetupReq) -> Answer:
    """The paused session that this vehicle comes back to, else a new one.

    A new id is neither zero nor the one offered [V2G20-2626], [V2G20-2627]. A resumed session has its service and its
    authorisation, and goes on with ChargeParameterDiscovery [V2G20-1032].
    """
    if (paused := join(turn, request)) is not None:
        return _resumed(turn, request, paused)
    offered = request.header.session_id
    drawn = (turn.random_bytes(8) for _ in range(_DRAWS))
    session_id = next((value for value in drawn if value not in (NO_SESSION_ID, offered)), None)
    if session_id is None:
        return Refused(ResponseCode.FAILED, "the random generator gives no usable session id")
    turn.data.session_id = session_id
    turn.data.evccid = request.evccid
    turn.do(SessionOpened(session_id.hex().upper(), request.evccid, turn.protocol))
    response = SessionSetupRes(turn.header(), ResponseCode.OK_NewSessionEstablished, turn.snapshot.evseid)
    reason = None if offered == NO_SESSION_ID else "no paused session to join"
    return Accepted(response, State.AUTHORIZATION_SETUP, reason)


def _resumed(turn: Turn, request: SessionSetupReq, paused: PausedSession) -> Answer:
    turn.data.session_id = request.header.session_id
    turn.data.evccid = request.evccid
    turn.do(SessionOpened(paused.session_id, request.evccid, turn.protocol, resumed=True))
    turn.do(ContextDropped(paused.session_id))
    turn.do(selected_command(turn.data))
    response = SessionSetupRes(turn.header(), ResponseCode.OK_OldSessionJoined, turn.snapshot.evseid)
    return Accepted(response, State.CHARGE_PARAMETER_DISCOVERY, f"service {paused.service_id} goes on")


def authorization_setup(turn: Turn, request: AuthorizationSetupReq) -> Answer:
    """EIM alone: its own mode block, no challenge, no certificate installation [V2G20-2566], [V2G20-1220]."""
    response = AuthorizationSetupRes(
        turn.header(),
        ResponseCode.OK,
        [Authorization.EIM],
        False,
        eim_asres_authorization_mode=EIM_ASResAuthorizationMode(),
    )
    return Accepted(response, State.AUTHORIZATION)


def authorization(turn: Turn, request: AuthorizationReq) -> Answer:
    """Ongoing until decided; a refusal is Finished with a WARNING and may be followed by another try [V2G20-2219]."""

    def answer(code: ResponseCode, processing: Processing, then: State, reason: str | None = None) -> Accepted:
        return Accepted(AuthorizationRes(turn.header(), code, processing), then, reason)

    if request.selected_authorization_service is not Authorization.EIM or request.eim_areq_authorization_mode is None:
        return answer(
            ResponseCode.WARNING_AuthorizationSelectionInvalid,
            Processing.Finished,
            State.AUTHORIZATION,
            "only EIM is offered [V2G20-2209]",
        )
    data = turn.data
    if data.authorization_asked_s is None:
        data.authorization_asked_s = turn.now_s
        turn.do(AuthorizationRequested())
    waited_s = turn.now_s - data.authorization_asked_s
    decision = turn.snapshot.authorization
    if decision is Decision.ACCEPTED:
        return answer(ResponseCode.OK, Processing.Finished, State.SERVICE_DISCOVERY)
    if decision is Decision.REJECTED and (not data.authorization_retry or waited_s >= SNAPSHOT_SETTLE_S):
        data.authorization_asked_s = None
        data.authorization_retry = True
        return answer(
            ResponseCode.WARNING_EIMAuthorizationFailure, Processing.Finished, State.AUTHORIZATION, "EIM refused"
        )
    if waited_s >= turn.config.timers.ongoing_s:
        return Refused(ResponseCode.FAILED, f"no authorization within {turn.config.timers.ongoing_s:g} s")
    return answer(
        ResponseCode.OK, Processing.Ongoing_WaitingForCustomerInteraction, State.AUTHORIZATION, "waiting for EIM"
    )
