"""Notices to the EV: counted down, heeded or withdrawn, and what follows from one that is not heeded."""

from __future__ import annotations

import pytest

from evse_controller.model.commands import (
    ContextDropped,
    EndKind,
    EnergyHold,
    EnergyStart,
    EnergyStop,
    MeterConfirmed,
    Notified,
    ScheduleRequested,
    SessionEnded,
)
from evse_controller.model.snapshot import Notification
from tests.safety.facts import NEEDS
from tests.station.bench import Bench


def test_notice_is_counted_down_and_asking_again_gives_no_more_time() -> None:
    bench = Bench()
    bench.to_energy()
    bench.station.notify(Notification.PAUSE, 60.0, "no power for hours", bench.now_s)
    bench.steps(1)
    assert bench.snapshot.notification is Notification.PAUSE
    assert bench.snapshot.notification_max_delay_s == 60
    bench.steps(200)
    bench.station.notify(Notification.PAUSE, 60.0, "again", bench.now_s)
    bench.steps(1)
    assert bench.snapshot.notification_max_delay_s == 50


def test_ev_that_does_not_pause_in_time_is_stopped() -> None:
    bench = Bench()
    bench.to_energy()
    bench.station.notify(Notification.PAUSE, 1.0, "no power for hours", bench.now_s)
    bench.tell(Notified(Notification.PAUSE))
    bench.steps(58)
    assert bench.snapshot.notification is Notification.PAUSE
    assert bench.snapshot.notification_max_delay_s == 0
    bench.steps(4)
    assert bench.snapshot.notification is Notification.TERMINATE
    assert bench.snapshot.notification_max_delay_s == 0
    assert bench.snapshot.emergency is None
    bench.steps(420)  # the EV does not react at all: 20 s, then the hardware ends it
    assert not bench.devices.wanted_contactors
    assert "stopped by force" in (bench.snapshot.emergency or "")
    bench.tell(SessionEnded(EndKind.FAILED, "told"))
    bench.steps(20)
    assert bench.snapshot.emergency is None


def test_an_ev_that_was_never_told_of_a_pause_is_not_stopped_for_it() -> None:
    bench = Bench()
    bench.to_energy()
    bench.station.notify(Notification.PAUSE, 1.0, "no power for hours", bench.now_s)
    bench.tell(Notified(Notification.SERVICE_RENEGOTIATION))
    bench.steps(70)
    assert bench.snapshot.notification is None
    assert bench.station.status().stopping is None
    assert any("could not be told" in event.text for event in bench.station.drain_events())


def test_standby_does_not_heed_a_pause() -> None:
    bench = Bench()
    bench.to_energy()
    bench.station.notify(Notification.PAUSE, 1.0, "no power for hours", bench.now_s)
    bench.steps(2)
    bench.tell(Notified(Notification.PAUSE), EnergyHold("standby"))
    bench.steps(2)
    bench.tell(EnergyStart(None))
    bench.steps(1)
    assert bench.snapshot.notification is Notification.PAUSE
    bench.steps(60)
    assert bench.snapshot.notification is Notification.TERMINATE


def test_stopping_heeds_a_pause() -> None:
    bench = Bench()
    bench.to_energy()
    bench.station.notify(Notification.PAUSE, 1.0, "no power for hours", bench.now_s)
    bench.tell(EnergyStop("stop"))
    bench.steps(60)
    assert bench.station.status().stopping is None


def test_notice_ends_when_it_is_heeded_or_withdrawn_and_terminate_comes_first() -> None:
    bench = Bench()
    bench.to_energy()
    station = bench.station
    station.notify(Notification.SCHEDULE_RENEGOTIATION, 60.0, "prices", bench.now_s)
    station.notify(Notification.METERING_CONFIRMATION, 60.0, "receipt", bench.now_s)
    bench.steps(1)
    assert bench.snapshot.notification is Notification.SCHEDULE_RENEGOTIATION
    bench.tell(ScheduleRequested(NEEDS, renegotiation=True))
    bench.steps(1)
    assert bench.snapshot.notification is Notification.METERING_CONFIRMATION
    bench.tell(MeterConfirmed("m", 1, 0, None, False), ContextDropped("00"))
    bench.steps(1)
    assert bench.snapshot.notification is None
    station.notify(Notification.SERVICE_RENEGOTIATION, 60.0, "direction", bench.now_s)
    station.withdraw(Notification.SERVICE_RENEGOTIATION, bench.now_s)
    bench.steps(1)
    assert bench.snapshot.notification is None
    station.notify(Notification.SCHEDULE_RENEGOTIATION, 60.0, "prices", bench.now_s)
    station.request_stop("stop", bench.now_s)
    bench.steps(1)
    assert bench.snapshot.notification is Notification.TERMINATE
    with pytest.raises(ValueError, match="request_stop"):
        station.notify(Notification.TERMINATE, 0.0, "no", bench.now_s)


def test_renegotiation_that_is_not_heeded_ends_without_a_stop() -> None:
    bench = Bench()
    bench.to_energy()
    bench.station.notify(Notification.SCHEDULE_RENEGOTIATION, 0.5, "prices", bench.now_s)
    bench.steps(55)
    assert bench.snapshot.notification is None
    assert bench.station.status().stopping is None
