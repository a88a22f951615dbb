"""The stage reports what its scenes did: a second chance is for an overloaded machine only, and is always told."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from tests.stage import STALL_S, Machine, Result, Scene, Stage


def _stage(tmp_path: Path, seats: int = 5) -> Stage:
    return Stage(lambda: tmp_path, Machine(tmp_path), (pytest.skip.Exception, pytest.fail.Exception), seats)


class Script:
    """A scene that stalls the machine and fails as often as it is told."""

    def __init__(self, *failures: BaseException | None, stall: bool = True) -> None:
        self.failures = list(failures)
        self.stall = stall
        self.played = 0

    async def __call__(self, tmp_path: Path) -> None:
        await asyncio.sleep(0.05)
        if self.stall:
            time.sleep(2 * STALL_S)
        await asyncio.sleep(0.05)
        self.played += 1
        failure = self.failures.pop(0)
        if failure is not None:
            raise failure


def _play(tmp_path: Path, script: Script) -> Result:
    return _stage(tmp_path).play([Scene("it", script)])["it"]


def test_a_real_failure_stays_red_on_an_overloaded_machine(tmp_path: Path) -> None:
    script = Script(AssertionError("first"), AssertionError("second"))
    result = _play(tmp_path, script)
    assert script.played == 2
    assert str(result.error) == "second"
    assert "failed again" in result.notice()
    assert "first" in result.notice()


def test_a_scene_that_an_overloaded_machine_spoilt_is_told(tmp_path: Path) -> None:
    result = _play(tmp_path, Script(pytest.fail.Exception("too late"), None))
    assert result.error is None
    assert "passed alone" in result.notice()
    assert "stood still" in result.notice()
    assert "too late" in result.notice()


def test_a_failure_on_a_machine_that_kept_up_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (0.5, 0.5, 0.5))
    script = Script(AssertionError("real"), None, stall=False)
    result = _play(tmp_path, script)
    assert script.played == 1
    assert str(result.error) == "real"
    assert result.spoilt is None


def test_a_stall_before_a_scene_does_not_excuse_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (0.5, 0.5, 0.5))
    stalling, later = Script(None), Script(AssertionError("real"), None, stall=False)
    results = _stage(tmp_path, seats=1).play([Scene("stalling", stalling), Scene("later", later)])
    assert results["stalling"].error is None
    assert str(results["later"].error) == "real"
    assert later.played == 1


def test_a_scene_alone_waits_for_the_others_and_keeps_new_ones_out(tmp_path: Path) -> None:
    machine, log = Machine(tmp_path), []
    inside = threading.Event()

    def other() -> None:
        with machine.shared():
            inside.set()
            time.sleep(0.1)
            log.append("other")

    def late() -> None:
        time.sleep(0.05)
        with machine.shared():
            log.append("late")

    threads = [threading.Thread(target=each) for each in (other, late)]
    for each in threads:
        each.start()
    inside.wait()
    with machine.alone():
        time.sleep(0.1)
        log.append("alone")
    for each in threads:
        each.join()
    assert log == ["other", "alone", "late"]
