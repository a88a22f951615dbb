"""XML signatures of -20 messages: what verifies, and that every other one is refused, told apart and never raised."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.identity import XmlSignatures
from evse_controller.identity.signatures import ED448_RFC9231, SHA256, SHA512
from evse_controller.messages import decode, encode
from evse_controller.messages.base import Schema
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import (
    ListOfRootCertificateIDs,
    MessageHeader,
    MeterInfo,
)
from evse_controller.messages.generated.xmldsig import Signature, Transform, Transforms, X509IssuerSerial
from evse_controller.model.contract import Grammar
from hil.evcc.signer import EXI, URIS, Holder, holder, info_of, reference, sign, signature_over

ELEMENT = "PnC_AReqAuthorizationMode"
CHALLENGE = bytes(range(100, 116))
VERIFIER = XmlSignatures()
LAB = XmlSignatures(p256=True)
GRAMMARS = {Schema.XMLDSIG: Grammar.STANDALONE, Schema.ISO20_COMMON: Grammar.COMBINED}


def request(key: Holder, name: str = "id1") -> cm.AuthorizationReq:
    chain = cm.ContractCertificateChain(key.certificate, cm.SubCertificates([b"\x30\x00"]))
    return cm.AuthorizationReq(
        MessageHeader(bytes(8), 0),
        cm.Authorization.PnC,
        pnc_areq_authorization_mode=cm.PnC_AReqAuthorizationMode(name, CHALLENGE, chain),
    )


def signed(key: Holder, grammar: Schema = Schema.XMLDSIG) -> cm.AuthorizationReq:
    message = request(key)
    sign(message, ELEMENT, mode(message), key, grammar)
    return message


def mode(message: cm.AuthorizationReq) -> cm.PnC_AReqAuthorizationMode:
    assert message.pnc_areq_authorization_mode is not None
    return message.pnc_areq_authorization_mode


def signature(message: cm.AuthorizationReq) -> Signature:
    assert message.header.signature is not None
    return message.header.signature


def fault(message: cm.AuthorizationReq, key: Holder, verifier: XmlSignatures = VERIFIER) -> str | None:
    """What is wrong, after the message went over the wire."""
    heard = decode(Schema.ISO20_COMMON, encode(message))
    assert isinstance(heard, cm.AuthorizationReq)
    return verifier.verify(heard, mode(heard), key.certificate).fault


@pytest.mark.parametrize("grammar", GRAMMARS, ids=lambda grammar: grammar.name)
@pytest.mark.parametrize("kind", ["P-521", "Ed448"])
def test_case_30_both_grammars_of_signed_info_verify_and_are_told_apart(kind: str, grammar: Schema) -> None:
    message = decode(Schema.ISO20_COMMON, encode(signed(holder(kind), grammar)))
    assert isinstance(message, cm.AuthorizationReq)
    check = VERIFIER.verify(message, mode(message), holder(kind).certificate)
    assert (check.fault, check.grammar) == (None, GRAMMARS[grammar])


def test_p256_verifies_in_the_lab_only() -> None:
    key = holder("P-256")
    assert fault(signed(key), key, LAB) is None
    assert fault(signed(key), key) == "the signature algorithm is not one that is accepted"


@pytest.mark.parametrize("element", ["OEMProvisioningCertificateChain", "SignedMeteringData"])
def test_the_other_signed_elements_verify_too(element: str) -> None:
    key = holder("P-521")
    message: cm.CertificateInstallationReq | cm.MeteringConfirmationReq
    node: cm.SignedCertificateChain | cm.SignedMeteringData
    if element == "SignedMeteringData":
        node = cm.SignedMeteringData(
            "id1", bytes(8), MeterInfo("M", 1), dynamic_smdt_control_mode=cm.Dynamic_SMDTControlMode()
        )
        message = cm.MeteringConfirmationReq(MessageHeader(bytes(8), 0), node)
    else:
        node = cm.SignedCertificateChain("id1", key.certificate)
        roots = ListOfRootCertificateIDs([X509IssuerSerial("CN=root", 1)])
        message = cm.CertificateInstallationReq(MessageHeader(bytes(8), 0), node, roots, 1)
    sign(message, element, node, key)
    assert VERIFIER.verify(message, node, key.certificate).fault is None
    node.id = "id2"
    assert VERIFIER.verify(message, node, key.certificate).fault is not None


def other_name(message: cm.AuthorizationReq) -> None:
    signature(message).signed_info.reference[0].uri = "#id2"


def without_hash(message: cm.AuthorizationReq) -> None:
    signature(message).signed_info.reference[0].uri = "id1"


def without_uri(message: cm.AuthorizationReq) -> None:
    signature(message).signed_info.reference[0].uri = None


def whole_document(message: cm.AuthorizationReq) -> None:
    signature(message).signed_info.reference[0].uri = ""


def two_references(message: cm.AuthorizationReq) -> None:
    info = signature(message).signed_info
    info.reference = [info.reference[0], info.reference[0]]


def altered_challenge(message: cm.AuthorizationReq) -> None:
    mode(message).gen_challenge = bytes(16)


def altered_chain(message: cm.AuthorizationReq) -> None:
    mode(message).contract_certificate_chain.sub_certificates = cm.SubCertificates([b"\x30\x01"])


def altered_digest(message: cm.AuthorizationReq) -> None:
    signature(message).signed_info.reference[0].digest_value = bytes(64)


def short_digest(message: cm.AuthorizationReq) -> None:
    found = signature(message).signed_info.reference[0]
    found.digest_value = found.digest_value[:32]


def no_digest(message: cm.AuthorizationReq) -> None:
    signature(message).signed_info.reference[0].digest_value = b""


def missing(message: cm.AuthorizationReq) -> None:
    message.header.signature = None


def xpath(message: cm.AuthorizationReq) -> None:
    signature(message).signed_info.reference[0].transforms = Transforms([Transform(EXI, ["//x"])])


def other_transform(message: cm.AuthorizationReq) -> None:
    signature(message).signed_info.reference[0].transforms = Transforms([Transform("urn:nothing")])


def two_transforms(message: cm.AuthorizationReq) -> None:
    each = Transform(EXI)
    signature(message).signed_info.reference[0].transforms = Transforms([each, each])


def other_canonicalization(message: cm.AuthorizationReq) -> None:
    signature(message).signed_info.canonicalization_method.algorithm = "http://www.w3.org/2006/12/xml-c14n11"


def unknown_algorithm(message: cm.AuthorizationReq) -> None:
    signature(message).signed_info.signature_method.algorithm = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"


def unknown_digest(message: cm.AuthorizationReq) -> None:
    signature(message).signed_info.reference[0].digest_method.algorithm = "http://www.w3.org/2000/09/xmldsig#sha1"


def weaker_digest(message: cm.AuthorizationReq) -> None:
    """SHA-256 is known, but not with this signature."""
    message_key = holder("P-521")
    info = info_of([reference(ELEMENT, mode(message), "#id1", SHA256)], URIS["P-521"].signature)
    message.header.signature = signature_over(info, message_key)


def truncated_mac(message: cm.AuthorizationReq) -> None:
    signature(message).signed_info.signature_method.hmac_output_length = 1


DAMAGE: dict[Callable[[cm.AuthorizationReq], None], str] = {
    missing: "not signed",
    other_name: "another element",
    without_hash: "another element",
    without_uri: "another element",
    whole_document: "another element",
    two_references: "exactly one",
    altered_challenge: "digest is not",
    altered_chain: "digest is not",
    altered_digest: "digest is not",
    short_digest: "digest is not",
    no_digest: "digest is not",
    xpath: "transformed",
    other_transform: "transformed",
    two_transforms: "transformed",
    other_canonicalization: "canonicalization",
    unknown_algorithm: "signature algorithm",
    truncated_mac: "signature algorithm",
    unknown_digest: "digest algorithm",
    weaker_digest: "digest algorithm",
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_case_28_whatever_is_altered_is_refused_and_named(damage: Callable[[cm.AuthorizationReq], None]) -> None:
    """Each time the rest is signed again with the right key, so that only this one defence stands between."""
    key = holder("P-521")
    message = signed(key)
    damage(message)
    if message.header.signature is not None:
        message.header.signature = signature_over(message.header.signature.signed_info, key)
    text = fault(message, key)
    assert text is not None
    assert DAMAGE[damage] in text


@pytest.mark.parametrize("kind", ["P-521", "Ed448"])
def test_case_28_every_altered_octet_of_the_signature_is_refused(kind: str) -> None:
    key = holder(kind)
    message = signed(key)
    good = signature(message).signature_value.value
    for index in range(0, len(good), 7):
        signature(message).signature_value.value = good[:index] + bytes([good[index] ^ 1]) + good[index + 1 :]
        assert fault(message, key) == "the signature does not fit the certificate's key"


@pytest.mark.parametrize("kind", ["P-521", "Ed448"])
def test_case_28_signatures_of_other_lengths_and_extreme_numbers_are_refused(kind: str) -> None:
    key = holder(kind)
    message = signed(key)
    good = signature(message).signature_value.value
    values = {
        b"": "length",
        good[:-1]: "length",
        good + b"\x00": "length",
        b"\x00" + good: "length",
        bytes(len(good)): "key",
        b"\xff" * len(good): "key",
        good[: len(good) // 2] + bytes(len(good) - len(good) // 2): "key",
    }
    for value, why in values.items():
        signature(message).signature_value.value = value
        assert why in str(fault(message, key))


def test_case_28_the_key_of_somebody_else_is_refused() -> None:
    """Signed by one, with the certificate of another."""
    message = request(holder("P-521"))
    sign(message, ELEMENT, mode(message), holder("P-521", "somebody else"))
    assert fault(message, holder("P-521")) == "the signature does not fit the certificate's key"


@pytest.mark.parametrize(
    ("kind", "of"), [("P-521", "Ed448"), ("Ed448", "P-521"), ("P-521", "P-256"), ("P-256", "P-521")]
)
def test_a_certificate_with_another_kind_of_key_is_refused(kind: str, of: str) -> None:
    assert "not of the kind" in str(fault(signed(holder(kind)), holder(of), LAB))


NO_CERTIFICATES = [b"", b"\x30", b"\x30\x82\xff\xff", bytes(1600), b"\x30\x84\xff\xff\xff\xff" * 200]


@pytest.mark.parametrize("certificate", NO_CERTIFICATES, ids=lambda value: value[:4].hex())
def test_a_certificate_that_is_none_is_refused(certificate: bytes) -> None:
    message = signed(holder("P-521"))
    assert VERIFIER.verify(message, mode(message), certificate).fault == "the certificate cannot be read"


def test_ed448_by_the_name_of_rfc_9231_and_with_sha512() -> None:
    key = holder("Ed448")
    message = request(key)
    info = info_of([reference(ELEMENT, mode(message), "#id1", SHA512)], ED448_RFC9231)
    message.header.signature = signature_over(info, key)
    assert fault(message, key) is None


def test_a_signature_without_transforms_is_the_same() -> None:
    key = holder("P-521")
    message = request(key)
    info = info_of([reference(ELEMENT, mode(message), "#id1", SHA512, transform=False)], URIS["P-521"].signature)
    message.header.signature = signature_over(info, key)
    assert fault(message, key) is None


def test_an_empty_id_names_nothing() -> None:
    key = holder("P-521")
    message = request(key, name="")
    sign(message, ELEMENT, mode(message), key)
    assert fault(message, key) == "the signature refers to another element"


def test_an_element_that_is_no_part_of_the_message_is_not_covered() -> None:
    """What is used is what must be signed, not another element that looks the same."""
    key = holder("P-521")
    message = signed(key)
    assert VERIFIER.verify(message, mode(signed(key)), key.certificate).fault == "the element cannot be signed"


def test_what_is_said_repeats_nothing_that_the_ev_sent() -> None:
    key = holder("P-521")
    for damage in DAMAGE:
        message = signed(key)
        damage(message)
        text = str(fault(message, key))
        assert "id1" not in text
        assert CHALLENGE.hex() not in text.lower()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_altered_certificates_never_raise_and_never_verify(data: st.DataObject) -> None:
    """Bits of the certificate, wherever: the key in it is another or none; names alone do not matter here."""
    key = holder("P-521")
    message = signed(key)
    certificate = bytearray(key.certificate)
    for _ in range(data.draw(st.integers(1, 3))):
        certificate[data.draw(st.integers(0, len(certificate) - 1))] ^= data.draw(st.integers(1, 255))
    VERIFIER.verify(message, mode(message), bytes(certificate))
    mode(message).contract_certificate_chain.certificate = bytes(certificate)
    assert (fault(message, key) is None) == (bytes(certificate) == key.certificate)
