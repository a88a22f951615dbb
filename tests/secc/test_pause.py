"""Pause and resume: protocol.md B.3, C.5 and F.2 cases 19 to 21."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated import dc
from evse_controller.messages.generated.common_types import EvseNotification, Processing, ResponseCode
from evse_controller.messages.rational import rational_nearest as n
from evse_controller.model import commands as c
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Notification, Step
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.iso20.pause import binding
from evse_controller.secc.streams import Stream
from evse_controller.secc.surroundings import Peer, Surroundings
from evse_controller.secc.value_added import Internet, ParkingStatus
from tests.secc.ev import (
    DC_BPT,
    DYNAMIC,
    SCHEDULED,
    SNAPSHOT,
    Bench,
    eim,
    header,
    loop,
    power_delivery,
    profile,
    schedule_request,
    selection,
    stop,
)

PAUSE = cm.ChargingSession.Pause
LEAF, OTHER = (hashlib.sha512(name).digest() for name in (b"leaf", b"other"))
NOT_ALLOWED = ResponseCode.FAILED_PauseNotAllowed


class Shelf:
    """What the store keeps of paused sessions."""

    def __init__(self) -> None:
        self.contexts: dict[str, c.PausedSession] = {}

    def carry_out(self, bench: Bench) -> Shelf:
        for command in bench.commands:
            if isinstance(command, c.ContextKept):
                self.contexts[command.context.session_id] = command.context
            elif isinstance(command, c.ContextDropped):
                self.contexts.pop(command.session_id, None)
        return self

    def around(self, certificate: bytes | None = LEAF) -> Surroundings:
        return Surroundings(Peer(certificate, "EV1"), self.contexts.get)


def bench_of(shelf: Shelf, certificate: bytes | None = LEAF, **kinds: Any) -> Bench:
    snapshot = replace(SNAPSHOT, pause_allowed=True)
    return Bench(around=shelf.around(certificate), **{"snapshot": snapshot, **kinds})


def ready(bench: Bench) -> Bench:
    bench.to("PowerDelivery").set(precharge=Step.DONE)
    return bench


def planned(*slots: tuple[int, float], **kinds: Any) -> Bench:
    """In the loop of Scheduled mode, by a profile of (seconds, watts)."""
    bench = ready(bench_of(Shelf(), **kinds))
    assert bench.say(power_delivery(plan=profile(1, *slots))).response_code is ResponseCode.OK
    bench.say(loop())
    return bench


def paused(shelf: Shelf, **kinds: Any) -> Bench:
    """A session that the EV has paused, written down."""
    bench = ready(bench_of(shelf, **kinds))
    bench.say(power_delivery(plan=profile(1, (3600, 0.0))))
    bench.to("SessionStop")
    assert bench.say(stop(PAUSE)).response_code is ResponseCode.OK
    shelf.carry_out(bench)
    return bench


def back(shelf: Shelf, old: Bench, certificate: bytes | None = LEAF, **kinds: Any) -> tuple[Bench, Any]:
    """The EV, or another one, comes back on a new connection and asks for the old session."""
    bench = bench_of(shelf, certificate, **kinds)
    answer = bench.ask(cm.SessionSetupReq(header(), "EV1"), old.session_id).response
    assert isinstance(answer, cm.SessionSetupRes)
    bench.session_id = answer.header.session_id
    shelf.carry_out(bench)
    return bench, answer


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


def test_case_19_the_same_vehicle_joins_its_old_session_and_goes_on_with_charge_parameters() -> None:
    shelf = Shelf()
    bench, answer = back(shelf, old := paused(shelf))
    assert answer.response_code is ResponseCode.OK_OldSessionJoined
    assert answer.header.session_id == old.session_id
    opened, selected = bench.commands
    assert opened == c.SessionOpened(old.session_id.hex().upper(), "EV1", "ISO 15118-20 DC", resumed=True)
    assert isinstance(selected, c.ServiceSelected)
    assert selected == old.commands_of(c.ServiceSelected)[0]
    assert bench.state == "ChargeParameterDiscovery"
    bench.to("ChargeLoop")
    assert bench.commands_of(c.ContextDropped) == [c.ContextDropped(old.session_id.hex().upper())]
    assert shelf.carry_out(bench).contexts == {}
    assert bench.commands_of(c.AuthorizationRequested) == []
    assert len(bench.commands_of(c.CableCheckRequested)) == 1


@pytest.mark.parametrize(
    "request_", [cm.AuthorizationSetupReq(header()), eim(), cm.ServiceDiscoveryReq(header())], ids=lambda r: r.ELEMENT
)
def test_case_19_nothing_that_was_settled_before_the_pause_is_asked_again(request_: Any) -> None:
    """[V2G20-1032], [V2G20-1843]"""
    shelf = Shelf()
    bench, _ = back(shelf, paused(shelf))
    assert bench.say(request_).response_code is ResponseCode.FAILED_SequenceError


@pytest.mark.parametrize("certificate", [OTHER, None], ids=["another certificate", "no certificate"])
def test_case_20_nobody_else_joins_it_and_it_stays_for_its_owner(certificate: bytes | None) -> None:
    """[V2G20-2545]: a failed check is silent."""
    shelf = Shelf()
    old = paused(shelf)
    bench, answer = back(shelf, old, certificate)
    assert answer.response_code is ResponseCode.OK_NewSessionEstablished
    assert answer.header.session_id not in (old.session_id, bytes(8))
    assert (bench.state, bench.commands_of(c.ContextDropped)) == ("AuthorizationSetup", [])
    assert back(shelf, old)[1].response_code is ResponseCode.OK_OldSessionJoined


@pytest.mark.parametrize("kind", [cm.ChargingSession.Terminate, None], ids=["terminated", "dropped"])
def test_case_21_what_ended_for_good_is_not_joined(kind: cm.ChargingSession | None) -> None:
    shelf = Shelf()
    bench = bench_of(shelf).to("SessionStop")
    if kind is None:
        bench.session.on_disconnect(bench.now_s)
    else:
        bench.say(stop(kind))
    shelf.carry_out(bench)
    assert back(shelf, bench)[1].response_code is ResponseCode.OK_NewSessionEstablished


def test_case_21_a_resumed_session_that_terminates_is_gone() -> None:
    shelf = Shelf()
    old = paused(shelf)
    bench, _ = back(shelf, old)
    bench.to("Ended")
    shelf.carry_out(bench)
    assert back(shelf, old)[1].response_code is ResponseCode.OK_NewSessionEstablished


@pytest.mark.parametrize("how", ["closed", "silent", "refused"])
def test_a_session_that_is_lost_right_after_it_was_joined_may_be_joined_again(how: str) -> None:
    shelf = Shelf()
    old = paused(shelf)
    for _ in range(3):
        bench, answer = back(shelf, old)
        assert answer.response_code is ResponseCode.OK_OldSessionJoined
        if how == "closed":
            bench.session.on_disconnect(bench.now_s)
        elif how == "silent":
            bench.session.on_timer(bench.now_s + 61.0, bench.snapshot)
        else:
            assert bench.say(loop()).response_code is ResponseCode.FAILED_SequenceError
        shelf.carry_out(bench)
    bench, _ = back(shelf, old)
    bench.to("ScheduleExchange")
    bench.session.on_disconnect(bench.now_s)
    shelf.carry_out(bench)
    assert back(shelf, old)[1].response_code is ResponseCode.OK_NewSessionEstablished


@pytest.mark.parametrize("kind", [cm.ChargingSession.Terminate, cm.ChargingSession.ServiceRenegotiation])
def test_a_session_that_is_left_right_after_it_was_joined_is_not_joined_again(kind: cm.ChargingSession) -> None:
    shelf = Shelf()
    old = paused(shelf)
    bench, _ = back(shelf, old)
    assert bench.say(stop(kind)).response_code is ResponseCode.OK
    shelf.carry_out(bench)
    assert back(shelf, old)[1].response_code is ResponseCode.OK_NewSessionEstablished


def test_a_resumed_session_may_be_paused_again() -> None:
    shelf = Shelf()
    old = paused(shelf)
    bench, _ = back(shelf, old)
    ready(bench)
    bench.say(power_delivery(plan=profile(1, (3600, 0.0))))
    bench.to("SessionStop")
    assert bench.say(stop(PAUSE)).response_code is ResponseCode.OK
    shelf.carry_out(bench)
    assert back(shelf, old)[1].response_code is ResponseCode.OK_OldSessionJoined


def test_a_service_that_has_become_impossible_is_a_new_session() -> None:
    shelf = Shelf()
    old = paused(shelf)
    _, answer = back(shelf, old, snapshot=replace(SNAPSHOT, pause_allowed=True, bidirectional=False))
    assert answer.response_code is ResponseCode.OK_NewSessionEstablished


def test_another_protocol_does_not_join() -> None:
    shelf = Shelf()
    old = paused(shelf)
    shelf.contexts = {key: replace(kept, protocol="ISO 15118-20 AC") for key, kept in shelf.contexts.items()}
    assert back(shelf, old)[1].response_code is ResponseCode.OK_NewSessionEstablished


VAS = SeccConfig(parking=ParkingStatus(space=7), internet=Internet())


def parked(shelf: Shelf) -> Bench:
    """A session with two value-added services that the EV has paused."""
    bench = bench_of(shelf, config=VAS).to("ServiceDetail")
    for service in (65, 66, DC_BPT):
        bench.say(cm.ServiceDetailReq(header(), service))
    assert bench.say(selection(DC_BPT, SCHEDULED, (66, 2), (65, 4))).response_code is ResponseCode.OK
    ready(bench).say(power_delivery(plan=profile(1, (3600, 0.0))))
    bench.to("SessionStop").say(stop(PAUSE))
    shelf.carry_out(bench)
    return bench


def test_value_added_services_go_on_with_the_session() -> None:
    shelf = Shelf()
    old = parked(shelf)
    (kept,) = shelf.contexts.values()
    assert kept.value_added == ((66, 2), (65, 4))
    bench, answer = back(shelf, old, config=VAS)
    assert answer.response_code is ResponseCode.OK_OldSessionJoined
    assert bench.commands_of(c.ServiceSelected) == old.commands_of(c.ServiceSelected)
    away = cm.VehicleCheckOutReq(header(), cm.EvCheckOutStatus.CheckOut, 0)
    assert bench.say(away, Stream.PARKING).response_code is ResponseCode.OK
    # and may be chosen again with another service of this session
    bench.say(stop(cm.ChargingSession.ServiceRenegotiation))
    bench.to("ServiceDetail").say(cm.ServiceDetailReq(header(), DC_BPT))
    assert bench.say(selection(DC_BPT, DYNAMIC, (66, 2))).response_code is ResponseCode.OK


def test_a_value_added_service_that_is_offered_no_more_does_not_stop_the_energy() -> None:
    shelf = Shelf()
    bench, answer = back(shelf, parked(shelf), config=replace(VAS, parking=None))
    assert answer.response_code is ResponseCode.OK_OldSessionJoined
    assert bench.commands_of(c.ServiceSelected)[0].value_added == ((65, 4),)


# What a pause does not spare [V2G20-2122]: the outlet was dead meanwhile


@pytest.mark.parametrize(
    ("state", "request_"),
    [
        ("CableCheck", dc.DC_PreChargeReq(header(), Processing.Finished, n(400.0), n(400.0))),
        ("CableCheck", power_delivery()),
        ("CableCheck", loop()),
        ("PowerDelivery", loop()),
    ],
    ids=["pre-charge", "start", "loop", "loop after pre-charge"],
)
def test_a_resumed_session_skips_neither_cable_check_nor_pre_charge(state: str, request_: Any) -> None:
    shelf = Shelf()
    bench, _ = back(shelf, paused(shelf))
    bench.to(state)
    assert bench.say(request_).response_code is ResponseCode.FAILED_SequenceError
    assert bench.commands_of(c.EnergyStart) == []


def test_a_resumed_session_is_not_started_on_the_pre_charge_of_the_old_one() -> None:
    shelf = Shelf()
    bench, _ = back(shelf, paused(shelf))
    bench.to("PreCharge")
    bench.set(precharge=Step.DONE, present_voltage_v=0.0)  # what a stale picture of the outlet may say
    assert bench.say(power_delivery()).response_code is ResponseCode.FAILED_PowerDeliveryNotApplied
    assert bench.commands_of(c.EnergyStart) == []


def test_the_binding_is_over_session_and_certificate() -> None:
    assert len({binding(bytes(8), LEAF), binding(b"1" * 8, LEAF), binding(bytes(8), OTHER)}) == 3


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
