"""The TLS engine in memory: strict profile, who is let in, bounds."""

from __future__ import annotations

import contextlib
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from certs import PROFILES as CERT_PROFILES
from certs import LabPki, Role
from certs.issue import issue
from certs.lab import key_pem
from certs.profile import Subjects
from evse_controller.net.tls import (
    LAB_P256,
    STRICT,
    Credential,
    Handshake,
    Side,
    TlsContext,
    TlsError,
    load_credential,
    load_roots,
)
from tests.net.conftest import PkiMaker
from tests.net.support import handshake, tls_context

NOW = datetime.datetime.now(datetime.UTC)


def client_with(
    pki: LabPki, leaf: x509.Certificate, key: ec.EllipticCurvePrivateKey, subs: tuple[Role, ...]
) -> TlsContext:
    chain = leaf.public_bytes(Encoding.PEM) + b"".join(pki.certificate(role).read_bytes() for role in subs)
    credential = Credential(chain, key_pem(key))
    return TlsContext(Side.CLIENT, STRICT, credential, load_roots(*map(str, pki.trust_of_vehicle)))


def vehicle_with_extension(pki: LabPki, extension: x509.ExtensionType, critical: bool) -> TlsContext:
    """A vehicle whose leaf carries one more extension, correctly signed by the OEM."""
    issuer = x509.load_pem_x509_certificate(pki.certificate(Role.OEM_SUB2).read_bytes())
    issuer_key = load_pem_private_key(pki.key(Role.OEM_SUB2).read_bytes(), None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP521R1())
    good = issue(Role.VEHICLE, CERT_PROFILES["strict"], key, issuer_key, issuer, NOW, Subjects())
    builder = x509.CertificateBuilder(
        good.issuer,
        good.subject,
        key.public_key(),
        good.serial_number,
        good.not_valid_before_utc,
        good.not_valid_after_utc,
    )
    for present in good.extensions:
        builder = builder.add_extension(present.value, present.critical)
    leaf = builder.add_extension(extension, critical).sign(issuer_key, hashes.SHA512())
    return client_with(pki, leaf, key, (Role.OEM_SUB2, Role.OEM_SUB1))


def refused(server: TlsContext, client: TlsContext) -> str:
    engine = server.engine()
    with pytest.raises(TlsError) as caught:
        handshake(engine, client.engine())
    assert engine.state is Handshake.FAILED
    assert engine.take_ciphertext(), "the peer must be told by an alert"
    return caught.value.reason


@pytest.mark.parametrize("profile", ["strict", "strict-ed448"])
def test_strict_profile_mutual_handshake(lab: PkiMaker, profile: str) -> None:
    pki = lab(profile)
    server, client = tls_context(pki, Side.SERVER).engine(), tls_context(pki, Side.CLIENT).engine()
    handshake(server, client)
    assert server.state is client.state is Handshake.DONE
    assert (server.version, server.suite, server.group) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384", "secp521r1")
    assert len(server.peer_chain) == len(client.peer_chain) == 4
    assert server.peer_common_name == Subjects().evccid
    client.write(b"to the station")
    server.feed(client.take_ciphertext())
    server.write(b"to the car")
    client.feed(server.take_ciphertext())
    assert (server.read(), client.read()) == (b"to the station", b"to the car")
    server.close()
    client.feed(server.take_ciphertext())
    assert client.state is Handshake.CLOSED


def test_lab_p256_needs_its_switch(lab: PkiMaker) -> None:
    pki = lab("lab-p256")
    server, client = (
        tls_context(pki, Side.SERVER, "lab-p256").engine(),
        tls_context(pki, Side.CLIENT, "lab-p256").engine(),
    )
    handshake(server, client)
    assert server.state is client.state is Handshake.DONE
    # The same P-256 vehicle at a strict station: it has no signature algorithm in common, or its key kind is refused.
    strict = lab("strict")
    files = strict.files(Role.SECC)
    roots = load_roots(*map(str, pki.trust_of_secc))
    station = TlsContext(Side.SERVER, STRICT, load_credential(str(files.chain), str(files.key)), roots)
    vehicle_files = pki.files(Role.VEHICLE)
    vehicle = TlsContext(
        Side.CLIENT,
        LAB_P256,
        load_credential(str(vehicle_files.chain), str(vehicle_files.key)),
        load_roots(*map(str, strict.trust_of_vehicle)),
    )
    assert refused(station, vehicle)


