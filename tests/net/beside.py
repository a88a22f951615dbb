"""Two outlets in one process: a charge loop beside the largest legal messages, and a control loop's ticks beside both.

The car in the loop is a process of its own, so that what it measures is what a car would.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from evse_controller.messages import encode
from evse_controller.net.coder import Coder
from evse_controller.secc.coding import LARGE_BYTES
from evse_controller.secc.config import MAX_MESSAGE_LIMIT, SeccConfig
from evse_controller.secc.connection import Connection
from evse_controller.secc.v2gtp import HEADER_LENGTH, PayloadType, encode_frame
from tests.net.large import largest_schedule
from tests.net.support import Bench, PlainClient, serving, until
from tests.secc.ev import DC, DYNAMIC, NS_DC, SCHEDULED, frame, loop, sap_request, schedule_request
from tests.secc.wire import Wire

TICK_S = 0.01
_READS = 10  # driver buses looked at in a tick: each lets go of the interpreter, and must get it back

_CAR = """
import json, socket, sys, time
port, period_s, request, times = int(sys.argv[1]), float(sys.argv[2]), bytes.fromhex(sys.argv[3]), []
link = socket.create_connection(("::1", port))
link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
link.settimeout(20)
print("ready", flush=True)
while not times or times[-1] >= 0:
    began_s = time.perf_counter()
    link.sendall(request)
    got = b""
    while len(got) < 8 or len(got) < 8 + int.from_bytes(got[4:8], "big"):
        more = link.recv(65536)
        if not more:
            break
        got += more
    if not got:
        break
    times.append(time.perf_counter() - began_s)
    print(times[-1], flush=True)
    time.sleep(period_s)
"""


@dataclass
class Figures:
    """Seconds: how long the answers took that a charge loop got, and how late the ticks of a control loop came."""

    answers: list[float]
    ticks: list[float]
    works: list[float]

    def words(self) -> str:
        words = []
        for name, values in (("answers", self.answers), ("ticks late", self.ticks)):
            if not values:
                words.append(f"{name}: none")
                continue
            p50, p99, worst = (1e3 * percentile(values, share) for share in (0.5, 0.99, 1.0))
            words.append(f"{name} {len(values)}: p50 {p50:.2f} p99 {p99:.2f} worst {worst:.2f} ms")
        if self.works:
            words.append(f"{len(self.works)} large messages, {min(self.works):.2f} s at best")
        return "; ".join(words)


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def led_to(state: str, mode: int, large_bytes: int | None) -> Wire:
    """A real connection in that state, by real time; its shell codes messages from `large_bytes` on."""
    config = replace(SeccConfig(), max_message_bytes=MAX_MESSAGE_LIMIT)
    bench = Wire(service=DC, control_mode=mode, chance=random.Random(1), now_s=time.monotonic(), config=config)
    bench.feed(frame(sap_request((NS_DC, 1, 0, 3, 1))))
    bench.to(state)
    bench.link.large_bytes = large_bytes
    return bench


@contextlib.asynccontextmanager
async def outlet(bench: Wire, coder: Coder) -> AsyncIterator[Bench]:
    """A server whose next car meets that connection."""
    async with serving(make=lambda link: bench.link, coder=coder) as served:
        served.hooks.snapshot = lambda: bench.snapshot  # type: ignore[method-assign]
        served.hooks.on_output = lambda link, output, took_s: None  # type: ignore[method-assign] # nobody keeps a large message
        yield served


def answering(link: Connection, response: Any) -> None:
    """Whatever the session answers, this message is sent."""
    session = link._session
    assert session is not None
    handle = session.handle
    session.handle = lambda *given: replace(handle(*given), response=response)  # type: ignore[method-assign]


async def _ticker(late: list[float]) -> None:
    """As the daemon's control loop: a tick each 10 ms, in which every bus is looked at."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    try:
        due_s = time.monotonic()
        while True:
            due_s = max(due_s + TICK_S, time.monotonic())
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            for _ in range(_READS):
                with contextlib.suppress(BlockingIOError):
                    os.read(reading, 64)
            late.append(time.monotonic() - due_s)
    finally:
        os.close(reading)
        os.close(writing)


async def _exchange(client: PlainClient, request: bytes) -> float:
    began_s = time.monotonic()
    await client.send(request)
    header = await client.receive(HEADER_LENGTH, 30)
    await client.receive(int.from_bytes(header[4:], "big"), 30)
    return time.monotonic() - began_s


async def measure(
    what: str, *, seconds: float, large_bytes: int | None = LARGE_BYTES, period_s: float = 0.01
) -> Figures:
    """Charge loop and ticks beside `what`: nothing, answer (the charger sends 1.48 MB), or request (the car does)."""
    answers: list[float] = []
    ticks: list[float] = []
    works: list[float] = []
    coder = Coder()
    looping, other = led_to("ChargeLoop", DYNAMIC, large_bytes), led_to("ScheduleExchange", SCHEDULED, large_bytes)
    request = frame(_named(schedule_request(SCHEDULED), other))
    if what == "answer":
        answering(other.link, largest_schedule(other.session_id))
    huge = encode_frame(PayloadType.ISO20_COMMON, encode(largest_schedule(other.session_id)))
    gc.collect()
    gc.freeze()  # as the daemon does before it serves
    try:
        async with outlet(looping, coder) as first, outlet(other, coder) as second:
            endpoint = first.server.tcp_endpoint
            assert endpoint is not None
            arguments = (str(endpoint[1]), str(period_s), frame(_named(loop(DYNAMIC, False), looping)).hex())
            car = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _CAR, *arguments, stdout=asyncio.subprocess.PIPE
            )
            assert car.stdout is not None
            assert await car.stdout.readline() == b"ready\n"
            client = await PlainClient.connect(second.server)
            listener = asyncio.create_task(_listen(car.stdout, answers))
            await until(lambda: len(answers) > 20, 10)
            answers.clear()
            ticker = asyncio.create_task(_ticker(ticks))
            end_s = time.monotonic() + seconds
            while time.monotonic() < end_s:
                if what == "answer":
                    works.append(await _exchange(client, request))
                elif what == "request" and not works:
                    began_s = time.monotonic()
                    await client.send(huge)
                    assert await client.closed(30)  # a response is no request: it is decoded, and then refused
                    works.append(time.monotonic() - began_s)
                else:
                    await asyncio.sleep(0.05)
            ticker.cancel()
            with contextlib.suppress(ProcessLookupError):  # a charger that is held up for too long has ended it
                car.kill()
            await car.wait()
            await listener
            client.close()
            assert "internal-error" not in first.hooks.kinds() + second.hooks.kinds()
    finally:
        gc.unfreeze()
        coder.close()
    return Figures(answers, ticks, works)


async def _listen(lines: asyncio.StreamReader, answers: list[float]) -> None:
    while line := await lines.readline():
        answers.append(float(line))


def _named(request: Any, bench: Wire) -> Any:
    request.header.session_id = bench.session_id
    return request


__all__ = ["Figures", "answering", "led_to", "measure", "outlet", "percentile"]
