"""The vehicle against the real SECC in virtual time: good sessions in all modes, and each scripted deviation."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated import dc
from evse_controller.messages.generated.common_types import Processing
from evse_controller.messages.rational import rational_value
from evse_controller.model import commands as c
from evse_controller.model.commands import ControlMode
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Notification
from hil.evcc import DC_NAMESPACE, SERVICE_DC, SERVICE_DC_BPT, Deviation, EvccConfig
from tests.hil.fake_house import House, offer

BASE = EvccConfig(stop_after_loop_s=3.0)


def deviating(*deviations: Deviation, **changes: object) -> House:
    return House(replace(BASE, deviations=frozenset(deviations), **changes))


def requests_of(house: House, kind: type) -> list:
    return [exchange.request for exchange in house.evcc.exchanges if isinstance(exchange.request, kind)]


def ended(house: House) -> c.EndKind:
    (end,) = house.outlet.of(c.SessionEnded)
    return end.kind


@pytest.mark.parametrize("service", [SERVICE_DC, SERVICE_DC_BPT])
@pytest.mark.parametrize("mode", list(ControlMode))
def test_a_whole_session_in_every_mode(mode: ControlMode, service: int) -> None:
    house = House(replace(BASE, control_mode=mode, services=(service,)))
    house.outlet.dynamic_a = 12.0
    house.run()
    assert house.evcc.failure is None
    assert ended(house) is c.EndKind.TERMINATED
    assert house.evcc.service_id == service
    (selected,) = house.outlet.of(c.ServiceSelected)
    assert selected.control_mode is mode
    assert selected.bidirectional is (service == SERVICE_DC_BPT)
    assert max(current for _, current in house.outlet.currents) > 10.0
    assert house.outlet.inlet.pilot is PilotState.B
    assert not house.outlet.inlet.contactor_closed


def test_pilot_is_c_before_cable_check_and_b_before_welding_detection() -> None:
    house = House(BASE)
    seen = {}
    original = house.outlet.command

    def command(what: c.Command, now_s: float) -> None:
        seen.setdefault(type(what), house.outlet.inlet.pilot)
        original(what, now_s)

    house.outlet.command = command
    house.run()
    assert seen[c.ScheduleRequested] is PilotState.B
    assert seen[c.CableCheckRequested] is PilotState.C
    assert seen[c.WeldingDetectionRequested] is PilotState.B


def test_the_car_closes_only_at_matching_voltage() -> None:
    house = House(BASE).run()
    assert house.outlet.inlet.closed_at_difference_v is not None
    assert house.outlet.inlet.closed_at_difference_v < 20.0
    (last,) = requests_of(house, dc.DC_PreChargeReq)[-1:]
    assert last.ev_processing is Processing.Finished


def test_the_car_does_not_close_onto_a_dead_outlet() -> None:
    house = House(BASE)
    house.outlet.inlet.battery_voltage_v = 380.0
    original = house.outlet.command

    def without_precharge(what: c.Command, now_s: float) -> None:
        original(what, now_s)
        house.outlet.inlet.outlet_v = 0.0

    house.outlet.command = without_precharge
    house.run()
    assert house.outlet.inlet.closed_at_difference_v is None
    assert house.evcc.failure is not None
    assert house.outlet.inlet.pilot is PilotState.B


def test_scheduled_follows_its_plan_and_discharges_in_the_dear_hour() -> None:
    house = House(replace(BASE, stop_after_loop_s=90.0, target_soc=45.0), utc_speed=60.0).run()
    assert house.evcc.failure is None
    currents = [current for _, current in house.outlet.currents]
    assert max(currents) == pytest.approx(11_000 / 380, rel=0.02)
    assert min(currents) == pytest.approx(-9_000 / 380, rel=0.02)
    (start,) = [start for start in requests_of(house, cm.PowerDeliveryReq) if start.ev_power_profile]
    powers = [rational_value(entry.power) for entry in
              start.ev_power_profile.ev_power_profile_entries.ev_power_profile_entry]
    assert min(powers) < 0 < max(powers)


def test_a_cut_limit_is_obeyed_in_the_very_next_request() -> None:
    house = House(BASE)
    house.at = [(2.0, lambda: setattr(house.outlet, "allowed_charge_w", 1_900.0))]
    house.run()
    told_s = next(
        exchange.received_s for exchange in house.evcc.exchanges
        if isinstance(exchange.response, dc.DC_ChargeLoopRes)
        and rational_value(exchange.response.cl_res_control_mode.evse_maximum_charge_power) == 1_900.0
    )
    after = [
        rational_value(exchange.request.cl_req_control_mode.ev_target_current) for exchange in house.evcc.exchanges
        if isinstance(exchange.request, dc.DC_ChargeLoopReq) and exchange.sent_s >= told_s
    ]
    assert after
    assert max(after) <= 1_900.0 / 380.0 + 0.01


def test_the_ramp_slows_the_cars_own_wishes() -> None:
    house = House(replace(BASE, ramp_a_per_s=20.0)).run()
    targets = [
        rational_value(request.cl_req_control_mode.ev_target_current)
        for request in requests_of(house, dc.DC_ChargeLoopReq)
    ]
    steps = [abs(after - before) for before, after in itertools.pairwise(targets)]
    assert max(steps) <= 20.0 * 0.22


def test_without_a_discharging_schedule_nothing_is_discharged() -> None:
    house = House(replace(BASE, stop_after_loop_s=90.0, target_soc=45.0), utc_speed=60.0)
    house.outlet.offer = offer(discharge_w=None)
    house.run()
    assert min(current for _, current in house.outlet.currents) >= -0.01


def test_terminate_of_the_station_is_obeyed() -> None:
    house = House(replace(BASE, stop_after_loop_s=60.0))
    house.at = [(4.0, lambda: setattr(house.outlet, "notification", Notification.TERMINATE))]
    house.run()
    assert house.evcc.failure is None
    assert house.now_s < 8.0
    assert ended(house) is c.EndKind.TERMINATED


def test_departure_ends_the_session() -> None:
    house = House(EvccConfig(departure_utc_s=1_700_000_000.0 + 6.0)).run()
    assert house.evcc.failure is None
    assert 6.0 <= house.now_s < 9.0


def test_dynamic_tells_needs_and_the_v2x_window() -> None:
    house = House(replace(BASE, control_mode=ControlMode.DYNAMIC, v2x_min_soc=30.0, v2x_max_soc=90.0)).run()
    (request, *_) = house.outlet.of(c.ScheduleRequested)
    assert request.needs.dynamic
    assert request.needs.v2x_minimum_wh == pytest.approx(-6_000.0)
    assert request.needs.v2x_maximum_wh == pytest.approx(30_000.0)
    assert request.needs.target_wh == pytest.approx(24_000.0)


@pytest.mark.parametrize(("deviation", "code"), [
    (Deviation.WRONG_SESSION_ID, "FAILED_UnknownSession"),
    (Deviation.ZERO_SESSION_ID, "FAILED_UnknownSession"),
    (Deviation.UNEXPECTED_REQUEST, "ServiceDiscoveryRes"),
    (Deviation.WRONG_CONTROL_MODE, "FAILED"),
    (Deviation.NEGATIVE_LIMIT, "FAILED_WrongChargeParameter"),
    (Deviation.WRONG_TUPLE, "FAILED_ScheduleSelectionInvalid"),
])
def test_a_wrong_request_is_refused_and_ends_safely(deviation: Deviation, code: str) -> None:
    house = deviating(deviation).run()
    assert code in str(house.evcc.failure)
    assert house.outlet.inlet.current_a == 0.0
    assert not house.outlet.inlet.contactor_closed
    assert ended(house) is c.EndKind.FAILED


def test_silence_in_the_loop_ends_after_half_a_second() -> None:
    house = deviating(Deviation.SILENT_IN_LOOP, stop_after_loop_s=60.0).run(30.0)
    last_answer_s = house.evcc.exchanges[-1].received_s
    assert ended(house) is c.EndKind.EV_TIMEOUT
    flowing_s = [at_s for at_s, current in house.outlet.currents if current != 0.0]
    stopped_s = next(at_s for at_s, current in house.outlet.currents if current == 0.0 and at_s > flowing_s[-1])
    assert stopped_s - last_answer_s <= 0.56


def test_a_slow_loop_is_too_slow_for_the_strict_timer() -> None:
    assert ended(deviating(Deviation.SLOW_LOOP).run()) is c.EndKind.EV_TIMEOUT


def test_a_dropped_connection_ends_the_session() -> None:
    assert ended(deviating(Deviation.DROP_IN_LOOP).run()) is c.EndKind.EV_CLOSED


@pytest.mark.parametrize("deviation", [
    Deviation.TARGET_VOLTAGE_ZERO, Deviation.START_THRICE, Deviation.NO_PRECHARGE_FINISHED,
    Deviation.SKIP_WELDING_DETECTION,
])
def test_harmless_habits_of_cars_in_the_field_do_not_end_a_session(deviation: Deviation) -> None:
    house = deviating(deviation).run()
    assert house.evcc.failure is None
    assert ended(house) is c.EndKind.TERMINATED
    assert len(house.outlet.of(c.EnergyStart)) == 1


def test_habits_are_really_on_the_wire() -> None:
    thrice = deviating(Deviation.START_THRICE).run()
    starts = [r for r in requests_of(thrice, cm.PowerDeliveryReq) if r.charge_progress is cm.ChargeProgress.Start]
    assert [start.ev_processing for start in starts] == [Processing.Ongoing, Processing.Ongoing, Processing.Finished]
    assert requests_of(deviating(Deviation.SKIP_WELDING_DETECTION).run(), dc.DC_WeldingDetectionReq) == []
    zero = deviating(Deviation.TARGET_VOLTAGE_ZERO).run()
    assert zero.outlet.of(c.LoopUpdate)[-1].target_voltage_v in (None, 450.0)
    early = deviating(Deviation.CLOSE_EARLY).run()
    assert early.outlet.inlet.closed_at_difference_v is not None


def test_ignored_limits_are_clamped_by_the_station() -> None:
    house = deviating(Deviation.IGNORE_LIMITS)
    house.outlet.allowed_charge_w = 5_000.0
    house.run()
    asked = [update.target_current_a for update in house.outlet.of(c.LoopUpdate)]
    assert max(asked) == 100.0
    assert max(current for _, current in house.outlet.currents) <= 5_000.0 / 380.0 + 0.01


def test_session_stop_in_the_loop_is_survived() -> None:
    house = deviating(Deviation.STOP_WITHOUT_POWER_DELIVERY).run()
    assert house.outlet.inlet.current_a == 0.0
    assert len(house.outlet.of(c.SessionEnded)) == 1


def test_a_pulled_plug_under_power_ends_without_an_exception() -> None:
    house = deviating(Deviation.PULL_PLUG).run(30.0)
    assert not house.outlet.inlet.plugged


def test_an_unknown_protocol_is_not_negotiated() -> None:
    house = House(replace(BASE, protocols=(("urn:nobody", 1, 0),))).run()
    assert "handshake" in str(house.evcc.failure)


def test_the_best_offered_protocol_is_taken_whatever_its_schema_id() -> None:
    house = House(replace(BASE, protocols=(("urn:nobody", 1, 0), (DC_NAMESPACE, 1, 0), ("urn:other", 2, 0)))).run()
    assert house.evcc.failure is None


def test_a_station_that_stays_silent_is_given_up() -> None:
    house = House(BASE)
    house.evcc.start(0.0)
    assert house.evcc.deadline_s == 2.0
    house.evcc.on_timer(2.0)
    assert house.evcc.failure == "no supportedAppProtocolRes in time"
    assert house.evcc.finished


def test_no_service_in_common_ends_in_good_order() -> None:
    house = House(replace(BASE, services=(9,))).run()
    assert house.evcc.failure is None
    assert requests_of(house, cm.SessionStopReq)
    assert ended(house) is c.EndKind.TERMINATED
