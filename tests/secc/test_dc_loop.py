"""The charge loop: protocol.md B.10, B.11 and F.2 cases 53, 55 to 59."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evse_controller.messages.generated.common_messages import ChargeProgress
from evse_controller.messages.generated.common_types import (
    DisplayParameters,
    EvseNotification,
    RationalNumber,
    ResponseCode,
)
from evse_controller.messages.rational import rational_value as value
from evse_controller.model import commands as c
from evse_controller.model.snapshot import DcPresent, Notification
from evse_controller.secc.config import SeccConfig
from tests.secc.ev import DC, DC_BPT, DYNAMIC, SCHEDULED, SNAPSHOT, Bench, loop, power_delivery

KINDS = [(service, mode) for service in (DC, DC_BPT) for mode in (SCHEDULED, DYNAMIC)]


LENIENT = SeccConfig(accept_senseless_loop_limits=True)


def looping(service: int = DC_BPT, mode: int = SCHEDULED, config: SeccConfig | None = None) -> Bench:
    return Bench(config or SeccConfig(), service=service, control_mode=mode).to("ChargeLoop")


def update(bench: Bench, **changes: float) -> c.LoopUpdate:
    """The station's view of one scheduled BPT loop request."""
    assert bench.say(loop(**changes)).response_code is ResponseCode.OK
    last: c.LoopUpdate = bench.commands_of(c.LoopUpdate)[-1]
    return last


@pytest.mark.parametrize(("service", "mode"), KINDS)
@pytest.mark.parametrize(("asked_service", "asked_mode"), KINDS)
def test_case_53_response_mirrors_the_selected_mode_and_others_fail(
    service: int, mode: int, asked_service: int, asked_mode: int
) -> None:
    answer = looping(service, mode).say(loop(asked_mode, asked_service == DC_BPT))
    right = (service, mode) == (asked_service, asked_mode)
    assert answer.response_code is (ResponseCode.OK if right else ResponseCode.FAILED)
    request_type = type(loop(asked_mode, asked_service == DC_BPT).cl_req_control_mode).__name__
    assert type(answer.cl_res_control_mode).__name__ == request_type.replace("CLReq", "CLRes")


@pytest.mark.parametrize(
    ("target_a", "seen_a"), [(30.0, 30.0), (500.0, 180.0), (-30.0, -30.0), (-500.0, -50.0), (0.0, 0.0)]
)
def test_case_55_target_current_is_clamped_never_failed(target_a: float, seen_a: float) -> None:
    assert update(looping(), ev_target_current=target_a).target_current_a == seen_a


def test_one_way_service_never_discharges() -> None:
    bench = looping(DC)
    bench.say(loop(SCHEDULED, False, ev_target_current=-20.0))
    assert bench.commands_of(c.LoopUpdate)[-1].target_current_a == 0


def test_case_56_target_voltage_zero_keeps_the_last_one() -> None:
    bench = looping()
    assert update(bench, ev_target_voltage=0.0).target_voltage_v is None
    assert update(bench, ev_target_voltage=410.0).target_voltage_v == 410
    assert update(bench, ev_target_voltage=0.0).target_voltage_v == 410
    assert update(bench, ev_target_voltage=-5.0).target_voltage_v == 410
    assert update(bench, ev_target_voltage=2000.0).target_voltage_v == 450


def test_limits_of_the_ev_are_refreshed_and_bound_its_own_target() -> None:
    bench = looping()
    assert update(bench, ev_maximum_charge_current=20.0, ev_target_current=100.0).target_current_a == 20
    assert update(bench, ev_target_current=100.0).limits.max_charge_current_a == 20
    assert update(bench, ev_maximum_charge_current=0.0, ev_target_current=100.0).target_current_a == 0


