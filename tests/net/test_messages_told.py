"""One event per message: told when the answer has left, with the time that the car waited for it."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

from certs import make_lab
from evse_controller.net.ports import LinkInfo
from evse_controller.net.tls import Side
from evse_controller.secc.coding import Work
from tests.net.support import (
    FakeConnection,
    FakeOutput,
    PlainClient,
    TlsClient,
    frame,
    run,
    serving,
    tls_context,
    until,
)


def test_an_answer_is_told_after_its_commands_and_after_it_has_left() -> None:
    async def go() -> None:
        async with serving() as bench:
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"abc"))
            assert (await client.receive(11))[8:] == b"cba"
            await until(lambda: bench.hooks.took_s)
            assert bench.hooks.order == ["commands", "told"]
            assert bench.last.log == ["sent"]
            (took_s,) = bench.hooks.took_s
            assert took_s is not None
            assert 0 < took_s < 0.5
            client.close()

    run(go())


def test_what_is_told_of_an_answer_is_how_long_the_car_waited_for_it() -> None:
    async def go() -> None:
        async with serving(min_response_interval_s=0.2) as bench:
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"one"))
            await client.receive(11)
            await client.send(frame(b"two"))
            await client.receive(11)
            await until(lambda: len(bench.hooks.took_s) == 2)
            first_s, second_s = bench.hooks.took_s
            assert first_s is not None
            assert second_s is not None
            assert first_s < 0.1 < second_s
            p99_s = bench.server.latency.percentile_s(1.0)
            assert p99_s is not None
            assert p99_s < 0.1  # pacing is no computing of ours
            client.close()

    run(go())


def test_an_answer_that_was_held_back_counts_from_its_request() -> None:
    """The state machine answers a held request on a timer: the car has waited since it asked."""

    async def go() -> None:
        held: list[FakeOutput] = []

        def hold(connection: FakeConnection, payload: bytes) -> FakeOutput:
            connection.next_deadline_s = bench.hooks.now_s() + 0.15
            connection.on_timer = lambda now_s, snapshot: answer(connection)  # type: ignore[method-assign]
            return FakeOutput()

        def answer(connection: FakeConnection) -> list[FakeOutput]:
            connection.next_deadline_s = None
            held.append(FakeOutput(frame(b"late")))
            return held[-1:]

        async with serving() as bench:
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"x"))
            await until(lambda: bench.connections)
            bench.last.behave = hold
            await client.send(frame(b"y"))
            await client.receive(9)
            assert (await client.receive(12))[8:] == b"late"
            await until(lambda: held and bench.hooks.outputs[-1] is held[0])
            took_s = bench.hooks.took_s[-1]
            assert took_s is not None
            assert 0.14 < took_s < 0.6
            client.close()

    run(go())


def test_an_answer_that_never_left_is_told_without_a_time() -> None:
    async def go() -> None:
        async with serving(min_response_interval_s=5.0) as bench:
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"one"))
            await client.receive(11)
            await client.send(frame(b"two"))
            await until(lambda: bench.hooks.order.count("commands") == 2)
            assert len(bench.hooks.outputs) == 1
            bench.server.set_enabled(False, "unplugged")
            await until(lambda: len(bench.hooks.outputs) == 3)
            told = [output.data for output in bench.hooks.outputs]
            assert bench.hooks.took_s[told.index(frame(b"owt"))] is None
            client.close()

    run(go())


def test_the_main_stream_goes_on_while_a_side_streams_message_is_coded() -> None:
    async def go() -> None:
        gate = threading.Event()

        def behave(connection: FakeConnection, payload: bytes) -> FakeOutput:
            if payload == b"side":
                return FakeOutput(work=Work(lambda: b"coded" if gate.wait(5) else b"never"), beside=True)
            return FakeOutput(frame(payload[::-1]))

        def make(link: LinkInfo) -> Any:
            return FakeConnection(link, behave=behave)

        async with serving(make=make) as bench:
            client = await PlainClient.connect(bench.server)
            try:
                await client.send(frame(b"side"))
                for number in range(5):
                    await client.send(frame(b"abc"))
                    assert (await client.receive(11))[8:] == b"cba", number
            finally:
                gate.set()
            assert (await client.receive(13))[8:] == b"coded"
            await until(lambda: bench.hooks.outputs[-1].data == frame(b"coded"))
            client.close()

    run(go())


def test_a_link_knows_the_hash_of_the_vehicles_leaf(tmp_path: Any) -> None:
    pki = make_lab(tmp_path, "strict")
    links: list[LinkInfo] = []

    def make(link: LinkInfo) -> Any:
        links.append(link)
        return FakeConnection(link)

    async def go() -> None:
        async with serving(tls_context(pki, Side.SERVER), make=make) as bench:
            client = await TlsClient.connect(bench.server, tls_context(pki, Side.CLIENT))
            await client.send(frame(b"abc"))
            await client.receive(11)
            client.close()

    run(go())
    (link,) = links
    assert link.peer_leaf_der is not None
    assert link.peer_leaf_sha512 == hashlib.sha512(link.peer_leaf_der).digest()
    assert link.peer_common_name
    assert LinkInfo("[::1]:1", False, 0.0).peer_leaf_sha512 is None
    other = LinkInfo("", True, 0.0, peer_leaf_der=link.peer_leaf_der[:-1] + b"\0")
    assert other.peer_leaf_sha512 != link.peer_leaf_sha512
