"""SessionSetup: a new session, or one that goes on."""

from __future__ import annotations

from evse_controller.messages.generated.common_messages import SessionSetupReq, SessionSetupRes
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model.commands import PausedSession, SessionOpened
from evse_controller.secc.iso20.data import NO_SESSION_ID
from evse_controller.secc.iso20.pause import join
from evse_controller.secc.iso20.selection import selected_command
from evse_controller.secc.iso20.states import Accepted, Answer, Refused, State, Turn

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
    turn.data.kept = True
    turn.do(selected_command(turn.data))
    response = SessionSetupRes(turn.header(), ResponseCode.OK_OldSessionJoined, turn.snapshot.evseid)
    return Accepted(response, State.CHARGE_PARAMETER_DISCOVERY, f"service {paused.service_id} goes on")
