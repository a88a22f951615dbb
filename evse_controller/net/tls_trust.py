"""TLS profiles as data, credentials from files, and which peer certificates a profile accepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtensionOID
from OpenSSL import SSL, crypto

X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION = 34
MAX_CERTIFICATE_BYTES = 1600
MAX_INTERMEDIATES = 3

ALLOWED_CRITICAL = frozenset(
    {
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.SUBJECT_INFORMATION_ACCESS,
    }
)
_OPENSSL_HANDLES = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.CERTIFICATE_POLICIES,
    }
)


@dataclass(frozen=True, slots=True)
class TlsProfile:
    """What a TLS connection may negotiate. `lab_switch` names the switch that weakens the strict default, if any.

    `suites`, `groups`, `signature_algorithms` are OpenSSL lists in order of preference; `key_kinds` the public keys a
    peer's certificate chain may hold (`secp521r1`, `ed448`, `secp256r1`).
    """

    name: str
    suites: tuple[str, ...]
    groups: tuple[str, ...]
    signature_algorithms: tuple[str, ...]
    key_kinds: frozenset[str]
    lab_switch: str | None = None


# [V2G20-2458] suites, [V2G20-1634] groups, [V2G20-1667/-2674/-2319] signature algorithms; TLS 1.3 only [V2G20-1235].
STRICT = TlsProfile(
    name="strict",
    suites=("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"),
    groups=("P-521", "X448"),
    signature_algorithms=("ECDSA+SHA512", "ed448"),
    key_kinds=frozenset({"secp521r1", "ed448"}),
)
LAB_P256 = TlsProfile(
    name="lab-p256",
    suites=STRICT.suites,
    groups=(*STRICT.groups, "P-256"),
    signature_algorithms=(*STRICT.signature_algorithms, "ECDSA+SHA256"),
    key_kinds=STRICT.key_kinds | {"secp256r1"},
    lab_switch="lab-p256",
)
PROFILES: Mapping[str, TlsProfile] = {profile.name: profile for profile in (STRICT, LAB_P256)}


@dataclass(frozen=True, slots=True)
class Credential:
    """A leaf certificate, its sub-CAs (PEM, leaf first, the root never among them) and the leaf's private key (PEM)."""

    chain_pem: bytes
    key_pem: bytes


def load_credential(chain_file: str, key_file: str) -> Credential:
    """Read and check a credential. Raises ValueError that names the file when one is missing, broken or mismatched."""
    chain_pem, key_pem = _read_file(chain_file), _read_file(key_file)
    try:
        leaf = x509.load_pem_x509_certificates(chain_pem)[0]
    except (ValueError, IndexError) as error:
        raise ValueError(f"{chain_file}: no certificate chain in PEM form: {error}") from error
    try:
        key = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{key_file}: no unencrypted private key in PEM form: {error}") from error
    if key.public_key() != leaf.public_key():
        raise ValueError(f"{key_file}: this key does not belong to the leaf certificate in {chain_file}")
    return Credential(chain_pem, key_pem)


def load_roots(*files: str) -> bytes:
    """Read trust anchors (PEM, one or more per file). Raises ValueError that names the file."""
    for file in files:
        try:
            x509.load_pem_x509_certificates(_read_file(file))
        except ValueError as error:
            raise ValueError(f"{file}: no root certificate in PEM form: {error}") from error
    return b"".join(_read_file(file) for file in files)


def verify_problem(cert: crypto.X509, error: int, depth: int, profile: TlsProfile) -> str | None:
    """None when the certificate is acceptable at this point of the chain, else the sentence that says why not."""
    try:
        certificate = cert.to_cryptography()
        subject = certificate.subject.rfc4514_string()
        size = len(certificate.public_bytes(Encoding.DER))
        kind = key_kind(certificate)
        critical = {extension.oid for extension in certificate.extensions if extension.critical}
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as broken:
        return f"certificate at depth {depth} is malformed: {broken}"
    if error == X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION:
        foreign = critical - ALLOWED_CRITICAL - _OPENSSL_HANDLES
        if foreign:
            return f"{subject}: unknown critical extension {', '.join(sorted(oid.dotted_string for oid in foreign))}"
    elif error != 0:
        return f"{subject}: {_verify_text(error)}"
    if size > MAX_CERTIFICATE_BYTES:
        return f"{subject}: certificate of {size} bytes, at most {MAX_CERTIFICATE_BYTES} are allowed"
    if kind not in profile.key_kinds:
        return f"{subject}: key kind {kind} is not in profile {profile.name}"
    return None


def _verify_text(error: int) -> str:
    lib, ffi = SSL._lib, SSL._ffi  # type: ignore[attr-defined]
    return f"{ffi.string(lib.X509_verify_cert_error_string(error)).decode()} ({error})"


def key_kind(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name
    if isinstance(key, ed448.Ed448PublicKey):
        return "ed448"
    return type(key).__name__


def _read_file(name: str) -> bytes:
    try:
        with Path(name).open("rb") as file:
            return file.read(1 << 20)
    except OSError as error:
        raise ValueError(f"{name}: {error.strerror}") from error