def test_key_kind_outside_the_profile_is_refused(lab: PkiMaker) -> None:
    """A P-521 leaf below P-256 authorities must not pass the strict profile."""
    weak = lab("lab-p256")
    issuer = x509.load_pem_x509_certificate(weak.certificate(Role.OEM_SUB2).read_bytes())
    issuer_key = load_pem_private_key(weak.key(Role.OEM_SUB2).read_bytes(), None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP521R1())
    leaf = issue(Role.VEHICLE, CERT_PROFILES["lab-p256"], key, issuer_key, issuer, NOW, Subjects())
    strict = lab("strict")
    files = strict.files(Role.SECC)
    server = TlsContext(
        Side.SERVER,
        STRICT,
        load_credential(str(files.chain), str(files.key)),
        load_roots(*map(str, weak.trust_of_secc)),
    )
    chain = leaf.public_bytes(Encoding.PEM) + b"".join(
        weak.certificate(role).read_bytes() for role in (Role.OEM_SUB2, Role.OEM_SUB1)
    )
    client = TlsContext(
        Side.CLIENT, LAB_P256, Credential(chain, key_pem(key)), load_roots(*map(str, strict.trust_of_vehicle))
    )
    assert "not in profile strict" in refused(server, client)


def test_only_the_annex_b_extensions_may_be_critical(lab: PkiMaker) -> None:
    pki = lab("strict")
    foreign = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    reason = refused(tls_context(pki, Side.SERVER), vehicle_with_extension(pki, foreign, critical=True))
    assert "1.3.6.1.4.1.99999.1" in reason


def test_oversized_certificate_is_refused(lab: PkiMaker) -> None:
    pki = lab("strict")
    big = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.2"), b"\x04\x82\x05\xdc" + b"x" * 1500)
    reason = refused(tls_context(pki, Side.SERVER), vehicle_with_extension(pki, big, critical=False))
    assert "at most 1600" in reason


def test_station_leaf_is_no_vehicle(lab: PkiMaker) -> None:
    """Its chain ends in a trusted root, but serverAuth is not clientAuth."""
    pki = lab("strict")
    files = pki.files(Role.SECC)
    client = TlsContext(
        Side.CLIENT,
        STRICT,
        load_credential(str(files.chain), str(files.key)),
        load_roots(*map(str, pki.trust_of_vehicle)),
    )
    assert "purpose" in refused(tls_context(pki, Side.SERVER), client)


def test_vehicle_refuses_a_station_of_another_root(lab: PkiMaker) -> None:
    pki = lab("strict")
    server = tls_context(pki, Side.SERVER).engine()
    files = pki.files(Role.VEHICLE)
    stranger = TlsContext(
        Side.CLIENT,
        STRICT,
        load_credential(str(files.chain), str(files.key)),
        pki.certificate(Role.OEM_ROOT).read_bytes(),
    ).engine()
    with pytest.raises(TlsError, match="certificate verify failed"):
        handshake(server, stranger)
    assert stranger.state is Handshake.FAILED


def test_a_resumed_session_is_refused(lab: PkiMaker) -> None:
    """[V2G20-2677]; even if the cache that makes resumption impossible were on."""
    pki = lab("strict")
    context, client_context = tls_context(pki, Side.SERVER), tls_context(pki, Side.CLIENT)
    context._context.set_session_cache_mode(SSL.SESS_CACHE_SERVER)
    context._context.set_session_id(b"test")
    first, client = context.engine(), client_context.engine()
    handshake(first, client)
    session = client._connection.get_session()
    assert session is not None
    second = context.engine()
    connection = client_context.connection()
    connection.set_app_data(lambda: None)
    connection.set_connect_state()
    connection.set_session(session)
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    second.feed(connection.bio_read(65536))
    connection.bio_write(second.take_ciphertext())
    connection.do_handshake()
    with pytest.raises(TlsError, match="resumed"):
        second.feed(connection.bio_read(65536))


def test_ticket_cannot_be_redeemed(lab: PkiMaker) -> None:
    pki = lab("strict")
    context, client_context = tls_context(pki, Side.SERVER), tls_context(pki, Side.CLIENT)
    client = client_context.engine()
    handshake(context.engine(), client)
    session = client._connection.get_session()
    assert session is not None
    again, server = client_context.connection(), context.engine()
    again.set_app_data(lambda: None)
    again.set_connect_state()
    again.set_session(session)
    for _ in range(3):
        try:
            again.do_handshake()
        except SSL.WantReadError:
            server.feed(again.bio_read(65536))
            again.bio_write(server.take_ciphertext())
    server.feed(again.bio_read(65536))
    assert server.state is Handshake.DONE
    assert SSL._lib.SSL_session_reused(again._ssl) == 0


