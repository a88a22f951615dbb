"""Who gets in: half-open, too many, too often, a second one, too early, too late, and coming back."""

from __future__ import annotations

import asyncio
import time

from evse_controller.net.tls import Side
from tests.net.conftest import PkiMaker
from tests.net.support import PlainClient, TlsClient, frame, run, serving, tls_context, until


def test_half_open_tls_connections_are_closed_in_time(lab: PkiMaker) -> None:
    async def test() -> None:
        pki = lab("strict")
        async with serving(tls_context(pki, Side.SERVER), handshake_timeout_s=0.25) as bench:
            silent = await PlainClient.connect(bench.server)
            dripping = await PlainClient.connect(bench.server)
            hello = tls_context(pki, Side.CLIENT).engine().take_ciphertext()

            async def drip() -> None:
                for byte in hello:
                    dripping.writer.write(bytes([byte]))
                    await asyncio.sleep(0.02)

            task = asyncio.create_task(drip())
            began_s = time.monotonic()
            assert await silent.closed()
            assert await dripping.closed()
            assert 0.2 < time.monotonic() - began_s < 5.0
            task.cancel()
            assert "handshake-timeout" in bench.hooks.kinds()
            await until(lambda: not bench.server._links)
            client = await TlsClient.connect(bench.server, tls_context(pki, Side.CLIENT))
            await client.send(frame(b"ok"))
            assert await client.receive(10) == frame(b"ko")

    run(test())


def test_silent_plain_connection_is_closed_in_time() -> None:
    async def test() -> None:
        async with serving(handshake_timeout_s=0.2):
            pass
        async with serving(handshake_timeout_s=0.2) as bench:
            assert await (await PlainClient.connect(bench.server)).closed()
            assert "nothing received" in bench.hooks.text("handshake-timeout")

    run(test())


def test_half_open_connections_are_limited() -> None:
    async def test() -> None:
        async with serving(max_half_open=2) as bench:
            waiting = [await PlainClient.connect(bench.server) for _ in range(2)]
            assert await (await PlainClient.connect(bench.server)).closed()
            assert "already waiting" in bench.hooks.text("connection-refused")
            await waiting[0].send(frame(b"x"))
            assert await waiting[0].receive(9) == frame(b"x")

    run(test())


def test_connections_per_second_are_limited() -> None:
    async def test() -> None:
        async with serving(max_connects_hz=3.0, max_half_open=100) as bench:
            clients = [await PlainClient.connect(bench.server) for _ in range(8)]
            states = [await client.closed(0.05) for client in clients]
            assert states.count(False) in (3, 4)
            assert "per second" in bench.hooks.text("connection-refused")
            assert len(bench.hooks.kinds()) < 5, "a flood does not fill the journal"

    run(test())


def test_second_v2g_connection_is_closed_and_the_first_goes_on() -> None:
    async def test() -> None:
        async with serving() as bench:
            first, second = await PlainClient.connect(bench.server), await PlainClient.connect(bench.server)
            await first.send(frame(b"1"))
            await first.receive(9)
            await second.send(frame(b"2"))
            assert await second.closed()
            assert "another V2G connection is active" in bench.hooks.text("connection-refused")
            await first.send(frame(b"3"))
            assert await first.receive(9) == frame(b"3")
            assert len(bench.connections) == 1

    run(test())


def test_a_finished_session_gives_way_to_a_new_connection() -> None:
    async def test() -> None:
        async with serving() as bench:
            first = await PlainClient.connect(bench.server)
            await first.send(frame(b"stop"))
            await first.receive(12)
            assert not await first.closed(0.1), "the EV may still read; it closes, or the session's timer does"
            second = await PlainClient.connect(bench.server)
            await second.send(frame(b"2"))
            assert await second.receive(9) == frame(b"2")
            assert await first.closed()

    run(test())


def test_nobody_gets_in_before_plug_in_and_after_the_set_up_time() -> None:
    async def test() -> None:
        async with serving(enable=False, communication_setup_s=0.2) as bench:
            assert await (await PlainClient.connect(bench.server)).closed()
            bench.server.set_enabled(True)
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"x"))
            await client.receive(9)
            client.close()
            await until(lambda: bench.server.active is None)
            await asyncio.sleep(0.25)
            assert await (await PlainClient.connect(bench.server)).closed()
        async with serving(communication_setup_s=0.05) as bench:
            await until(lambda: "communication-setup-timeout" in bench.hooks.kinds())
            assert not bench.server.enabled
            bench.server.set_enabled(False)
            bench.server.set_enabled(True)
            assert bench.server.enabled

    run(test())


def test_after_a_session_the_vehicle_may_come_back() -> None:
    async def test() -> None:
        async with serving(communication_setup_s=0.3) as bench:
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"x"))
            await client.receive(9)
            bench.last.session_id = "0102030405060708"
            await asyncio.sleep(0.4)
            assert not bench.server.enabled
            client.close()
            await until(lambda: bench.server.enabled)

    run(test())


def test_while_somebody_sleeps_here_the_window_stays_open_and_nobody_is_told_to_replug() -> None:
    async def test() -> None:
        async with serving(communication_setup_s=0.15) as bench:
            bench.server.expect(patient=True)
            await asyncio.sleep(0.3)
            assert bench.server.enabled
            assert bench.server.setup_deadline_s() is None
            assert "communication-setup-timeout" not in bench.hooks.kinds()
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"ok"))
            assert await client.receive(10) == frame(b"ko")
            bench.last.session_id = "AB"
            client.close()
            await until(lambda: bench.server.active is None)
            await asyncio.sleep(0.3)
            assert bench.server.enabled, "it sleeps on"
            bench.server.expect(patient=False)
            assert bench.server.setup_deadline_s() is not None
            await asyncio.sleep(0.3)
            assert not bench.server.enabled
            assert "communication-setup-timeout" in bench.hooks.kinds()

    run(test())
