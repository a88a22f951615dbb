"""Fragments for XML signatures: byte facts of the field, the fragment grammars' codes, and that nothing else passes."""

import base64
import hashlib
import itertools

import pytest

from evse_controller.messages import ExiError, Message, Node, Schema
from evse_controller.messages.codec import coders
from evse_controller.messages.fragments import (
    decode_fragment,
    encode_fragment,
    may_be_signed,
    signable_parts,
    to_be_signed,
)
from evse_controller.messages.generated import iso2
from evse_controller.messages.generated.iso2 import EMAID, AuthorizationReq, Body, V2G_Message
from evse_controller.messages.generated.xmldsig import (
    CanonicalizationMethod,
    DigestMethod,
    Reference,
    SignatureMethod,
    SignedInfo,
    Transform,
    Transforms,
)
from tests.campaign.exi_messages import MessageMaker

CANONICAL = "http://www.w3.org/TR/canonical-exi/"
# The example of ISO 15118-2, annex J: the digest in the Reference, and that of the SignedInfo it stands in, which
# open-source stations hold their own coders against.
REFERENCE_DIGEST = "0bXgPQBlvuVrMXmERTBR61TKGPwOCRYXT4s8d6mPSqk="
SIGNED_INFO_DIGEST = "a4e903e18243041b554e11647e101ed25fc9f2152af4674014fe2adeac1e1cf7"
SIGNED = AuthorizationReq(id="ID1", gen_challenge=b"Some Random Data")


def annex_j() -> SignedInfo:
    return SignedInfo(
        CanonicalizationMethod(CANONICAL),
        SignatureMethod("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"),
        [Reference(
            DigestMethod("http://www.w3.org/2001/04/xmlenc#sha256"), base64.b64decode(REFERENCE_DIGEST), uri="#ID1",
            transforms=Transforms([Transform(CANONICAL)]),
        )],
    )


def test_the_example_of_annex_j() -> None:
    data = encode_fragment(Schema.ISO2, "AuthorizationReq", SIGNED)
    assert (len(data), data[:7].hex(), data[-2:].hex()) == (25, "80040152510c40", "09e8")
    assert hashlib.sha256(data).digest() == base64.b64decode(REFERENCE_DIGEST)
    signed = to_be_signed(annex_j())
    assert (len(signed), hashlib.sha256(signed).hexdigest()) == (209, SIGNED_INFO_DIGEST)
    assert decode_fragment(Schema.ISO2, data) == ("AuthorizationReq", SIGNED)
    assert decode_fragment(Schema.XMLDSIG, signed) == ("SignedInfo", annex_j())


def test_the_contract_id_of_two_captures_follows_the_relaxed_grammar() -> None:
    data = bytes.fromhex("80ec0202a4a21a40045111505090cc4c8ccd0d4d8dce0e567d3d00")
    emaid = EMAID("ID4", "DEABC123456789Y")
    assert decode_fragment(Schema.ISO2, data) == ("eMAID", emaid)
    assert encode_fragment(Schema.ISO2, "eMAID", emaid) == data


def test_verifying_tries_the_standalone_grammar_first_then_the_schemas_own() -> None:
    alone, combined = may_be_signed(Schema.ISO2, annex_j())
    assert alone == to_be_signed(annex_j())
    assert alone != combined
    assert decode_fragment(Schema.ISO2, combined) == ("SignedInfo", annex_j())


@pytest.mark.parametrize(
    ("schema", "bits", "end", "codes"),
    [
        (Schema.APP_PROTOCOL, 4, 10, {}),
        (Schema.XMLDSIG, 6, 46, {"SignedInfo": 32}),
        (Schema.DIN70121, 8, 246, {
            "CertificateInstallationReq": 13, "CertificateInstallationRes": 14, "CertificateUpdateReq": 15,
            "CertificateUpdateRes": 16, "ContractAuthenticationReq": 28, "MeteringReceiptReq": 122,
            "SalesTariff": 174, "SignedInfo": 212,
        }),
        (Schema.ISO2, 8, 244, {
            "AuthorizationReq": 4, "CertificateInstallationReq": 15, "CertificateUpdateReq": 17,
            "ContractSignatureCertChain": 33, "ContractSignatureEncryptedPrivateKey": 34, "DHpublickey": 45,
            "MeteringReceiptReq": 121, "SAProvisioningCertificateChain": 166, "SalesTariff": 174, "SignedInfo": 208,
            "eMAID": 236,
        }),
        (Schema.ISO20_COMMON, 9, 282, {
            "AbsolutePriceSchedule": 0, "OEMProvisioningCertificateChain": 128, "PnC_AReqAuthorizationMode": 151,
            "PriceLevelSchedule": 167, "SignedInfo": 230, "SignedInstallationData": 231, "SignedMeteringData": 232,
        }),
        (Schema.ISO20_DC, 8, 150, {"SignedInfo": 129}),
        (Schema.ISO20_AC, 8, 155, {"SignedInfo": 135}),
        (Schema.ISO20_WPT, 8, 194, {"SignedInfo": 146}),
        (Schema.ISO20_ACDP, 8, 130, {"SignedInfo": 110}),
    ],
)
def test_fragment_grammars(schema: Schema, bits: int, end: int, codes: dict[str, int]) -> None:
    module = coders(schema)
    assert (bits, end) == (module.FRAGMENT_BITS, module.FRAGMENT_END)
    assert {element: entry[0] for element, entry in module.FRAGMENT_CODERS.items()} == codes


