"""Service renegotiation: SessionStop(ServiceRenegotiation) leads to ServiceDiscovery [V2G20-1477], F.2 case 59."""

from __future__ import annotations

from dataclasses import fields

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import EvseNotification, Processing, ResponseCode
from evse_controller.model import commands as c
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Notification, Step
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.iso20.data import OF_SESSION, SessionData
from evse_controller.secc.reply import CloseReason
from tests.secc.ev import (
    DC,
    DC_BPT,
    DYNAMIC,
    SCHEDULED,
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

CHANGE = cm.ChargingSession.ServiceRenegotiation


def changed(state: str = "SessionStop", **kinds: object) -> Bench:
    """The EV has let go of its service in this state."""
    bench = Bench(**kinds).to(state)  # type: ignore[arg-type]
    reply = bench.ask(stop(CHANGE))
    assert (reply.response.response_code, reply.close) == (ResponseCode.OK, None)  # type: ignore[union-attr]
    assert bench.state == "ServiceDiscovery"
    bench.set(offer=None, cable_check=Step.IDLE, precharge=Step.IDLE)
    return bench


def test_it_is_announced_as_configured() -> None:
    for supported in (True, False):
        answer = Bench(SeccConfig(service_renegotiation=supported)).to("ServiceDiscovery").say(
            cm.ServiceDiscoveryReq(header())
        )
        assert answer.service_renegotiation_supported is supported


@pytest.mark.parametrize("to", [(DC, SCHEDULED), (DC_BPT, DYNAMIC)])
def test_direction_service_and_control_mode_change_without_unplugging(to: tuple[int, int]) -> None:
    bench = changed()
    before = bench.session_id
    bench.service, bench.control_mode = to
    bench.to("ChargeLoop")
    assert bench.say(loop(bench.control_mode, bench.bidirectional)).response_code is ResponseCode.OK
    first, second = bench.commands_of(c.ServiceSelected)
    assert (first.service_id, second.service_id, second.control_mode.value) == (DC_BPT, *to)
    assert bench.session_id == before
    assert len(bench.commands_of(c.AuthorizationRequested)) == 1
    assert len(bench.commands_of(c.CableCheckRequested)) == 2
    bench.to("Ended")
    assert [type(command) for command in bench.commands].count(c.SessionEnded) == 1


def test_offers_of_this_session_may_be_selected_again_without_asking() -> None:
    bench = changed()
    bench.say(cm.ServiceDiscoveryReq(header()))
    bench.say(cm.ServiceDetailReq(header(), DC))
    assert bench.say(selection(DC_BPT, DYNAMIC)).response_code is ResponseCode.OK


@pytest.mark.parametrize("state", ["ChargeLoop", "Standby", "ScheduleRenegotiation", "CableCheck"])
def test_energy_is_stopped_before_the_service_is_released(state: str) -> None:
    bench = Bench().to(state)
    if state == "CableCheck":
        bench.to("PreCharge")
    bench.ask(stop(CHANGE))
    assert [type(command) for command in bench.commands[-2:]] == [c.EnergyStop, c.ServiceReleased]


def test_after_an_orderly_stop_energy_is_not_stopped_twice() -> None:
    bench = changed()
    assert len(bench.commands_of(c.EnergyStop)) == 1
    assert bench.commands[-1] == c.ServiceReleased()


def test_unsupported_it_fails_by_name() -> None:
    bench = Bench(SeccConfig(service_renegotiation=False)).to("SessionStop")
    code = bench.say(stop(CHANGE)).response_code
    assert code is ResponseCode.FAILED_NoServiceRenegotiationSupported
    assert bench.commands_of(c.ServiceReleased) == []


@pytest.mark.parametrize("state", ["AuthorizationSetup", "Authorization", "ServiceDetail"])
def test_it_is_no_way_around_authorization(state: str) -> None:
    bench = Bench().to(state)
    code = bench.say(stop(CHANGE)).response_code
    assert (code, bench.state) == (ResponseCode.FAILED_NoServiceRenegotiationSupported, "Ended")


def test_an_ev_that_stays_in_state_c_gets_no_other_service() -> None:
    bench = Bench().to("SessionStop")
    bench.set(pilot=PilotState.C)
    assert bench.after(2.0).say(stop(CHANGE)).response_code is ResponseCode.FAILED


def test_nothing_of_the_old_service_survives() -> None:
    bench = changed()
    fresh, data = SessionData(), bench.session._data
    for entry in fields(SessionData):
        if entry.name not in OF_SESSION:
            assert getattr(data, entry.name) == getattr(fresh, entry.name), entry.name
    assert {entry.name for entry in fields(SessionData)} >= OF_SESSION
    assert data.offered


def test_an_old_schedule_is_no_schedule_of_the_new_service() -> None:
    bench = changed().to("ScheduleExchange")
    assert bench.say(schedule_request(SCHEDULED)).evse_processing is Processing.Ongoing
    assert len(bench.commands_of(c.ScheduleRequested)) == 2
    assert not bench.commands_of(c.ScheduleRequested)[1].renegotiation
    bench.to("PowerDelivery")
    assert bench.say(power_delivery(plan=profile(2, (1, 1.0)))).response_code is not ResponseCode.OK


def test_the_station_asks_for_it_in_the_loop_only_if_it_is_supported() -> None:
    for supported in (True, False):
        bench = Bench(SeccConfig(service_renegotiation=supported)).to("ChargeLoop")
        bench.set(notification=Notification.SERVICE_RENEGOTIATION, notification_max_delay_s=60)
        status = bench.say(loop()).evse_status
        assert (status is not None) is supported
        if status is not None:
            assert status.evse_notification is EvseNotification.ServiceRenegotiation


def test_an_ev_that_drops_tcp_after_it_ends_cleanly_and_is_served_anew() -> None:
    bench = changed()
    reply = bench.session.on_disconnect(bench.now_s)
    assert reply is not None
    assert (reply.close, [type(command) for command in reply.commands]) == (CloseReason.PEER_CLOSED, [c.SessionEnded])
    assert reply.commands[0].kind is c.EndKind.EV_CLOSED  # type: ignore[union-attr]
    again = Bench(snapshot=bench.snapshot).to("AuthorizationSetup")
    assert again.session_id != bytes(8)


def test_silence_after_it_ends_the_session_by_the_usual_timer() -> None:
    bench = changed()
    assert bench.session.deadline_s == bench.now_s + 60
    reply = bench.session.on_timer(bench.now_s + 60, bench.snapshot)
    assert reply is not None
    assert [type(command) for command in reply.commands] == [c.SessionEnded]


def test_authorization_is_not_asked_again() -> None:
    bench = changed()
    assert bench.say(eim()).response_code is ResponseCode.FAILED_SequenceError
