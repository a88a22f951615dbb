"""Plays the end-to-end tests at the same time: each has its own plant, daemon, network and folder, and mostly waits.

A test that is a coroutine is played together with all other selected ones, `SEATS` at once, when the first of them is
due; each then reports its own result. A plain function runs alone, for what load would spoil.

The daemon's deadlines are real: where a board is silent for 300 ms it must open the contactors, also when the machine
that plays the board stood still. So what failed while the machine was overloaded is played once more, alone.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import time

import pytest

SEATS = 5
STALL_S = 0.15


class Stage:
    """Results of the coroutine tests of one run, by node id: None, or what they raised."""

    def __init__(self, session: pytest.Session, folders: pytest.TempPathFactory) -> None:
        self._items = [item for item in session.items if _is_scene(item)]
        self._folders = folders
        self._lag_s = 0.0
        self._results: dict[str, BaseException | None] = {}

    def result(self, item: pytest.Function) -> BaseException | None:
        if not self._results:
            asyncio.run(self._play_all())
        return self._results[item.nodeid]

    async def _play_all(self) -> None:
        seats = asyncio.Semaphore(SEATS)
        lag = asyncio.create_task(self._measure_lag())
        items = [item for item in self._items if isinstance(item, pytest.Function)]
        await asyncio.gather(*(self._play(item, seats) for item in items))
        failed = [item for item in items if self._results[item.nodeid] is not None]
        overloaded = self._lag_s > STALL_S or os.getloadavg()[0] > 2 * (os.cpu_count() or 1)
        if failed and overloaded:
            print(f"overloaded ({self._lag_s:.2f} s, load {os.getloadavg()[0]:.1f}): {len(failed)} played again, alone")
            for item in failed:
                print(f"first time {item.name}: {str(self._results[item.nodeid]).splitlines()[:2]}")
                await self._play(item, asyncio.Semaphore(1))
        lag.cancel()

    async def _measure_lag(self) -> None:
        """The longest time for which this process did not come to step its plants."""
        while True:
            before_s = time.monotonic()
            await asyncio.sleep(0.01)
            self._lag_s = max(self._lag_s, time.monotonic() - before_s - 0.01)

    async def _play(self, item: pytest.Function, seats: asyncio.Semaphore) -> None:
        folder = self._folders.mktemp("e2e")
        async with seats:
            try:
                arguments = item.callspec.params if hasattr(item, "callspec") else {}
                await item.obj(tmp_path=folder, **arguments)
                self._results[item.nodeid] = None
            except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:
                self._results[item.nodeid] = error


def _is_scene(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj)


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(request.session, tmp_path_factory)


@pytest.fixture(autouse=True)
def _staged(request: pytest.FixtureRequest) -> None:
    """Coroutine tests need the stage although they do not name it."""
    if _is_scene(request.node):
        request.getfixturevalue("stage")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not _is_scene(pyfuncitem):
        return None
    error = pyfuncitem._request.getfixturevalue("stage").result(pyfuncitem)
    if error is not None:
        raise error
    return True
