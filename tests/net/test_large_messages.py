"""Large messages are coded beside the loop: what else the loop serves goes on, and ends are heeded at once."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import weakref
from typing import Any

import pytest

from evse_controller.messages.base import Message
from evse_controller.net.coder import SWITCH_INTERVAL_S, Coder, Job
from evse_controller.net.link import READ_BYTES
from evse_controller.secc.coding import Work
from tests.net.beside import measure, percentile
from tests.net.support import Bench, FakeConnection, FakeOutput, PlainClient, frame, run, serving, until

HELD_S = 0.3  # a loop that codes 1.5 MB itself is held for more than half a second


class Held:
    """Work that lasts until it is let go; `begun` and `ended` tell how far it is."""

    def __init__(self, result: bytes = b"coded") -> None:
        self.let_go = threading.Event()
        self.begun = self.ended = False
        self.result = result

    def __call__(self) -> Message | bytes:
        self.begun = True
        assert self.let_go.wait(10)
        self.ended = True
        return self.result


async def busy(bench: Bench, held: Held) -> PlainClient:
    """A client whose frame is being coded."""
    client = await PlainClient.connect(bench.server)
    await client.send(frame(b"first"))
    await client.receive(13)

    def behave(connection: FakeConnection, payload: bytes) -> FakeOutput:
        connection.behave = None
        return FakeOutput(work=Work(held))

    bench.last.behave = behave
    await client.send(frame(b"large"))
    await until(lambda: held.begun)
    return client


@pytest.mark.parametrize("what", ["answer", "request"])
def test_the_largest_legal_message_does_not_hold_up_a_charge_loop_beside_it(what: str) -> None:
    """Far from the goal of the benchmark, as other tests may run beside this one, and further from being held."""
    figures = asyncio.run(measure(what, seconds=1.5))
    print(figures.words())
    assert figures.works
    assert len(figures.answers) > 20
    assert max(figures.answers) < HELD_S
    assert percentile(figures.ticks, 1.0) < HELD_S


def test_other_requests_of_the_peer_wait_and_little_is_read_meanwhile() -> None:
    async def test() -> None:
        async with serving() as bench:
            held = Held()
            client = await busy(bench, held)
            frames = bench.last.frames
            flood = frame(bytes(4)) * 50 + frame(bytes(1000)) * 3000
            sending = asyncio.create_task(client.send(flood))
            await asyncio.sleep(0.1)
            (link,) = bench.server._links
            assert 0 < len(link._pending) <= READ_BYTES
            await asyncio.sleep(0.1)
            assert bench.last.frames == frames
            held.let_go.set()
            assert await client.receive(13) == frame(b"coded")
            await client.receive(58 * 5000)
            client.close()
            await asyncio.gather(sending, return_exceptions=True)

    run(test())


def test_a_close_is_heeded_at_once_while_a_large_message_is_coded() -> None:
    async def test() -> None:
        async with serving() as bench:
            held = Held()
            client = await busy(bench, held)
            client.close()
            await until(lambda: "disconnect" in bench.last.log)
            assert not held.ended
            held.let_go.set()
            await until(lambda: held.ended)
            await asyncio.sleep(0.05)
            assert "coded" not in bench.last.log

    run(test())


def test_an_unplugged_car_or_an_emergency_is_heeded_at_once_while_a_large_message_is_coded() -> None:
    async def test() -> None:
        async with serving() as bench:
            held = Held()
            client = await busy(bench, held)
            bench.server.set_enabled(False, "pilot lost")
            assert "abort pilot lost" in bench.last.log
            assert await client.closed()
            assert not held.ended
            held.let_go.set()
            await asyncio.sleep(0.05)
            assert "coded" not in bench.last.log

    run(test())


def test_deadlines_are_kept_while_a_large_message_is_coded() -> None:
    async def test() -> None:
        async with serving() as bench:
            held = Held()
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"first"))
            await client.receive(13)

            def behave(connection: FakeConnection, payload: bytes) -> FakeOutput:
                connection.next_deadline_s = time.monotonic() + 0.1
                return FakeOutput(work=Work(held))

            bench.last.behave = behave
            await client.send(frame(b"large"))
            assert await client.closed()
            assert bench.last.log[-2:] == ["timer", "disconnect"]
            assert not held.ended
            held.let_go.set()

    run(test())


def test_a_defect_of_the_coder_ends_one_connection_not_the_daemon() -> None:
    async def test() -> None:
        def defect() -> bytes:
            raise RuntimeError("defect")

        async with serving() as bench:
            client = await PlainClient.connect(bench.server)
            await client.send(frame(b"first"))
            await client.receive(13)
            bench.last.behave = lambda connection, payload: FakeOutput(work=Work(defect))
            await client.send(frame(b"large"))
            assert await client.closed()
            assert "defect" in bench.hooks.text("internal-error")
            again = await PlainClient.connect(bench.server)
            await again.send(frame(b"first"))
            await again.receive(13)
            again.close()

    run(test())


def settings() -> tuple[float, bool]:
    return sys.getswitchinterval(), gc.isenabled()


def test_the_interpreter_is_polite_while_something_is_coded_and_as_before_afterwards() -> None:
    before = settings()

    async def test() -> None:
        coder, one, two, seen = Coder(), Held(), Held(), []

        def done(job: Job[Any]) -> None:
            seen.append((job.result(), settings()))

        coder.submit(one, done)
        waiting, cancelled = coder.submit(two, done), coder.submit(Held(), done)
        assert settings() == (SWITCH_INTERVAL_S, False)
        cancelled.cancel()
        one.let_go.set()
        await until(lambda: len(seen) == 1 and two.begun)
        assert seen == [(b"coded", (SWITCH_INTERVAL_S, False))]  # garbage is looked for when the message is gone
        waiting.cancel()
        assert settings() == (SWITCH_INTERVAL_S, False)
        two.let_go.set()
        await until(lambda: settings() == before)
        assert len(seen) == 1
        coder.close()

    run(test())


@pytest.mark.parametrize("closed", ["while it is coded", "before the delivery"])
def test_settings_return_when_the_loop_is_gone(closed: str) -> None:
    before, held, coder, loop = settings(), Held(), Coder(), asyncio.new_event_loop()

    def finish() -> None:
        held.let_go.set()
        coder._executor.shutdown()  # waits for the thread, which has told the loop by then

    async def begin() -> None:
        coder.submit(held, lambda job: None)
        await until(lambda: held.begun)

    loop.run_until_complete(begin())
    assert settings() == (SWITCH_INTERVAL_S, False)
    for step in (loop.close, finish) if closed == "while it is coded" else (finish, loop.close):
        step()
    assert settings() == before


def test_nobody_holds_a_result_when_garbage_is_looked_for_again() -> None:
    """A collection right after would meet every object of a large message that lives on."""

    class Large:
        pass

    async def test() -> None:
        coder, gone = Coder(), []

        def done(job: Job[Large]) -> None:
            result = job.result()
            weakref.finalize(result, lambda: gone.append(gc.isenabled()))

        for _ in range(20):
            coder.submit(Large, done)
        await until(lambda: len(gone) == 20)
        assert not any(gone)
        coder.close()

    run(test())


def test_what_nobody_waits_for_does_not_begin() -> None:
    async def test() -> None:
        coder, one, two = Coder(), Held(), Held()
        coder.submit(one, lambda future: None)
        coder.submit(two, lambda future: None).cancel()
        one.let_go.set()
        await until(lambda: one.ended)
        await asyncio.sleep(0.05)
        assert not two.begun
        coder.close()

    run(test())
