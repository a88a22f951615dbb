"""How long a cold start takes until a plugged car is answered."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

from hil.bench import Bench, Setting
from hil.evcc import sdp_request

TARGET_S = 1.0
TRIES = 5
SPIN_S = 0.1


async def _start(folder: Path) -> float:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        port = probe.getsockname()[1]
    setting = Setting(network="loopback", config={"net": {"sdp_port": port}})
    async with Bench(folder, setting) as bench:
        bench.plug()
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asker:
            asker.setblocking(False)
            started_s = time.monotonic()
            bench.launch()
            while time.monotonic() < started_s + 15.0:
                await loop.sock_sendto(asker, sdp_request(tls=True), ("::1", port))
                try:
                    async with asyncio.timeout(0.02):
                        await loop.sock_recv(asker, 64)
                    return time.monotonic() - started_s
                except ConnectionRefusedError:
                    await asyncio.sleep(0.01)
                except TimeoutError:
                    continue
        raise AssertionError(f"no SDP answer: {await bench.story()}")


def _stretch() -> float:
    """How much longer than alone on its core a program takes at this moment, because others want the core too."""
    began_s, spent_s = time.perf_counter(), time.process_time()
    while time.process_time() < spent_s + SPIN_S:
        pass
    return max(1.0, (time.perf_counter() - began_s) / SPIN_S)


def test_cold_start_answers_sdp_within_a_second(tmp_path: Path) -> None:
    took_s: list[float] = []

    async def starts() -> None:
        after = _stretch()
        while len(took_s) < 3 or (min(took_s) > TARGET_S and len(took_s) < TRIES):
            before, took = after, await _start(tmp_path / str(len(took_s)))
            after = _stretch()
            took_s.append(took / min(before, after))
            print(f"cold start to SDP answered: {took:.2f} s on a machine {min(before, after):.1f} times as slow")

    asyncio.run(starts())
    assert min(took_s) <= TARGET_S
