"""CertificateInstallation: the request is checked here, its answer is made by the back office and relayed.

The session holds no key and makes no key material: what it says by itself carries zeros [V2G20-1548].
"""

from __future__ import annotations

from evse_controller.messages.generated.common_messages import (
    CertificateInstallationReq,
    CertificateInstallationRes,
)
from evse_controller.messages.generated.common_types import Processing, ResponseCode
from evse_controller.model.contract import NoCertificate, NoInstallation
from evse_controller.secc.iso20.fillers import refusal
from evse_controller.secc.iso20.plug_and_charge import sizes_hold
from evse_controller.secc.iso20.states import Accepted, Answer, Refused, State, Turn

CODES = {
    NoCertificate.NO_CERTIFICATE: ResponseCode.WARNING_NoCertificateAvailable,
    NoCertificate.NO_CONTRACT: ResponseCode.WARNING_NoContractMatchingPCIDFound,
    NoCertificate.EXPIRED: ResponseCode.WARNING_CertificateExpired,
    NoCertificate.NOT_YET_VALID: ResponseCode.WARNING_CertificateNotYetValid,
    NoCertificate.REVOKED: ResponseCode.WARNING_CertificateRevoked,
    NoCertificate.INVALID: ResponseCode.WARNING_CertificateValidationError,
}
_RELAYED = frozenset({ResponseCode.OK, ResponseCode.OK_CertificateExpiresSoon})


def certificate_installation(turn: Turn, request: CertificateInstallationReq) -> Answer:
    """Only when it was offered in this session; the EV stays in Authorization whatever comes of it."""
    auth, around = turn.data.auth, turn.around
    if not auth.installs or around.contracts is None or around.signatures is None:
        return Refused(ResponseCode.FAILED_SequenceError, "certificate installation is not offered")
    provisioning = request.oem_provisioning_certificate_chain
    subs = provisioning.sub_certificates.certificate if provisioning.sub_certificates is not None else []
    if not sizes_hold(provisioning.certificate, subs):
        return _nothing(turn, request, NoCertificate.INVALID, "certificates of a size that the schema does not know")
    check = around.signatures.verify(request, provisioning, provisioning.certificate)
    if check.fault is not None:
        if turn.config.invalid_signature_fails:
            return Refused(ResponseCode.FAILED_SignatureError, check.fault)
        return _nothing(turn, request, NoCertificate.INVALID, check.fault)
    answer = around.contracts.install(turn.data.session_id.hex().upper(), request, turn.snapshot.utc_s)
    if answer is None:
        return _undecided(turn, request)
    if isinstance(answer, NoInstallation):
        return _nothing(turn, request, answer.why, answer.reason)
    return _relay(turn, request, answer)


def _relay(turn: Turn, request: CertificateInstallationReq, answer: CertificateInstallationRes) -> Accepted:
    """The signature over the installation data comes with it; session id and time are ours."""
    if answer.response_code not in _RELAYED or answer.header.signature is None:
        return _nothing(turn, request, NoCertificate.NO_CERTIFICATE, "the back office's answer is not to be relayed")
    turn.data.auth.install_asked_s = None
    header = turn.header()
    header.signature = answer.header.signature
    response = CertificateInstallationRes(
        header,
        answer.response_code,
        Processing.Finished,
        answer.cps_certificate_chain,
        answer.signed_installation_data,
        answer.remaining_contract_certificate_chains,
    )
    return Accepted(response, State.AUTHORIZATION, "a contract certificate is relayed")


def _undecided(turn: Turn, request: CertificateInstallationReq) -> Accepted:
    auth, most_s = turn.data.auth, turn.config.timers.ongoing_s
    if auth.install_asked_s is None:
        auth.install_asked_s = turn.now_s
    if turn.now_s - auth.install_asked_s >= most_s:
        return _nothing(turn, request, NoCertificate.NO_CERTIFICATE, f"no answer within {most_s:g} s")
    response = refusal(request, ResponseCode.OK, turn.header())
    assert isinstance(response, CertificateInstallationRes)
    response.evse_processing = Processing.Ongoing
    return Accepted(response, State.AUTHORIZATION, "waiting for the back office")


def _nothing(turn: Turn, request: CertificateInstallationReq, why: NoCertificate, reason: str) -> Accepted:
    turn.data.auth.install_asked_s = None
    told = why.value + (f": {reason}" if reason else "")
    return Accepted(refusal(request, CODES[why], turn.header()), State.AUTHORIZATION, told)
