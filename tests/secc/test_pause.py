"""Pause: when it is due, asked for and allowed, and what is written down (protocol.md B.3, C.5)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import EvseNotification, ResponseCode
from evse_controller.model import commands as c
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Notification
from evse_controller.secc.config import SeccConfig
from tests.secc.ev import (
    DC_BPT,
    DYNAMIC,
    SCHEDULED,
    SNAPSHOT,
    Bench,
    loop,
    power_delivery,
    profile,
    schedule_request,
    stop,
)
from tests.secc.shelf import LEAF, NOT_ALLOWED, PAUSE, Shelf, bench_of, paused, planned, ready


def test_a_pause_is_written_down_before_the_session_ends() -> None:
    shelf = Shelf()
    bench = paused(shelf)
    assert [type(command) for command in bench.commands[-2:]] == [c.ContextKept, c.SessionEnded]
    (ended,) = bench.commands_of(c.SessionEnded)
    assert ended.kind is c.EndKind.PAUSED
    (kept,) = shelf.contexts.values()
    assert kept == c.PausedSession(
        session_id=bench.session_id.hex().upper(),
        binding=hashlib.sha512(bench.session_id + LEAF).hexdigest(),
        evccid="EV1",
        protocol="ISO 15118-20 DC",
        service_id=DC_BPT,
        parameter_set_id=SCHEDULED,
        offered=((DC_BPT, 1), (DC_BPT, 2)),
        paused_utc_s=bench.snapshot.utc_s,
    )


# When a pause is due


@pytest.mark.parametrize(
    ("slots", "later_s", "allowed"),
    [
        (((3600, 0.0),), 0.0, True),
        (((3600, 1000.0), (3600, 0.0)), 3500.0, False),
        (((3600, 1000.0), (3600, 0.0)), 3600.0, True),
        (((60, 1000.0),), 59.0, False),
        (((60, 1000.0),), 60.0, True),
        (((3600, 0.0), (3600, -1000.0)), 3600.0, False),
    ],
)
def test_scheduled_pause_is_due_where_the_profile_says_zero_or_has_ended(
    slots: tuple[tuple[int, float], ...], later_s: float, allowed: bool
) -> None:
    bench = planned(*slots)
    bench.set(utc_s=SNAPSHOT.utc_s + later_s)
    bench.to("SessionStop")
    bench.set(utc_s=SNAPSHOT.utc_s + later_s)
    assert bench.say(stop(PAUSE)).response_code is (ResponseCode.OK if allowed else NOT_ALLOWED)


def test_scheduled_without_a_profile_the_tuple_is_the_plan() -> None:
    bench = ready(bench_of(Shelf()))
    bench.say(power_delivery())
    bench.to("SessionStop")
    assert bench.say(stop(PAUSE)).response_code is NOT_ALLOWED


def test_scheduled_before_any_plan_there_is_nothing_to_pause() -> None:
    assert bench_of(Shelf()).to("CableCheck").say(stop(PAUSE)).response_code is NOT_ALLOWED


@pytest.mark.parametrize("asked", [False, True])
def test_dynamic_pause_is_due_when_the_station_asked_for_it(asked: bool) -> None:
    bench = bench_of(Shelf(), control_mode=DYNAMIC).to("ChargeLoop")
    bench.set(notification=Notification.PAUSE if asked else None, notification_max_delay_s=60)
    status = bench.say(loop(DYNAMIC)).evse_status
    assert (status is not None) is asked
    bench.to("SessionStop")
    assert bench.say(stop(PAUSE)).response_code is (ResponseCode.OK if asked else NOT_ALLOWED)


def test_a_pause_asked_for_by_the_station_needs_no_zero_in_the_profile() -> None:
    bench = planned((3600, 1000.0))
    bench.set(notification=Notification.PAUSE, notification_max_delay_s=60)
    bench.say(loop())
    bench.to("SessionStop")
    assert bench.say(stop(PAUSE)).response_code is ResponseCode.OK


@pytest.mark.parametrize(
    "kinds",
    [
        {"certificate": None},
        {"config": SeccConfig(pause=False)},
        {"snapshot": replace(SNAPSHOT, pause_allowed=False)},
    ],
    ids=["no certificate", "not configured", "not at this outlet"],
)
def test_a_pause_that_could_not_be_resumed_is_neither_asked_for_nor_allowed(kinds: dict[str, Any]) -> None:
    bench = ready(bench_of(Shelf(), **kinds))
    bench.say(power_delivery(plan=profile(1, (3600, 0.0))))
    bench.set(notification=Notification.PAUSE, notification_max_delay_s=60)
    assert bench.say(loop()).evse_status is None
    bench.to("SessionStop")
    assert bench.say(stop(PAUSE)).response_code is NOT_ALLOWED
    assert bench.commands_of(c.ContextKept) == []
    assert bench.commands_of(c.SessionEnded)[0].kind is c.EndKind.FAILED


@pytest.mark.parametrize("state", ["AuthorizationSetup", "Authorization", "ServiceDiscovery", "ServiceSelection"])
def test_before_a_service_there_is_nothing_to_pause(state: str) -> None:
    assert bench_of(Shelf()).to(state).say(stop(PAUSE)).response_code is NOT_ALLOWED


def test_pause_out_of_the_loop_stops_energy_first() -> None:
    bench = planned((3600, 0.0))
    assert bench.say(stop(PAUSE)).response_code is ResponseCode.OK
    assert [type(command) for command in bench.commands[-3:]] == [c.EnergyStop, c.ContextKept, c.SessionEnded]


def test_a_refused_pause_out_of_the_loop_stops_energy_too() -> None:
    bench = planned((3600, 1000.0))
    assert bench.say(stop(PAUSE)).response_code is NOT_ALLOWED
    assert [type(command) for command in bench.commands[-2:]] == [c.EnergyStop, c.SessionEnded]


# Asked for by the station


def asked(mode: int, for_s: float, since_s: float) -> Bench:
    """In the loop, where a pause was asked for `for_s` seconds, and was not any more for `since_s`."""
    bench = planned((3600, 1000.0)) if mode == SCHEDULED else bench_of(Shelf(), control_mode=mode).to("ChargeLoop")
    for notification, seconds in ((Notification.PAUSE, for_s), (None, since_s)):
        bench.set(notification=notification, notification_max_delay_s=60)
        for _ in range(round(seconds * 4) + 1):
            bench.after(0.25)
            bench.say(loop(mode))
    return bench


@pytest.mark.parametrize("mode", [SCHEDULED, DYNAMIC])
@pytest.mark.parametrize(("since_s", "allowed"), [(5.0, True), (9.5, True), (11.0, False), (50.0, False)])
def test_a_notice_that_was_withdrawn_allows_no_pause_but_to_an_ev_on_its_way(
    mode: int, since_s: float, allowed: bool
) -> None:
    bench = asked(mode, 2.0, since_s)
    bench.say(power_delivery(cm.ChargeProgress.Stop))
    bench.set(pilot=PilotState.B)
    bench.after(30.0).to("SessionStop")
    assert bench.say(stop(PAUSE)).response_code is (ResponseCode.OK if allowed else NOT_ALLOWED)


def test_a_notice_that_stands_for_long_allows_a_pause_all_the_time() -> None:
    bench = asked(DYNAMIC, 120.0, -1.0)
    assert bench.say(stop(PAUSE)).response_code is ResponseCode.OK


def test_a_notice_that_was_heeded_by_stopping_is_not_withdrawn() -> None:
    """The station takes it back as soon as energy has stopped."""
    bench = asked(DYNAMIC, 2.0, -1.0)
    bench.set(notification=None)
    bench.say(power_delivery(cm.ChargeProgress.Stop))
    bench.set(pilot=PilotState.B)
    bench.after(40.0).to("SessionStop")
    assert bench.say(stop(PAUSE)).response_code is ResponseCode.OK


def test_go_to_pause_holds_until_the_ev_is_told_otherwise() -> None:
    bench = bench_of(Shelf(), control_mode=DYNAMIC).to("ScheduleExchange")
    bench.set(notification=Notification.PAUSE, notification_max_delay_s=60)
    assert bench.say(schedule_request(DYNAMIC)).go_to_pause
    bench.set(notification=None)
    bench.to("ChargeLoop")
    for _ in range(60):
        bench.after(0.25)
        bench.say(loop(DYNAMIC))
    assert bench.say(stop(PAUSE)).response_code is NOT_ALLOWED


def test_case_59_the_time_to_pause_is_counted_down() -> None:
    """[V2G20-3308], [V2G20-3318]"""
    bench = planned((3600, 1000.0))
    bench.set(notification=Notification.PAUSE, notification_max_delay_s=60)
    seen = []
    for _ in range(4):
        status = bench.say(loop()).evse_status
        assert status.evse_notification is EvseNotification.Pause
        seen.append(status.notification_max_delay)
        for _ in range(4):
            bench.after(0.25)
            bench.say(loop())
    assert seen == [60, 59, 58, 57]
    status = bench.after(120.0).say(power_delivery(cm.ChargeProgress.Stop)).evse_status
    assert status.notification_max_delay == 0
