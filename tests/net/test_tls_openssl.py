"""The strict profile against a foreign client over real sockets: `openssl s_client`, alerts asserted."""

from __future__ import annotations

import asyncio
import datetime
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from certs import PROFILES as CERT_PROFILES
from certs import LabPki, Role, make_lab
from certs.issue import issue
from certs.lab import key_pem
from certs.profile import Subjects
from evse_controller.net.tls import Side, TlsContext
from tests.net.conftest import PkiMaker
from tests.net.support import frame, serving, tls_context

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="needs the openssl command line tool as foreign client")

STRICT_CLIENT = ("-tls1_3", "-groups", "P-521", "-sigalgs", "ECDSA+SHA512")
ALERT = re.compile(r"alert number (\d+)")


@dataclass
class Seen:
    """What the foreign client printed, and the alert it received."""

    output: str
    answer: bool
    alert: int | None
    events: str


async def talk(server: TlsContext, arguments: tuple[str, ...]) -> Seen:
    """Connect with s_client, send one frame that asks for an answer and the end; gather everything."""
    async with serving(server) as bench:
        assert OPENSSL is not None
        assert bench.server.tls_endpoint is not None
        process = await asyncio.create_subprocess_exec(
            OPENSSL, "s_client", "-connect", f"[::1]:{bench.server.tls_endpoint[1]}", "-ign_eof", *arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        printed, _ = await asyncio.wait_for(process.communicate(frame(b"bye")), 20)
        text = printed.decode(errors="replace")
        alert = ALERT.search(text)
        told = bench.hooks.text("tls-failed")
        return Seen(text, b"eyb" in printed, int(alert[1]) if alert else None, told)


def vehicle_arguments(chain: Path, key: Path) -> tuple[str, ...]:
    return ("-cert", str(chain), "-key", str(key), "-cert_chain", str(chain))


def lab_vehicle(pki: LabPki) -> tuple[str, ...]:
    files = pki.files(Role.VEHICLE)
    return vehicle_arguments(files.chain, files.key)


@pytest.mark.parametrize(
    ("profile", "arguments"),
    [
        ("strict", STRICT_CLIENT),
        ("strict", ("-tls1_3", "-groups", "P-256:P-521", "-sigalgs", "ECDSA+SHA512:ECDSA+SHA256")),
        ("strict", ("-groups", "P-521", "-sigalgs", "ECDSA+SHA512")),
        ("strict", (*STRICT_CLIENT, "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256")),
        ("strict-ed448", ("-tls1_3", "-groups", "X448", "-sigalgs", "ed448")),
    ],
    ids=["P-521", "hello-retry-from-P-256", "1.2-and-1.3", "chacha20", "ed448-x448"],
)
def test_strict_client_is_served(lab: PkiMaker, profile: str, arguments: tuple[str, ...]) -> None:
    pki = lab(profile)
    seen = asyncio.run(talk(tls_context(pki, Side.SERVER), (*arguments, *lab_vehicle(pki))))
    assert seen.answer, seen.output + seen.events
    assert "New, TLSv1.3" in seen.output
    assert "Acceptable client certificate CA names" in seen.output
    assert "\nrequested signature algorithms: ecdsa+sha512:ed448\n" in seen.output.lower()
    assert "CN = Lab oem-root" in seen.output.replace("CN=", "CN = ")


@pytest.mark.parametrize(
    ("arguments", "alert"),
    [
        (("-tls1_3", "-groups", "P-256", "-sigalgs", "ECDSA+SHA512"), 40),
        (("-tls1_3", "-groups", "X25519", "-sigalgs", "ECDSA+SHA512"), 40),
        (("-tls1_3", "-groups", "P-521", "-sigalgs", "rsa_pss_rsae_sha256"), 40),
        (("-tls1_3", "-groups", "P-521", "-sigalgs", "ECDSA+SHA256"), 40),
        ((*STRICT_CLIENT, "-ciphersuites", "TLS_AES_128_GCM_SHA256"), 40),
        (("-tls1_2",), 70),
        (("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), 70),
    ],
    ids=["P-256-only", "X25519-only", "RSA-only", "SHA256-only", "AES128-only", "TLS-1.2", "TLS-1.1"],
)
def test_weak_client_is_refused_with_the_right_alert(lab: PkiMaker, arguments: tuple[str, ...], alert: int) -> None:
    pki = lab("strict")
    seen = asyncio.run(talk(tls_context(pki, Side.SERVER), (*arguments, *lab_vehicle(pki))))
    assert not seen.answer
    assert seen.alert == alert, seen.output
    assert seen.events, "the refusal stands in the journal"


def test_no_client_certificate_is_refused(lab: PkiMaker) -> None:
    seen = asyncio.run(talk(tls_context(lab("strict"), Side.SERVER), STRICT_CLIENT))
    assert (seen.answer, seen.alert) == (False, 116)


def test_wrong_root_is_refused(lab: PkiMaker, tmp_path: Path) -> None:
    stranger = make_lab(tmp_path / "other", "strict", Subjects(oem="Other OEM"))
    seen = asyncio.run(talk(tls_context(lab("strict"), Side.SERVER), (*STRICT_CLIENT, *lab_vehicle(stranger))))
    assert (seen.answer, seen.alert) == (False, 48)
    assert "Other OEM" in seen.events


@pytest.mark.parametrize(("start_days", "alert", "why"), [(-30, 45, "expired"), (30, 42, "not yet valid")])
def test_certificate_outside_its_life_is_refused(
    lab: PkiMaker, tmp_path: Path, start_days: int, alert: int, why: str
) -> None:
    pki = lab("strict")
    issuer = x509.load_pem_x509_certificate(pki.certificate(Role.OEM_SUB2).read_bytes())
    issuer_key = load_pem_private_key(pki.key(Role.OEM_SUB2).read_bytes(), None)
    profile = CERT_PROFILES["strict"]
    key = profile.new_key()
    start = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=start_days)
    leaf = issue(Role.VEHICLE, profile, key, issuer_key, issuer, start, Subjects(), lifetime_days=10)  # type: ignore[arg-type]
    chain, key_file = tmp_path / "chain.pem", tmp_path / "vehicle.key"
    subs = b"".join(pki.certificate(role).read_bytes() for role in (Role.OEM_SUB2, Role.OEM_SUB1))
    chain.write_bytes(leaf.public_bytes(Encoding.PEM) + subs)
    key_file.write_bytes(key_pem(key))
    seen = asyncio.run(talk(tls_context(pki, Side.SERVER), (*STRICT_CLIENT, *vehicle_arguments(chain, key_file))))
    assert (seen.answer, seen.alert) == (False, alert), seen.output
    assert why in seen.events


def test_old_session_gives_a_full_handshake(lab: PkiMaker, tmp_path: Path) -> None:
    """[V2G20-2677]: what the server's tickets name can never be resumed."""
    pki, ticket = lab("strict"), tmp_path / "session.pem"
    server = tls_context(pki, Side.SERVER)
    first = asyncio.run(talk(server, (*STRICT_CLIENT, *lab_vehicle(pki), "-sess_out", str(ticket))))
    assert first.answer
    assert ticket.exists()
    second = asyncio.run(talk(server, (*STRICT_CLIENT, *lab_vehicle(pki), "-sess_in", str(ticket))))
    assert second.answer
    assert "Reused" not in second.output
