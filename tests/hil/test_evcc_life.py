"""What the vehicle does beside taking energy, against the real SECC in virtual time: by script, and when asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated import dc
from evse_controller.messages.generated.common_types import MessageHeader, ResponseCode
from evse_controller.model import commands as c
from evse_controller.model.commands import ControlMode
from evse_controller.model.offer import EnergyOffer, PowerSlot, PriceSlot
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import DriverWishes, Notification
from evse_controller.secc.config import PRICING_LEVELS, SeccConfig
from evse_controller.secc.quirks import Quirk
from evse_controller.secc.value_added import Internet, ParkingStatus
from hil.evcc import (
    SERVICE_DC,
    SERVICE_DC_BPT,
    SERVICE_INTERNET,
    SERVICE_MCS,
    SERVICE_MCS_BPT,
    SERVICE_PARKING_STATUS,
    Act,
    Deviation,
    EvccConfig,
    Step,
)
from hil.evcc.wire import METERING_STREAM, PARKING_STREAM, SCHEDULE_STREAM
from tests.hil.fake_house import UTC0, House, peer

BASE = EvccConfig(stop_after_loop_s=12.0)
DYNAMIC = replace(BASE, control_mode=ControlMode.DYNAMIC)
BOTH = pytest.mark.parametrize("mode", list(ControlMode))


def acting(*acts: Act, base: EvccConfig = BASE, deviation: Deviation | None = None, **changes: object) -> EvccConfig:
    script = tuple(Step(act) for act in acts)
    deviations = frozenset({deviation} if deviation else ())
    return replace(base, script=script, deviations=deviations, **changes)


def sent(house: House, kind: type, stream: int = 0) -> list:
    return [
        exchange for exchange in house.evcc.exchanges
        if isinstance(exchange.request, kind) and exchange.stream == stream
    ]


def progress(house: House) -> list[str]:
    return [exchange.request.charge_progress.name for exchange in sent(house, cm.PowerDeliveryReq)]


def ended(house: House) -> c.EndKind:
    return house.outlet.of(c.SessionEnded)[-1].kind


def asked(what: Notification, config: EvccConfig = BASE, for_s: float = 1.0, secc: SeccConfig | None = None) -> House:
    """The station asks three seconds into the session, for a while."""
    house = House(config, secc)
    house.at = [
        (4.0, lambda: setattr(house.outlet, "notification", what)),
        (4.0 + for_s, lambda: setattr(house.outlet, "notification", None)),
    ]
    return house.run()


# -- schedule renegotiation ----------------------------------------------------------------------------------------


@BOTH
def test_a_new_schedule_on_the_main_stream(mode: ControlMode) -> None:
    house = House(acting(Act.RENEGOTIATE, base=replace(BASE, control_mode=mode))).run()
    assert house.evcc.failure is None
    assert house.evcc.done[0] is Act.RENEGOTIATE
    assert progress(house) == ["Start", "ScheduleRenegotiation", "Start", "Stop"]
    assert len(sent(house, dc.DC_CableCheckReq)) == len(sent(House(BASE).run(), dc.DC_CableCheckReq))
    assert len(house.outlet.of(c.EnergyHold)) == 1
    assert house.outlet.of(c.ScheduleRequested)[-1].renegotiation


@BOTH
def test_a_new_schedule_beside_the_loop(mode: ControlMode) -> None:
    house = House(acting(Act.RENEGOTIATE_BESIDE, base=replace(BASE, control_mode=mode))).run()
    assert house.evcc.failure is None
    assert progress(house) == ["Start", "ScheduleRenegotiation", "Stop"]
    assert house.outlet.of(c.EnergyHold) == []
    beside = sent(house, cm.ScheduleExchangeReq, SCHEDULE_STREAM)
    assert beside
    assert all(exchange.response is not None for exchange in beside)
    assert house.evcc.done[0] is Act.RENEGOTIATE_BESIDE


@pytest.mark.parametrize("by", [Act.RENEGOTIATE, Act.RENEGOTIATE_BESIDE])
def test_the_station_asks_for_a_new_schedule(by: Act) -> None:
    house = asked(Notification.SCHEDULE_RENEGOTIATION, replace(BASE, schedule_by=by))
    assert house.evcc.failure is None
    assert house.evcc.done[0] is by


def test_new_wishes_go_with_the_new_schedule() -> None:
    step = Step(Act.RENEGOTIATE_BESIDE, changes={"target_soc": 90.0})
    house = House(replace(BASE, script=(step,))).run()
    first, *_, last = house.outlet.of(c.ScheduleRequested)
    assert last.needs.target_wh - first.needs.target_wh == pytest.approx(6_000.0, abs=400.0)


@pytest.mark.parametrize(("deviation", "act", "word"), [
    (Deviation.SIDE_WRONG_SESSION_ID, Act.RENEGOTIATE_BESIDE, "FAILED_UnknownSession"),
    (Deviation.NO_NEW_SCHEDULE, Act.RENEGOTIATE, "FAILED_SequenceError"),
])
def test_a_wrong_renegotiation_ends_safely(deviation: Deviation, act: Act, word: str) -> None:
    house = House(acting(act, deviation=deviation)).run()
    assert word in str(house.evcc.failure)
    assert ended(house) is c.EndKind.FAILED
    assert not house.outlet.inlet.contactor_closed


def test_a_tuple_that_was_never_offered_leaves_the_old_schedule_in_force() -> None:
    house = House(acting(Act.RENEGOTIATE_BESIDE, deviation=Deviation.NEW_WRONG_TUPLE)).run()
    assert house.evcc.failure is None
    assert house.evcc.warnings == [ResponseCode.WARNING_ScheduleRenegotiationFailed]
    *_, first = sent(house, cm.ScheduleExchangeReq)
    assert house.evcc._offered == first.response.scheduled_se_res_control_mode.schedule_tuple


# -- standby, pause, resume ------------------------------------------------------------------------------------------


@BOTH
def test_standby_rests_and_comes_back(mode: ControlMode) -> None:
    house = House(acting(Act.STANDBY, base=replace(BASE, control_mode=mode))).run()
    assert house.evcc.failure is None
    names = progress(house)
    assert names[0] == "Start"
    assert names.count("Standby") >= 3
    assert names[-2:] == ["Start", "Stop"]
    assert len(house.outlet.of(c.EnergyHold)) == 1


def test_the_station_wakes_a_vehicle_in_standby() -> None:
    house = House(replace(BASE, script=(Step(Act.STANDBY, hold_s=40.0),), stop_after_loop_s=9.0))
    house.at = [(7.0, lambda: setattr(house.outlet, "notification", Notification.EXIT_STANDBY))]
    house.run()
    assert house.evcc.failure is None
    assert house.now_s < 20.0


def test_a_standby_that_is_not_offered_is_no_end() -> None:
    house = House(acting(Act.STANDBY), SeccConfig(standby=False)).run()
    assert house.evcc.failure is None
    assert house.evcc.warnings == [ResponseCode.WARNING_StandbyNotAllowed]


def test_silence_in_standby_ends_after_the_sequence_time() -> None:
    house = House(acting(Act.STANDBY, deviation=Deviation.SILENT_AFTER_STANDBY)).run(120.0)
    assert ended(house) is c.EndKind.EV_TIMEOUT
    assert 60.0 < house.now_s < 75.0


def paused(config: EvccConfig = DYNAMIC, for_s: float = 20.0) -> House:
    house = asked(Notification.PAUSE, config, for_s)
    house.at, house.outlet.notification = [], None
    assert house.evcc.paused is not None, house.evcc.failure
    assert ended(house) is c.EndKind.PAUSED
    return house


def test_a_pause_is_kept_and_joined_without_another_authorisation() -> None:
    house = paused()
    memory = house.evcc.paused
    house.connect(replace(DYNAMIC, resume=memory, stop_after_loop_s=2.0)).run()
    assert house.evcc.failure is None
    assert house.evcc.resumed
    assert sent(house, cm.AuthorizationReq) == []
    assert sent(house, cm.ServiceDiscoveryReq) == []
    assert house.outlet.of(c.SessionOpened)[-1].resumed
    assert house.outlet.paused == {}


def test_another_certificate_gets_a_new_session_without_a_word() -> None:
    house = paused()
    house.connect(replace(DYNAMIC, resume=house.evcc.paused, stop_after_loop_s=2.0), peer("SOMEONE-ELSE")).run()
    assert house.evcc.failure is None
    assert not house.evcc.resumed
    assert sent(house, cm.AuthorizationReq)
    assert len(house.outlet.paused) == 1


@pytest.mark.parametrize("mode", list(ControlMode))
def test_a_pause_that_nobody_allowed_is_refused(mode: ControlMode) -> None:
    house = House(acting(Act.PAUSE, base=replace(BASE, control_mode=mode), deviation=Deviation.PAUSES_UNASKED)).run()
    assert "FAILED_PauseNotAllowed" in str(house.evcc.failure)
    assert ended(house) is c.EndKind.FAILED
    assert house.outlet.paused == {}


def test_scheduled_pauses_where_its_own_plan_rests() -> None:
    satisfied = replace(BASE, target_soc=40.0, services=(SERVICE_DC,), script=(Step(Act.PAUSE),))
    house = House(satisfied).run()
    assert house.evcc.paused is not None, house.evcc.failure
    assert ended(house) is c.EndKind.PAUSED


def test_scheduled_waits_with_its_pause_until_its_own_plan_rests() -> None:
    """It plans for the whole stay and would be refused."""
    house = House(replace(BASE, script=(Step(Act.PAUSE),))).run()
    assert house.evcc.failure is None
    assert house.evcc.paused is None
    assert ended(house) is c.EndKind.TERMINATED


def test_a_new_session_under_the_id_of_the_paused_one_is_given_up() -> None:
    house = paused()
    memory = house.evcc.paused
    house.connect(replace(DYNAMIC, resume=memory))
    header = MessageHeader(session_id=memory.session_id, time_stamp=1)
    answer = cm.SessionSetupRes(header, ResponseCode.OK_NewSessionEstablished, "DE*EVC*E1")
    house.evcc.start(house.now_s)
    house.evcc._on_session(answer)
    assert house.evcc.failure == "a new session under the id of the paused one"


def test_a_vehicle_that_does_not_sleep_leaves_when_asked_to_pause() -> None:
    house = asked(Notification.PAUSE, replace(DYNAMIC, accepts_pause=False), 20.0)
    assert ended(house) is c.EndKind.TERMINATED


# -- service renegotiation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [(SERVICE_DC, SERVICE_DC_BPT), (SERVICE_DC_BPT, SERVICE_DC)])
def test_the_direction_changes_without_unplugging(first: int, second: int) -> None:
    step = Step(Act.CHANGE_SERVICE, changes={"services": (second,), "control_mode": ControlMode.DYNAMIC})
    house = House(replace(BASE, services=(first,), script=(step,))).run()
    assert house.evcc.failure is None
    selected = house.outlet.of(c.ServiceSelected)
    assert [command.service_id for command in selected] == [first, second]
    assert selected[1].control_mode is ControlMode.DYNAMIC
    assert len(house.outlet.of(c.ServiceReleased)) == 1
    assert len(house.outlet.of(c.SessionOpened)) == 1
    assert len(sent(house, cm.AuthorizationReq)) >= 1
    assert ended(house) is c.EndKind.TERMINATED


def test_the_station_asks_for_another_service() -> None:
    house = asked(Notification.SERVICE_RENEGOTIATION)
    assert house.evcc.failure is None
    assert house.evcc.done[0] is Act.CHANGE_SERVICE


def test_a_service_renegotiation_that_was_not_offered_ends() -> None:
    house = House(acting(Act.CHANGE_SERVICE), SeccConfig(service_renegotiation=False)).run()
    assert not house.evcc.service_renegotiation_supported
    assert "FAILED_NoServiceRenegotiationSupported" in str(house.evcc.failure)


def test_a_vehicle_that_closes_after_its_service_renegotiation_is_survived() -> None:
    house = House(acting(Act.CHANGE_SERVICE, deviation=Deviation.CLOSES_AFTER_SERVICE_RENEGOTIATION)).run()
    assert ended(house) is c.EndKind.EV_CLOSED
    assert house.outlet.of(c.ServiceReleased)


# -- meter, value-added services, wishes ---------------------------------------------------------------------------


@BOTH
def test_a_meter_reading_is_confirmed_when_asked_for(mode: ControlMode) -> None:
    house = asked(Notification.METERING_CONFIRMATION, replace(BASE, control_mode=mode))
    assert house.evcc.failure is None
    assert house.evcc.done[0] is Act.CONFIRM_METER
    (confirmed,) = house.outlet.of(c.MeterConfirmed)
    assert confirmed.meter_id == "M1"


def test_every_loop_response_carries_a_reading_that_was_asked_for() -> None:
    house = House(replace(BASE, wants_meter_info=True)).run()
    loops = [e.response for e in sent(house, dc.DC_ChargeLoopReq) if e.response is not None]
    assert all(response.meter_info is not None for response in loops)


def test_an_unasked_confirmation_is_refused() -> None:
    house = House(acting(Act.CONFIRM_METER, deviation=Deviation.CONFIRMS_UNASKED)).run()
    assert "MeteringConfirmationRes: FAILED_SequenceError" in str(house.evcc.failure)
    assert [exchange.stream for exchange in sent(house, cm.MeteringConfirmationReq, METERING_STREAM)]


def test_another_reading_than_the_one_told_is_refused() -> None:
    config = replace(BASE, deviations=frozenset({Deviation.CONFIRMS_OTHER_READING}))
    house = asked(Notification.METERING_CONFIRMATION, config)
    assert "MeteringConfirmationRes: FAILED" in str(house.evcc.failure)
    assert house.outlet.of(c.MeterConfirmed) == []


VALUE_ADDED = SeccConfig(internet=Internet(), parking=ParkingStatus())


def test_value_added_services_go_with_the_selection() -> None:
    offered = ((SERVICE_INTERNET, 4), (SERVICE_PARKING_STATUS, 1), (SERVICE_PARKING_STATUS, 2))
    house = House(replace(BASE, value_added=(*offered, (999, None)), stop_after_loop_s=2.0), VALUE_ADDED).run()
    assert house.evcc.failure is None
    (selected,) = house.outlet.of(c.ServiceSelected)
    assert set(selected.value_added) == set(offered)
    assert sent(house, cm.VehicleCheckInReq, PARKING_STREAM)[0].response is not None
    assert sent(house, cm.VehicleCheckOutReq, PARKING_STREAM)[0].response is not None


def test_a_value_added_service_that_was_never_offered_is_refused() -> None:
    house = House(replace(BASE, deviations=frozenset({Deviation.UNOFFERED_VALUE_ADDED})), VALUE_ADDED).run()
    assert "FAILED_ServiceSelectionInvalid" in str(house.evcc.failure)


def test_the_vehicle_takes_over_what_the_driver_told_the_station() -> None:
    house = House(replace(DYNAMIC, mobility_needs_mode=2, stop_after_loop_s=30.0),
                  SeccConfig(mobility_needs_modes=(1, 2)))
    house.outlet.driver = DriverWishes(UTC0 + 8.0, 70, 30)
    house.run()
    assert house.evcc.failure is None
    assert house.evcc.mobility_needs_mode == 2
    assert house.evcc.told["target_soc"] == 70.0
    assert house.evcc.told["minimum_soc"] == 30.0
    assert 7.0 <= house.now_s < 12.0  # it leaves when the driver wants to, told in whole seconds


def test_price_levels_lead_the_plan_like_prices() -> None:
    """The dear half hour is the second one: what is charged is charged around it."""
    house = House(replace(BASE, target_soc=45.0, services=(SERVICE_DC,), stop_after_loop_s=90.0),
                  SeccConfig(scheduled_pricing=PRICING_LEVELS), utc_speed=60.0).run()
    assert house.evcc.failure is None
    (offered,) = house.evcc._offered
    assert offered.charging_schedule.price_level_schedule is not None
    assert house.evcc.plan.power_w(UTC0 + 600) > 5_000.0
    assert house.evcc.plan.power_w(UTC0 + 2_700) == 0.0


@pytest.mark.parametrize(("answer", "code"), [
    (True, ResponseCode.OK_PowerToleranceConfirmed), (False, ResponseCode.WARNING_PowerToleranceNotConfirmed),
    (None, ResponseCode.OK),
])
def test_a_power_tolerance_is_answered_as_the_driver_wants(answer: bool | None, code: ResponseCode) -> None:
    house = House(replace(BASE, tolerance=answer, stop_after_loop_s=2.0), SeccConfig(power_tolerance_w=500.0)).run()
    assert house.evcc.failure is None
    (start, _) = sent(house, cm.PowerDeliveryReq)
    assert start.response.response_code is code


def test_an_energy_offer_reaches_the_energy_room() -> None:
    own = EnergyOffer(int(UTC0), "EUR", (PowerSlot(3600, -5_000.0),), (PriceSlot(3600, 0.4),))
    house = House(replace(BASE, energy_offer=own, stop_after_loop_s=2.0)).run()
    assert house.outlet.of(c.ScheduleRequested)[0].ev_offer == own


@pytest.mark.parametrize("service", [SERVICE_MCS, SERVICE_MCS_BPT])
@BOTH
def test_mcs_is_served_like_dc_under_its_own_id(mode: ControlMode, service: int) -> None:
    config = replace(BASE, services=(service,), control_mode=mode, stop_after_loop_s=2.0)
    house = House(config, SeccConfig(services=(9, 8))).run()
    assert house.evcc.failure is None
    (selected,) = house.outlet.of(c.ServiceSelected)
    assert (selected.service_id, selected.bidirectional) == (service, service == SERVICE_MCS_BPT)
    assert house.outlet.inlet.pilot is PilotState.B


def test_a_notification_that_is_ignored_changes_nothing() -> None:
    config = replace(DYNAMIC, deviations=frozenset({Deviation.IGNORE_NOTIFICATION}))
    house = asked(Notification.PAUSE, config, 20.0)
    assert house.evcc.done == [] or house.evcc.done == [Act.STOP]
    assert ended(house) is c.EndKind.TERMINATED


def test_a_vehicle_is_not_told_what_its_quirk_says_it_cannot_take() -> None:
    """Independent vehicles in the field end their session at a notification that they do not know."""
    quirk = Quirk("EVLAB", overrides={"notifications": ("Terminate", "ServiceRenegotiation")})
    silent = asked(Notification.SCHEDULE_RENEGOTIATION, secc=SeccConfig(quirks=(quirk,)))
    assert silent.evcc.done == [Act.STOP] or silent.evcc.done == []
    told = asked(Notification.SERVICE_RENEGOTIATION, secc=SeccConfig(quirks=(quirk,)))
    assert told.evcc.done[0] is Act.CHANGE_SERVICE
    with pytest.raises(ValueError, match="notifications must name"):
        SeccConfig(notifications=("Shout",))
