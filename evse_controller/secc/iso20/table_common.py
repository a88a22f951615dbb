"""The sequence before any energy service is chosen: who are you, may you, what do you want.

Reads like the standard's own chapter: a state, the requests that it waits for, where each leads (the usual way first).
Anything else gets its paired response with FAILED_SequenceError, and the session ends. SessionStopReq is heard in
every state once there is a session; it never bypasses the shutdown of energy.
"""

from __future__ import annotations

from evse_controller.messages.generated.common_messages import (
    AuthorizationReq,
    AuthorizationSetupReq,
    CertificateInstallationReq,
    MeteringConfirmationReq,
    ScheduleExchangeReq,
    ServiceDetailReq,
    ServiceDiscoveryReq,
    ServiceSelectionReq,
    SessionSetupReq,
    SessionStopReq,
)
from evse_controller.secc.iso20.authorization import authorization, authorization_setup, in_time
from evse_controller.secc.iso20.certificate_installation import certificate_installation
from evse_controller.secc.iso20.metering_confirmation import confirmation_overtaken, metering_confirmation
from evse_controller.secc.iso20.renegotiation import exchange_overtaken
from evse_controller.secc.iso20.selection import service_detail, service_discovery, service_selection
from evse_controller.secc.iso20.setup import session_setup
from evse_controller.secc.iso20.states import On, State, Table
from evse_controller.secc.iso20.stop import session_stop, session_stop_early
from evse_controller.secc.streams import Stream

STOP_EARLY = On(SessionStopReq, session_stop_early, (State.ENDED,))
# Terminate and Pause end; ServiceRenegotiation starts over with what was offered.
STOP = On(SessionStopReq, session_stop, (State.ENDED, State.SERVICE_DISCOVERY))


def meter_confirmed(state: State) -> tuple[On, On]:
    """A reading that was told may be confirmed beside anything; EVs without side streams do it on the main one."""
    return (
        On(MeteringConfirmationReq, metering_confirmation, (state,), Stream.METERING, confirmation_overtaken),
        On(MeteringConfirmationReq, metering_confirmation, (state,)),
    )


def overtaken(state: State) -> On:
    """A side-stream poll for a schedule that the EV sent as it left the loop; one more answer, and no schedule."""
    return On(ScheduleExchangeReq, exchange_overtaken, (state,), Stream.SCHEDULE)


TABLE: Table = {
    State.SESSION_SETUP: (
        # A new session; one that was paused goes on where its service begins.
        On(SessionSetupReq, session_setup, (State.AUTHORIZATION_SETUP, State.CHARGE_PARAMETER_DISCOVERY)),
    ),
    State.AUTHORIZATION_SETUP: (
        On(AuthorizationSetupReq, authorization_setup, (State.AUTHORIZATION,)),
        STOP_EARLY,
    ),
    State.AUTHORIZATION: (
        # Ongoing and every WARNING stay here.
        On(AuthorizationReq, in_time(authorization), (State.SERVICE_DISCOVERY, State.AUTHORIZATION)),
        # When it was offered: with contracts, beside Plug & Charge.
        On(CertificateInstallationReq, in_time(certificate_installation), (State.AUTHORIZATION,)),
        STOP_EARLY,
    ),
    State.SERVICE_DISCOVERY: (
        On(ServiceDiscoveryReq, service_discovery, (State.SERVICE_DETAIL,)),
        STOP_EARLY,
    ),
    State.SERVICE_DETAIL: (
        On(ServiceDetailReq, service_detail, (State.SERVICE_SELECTION,)),
        STOP_EARLY,
    ),
    State.SERVICE_SELECTION: (
        On(ServiceSelectionReq, service_selection, (State.CHARGE_PARAMETER_DISCOVERY,)),
        On(ServiceDetailReq, service_detail, (State.SERVICE_SELECTION,)),
        STOP_EARLY,
    ),
}
