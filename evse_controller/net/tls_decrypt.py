"""Plaintext of a captured TLS 1.3 connection whose secrets were logged (`lab-keylog`): RFC 8446 section 5.2 and 7.3.

For `evsectl decode` on captures; nothing on the live path uses it. Input is untrusted and only ever refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from evse_controller.net.capture_reader import Chunk, TcpStream

_SUITES: dict[int, tuple[type[AESGCM] | type[ChaCha20Poly1305], type[HashAlgorithm], int]] = {
    0x1301: (AESGCM, SHA256, 16),
    0x1302: (AESGCM, SHA384, 32),
    0x1303: (ChaCha20Poly1305, SHA256, 32),
}
_HANDSHAKE, _APPLICATION = 22, 23
_CLIENT_HELLO, _SERVER_HELLO, _FINISHED = 1, 2, 20


class DecryptError(Exception):
    """Why the connection cannot be read: no secrets, other TLS version, wrong secrets."""


def is_tls(stream: TcpStream) -> bool:
    """A stream whose client begins with a TLS handshake record."""
    return stream.data(True)[:2] == b"\x16\x03"


def decrypt(stream: TcpStream, keylog: bytes) -> Iterator[Chunk]:
    """Application data of both directions in order of capture. Raises DecryptError."""
    secrets = _parse_keylog(keylog)
    sides = {True: _Side(), False: _Side()}
    random: bytes | None = None
    suite: int | None = None
    for chunk in stream.chunks:
        side = sides[chunk.from_client]
        for kind, header, body in side.records(chunk.data):
            if kind == _HANDSHAKE and side.key is None:
                if chunk.from_client and body[:1] == bytes([_CLIENT_HELLO]):
                    random = body[6:38]
                elif not chunk.from_client and body[:1] == bytes([_SERVER_HELLO]):
                    at = 39 + body[38]
                    suite = struct.unpack_from(">H", body, at)[0] if len(body) >= at + 2 else None
            elif kind == _APPLICATION:
                if random is None or suite not in _SUITES:
                    raise DecryptError("the capture does not hold the TLS 1.3 handshake")
                names = ("CLIENT", "SERVER")[not chunk.from_client]
                if side.key is None:
                    side.use(suite, _secret(secrets, f"{names}_HANDSHAKE_TRAFFIC_SECRET", random))
                inner, plain = side.open(header, body)
                if inner == _APPLICATION and plain:
                    yield Chunk(chunk.time_s, chunk.from_client, plain)
                elif inner == _HANDSHAKE and side.finished(plain):
                    side.use(suite, _secret(secrets, f"{names}_TRAFFIC_SECRET_0", random))


def _parse_keylog(keylog: bytes) -> dict[tuple[str, bytes], bytes]:
    found: dict[tuple[str, bytes], bytes] = {}
    for line in keylog.decode("ascii", "replace").splitlines():
        parts = line.split()
        if len(parts) == 3:
            try:
                found[parts[0], bytes.fromhex(parts[1])] = bytes.fromhex(parts[2])
            except ValueError:
                continue  # a comment or a broken line of the log: the secret is then simply missing
    return found


def _secret(secrets: dict[tuple[str, bytes], bytes], label: str, random: bytes) -> bytes:
    try:
        return secrets[label, random]
    except KeyError:
        raise DecryptError("no TLS secrets for this connection (they are captured only under lab-keylog)") from None


class _Side:
    """One direction: cuts records, counts them, opens them with the present traffic secret."""

    def __init__(self) -> None:
        self.key: AESGCM | ChaCha20Poly1305 | None = None
        self._iv = b""
        self._sequence = 0
        self._buffer = b""
        self._handshake = b""

    def records(self, data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
        self._buffer += data
        while len(self._buffer) >= 5:
            kind, _, length = struct.unpack_from(">BHH", self._buffer)
            if len(self._buffer) < 5 + length:
                return
            header, body = self._buffer[:5], self._buffer[5 : 5 + length]
            self._buffer = self._buffer[5 + length :]
            yield kind, header, body

    def use(self, suite: int, secret: bytes) -> None:
        cipher, hash_type, key_length = _SUITES[suite]
        self.key = cipher(_expand(hash_type(), secret, b"key", key_length))
        self._iv = _expand(hash_type(), secret, b"iv", 12)
        self._sequence = 0
        self._handshake = b""

    def open(self, header: bytes, body: bytes) -> tuple[int, bytes]:
        nonce = (int.from_bytes(self._iv, "big") ^ self._sequence).to_bytes(12, "big")
        self._sequence += 1
        if self.key is None:
            raise DecryptError("a record came before its keys")
        try:
            inner = self.key.decrypt(nonce, body, header).rstrip(b"\x00")
        except InvalidTag:
            raise DecryptError("the logged secrets do not open this connection") from None
        return (inner[-1], inner[:-1]) if inner else (0, b"")

    def finished(self, plain: bytes) -> bool:
        """True once the handshake messages of this direction hold Finished."""
        self._handshake += plain
        while len(self._handshake) >= 4:
            length = int.from_bytes(self._handshake[1:4], "big")
            if len(self._handshake) < 4 + length:
                return False
            if self._handshake[0] == _FINISHED:
                return True
            self._handshake = self._handshake[4 + length :]
        return False


def _expand(algorithm: HashAlgorithm, secret: bytes, label: bytes, length: int) -> bytes:
    info = struct.pack(">H", length) + bytes([6 + len(label)]) + b"tls13 " + label + b"\x00"
    return HKDFExpand(algorithm, length, info).derive(secret)
