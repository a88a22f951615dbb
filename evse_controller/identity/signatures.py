"""Verifies the XML signatures of ISO 15118-20 messages: digest over the element's EXI fragment, then the key.

What an EV signs is compared with what we use: the one Reference must name the Id of the very element that was decoded,
and the digest is computed over that element, so that nothing can be wrapped around it. Algorithms are told by their
URIs; each goes with one kind of key and with digests of its strength, and nothing else is tried. Every failure is an
answer, none an exception, and no answer repeats what the EV sent.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from evse_controller.messages.base import Message, Node
from evse_controller.messages.fragments import encode_fragment, may_be_signed, signable_parts
from evse_controller.messages.generated.xmldsig import Reference, Signature, SignedInfo
from evse_controller.model.contract import Grammar, SignatureCheck

CANONICAL_EXI = "http://www.w3.org/TR/canonical-exi/"
ECDSA_SHA512 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512"
ECDSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
ED448 = "urn:iso:std:iso:15118:-20:Security:xmldsig#Ed448"
ED448_RFC9231 = "http://www.w3.org/2021/04/xmldsig-more#eddsa-ed448"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
SHA512 = "http://www.w3.org/2001/04/xmlenc#sha512"
SHAKE256 = "urn:iso:std:iso:15118:-20:Security:xmlenc#SHAKE256"

_DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    SHA256: lambda data: hashlib.sha256(data).digest(),
    SHA512: lambda data: hashlib.sha512(data).digest(),
    SHAKE256: lambda data: hashlib.shake_256(data).digest(64),
}


def _p521_sha512(key: object, signature: bytes, data: bytes) -> bool:
    return _ecdsa(key, ec.SECP521R1(), 66, hashes.SHA512(), signature, data)


def _p256_sha256(key: object, signature: bytes, data: bytes) -> bool:
    return _ecdsa(key, ec.SECP256R1(), 32, hashes.SHA256(), signature, data)


def _ed448(key: object, signature: bytes, data: bytes) -> bool:
    if not isinstance(key, ed448.Ed448PublicKey):
        raise _Fault("the certificate's key is not of the kind that the signature names")
    if len(signature) != 114:
        raise _Fault("the signature has the wrong length")
    return _verified(lambda: key.verify(signature, data))


@dataclass(frozen=True, slots=True)
class _Suite:
    """A signature algorithm: how it verifies (key, raw signature, octets), and the digests that go with it."""

    verify: Callable[[object, bytes, bytes], bool]
    digests: frozenset[str]


# [V2G20-2473] to [V2G20-2476]. Others name Ed448 with the URI of RFC 9231, and digest with SHA-512 beside it.
_SUITES = {
    ECDSA_SHA512: _Suite(_p521_sha512, frozenset({SHA512})),
    ED448: _Suite(_ed448, frozenset({SHAKE256, SHA512})),
    ED448_RFC9231: _Suite(_ed448, frozenset({SHAKE256, SHA512})),
}
_P256 = {ECDSA_SHA256: _Suite(_p256_sha256, frozenset({SHA256}))}


class XmlSignatures:
    """`p256`: ECDSA with P-256 and SHA-256 is accepted as well, outside the -20 profile (`lab-p256`)."""

    def __init__(self, p256: bool = False) -> None:
        self._suites = _SUITES | _P256 if p256 else _SUITES

    def verify(self, message: Message, signed: Node, certificate_der: bytes) -> SignatureCheck:
        """Whether the signature in the message's header covers `signed` and nothing else, with the certificate's key.

        Never raises, whatever the EV sent.
        """
        try:
            return SignatureCheck(None, self._check(message, signed, certificate_der))
        except _Fault as fault:
            return SignatureCheck(fault.args[0])
        except ValueError:  # ExiError too: text that the EV sent may stand in it
            return SignatureCheck("the signed element or its signature cannot be coded")

    def covers(self, message: Message, signed: Node) -> str | None:
        """What is wrong with the signature in the header that can be seen without the signer's key; None: nothing.

        Never raises, whatever the EV sent.
        """
        try:
            self._covering(message, signed)
        except _Fault as fault:
            return str(fault.args[0])
        except ValueError:
            return "the signed element or its signature cannot be coded"
        return None

    def _covering(self, message: Message, signed: Node) -> tuple[Signature, _Suite]:
        """The signature, whose form is good and whose digest is that of the element."""
        signature = _signature_of(message)
        info = signature.signed_info
        suite = self._suites.get(info.signature_method.algorithm)
        if suite is None or info.signature_method.hmac_output_length is not None:
            raise _Fault("the signature algorithm is not one that is accepted")
        if info.canonicalization_method.algorithm != CANONICAL_EXI:
            raise _Fault("the canonicalization is not that of EXI")
        _check_reference(info, _covered(message, signed), suite, message)
        return signature, suite

    def _check(self, message: Message, signed: Node, certificate_der: bytes) -> Grammar:
        signature, suite = self._covering(message, signed)
        key = _public_key(certificate_der)
        octets = may_be_signed(message.SCHEMA, signature.signed_info)
        for grammar, data in zip((Grammar.STANDALONE, Grammar.COMBINED), octets, strict=True):
            if suite.verify(key, signature.signature_value.value, data):
                return grammar
        raise _Fault("the signature does not fit the certificate's key")


class _Fault(Exception):
    """Why a signature is not good; its text is ours."""


def _signature_of(message: Message) -> Signature:
    signature: Signature | None = getattr(getattr(message, "header", None), "signature", None)
    if signature is None:
        raise _Fault("the message is not signed")
    return signature


def _covered(message: Message, signed: Node) -> str:
    """The Id of the element that must be signed. Two elements of the same Id raise in `signable_parts`."""
    for name, (_, node) in signable_parts(message).items():
        if node is signed:
            return name
    raise _Fault("the element cannot be signed")


def _check_reference(info: SignedInfo, name: str, suite: _Suite, message: Message) -> None:
    if len(info.reference) != 1:
        raise _Fault("the signature does not refer to exactly one element")
    reference = info.reference[0]
    if not name or reference.uri != f"#{name}":
        raise _Fault("the signature refers to another element")
    _check_transforms(reference)
    algorithm = reference.digest_method.algorithm
    if algorithm not in suite.digests:
        raise _Fault("the digest algorithm is not one that is accepted with this signature")
    element, node = signable_parts(message)[name]
    digest = _DIGESTS[algorithm](encode_fragment(message.SCHEMA, element, node))
    if not hmac.compare_digest(digest, reference.digest_value):
        raise _Fault("the digest is not that of the signed element")


def _check_transforms(reference: Reference) -> None:
    """One transform, to canonical EXI; some leave it out, which changes no octet."""
    transforms = [] if reference.transforms is None else reference.transforms.transform
    if len(transforms) > 1 or any(each.algorithm != CANONICAL_EXI or each.x_path for each in transforms):
        raise _Fault("the signed element would have to be transformed")


def _public_key(certificate_der: bytes) -> object:
    try:
        return x509.load_der_x509_certificate(certificate_der).public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise _Fault("the certificate cannot be read") from None


def _ecdsa(
    key: object, curve: ec.EllipticCurve, size: int, algorithm: hashes.HashAlgorithm, signature: bytes, data: bytes
) -> bool:
    """`signature` is r and s, each `size` octets."""
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != curve.name:
        raise _Fault("the certificate's key is not of the kind that the signature names")
    if len(signature) != 2 * size:
        raise _Fault("the signature has the wrong length")
    r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
    return _verified(lambda: key.verify(encode_dss_signature(r, s), data, ec.ECDSA(algorithm)))


def _verified(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except InvalidSignature:
        return False
    return True
