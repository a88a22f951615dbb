"""Plays scenes at the same time: tests that are coroutines, each with its own plant, daemon, network and folder.

All selected scenes are played together, `SEATS` at once, when the first of them is due; each then reports its own
result. A plain function runs alone, for what load would spoil.

The daemon's deadlines are real: where a board is silent for 300 ms it must open the contactors, also when the machine
that plays the board stood still. So a scene that failed while the machine was overloaded is played once more, alone:
the other process of a whole run waits between two of its tests meanwhile (`Machine`).
Its second result counts, and pytest's summary of warnings says that there was a first one, and what it was. A scene
that fails for a reason of its own fails again.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import inspect
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SEATS = 5
STALL_S = 0.15

Failure = BaseException


class PlayedAgainWarning(UserWarning):
    """A scene failed while the machine was overloaded and was played a second time."""


@dataclass(frozen=True, slots=True)
class Scene:
    """`play(tmp_path=...)` gets a folder of its own and raises what a test raises."""

    name: str
    play: Callable[..., Awaitable[object]]


@dataclass(slots=True)
class Result:
    """`error`: how it ended, None when all was well. `spoilt`: how it ended the first time, if it was played twice."""

    error: Failure | None = None
    spoilt: Failure | None = None
    load: str = ""

    def notice(self) -> str:
        """For the summary, when it was played twice."""
        end = "failed again" if self.error is not None else "passed alone"
        first = (str(self.spoilt) or repr(self.spoilt)).splitlines()[0]
        return f"played again, {end}; the machine was overloaded ({self.load}) when it failed with: {first}"


class Machine:
    """Who may load the machine: any number of tests side by side, or one scene alone, among all processes of a run.

    `folder` is one that these processes share. Whoever waits to be alone keeps the door, so that nobody new comes in.
    """

    def __init__(self, folder: Path) -> None:
        self._door, self._room = folder / "door.lock", folder / "room.lock"

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        with contextlib.ExitStack() as inside:
            with _locked(self._door, fcntl.LOCK_EX):
                inside.enter_context(_locked(self._room, fcntl.LOCK_SH))
            yield

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        with _locked(self._door, fcntl.LOCK_EX), _locked(self._room, fcntl.LOCK_EX):
            yield


@contextlib.contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, how)
        yield  # closing the file unlocks it


class Stage:
    """`folder` makes an empty folder for a scene; `outcomes` are the test framework's own exceptions."""

    def __init__(
        self,
        folder: Callable[[], Path],
        machine: Machine,
        outcomes: tuple[type[BaseException], ...] = (),
        seats: int = SEATS,
    ) -> None:
        self._folder = folder
        self._machine = machine
        self._outcomes = outcomes
        self._seats = seats
        self._stalls: list[tuple[float, float]] = []

    def play(self, scenes: list[Scene]) -> Mapping[str, Result]:
        """Play all of them; results by name."""
        return asyncio.run(self._play_all(scenes))

    async def _play_all(self, scenes: list[Scene]) -> Mapping[str, Result]:
        seats = asyncio.Semaphore(self._seats)
        lag = asyncio.create_task(self._watch_stalls())
        results: dict[str, Result] = {}

        async def take_turn(scene: Scene) -> None:
            async with seats:
                began_s = time.monotonic()
                error = await self._play(scene)
                results[scene.name] = Result(error, load=self._overload(began_s) if error is not None else "")

        await asyncio.gather(*(take_turn(scene) for scene in scenes))
        for scene in scenes:
            first = results[scene.name]
            if first.error is not None and first.load:
                with self._machine.alone():  # this process has nothing else to do while it waits
                    results[scene.name] = Result(await self._play(scene), first.error, first.load)
        lag.cancel()
        return results

    async def _play(self, scene: Scene) -> Failure | None:
        try:
            await scene.play(tmp_path=self._folder())
        except (Exception, *self._outcomes) as error:
            return error
        return None

    async def _watch_stalls(self) -> None:
        """Notes when, and for how long, this process did not come to step its plants."""
        while True:
            before_s = time.monotonic()
            await asyncio.sleep(0.01)
            stalled_s = time.monotonic() - before_s - 0.01
            if stalled_s > STALL_S:
                self._stalls.append((time.monotonic(), stalled_s))

    def _overload(self, since_s: float) -> str:
        """What overloaded the machine since then, or nothing."""
        worst_s = max((stall_s for at_s, stall_s in self._stalls if at_s >= since_s), default=0.0)
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
        if worst_s:
            return f"stood still for {worst_s:.2f} s"
        return f"load {load:.1f} on {cores} cores" if load > 2 * cores else ""


def is_scene(test: object) -> bool:
    """Whether a test function is a scene."""
    return inspect.iscoroutinefunction(test)
