"""Who may not charge any more, who is called, and how long silence lasts: the pilot at both kinds of outlet."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from evse_controller.model.commands import EndKind, SessionEnded, SessionOpened
from evse_controller.model.fault import Fault, FaultCode
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Notification
from evse_controller.safety import thresholds as t
from tests.station.ac_bench import AcBench
from tests.station.bench import OPENED, PAUSED, Bench

FAILED = SessionEnded(EndKind.FAILED, "told")
AnyBench = Bench | AcBench
BOTH = pytest.mark.parametrize("make", [Bench, AcBench], ids=["dc", "ac"])
Make = Callable[[], AnyBench]


def plugged(make: Make) -> AnyBench:
    bench = make()
    bench.pilot = PilotState.B
    bench.steps(20)
    assert bench.devices.duty == 5.0
    return bench


def stopped(make: Make) -> AnyBench:
    """Stopped before any energy: the EV was told and its session is over."""
    bench = plugged(make)
    bench.tell(OPENED)
    bench.station.request_stop("closing time", bench.now_s)
    bench.steps(2)
    assert bench.devices.duty == 5.0  # as long as it may still leave in good order
    bench.tell(FAILED)
    bench.steps(2)
    return bench


def silent_s(bench: AnyBench) -> float:
    """How long until the oscillator is on, at most 60 s."""
    begun_s = bench.now_s
    while bench.devices.duty is None and bench.now_s - begun_s < 60.0:
        bench.steps(1)
    return bench.now_s - begun_s


@BOTH
def test_after_a_stop_the_oscillator_is_off_and_no_session_begins_until_the_plug_is_out(make: Make) -> None:
    bench = stopped(make)
    bench.steps(1200)
    assert bench.devices.duty is None
    assert bench.station.stopped == bench.station.status().stopping == "closing time"
    assert (bench.snapshot.notification, bench.snapshot.emergency) == (Notification.TERMINATE, None)
    bench.pilot = PilotState.C  # no toggle of the EV's own ends what somebody stopped
    for _ in range(100):
        bench.steps(1)
        assert bench.devices.duty is None
    bench.tell(SessionOpened("01", "EV", "-20"))
    bench.steps(2)
    assert bench.devices.duty is None
    assert bench.snapshot.notification is Notification.TERMINATE
    bench.tell(FAILED)
    bench.pilot = PilotState.A
    bench.steps(2)
    assert (bench.station.stopped, bench.station.status().stopping) == (None, None)
    bench.pilot = PilotState.B
    bench.steps(2)
    assert bench.devices.duty == 5.0
    assert bench.snapshot.notification is None


@BOTH
def test_a_new_authorisation_ends_a_stop_and_calls_the_ev(make: Make) -> None:
    bench = stopped(make)
    bench.station.call("a card", bench.now_s)
    assert t.STEP_X1_S - 0.2 <= silent_s(bench) <= t.STEP_X1_S
    assert (bench.station.stopped, bench.snapshot.notification) == (None, None)
    bench.tell(OPENED)
    bench.steps(2)
    assert bench.snapshot.notification is None


@BOTH
def test_an_ev_that_gave_up_is_called_by_a_step_of_the_oscillator(make: Make) -> None:
    bench = plugged(make)
    bench.station.call("a card", bench.now_s)
    assert bench.station.silent
    bench.steps(1)
    assert bench.devices.duty is None
    assert t.STEP_X1_S - 0.1 <= silent_s(bench) <= t.STEP_X1_S + 0.1
    assert not bench.station.silent


@BOTH
def test_an_ev_in_a_session_is_not_called(make: Make) -> None:
    bench = plugged(make)
    bench.tell(OPENED)
    bench.station.call("a card", bench.now_s)
    bench.steps(5)
    assert bench.devices.duty == 5.0


@BOTH
def test_a_session_that_sleeps_is_over_at_once_when_it_is_stopped(make: Make) -> None:
    bench = plugged(make)
    bench.tell(OPENED, PAUSED)
    bench.steps(100)
    assert bench.station.asleep
    bench.station.request_stop("closing time", bench.now_s)
    bench.steps(200)
    assert (bench.devices.duty, bench.station.asleep, bench.station.stopped) == (None, False, "closing time")
    assert not bench.station.wake("technician", bench.now_s)
    bench.station.call("a start from afar", bench.now_s)
    assert silent_s(bench) <= 0.1  # it has been off for long enough


@BOTH
def test_a_stop_of_safety_s_own_ends_with_its_fault(make: Make) -> None:
    bench = plugged(make)
    bench.tell(OPENED)
    bench.station._see(Fault(FaultCode.DEVICE_ERROR, "station", "a step failed", bench.now_s), False)
    assert bench.station._stopping is not None
    bench.tell(FAILED)
    for _ in range(60):
        bench.steps(1)
    assert (bench.station.stopped, bench.fault_codes, bench.devices.duty) == (None, set(), 5.0)


@BOTH
def test_after_a_restart_silence_does_not_last_for_ever(make: Make) -> None:
    """Another EV may have been plugged in meanwhile; the one that sleeps is woken, and may join its session."""
    bench = make()
    bench.pilot = PilotState.B
    bench.station.restore_sleep()
    bench.steps(1)
    assert bench.devices.duty is None
    assert t.RESTORED_SLEEP_S - 1.0 <= silent_s(bench) <= t.RESTORED_SLEEP_S + 1.0
    bench.tell(OPENED, PAUSED)
    bench.steps(2000)
    assert bench.devices.duty is None  # no restart, no end
