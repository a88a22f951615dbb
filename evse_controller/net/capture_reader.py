"""Read pcapng files, ours or Wireshark's: packets, TLS secrets, UDP datagrams and reassembled TCP streams.

Input is untrusted: lengths are checked before use, unknown blocks and link types are skipped and counted, a file cut
off in the middle (power loss) gives what is whole and says `truncated`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

MAX_BLOCK_BYTES = 16 * 1024 * 1024
MAX_OUT_OF_ORDER = 1024
_ETHERNET, _NULL, _RAW, _LOOP, _COOKED, _IPV4, _IPV6, _COOKED2 = 1, 0, 101, 108, 113, 228, 229, 276
_VLAN = (0x8100, 0x88A8)
_IPV6_EXTENSIONS = (0, 43, 60)


class CaptureError(Exception):
    """The file is not a usable pcapng; the text says what and at which offset."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A captured packet as on the link. `time_s` is Unix time, `link_type` pcap's number (1 = Ethernet)."""

    time_s: float
    link_type: int
    data: bytes


@dataclass(slots=True)
class CaptureFile:
    """What a file holds. `secrets` are NSS key log lines from Decryption Secrets Blocks."""

    packets: list[Packet] = field(default_factory=list)
    secrets: bytes = b""
    truncated: bool = False
    skipped_blocks: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """A transport packet: TCP or UDP with its addresses as (text, port)."""

    time_s: float
    tcp: bool
    source: tuple[str, int]
    destination: tuple[str, int]
    payload: bytes
    sequence: int = 0
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Stream bytes in order of their capture. `from_client` tells the direction."""

    time_s: float
    from_client: bool
    data: bytes


@dataclass(slots=True)
class TcpStream:
    """One TCP connection, reassembled: duplicates dropped, segments sorted. `gaps`: bytes never captured."""

    client: tuple[str, int]
    server: tuple[str, int]
    chunks: list[Chunk] = field(default_factory=list)
    gaps: int = 0

    def data(self, from_client: bool) -> bytes:
        """Everything one side said."""
        return b"".join(chunk.data for chunk in self.chunks if chunk.from_client is from_client)


def read_pcapng(data: bytes) -> CaptureFile:
    """Parse a whole file, either byte order, several sections. Raises CaptureError when it is no pcapng."""
    if len(data) < 12 or data[:4] != b"\x0a\x0d\x0d\x0a":
        raise CaptureError("not a pcapng file (no section header at offset 0)")
    result, order, at = CaptureFile(), "<", 0
    interfaces: list[tuple[int, float]] = []
    while at < len(data):
        if len(data) - at < 12:
            result.truncated = True
            break
        if data[at : at + 4] == b"\x0a\x0d\x0d\x0a":
            magic = data[at + 8 : at + 12]
            if magic not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
                raise CaptureError(f"section header without byte-order magic at offset {at}")
            order = "<" if magic[0] == 0x4D else ">"
            interfaces = []
        kind, length = struct.unpack_from(order + "II", data, at)
        if length < 12 or length % 4 or length > MAX_BLOCK_BYTES:
            raise CaptureError(f"block of {length} bytes at offset {at}")
        if at + length > len(data):
            result.truncated = True
            break
        _take_block(result, interfaces, order, kind, data[at + 8 : at + length - 4], at)
        at += length
    return result


def segments(packets: Iterable[Packet]) -> Iterator[Segment]:
    """TCP and UDP inside the packets; everything else, fragments and broken headers are left out."""
    for packet in packets:
        network = _network_layer(packet)
        transport = network and _transport_layer(network)
        segment = transport and _segment(packet.time_s, *transport)
        if segment:
            yield segment


def tcp_streams(packets: Iterable[Packet]) -> list[TcpStream]:
    """Reassembled TCP connections in order of their first packet. A new SYN on the same ports begins a new stream."""
    done: list[TcpStream] = []
    live: dict[frozenset[tuple[str, int]], _Assembler] = {}
    for segment in segments(packets):
        if not segment.tcp:
            continue
        key = frozenset((segment.source, segment.destination))
        assembler = live.get(key)
        if assembler is None or (segment.flags & 0x12 == 0x02 and assembler.stream.chunks):
            if assembler is not None:
                assembler.end()
            answered = segment.flags & 0x12 == 0x12  # SYN-ACK: the client is the other one
            client, server = (
                (segment.destination, segment.source) if answered else (segment.source, segment.destination)
            )
            assembler = live[key] = _Assembler(TcpStream(client, server))
            done.append(assembler.stream)
        assembler.take(segment)
    for assembler in live.values():
        assembler.end()
    return done


class _Assembler:
    def __init__(self, stream: TcpStream) -> None:
        self.stream = stream
        self._next: dict[bool, int] = {}
        self._early: dict[bool, dict[int, Segment]] = {True: {}, False: {}}

    def take(self, segment: Segment) -> None:
        side = segment.source == self.stream.client
        if segment.flags & 0x02:
            self._next[side] = (segment.sequence + 1) & 0xFFFFFFFF
            return
        if not segment.payload:
            return
        self._early[side][segment.sequence] = segment
        self._next.setdefault(side, segment.sequence)
        self._deliver(side)
        if len(self._early[side]) > MAX_OUT_OF_ORDER:
            self._skip_gap(side)

    def end(self) -> None:
        for side in (True, False):
            while self._early[side]:
                self._skip_gap(side)

    def _deliver(self, side: bool) -> None:
        early = self._early[side]
        for sequence in sorted(early, key=lambda s: _ahead(s, self._next[side])):
            segment = early[sequence]
            ahead = _ahead(sequence, self._next[side])
            if ahead > 0:
                return
            del early[sequence]
            fresh = segment.payload[-ahead:]
            if fresh:
                self.stream.chunks.append(Chunk(segment.time_s, side, fresh))
                self._next[side] = (self._next[side] + len(fresh)) & 0xFFFFFFFF

    def _skip_gap(self, side: bool) -> None:
        nearest = min(self._early[side], key=lambda s: _ahead(s, self._next[side]))
        self.stream.gaps += max(0, _ahead(nearest, self._next[side]))
        self._next[side] = nearest
        self._deliver(side)


def _ahead(sequence: int, expected: int) -> int:
    """How far `sequence` lies ahead of `expected` in 32-bit circular order, -2**31 .. 2**31-1."""
    return ((sequence - expected + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def _take_block(
    result: CaptureFile, interfaces: list[tuple[int, float]], order: str, kind: int, body: bytes, at: int
) -> None:
    try:
        if kind == 0x01:
            interfaces.append((struct.unpack_from(order + "H", body)[0], _resolution_s(body[8:], order)))
        elif kind == 0x06:
            interface, high, low, captured, _ = struct.unpack_from(order + "IIIII", body)
            link_type, unit_s = interfaces[interface]
            if captured > len(body) - 20:
                raise CaptureError(f"packet longer than its block at offset {at}")
            result.packets.append(Packet(((high << 32) | low) * unit_s, link_type, body[20 : 20 + captured]))
        elif kind == 0x03:
            (original,) = struct.unpack_from(order + "I", body)
            result.packets.append(Packet(0.0, interfaces[0][0], body[4 : 4 + original]))
        elif kind == 0x0A:
            secret_kind, length = struct.unpack_from(order + "II", body)
            if secret_kind == 0x544C534B:
                result.secrets += body[8 : 8 + length]
        elif kind != 0x0A0D0D0A:
            result.skipped_blocks += 1
    except (struct.error, IndexError) as error:
        raise CaptureError(f"malformed block type {kind:#x} at offset {at}") from error


def _resolution_s(options: bytes, order: str) -> float:
    while len(options) >= 4:
        code, length = struct.unpack_from(order + "HH", options)
        if code == 0:
            break
        if code == 9 and length >= 1 and len(options) > 4:
            power = options[4]
            return 2.0 ** -(power & 0x7F) if power & 0x80 else 10.0**-power
        options = options[4 + length + (-length % 4) :]
    return 1e-6


def _network_layer(packet: Packet) -> bytes | None:
    data = packet.data
    if packet.link_type == _ETHERNET:
        at = 12
        while data[at : at + 2] and int.from_bytes(data[at : at + 2], "big") in _VLAN:
            at += 4
        return data[at + 2 :] if data[at : at + 2] in (b"\x86\xdd", b"\x08\x00") else None
    header = {_RAW: 0, _IPV4: 0, _IPV6: 0, _NULL: 4, _LOOP: 4, _COOKED: 16, _COOKED2: 20}.get(packet.link_type)
    return None if header is None else data[header:]


def _transport_layer(data: bytes) -> tuple[int, str, str, bytes] | None:
    """(protocol, source, destination, payload) of an IP packet."""
    if len(data) >= 40 and data[0] >> 4 == 6:
        length, protocol, at = int.from_bytes(data[4:6], "big"), data[6], 40
        end = 40 + length if length else len(data)
        while protocol in _IPV6_EXTENSIONS and at + 8 <= len(data):
            protocol, at = data[at], at + 8 + data[at + 1] * 8
        return protocol, _text(data[8:24]), _text(data[24:40]), data[at:end]
    if len(data) >= 20 and data[0] >> 4 == 4 and not int.from_bytes(data[6:8], "big") & 0x3FFF:
        at, end = (data[0] & 0x0F) * 4, int.from_bytes(data[2:4], "big") or len(data)
        return data[9], _text(data[12:16]), _text(data[16:20]), data[at:end]
    return None


def _text(address: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET6 if len(address) == 16 else socket.AF_INET, address)


def _segment(time_s: float, protocol: int, source: str, destination: str, data: bytes) -> Segment | None:
    if protocol == 17 and len(data) >= 8:
        from_port, to_port, length = struct.unpack_from("!HHH", data)
        return Segment(time_s, False, (source, from_port), (destination, to_port), data[8 : max(8, length)])
    if protocol == 6 and len(data) >= 20:
        from_port, to_port, sequence, _, offset, flags = struct.unpack_from("!HHIIBB", data)
        payload = data[max(20, (offset >> 4) * 4) :]
        return Segment(time_s, True, (source, from_port), (destination, to_port), payload, sequence, flags)
    return None
