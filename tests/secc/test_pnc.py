"""Plug & Charge: protocol.md B.4 and F.2 cases 22, 23, 26 to 31, security.md 6 rows 6, 11 to 13, 25."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from evse_controller.identity import XmlSignatures
from evse_controller.messages import decode, encode
from evse_controller.messages.base import Schema
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import Processing, ResponseCode
from evse_controller.model import commands as c
from evse_controller.model.contract import ContractAnswer, ContractChain, Verdict
from evse_controller.model.snapshot import Authorization
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.iso20.session import Iso20Session
from evse_controller.secc.surroundings import Peer, Surroundings
from hil.evcc.signer import holder
from tests.identity.contracts import LabContracts
from tests.secc.contract_car import EMAID, SUB, VEHICLE, Car, around, assert_not_granted, car, event_text
from tests.secc.ev import SNAPSHOT, eim, header, random_bytes

WARNINGS = {
    Verdict.EXPIRED: ResponseCode.WARNING_CertificateExpired,
    Verdict.NOT_YET_VALID: ResponseCode.WARNING_CertificateNotYetValid,
    Verdict.REVOKED: ResponseCode.WARNING_CertificateRevoked,
    Verdict.INVALID: ResponseCode.WARNING_CertificateValidationError,
    Verdict.PROVIDER_UNKNOWN: ResponseCode.WARNING_eMSPUnknown,
    Verdict.REFUSED: ResponseCode.WARNING_GeneralPnCAuthorizationError,
}


def test_case_23_with_a_verifier_both_are_offered_and_the_challenge_comes() -> None:
    found = Car(around=around(LabContracts(providers=["ABC", "XYZ"], installs=True)))
    answer = found.offered()
    assert answer.authorization_services == [cm.Authorization.EIM, cm.Authorization.PnC]
    assert answer.eim_asres_authorization_mode is None
    assert answer.certificate_installation_service is True
    mode = answer.pnc_asres_authorization_mode
    assert mode is not None
    assert len(mode.gen_challenge) == 16
    assert mode.supported_providers is not None
    assert mode.supported_providers.provider_id == ["ABC", "XYZ"]


def test_providers_are_not_told_when_there_are_none_to_tell() -> None:
    mode = Car(around=around(LabContracts())).offered().pnc_asres_authorization_mode
    assert mode is not None
    assert mode.supported_providers is None


@pytest.mark.parametrize(
    "missing",
    [
        Surroundings(peer=VEHICLE, signatures=XmlSignatures()),
        Surroundings(peer=VEHICLE, contracts=LabContracts()),
        around(LabContracts(), peer=Peer()),  # plain TCP: nobody knows who is there
    ],
    ids=["no verifier", "no signatures", "no vehicle certificate"],
)
def test_case_22_without_verifier_signatures_or_tls_only_eim_is_offered(missing: Surroundings) -> None:
    found = Car(around=missing)
    answer = found.offered()
    assert answer.authorization_services == [cm.Authorization.EIM]
    assert answer.pnc_asres_authorization_mode is None
    assert answer.certificate_installation_service is False
    reply = found.say(found.signed(holder("P-521"), bytes(16)))
    assert reply.response_code is ResponseCode.WARNING_AuthorizationSelectionInvalid
    assert_not_granted(found, reply.response_code)


def test_case_23_challenges_are_all_different() -> None:
    seen = set()
    for _ in range(2000):
        session = Iso20Session(SeccConfig(), "p", secrets.token_bytes, 0.0, around(LabContracts()))
        setup: Any = session.handle(cm.SessionSetupReq(header(), "EV1"), SNAPSHOT, 0.0).response
        asked = cm.AuthorizationSetupReq(header(setup.header.session_id))
        answer: Any = session.handle(asked, SNAPSHOT, 0.0).response
        seen.add(answer.pnc_asres_authorization_mode.gen_challenge)
    assert len(seen) == 2000


@pytest.mark.parametrize("drawn", [bytes, lambda count: bytes(range(1, count)), lambda count: b""])
def test_a_broken_random_generator_gives_no_challenge(drawn: Callable[[int], bytes]) -> None:
    good = random_bytes()
    source = itertools.chain([good], itertools.repeat(drawn))
    session = Iso20Session(SeccConfig(), "p", lambda count: next(source)(count), 0.0, around(LabContracts()))
    setup: Any = session.handle(cm.SessionSetupReq(header(), "EV1"), SNAPSHOT, 0.0).response
    answer: Any = session.handle(cm.AuthorizationSetupReq(header(setup.header.session_id)), SNAPSHOT, 0.0).response
    assert answer.response_code is ResponseCode.FAILED
    assert answer.pnc_asres_authorization_mode is None


@pytest.mark.parametrize(("kind", "p256"), [("P-521", False), ("Ed448", False), ("P-256", True)])
@pytest.mark.parametrize(
    ("grammar", "told"), [(Schema.XMLDSIG, "standalone"), (Schema.ISO20_COMMON, "combined")], ids=["alone", "combined"]
)
def test_case_30_a_contract_authorises_with_either_grammar(kind: str, p256: bool, grammar: Schema, told: str) -> None:
    found = car(p256=p256)
    reply = found.ask(found.signed(holder(kind), grammar=grammar))
    answer: Any = reply.response
    assert (answer.response_code, answer.evse_processing) == (ResponseCode.OK, Processing.Finished)
    assert event_text(reply) == f"signature good, {told} SignedInfo; contract accepted"
    assert found.state == "ServiceDiscovery"
    assert found.commands_of(c.ContractAccepted) == [c.ContractAccepted(EMAID)]
    assert found.commands_of(c.AuthorizationRequested) == []
    assert found.contracts.asked == [ContractChain(holder(kind).certificate, (SUB,))]
    assert found.session._data.contract_der == holder(kind).certificate


def test_a_contract_that_expires_soon_is_told_so() -> None:
    found = car(answer=ContractAnswer(Verdict.EXPIRES_SOON, EMAID))
    assert found.say(found.signed(holder("P-521"))).response_code is ResponseCode.OK_CertificateExpiresSoon
    assert found.state == "ServiceDiscovery"


def test_case_27_another_challenge_is_a_warning_before_anything_is_verified() -> None:
    found = car()
    reply = found.ask(found.signed(holder("P-521"), bytes(16)))
    answer: Any = reply.response
    assert (answer.response_code, answer.evse_processing) == (
        ResponseCode.WARNING_ChallengeInvalid,
        Processing.Finished,
    )
    assert found.contracts.asked == []
    assert found.say(found.signed(holder("P-521"))).response_code is ResponseCode.OK  # the right one still works


def test_case_27_a_request_of_another_session_replayed_is_a_warning() -> None:
    first = car()
    recorded = first.signed(holder("P-521"))
    assert first.say(recorded).response_code is ResponseCode.OK
    second = Car(around=around(LabContracts()))
    second.session._random_bytes = secrets.token_bytes  # the benches draw alike, stations do not
    second.contracts = LabContracts()
    second.set(authorization=Authorization.PENDING)
    second.offered()
    code = second.say(recorded).response_code
    assert code is ResponseCode.WARNING_ChallengeInvalid
    assert_not_granted(second, code)


@pytest.mark.parametrize("length", [0, 15, 17, 200])
def test_a_challenge_that_breaks_its_schema_is_invalid_and_not_told(
    monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """The codec serves a value of the wrong length, and tells where it was, not what."""
    found = car()
    request = found.request(holder("P-521"), b"\xab" * length)
    strict = vars(cm)["put_binary"]
    monkeypatch.setattr(cm, "put_binary", lambda x, value, least, most: strict(x, value, 0, 10**6))
    heard = decode(Schema.ISO20_COMMON, encode(request))
    assert heard.deviations
    assert "abab" not in repr(heard.deviations).lower()
    assert isinstance(heard, cm.AuthorizationReq)
    heard.header.session_id = found.session_id
    answer: Any = found.session.handle(heard, found.snapshot, found.now_s).response
    assert answer.response_code is ResponseCode.WARNING_ChallengeInvalid


@pytest.mark.parametrize(("verdict", "code"), WARNINGS.items(), ids=lambda value: value.name)
def test_case_29_what_the_verifier_refuses_is_a_matching_warning(verdict: Verdict, code: ResponseCode) -> None:
    found = car(answer=ContractAnswer(verdict, reason="as the list of today says"))
    reply = found.ask(found.signed(holder("P-521")))
    answer: Any = reply.response
    assert (answer.response_code, answer.evse_processing) == (code, Processing.Finished)
    assert "as the list of today says" in event_text(reply)
    assert_not_granted(found, code)


def test_every_verdict_has_its_code() -> None:
    assert set(WARNINGS) == {verdict for verdict in Verdict if not verdict.accepted}


def test_while_the_verifier_decides_the_car_repeats_its_request() -> None:
    found = car(answer=None)
    for _ in range(3):
        answer = found.after(1.0).say(found.signed(holder("P-521")))
        assert (answer.response_code, answer.evse_processing) == (ResponseCode.OK, Processing.Ongoing)
        assert found.state == "Authorization"
    found.contracts.answer = ContractAnswer(Verdict.ACCEPTED, EMAID)
    assert found.after(1.0).say(found.signed(holder("P-521"))).evse_processing is Processing.Finished
    assert found.state == "ServiceDiscovery"


@pytest.mark.parametrize(("waited_s", "over"), [(54.9, False), (55.0, True)])
def test_case_31_a_verifier_that_never_decides_is_a_warning_in_time(waited_s: float, over: bool) -> None:
    found = car(answer=None)
    found.say(found.signed(holder("P-521")))
    answer = found.after(waited_s).say(found.signed(holder("P-521")))
    assert answer.evse_processing is (Processing.Finished if over else Processing.Ongoing)
    if over:
        assert answer.response_code is ResponseCode.WARNING_GeneralPnCAuthorizationError
        assert_not_granted(found, answer.response_code)


def test_each_try_has_its_own_time() -> None:
    found = car(answer=None)
    found.say(found.signed(holder("P-521")))
    found.after(55.0).say(found.signed(holder("P-521")))
    assert found.after(1.0).say(found.signed(holder("P-521"))).evse_processing is Processing.Ongoing
    assert found.after(54.0).say(found.signed(holder("P-521"))).evse_processing is Processing.Ongoing


def test_case_26_selected_service_and_its_block_must_go_together() -> None:
    found = car()
    block = cm.EIM_AReqAuthorizationMode()
    crossed = cm.AuthorizationReq(header(), cm.Authorization.PnC, eim_areq_authorization_mode=block)
    assert found.say(crossed).response_code is ResponseCode.WARNING_AuthorizationSelectionInvalid
    signed = found.signed(holder("P-521"))
    signed.selected_authorization_service = cm.Authorization.EIM
    answer = found.say(signed)
    assert answer.response_code is ResponseCode.WARNING_AuthorizationSelectionInvalid
    assert_not_granted(found, answer.response_code)


def test_from_eim_to_the_contract_and_back() -> None:
    """A car that waits for a tap may choose its contract, and one whose contract is refused may wait for a tap."""
    found = car(answer=ContractAnswer(Verdict.REVOKED))
    assert found.say(eim()).evse_processing is Processing.Ongoing_WaitingForCustomerInteraction
    assert found.say(found.signed(holder("P-521"))).response_code is ResponseCode.WARNING_CertificateRevoked
    assert found.say(eim()).evse_processing is Processing.Ongoing_WaitingForCustomerInteraction
    found.contracts.answer = ContractAnswer(Verdict.ACCEPTED, EMAID)
    assert found.say(found.signed(holder("P-521"))).response_code is ResponseCode.OK
    assert found.state == "ServiceDiscovery"
