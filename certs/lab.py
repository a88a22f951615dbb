"""The lab authority: a whole V2G and OEM hierarchy in one folder, made once and reused while it is valid."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from certs.issue import issue
from certs.profile import PROFILES, ROLES, PrivateKey, Role, Subjects, subject_name

_LEAVES = (Role.SECC, Role.VEHICLE)
_ROOT_OF: Mapping[Role, Role] = {
    Role.SECC: Role.V2G_ROOT,
    Role.VEHICLE: Role.OEM_ROOT,
}


@dataclass(frozen=True, slots=True)
class RoleFiles:
    """What a TLS end needs: its chain (leaf first, no root), its key, and the root its chain ends in."""

    chain: Path
    key: Path
    root: Path


@dataclass(frozen=True, slots=True)
class LabPki:
    """A lab PKI on disk. `changed` tells whether this run wrote anything."""

    folder: Path
    profile: str
    changed: bool

    def certificate(self, role: Role) -> Path:
        return self.folder / f"{role.value}.pem"

    def key(self, role: Role) -> Path:
        return self.folder / f"{role.value}.key"

    def files(self, role: Role) -> RoleFiles:
        """Paths for a leaf role (`Role.SECC`, `Role.VEHICLE`). Raises ValueError for an authority."""
        if role not in _LEAVES:
            raise ValueError(
                f"{role.value} is an authority; only {', '.join(r.value for r in _LEAVES)} have chain files"
            )
        return RoleFiles(self.folder / f"{role.value}-chain.pem", self.key(role), self.certificate(_ROOT_OF[role]))

    def pem(self, role: Role) -> tuple[bytes, bytes, bytes]:
        """(chain, key, root) as PEM for a leaf role."""
        files = self.files(role)
        return files.chain.read_bytes(), files.key.read_bytes(), files.root.read_bytes()

    @property
    def trust_of_secc(self) -> tuple[Path, Path]:
        """The roots a station accepts vehicles from: OEM and V2G [V2G20-2331]."""
        return self.certificate(Role.OEM_ROOT), self.certificate(Role.V2G_ROOT)

    @property
    def trust_of_vehicle(self) -> tuple[Path]:
        """The roots a vehicle accepts stations from."""
        return (self.certificate(Role.V2G_ROOT),)


def make_lab(
    folder: str | Path, profile: str = "strict", subjects: Subjects | None = None, now: datetime.datetime | None = None
) -> LabPki:
    """Write a lab PKI to `folder`, or keep what is there while it fits.

    A certificate is kept when its key belongs to it, its profile, subject and issuer are the wanted ones and more than
    a tenth of its life is left; otherwise it and everything below it is issued anew. Raises ValueError for an unknown
    profile or a file that is not what its name says, OSError for a folder that cannot be written.
    """
    if profile not in PROFILES:
        raise ValueError(f"unknown certificate profile {profile!r}; known: {', '.join(PROFILES)}")
    wanted = PROFILES[profile]
    subjects = subjects or Subjects()
    now = now or datetime.datetime.now(datetime.UTC)
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    made: dict[Role, tuple[x509.Certificate, PrivateKey]] = {}
    fresh: set[Role] = set()
    for role, spec in ROLES.items():  # issuers come before what they issue
        issuer = made.get(spec.issuer)
        if spec.issuer not in fresh:
            kept = _load(path, role)
            if kept is not None and _fits(kept, role, wanted.key_kind, subjects, issuer and issuer[0], now):
                made[role] = kept
                continue
        key = wanted.new_key()
        # A little in the past, so that a peer whose clock is slightly slow accepts it at once.
        not_before = (now - datetime.timedelta(hours=1)).replace(microsecond=0)
        certificate = issue(role, wanted, key, issuer[1] if issuer else key, issuer and issuer[0], not_before, subjects)
        made[role] = (certificate, key)
        fresh.add(role)
        _write(path / f"{role.value}.key", key_pem(key), 0o600)
        _write(path / f"{role.value}.pem", certificate.public_bytes(Encoding.PEM), 0o644)
    for leaf in _LEAVES:
        chain = b"".join(made[role][0].public_bytes(Encoding.PEM) for role in chain_roles(leaf))
        target = path / f"{leaf.value}-chain.pem"
        if leaf in fresh or not target.exists() or target.read_bytes() != chain:
            fresh.add(leaf)
            _write(target, chain, 0o644)
    return LabPki(path, profile, bool(fresh))


def chain_roles(leaf: Role) -> tuple[Role, ...]:
    """Leaf, sub 2, sub 1: what is sent. The root is not among them [V2G20-2399]."""
    roles, role = [], leaf
    while ROLES[role].issuer is not role:
        roles.append(role)
        role = ROLES[role].issuer
    return tuple(roles)


def key_pem(key: PrivateKey) -> bytes:
    """PKCS#8, not encrypted: lab only."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _load(folder: Path, role: Role) -> tuple[x509.Certificate, PrivateKey] | None:
    certificate_file, key_file = folder / f"{role.value}.pem", folder / f"{role.value}.key"
    if not certificate_file.exists() and not key_file.exists():
        return None
    if not certificate_file.exists() or not key_file.exists():
        missing = certificate_file if key_file.exists() else key_file
        raise ValueError(f"{missing}: missing while its other half exists; remove the folder or restore the file")
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{certificate_file}: not a certificate in PEM form") from error
    try:
        key = load_pem_private_key(key_file.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{key_file}: not an unencrypted private key in PEM form") from error
    if (
        not isinstance(key, ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey)
        or key.public_key() != certificate.public_key()
    ):
        raise ValueError(f"{key_file}: does not belong to {certificate_file}")
    return certificate, key


def _fits(
    kept: tuple[x509.Certificate, PrivateKey],
    role: Role,
    key_kind: str,
    subjects: Subjects,
    issuer: x509.Certificate | None,
    now: datetime.datetime,
) -> bool:
    certificate, key = kept
    kind = key.curve.name if isinstance(key, ec.EllipticCurvePrivateKey) else "ed448"
    if kind != key_kind or certificate.subject != subject_name(role, subjects):
        return False
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < start or end - now < (end - start) / 10:
        return False
    try:
        certificate.verify_directly_issued_by(issuer if issuer is not None else certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _write(path: Path, data: bytes, mode: int) -> None:
    """Replace the file as a whole; a key is never readable by others, not even for a moment."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
    temporary.replace(path)
