"""Plug & Charge of a liar: forged signatures and impossible chains grant nothing, and nothing is told. F.2 case 28."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import Processing, ResponseCode
from evse_controller.model.contract import ContractAnswer, Verdict
from evse_controller.secc.config import SeccConfig
from hil.evcc.signer import Holder, holder, info_of, reference, sign, signature_over
from tests.secc.contract_car import EMAID, Car, assert_not_granted, car, event_text


def altered_body(found: Car) -> cm.AuthorizationReq:
    request = found.signed(holder("P-521"))
    assert request.pnc_areq_authorization_mode is not None
    request.pnc_areq_authorization_mode.contract_certificate_chain.sub_certificates = cm.SubCertificates([b"\x30\x00"])
    return request


def altered_signature(found: Car) -> cm.AuthorizationReq:
    request = found.signed(holder("P-521"))
    assert request.header.signature is not None
    value = request.header.signature.signature_value
    value.value = value.value[:-1] + bytes([value.value[-1] ^ 1])
    return request


def wrong_key(found: Car) -> cm.AuthorizationReq:
    return found.signed(holder("P-521"), by=holder("P-521", "somebody else"))


def wrong_reference(found: Car) -> cm.AuthorizationReq:
    return resigned(found, ["#id2"])


def two_references(found: Car) -> cm.AuthorizationReq:
    return resigned(found, ["#id1", "#id1"])


def resigned(found: Car, uris: list[str], algorithm: str = "ecdsa-sha512") -> cm.AuthorizationReq:
    request = found.request(holder("P-521"))
    mode = request.pnc_areq_authorization_mode
    assert mode is not None
    sha512 = "http://www.w3.org/2001/04/xmlenc#sha512"
    references = [reference("PnC_AReqAuthorizationMode", mode, uri, sha512) for uri in uris]
    info = info_of(references, f"http://www.w3.org/2001/04/xmldsig-more#{algorithm}")
    request.header.signature = signature_over(info, holder("P-521"))
    return request


def missing_signature(found: Car) -> cm.AuthorizationReq:
    return found.request(holder("P-521"))


def unknown_algorithm(found: Car) -> cm.AuthorizationReq:
    return resigned(found, ["#id1"], "ecdsa-sha1")


def lab_algorithm(found: Car) -> cm.AuthorizationReq:
    return found.signed(holder("P-256"))


def no_certificate(found: Car) -> cm.AuthorizationReq:
    request = found.request(Holder("P-521", holder("P-521").private, b"\x30\x00"))
    assert request.pnc_areq_authorization_mode is not None
    sign(request, "PnC_AReqAuthorizationMode", request.pnc_areq_authorization_mode, holder("P-521"))
    return request


FORGED = [
    altered_body,
    altered_signature,
    wrong_key,
    wrong_reference,
    two_references,
    missing_signature,
    unknown_algorithm,
    lab_algorithm,
    no_certificate,
]


@pytest.mark.parametrize("forged", FORGED, ids=lambda forged: forged.__name__)
@pytest.mark.parametrize("fails", [False, True], ids=["warns", "fails"])
def test_case_28_a_signature_that_does_not_hold_grants_nothing(
    forged: Callable[[Car], cm.AuthorizationReq], fails: bool
) -> None:
    found = car(SeccConfig(invalid_signature_fails=fails))
    reply = found.ask(forged(found))
    answer: Any = reply.response
    code = ResponseCode.FAILED_SignatureError if fails else ResponseCode.WARNING_GeneralPnCAuthorizationError
    assert (answer.response_code, answer.evse_processing) == (code, Processing.Finished)
    assert event_text(reply)
    assert found.contracts.asked == []  # nobody is asked about a contract that was not proven
    assert_not_granted(found, code)


@pytest.mark.parametrize("forged", FORGED, ids=lambda forged: forged.__name__)
def test_neither_challenge_nor_contract_is_ever_told(forged: Callable[[Car], cm.AuthorizationReq]) -> None:
    found = car(answer=ContractAnswer(Verdict.ACCEPTED, EMAID))
    found.session._data.auth.challenge = found.challenge = secrets.token_bytes(16)
    replies = [found.ask(found.signed(holder("P-521"), bytes(16))), found.ask(forged(found))]
    replies.append(found.ask(found.signed(holder("P-521"))))
    shown = [repr(reply.event) for reply in replies]
    shown += [repr(reply.response) for reply in replies]
    shown += [repr(command) for command in found.commands] + [repr(found.session._data)]
    for text in shown:
        assert found.challenge.hex() not in text.lower()
        assert base64.b64encode(found.challenge).decode() not in text
        assert repr(found.challenge)[2:-1] not in text
        assert EMAID not in text


def test_a_forged_repetition_does_not_ride_on_the_first_request() -> None:
    found = car(answer=None)
    found.say(found.signed(holder("P-521")))
    found.contracts.answer = ContractAnswer(Verdict.ACCEPTED, EMAID)
    code = found.after(1.0).say(altered_signature(found)).response_code
    assert code is ResponseCode.WARNING_GeneralPnCAuthorizationError
    assert_not_granted(found, code)


@pytest.mark.parametrize("leaf", [b"", bytes(1601), bytes(100_000)], ids=["none", "1601 octets", "huge"])
def test_a_leaf_of_an_impossible_size_is_read_by_nobody(leaf: bytes) -> None:
    """The codec may serve what breaks its schema, so the message comes here as if it had decoded."""
    found = car()
    request = found.signed(holder("P-521"))
    assert request.pnc_areq_authorization_mode is not None
    request.pnc_areq_authorization_mode.contract_certificate_chain.certificate = leaf
    assert_no_chain(found, request)


HUGE = {"4": [b"\x30"] * 4, "1000": [b"\x30"] * 1000, "1601 octets": [bytes(1601)], "empty": [b""]}


@pytest.mark.parametrize("subs", HUGE.values(), ids=HUGE.keys())
def test_a_huge_chain_is_read_by_nobody(subs: list[bytes]) -> None:
    found = car()
    request = found.signed(holder("P-521"))
    assert request.pnc_areq_authorization_mode is not None
    request.pnc_areq_authorization_mode.contract_certificate_chain.sub_certificates = cm.SubCertificates(subs)
    assert_no_chain(found, request)


def assert_no_chain(found: Car, request: cm.AuthorizationReq) -> None:
    request.header.session_id = found.session_id
    reply = found.session.handle(request, found.snapshot, found.now_s)
    found.commands += reply.commands
    answer: Any = reply.response
    assert answer.response_code is ResponseCode.WARNING_CertificateValidationError
    assert found.contracts.asked == []
    assert_not_granted(found, answer.response_code)
