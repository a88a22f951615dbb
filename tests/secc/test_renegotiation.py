"""Schedule renegotiation on both transports: protocol.md 0.2 and B.9, energy.md 2.5."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import EvseNotification, Processing, ResponseCode
from evse_controller.model import commands as c
from evse_controller.model.offer import OfferTuple, PowerSlot, PriceSlot, ScheduleOffer
from evse_controller.model.snapshot import Notification
from evse_controller.secc.streams import Stream
from tests.secc.ev import DYNAMIC, OFFER, SCHEDULED, UTC_S, Bench, loop, power_delivery, profile, schedule_request

START, STOP, STANDBY, RENEGOTIATE = cm.ChargeProgress
WARNING = ResponseCode.WARNING_ScheduleRenegotiationFailed
NEW = ScheduleOffer(
    8, int(UTC_S), "EUR", (OfferTuple(1, (PowerSlot(86400, 5000.0),), (PriceSlot(86400, 0.4),)),)
)
MANY = replace(NEW, offer_id=9, tuples=(NEW.tuples[0], replace(NEW.tuples[0], tuple_id=2)))


def looping(control_mode: int = SCHEDULED) -> Bench:
    bench = Bench(control_mode=control_mode).to("ChargeLoop")
    bench.say(loop(control_mode))
    return bench.after(0.25)


def holding(control_mode: int = SCHEDULED) -> Bench:
    """Main stream: energy is held back, the EV may ask for a new schedule."""
    bench = looping(control_mode)
    assert bench.say(power_delivery(RENEGOTIATE)).response_code is ResponseCode.OK
    return bench.after(0.25)


def beside(bench: Bench) -> cm.ScheduleExchangeRes:
    """ScheduleExchangeReq on its side stream."""
    answer: cm.ScheduleExchangeRes = bench.say(schedule_request(bench.control_mode), Stream.SCHEDULE)
    return answer


def told_beside(offer: ScheduleOffer = NEW) -> Bench:
    """Side stream: the new schedule was told while the loop went on."""
    bench = looping()
    assert beside(bench).evse_processing is Processing.Ongoing
    bench.after(0.25).set(offer=offer)
    bench.say(loop())
    assert beside(bench).evse_processing is Processing.Finished
    return bench


# Main stream


def test_main_stream_holds_energy_and_asks_for_a_new_plan() -> None:
    bench = holding()
    assert (bench.state, bench.commands[-1]) == ("ScheduleRenegotiation", c.EnergyHold("schedule renegotiation"))
    assert bench.say(schedule_request(SCHEDULED)).evse_processing is Processing.Ongoing
    assert bench.state == "ScheduleRenegotiation"
    assert bench.commands[-1].renegotiation  # type: ignore[union-attr]


def test_main_stream_does_not_repeat_cable_check_and_pre_charge() -> None:
    bench = holding()
    bench.say(schedule_request(SCHEDULED))
    bench.after(0.25).set(offer=NEW)
    answer = bench.say(schedule_request(SCHEDULED))
    (only,) = answer.scheduled_se_res_control_mode.schedule_tuple
    assert only.charging_schedule.power_schedule.power_schedule_entries.power_schedule_entry[0].power.value == 5000
    assert bench.state == "Renegotiated"
    assert bench.say(power_delivery(plan=profile(1, (3600, 5000.0)))).response_code is ResponseCode.OK
    assert bench.state == "ChargeLoop"
    assert bench.commands_of(c.EnergyStart)[-1].profile.slots[0].power_w == 5000
    assert (len(bench.commands_of(c.CableCheckRequested)), bench.commands_of(c.EnergyStop)) == (1, [])
    assert bench.after(10.0).say(loop()).response_code is ResponseCode.OK


def test_main_stream_in_dynamic_mode_needs_no_profile() -> None:
    bench = holding(DYNAMIC)
    assert bench.say(schedule_request(DYNAMIC)).evse_processing is Processing.Finished
    assert bench.say(power_delivery()).response_code is ResponseCode.OK
    assert bench.say(loop(DYNAMIC)).response_code is ResponseCode.OK


@pytest.mark.parametrize(("waited_s", "code"), [(49.9, ResponseCode.OK), (50.0, WARNING)])
def test_main_stream_without_a_plan_by_50_s_goes_on_by_the_old_schedule(waited_s: float, code: ResponseCode) -> None:
    bench = holding()
    bench.set(offer=None)
    before = bench.session._data.schedule_sent
    bench.say(schedule_request(SCHEDULED))
    answer = bench.after(waited_s).say(schedule_request(SCHEDULED))
    assert answer.response_code is code
    if code is WARNING:
        assert answer.evse_processing is Processing.Finished
        assert answer.scheduled_se_res_control_mode.schedule_tuple == before
        assert bench.say(power_delivery(plan=profile(1, (3600, 50_000.0)))).response_code is ResponseCode.OK
        assert bench.state == "ChargeLoop"


@pytest.mark.parametrize("plan", [profile(1, (3600, 5100.0)), profile(7, (1, 1.0)), profile(None, (1, 1.0))])
def test_main_stream_a_profile_that_breaks_the_new_schedule_leaves_the_old_one_in_force(
    plan: cm.EVPowerProfile,
) -> None:
    bench = holding()
    (begun,) = bench.commands_of(c.EnergyStart)
    bench.say(schedule_request(SCHEDULED))
    bench.after(0.25).set(offer=NEW)
    bench.say(schedule_request(SCHEDULED))
    assert bench.say(power_delivery(plan=plan)).response_code is WARNING
    assert (bench.state, bench.commands[-1]) == ("ChargeLoop", begun)
    assert bench.session._data.tuples[1].charging[0].power_w == 50_000
    assert bench.say(loop()).response_code is ResponseCode.OK


def test_main_stream_stop_while_the_plan_is_being_made() -> None:
    bench = holding()
    bench.say(schedule_request(SCHEDULED))
    assert bench.say(power_delivery(STOP)).response_code is ResponseCode.OK
    bench.to("Ended")
    assert len(bench.commands_of(c.EnergyStop)) == 1


@pytest.mark.parametrize("progress", [START, STANDBY, RENEGOTIATE])
def test_main_stream_only_stop_makes_sense_before_the_new_schedule(progress: cm.ChargeProgress) -> None:
    bench = holding()
    assert bench.say(power_delivery(progress)).response_code is ResponseCode.FAILED_SequenceError
    assert [type(command) for command in bench.commands[-2:]] == [c.EnergyStop, c.SessionEnded]


def test_main_stream_no_loop_while_energy_is_held() -> None:
    assert holding().say(loop()).response_code is ResponseCode.FAILED_SequenceError


def test_main_stream_a_schedule_may_be_asked_for_again_before_it_is_taken() -> None:
    bench = holding()
    bench.say(schedule_request(SCHEDULED))
    bench.after(0.25).set(offer=NEW)
    bench.say(schedule_request(SCHEDULED))
    assert bench.say(schedule_request(SCHEDULED)).evse_processing is Processing.Ongoing
    bench.after(0.25).set(offer=replace(OFFER, offer_id=10))
    bench.say(schedule_request(SCHEDULED))
    assert bench.say(power_delivery(plan=profile(1, (3600, 50_000.0)))).response_code is ResponseCode.OK


def test_renegotiation_before_the_loop_is_a_sequence_error() -> None:
    bench = Bench().to("PowerDelivery")
    assert bench.say(power_delivery(RENEGOTIATE)).response_code is ResponseCode.FAILED_SequenceError


# Side stream


def test_side_stream_leaves_the_loop_and_its_timer_alone() -> None:
    bench = looping()
    bench.say(loop())
    deadline_s = bench.session.deadline_s
    bench.after(0.375)
    assert beside(bench).evse_processing is Processing.Ongoing
    assert (bench.state, bench.session.deadline_s) == ("ChargeLoop", deadline_s)
    assert bench.commands_of(c.EnergyHold) == []
    assert bench.commands_of(c.ScheduleRequested)[-1].renegotiation
    reply = bench.session.on_timer(bench.now_s + 0.125, bench.snapshot)
    assert reply is not None
    assert [type(command) for command in reply.commands] == [c.EnergyStop, c.SessionEnded]


def test_side_stream_the_new_schedule_holds_from_power_delivery_on_without_leaving_the_loop() -> None:
    bench = told_beside()
    assert bench.session._data.chosen.charging[0].power_w == 50_000  # type: ignore[union-attr]
    assert bench.say(power_delivery(RENEGOTIATE, plan=profile(1, (3600, 5000.0)))).response_code is ResponseCode.OK
    assert bench.state == "ChargeLoop"
    assert bench.commands[-1].profile.slots[0].power_w == 5000  # type: ignore[union-attr]
    assert bench.session._data.chosen.charging[0].power_w == 5000  # type: ignore[union-attr]
    assert bench.session.deadline_s == bench.now_s + 0.5
    assert bench.say(loop()).response_code is ResponseCode.OK
    assert bench.commands_of(c.EnergyHold) == []


@pytest.mark.parametrize("plan", [profile(1, (3600, 5100.0)), profile(7, (1, 1.0))])
def test_side_stream_a_profile_that_breaks_the_new_schedule_leaves_the_old_one_in_force(
    plan: cm.EVPowerProfile,
) -> None:
    bench = told_beside()
    assert bench.say(power_delivery(RENEGOTIATE, plan=plan)).response_code is WARNING
    assert (bench.state, len(bench.commands_of(c.EnergyStart))) == ("ChargeLoop", 1)
    assert bench.session._data.tuples[1].charging[0].power_w == 50_000
    assert bench.say(loop()).response_code is ResponseCode.OK


def test_side_stream_without_a_profile_the_only_tuple_is_taken_and_of_several_none() -> None:
    assert told_beside().say(power_delivery(RENEGOTIATE)).response_code is ResponseCode.OK
    assert told_beside(MANY).say(power_delivery(RENEGOTIATE)).response_code is WARNING


def test_side_stream_a_plan_that_does_not_come_by_50_s_is_a_warning_and_the_loop_goes_on() -> None:
    bench = looping()
    bench.set(offer=None, present_current_a=25.0)
    beside(bench)
    for _ in range(125):
        bench.after(0.4)
        assert bench.say(loop()).response_code is ResponseCode.OK
    answer = beside(bench)
    assert (answer.response_code, answer.evse_processing) == (WARNING, Processing.Finished)
    assert bench.say(loop()).response_code is ResponseCode.OK
    # The next try is a new one.
    assert (beside(bench).evse_processing, len(bench.commands_of(c.ScheduleRequested))) == (Processing.Ongoing, 3)


def test_while_ongoing_on_the_side_stream_there_is_nothing_to_take_yet() -> None:
    bench = looping()
    beside(bench)
    assert bench.say(power_delivery(RENEGOTIATE)).response_code is WARNING
    assert bench.state == "ChargeLoop"
    bench.after(0.25).set(offer=NEW)
    assert beside(bench).evse_processing is Processing.Finished
    assert bench.say(power_delivery(RENEGOTIATE)).response_code is ResponseCode.OK


def test_a_profile_that_the_ev_is_still_computing_changes_nothing() -> None:
    bench = told_beside()
    answer = bench.say(power_delivery(RENEGOTIATE, Processing.Ongoing, profile(1, (1, 1e6))))
    assert (answer.response_code, bench.state, len(bench.commands_of(c.EnergyStart))) == (
        ResponseCode.OK,
        "ChargeLoop",
        1,
    )
    assert bench.say(power_delivery(RENEGOTIATE, plan=profile(1, (1, 5000.0)))).response_code is ResponseCode.OK


def test_stop_while_ongoing_on_the_side_stream() -> None:
    bench = looping()
    beside(bench)
    assert bench.say(power_delivery(STOP)).response_code is ResponseCode.OK
    bench.to("Ended")


def test_standby_while_ongoing_gives_the_new_plan_up() -> None:
    bench = looping()
    beside(bench)
    bench.say(power_delivery(STANDBY))
    assert bench.session._data.renegotiation is None
    assert bench.say(power_delivery(START, plan=profile(1, (3600, 50_000.0)))).response_code is ResponseCode.OK


def test_out_of_standby_the_old_profile_keeps_its_old_tuple() -> None:
    bench = told_beside()
    bench.say(power_delivery(STANDBY))
    assert bench.say(power_delivery(START)).response_code is ResponseCode.OK
    assert bench.session._data.chosen.charging[0].power_w == 50_000  # type: ignore[union-attr]
    assert bench.session._data.tuples[1].charging[0].power_w == 50_000


@pytest.mark.parametrize("state", ["ScheduleExchange", "CableCheck", "PreCharge", "PowerDelivery"])
def test_the_side_stream_is_not_heard_before_the_loop(state: str) -> None:
    bench = Bench().to(state)
    assert beside(bench).response_code is ResponseCode.FAILED_SequenceError
    assert bench.state == "Ended"


AFTER_LOOP = ["Standby", "ScheduleRenegotiation", "Renegotiated", "WeldingDetection", "SessionStop"]


@pytest.mark.parametrize("mode", [SCHEDULED, DYNAMIC])
@pytest.mark.parametrize("state", AFTER_LOOP)
def test_a_poll_on_the_side_stream_after_the_loop_makes_no_schedule_and_ends_nothing(state: str, mode: int) -> None:
    """The EV polls every second, whatever its main stream does meanwhile."""
    bench = Bench(control_mode=mode).to(state)
    before, tuples = len(bench.commands), dict(bench.session._data.tuples)
    answer = bench.say(schedule_request(mode), Stream.SCHEDULE)
    assert answer.response_code is ResponseCode.WARNING_ScheduleRenegotiationFailed
    assert answer.evse_processing is Processing.Finished
    assert (bench.state, bench.commands[before:], bench.session._data.tuples) == (state, [], tuples)


def test_the_wrong_message_on_a_side_stream_is_a_sequence_error() -> None:
    bench = looping()
    reply = bench.ask(loop(), stream=Stream.SCHEDULE)
    assert reply.event is not None
    assert (reply.event.code, reply.event.stream) == ("FAILED_SequenceError", Stream.SCHEDULE)
    assert [type(command) for command in reply.commands] == [c.EnergyStop, c.SessionEnded]


# Asked for by the station


def test_the_station_asks_in_the_loop_until_the_ev_begins() -> None:
    bench = looping()
    bench.set(notification=Notification.SCHEDULE_RENEGOTIATION, notification_max_delay_s=60)
    status = bench.say(loop()).evse_status
    assert (status.evse_notification, status.notification_max_delay) == (EvseNotification.ScheduleRenegotiation, 60)
    beside(bench)
    assert bench.say(loop()).evse_status is None


@pytest.mark.parametrize("way", ["main", "beside"])
def test_a_terminating_station_takes_no_new_schedule(way: str) -> None:
    bench = looping() if way == "main" else told_beside()
    bench.set(notification=Notification.TERMINATE)
    answer = bench.say(power_delivery(RENEGOTIATE))
    assert (answer.response_code, answer.evse_status.evse_notification) == (WARNING, EvseNotification.Terminate)
    assert bench.commands_of(c.EnergyHold) == []


@pytest.mark.parametrize("why", [{"emergency": "emergency stop"}, {"notification": Notification.TERMINATE}])
def test_start_with_the_new_schedule_does_not_start_what_the_station_ends(why: dict[str, object]) -> None:
    bench = holding()
    bench.say(schedule_request(SCHEDULED))
    bench.after(0.25).set(offer=NEW)
    bench.say(schedule_request(SCHEDULED))
    assert bench.state == "Renegotiated"
    started = len(bench.commands_of(c.EnergyStart))
    bench.set(**why)
    answer = bench.say(power_delivery(plan=profile(1, (3600, 5000.0))))
    assert len(bench.commands_of(c.EnergyStart)) == started
    if "notification" in why:
        assert answer.evse_status.evse_notification is EvseNotification.Terminate
        assert len(bench.commands_of(c.EnergyStop)) == 1
    else:
        assert answer.response_code is ResponseCode.FAILED


def test_renegotiation_that_never_ends_does_not_hold_a_live_outlet() -> None:
    bench = Bench(control_mode=SCHEDULED).to("Renegotiated")
    for _ in range(3):
        assert bench.after(35.0).say(schedule_request(SCHEDULED)).response_code is ResponseCode.OK
    left_s = bench.session.deadline_s
    assert left_s is not None
    assert left_s < bench.now_s + 60.0
    bench.now_s = left_s
    assert bench.say(schedule_request(SCHEDULED)).response_code is ResponseCode.FAILED
    assert [type(command) for command in bench.commands[-2:]] == [c.EnergyStop, c.SessionEnded]