HUGE = 1e30
SENSELESS: list[dict[str, float]] = [
    {"ev_maximum_voltage": -5.0},
    {"ev_minimum_voltage": 900.0},
    {"ev_maximum_voltage": 200.0},
    {"ev_maximum_charge_power": -1000.0},
    {"ev_minimum_charge_power": 3e7},
    {"ev_maximum_charge_current": -1.0},
    {"ev_minimum_discharge_power": 3e7},
    {"ev_maximum_discharge_power": -1.0},
    {"ev_maximum_discharge_current": -1.0},
    *({f"ev_maximum_{what}": HUGE} for what in ("voltage", "charge_current", "charge_power", "discharge_power")),
]


def saying(changes: dict[str, float], mode: int = SCHEDULED, **others: float) -> Any:
    """A loop request with these limits; HUGE is the largest number that the schema can say."""
    request = loop(mode, **{name: value for name, value in {**others, **changes}.items() if value != HUGE})
    for name, number in changes.items():
        if number == HUGE:
            setattr(request.cl_req_control_mode, name, RationalNumber(127, 32767))
    return request


@pytest.mark.parametrize("changes", SENSELESS, ids=str)
@pytest.mark.parametrize("mode", [SCHEDULED, DYNAMIC])
def test_a_limit_that_makes_no_sense_ends_the_session_energy_first(mode: int, changes: dict[str, float]) -> None:
    """protocol.md B.5 and F.2 case 41, in the loop too."""
    bench = looping(mode=mode)
    assert bench.say(loop(mode)).response_code is ResponseCode.OK
    reply = bench.ask(saying(changes, mode=mode))
    answer: Any = reply.response
    assert answer.response_code is ResponseCode.FAILED_WrongChargeParameter
    assert [type(command) for command in reply.commands] == [c.EnergyStop, c.SessionEnded]
    assert bench.state == "Ended"


HARMLESS: list[dict[str, float]] = [
    {"ev_maximum_charge_power": 0.0, "ev_minimum_charge_power": 1_000.0},
    {"ev_maximum_charge_power": 500.0},  # tapers below the minimum of ChargeParameterDiscovery
    {"ev_maximum_charge_current": 0.0},
    {"ev_maximum_discharge_power": 0.0, "ev_minimum_discharge_power": 100.0},
    {"ev_maximum_discharge_power": 300e3, "ev_minimum_discharge_power": 300e3},
    {"ev_maximum_charge_power": 3e7, "ev_maximum_charge_current": 3e7},
    {"ev_maximum_voltage": 0.0, "ev_minimum_voltage": 0.0},
    {"ev_maximum_voltage": 0.0, "ev_minimum_voltage": 200.0},
    {"ev_target_current": -500.0},
    {"ev_target_current": 500.0, "ev_target_voltage": -5.0},
    {"ev_target_energy_request": -1e4, "ev_maximum_energy_request": -2e4, "ev_minimum_energy_request": 1e4},
]


@pytest.mark.parametrize("changes", HARMLESS, ids=str)
def test_what_cars_mean_well_is_served(changes: dict[str, float]) -> None:
    """Nothing now is 0, what is too much is bounded, targets are clamped, energies are signed."""
    bench = looping()
    memory = bench.session._data.dc
    assert memory.limits is not None
    memory.limits = replace(memory.limits, min_charge_power_w=1_000.0)
    seen = update(bench, **changes).limits
    assert seen.min_charge_power_w <= seen.max_charge_power_w <= 80_000.0
    assert (seen.min_voltage_v, seen.max_voltage_v) == (250.0, 450.0)


def test_a_minimum_alone_is_held_against_the_maximum_that_holds() -> None:
    bench = looping()
    update(bench, ev_maximum_charge_power=8_000.0)
    assert bench.say(loop(ev_minimum_charge_power=9_000.0)).response_code is ResponseCode.FAILED_WrongChargeParameter


