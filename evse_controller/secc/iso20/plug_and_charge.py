"""Authorization by contract: challenge, signature, then what the verifier says of the contract.

Whatever does not hold is a WARNING, after which the EV may try again or choose EIM; nothing is granted by halves.
"""

from __future__ import annotations

import hmac

from evse_controller.messages.generated.common_messages import (
    AuthorizationReq,
    AuthorizationRes,
    PnC_AReqAuthorizationMode,
)
from evse_controller.messages.generated.common_types import Processing, ResponseCode
from evse_controller.model.commands import ContractAccepted
from evse_controller.model.contract import ContractAnswer, ContractChain, Verdict
from evse_controller.secc.iso20.states import Accepted, Answer, Refused, State, Turn

MOST_CERTIFICATE_BYTES = 1600
MOST_SUB_CERTIFICATES = 3

CODES = {
    Verdict.ACCEPTED: ResponseCode.OK,
    Verdict.EXPIRES_SOON: ResponseCode.OK_CertificateExpiresSoon,
    Verdict.EXPIRED: ResponseCode.WARNING_CertificateExpired,
    Verdict.NOT_YET_VALID: ResponseCode.WARNING_CertificateNotYetValid,
    Verdict.REVOKED: ResponseCode.WARNING_CertificateRevoked,
    Verdict.INVALID: ResponseCode.WARNING_CertificateValidationError,
    Verdict.PROVIDER_UNKNOWN: ResponseCode.WARNING_eMSPUnknown,
    Verdict.REFUSED: ResponseCode.WARNING_GeneralPnCAuthorizationError,
}


def plug_and_charge(turn: Turn, request: AuthorizationReq, mode: PnC_AReqAuthorizationMode) -> Answer:
    """The EV repeats the request while it is Ongoing, and each time it is checked as if it were the first."""
    auth, around = turn.data.auth, turn.around
    assert auth.challenge is not None
    assert around.signatures is not None
    assert around.contracts is not None
    if not hmac.compare_digest(mode.gen_challenge, auth.challenge):
        return _warn(turn, ResponseCode.WARNING_ChallengeInvalid, "not the challenge of this session [V2G20-2565]")
    subs = mode.contract_certificate_chain.sub_certificates.certificate
    leaf = mode.contract_certificate_chain.certificate
    if not sizes_hold(leaf, subs):
        reason = "certificates of a size that the schema does not know"
        return _warn(turn, ResponseCode.WARNING_CertificateValidationError, reason)
    check = around.signatures.verify(request, mode, leaf)
    if check.fault is not None:
        if turn.config.invalid_signature_fails:
            return Refused(ResponseCode.FAILED_SignatureError, check.fault)
        return _warn(turn, ResponseCode.WARNING_GeneralPnCAuthorizationError, check.fault)
    signed = f"signature good, {check.grammar.value} SignedInfo" if check.grammar is not None else "signature good"
    chain = ContractChain(leaf, tuple(subs))
    answer = around.contracts.contract(turn.data.session_id.hex().upper(), chain, turn.snapshot.utc_s)
    if answer is None:
        return _undecided(turn, signed)
    return _decided(turn, chain, answer, signed)


def sizes_hold(leaf: bytes, subs: list[bytes]) -> bool:
    """What breaks its schema may be decoded all the same; nobody reads such a chain."""
    return len(subs) <= MOST_SUB_CERTIFICATES and all(
        1 <= len(certificate) <= MOST_CERTIFICATE_BYTES for certificate in (leaf, *subs)
    )


def _undecided(turn: Turn, signed: str) -> Answer:
    auth, most_s = turn.data.auth, turn.config.timers.ongoing_s
    if auth.contract_asked_s is None:
        auth.contract_asked_s = turn.now_s
    if turn.now_s - auth.contract_asked_s >= most_s:
        reason = f"the contract was not decided about within {most_s:g} s"
        return _warn(turn, ResponseCode.WARNING_GeneralPnCAuthorizationError, reason)
    response = AuthorizationRes(turn.header(), ResponseCode.OK, Processing.Ongoing)
    return Accepted(response, State.AUTHORIZATION, f"{signed}; the contract is being verified")


def _decided(turn: Turn, chain: ContractChain, answer: ContractAnswer, signed: str) -> Answer:
    told = answer.verdict.value + (f" ({answer.reason})" if answer.reason else "")
    reason = f"{signed}; {told}"
    if not answer.verdict.accepted:
        return _warn(turn, CODES[answer.verdict], reason)
    turn.data.auth.contract_asked_s = None
    turn.data.contract_der = chain.leaf
    turn.do(ContractAccepted(answer.contract_id))
    response = AuthorizationRes(turn.header(), CODES[answer.verdict], Processing.Finished)
    return Accepted(response, State.SERVICE_DISCOVERY, reason)


def _warn(turn: Turn, code: ResponseCode, reason: str) -> Accepted:
    turn.data.auth.contract_asked_s = None
    return Accepted(AuthorizationRes(turn.header(), code, Processing.Finished), State.AUTHORIZATION, reason)
