"""CertificateInstallation: protocol.md B.4 and F.2 case 32. The session checks and relays; it makes no key material."""

from __future__ import annotations

from typing import Any

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import (
    ListOfRootCertificateIDs,
    Processing,
    ResponseCode,
)
from evse_controller.messages.generated.xmldsig import X509IssuerSerial
from evse_controller.model import commands as c
from evse_controller.model.contract import NoCertificate, NoInstallation
from evse_controller.model.snapshot import Authorization
from evse_controller.secc.config import SeccConfig
from hil.evcc.signer import Holder, holder, sign
from tests.identity.contracts import LabContracts
from tests.secc.contract_car import Car, around, car
from tests.secc.ev import Bench, eim, header

CODES = {
    NoCertificate.NO_CERTIFICATE: ResponseCode.WARNING_NoCertificateAvailable,
    NoCertificate.NO_CONTRACT: ResponseCode.WARNING_NoContractMatchingPCIDFound,
    NoCertificate.EXPIRED: ResponseCode.WARNING_CertificateExpired,
    NoCertificate.NOT_YET_VALID: ResponseCode.WARNING_CertificateNotYetValid,
    NoCertificate.REVOKED: ResponseCode.WARNING_CertificateRevoked,
    NoCertificate.INVALID: ResponseCode.WARNING_CertificateValidationError,
}


def request(key: Holder, subs: list[bytes] | None = None) -> cm.CertificateInstallationReq:
    chain = cm.SignedCertificateChain("id1", key.certificate, cm.SubCertificates(subs) if subs else None)
    roots = ListOfRootCertificateIDs([X509IssuerSerial("CN=root", 1)])
    return cm.CertificateInstallationReq(header(), chain, roots, 1)


def signed(key: Holder, by: Holder | None = None) -> cm.CertificateInstallationReq:
    made = request(key)
    sign(made, "OEMProvisioningCertificateChain", made.oem_provisioning_certificate_chain, by or key)
    return made


def from_the_back_office(
    code: ResponseCode = ResponseCode.OK, is_signed: bool = True
) -> cm.CertificateInstallationRes:
    contract = cm.ContractCertificateChain(b"\x30\x01", cm.SubCertificates([b"\x30\x02"]))
    data = cm.SignedInstallationData(
        "id9", contract, cm.EcdhCurve.SECP521, b"\x04" * 133, secp521_encrypted_private_key=b"\x05" * 94
    )
    answer = cm.CertificateInstallationRes(
        header(b"\x99" * 8), code, Processing.Finished, cm.CertificateChain(b"\x30\x03"), data, 2
    )
    if is_signed:
        sign(answer, "SignedInstallationData", data, holder("P-521", "CPS"))
    return answer


def assert_empty(answer: cm.CertificateInstallationRes) -> None:
    """Schema valid (the bench encodes it) and without meaning."""
    data = answer.signed_installation_data
    assert answer.header.signature is None
    assert data.secp521_encrypted_private_key == bytes(94)
    assert data.dh_public_key == bytes(133)
    assert (data.x448_encrypted_private_key, data.tpm_encrypted_private_key) == (None, None)
    assert not any(data.contract_certificate_chain.certificate)
    assert not any(answer.cps_certificate_chain.certificate)
    assert answer.remaining_contract_certificate_chains == 0


def assert_goes_on(found: Bench) -> None:
    """Nothing was granted; the session waits for an authorisation as before."""
    assert found.state == "Authorization"
    assert found.commands_of(c.ContractAccepted) == []
    found.set(authorization=Authorization.ACCEPTED)
    assert found.say(eim()).response_code is ResponseCode.OK


@pytest.mark.parametrize("contracts", [None, LabContracts(installs=False)], ids=["no verifier", "not offered"])
def test_case_32_not_offered_is_a_sequence_error_without_key_material(contracts: LabContracts | None) -> None:
    found = Bench() if contracts is None else Bench(around=around(contracts))
    found.to("Authorization")
    answer = found.say(signed(holder("P-521")))
    assert answer.response_code is ResponseCode.FAILED_SequenceError
    assert_empty(answer)
    assert found.state == "Ended"
    assert contracts is None or contracts.install_asked == []


def test_what_was_not_offered_in_this_session_is_not_served_later() -> None:
    """The verifier learned to install after it was told to the EV that it cannot."""
    found = car(installs=False)
    found.contracts.installs = True
    assert found.say(signed(holder("P-521"))).response_code is ResponseCode.FAILED_SequenceError


def test_the_answer_of_the_back_office_is_relayed_with_its_signature() -> None:
    made = from_the_back_office()
    found = car(installs=True, installation=made)
    reply = found.ask(signed(holder("P-521")))
    answer: Any = reply.response
    assert (answer.response_code, answer.evse_processing) == (ResponseCode.OK, Processing.Finished)
    assert answer.header.session_id == found.session_id
    assert answer.header.signature == made.header.signature
    assert answer.signed_installation_data == made.signed_installation_data
    assert answer.cps_certificate_chain == made.cps_certificate_chain
    assert answer.remaining_contract_certificate_chains == 2
    assert reply.event is not None
    assert reply.event.performance_s == 4.5
    assert "0505" not in repr(reply.event)
    assert_goes_on(found)


def test_a_certificate_that_expires_soon_is_relayed_as_such() -> None:
    found = car(installs=True, installation=from_the_back_office(ResponseCode.OK_CertificateExpiresSoon))
    assert found.say(signed(holder("Ed448"))).response_code is ResponseCode.OK_CertificateExpiresSoon


