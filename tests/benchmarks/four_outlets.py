"""Four whole daemons on one loop, and sixteen cars planned for beside them: `python -m tests.benchmarks.four_outlets
CONFIG...`. Ends when it is killed; a line for every plan of all sixteen that was finished."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from evse_controller.app.daemon import POLL_S, Daemon
from evse_controller.config import load
from tests.benchmarks.sixteen_cars import CARS, SixteenCars


async def _plan(daemon: Daemon) -> None:
    """One car's turn in every round of the loop: 0.5 ms at most, as in an outlet's control step."""
    cars, told = SixteenCars(daemon.config, daemon.world.utc_s()), 0
    while True:
        cars.work(cars.turn())
        if cars.planned >= told + CARS:
            told = cars.planned
            print(f"planned {told}", flush=True)
        await asyncio.sleep(POLL_S)


async def _run(paths: list[str]) -> None:
    daemons = [Daemon(load(Path(path))) for path in paths]
    await asyncio.gather(*(daemon.run() for daemon in daemons), _plan(daemons[0]))


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1:]))