def fragments() -> list[tuple[Schema, str, Node]]:
    maker = MessageMaker(11)
    found: list[tuple[Schema, str, Node]] = []
    for schema in Schema:
        for element, (_, cls, _, _) in coders(schema).FRAGMENT_CODERS.items():
            found += [(schema, element, maker.make(cls)) for _ in range(3)]  # type: ignore[arg-type]
    return found


def test_every_fragment_decodes_to_what_was_encoded() -> None:
    for schema, element, node in fragments():
        assert decode_fragment(schema, encode_fragment(schema, element, node)) == (element, node)


def test_what_is_no_fragment_is_refused() -> None:
    data = encode_fragment(Schema.ISO2, "AuthorizationReq", SIGNED)
    value = int.from_bytes(data, "big")
    wrong = [
        b"", b"\x80", b"\x80\x05" + data[2:],  # too short; an element that cannot be signed
        b"\xa0" + data[1:], data + b"\x00", data[:-1],  # header; something behind; cut
        (value | 1).to_bytes(25, "big"), (value ^ 16).to_bytes(25, "big"),  # padding; another end code
    ]
    for broken in wrong:
        with pytest.raises(ExiError) as problem:
            decode_fragment(Schema.ISO2, broken)
        assert problem.value.schema == "ISO2"
        assert problem.value.offset is not None
    with pytest.raises(ExiError, match="25 bytes where 24 are allowed"):
        decode_fragment(Schema.ISO2, data, limit=24)


def test_every_cut_and_every_flip_gives_a_fragment_or_an_error() -> None:
    data = encode_fragment(Schema.ISO2, "eMAID", EMAID("ID4", "DEABC123456789Y"))
    cases = itertools.chain((data[:n] for n in range(len(data))), (
        (int.from_bytes(data, "big") ^ 1 << bit).to_bytes(len(data), "big") for bit in range(8 * len(data))
    ))
    for case in cases:
        try:
            element, node = decode_fragment(Schema.ISO2, case)
        except ExiError:
            continue
        assert encode_fragment(Schema.ISO2, element, node) == case


def test_what_cannot_be_signed_is_refused() -> None:
    with pytest.raises(ExiError, match="'SessionSetupReq' is no element that can be signed"):
        encode_fragment(Schema.ISO2, "SessionSetupReq", iso2.SessionSetupReq(b"\0" * 6))
    with pytest.raises(ExiError, match=r"ISO2, eMAID: .* is not a EMAID"):
        encode_fragment(Schema.ISO2, "eMAID", SIGNED)
    with pytest.raises(ExiError, match=r"ISO2, eMAID/value: .* is not a string of 14 to 15 characters"):
        encode_fragment(Schema.ISO2, "eMAID", EMAID("ID4", "x" * 16))


def message(request: Message) -> V2G_Message:
    return V2G_Message(iso2.MessageHeader(bytes(8)), Body(request))  # type: ignore[arg-type]


def test_the_parts_that_a_signature_may_refer_to() -> None:
    assert signable_parts(message(SIGNED)) == {"ID1": ("AuthorizationReq", SIGNED)}
    assert signable_parts(message(AuthorizationReq())) == {}
    chain = iso2.CertificateChain(b"certificate", id="A")
    key = iso2.ContractSignatureEncryptedPrivateKey("B", b"key")
    public = iso2.DiffieHellmanPublickey("C", b"public")
    response = iso2.CertificateInstallationRes(
        iso2.ResponseCode.OK, iso2.CertificateChain(b"provider"), chain, key, public, EMAID("D", "DEABC123456789Y"),
    )
    assert signable_parts(message(response)) == {
        "A": ("ContractSignatureCertChain", chain), "B": ("ContractSignatureEncryptedPrivateKey", key),
        "C": ("DHpublickey", public), "D": ("eMAID", EMAID("D", "DEABC123456789Y")),
    }
    public.id = "B"
    with pytest.raises(ExiError, match="Id 'B' stands on two elements"):
        signable_parts(message(response))
