"""Issue one certificate from a profile: pure, with key and time passed in."""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from certs.profile import ROLES, CertificateProfile, PrivateKey, Role, Subjects, subject_name

_PKI_URL = "http://pki.invalid"


def issue(
    role: Role,
    profile: CertificateProfile,
    key: PrivateKey,
    issuer_key: PrivateKey,
    issuer: x509.Certificate | None,
    not_before: datetime.datetime,
    subjects: Subjects,
    lifetime_days: int | None = None,
) -> x509.Certificate:
    """The certificate of `role` for `key`, signed by `issuer_key`; `issuer` None makes it self-signed (a root).

    `lifetime_days` overrides the profile's (a test may make an expired one). Raises ValueError when `issuer` is missing
    for a role that is not a root.
    """
    spec = ROLES[role]
    if issuer is None and spec.issuer is not role:
        raise ValueError(f"{role.value} needs its issuer {spec.issuer.value}")
    days = spec.lifetime_days if lifetime_days is None else lifetime_days
    subject = subject_name(role, subjects)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_before + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=spec.is_ca, path_length=spec.path_length), critical=True)
        .add_extension(_key_usage(spec.is_ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=profile.annex_b)
    )
    if issuer is not None:
        builder = _add_issued_extensions(builder, profile, issuer, spec.issuer)
    if spec.extended_key_usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([spec.extended_key_usage]), critical=False)
    return builder.sign(issuer_key, profile.hash_algorithm)


def _add_issued_extensions(
    builder: x509.CertificateBuilder, profile: CertificateProfile, issuer: x509.Certificate, issuer_role: Role
) -> x509.CertificateBuilder:
    ski = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    ocsp = x509.AccessDescription(
        AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(f"{_PKI_URL}/ocsp")
    )
    crl = x509.DistributionPoint(
        [x509.UniformResourceIdentifier(f"{_PKI_URL}/{issuer_role.value}.crl")],
        relative_name=None,
        reasons=None,
        crl_issuer=None,
    )
    aki = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski)
    return (
        builder.add_extension(aki, critical=profile.annex_b)
        .add_extension(x509.AuthorityInformationAccess([ocsp]), critical=profile.annex_b)
        .add_extension(x509.CRLDistributionPoints([crl]), critical=profile.annex_b)
    )


def _key_usage(is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )
