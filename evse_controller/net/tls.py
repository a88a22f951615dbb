"""TLS 1.3 engine without I/O (pyOpenSSL memory BIOs): ciphertext in, ciphertext out, clear text beside it.

Why pyOpenSSL and not the standard `ssl`: ISO 15118-20 Annex B certificates mark AKI, SKI, AIA and CDP critical, and
only a verify callback can accept exactly those (see `tls_trust`); TLS 1.3 suites, groups and signature algorithms must
also be restricted. Profiles are data, because the standard's amendment may move them.

Known gaps, stated: OCSP staples for the intermediates and signed RFC 6961 lists need another engine; two stateful
tickets are still sent after the handshake (they can never be redeemed: cache off, and a reused session is refused).
"""

from __future__ import annotations

import enum
import weakref
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto

from evse_controller.net.tls_trust import (
    LAB_P256,
    MAX_INTERMEDIATES,
    PROFILES,
    STRICT,
    Credential,
    TlsProfile,
    load_credential,
    load_roots,
    verify_problem,
)

__all__ = [
    "LAB_P256",
    "PROFILES",
    "STRICT",
    "Credential",
    "Handshake",
    "Side",
    "TlsContext",
    "TlsEngine",
    "TlsError",
    "TlsProfile",
    "load_credential",
    "load_roots",
]

MAX_PENDING_CIPHERTEXT = 256 * 1024
MAX_PENDING_CLEARTEXT = 128 * 1024
_READ_CHUNK = 16384
_CCS_RECORD = b"\x14\x03\x03\x00\x01\x01"


class TlsError(Exception):
    """The TLS connection is dead. `reason` is one sentence for the technician; an alert may still be pending."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Side(enum.Enum):
    SERVER = "server"
    CLIENT = "client"


class Handshake(enum.Enum):
    """Where the connection stands. FAILED and CLOSED are final."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CLOSED = "closed"


class TlsContext:
    """Everything that connections of one kind share. Building it costs milliseconds, an engine from it microseconds.

    `roots_pem` are the trust anchors for the *peer*: a server's are V2G and OEM roots (they are also named in its
    CertificateRequest [V2G20-2401]), a client's the V2G roots. `lab_keylog` collects TLS secrets per connection.
    Raises ValueError for unusable certificates, keys or profile lists.
    """

    def __init__(
        self,
        side: Side,
        profile: TlsProfile,
        credential: Credential | None,
        roots_pem: bytes,
        *,
        lab_keylog: bool = False,
    ) -> None:
        if side is Side.SERVER and credential is None:
            raise ValueError("a TLS server needs a credential")
        self.side = side
        self.profile = profile
        self.lab_keylog = lab_keylog
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_max_proto_version(SSL.TLS1_3_VERSION)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_NO_COMPRESSION)
        context.set_tls13_ciphersuites(":".join(profile.suites).encode())
        _set_list(context, "SSL_CTX_set1_curves_list", profile.groups)
        _set_list(context, "SSL_CTX_set1_sigalgs_list", profile.signature_algorithms)
        if credential is not None:
            _use_credential(context, credential)
        store = context.get_cert_store()
        if store is None:
            raise ValueError("OpenSSL gave no certificate store")
        for root in x509.load_pem_x509_certificates(roots_pem):
            store.add_cert(crypto.X509.from_cryptography(root))
            if side is Side.SERVER:
                context.add_client_ca(root)
        context.set_verify_depth(MAX_INTERMEDIATES)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._verify)
        if lab_keylog:
            context.set_keylog_callback(self._keylog)
        self._context = context

    def engine(self) -> TlsEngine:
        """A fresh connection on this context."""
        return TlsEngine(self)

    def _verify(self, connection: SSL.Connection, cert: crypto.X509, error: int, depth: int, ok: int) -> bool:
        engine: TlsEngine | None = connection.get_app_data()()
        problem = verify_problem(cert, error, depth, self.profile)
        if problem is not None and engine is not None:
            engine.note_verify_problem(problem)
        return problem is None

    def _keylog(self, connection: SSL.Connection, line: bytes) -> None:
        engine: TlsEngine | None = connection.get_app_data()()
        if engine is not None:
            engine.note_keylog(line)

    def connection(self) -> SSL.Connection:
        """A bare OpenSSL connection; used by `TlsEngine` only."""
        return SSL.Connection(self._context, None)


class TlsEngine:
    """One TLS connection: `feed` what came from TCP, send what `take_ciphertext` gives, `read`/`write` clear text.

    Every method that can fail raises TlsError; afterwards `take_ciphertext` may still hold the alert for the peer.
    Buffers are bounded: more than 256 KiB of ciphertext in one `feed`, or 128 KiB of unread clear text, is an error.
    """

    def __init__(self, context: TlsContext) -> None:
        self.state = Handshake.RUNNING
        self.reason: str | None = None
        self._server = context.side is Side.SERVER
        self._profile = context.profile
        self._verify_problem: str | None = None
        self._keylog = bytearray()
        self._clear = bytearray()
        self._hello_head = bytearray()
        self._strip_ccs = False
        self._connection = context.connection()
        self._connection.set_app_data(weakref.ref(self))  # no cycle: a dropped engine frees its memory at once
        if self._server:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
            self._advance()

    def feed(self, ciphertext: bytes) -> None:
        """Take bytes from the peer and advance the handshake or decrypt. Raises TlsError when the connection died."""
        if self.state in (Handshake.FAILED, Handshake.CLOSED):
            raise TlsError(self.reason or "TLS connection is closed")
        if len(ciphertext) > MAX_PENDING_CIPHERTEXT:
            raise self._fail("too much TLS data at once")
        if self._server and len(self._hello_head) < 44:
            self._look_at_hello(ciphertext)
        view = memoryview(ciphertext)
        while view:
            taken = self._connection.bio_write(bytes(view[:_READ_CHUNK]))
            view = view[taken:]
            self._advance()

    def take_ciphertext(self) -> bytes:
        """Bytes to send to the peer, in order; empty when there are none."""
        out = bytearray()
        while True:
            try:
                out += self._connection.bio_read(_READ_CHUNK * 4)
            except SSL.WantReadError:
                break
            except SSL.Error:
                break
        return _without_ccs(bytes(out)) if self._strip_ccs and self.state is not Handshake.DONE else bytes(out)

    def read(self) -> bytes:
        """Decrypted bytes received so far; empty when there are none."""
        clear = bytes(self._clear)
        self._clear.clear()
        return clear

    def write(self, data: bytes) -> None:
        """Encrypt `data` for the peer. Raises TlsError before the handshake is done or after the connection died."""
        if self.state is not Handshake.DONE:
            raise TlsError(self.reason or f"TLS handshake is {self.state.value}")
        view = memoryview(data)
        try:
            while view:
                view = view[self._connection.send(bytes(view[:_READ_CHUNK])) :]
        except SSL.Error as error:
            raise self._fail(_reason(error)) from error

    def close(self) -> None:
        """Queue close_notify; the connection accepts nothing more."""
        if self.state is Handshake.DONE:
            try:
                self._connection.shutdown()
            except SSL.Error as error:
                self.reason = _reason(error)
            self.state = Handshake.CLOSED
        elif self.state is Handshake.RUNNING:
            self.state = Handshake.CLOSED

    @property
    def peer_chain(self) -> tuple[bytes, ...]:
        """The verified peer chain as DER, leaf first, root last; empty before the handshake is done."""
        if self.state is Handshake.RUNNING:
            return ()
        chain = self._connection.get_verified_chain(as_cryptography=True) or []
        return tuple(cert.public_bytes(Encoding.DER) for cert in chain)

    @property
    def peer_certificate(self) -> bytes | None:
        """The peer's leaf as DER; a resumed -20 session is bound to its hash [V2G20-2545]."""
        chain = self.peer_chain
        return chain[0] if chain else None

    @property
    def peer_common_name(self) -> str | None:
        """CN of the peer's leaf: the EVCCID of a vehicle certificate [V2G20-2598]."""
        leaf = self.peer_certificate
        if leaf is None:
            return None
        names = x509.load_der_x509_certificate(leaf).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(names[0].value) if names else None

    @property
    def suite(self) -> str | None:
        """Negotiated cipher suite, None before there is one."""
        return self._connection.get_cipher_name()

    @property
    def group(self) -> str | None:
        """Negotiated key exchange group in OpenSSL's lower-case name (`secp521r1`, `x448`), None before."""
        return self._connection.get_group_name() if self.state is not Handshake.RUNNING else None

    @property
    def version(self) -> str:
        return self._connection.get_protocol_version_name()

    def take_keylog(self) -> bytes:
        """NSS key log lines collected since the last call; always empty without `lab_keylog`."""
        lines = bytes(self._keylog)
        self._keylog.clear()
        return lines

    def note_verify_problem(self, problem: str) -> None:
        self._verify_problem = self._verify_problem or problem

    def note_keylog(self, line: bytes) -> None:
        self._keylog += line + b"\n"

    def _advance(self) -> None:
        try:
            if self.state is Handshake.RUNNING:
                self._connection.do_handshake()
                self._check_negotiated()
                self.state = Handshake.DONE
            self._drain_clear()
        except SSL.WantReadError:
            return
        except SSL.ZeroReturnError:
            self.state = Handshake.CLOSED
            self.reason = "peer closed the TLS connection"
        except SSL.Error as error:
            raise self._fail(_reason(error)) from error

    def _drain_clear(self) -> None:
        while True:
            self._clear += self._connection.recv(_READ_CHUNK)
            if len(self._clear) > MAX_PENDING_CLEARTEXT:
                raise self._fail("peer sends faster than it is served")

    def _check_negotiated(self) -> None:
        # [V2G20-2677] V2G traffic only on a full handshake.
        if _lib().SSL_session_reused(self._connection._ssl):
            raise self._fail("peer resumed an old TLS session; a full handshake is required")
        if self._connection.get_protocol_version() != SSL.TLS1_3_VERSION:
            raise self._fail(f"negotiated {self.version}, TLS 1.3 is required")

    def _fail(self, reason: str) -> TlsError:
        self.state = Handshake.FAILED
        self.reason = f"{reason}: {self._verify_problem}" if self._verify_problem else reason
        return TlsError(self.reason)

    def _look_at_hello(self, data: bytes) -> None:
        """Middlebox-compatibility CCS goes out only to a client that asked for it with a legacy session id.

        OpenSSL sends it always; the byte at 43 of the first record (5 + 4 + 2 + 32) is that id's length.
        """
        self._hello_head += data[: 44 - len(self._hello_head)]
        if len(self._hello_head) == 44:
            self._strip_ccs = self._hello_head[0] == 0x16 and self._hello_head[43] == 0


def _lib() -> Any:
    return SSL._lib  # type: ignore[attr-defined]


def _set_list(context: SSL.Context, function: str, names: tuple[str, ...]) -> None:
    """Call one of the two OpenSSL setters that pyOpenSSL binds but does not wrap."""
    if getattr(_lib(), function)(context._context, ":".join(names).encode()) != 1:
        SSL._lib.ERR_clear_error()  # type: ignore[attr-defined]
        raise ValueError(f"OpenSSL refuses {function}({':'.join(names)})")


def _use_credential(context: SSL.Context, credential: Credential) -> None:
    chain = x509.load_pem_x509_certificates(credential.chain_pem)
    key = load_pem_private_key(credential.key_pem, password=None)
    context.use_certificate(chain[0])
    for certificate in chain[1:]:
        if certificate.subject != certificate.issuer:  # the root is never sent [V2G20-2399]
            context.add_extra_chain_cert(certificate)
    context.use_privatekey(key)  # type: ignore[arg-type]
    try:
        context.check_privatekey()
    except SSL.Error as error:
        raise ValueError("private key does not belong to the leaf certificate") from error


def _reason(error: SSL.Error) -> str:
    """OpenSSL's own reasons, joined; an abrupt end of the peer has none."""
    if error.args and isinstance(error.args[0], list):
        reasons = [entry[2] for entry in error.args[0] if len(entry) > 2 and entry[2]]
        if reasons:
            return "TLS: " + "; ".join(reasons)
    return f"TLS: {type(error).__name__} {' '.join(str(arg) for arg in error.args)}".rstrip()


def _without_ccs(records: bytes) -> bytes:
    """Drop ChangeCipherSpec records from a run of whole TLS records."""
    out, at = bytearray(), 0
    while at + 5 <= len(records):
        end = at + 5 + int.from_bytes(records[at + 3 : at + 5], "big")
        if records[at:end] != _CCS_RECORD:
            out += records[at:end]
        at = end
    return bytes(out + records[at:])