@pytest.mark.parametrize("changes", SENSELESS, ids=str)
def test_where_it_is_accepted_a_limit_that_makes_no_sense_widens_nothing(changes: dict[str, float]) -> None:
    bench = looping(config=LENIENT)
    shrunk = {
        "ev_maximum_charge_current": 20.0,
        "ev_maximum_charge_power": 8_000.0,
        "ev_maximum_discharge_power": 2_000.0,
        "ev_maximum_voltage": 420.0,
        "ev_minimum_charge_power": 100.0,
    }
    before = update(bench, **shrunk).limits
    assert bench.say(saying(changes, **shrunk | {"ev_target_current": 500.0})).response_code is ResponseCode.OK
    after = bench.commands_of(c.LoopUpdate)[-1].limits
    assert bench.commands_of(c.LoopUpdate)[-1].target_current_a <= 20
    for entry in fields(c.EvDcLimits):
        old, new = getattr(before, entry.name), getattr(after, entry.name)
        assert new <= old if "min" not in entry.name else new <= 100 or entry.name == "min_voltage_v", entry.name
    assert (after.max_voltage_v, after.min_voltage_v) == (before.max_voltage_v, before.min_voltage_v)
    assert after.min_charge_power_w <= after.max_charge_power_w


def test_where_it_is_accepted_a_minimum_follows_its_maximum_down() -> None:
    bench = looping(config=LENIENT)
    seen = update(bench, ev_minimum_charge_power=1_000.0, ev_maximum_charge_power=500.0).limits
    assert (seen.min_charge_power_w, seen.max_charge_power_w) == (500.0, 500.0)
    assert update(bench, ev_maximum_charge_current=-3.0, ev_target_current=100.0).target_current_a == 0


def test_negative_discharge_limits_in_the_loop_are_a_quirk_that_is_configured() -> None:
    bench = Bench(SeccConfig(accept_negative_discharge_limits=True)).to("ChargeLoop")
    seen = update(bench, ev_maximum_discharge_current=-40.0, ev_target_current=-100.0)
    assert (seen.limits.max_discharge_current_a, seen.target_current_a) == (40.0, -40.0)
    inverted = loop(ev_minimum_discharge_power=-2_000.0, ev_maximum_discharge_power=-1_000.0)
    assert bench.say(inverted).response_code is ResponseCode.FAILED_WrongChargeParameter


def test_dynamic_loop_carries_needs_and_no_target() -> None:
    bench = looping(mode=DYNAMIC)
    request = loop(DYNAMIC)
    request.display_parameters = DisplayParameters(present_soc=55)
    request.cl_req_control_mode.departure_time = 600
    bench.say(request)
    seen = bench.commands_of(c.LoopUpdate)[-1]
    assert (seen.target_current_a, seen.target_voltage_v, seen.soc) == (None, None, 55)
    assert seen.needs.departure_utc_s == bench.snapshot.utc_s + 600
    assert (seen.needs.present_soc, seen.needs.target_wh) == (55, 20_000)
    assert (seen.needs.v2x_minimum_wh, seen.needs.v2x_maximum_wh) == (None, None)


def test_case_57_measurements_are_signed_and_limits_positive() -> None:
    answer = looping().say(loop())
    assert value(answer.evse_present_current) == -12.25
    assert value(answer.evse_present_voltage) == 398.5
    assert value(answer.cl_res_control_mode.evse_maximum_discharge_power) == 30_000


@given(
    charge_w=st.floats(0, 1e6),
    charge_a=st.floats(0, 1e4),
    discharge_w=st.floats(0, 1e6),
    discharge_a=st.floats(0, 1e4),
    voltage_v=st.floats(0, 2e3),
    kind=st.sampled_from(KINDS),
)
def test_limits_shrink_recover_and_never_exceed_the_rating_or_what_holds_now(
    charge_w: float, charge_a: float, discharge_w: float, discharge_a: float, voltage_v: float, kind: tuple[int, int]
) -> None:
    """[V2G20-2654]"""
    service, mode = kind
    bench = looping(service, mode)
    bench.set(present=DcPresent(voltage_v, 200.0, charge_a, charge_w, discharge_a, discharge_w, True, False, True))
    answer = bench.say(loop(mode, service == DC_BPT))
    now = answer.cl_res_control_mode
    assert value(now.evse_maximum_charge_power) <= min(charge_w, 60_000)
    assert value(now.evse_maximum_charge_current) <= min(charge_a, 200)
    assert value(now.evse_maximum_voltage) <= min(voltage_v, 920)
    assert value(now.evse_minimum_charge_power) <= value(now.evse_maximum_charge_power)
    if service == DC_BPT:
        assert 0 <= value(now.evse_maximum_discharge_power) <= min(discharge_w, 30_000)
        assert 0 <= value(now.evse_maximum_discharge_current) <= min(discharge_a, 100)
        assert value(now.evse_minimum_voltage) == 200
    flags = (answer.evse_current_limit_achieved, answer.evse_power_limit_achieved, answer.evse_voltage_limit_achieved)
    assert flags == (True, False, True)
    bench.set(present=SNAPSHOT.present)
    now = bench.say(loop(mode, service == DC_BPT)).cl_res_control_mode
    assert value(now.evse_maximum_charge_power) == 60_000


