"""Resume: who joins a paused session, and what a pause does not spare (protocol.md C.5 and F.2 cases 19 to 21)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated import dc
from evse_controller.messages.generated.common_types import Processing, ResponseCode
from evse_controller.messages.rational import rational_nearest as n
from evse_controller.model import commands as c
from evse_controller.model.snapshot import Step
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.iso20.pause import binding
from evse_controller.secc.streams import Stream
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
    selection,
    stop,
)
from tests.secc.shelf import LEAF, OTHER, PAUSE, Shelf, back, bench_of, paused, ready


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
