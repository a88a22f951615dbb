"""pcapng writer without root: packets are synthesised from the bytes really read from and written to our sockets.

Under TLS the payload is the ciphertext as it crossed the wire; addresses and ports are the real ones; MAC addresses,
TCP sequence numbers and segmentation are made up but consistent (handshake, ACKs, FIN, right checksums), so that
Wireshark follows the streams. TLS secrets enter the file (Decryption Secrets Block) only under `lab-keylog`.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MAX_FILE_BYTES = 64 * 1024 * 1024
SEGMENT_BYTES = 1400
_FLUSH_EVERY_S = 1.0
_LINKTYPE_ETHERNET = 1
_TCP, _UDP = 6, 17
_FIN, _SYN, _RST, _PSH, _ACK = 0x01, 0x02, 0x04, 0x08, 0x10
_LOCAL_MAC, _PEER_MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv6 transport address, e.g. `Address("fe80::1", 15118)`; a scope (`%eth0`) is dropped."""

    host: str
    port: int

    def packed(self) -> bytes:
        return socket.inet_pton(socket.AF_INET6, self.host.partition("%")[0])


class Capture:
    """One pcapng file (mode 0600, replaced when it exists). Never raises after it was opened.

    At `max_bytes`, or when the disk refuses, it stops for good, closes the file and calls `on_stop` once with the
    reason: the capture is never worth more than the session. `utc_s` gives Unix seconds. Raises OSError when it cannot
    open.
    """

    def __init__(
        self,
        path: str | Path,
        interface: str = "v2g",
        *,
        utc_s: Callable[[], float] = time.time,
        max_bytes: int = MAX_FILE_BYTES,
        lab_keylog: bool = False,
        on_stop: Callable[[str], None] | None = None,
    ) -> None:
        self.path = Path(path)
        self.packets = 0
        self._utc_s = utc_s
        self._max_bytes = max_bytes
        self._lab_keylog = lab_keylog
        self._on_stop = on_stop
        self._written = 0
        self._flushed_s = time.monotonic()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.fchmod(descriptor, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=65536)
        self._write(_section_header())
        self._write(_interface_description(interface))

    @property
    def stopped(self) -> bool:
        """True once closed or full; everything else is then silently ignored."""
        return self._file.closed

    def tcp(self, local: Address, peer: Address) -> TcpCapture:
        """Begin a TCP connection that `peer` opened to us: writes SYN, SYN-ACK, ACK."""
        return TcpCapture(self, local, peer)

    def udp(self, source: Address, destination: Address, payload: bytes, *, sent: bool) -> None:
        """One datagram; `sent` tells whether it left or reached us."""
        udp = struct.pack("!HHHH", source.port, destination.port, 8 + len(payload), 0) + payload
        checksum = _checksum(source, destination, _UDP, udp) or 0xFFFF
        self.packet(source, destination, _UDP, udp[:6] + checksum.to_bytes(2, "big") + payload, sent=sent)

    def secrets(self, lines: bytes) -> None:
        """NSS key log lines. Raises ValueError unless the capture was made with `lab_keylog`."""
        if not self._lab_keylog:
            raise ValueError("TLS secrets may be captured only under lab-keylog")
        self._write(_block(0x0A, struct.pack("<II", 0x544C534B, len(lines)) + _padded(lines)))

    def packet(self, source: Address, destination: Address, protocol: int, segment: bytes, *, sent: bool) -> None:
        """One IPv6 packet on synthetic Ethernet, stamped now."""
        macs = _PEER_MAC + _LOCAL_MAC if sent else _LOCAL_MAC + _PEER_MAC
        header = struct.pack("!IHBB", 0x60000000, len(segment), protocol, 64) + source.packed() + destination.packed()
        frame = macs + b"\x86\xdd" + header + segment
        stamp = int(self._utc_s() * 1e6) * 1000
        fields = struct.pack("<IIIII", 0, stamp >> 32, stamp & 0xFFFFFFFF, len(frame), len(frame))
        self._write(_block(0x06, fields + _padded(frame)))
        self.packets += 1

    def flush(self) -> None:
        """Hand everything to the operating system."""
        try:
            if not self._file.closed:
                self._file.flush()
        except OSError as error:
            self._stop(f"capture {self.path} stopped: {error.strerror}")

    def close(self) -> None:
        """End the file. Harmless when already stopped."""
        self.flush()
        self._file.close()

    def _write(self, block: bytes) -> None:
        if self._file.closed:
            return
        if self._written + len(block) > self._max_bytes:
            self._stop(f"capture {self.path} stopped at its limit of {self._max_bytes} bytes")
            return
        try:
            self._file.write(block)
            if time.monotonic() - self._flushed_s > _FLUSH_EVERY_S:
                self._file.flush()
                self._flushed_s = time.monotonic()
        except OSError as error:
            self._stop(f"capture {self.path} stopped: {error.strerror}")
            return
        self._written += len(block)

    def _stop(self, reason: str) -> None:
        try:
            self._file.close()
        except OSError as error:  # close() flushes; a full disk must not reach the session
            reason = f"{reason}; closing it failed: {error.strerror}"
        if self._on_stop is not None:
            self._on_stop(reason)


