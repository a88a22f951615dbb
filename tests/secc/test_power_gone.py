"""The station took power away for good: whatever the EV still asks but to leave, it gets FAILED, and TCP closes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated import dc
from evse_controller.messages.generated.common_types import EvseNotification, Processing, ResponseCode
from evse_controller.messages.rational import rational_nearest as n
from evse_controller.model import commands as c
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Notification, Step
from evse_controller.secc.reply import CloseReason
from tests.secc.ev import (
    DYNAMIC,
    NS_DC,
    SCHEDULED,
    Bench,
    every_request,
    frame,
    header,
    loop,
    power_delivery,
    read,
    sap_request,
    schedule_request,
    stop,
)
from tests.secc.ev_ac import AcBench
from tests.secc.ev_ac import loop as ac_loop
from tests.secc.wire import Wire

FORCED = "stopped by force: the EV did not pause"
START, STANDBY, STOP, RENEGOTIATION = (
    cm.ChargeProgress.Start,
    cm.ChargeProgress.Standby,
    cm.ChargeProgress.Stop,
    cm.ChargeProgress.ScheduleRenegotiation,
)
CONFIRMATION: Any = next(each for each in every_request() if isinstance(each, cm.MeteringConfirmationReq))


def gone(state: str, **kinds: Any) -> Bench:
    bench = Bench(**kinds).to(state)
    if state == "ChargeLoop":
        bench.say(loop(bench.control_mode))
    bench.set(emergency=FORCED, energy_ready=False, notification=Notification.TERMINATE)
    return bench


def refused(bench: Bench, request: Any) -> None:
    """Hardware first, then the paired FAILED, then the end within 5 s."""
    before = len(bench.commands)
    reply = bench.ask(request)
    assert reply.response is not None
    assert reply.response.response_code is ResponseCode.FAILED  # type: ignore[attr-defined]
    assert (reply.close, bench.state) == (CloseReason.FAILED, "Ended")
    assert 0 < reply.close_delay_s <= 5.0
    *energy, ended = bench.commands[before:]
    assert isinstance(ended, c.SessionEnded)
    assert (ended.kind, FORCED in ended.reason) == (c.EndKind.FAILED, True)
    assert all(isinstance(command, c.EnergyStop) for command in energy)


@pytest.mark.parametrize(
    ("state", "request_"),
    [
        ("ChargeLoop", power_delivery(START)),
        ("ChargeLoop", power_delivery(STANDBY)),
        ("ChargeLoop", power_delivery(RENEGOTIATION)),
        ("ChargeLoop", CONFIRMATION),
        ("Standby", power_delivery(STANDBY)),
        ("Standby", power_delivery(START)),
        ("ScheduleRenegotiation", schedule_request(SCHEDULED)),
        ("ScheduleRenegotiation", power_delivery(START)),
        ("Renegotiated", power_delivery(START)),
        ("Renegotiated", power_delivery(STANDBY)),
        ("Renegotiated", schedule_request(SCHEDULED)),
        ("ScheduleExchange", schedule_request(SCHEDULED)),
        ("CableCheck", dc.DC_CableCheckReq(header())),
        ("PreCharge", dc.DC_PreChargeReq(header(), Processing.Ongoing, n(1.0), n(400.0))),
        ("PreCharge", power_delivery(START)),
        ("PowerDelivery", power_delivery(START, Processing.Ongoing)),
        ("PowerDelivery", power_delivery(STANDBY)),
        ("WeldingDetection", CONFIRMATION),
        ("SessionStop", CONFIRMATION),
    ],
    ids=lambda each: each if isinstance(each, str) else each.ELEMENT,
)
def test_nothing_but_leaving_is_served_once_power_was_taken_by_force(state: str, request_: Any) -> None:
    refused(gone(state), request_)


@pytest.mark.parametrize("mode", [SCHEDULED, DYNAMIC])
def test_the_loop_of_an_ev_that_heeds_nothing_ends(mode: int) -> None:
    """Terminate is told as long as the EV may heed it; then it is over."""
    bench = Bench(control_mode=mode).to("ChargeLoop")
    bench.set(notification=Notification.TERMINATE)
    for _ in range(80):
        status = bench.after(0.25).say(loop(mode)).evse_status
        assert (status.evse_notification, status.notification_max_delay) == (EvseNotification.Terminate, 0)
    bench.set(emergency=FORCED, energy_ready=False)
    refused(bench, loop(mode))
    assert len(bench.commands_of(c.EnergyStop)) == 1


@pytest.mark.parametrize("state", ["ChargeLoop", "Standby", "ScheduleRenegotiation", "Renegotiated", "PowerDelivery"])
def test_an_ev_that_leaves_in_good_order_after_all_may_do_so(state: str) -> None:
    bench = gone(state)
    answer = bench.say(power_delivery(STOP))
    assert answer.response_code is ResponseCode.OK
    assert answer.evse_status.evse_notification is EvseNotification.Terminate
    bench.to("Ended")
    assert bench.commands_of(c.SessionEnded)[0].kind is c.EndKind.TERMINATED


def test_welding_detection_after_it_is_bounded_as_ever() -> None:
    bench = gone("WeldingDetection")
    bench.set(pilot=PilotState.B)
    request = dc.DC_WeldingDetectionReq(header(), Processing.Ongoing)
    for _ in range(6):
        assert bench.say(request).response_code is ResponseCode.OK
        bench.after(10.0)
    assert bench.say(request).response_code is ResponseCode.FAILED


def test_session_stop_terminates_as_ever_and_a_pause_is_not_possible() -> None:
    assert gone("ChargeLoop").say(stop()).response_code is ResponseCode.OK
    asleep = gone("ChargeLoop").say(stop(cm.ChargingSession.Pause))
    assert asleep.response_code is ResponseCode.FAILED_PauseNotAllowed


def test_an_ac_loop_ends_too() -> None:
    bench = AcBench().to("ChargeLoop")
    bench.say(ac_loop(1, True))
    bench.set(emergency=FORCED)
    refused(bench, ac_loop(1, True))


def test_an_ac_start_that_waits_for_its_contactor_is_refused() -> None:
    bench = AcBench().to("PowerDelivery")
    bench.set(contactor=Step.RUNNING)
    assert bench.ask(bench.start()).response is None
    bench.set(emergency=FORCED)
    assert isinstance(bench, AcBench)
    reply = bench.waited(0.2)
    assert reply is not None
    assert reply.response is not None
    assert reply.response.response_code is ResponseCode.FAILED  # type: ignore[attr-defined]
    assert [type(command) for command in reply.commands] == [c.EnergyStop, c.SessionEnded]


def test_tcp_closes_within_five_seconds() -> None:
    bench = Wire(chance=random.Random(1), control_mode=SCHEDULED)
    bench.feed(frame(sap_request((NS_DC, 1, 0, 1, 1))))
    bench.to("ChargeLoop")
    bench.ask(loop())
    bench.set(emergency=FORCED)
    request = loop()
    request.header = header(bench.session_id)
    (output,) = bench.link.receive(frame(request), bench.snapshot, bench.now_s)
    assert read(output).response_code is ResponseCode.FAILED
    (closed,) = bench.link.on_timer(bench.now_s + 5.0, bench.snapshot)
    assert (closed.close, bench.link.closed) == (CloseReason.FAILED, True)
