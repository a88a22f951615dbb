"""Scenes (tests that are coroutines) are played together, see `stage.py`; the whole suite runs in two processes.

`pytest` without a selection gives the scenes, which mostly wait, to one process and everything else to the other, file
by file. A selection runs in the one process that was asked for it.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.stage import Machine, PlayedAgainWarning, Result, Scene, Stage, is_scene

SCENES = ("tests/e2e/", "tests/hil/test_josev_")
OUTCOMES = (pytest.skip.Exception, pytest.fail.Exception)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """What `-n auto` of our own options means."""
    whole_suite = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return 2 if whole_suite and config.option.capture != "no" else 0


class _ScenesAndFiles(LoadScopeScheduling):
    """What is given to one process as a whole: all scenes with the tests that want to be alone; else a file."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "scenes" if path.startswith(SCENES) else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return _ScenesAndFiles(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Scenes take longest, so they come first."""
    items.sort(key=lambda item: not _is_scene(item))


def _is_scene(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and is_scene(item.obj)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Shared by the processes of this run: each has its own folder inside the same one."""
    return Machine(tmp_path_factory.getbasetemp().parent)


@pytest.fixture(scope="session")
def results(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, machine: Machine
) -> Callable[[], Mapping[str, Result]]:
    """How the scenes of this run ended; played when it is first asked for."""
    scenes = [
        Scene(item.nodeid, functools.partial(item.obj, **getattr(getattr(item, "callspec", None), "params", {})))
        for item in request.session.items
        if isinstance(item, pytest.Function) and _is_scene(item)
    ]
    stage = Stage(lambda: tmp_path_factory.mktemp("scene"), machine, OUTCOMES)
    return functools.cache(lambda: stage.play(scenes))


@pytest.fixture(autouse=True)
def _staged(request: pytest.FixtureRequest, machine: Machine) -> Iterator[None]:
    """Scenes need the results although they do not name them. What load would spoil has the machine for itself."""
    if _is_scene(request.node):
        request.getfixturevalue("results")
        yield
    else:
        with machine.alone() if request.node.nodeid.startswith(SCENES) else machine.shared():
            yield


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not _is_scene(pyfuncitem):
        return None
    result = pyfuncitem._request.getfixturevalue("results")()[pyfuncitem.nodeid]
    if result.spoilt is not None:
        warnings.warn(PlayedAgainWarning(result.notice()), stacklevel=1)
    if result.error is not None:
        raise result.error
    return True
