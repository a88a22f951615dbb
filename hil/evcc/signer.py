"""The EV's side of signatures: keys with certificates, and a signer written beside the verifier, not with it."""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass, field
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from evse_controller.messages.base import Message, Node, Schema
from evse_controller.messages.fragments import encode_fragment
from evse_controller.messages.generated.xmldsig import (
    CanonicalizationMethod,
    DigestMethod,
    Reference,
    Signature,
    SignatureMethod,
    SignatureValue,
    SignedInfo,
    Transform,
    Transforms,
)

EXI = "http://www.w3.org/TR/canonical-exi/"
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
PrivateKey = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey


@dataclass(frozen=True)
class Algorithms:
    """The URIs that go with a kind of key."""

    signature: str
    digest: str


URIS = {
    "P-521": Algorithms(
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512", "http://www.w3.org/2001/04/xmlenc#sha512"
    ),
    "P-256": Algorithms(
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", "http://www.w3.org/2001/04/xmlenc#sha256"
    ),
    "Ed448": Algorithms(
        "urn:iso:std:iso:15118:-20:Security:xmldsig#Ed448", "urn:iso:std:iso:15118:-20:Security:xmlenc#SHAKE256"
    ),
}


@dataclass(frozen=True)
class Holder:
    """A key and its (self-signed) certificate in DER form; whether it is trusted is the verifier's business."""

    kind: str
    private: PrivateKey = field(repr=False)
    certificate: bytes = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        """The raw signature value: r and s, or that of Ed448."""
        if isinstance(self.private, ed448.Ed448PrivateKey):
            return self.private.sign(data)
        algorithm = hashes.SHA512() if self.kind == "P-521" else hashes.SHA256()
        r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(algorithm)))
        size = 66 if self.kind == "P-521" else 32
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def new_holder(kind: str, name: str = "DE-ABC-C12345678-9", days: int = 30) -> Holder:
    private: PrivateKey
    if kind == "Ed448":
        private = ed448.Ed448PrivateKey.generate()
    else:
        private = ec.generate_private_key(ec.SECP521R1() if kind == "P-521" else ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(4711)
        .not_valid_before(NOW)
        .not_valid_after(NOW + datetime.timedelta(days=days))
        .sign(private, None if kind == "Ed448" else hashes.SHA512())
    )
    return Holder(kind, private, certificate.public_bytes(serialization.Encoding.DER))


@cache
def holder(kind: str, name: str = "DE-ABC-C12345678-9") -> Holder:
    """One key of each kind and name for all tests of a run."""
    return new_holder(kind, name)


def digest(uri: str, data: bytes) -> bytes:
    if uri.endswith("SHAKE256"):
        return hashlib.shake_256(data).digest(64)
    return hashlib.new(uri.rsplit("#", 1)[1], data).digest()


def reference(element: str, node: Node, uri: str, algorithm: str, transform: bool = True) -> Reference:
    return Reference(
        DigestMethod(algorithm),
        digest(algorithm, encode_fragment(Schema.ISO20_COMMON, element, node)),
        uri=uri,
        transforms=Transforms([Transform(EXI)]) if transform else None,
    )


def info_of(references: list[Reference], algorithm: str, canonicalization: str = EXI) -> SignedInfo:
    return SignedInfo(CanonicalizationMethod(canonicalization), SignatureMethod(algorithm), references)


def signature_over(info: SignedInfo, key: Holder, grammar: Schema = Schema.XMLDSIG) -> Signature:
    return Signature(info, SignatureValue(key.sign(encode_fragment(grammar, "SignedInfo", info))))


def sign(message: Message, element: str, node: Node, key: Holder, grammar: Schema = Schema.XMLDSIG) -> None:
    """Signs one element of a message as an EV does; the signature goes into the header."""
    uris = URIS[key.kind]
    name: str = node.id  # type: ignore[attr-defined]
    info = info_of([reference(element, node, f"#{name}", uris.digest)], uris.signature)
    message.header.signature = signature_over(info, key, grammar)  # type: ignore[attr-defined]
