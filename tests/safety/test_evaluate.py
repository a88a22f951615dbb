"""Which inputs end in open contactors, which only in less power, and that a permit is never above any limit."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.model.fault import Fault, FaultCode
from evse_controller.model.limits import Limit, SiteAllowance
from evse_controller.model.pilot import PilotState
from evse_controller.safety import PHASES, Inputs, Phase, evaluate
from evse_controller.safety.envelope import cable_test_voltage
from evse_controller.safety.thresholds import TABLE
from hal.api import Contact, IsolationState, PowerMode
from tests.safety.facts import CAPABILITY, EV, ISOLATION, MCU, METER, NEEDS, NOW, POWER, RATINGS, allowance, good


def codes(inputs: Inputs, now_s: float = NOW) -> set[str]:
    return {fault.code.value for fault in evaluate(inputs, now_s).faults}


def test_good_moment_is_permitted_for_250_ms_and_not_longer() -> None:
    verdict = evaluate(good(), NOW)
    assert verdict.faults == ()
    assert verdict.export_denied is None
    assert verdict.permit.contactors
    assert verdict.permit.export
    assert verdict.permit.valid(NOW + 0.249)
    assert not verdict.permit.valid(NOW + 0.25)


EMERGENCIES = {
    "emergency-stop": [
        good(mcu=replace(MCU, emergency_stop=True)),
        good(phase=Phase.IDLE, mcu=replace(MCU, emergency_stop=True)),
    ],
    "mcu-safe-state": [good(mcu=replace(MCU, safe_state=True, safe_reason=2))],
    "pilot-stale": [good(mcu=replace(MCU, at_s=NOW - 0.31)), good(mcu=None), good(mcu=replace(MCU, at_s=NOW + 1.0))],
    "pilot-lost": [
        good(mcu=replace(MCU, pilot=state))
        for state in (PilotState.A, PilotState.B, PilotState.E, PilotState.F, PilotState.INVALID)
    ]
    + [good(mcu=replace(MCU, pilot_fault="diode"))],
    "contactor-mismatch": [
        good(mcu=replace(MCU, contactor=Contact.OPEN)),
        good(mcu=replace(MCU, contactor=Contact.UNDEFINED)),
    ],
    "contactor-welded": [good(phase=Phase.WELDING, contactors_commanded=False)],
    "over-voltage": [good(meter=replace(METER, voltage_v=511.0)), good(power=replace(POWER, voltage_v=511.0))],
    "over-current": [good(meter=replace(METER, current_a=190.0)), good(power=replace(POWER, current_a=-190.0))],
    "measurement-stale": [good(meter=replace(METER, at_s=NOW - 1.01)), good(meter=None)],
    "measurement-implausible": [good(meter=replace(METER, voltage_v=math.nan))],
    "isolation-fault": [
        good(isolation=replace(ISOLATION, resistance_ohm=99_999.0)),
        good(isolation=replace(ISOLATION, resistance_ohm=math.nan)),
    ],
    "isolation-monitor-missing": [
        good(isolation=replace(ISOLATION, at_s=NOW - 2.01)),
        good(isolation=None),
        good(isolation_since_s=None),
        good(isolation=replace(ISOLATION, state=IsolationState.FAULT), isolation_since_s=NOW - 0.5),
        good(isolation=replace(ISOLATION, state=IsolationState.OFF)),
        good(isolation=replace(ISOLATION, self_test_ok=None)),
        good(isolation=replace(ISOLATION, self_test_ok=False)),
    ],
    "power-module-silent": [
        good(power=replace(POWER, at_s=NOW - 0.51)),
        good(power=None),
        good(power=replace(POWER, modules_online=1)),
    ],
    "power-module-fault": [good(power=replace(POWER, fault="fan"))],
}


@pytest.mark.parametrize(
    ("code", "inputs"), [(code, inputs) for code, cases in EMERGENCIES.items() for inputs in cases]
)
def test_contradicting_or_missing_protection_input_opens_the_contactors(code: str, inputs: Inputs) -> None:
    verdict = evaluate(inputs, NOW)
    assert code in {fault.code.value for fault in verdict.faults}
    permit = verdict.permit
    assert not permit.contactors
    assert not permit.export
    assert permit.max_charge_current_a == permit.max_discharge_current_a == permit.max_voltage_v == 0.0


HELD = {
    "measurement-implausible": (good(meter=replace(METER, voltage_v=360.0)), 1.5),
    "over-current": (good(meter=replace(METER, current_a=145.0), power=replace(POWER, current_a=145.0)), 0.5),
    "power-module-fault": (good(power=replace(POWER, mode=None)), 1.0),
}


@pytest.mark.parametrize("code", HELD)
def test_contradiction_that_lasts_is_an_emergency(code: str) -> None:
    inputs, hold_s = HELD[code]
    first = evaluate(inputs, NOW)
    assert code not in {fault.code.value for fault in first.faults}
    late = replace(
        inputs,
        watch=first.watch,
        mcu=replace(MCU, at_s=NOW + hold_s),
        power=replace(inputs.power, at_s=NOW + hold_s) if inputs.power else None,
        meter=replace(inputs.meter, at_s=NOW + hold_s) if inputs.meter else None,
        isolation=replace(ISOLATION, at_s=NOW + hold_s),
    )
    assert code in codes(late, NOW + hold_s)
    assert code not in codes(replace(late, watch={}), NOW + hold_s)


def test_current_contradiction_between_meter_and_modules_is_held_too() -> None:
    inputs = good(meter=replace(METER, current_a=0.0))
    verdict = evaluate(replace(inputs, watch={"current-contradiction": NOW - 1.5}), NOW)
    assert FaultCode.MEASUREMENT_IMPLAUSIBLE in {fault.code for fault in verdict.faults}


def minus(amps: float, **changes: object) -> Inputs:
    mode = {"mode": PowerMode.DISCHARGE, "power": replace(POWER, mode=PowerMode.DISCHARGE, current_a=-amps)}
    return good(meter=replace(METER, current_a=-amps), **{**mode, **changes})


DISOBEDIENT = {
    "import cut": good(allowance=allowance(import_w=1_000.0), meter=replace(METER, current_a=20.0)),
    "schedule cap": good(charge_cap=Limit(0.0, "schedule", "x")),
    "export cut": minus(20.0, allowance=allowance(export_w=1_000.0)),
    "export denied": minus(20.0, service_bidirectional=False),
    "changing to discharge": good(changing_direction=True),
    "changing to charge": minus(20.0, changing_direction=True),
    "ramp down": good(phase=Phase.RAMP_DOWN),
}


@pytest.mark.parametrize("name", DISOBEDIENT)
def test_current_that_does_not_obey_the_permit_for_one_second_is_an_emergency(name: str) -> None:
    inputs = DISOBEDIENT[name]
    first = evaluate(inputs, NOW)
    assert "over-current" not in {fault.code.value for fault in first.faults}
    assert first.watch["current-permit"] == NOW
    assert "over-current" not in codes(replace(inputs, watch={"current-permit": NOW - 0.99}))
    assert "over-current" in codes(replace(inputs, watch={"current-permit": NOW - 1.0}))


def test_ratings_hold_during_a_change_of_direction() -> None:
    inputs = good(changing_direction=True, meter=replace(METER, current_a=145.0))
    assert "current-limit" in evaluate(inputs, NOW).watch


def test_outlet_that_stays_above_a_maximum_lowered_in_the_loop_trips_after_one_second() -> None:
    inputs = good(ev=replace(EV, max_voltage_v=390.0))
    assert codes(inputs) == set()
    assert codes(replace(inputs, watch={"ev-voltage": NOW - 1.0})) == {"over-voltage"}
    near = good(ev=replace(EV, max_voltage_v=393.0), watch={"ev-voltage": NOW - 1.0})
    assert codes(near) == set()


def test_isolation_below_100_kohm_is_a_fault_at_any_voltage_class() -> None:
    reading = replace(ISOLATION, resistance_ohm=99_000.0)
    assert "isolation-fault" in codes(good(ratings=replace(RATINGS, max_voltage_v=500.0), isolation=reading))
    reading = replace(ISOLATION, resistance_ohm=101_000.0)
    assert codes(good(ratings=replace(RATINGS, max_voltage_v=500.0), isolation=reading)) == set()
    assert "isolation-fault" in codes(good(ratings=replace(RATINGS, max_voltage_v=1250.0), isolation=reading))


def test_discharge_current_in_charge_mode_is_over_current() -> None:
    inputs = good(meter=replace(METER, current_a=-10.0), power=replace(POWER, current_a=-10.0))
    assert "over-current" in codes(replace(inputs, watch={"current-limit": NOW - 0.5}))


def test_no_valid_isolation_sample_for_10_s_is_an_emergency() -> None:
    inputs = good(isolation=replace(ISOLATION, valid=False))
    assert codes(inputs) == set()
    assert "isolation-monitor-missing" in codes(replace(inputs, watch={"isolation-invalid": NOW - 10.0}))


def test_contactor_feedback_gets_its_time_after_a_command() -> None:
    assert codes(good(contactors_since_s=NOW - 0.5, mcu=replace(MCU, contactor=Contact.OPEN))) == set()


def test_board_that_opened_for_the_pilot_does_not_latch_a_contactor_fault() -> None:
    inputs = good(mcu=replace(MCU, pilot=PilotState.B, contactor=Contact.OPEN))
    assert codes(inputs) == {"pilot-lost"}


def test_latched_emergency_keeps_everything_off() -> None:
    latched = (Fault(FaultCode.CONTACTOR_WELDED, "mcu", "welded", 0.0),)
    permit = evaluate(good(latched=latched), NOW).permit
    assert not permit.contactors
    assert permit.reason == "welded"


def test_site_input_that_ran_out_keeps_contactors_closed_and_denies_export() -> None:
    verdict = evaluate(good(allowance=allowance(3_000.0, 0.0, stale=True)), NOW)
    assert {fault.code for fault in verdict.faults} == {FaultCode.SITE_INPUT_STALE}
    assert verdict.permit.contactors
    assert not verdict.permit.export
    assert verdict.permit.max_charge_current_a == pytest.approx(3_000.0 * 0.93 / 400.0)


def test_expired_import_limit_permits_no_charging_and_keeps_contactors_closed() -> None:
    expired = SiteAllowance(Limit(9e9, "site", "x", NOW), Limit(9e9, "site", "x", NOW), False)
    permit = evaluate(good(allowance=expired), NOW).permit
    assert permit.contactors
    assert permit.max_charge_current_a == 0.0
    assert permit.max_discharge_current_a == 0.0


DENIED = {
    "no bidirectional service": good(service_bidirectional=False),
    "no discharge limits": good(ev=replace(EV, max_discharge_current_a=None)),
    "gave no discharge limits": good(ev=replace(EV, max_discharge_power_w=None)),
    "EVSE is not bidirectional": good(export_configured=False),
    "is not bidirectional": good(capability=replace(CAPABILITY, bidirectional=False)),
    "no discharge rating": good(ratings=replace(RATINGS, max_discharge_current_a=0.0)),
    "expired": good(allowance=replace(allowance(), export_w=Limit(20_000.0, "site", "x", NOW))),
    "site permits no export": good(allowance=allowance(export_w=0.0)),
    "no grid profile commissioned": good(grid_profile=None),
    "not read back": good(power=replace(POWER, grid_profile=3)),
    "profile 1 not read back": good(power=replace(POWER, grid_profile=None)),
    "needs 0 Wh to its minimum": good(needs=replace(NEEDS, v2x_minimum_wh=0.0)),
    "needs 500 Wh to its minimum": good(needs=replace(NEEDS, v2x_minimum_wh=None, minimum_wh=500.0)),
    "needs 501 Wh to its minimum": good(needs=replace(NEEDS, minimum_wh=501.0)),  # beside a good V2X minimum
    "needs 5000 Wh to its minimum": good(needs=replace(NEEDS, dynamic=False, v2x_minimum_wh=None, minimum_wh=5000.0)),
    "needs nan Wh to its minimum": good(needs=replace(NEEDS, v2x_minimum_wh=math.nan)),
    "not stated its needs": good(needs=None),
    "SoC unknown": good(soc=None, needs=replace(NEEDS, minimum_wh=None, v2x_minimum_wh=None)),
    "SoC nan": good(soc=math.nan),
    "the driver's minimum 60 %": good(soc=60.0, driver_minimum_soc=60),
    "SoC 59 % is not above the driver's minimum 60 %": good(
        soc=59.0, driver_minimum_soc=60, needs=replace(NEEDS, dynamic=False, minimum_soc=None)
    ),
    "driver asked for a minimum of 60 %": good(soc=None, driver_minimum_soc=60),
    "SoC unknown, the driver asked": good(soc=90.0, soc_age_s=60.1, driver_minimum_soc=60),
    "converter is silent": good(power=replace(POWER, at_s=NOW - 0.51)),
    "converter reports AC input lost": good(power=replace(POWER, fault="AC input lost")),
    "SoC 20 %": good(soc=20.0),
}


@pytest.mark.parametrize("reason", DENIED)
def test_each_condition_of_the_export_gate_alone_denies_export(reason: str) -> None:
    verdict = evaluate(DENIED[reason], NOW)
    assert verdict.export_denied is not None
    assert reason in verdict.export_denied
    assert verdict.discharge_rules[0] == "export-gate"
    assert not verdict.permit.export
    assert verdict.permit.max_discharge_current_a == 0.0
    if not reason.startswith("converter"):
        assert verdict.permit.contactors  # denied export is not an emergency
        assert verdict.permit.max_charge_current_a > 0.0


@pytest.mark.parametrize("dynamic", [True, False])
def test_energy_taken_out_counts_against_the_stated_minimum(dynamic: bool) -> None:
    needs = replace(NEEDS, dynamic=dynamic, minimum_wh=-950.0, v2x_minimum_wh=None)
    assert evaluate(good(needs=needs, discharged_wh=900.0), NOW).export_denied is None
    assert evaluate(good(needs=needs, discharged_wh=902.6), NOW).export_denied is not None  # with battery loss
    assert evaluate(good(needs=needs, charged_wh=math.nan), NOW).export_denied is not None


def test_charged_energy_is_credit_only_until_the_ev_states_its_needs_again() -> None:
    needs = replace(NEEDS, minimum_wh=950.0, v2x_minimum_wh=None)
    assert evaluate(good(needs=replace(needs, dynamic=False), charged_wh=1001.0), NOW).export_denied is None
    assert evaluate(good(needs=replace(needs, dynamic=False), charged_wh=999.0), NOW).export_denied is not None
    assert evaluate(good(needs=needs, charged_wh=5000.0), NOW).export_denied is not None  # restated in every request


def test_the_tightest_limit_rules_and_says_so() -> None:
    verdict = evaluate(good(charge_cap=Limit(4_000.0, "schedule", "tuple 1")), NOW)
    assert verdict.charge_rules == ("schedule", Limit(4_000.0, "schedule", "tuple 1"))
    assert verdict.permit.max_charge_current_a == pytest.approx(10.0)
    assert verdict.permit.reason == "schedule: tuple 1"


def test_site_limits_are_carried_to_the_dc_side_by_efficiency() -> None:
    verdict = evaluate(good(allowance=allowance(10_000.0, 4_900.0)), NOW)
    assert verdict.charge_rules[1].value == pytest.approx(9_300.0)
    assert verdict.discharge_rules[1].value == pytest.approx(5_000.0)


def test_ev_that_lowers_its_voltage_limit_is_clamped_and_does_not_trip() -> None:
    verdict = evaluate(good(ev=replace(EV, max_voltage_v=390.0)), NOW)
    assert verdict.permit.max_voltage_v == 390.0
    assert verdict.faults == ()


def test_trip_level_lies_two_percent_above_the_negotiated_voltage() -> None:
    assert evaluate(good(), NOW).trip_voltage_v == pytest.approx(510.0)
    assert codes(good(meter=replace(METER, voltage_v=509.0), power=replace(POWER, voltage_v=509.0))) == set()


def test_test_voltage_is_allowed_only_after_an_unfinished_cable_check() -> None:
    inputs = good(
        phase=Phase.RAMP_DOWN,
        negotiated=replace(EV, max_voltage_v=450.0),
        ev=replace(EV, max_voltage_v=450.0),
        meter=replace(METER, voltage_v=500.0, current_a=0.0),
        power=replace(POWER, voltage_v=500.0, current_a=0.0),
    )
    assert "over-voltage" in codes(inputs)
    assert codes(replace(inputs, cable_test_unfinished=True)) == set()


@pytest.mark.parametrize(
    ("ev_max_v", "evse_max_v", "test_v"),
    [
        (400.0, 1000.0, 450.0),
        (480.0, 1000.0, 500.0),
        (500.0, 1000.0, 500.0),
        (800.0, 1000.0, 880.0),
        (950.0, 1000.0, 1000.0),
    ],
)
def test_cable_test_voltage(ev_max_v: float, evse_max_v: float, test_v: float) -> None:
    assert cable_test_voltage(ev_max_v, evse_max_v) == pytest.approx(test_v)


@pytest.mark.parametrize("phase", [Phase.CABLE_CHECK, Phase.PRECHARGE])
def test_cable_check_and_precharge_get_two_ampere_at_most_and_no_export(phase: Phase) -> None:
    permit = evaluate(
        good(phase=phase, meter=replace(METER, current_a=0.0), power=replace(POWER, current_a=0.0)), NOW
    ).permit
    assert permit.max_charge_current_a == 2.0
    assert permit.max_discharge_current_a == 0.0
    assert not permit.export


@pytest.mark.parametrize("phase", [phase for phase, rule in PHASES.items() if not rule.contactors])
def test_phases_without_contactors_permit_nothing(phase: Phase) -> None:
    permit = evaluate(good(phase=phase), NOW).permit
    assert not permit.contactors
    assert permit.max_charge_current_a == 0.0


def test_every_threshold_names_its_source() -> None:
    assert len(TABLE) > 30
    assert all(row.source and row.unit for row in TABLE.values())


watts = st.floats(0.0, 60_000.0)
maybe = st.one_of(st.none(), watts)


@settings(max_examples=150, deadline=None)
@given(watts, watts, maybe, maybe, watts, watts, st.floats(150.0, 500.0), st.sampled_from(list(Phase)), st.booleans())
def test_permit_is_never_above_any_limit(
    import_w: float,
    export_w: float,
    charge_cap_w: float | None,
    discharge_cap_w: float | None,
    ev_charge_w: float,
    ev_discharge_w: float,
    volts: float,
    phase: Phase,
    discharging: bool,
) -> None:
    inputs = good(
        phase=phase,
        meter=replace(METER, voltage_v=volts, current_a=0.0),
        power=replace(POWER, voltage_v=volts, current_a=0.0),
        allowance=allowance(import_w, export_w),
        charge_cap=None if charge_cap_w is None else Limit(charge_cap_w, "schedule", "cap"),
        discharge_cap=None if discharge_cap_w is None else Limit(discharge_cap_w, "schedule", "cap"),
        ev=replace(EV, max_charge_power_w=ev_charge_w, max_discharge_power_w=ev_discharge_w),
        mode=PowerMode.DISCHARGE if discharging else PowerMode.CHARGE,
    )
    permit = evaluate(inputs, NOW).permit
    assert permit.max_voltage_v <= min(EV.max_voltage_v, RATINGS.max_voltage_v)
    if phase is Phase.ENERGY:
        charge_w = permit.max_charge_current_a * volts
        discharge_w = permit.max_discharge_current_a * volts
        caps = [import_w, ev_charge_w, RATINGS.max_charge_power_w, EV.max_charge_current_a * volts]
        assert charge_w <= min([*caps, *([] if charge_cap_w is None else [charge_cap_w])]) + 1e-6
        caps = [export_w / 0.98, ev_discharge_w, RATINGS.max_discharge_power_w, 80.0 * volts]
        assert discharge_w <= min([*caps, *([] if discharge_cap_w is None else [discharge_cap_w])]) + 1e-6
        assert permit.export or permit.max_discharge_current_a == 0.0
    else:
        assert permit.max_charge_current_a <= 2.0
        assert permit.max_discharge_current_a == 0.0


def test_hold_permits_contactors_and_no_current() -> None:
    permit = evaluate(good(phase=Phase.HOLD), NOW).permit
    assert permit.contactors
    assert (permit.max_charge_current_a, permit.max_discharge_current_a, permit.export) == (0.0, 0.0, False)
