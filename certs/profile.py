"""Certificate profiles as data: who is issued by whom, with which names, lifetimes and extensions.

Extensions follow ISO 15118-20 Annex B as far as public sources describe it: AKI, SKI, AIA and CDP marked critical, no
foreign extension [V2G20-2686], CDP and/or AIA in every issued certificate [V2G20-2590], vehicle leaf CN=EVCCID and
O=OEM and no other RDN [V2G20-2598]. Table B.5 (SECC) was not available: key usage there is digitalSignature.
Known gap: dates before 2050 are written as UTCTime (RFC 5280), where Annex B asks for GeneralizedTime.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

PrivateKey = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey
DAY_S = 86400


class Role(enum.Enum):
    """Every certificate of the lab PKI; the value is its file name without extension."""

    V2G_ROOT = "v2g-root"
    CPO_SUB1 = "cpo-sub1"
    CPO_SUB2 = "cpo-sub2"
    SECC = "secc"
    OEM_ROOT = "oem-root"
    OEM_SUB1 = "oem-sub1"
    OEM_SUB2 = "oem-sub2"
    VEHICLE = "vehicle"


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """One certificate: its issuer (itself for a root), CA path length (None: a leaf), lifetime, extended key usage."""

    issuer: Role
    path_length: int | None
    lifetime_days: int
    extended_key_usage: ObjectIdentifier | None = None

    @property
    def is_ca(self) -> bool:
        return self.path_length is not None


# Lifetimes are lab values but for the V2G root's 25 years.
ROLES: Mapping[Role, RoleSpec] = {
    Role.V2G_ROOT: RoleSpec(Role.V2G_ROOT, 2, 25 * 365),
    Role.CPO_SUB1: RoleSpec(Role.V2G_ROOT, 1, 4 * 365),
    Role.CPO_SUB2: RoleSpec(Role.CPO_SUB1, 0, 2 * 365),
    Role.SECC: RoleSpec(Role.CPO_SUB2, None, 90, ExtendedKeyUsageOID.SERVER_AUTH),
    Role.OEM_ROOT: RoleSpec(Role.OEM_ROOT, 2, 25 * 365),
    Role.OEM_SUB1: RoleSpec(Role.OEM_ROOT, 1, 4 * 365),
    Role.OEM_SUB2: RoleSpec(Role.OEM_SUB1, 0, 2 * 365),
    Role.VEHICLE: RoleSpec(Role.OEM_SUB2, None, 2 * 365, ExtendedKeyUsageOID.CLIENT_AUTH),
}


@dataclass(frozen=True, slots=True)
class CertificateProfile:
    """A family of certificates with one kind of key. `annex_b` marks AKI, SKI, AIA and CDP critical as -20 wants.

    `lab-p256` leaves them uncritical, because the independent vehicle's TLS library refuses critical ones.
    """

    name: str
    key_kind: str
    annex_b: bool

    def new_key(self) -> PrivateKey:
        if self.key_kind == "ed448":
            return ed448.Ed448PrivateKey.generate()
        return ec.generate_private_key(ec.SECP521R1() if self.key_kind == "secp521r1" else ec.SECP256R1())

    @property
    def hash_algorithm(self) -> hashes.SHA256 | hashes.SHA512 | None:
        """The signature's hash: SHA-512 with P-521, SHA-256 with P-256, none of its own with Ed448."""
        return {"secp521r1": hashes.SHA512(), "secp256r1": hashes.SHA256(), "ed448": None}[self.key_kind]


PROFILES: Mapping[str, CertificateProfile] = {
    profile.name: profile
    for profile in (
        CertificateProfile("strict", "secp521r1", True),
        CertificateProfile("strict-ed448", "ed448", True),
        CertificateProfile("lab-p256", "secp256r1", False),
    )
}


@dataclass(frozen=True, slots=True)
class Subjects:
    """The names that leaf certificates carry."""

    secc_id: str = "DE*EVC*S000000000000000000000000000000001"
    evccid: str = "WVWZZZLAB00000001A"
    operator: str = "Lab CPO"
    oem: str = "Lab OEM"
    country: str = "DE"


def subject_name(role: Role, subjects: Subjects) -> x509.Name:
    """The subject of a role's certificate. Authorities carry a DC for their domain, the vehicle only CN and O."""
    if role is Role.VEHICLE:
        return _name((NameOID.COMMON_NAME, subjects.evccid), (NameOID.ORGANIZATION_NAME, subjects.oem))
    domain = {"v2g": "V2G", "cpo": "CPO", "secc": "CPO", "oem": "OEM"}[role.value.split("-")[0]]
    common = subjects.secc_id if role is Role.SECC else f"Lab {role.value}"
    organization = subjects.oem if domain == "OEM" else subjects.operator
    return _name(
        (NameOID.COMMON_NAME, common),
        (NameOID.ORGANIZATION_NAME, organization),
        (NameOID.COUNTRY_NAME, subjects.country),
        (NameOID.DOMAIN_COMPONENT, domain),
    )


def _name(*parts: tuple[ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])