@pytest.mark.parametrize(
    "made",
    [
        from_the_back_office(ResponseCode.FAILED),
        from_the_back_office(ResponseCode.WARNING_NoCertificateAvailable),
        from_the_back_office(is_signed=False),
    ],
    ids=["failed", "warning", "not signed"],
)
def test_an_answer_that_is_no_certificate_is_not_relayed(made: cm.CertificateInstallationRes) -> None:
    found = car(installs=True, installation=made)
    answer = found.say(signed(holder("P-521")))
    assert answer.response_code is ResponseCode.WARNING_NoCertificateAvailable
    assert_empty(answer)
    assert_goes_on(found)


@pytest.mark.parametrize(("why", "code"), CODES.items(), ids=lambda value: value.name)
def test_case_32_nothing_to_install_is_a_warning_with_empty_material(why: NoCertificate, code: ResponseCode) -> None:
    found = car(installs=True, installation=NoInstallation(why, "says the back office"))
    reply = found.ask(signed(holder("P-521")))
    answer: Any = reply.response
    assert (answer.response_code, answer.evse_processing) == (code, Processing.Finished)
    assert reply.event is not None
    assert reply.event.reason == f"{why.value}: says the back office"
    assert_empty(answer)
    assert_goes_on(found)


def test_every_reason_has_its_code() -> None:
    assert set(CODES) == set(NoCertificate)


def altered(found: Car) -> cm.CertificateInstallationReq:
    made = signed(holder("P-521"))
    made.oem_provisioning_certificate_chain.sub_certificates = cm.SubCertificates([b"\x30\x00"])
    return made


def by_another(found: Car) -> cm.CertificateInstallationReq:
    return signed(holder("P-521"), holder("P-521", "somebody else"))


def unsigned(found: Car) -> cm.CertificateInstallationReq:
    return request(holder("P-521"))


@pytest.mark.parametrize("forged", [altered, by_another, unsigned], ids=lambda forged: forged.__name__)
@pytest.mark.parametrize("fails", [False, True], ids=["warns", "fails"])
def test_case_32_a_signature_that_does_not_hold_asks_nobody(forged: Any, fails: bool) -> None:
    config = SeccConfig(invalid_signature_fails=fails)
    found = car(config, installs=True, installation=from_the_back_office())
    answer = found.say(forged(found))
    assert_empty(answer)
    assert found.contracts.install_asked == []
    if fails:
        assert answer.response_code is ResponseCode.FAILED_SignatureError
        assert found.state == "Ended"
    else:
        assert answer.response_code is ResponseCode.WARNING_CertificateValidationError
        assert_goes_on(found)


@pytest.mark.parametrize(
    ("leaf", "subs"),
    [(b"", None), (bytes(1601), None), (b"\x30", [b"\x30"] * 4), (b"\x30", [bytes(1601)])],
    ids=["no leaf", "huge leaf", "4 subs", "huge sub"],
)
def test_a_chain_of_an_impossible_size_is_read_by_nobody(leaf: bytes, subs: list[bytes] | None) -> None:
    found = car(installs=True, installation=from_the_back_office())
    made = signed(holder("P-521"))
    made.oem_provisioning_certificate_chain = cm.SignedCertificateChain(
        "id1", leaf, cm.SubCertificates(subs) if subs else None
    )
    made.header.session_id = found.session_id
    answer: Any = found.session.handle(made, found.snapshot, found.now_s).response
    assert answer.response_code is ResponseCode.WARNING_CertificateValidationError
    assert found.contracts.install_asked == []


@pytest.mark.parametrize(("waited_s", "over"), [(54.9, False), (55.0, True)])
def test_while_the_back_office_works_it_is_ongoing_and_empty(waited_s: float, over: bool) -> None:
    found = car(installs=True)
    answer = found.say(signed(holder("P-521")))
    assert (answer.response_code, answer.evse_processing) == (ResponseCode.OK, Processing.Ongoing)
    assert_empty(answer)
    answer = found.after(waited_s).say(signed(holder("P-521")))
    assert_empty(answer)
    assert answer.evse_processing is (Processing.Finished if over else Processing.Ongoing)
    if over:
        assert answer.response_code is ResponseCode.WARNING_NoCertificateAvailable
        assert found.say(signed(holder("P-521"))).evse_processing is Processing.Ongoing  # another try
    else:
        found.contracts.installation = from_the_back_office()
        assert found.say(signed(holder("P-521"))).response_code is ResponseCode.OK
    assert_goes_on(found)


def test_certificates_are_not_asked_for_for_ever() -> None:
    found = car(installs=True, installation=NoInstallation(NoCertificate.NO_CONTRACT, ""))
    assert found.say(signed(holder("P-521"))).response_code is ResponseCode.WARNING_NoContractMatchingPCIDFound
    assert found.after(300.0).say(signed(holder("P-521"))).response_code is ResponseCode.FAILED
    assert found.state == "Ended"


def test_first_the_certificate_then_the_contract() -> None:
    found = car(installs=True, installation=from_the_back_office())
    assert found.say(signed(holder("P-521", "OEM"))).response_code is ResponseCode.OK
    assert found.say(found.signed(holder("P-521"))).response_code is ResponseCode.OK
    assert found.state == "ServiceDiscovery"
