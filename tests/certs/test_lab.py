"""The lab PKI: complete, verifiable, private, idempotent; its errors name the file."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.x509.oid import ExtensionOID, NameOID, SignatureAlgorithmOID

from certs import PROFILES, Role, make_lab
from certs.__main__ import main
from certs.lab import chain_roles
from certs.profile import ROLES, Subjects

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.mark.parametrize("profile", list(PROFILES))
def test_every_certificate_is_issued_by_the_one_above(tmp_path: Path, profile: str) -> None:
    pki = make_lab(tmp_path, profile)
    for role, spec in ROLES.items():
        load(pki.certificate(role)).verify_directly_issued_by(load(pki.certificate(spec.issuer)))
        constraints = load(pki.certificate(role)).extensions.get_extension_for_class(x509.BasicConstraints)
        assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (
            True,
            spec.is_ca,
            spec.path_length,
        )


def test_strict_profile_is_p521_with_critical_annex_b_extensions(tmp_path: Path) -> None:
    pki = make_lab(tmp_path, "strict")
    for role in Role:
        certificate = load(pki.certificate(role))
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp521r1"
        assert certificate.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA512
        assert certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_KEY_IDENTIFIER).critical
        if ROLES[role].issuer is not role:
            for oid in (
                ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
                ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
                ExtensionOID.CRL_DISTRIBUTION_POINTS,
            ):
                assert certificate.extensions.get_extension_for_oid(oid).critical


def test_other_profiles_have_their_kind_of_key(tmp_path: Path) -> None:
    p256 = load(make_lab(tmp_path / "a", "lab-p256").certificate(Role.SECC)).public_key()
    assert isinstance(p256, ec.EllipticCurvePublicKey)
    assert p256.curve.name == "secp256r1"
    assert isinstance(
        load(make_lab(tmp_path / "b", "strict-ed448").certificate(Role.SECC)).public_key(), ed448.Ed448PublicKey
    )


def test_vehicle_leaf_names_the_evccid_and_nothing_else(tmp_path: Path) -> None:
    """[V2G20-2598] CN=EVCCID, O=OEM, no other RDN."""
    pki = make_lab(tmp_path, subjects=Subjects(evccid="WAUZZZTEST", oem="An OEM"))
    subject = load(pki.certificate(Role.VEHICLE)).subject
    assert [(item.oid, item.value) for item in subject] == [
        (NameOID.COMMON_NAME, "WAUZZZTEST"),
        (NameOID.ORGANIZATION_NAME, "An OEM"),
    ]


def test_keys_are_private_and_chains_have_no_root(tmp_path: Path) -> None:
    pki = make_lab(tmp_path)
    for role in Role:
        assert pki.key(role).stat().st_mode & 0o777 == 0o600
    for leaf in (Role.SECC, Role.VEHICLE):
        chain, key, root = pki.pem(leaf)
        certificates = x509.load_pem_x509_certificates(chain)
        assert len(certificates) == len(chain_roles(leaf)) == 3
        assert all(certificate.subject != certificate.issuer for certificate in certificates)
        assert b"PRIVATE KEY" in key
        assert (
            load(pki.files(leaf).root).subject
            == certificates[-1].issuer
            == x509.load_pem_x509_certificate(root).subject
        )
    with pytest.raises(ValueError, match="authority"):
        pki.files(Role.OEM_SUB1)


def test_certificates_fit_the_schema(tmp_path: Path) -> None:
    """At most 1600 octets DER each."""
    pki = make_lab(tmp_path)
    for role in Role:
        pem = pki.certificate(role).read_text()
        assert len("".join(pem.splitlines()[1:-1])) * 3 // 4 <= 1600


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_second_run_changes_nothing(tmp_path: Path) -> None:
    assert make_lab(tmp_path, now=NOW).changed
    before = snapshot(tmp_path)
    assert not make_lab(tmp_path, now=NOW).changed
    assert snapshot(tmp_path) == before


def test_near_its_end_a_leaf_is_renewed_below_the_same_authorities(tmp_path: Path) -> None:
    make_lab(tmp_path, now=NOW)
    before = snapshot(tmp_path)
    assert make_lab(tmp_path, now=NOW + datetime.timedelta(days=85)).changed
    after = snapshot(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"secc.pem", "secc.key", "secc-chain.pem"}


def test_another_profile_or_name_reissues_what_depends_on_it(tmp_path: Path) -> None:
    make_lab(tmp_path, now=NOW)
    before = snapshot(tmp_path)
    make_lab(tmp_path, subjects=Subjects(evccid="OTHER"), now=NOW)
    after = snapshot(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {
        "vehicle.pem",
        "vehicle.key",
        "vehicle-chain.pem",
    }
    make_lab(tmp_path, "lab-p256", now=NOW)
    assert all(content != after[name] for name, content in snapshot(tmp_path).items())


def test_broken_files_are_named(tmp_path: Path) -> None:
    make_lab(tmp_path)
    (tmp_path / "oem-sub1.pem").write_text("not a certificate")
    with pytest.raises(ValueError, match=r"oem-sub1\.pem: not a certificate"):
        make_lab(tmp_path)
    (tmp_path / "oem-sub1.pem").unlink()
    with pytest.raises(ValueError, match=r"oem-sub1\.pem: missing"):
        make_lab(tmp_path)
    with pytest.raises(ValueError, match="unknown certificate profile 'nosuch'"):
        make_lab(tmp_path, "nosuch")


def test_a_key_of_another_certificate_is_named(tmp_path: Path) -> None:
    make_lab(tmp_path)
    (tmp_path / "secc.key").write_bytes((tmp_path / "vehicle.key").read_bytes())
    with pytest.raises(ValueError, match=r"secc\.key: does not belong to .*secc\.pem"):
        make_lab(tmp_path)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "--out", str(tmp_path / "pki"), "--profile", "lab-p256"]) == 0
    assert "wrote lab PKI (lab-p256)" in capsys.readouterr().out
    assert main(["lab", "--out", str(tmp_path / "pki"), "--profile", "lab-p256"]) == 0
    assert "kept" in capsys.readouterr().out
    (tmp_path / "file").write_text("")
    assert main(["lab", "--out", str(tmp_path / "file")]) == 1
    assert "file" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main(["lab"])
    assert caught.value.code == 2


def test_runs_as_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "certs", "lab", "--out", str(tmp_path / "x")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