class TcpCapture:
    """One TCP connection in the capture. Feed it what was really read and written, in that order."""

    def __init__(self, capture: Capture, local: Address, peer: Address) -> None:
        self._capture = capture
        self._local, self._peer = local, peer
        self._local_seq = self._peer_seq = 0
        self._finished = False
        mss = struct.pack("!BBH", 2, 4, SEGMENT_BYTES)
        self._segment(False, _SYN, options=mss)
        self._segment(True, _SYN | _ACK, options=mss)
        self._segment(False, _ACK)

    def received(self, data: bytes) -> None:
        """Bytes read from the socket."""
        self._data(False, data)

    def sent(self, data: bytes) -> None:
        """Bytes handed to the socket."""
        self._data(True, data)

    def finished(self, *, by_peer: bool, reset: bool = False) -> None:
        """The connection ended: an orderly FIN exchange begun by one side, or a reset. Later calls do nothing."""
        if self._finished:
            return
        self._finished = True
        if reset:
            self._segment(not by_peer, _RST | _ACK)
        else:
            self._segment(not by_peer, _FIN | _ACK)
            self._segment(by_peer, _FIN | _ACK)
            self._segment(not by_peer, _ACK)
        self._capture.flush()

    def _data(self, sent: bool, data: bytes) -> None:
        for at in range(0, len(data), SEGMENT_BYTES):
            self._segment(sent, _PSH | _ACK, data[at : at + SEGMENT_BYTES])

    def _segment(self, sent: bool, flags: int, data: bytes = b"", options: bytes = b"") -> None:
        source, destination = (self._local, self._peer) if sent else (self._peer, self._local)
        seq, ack = (self._local_seq, self._peer_seq) if sent else (self._peer_seq, self._local_seq)
        offset = (20 + len(options)) // 4 << 4
        head = struct.pack(
            "!HHIIBBH", source.port, destination.port, seq, ack if flags & _ACK else 0, offset, flags, 0xFFFF
        )
        segment = head + b"\0\0\0\0" + options + data
        checksum = _checksum(source, destination, _TCP, segment).to_bytes(2, "big")
        self._capture.packet(source, destination, _TCP, head + checksum + b"\0\0" + options + data, sent=sent)
        advance = (len(data) + bool(flags & (_SYN | _FIN))) & 0xFFFFFFFF
        if sent:
            self._local_seq = (seq + advance) & 0xFFFFFFFF
        else:
            self._peer_seq = (seq + advance) & 0xFFFFFFFF


def _checksum(source: Address, destination: Address, protocol: int, segment: bytes) -> int:
    """The Internet checksum with IPv6 pseudo header: 2**16 is 1 modulo 65535, so one big modulo sums all words."""
    pseudo = source.packed() + destination.packed() + struct.pack("!II", len(segment), protocol)
    total = int.from_bytes(pseudo + segment + b"\0" * (len(segment) % 2), "big") % 0xFFFF
    return 0xFFFF ^ (total or 0xFFFF)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    length = (12 + len(body)).to_bytes(4, "little")
    return kind.to_bytes(4, "little") + length + body + length


def _section_header() -> bytes:
    options = _option(4, b"evse-controller (packets synthesised from socket data)") + _option(0, b"")
    return _block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + options)


def _interface_description(name: str) -> bytes:
    nanoseconds = _option(9, b"\x09")
    return _block(
        0x01, struct.pack("<HHI", _LINKTYPE_ETHERNET, 0, 0) + _option(2, name.encode()) + nanoseconds + _option(0, b"")
    )
