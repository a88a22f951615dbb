"""The pcapng writer, judged by a reader of its own kind, by ours, and by tshark where it is installed."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.net.capture import Address, Capture
from evse_controller.net.capture_reader import (
    CaptureError,
    Packet,
    read_pcapng,
    segments,
    tcp_streams,
)
from evse_controller.net.tls import Side
from evse_controller.secc import sdp
from tests.net.conftest import PkiMaker
from tests.net.support import PlainClient, TlsClient, frame, serving, tls_context
from tests.net.test_sdp_socket import ASK_PLAIN, ask

LOCAL, PEER = Address("fe80::1%lo", 50001), Address("fe80::2", 50002)
TSHARK = shutil.which("tshark")
needs_tshark = pytest.mark.skipif(
    TSHARK is None, reason="tshark is not installed; the minimal reader in this file checks the same packets"
)


def blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Minimal independent pcapng reader: little endian only, both length fields compared."""
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0
        assert struct.unpack_from("<I", data, at + length - 4)[0] == length
        yield kind, data[at + 8 : at + length - 4]
        at += length
    assert at == len(data)


def frames(data: bytes) -> list[bytes]:
    """Ethernet frames of all enhanced packet blocks."""
    found = []
    for kind, body in blocks(data):
        if kind == 6:
            _, _, _, captured, original = struct.unpack_from("<IIIII", body)
            assert captured == original
            found.append(body[20 : 20 + captured])
    return found


def ones_complement_sum(data: bytes) -> int:
    """The checksum as RFC 1071 words it, word by word."""
    total = 0
    for high, low in zip(data[::2], data[1::2] + b"\0" * (len(data) % 2), strict=True):
        total += (high << 8) | low
        total = (total & 0xFFFF) + (total >> 16)
    return total


def check_packet(packet: bytes) -> tuple[int, bytes]:
    """Asserts a sound Ethernet/IPv6 packet; returns (protocol, transport segment)."""
    assert packet[12:14] == b"\x86\xdd"
    ip = packet[14:]
    assert ip[0] >> 4 == 6
    segment = ip[40:]
    assert int.from_bytes(ip[4:6], "big") == len(segment)
    pseudo = ip[8:40] + struct.pack("!II", len(segment), ip[6])
    assert ones_complement_sum(pseudo + segment) == 0xFFFF
    return ip[6], segment


def test_file_begins_with_section_and_ethernet_interface(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "a.pcapng", "eth1")
    capture.close()
    data = (tmp_path / "a.pcapng").read_bytes()
    (section, header), (interface, description) = blocks(data)
    assert (section, interface) == (0x0A0D0D0A, 1)
    assert header[:8] == bytes.fromhex("4d3c2b1a01000000")
    assert struct.unpack_from("<H", description)[0] == 1
    assert b"eth1" in description
    assert (tmp_path / "a.pcapng").stat().st_mode & 0o777 == 0o600


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=4000)), max_size=8), st.booleans(), st.booleans()
)
def test_tcp_is_consistent_for_any_traffic(
    tmp_path_factory: pytest.TempPathFactory, traffic: list[tuple[bool, bytes]], by_peer: bool, reset: bool
) -> None:
    path = tmp_path_factory.mktemp("c") / "t.pcapng"
    capture = Capture(path)
    stream = capture.tcp(LOCAL, PEER)
    for sent, data in traffic:
        (stream.sent if sent else stream.received)(data)
    stream.finished(by_peer=by_peer, reset=reset)
    capture.close()
    expected_next: dict[int, int] = {}
    said: dict[int, bytes] = {LOCAL.port: b"", PEER.port: b""}
    packets = frames(path.read_bytes())
    assert len(packets) == capture.packets
    for packet in packets:
        protocol, segment = check_packet(packet)
        assert protocol == 6
        source, target, sequence, acknowledged, offset, flags = struct.unpack_from("!HHIIBB", segment)
        payload = segment[(offset >> 4) * 4 :]
        assert sequence == expected_next.get(source, sequence), "no gap, no overlap"
        if flags & 0x10:
            assert acknowledged == expected_next[target], "acknowledges exactly what was said"
        expected_next[source] = sequence + len(payload) + bool(flags & 0x03)
        said[source] += payload
    assert said[LOCAL.port] == b"".join(data for sent, data in traffic if sent)
    assert said[PEER.port] == b"".join(data for sent, data in traffic if not sent)
    (found,) = tcp_streams(read_pcapng(path.read_bytes()).packets)
    assert (found.client, found.server) == (("fe80::2", 50002), ("fe80::1", 50001))
    assert (found.data(True), found.data(False), found.gaps) == (said[PEER.port], said[LOCAL.port], 0)


