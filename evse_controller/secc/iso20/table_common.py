"""The sequence before any energy service is chosen: who are you, may you, what do you want.

Reads like the standard's own chapter: a state, the requests that it waits for, where each leads (the usual way first).
Anything else gets its paired response with FAILED_SequenceError, and the session ends. SessionStopReq is heard in
every state once there is a session; it never bypasses the shutdown of energy.
"""

from __future__ import annotations

from evse_controller.messages.generated.common_messages import (
    AuthorizationReq,
    AuthorizationSetupReq,
    ServiceDetailReq,
    ServiceDiscoveryReq,
    ServiceSelectionReq,
    SessionSetupReq,
    SessionStopReq,
)
from evse_controller.secc.iso20.selection import service_detail, service_discovery, service_selection
from evse_controller.secc.iso20.setup import authorization, authorization_setup, session_setup
from evse_controller.secc.iso20.states import On, State, Table
from evse_controller.secc.iso20.stop import session_stop

STOP = On(SessionStopReq, session_stop, (State.ENDED,))

TABLE: Table = {
    State.SESSION_SETUP: (
        On(SessionSetupReq, session_setup, (State.AUTHORIZATION_SETUP,)),
    ),
    State.AUTHORIZATION_SETUP: (
        On(AuthorizationSetupReq, authorization_setup, (State.AUTHORIZATION,)),
        STOP,
    ),
    State.AUTHORIZATION: (
        # Ongoing and every WARNING stay here.
        On(AuthorizationReq, authorization, (State.SERVICE_DISCOVERY, State.AUTHORIZATION)),
        STOP,
    ),
    State.SERVICE_DISCOVERY: (
        On(ServiceDiscoveryReq, service_discovery, (State.SERVICE_DETAIL,)),
        STOP,
    ),
    State.SERVICE_DETAIL: (
        On(ServiceDetailReq, service_detail, (State.SERVICE_SELECTION,)),
        STOP,
    ),
    State.SERVICE_SELECTION: (
        On(ServiceSelectionReq, service_selection, (State.CHARGE_PARAMETER_DISCOVERY,)),
        On(ServiceDetailReq, service_detail, (State.SERVICE_SELECTION,)),
        STOP,
    ),
}