def test_request_names_our_roots(lab: PkiMaker) -> None:
    """[V2G20-2401] the CertificateRequest lists the roots a vehicle may use."""
    pki = lab("strict")
    server, client = tls_context(pki, Side.SERVER).engine(), tls_context(pki, Side.CLIENT).engine()
    handshake(server, client)
    names = {name.CN for name in client._connection.get_client_ca_list()}
    assert names == {"Lab oem-root", "Lab v2g-root"}


def records(stream: bytes) -> list[int]:
    kinds = []
    while stream:
        kinds.append(stream[0])
        stream = stream[5 + int.from_bytes(stream[3:5], "big") :]
    return kinds


def without_session_id(hello: bytes) -> bytes:
    """The same ClientHello from an EV that does not ask for middlebox compatibility."""
    assert hello[43] == 32
    body = hello[9:43] + b"\0" + hello[76:]
    handshake_part = hello[5:6] + len(body).to_bytes(3, "big") + body
    return hello[:3] + len(handshake_part).to_bytes(2, "big") + handshake_part


def test_compatibility_record_only_for_those_who_ask(lab: PkiMaker) -> None:
    pki = lab("strict")
    hello = tls_context(pki, Side.CLIENT).engine().take_ciphertext()
    context = tls_context(pki, Side.SERVER)
    asked, not_asked = context.engine(), context.engine()
    asked.feed(hello)
    not_asked.feed(without_session_id(hello))
    assert 20 in records(asked.take_ciphertext())
    answer = records(not_asked.take_ciphertext())
    assert answer
    assert 20 not in answer


def test_secrets_only_under_lab_keylog(lab: PkiMaker) -> None:
    pki = lab("strict")
    for keylog in (False, True):
        server, client = tls_context(pki, Side.SERVER, keylog=keylog).engine(), tls_context(pki, Side.CLIENT).engine()
        handshake(server, client)
        lines = server.take_keylog()
        assert (b"SERVER_TRAFFIC_SECRET_0 " in lines and lines.endswith(b"\n")) if keylog else lines == b""


def test_nothing_is_written_before_the_handshake(lab: PkiMaker) -> None:
    with pytest.raises(TlsError, match="handshake"):
        tls_context(lab("strict"), Side.SERVER).engine().write(b"early")


def test_ciphertext_and_cleartext_are_bounded(lab: PkiMaker) -> None:
    pki = lab("strict")
    context, client_context = tls_context(pki, Side.SERVER), tls_context(pki, Side.CLIENT)
    with pytest.raises(TlsError, match="too much"):
        context.engine().feed(b"\x16" * 300_000)
    server, client = context.engine(), client_context.engine()
    handshake(server, client)
    client.write(b"x" * 200_000)
    with pytest.raises(TlsError, match="faster than it is served"):
        server.feed(client.take_ciphertext())


def test_credential_errors_name_the_file(lab: PkiMaker, tmp_path: pytest.TempPathFactory) -> None:
    pki = lab("strict")
    secc, vehicle = pki.files(Role.SECC), pki.files(Role.VEHICLE)
    with pytest.raises(ValueError, match=r"vehicle\.key.*does not belong.*secc-chain\.pem"):
        load_credential(str(secc.chain), str(vehicle.key))
    with pytest.raises(ValueError, match=r"nowhere\.pem: No such file"):
        load_credential("nowhere.pem", str(vehicle.key))
    with pytest.raises(ValueError, match=r"secc\.key: no root certificate"):
        load_roots(str(secc.key))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_hello_never_does_more_than_tls_error(lab: PkiMaker, data: st.DataObject) -> None:
    pki = lab("strict")
    hello = bytearray(tls_context(pki, Side.CLIENT).engine().take_ciphertext())
    for _ in range(data.draw(st.integers(0, 4))):
        hello[data.draw(st.integers(0, len(hello) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(hello)))
    engine = tls_context(pki, Side.SERVER).engine()
    with contextlib.suppress(TlsError):  # the one error that a peer may cause
        engine.feed(bytes(hello[:cut]))
        engine.feed(bytes(hello[cut:]) or b"\0")
    assert engine.state is not Handshake.DONE