def test_minimum_never_stands_above_a_shrunken_maximum() -> None:
    bench = Bench()
    bench.set(ratings=replace(SNAPSHOT.ratings, min_charge_power_w=500.0))
    bench.to("ChargeLoop")
    bench.set(present=replace(SNAPSHOT.present, max_charge_power_w=100.0))
    now = bench.say(loop()).cl_res_control_mode
    assert (value(now.evse_maximum_charge_power), value(now.evse_minimum_charge_power)) == (100, 100)


def test_case_58_meter_info_in_the_first_loop_and_when_asked() -> None:
    bench = looping()
    info = bench.say(loop()).meter_info
    assert (info.meter_id, info.charged_energy_reading_wh, info.bpt_discharged_energy_reading_wh) == (
        "METER-1",
        1234,
        567,
    )
    assert bench.say(loop()).meter_info is None
    assert bench.say(loop(meter=True)).meter_info is not None


def test_one_way_meter_info_has_no_discharge_register() -> None:
    assert looping(DC).say(loop(SCHEDULED, False)).meter_info.bpt_discharged_energy_reading_wh is None


def test_meter_info_asked_for_of_a_silent_meter_is_its_last_reading_with_its_time() -> None:
    """[V2G20-1081]"""
    bench = looping()
    first = bench.say(loop()).meter_info
    bench.after(30.0).set(meter=None)
    assert bench.say(loop(meter=True)).meter_info == first
    assert first.meter_timestamp == SNAPSHOT.utc_s


def test_meter_info_asked_for_of_a_meter_that_never_spoke_fails_and_unasked_is_left_out() -> None:
    """[V2G20-1081]"""
    bench = looping()
    bench.set(meter=None)
    assert bench.say(loop()).meter_info is None
    assert bench.say(loop(meter=True)).response_code is ResponseCode.FAILED
    assert len(bench.commands_of(c.LoopUpdate)) == 1


def test_case_59_station_stop_is_told_in_the_loop_and_the_ev_leaves_orderly() -> None:
    bench = looping()
    bench.set(notification=Notification.TERMINATE)
    status = bench.say(loop()).evse_status
    assert (status.evse_notification, status.notification_max_delay) == (EvseNotification.Terminate, 0)
    assert bench.say(power_delivery(ChargeProgress.Stop)).evse_status.evse_notification is EvseNotification.Terminate
    bench.to("Ended")
    assert bench.commands_of(c.SessionEnded)[0].kind is c.EndKind.TERMINATED


@pytest.mark.parametrize("state", ["AuthorizationSetup", "ServiceDetail", "CableCheck", "PreCharge"])
@pytest.mark.parametrize("why", [{"emergency": "emergency stop"}, {"notification": Notification.TERMINATE}])
def test_where_the_schema_has_no_voice_the_station_ends_by_a_paired_failed(state: str, why: dict[str, Any]) -> None:
    bench = Bench().to(state)
    bench.set(**why)
    bench._step()
    assert bench.state == "Ended"
    assert bench.commands_of(c.SessionEnded)[0].kind is c.EndKind.FAILED


def test_direction_changes_without_a_new_session() -> None:
    bench = looping()
    targets = [update(bench, ev_target_current=target).target_current_a for target in (50.0, -40.0, 60.0)]
    assert targets == [50, -40, 60]