def test_udp_and_time_stamp(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "u.pcapng", utc_s=lambda: 1_700_000_000.25)
    capture.udp(PEER, Address("ff02::1", 15118), ASK_PLAIN, sent=False)
    capture.close()
    data = (tmp_path / "u.pcapng").read_bytes()
    (packet,) = frames(data)
    protocol, segment = check_packet(packet)
    assert (protocol, segment[8:]) == (17, ASK_PLAIN)
    (read,) = read_pcapng(data).packets
    assert read.time_s == pytest.approx(1_700_000_000.25, abs=1e-5)
    (found,) = segments([read])
    assert (found.destination, found.payload, found.tcp) == (("ff02::1", 15118), ASK_PLAIN, False)


def test_secrets_are_refused_without_lab_keylog(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "s.pcapng")
    with pytest.raises(ValueError, match="lab-keylog"):
        capture.secrets(b"SERVER_TRAFFIC_SECRET_0 00 11\n")
    capture.close()
    assert b"SECRET" not in (tmp_path / "s.pcapng").read_bytes()


def test_a_full_file_ends_the_capture_and_says_so_once(tmp_path: Path) -> None:
    told: list[str] = []
    capture = Capture(tmp_path / "f.pcapng", max_bytes=5000, on_stop=told.append)
    stream = capture.tcp(LOCAL, PEER)
    for _ in range(100):
        stream.received(b"x" * 500)
    stream.finished(by_peer=True)
    assert capture.stopped
    assert len(told) == 1
    assert "limit of 5000 bytes" in told[0]
    assert (tmp_path / "f.pcapng").stat().st_size <= 5000
    assert frames((tmp_path / "f.pcapng").read_bytes())


def test_a_full_disk_ends_the_capture_not_the_session(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system to play a full disk")
    told: list[str] = []
    (tmp_path / "link").symlink_to(full)
    capture = Capture(tmp_path / "link", on_stop=told.append)
    stream = capture.tcp(LOCAL, PEER)
    for _ in range(100):
        stream.received(b"x" * 1400)
    stream.finished(by_peer=False)
    capture.close()
    assert len(told) == 1
    assert "No space left" in told[0]


async def tls_session(lab: PkiMaker, capture: Capture, keylog: bool) -> None:
    pki = lab("strict")
    async with serving(tls_context(pki, Side.SERVER, keylog=keylog), capture=capture) as bench:
        assert await ask(bench.server, ASK_PLAIN, patience_s=0.05)
        client = await TlsClient.connect(bench.server, tls_context(pki, Side.CLIENT))
        for text in (b"hello", b"world" * 100, b"bye"):
            await client.send(frame(text))
            await client.receive(8 + len(text))
        client.close()
    capture.close()


def test_server_captures_what_crossed_the_wire(tmp_path: Path) -> None:
    async def test() -> None:
        capture = Capture(tmp_path / "p.pcapng")
        async with serving(capture=capture) as bench:
            assert await ask(bench.server, ASK_PLAIN, patience_s=0.05)
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"abc"))
            await client.receive(11)
            client.close()
            await asyncio.sleep(0.02)
        capture.close()
        packets = read_pcapng((tmp_path / "p.pcapng").read_bytes()).packets
        request, response = (found for found in segments(packets) if not found.tcp)
        assert request.payload == ASK_PLAIN
        announced = sdp.decode_response(response.payload)
        (stream,) = tcp_streams(packets)
        assert announced is not None
        assert stream.server == ("::1", announced.port)
        assert (stream.data(True), stream.data(False)) == (frame(b"abc"), frame(b"cba"))

    asyncio.run(test())


def test_ciphertext_only_without_keylog_and_secrets_before_use_with_it(lab: PkiMaker, tmp_path: Path) -> None:
    for keylog in (False, True):
        path = tmp_path / f"{keylog}.pcapng"
        asyncio.run(tls_session(lab, Capture(path, lab_keylog=keylog), keylog))
        data = path.read_bytes()
        file = read_pcapng(data)
        (stream,) = tcp_streams(file.packets)
        assert b"hello" not in data
        assert stream.data(True)[:1] == b"\x16"
        assert (b"CLIENT_TRAFFIC_SECRET_0 " in file.secrets) is keylog
        kinds = [kind for kind, _ in blocks(data)]
        assert (0x0A in kinds) is keylog
        if keylog:
            # A one-pass reader needs each secret before what it opens: all of them before the car's Finished.
            last = len(kinds) - 1 - kinds[::-1].index(0x0A)
            early = [Packet(0.0, 1, body[20:]) for kind, body in list(blocks(data))[:last] if kind == 6]
            hello = stream.data(True)[: 5 + int.from_bytes(stream.data(True)[3:5], "big")]
            assert sum(len(found.payload) for found in segments(early) if found.source == stream.client) == len(hello)


