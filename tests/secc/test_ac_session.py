"""Whole sessions at an AC outlet: the usual way, its timers, and session life (protocol.md B.2, B.9, C.3, C.5)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import EvseNotification, Processing, ResponseCode
from evse_controller.model import commands as c
from evse_controller.model.offer import OfferTuple, PowerSlot, PriceSlot, ScheduleOffer
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Notification, Step
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.reply import CloseReason
from evse_controller.secc.streams import Stream
from evse_controller.secc.surroundings import Peer, Surroundings
from tests.secc.ev import DYNAMIC, SCHEDULED, UTC_S, header, power_delivery, profile, schedule_request, stop
from tests.secc.ev_ac import AC, AC_BPT, AC_SNAPSHOT, AcBench

ORDER = [
    c.SessionOpened,
    c.AuthorizationRequested,
    c.ServiceSelected,
    c.LimitsNegotiated,
    c.ScheduleRequested,
    c.EnergyStart,
    c.AcLoopUpdate,
    c.EnergyStop,
    c.SessionEnded,
]
STATES = (
    "SessionSetup",
    "AuthorizationSetup",
    "Authorization",
    "ServiceDiscovery",
    "ServiceDetail",
    "ServiceSelection",
    "ChargeParameterDiscovery",
    "ScheduleExchange",
    "PowerDelivery",
    "ChargeLoop",
    "Standby",
    "ScheduleRenegotiation",
    "Renegotiated",
    "SessionStop",
)
NEW = ScheduleOffer(8, int(UTC_S), "EUR", (OfferTuple(1, (PowerSlot(86400, 5000.0),), (PriceSlot(86400, 0.4),)),))


def looping(mode: int = SCHEDULED, **kinds: Any) -> AcBench:
    bench = AcBench(control_mode=mode, **kinds).to("ChargeLoop")
    assert bench.say(bench._loop()).response_code is ResponseCode.OK
    return bench.after(0.25)


@pytest.mark.parametrize("service", [AC, AC_BPT])
@pytest.mark.parametrize("mode", [SCHEDULED, DYNAMIC])
def test_whole_session_gives_each_command_once_and_in_order(service: int, mode: int) -> None:
    bench = looping(mode, service=service)
    bench.to("Ended")
    assert [type(command) for command in bench.commands] == ORDER
    (chosen,) = bench.commands_of(c.ServiceSelected)
    assert (chosen.service_id, chosen.ac, chosen.bidirectional) == (service, True, service == AC_BPT)
    assert bench.commands_of(c.SessionEnded)[0].kind is c.EndKind.TERMINATED


@pytest.mark.parametrize("state", STATES)
def test_case_18_sixty_seconds_of_silence_end_each_ac_state_without_an_answer(state: str) -> None:
    bench = AcBench().to(state)
    deadline_s = bench.session.deadline_s
    assert deadline_s == bench.now_s + 60
    assert bench.session.on_timer(deadline_s - 0.001, bench.snapshot) is None
    reply = bench.session.on_timer(deadline_s, bench.snapshot)
    assert reply is not None
    assert (reply.response, reply.close) == (None, CloseReason.SEQUENCE_TIMEOUT)
    energy = state in ("ChargeLoop", "Standby", "ScheduleRenegotiation", "Renegotiated")
    assert any(isinstance(command, c.EnergyStop) for command in reply.commands) is energy


@pytest.mark.parametrize("edge_s", [0.499, 0.5])
def test_case_54_silence_in_the_ac_loop_stops_energy_first_and_closes(edge_s: float) -> None:
    bench = AcBench().to("ChargeLoop")
    bench.say(bench._loop())
    reply = bench.session.on_timer(bench.now_s + edge_s, bench.snapshot)  # [V2G20-1500]
    assert (reply is None) is (edge_s < 0.5)
    if reply is not None:
        assert [type(command) for command in reply.commands] == [c.EnergyStop, c.SessionEnded]


def test_session_stop_inside_the_ac_loop_stops_energy_first() -> None:
    reply = looping().ask(stop())
    assert [type(command) for command in reply.commands] == [c.EnergyStop, c.SessionEnded]
    assert reply.response is not None
    assert reply.response.response_code is ResponseCode.OK  # type: ignore[attr-defined]


def test_case_60_session_stop_in_the_ac_loop_may_be_refused_by_configuration() -> None:
    config = SeccConfig(services=(AC, AC_BPT), session_stop_in_loop=False)
    reply = looping(config=config).ask(stop())
    assert reply.response is not None
    assert reply.response.response_code is ResponseCode.FAILED_SequenceError  # type: ignore[attr-defined]
    assert [type(command) for command in reply.commands] == [c.EnergyStop, c.SessionEnded]  # energy ends all the same


def test_main_stream_renegotiation_keeps_the_contactor_and_starts_on_the_new_schedule() -> None:
    bench = looping().to("Renegotiated")
    bench.set(offer=NEW)
    assert [type(command) for command in bench.commands].count(c.EnergyHold) == 1
    answer = bench.say(power_delivery(plan=profile(1, (3600, 3000.0))))
    assert (answer.response_code, bench.state) == (ResponseCode.OK, "ChargeLoop")
    assert bench.say(bench._loop()).response_code is ResponseCode.OK


def test_a_contactor_that_opened_in_a_hold_is_waited_for_again() -> None:
    bench = AcBench().to("Standby")
    bench.set(contactor=Step.IDLE)
    assert bench.ask(bench.start()).response is None
    bench.set(contactor=Step.DONE)
    reply = bench.waited(0.2)
    assert reply is not None
    assert reply.response.response_code is ResponseCode.OK  # type: ignore[union-attr]
    assert bench.state == "ChargeLoop"


def test_side_stream_renegotiation_goes_on_beside_the_ac_loop() -> None:
    bench = looping()
    asked = bench.say(schedule_request(SCHEDULED), Stream.SCHEDULE)
    assert asked.evse_processing is Processing.Ongoing
    bench.after(0.25).set(offer=NEW)
    bench.say(bench._loop())
    told = bench.after(0.125).say(schedule_request(SCHEDULED), Stream.SCHEDULE)
    assert told.evse_processing is Processing.Finished
    plan = profile(1, (3600, 4000.0))
    taken = bench.say(power_delivery(cm.ChargeProgress.ScheduleRenegotiation, plan=plan))
    assert (taken.response_code, bench.state) == (ResponseCode.OK, "ChargeLoop")
    assert bench.commands_of(c.EnergyStart)[-1].profile.slots[0].power_w == 4000.0
    assert bench.commands_of(c.EnergyHold) == []


@pytest.mark.parametrize("to", [(AC, SCHEDULED), (AC, DYNAMIC), (AC_BPT, DYNAMIC)])
def test_case_59_direction_and_control_mode_change_without_unplugging(to: tuple[int, int]) -> None:
    bench = looping().to("SessionStop")
    assert bench.say(stop(cm.ChargingSession.ServiceRenegotiation)).response_code is ResponseCode.OK
    assert bench.state == "ServiceDiscovery"
    bench.set(offer=None, contactor=Step.IDLE)
    bench.service, bench.control_mode = to
    bench.to("ChargeLoop")
    assert bench.say(bench._loop()).response_code is ResponseCode.OK
    first, second = bench.commands_of(c.ServiceSelected)
    assert (first.service_id, second.service_id, second.control_mode.value) == (AC_BPT, *to)
    assert len(bench.commands_of(c.ServiceReleased)) == len(bench.commands_of(c.AuthorizationRequested)) == 1


def test_service_renegotiation_forgets_the_limits_of_the_service() -> None:
    bench = looping().to("SessionStop")
    bench.say(stop(cm.ChargingSession.ServiceRenegotiation))
    memory = bench.session._data.ac
    assert (memory.rated, memory.limits, memory.negotiated, memory.held) == (None, None, None, None)


def test_case_19_a_paused_ac_session_is_joined_again_and_goes_on_with_ac_parameters() -> None:
    leaf = hashlib.sha512(b"leaf").digest()
    shelf: dict[str, c.PausedSession] = {}
    around = Surroundings(Peer(leaf, "EV1"), shelf.get)
    kinds: dict[str, Any] = {"around": around, "snapshot": replace(AC_SNAPSHOT, pause_allowed=True)}
    old = AcBench(**kinds).to("PowerDelivery")
    old.set(contactor=Step.DONE)
    old.say(power_delivery(plan=profile(1, (3600, 0.0))))
    old.to("SessionStop")
    assert old.say(stop(cm.ChargingSession.Pause)).response_code is ResponseCode.OK
    (kept,) = old.commands_of(c.ContextKept)
    shelf[kept.context.session_id] = kept.context
    assert kept.context.service_id == AC_BPT

    bench = AcBench(**kinds)
    answer: Any = bench.ask(cm.SessionSetupReq(header(), "EV1"), old.session_id).response
    assert answer.response_code is ResponseCode.OK_OldSessionJoined
    bench.session_id = old.session_id
    assert bench.state == "ChargeParameterDiscovery"
    (selected,) = bench.commands_of(c.ServiceSelected)
    assert (selected.service_id, selected.ac) == (AC_BPT, True)
    bench.to("ChargeLoop")
    assert bench.say(bench._loop()).response_code is ResponseCode.OK
    assert bench.commands_of(c.AuthorizationRequested) == []


def test_case_59_pause_is_told_and_counted_down_in_the_ac_loop() -> None:
    leaf = hashlib.sha512(b"leaf").digest()
    bench = looping(around=Surroundings(Peer(leaf)), snapshot=replace(AC_SNAPSHOT, pause_allowed=True))
    bench.set(notification=Notification.PAUSE, notification_max_delay_s=60)
    first = bench.say(bench._loop()).evse_status
    assert (first.evse_notification, first.notification_max_delay) == (EvseNotification.Pause, 60)
    for _ in range(15):
        bench.after(0.25).say(bench._loop())
    later = bench.after(0.25).say(bench._loop())
    assert later.evse_status.notification_max_delay == 56  # [V2G20-3318]


def test_metering_is_confirmed_beside_the_ac_loop() -> None:
    bench = looping()
    bench.set(notification=Notification.METERING_CONFIRMATION, notification_max_delay_s=60)
    told = bench.say(bench._loop())
    signed = cm.SignedMeteringData(
        "id1",
        bench.session_id,
        told.meter_info,
        scheduled_smdt_control_mode=cm.Scheduled_SMDTControlMode(1),
    )
    answer = bench.say(cm.MeteringConfirmationReq(header(), signed), Stream.METERING)
    assert answer.response_code is ResponseCode.OK
    assert len(bench.commands_of(c.MeterConfirmed)) == 1


def test_schedules_and_local_schedules_stay_inside_the_ac_rating() -> None:
    """No plan came: the session offers what both sides can do, for a day."""
    bench = AcBench().to("ScheduleExchange")
    bench.say(schedule_request(SCHEDULED))
    answer = bench.after(50.0).say(schedule_request(SCHEDULED))
    assert answer.evse_processing is Processing.Finished
    (entry,) = answer.scheduled_se_res_control_mode.schedule_tuple
    first = entry.charging_schedule.power_schedule.power_schedule_entries.power_schedule_entry[0]
    assert first.power.value * 10**first.power.exponent == 11_040  # the EV's limit of three phases


def test_pilot_b_after_stop_is_awaited_before_the_service_is_released() -> None:
    bench = looping().to("SessionStop")
    bench.set(pilot=PilotState.C)
    answer = bench.after(1.5).say(stop(cm.ChargingSession.ServiceRenegotiation))
    assert answer.response_code is ResponseCode.FAILED
    assert bench.commands_of(c.ServiceReleased) == []
