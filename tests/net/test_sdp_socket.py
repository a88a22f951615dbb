"""SDP over a real UDP socket: what is announced, to whom nothing is said, and that a flood stays harmless."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.net.interface import InterfaceError, link_local_address
from evse_controller.net.sdp_socket import SdpProtocol, SourceLimiter
from evse_controller.net.server import V2gServer
from evse_controller.net.tls import Side
from evse_controller.secc import sdp
from tests.net.conftest import PkiMaker
from tests.net.support import PlainClient, frame, serving, tls_context

LOOPBACK = socket.inet_pton(socket.AF_INET6, "::1")
ASK_TLS = sdp.encode_request(sdp.SdpRequest(sdp.Security.TLS))
ASK_PLAIN = sdp.encode_request(sdp.SdpRequest(sdp.Security.NONE))


async def ask(server: V2gServer, *datagrams: bytes, patience_s: float = 0.15) -> list[sdp.SdpResponse]:
    """Send all, then gather every answer until it is quiet."""
    loop = asyncio.get_running_loop()
    answers: list[sdp.SdpResponse] = []
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        for number, datagram in enumerate(datagrams):
            sock.sendto(datagram, ("::1", server.sdp_port))
            if number % 20 == 19:
                await asyncio.sleep(0)
        while True:
            try:
                data = await asyncio.wait_for(loop.sock_recv(sock, 2048), patience_s)
            except TimeoutError:
                return answers
            response = sdp.decode_response(data)
            assert response is not None
            answers.append(response)


def test_announces_the_dynamic_tls_port_whatever_was_asked(lab: PkiMaker) -> None:
    async def test() -> None:
        async with serving(tls_context(lab("strict"), Side.SERVER)) as bench:
            assert bench.server.tls_endpoint is not None
            expected = sdp.SdpResponse(LOOPBACK, bench.server.tls_endpoint[1], sdp.Security.TLS)
            assert await ask(bench.server, ASK_TLS) == [expected]
            assert await ask(bench.server, ASK_PLAIN) == [expected]

    asyncio.run(test())


def test_lab_tcp_announces_the_plain_port() -> None:
    async def test() -> None:
        async with serving() as bench:
            assert bench.server.tcp_endpoint is not None
            expected = sdp.SdpResponse(LOOPBACK, bench.server.tcp_endpoint[1], sdp.Security.NONE)
            assert await ask(bench.server, ASK_PLAIN) == [expected]
            assert bench.server.lab_switches == ("lab-tcp",)

    asyncio.run(test())


def test_silent_when_nothing_is_plugged_and_while_a_session_runs() -> None:
    async def test() -> None:
        async with serving(enable=False) as bench:
            assert await ask(bench.server, ASK_PLAIN, patience_s=0.05) == []
            bench.server.set_enabled(True)
            assert len(await ask(bench.server, ASK_PLAIN, patience_s=0.05)) == 1
            client = await PlainClient.connect(bench.server)
            assert len(await ask(bench.server, ASK_PLAIN, patience_s=0.05)) == 1, "until V2G is really up"
            await client.send(frame(b"x"))
            await client.receive(9)
            assert await ask(bench.server, ASK_PLAIN, patience_s=0.05) == []
            client.close()

    asyncio.run(test())


def test_malformed_requests_get_no_answer() -> None:
    bad = [
        b"",
        b"\x01",
        ASK_TLS[:-1],
        ASK_TLS + b"\0",
        b"\x02" + ASK_TLS[1:],
        ASK_TLS[:1] + b"\xfd" + ASK_TLS[2:],
        ASK_TLS[:3] + b"\x02" + ASK_TLS[4:],
        ASK_TLS[:4] + b"\xff\xff\xff\xff" + ASK_TLS[8:],
        ASK_TLS[:8] + b"\x55\x00",
        b"\xff" * 1200,
    ]

    async def test() -> None:
        async with serving() as bench:
            for start in range(0, len(bad), 5):
                assert await ask(bench.server, *bad[start : start + 5]) == []
            assert bench.hooks.events == []
            await asyncio.sleep(0.3)
            assert len(await ask(bench.server, ASK_TLS)) == 1, "and the server still lives"

    asyncio.run(test())


def test_flood_is_answered_sparsely_and_passes() -> None:
    async def test() -> None:
        async with serving() as bench:
            began_s = time.monotonic()
            answers = await ask(bench.server, *[ASK_PLAIN] * 2000)
            spent_s = time.monotonic() - began_s
            assert 5 <= len(answers) <= 10 + 10 * spent_s + 1
            await asyncio.sleep(0.3)
            assert len(await ask(bench.server, ASK_PLAIN)) == 1
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"x"))
            assert await client.receive(9) == frame(b"x")

    asyncio.run(test())


@pytest.mark.parametrize(
    ("source", "answered"),
    [(("fe80::1%7", 5000, 0, 7), True), (("fe80::1%8", 5000, 0, 8), False), (("fd00::2", 5000, 0, 0), False),
     (("2001:db8::1", 5000, 0, 0), False), (("::1", 5000, 0, 0), True)],
)  # fmt: skip
def test_only_link_local_sources_of_our_interface(source: tuple[str, int, int, int], answered: bool) -> None:
    asked: list[tuple[str, int]] = []
    protocol = SdpProtocol(
        lambda datagram, address: asked.append(address), None, SourceLimiter(), time.monotonic, lambda text: None
    )
    protocol._index = 7
    protocol.datagram_received(ASK_TLS, source)
    assert bool(asked) is answered
    assert protocol.dropped == (not answered)


def test_an_ev_asking_every_250_ms_is_never_limited() -> None:
    limiter = SourceLimiter()
    assert all(limiter.allow("fe80::1", number * 0.25) for number in range(200))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.floats(0, 0.01)), max_size=300))
def test_limiter_is_bounded_in_rate_and_memory(requests: list[tuple[int, float]]) -> None:
    limiter, now_s, allowed = SourceLimiter(per_source_hz=2.0, total_hz=10.0, max_sources=8), 0.0, 0
    for source, later_s in requests:
        now_s += later_s
        allowed += limiter.allow(f"fe80::{source}", now_s)
        assert len(limiter._sources) <= 8
    assert allowed <= 10 + 10 * now_s


def test_a_flood_of_spoofed_sources_does_not_lock_one_source_out_for_long() -> None:
    limiter = SourceLimiter(per_source_hz=10.0, total_hz=100.0)
    for number in range(10_000):
        limiter.allow(f"fe80::{number:x}", 0.0)
    assert limiter.allow("fe80::ffff:1", 0.02)


def test_interface_without_address_is_named() -> None:
    with pytest.raises(InterfaceError, match="nosuch0"):
        link_local_address("nosuch0")
    assert link_local_address("lo") == "::1"
