"""The V2G server over real sockets on ::1: listeners, framing, timers, bounds, defects."""

from __future__ import annotations

import asyncio
import secrets
import time

import pytest

from evse_controller.net.link import SLICE_BYTES
from evse_controller.net.ports import LinkInfo
from evse_controller.net.server import ServerConfig, V2gServer
from evse_controller.net.tls import Side, TlsError
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.connection import Connection
from evse_controller.secc.reply import Transport
from tests.net.conftest import PkiMaker
from tests.net.support import (
    FakeConnection,
    FakeOutput,
    PlainClient,
    Recorder,
    TlsClient,
    frame,
    run,
    serving,
    tls_context,
    until,
)


def test_nothing_to_serve_is_an_error() -> None:
    with pytest.raises(ValueError, match="lab-tcp"):
        V2gServer(ServerConfig(address="::1"), lambda link: FakeConnection(link), Recorder(), None)


def test_missing_interface_is_named() -> None:
    async def test() -> None:
        server = V2gServer(
            ServerConfig(interface="nosuch0", lab_tcp=True), lambda link: FakeConnection(link), Recorder(), None
        )
        with pytest.raises(OSError, match="nosuch0"):
            await server.start()

    run(test())


def test_announced_ports_are_of_the_v2g_range() -> None:
    """An EV may refuse an SDP response with another port; the kernel's own choice begins lower."""

    async def test() -> None:
        for _ in range(5):
            async with serving(None) as bench:
                assert bench.server.tcp_endpoint is not None
                assert 49152 <= bench.server.tcp_endpoint[1] <= 65535

    run(test())


def test_strict_tls_has_no_plain_listener(lab: PkiMaker) -> None:
    async def test() -> None:
        async with serving(tls_context(lab("strict"), Side.SERVER)) as bench:
            assert bench.server.tcp_endpoint is None
            assert bench.server.tls_endpoint is not None
            assert bench.server.lab_switches == ()

    run(test())


def test_echo_over_tls_tells_who_the_vehicle_is(lab: PkiMaker) -> None:
    async def test() -> None:
        pki = lab("strict")
        async with serving(tls_context(pki, Side.SERVER)) as bench:
            client = await TlsClient.connect(bench.server, tls_context(pki, Side.CLIENT))
            await client.send(frame(b"abc"))
            assert await client.receive(11) == frame(b"cba")
            link = bench.last.link
            assert (link.tls, link.tls_profile, link.group) == (True, "strict", "secp521r1")
            assert link.peer_common_name == "WVWZZZLAB00000001A"
            assert link.peer_leaf_der is not None
            client.close()
            await until(lambda: "disconnect" in bench.last.log)
            assert bench.hooks.kinds() == ["connection-opened", "connection-closed"]

    run(test())


def test_commands_go_before_the_response() -> None:
    """Hardware acts first."""

    async def test() -> None:
        async with serving() as bench:
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"x"))
            await client.receive(9)
            assert bench.hooks.order == ["commands", "told"]
            assert bench.last.log == ["sent"]

    order: list[str] = []

    class Tracing(FakeConnection):
        def on_sent(self, now_s: float) -> None:
            order.append("sent")

    async def traced() -> None:
        async with serving(make=Tracing) as bench:
            bench.hooks.on_commands = lambda commands: order.append("commands")  # type: ignore[method-assign]
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"x"))
            await client.receive(9)

    run(test())
    run(traced())
    assert order == ["commands", "sent"]


def test_split_and_coalesced_frames() -> None:
    async def test() -> None:
        async with serving() as bench:
            client = await PlainClient.connect(bench.server)
            for byte in frame(b"drip"):
                await client.send(bytes([byte]))
                await asyncio.sleep(0.001)
            assert await client.receive(12) == frame(b"pird")
            await client.send(frame(b"one") + frame(b"two") + frame(b"three")[:5])
            assert await client.receive(22) == frame(b"eno") + frame(b"owt")
            await client.send(frame(b"three")[5:])
            assert await client.receive(13) == frame(b"eerht")
            long = b"z" * 60000
            await client.send(frame(long))
            assert await client.receive(60008) == frame(long)

    run(test())


def test_absurd_length_closes_without_growth() -> None:
    """With the real protocol core."""

    async def test() -> None:
        made: list[Connection] = []

        def make(link: LinkInfo) -> Connection:
            made.append(Connection(SeccConfig(lab_tcp=True), Transport.TCP, secrets.token_bytes, link.opened_s))
            return made[-1]

        async with serving(make=make) as bench:
            client = await PlainClient.connect(bench.server)
            await client.send(bytes.fromhex("01FE8001FFFFFFFF") + b"\0" * 1000)
            assert await client.closed()
            assert made[0].closed
            again = await PlainClient.connect(bench.server)
            await again.send(bytes.fromhex("01FE8001FFFFFFFF"))
            assert await again.closed()

    run(test())


def test_closing_at_once_still_delivers_the_response() -> None:
    async def test() -> None:
        async with serving() as bench:
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"bye"))
            assert await client.receive(11) == frame(b"eyb")
            assert await client.closed()
            assert bench.last.log == ["sent", "disconnect"]

    run(test())


