"""AuthorizationSetup and Authorization: what is offered, EIM, and the way to Plug & Charge."""

from __future__ import annotations

from evse_controller.messages.base import Message
from evse_controller.messages.generated.common_messages import (
    Authorization,
    AuthorizationReq,
    AuthorizationRes,
    AuthorizationSetupReq,
    AuthorizationSetupRes,
    EIM_ASResAuthorizationMode,
    PnC_ASResAuthorizationMode,
    SupportedProvidersList,
)
from evse_controller.messages.generated.common_types import Processing, ResponseCode
from evse_controller.model.commands import AuthorizationRequested
from evse_controller.model.snapshot import Authorization as Decision
from evse_controller.secc.contracts import ContractVerifier
from evse_controller.secc.iso20.plug_and_charge import plug_and_charge
from evse_controller.secc.iso20.states import Accepted, Answer, Handler, Refused, State, Turn
from evse_controller.secc.iso20.timers import SNAPSHOT_SETTLE_S
from evse_controller.secc.surroundings import Surroundings

CHALLENGE_BYTES = 16


def authorization_setup(turn: Turn, request: AuthorizationSetupReq) -> Answer:
    """EIM, and Plug & Charge where contracts can be verified.

    EIM alone has its own block, without challenge and certificate installation; with Plug & Charge there is a fresh
    challenge [V2G20-2566] to [V2G20-2568], [V2G20-1220], [V2G20-697].
    """
    contracts = _plug_and_charge_offered(turn.around)
    if contracts is None:
        return _offer(turn, [Authorization.EIM], eim=EIM_ASResAuthorizationMode())
    challenge = turn.random_bytes(CHALLENGE_BYTES)
    if len(challenge) != CHALLENGE_BYTES or not any(challenge):
        return Refused(ResponseCode.FAILED, "the random generator gives no usable challenge")
    turn.data.auth.challenge = challenge
    turn.data.auth.installs = contracts.installs
    providers = SupportedProvidersList(list(contracts.providers)) if contracts.providers else None
    mode = PnC_ASResAuthorizationMode(challenge, providers)
    return _offer(turn, [Authorization.EIM, Authorization.PnC], pnc=mode)


def _plug_and_charge_offered(around: Surroundings) -> ContractVerifier | None:
    """Somebody must decide about contracts and check signatures, and TLS must say who is there (never on plain TCP)."""
    if around.signatures is None or around.peer.certificate_sha512 is None:
        return None
    return around.contracts


def _offer(
    turn: Turn,
    services: list[Authorization],
    eim: EIM_ASResAuthorizationMode | None = None,
    pnc: PnC_ASResAuthorizationMode | None = None,
) -> Accepted:
    response = AuthorizationSetupRes(
        turn.header(),
        ResponseCode.OK,
        services,
        turn.data.auth.installs,
        eim_asres_authorization_mode=eim,
        pnc_asres_authorization_mode=pnc,
    )
    return Accepted(response, State.AUTHORIZATION)


def authorization(turn: Turn, request: AuthorizationReq) -> Answer:
    """By the service that the EV chose, and may choose anew after every WARNING."""
    chosen = request.selected_authorization_service
    contract = request.pnc_areq_authorization_mode
    if chosen is Authorization.EIM and request.eim_areq_authorization_mode is not None:
        return _eim(turn)
    if chosen is Authorization.PnC and contract is not None and turn.data.auth.challenge is not None:
        return plug_and_charge(turn, request, contract)
    response = AuthorizationRes(
        turn.header(), ResponseCode.WARNING_AuthorizationSelectionInvalid, Processing.Finished
    )
    return Accepted(response, State.AUTHORIZATION, "this authorization service is not offered [V2G20-2209]")


def in_time(handler: Handler) -> Handler:
    """A try that came to nothing may be followed by another, but not for ever [V2G20-2219].

    The count is by time: a driver who looks for the right card is slow, a vehicle that insists is not.
    """

    def bounded(turn: Turn, request: Message) -> Answer:
        auth, most_s = turn.data.auth, turn.config.timers.authorization_s
        if auth.begun_s is None:
            auth.begun_s = turn.now_s
        answer = handler(turn, request)
        if not isinstance(answer, Accepted) or answer.next_state is not State.AUTHORIZATION:
            return answer
        over = getattr(answer.response, "evse_processing", Processing.Finished) is Processing.Finished
        if over and turn.now_s - auth.begun_s >= most_s:
            return Refused(ResponseCode.FAILED, f"{answer.reason}; not authorized within {most_s:g} s")
        return answer

    return bounded


def _eim(turn: Turn) -> Answer:
    """Ongoing until decided; a refusal is Finished with a WARNING and may be followed by another try [V2G20-2219]."""

    def answer(code: ResponseCode, processing: Processing, then: State, reason: str | None = None) -> Accepted:
        return Accepted(AuthorizationRes(turn.header(), code, processing), then, reason)

    auth = turn.data.auth
    if auth.eim_asked_s is None:
        auth.eim_asked_s = turn.now_s
        turn.do(AuthorizationRequested())
    waited_s = turn.now_s - auth.eim_asked_s
    decision = turn.snapshot.authorization
    if decision is Decision.ACCEPTED:
        return answer(ResponseCode.OK, Processing.Finished, State.SERVICE_DISCOVERY)
    if decision is Decision.REJECTED and (not auth.retry or waited_s >= SNAPSHOT_SETTLE_S):
        auth.eim_asked_s = None
        auth.retry = True
        return answer(
            ResponseCode.WARNING_EIMAuthorizationFailure, Processing.Finished, State.AUTHORIZATION, "EIM refused"
        )
    if waited_s >= turn.config.timers.ongoing_s:
        return Refused(ResponseCode.FAILED, f"no authorization within {turn.config.timers.ongoing_s:g} s")
    waits = turn.config.eim_pending_waits_for_customer
    ongoing = Processing.Ongoing_WaitingForCustomerInteraction if waits else Processing.Ongoing
    return answer(ResponseCode.OK, ongoing, State.AUTHORIZATION, "waiting for EIM")