@needs_tshark
def test_tshark_decrypts_the_capture_with_its_own_keys(lab: PkiMaker, tmp_path: Path) -> None:
    path = tmp_path / "t.pcapng"
    asyncio.run(tls_session(lab, Capture(path, lab_keylog=True), True))
    assert TSHARK is not None

    def tshark(*arguments: str) -> str:
        done = subprocess.run([TSHARK, "-r", str(path), *arguments], capture_output=True, text=True, check=True)
        return done.stdout

    assert tshark("-Y", "tcp.analysis.flags || _ws.malformed") == ""
    assert (
        tshark("-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-Y", "tcp.checksum.status==0") == ""
    )
    assert "TLSv1.3" in tshark("-Y", "tls.handshake.type==2")
    # Following the TLS stream shows the decrypted V2GTP frames of both sides.
    followed = tshark("-q", "-z", "follow,tls,raw,0")
    shown = "".join(line.strip() for line in followed.splitlines())
    for text in (b"hello", b"olleh", b"bye"):
        assert frame(text).hex() in shown


def rebuilt(packets: list[bytes], order: str, truncate: int = 0) -> bytes:
    """The same packets in a file of the other byte order, one interface, microseconds."""

    def block(kind: int, body: bytes) -> bytes:
        body += b"\0" * (-len(body) % 4)
        length = struct.pack(order + "I", 12 + len(body))
        return struct.pack(order + "I", kind) + length + body + length

    data = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    data += block(1, struct.pack(order + "HHI", 1, 0, 0)) + block(5, b"statistics..")
    for number, packet in enumerate(packets):
        data += block(6, struct.pack(order + "IIIII", 0, 0, number, len(packet), len(packet)) + packet)
    return data[: len(data) - truncate]


def sample(tmp_path: Path) -> list[bytes]:
    capture = Capture(tmp_path / "sample.pcapng")
    stream = capture.tcp(LOCAL, PEER)
    for number in range(6):
        stream.received(bytes([65 + number]) * 10)
        stream.sent(bytes([97 + number]) * 10)
    stream.finished(by_peer=True)
    capture.close()
    return frames((tmp_path / "sample.pcapng").read_bytes())


@pytest.mark.parametrize("order", ["<", ">"])
def test_reader_takes_both_byte_orders_and_a_cut_off_file(tmp_path: Path, order: str) -> None:
    packets = sample(tmp_path)
    whole = read_pcapng(rebuilt(packets, order))
    assert [packet.data for packet in whole.packets] == packets
    assert (whole.truncated, whole.skipped_blocks) == (False, 1)
    assert whole.packets[3].time_s == pytest.approx(3e-6)
    cut = read_pcapng(rebuilt(packets, order, truncate=20))
    assert cut.truncated
    assert len(cut.packets) == len(packets) - 1


def test_reader_sorts_and_drops_duplicates(tmp_path: Path) -> None:
    packets = sample(tmp_path)
    straight = read_pcapng(rebuilt(packets, "<")).packets
    (expected,) = tcp_streams(straight)
    data = [packet for packet in straight if b"AAAA" in packet.data or b"BBBB" in packet.data]
    shuffled = [*straight[:3], data[1], data[0], data[1], *straight[3:]]
    (found,) = tcp_streams(shuffled)
    assert found.data(True) == expected.data(True) == b"".join(bytes([65 + n]) * 10 for n in range(6))
    assert found.data(False) == expected.data(False)
    lossy = [packet for packet in straight if b"CCCC" not in packet.data]
    (holed,) = tcp_streams(lossy)
    assert holed.gaps == 10
    assert holed.data(True) == expected.data(True).replace(b"C" * 10, b"")


def test_reader_sees_two_connections_on_the_same_ports(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "two.pcapng")
    for text in (b"first", b"second"):
        stream = capture.tcp(LOCAL, PEER)
        stream.received(text)
        stream.finished(by_peer=True)
    capture.close()
    found = tcp_streams(read_pcapng((tmp_path / "two.pcapng").read_bytes()).packets)
    assert [stream.data(True) for stream in found] == [b"first", b"second"]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_reader_survives_damage(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = bytearray(rebuilt(sample(tmp_path_factory.mktemp("d")), data.draw(st.sampled_from("<>"))))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CaptureError):  # the one error that damage may cause
        tcp_streams(read_pcapng(bytes(whole)).packets)


@given(st.binary(max_size=200), st.sampled_from([0, 1, 101, 113, 276, 999]))
def test_reader_survives_garbage_packets(data: bytes, link_type: int) -> None:
    list(segments([Packet(0.0, link_type, data)]))


@pytest.mark.parametrize("data", [b"", b"\n\r\r\n", b"\xd4\xc3\xb2\xa1" + b"\0" * 40, b"\n\r\r\n" + b"\0" * 40])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(CaptureError):
        read_pcapng(data)