def test_unplugging_aborts_the_session() -> None:
    async def test() -> None:
        async with serving() as bench:
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"x"))
            await client.receive(9)
            bench.server.set_enabled(False, "unplugged")
            assert await client.closed()
            assert "abort unplugged" in bench.last.log

    run(test())


def test_the_sessions_deadline_is_kept() -> None:
    async def test() -> None:
        async with serving() as bench:
            client = await PlainClient.connect(bench.server)

            def behave(connection: FakeConnection, payload: bytes) -> FakeOutput:
                connection.next_deadline_s = time.monotonic() + 0.1
                return FakeOutput(frame(payload))

            await client.send(frame(b"x"))
            await client.receive(9)
            bench.last.behave = behave
            began_s = time.monotonic()
            await client.send(frame(b"y"))
            await client.receive(9)
            assert await client.closed()
            assert 0.09 < time.monotonic() - began_s < 5.0
            assert bench.last.log == ["sent", "sent", "timer", "disconnect"]

    run(test())


def test_pacing_is_apart_from_latency() -> None:
    async def test() -> None:
        async with serving(min_response_interval_s=0.1) as bench:
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"1"))
            await client.receive(9)
            began_s = time.monotonic()
            await client.send(frame(b"2") + frame(b"3"))
            assert await client.receive(9) == frame(b"2")
            assert time.monotonic() - began_s > 0.08
            assert await client.receive(9) == frame(b"3")
            assert time.monotonic() - began_s > 0.18
            assert bench.server.latency.count == 3
            worst_s = bench.server.latency.percentile_s(1.0)
            assert worst_s is not None
            assert worst_s < 0.05, "waiting for the pace is not computation"

    run(test())


def test_a_peer_that_does_not_read_stops_being_served() -> None:
    async def test() -> None:
        async with serving() as bench:
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"x"))
            await client.receive(9)
            bench.last.behave = lambda connection, payload: FakeOutput(frame(b"y" * 50000))

            async def flood() -> None:
                while True:
                    await client.send(frame(b"more") * 100)

            task = asyncio.create_task(flood())
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
            served = -1
            while served != bench.last.frames:
                served = bench.last.frames
                await asyncio.sleep(0.2)
            task.cancel()
            (link,) = bench.server._links
            assert link._transport is not None
            # One slice of requests may still be answered after the buffer is full.
            assert link._transport.get_write_buffer_size() < 65536 + (SLICE_BYTES // 12 + 2) * 50008
            bench.server.set_enabled(False, "unplugged")
            await until(lambda: not bench.server._links, 3.0)

    run(test())


def test_a_flood_of_frames_does_not_starve_the_loop() -> None:
    """Only a slice of what has come is answered before the control loop gets its turn again."""

    async def test() -> None:
        async with serving() as bench:
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"x"))
            await client.receive(9)
            await client.send(frame(b"y") * 400)
            most, before = 0, bench.last.frames
            while bench.last.frames < 401:
                await asyncio.sleep(0)
                most, before = max(most, bench.last.frames - before), bench.last.frames
            assert most <= 40  # each may cost a millisecond
            assert await client.receive(400 * 9)

    run(test())


def test_our_own_defect_ends_one_connection_not_the_daemon() -> None:
    async def test() -> None:
        async with serving() as bench:
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"x"))
            await client.receive(9)

            def broken(connection: FakeConnection, payload: bytes) -> FakeOutput:
                raise ZeroDivisionError("defect")

            bench.last.behave = broken
            await client.send(frame(b"y"))
            assert await client.closed()
            assert "ZeroDivisionError" in bench.hooks.text("internal-error")
            await until(lambda: "disconnect" in bench.last.log)
            again = await PlainClient.connect(bench.server)
            await again.send(frame(b"z"))
            assert await again.receive(9) == frame(b"z")

    run(test())


def test_garbage_instead_of_tls_is_refused(lab: PkiMaker) -> None:
    async def test() -> None:
        async with serving(tls_context(lab("strict"), Side.SERVER)) as bench:
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"plain V2GTP at the TLS port"))
            assert await client.closed()
            assert "tls-failed" in bench.hooks.kinds()
            assert not bench.connections

    run(test())


def test_vehicle_learns_why_it_was_refused(lab: PkiMaker) -> None:
    """A TLS 1.3 client is done before its certificate was judged: the alert comes with the next read."""

    async def test() -> None:
        pki, other = lab("strict"), lab("strict-ed448")
        foreign = tls_context(other, Side.CLIENT)
        store = foreign._context.get_cert_store()
        async with serving(tls_context(pki, Side.SERVER)) as bench:
            assert store is not None
            from cryptography import x509
            from OpenSSL import crypto

            root = x509.load_pem_x509_certificate(pki.trust_of_vehicle[0].read_bytes())
            store.add_cert(crypto.X509.from_cryptography(root))
            client = await TlsClient.connect(bench.server, foreign)
            with pytest.raises(TlsError, match="alert"):
                await client.step()

    run(test())
