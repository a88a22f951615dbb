"""Safety of an AC outlet: one fact wrong at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.model.fault import Fault, FaultCode
from evse_controller.model.limits import Limit
from evse_controller.model.pilot import PilotState
from evse_controller.model.power import PhasePower
from evse_controller.safety import AC_PHASES, AcPhase, Told, evaluate_ac
from evse_controller.safety.ac_evaluate import AC_HOLD_S
from evse_controller.safety.thresholds import TABLE
from hal.api import AcOutletReading, AcPhaseReading, Contact
from tests.safety.ac_facts import AC_EV, AC_MCU, AC_METER, PLATE, ac_good, metered, phases
from tests.safety.facts import NEEDS, NOW, allowance


def codes(**changes: Any) -> set[str]:
    """Fault codes at once and, for conditions that must last, after they have."""
    inputs = ac_good(**changes)
    return {fault.code.value for fault in evaluate_ac(inputs, NOW).faults}


def lasting(**changes: Any) -> set[str]:
    watch = dict.fromkeys(AC_HOLD_S, NOW - 60.0)
    return {fault.code.value for fault in evaluate_ac(ac_good(watch=watch, **changes), NOW).faults}


def test_good_moment_has_no_fault_and_permits_contactor_and_the_tightest_power() -> None:
    verdict = evaluate_ac(ac_good(), NOW)
    assert verdict.faults == ()
    assert verdict.permit.contactors
    assert verdict.charge_rules[0] == "rating-current"
    assert verdict.permit.max_charge_current_a == pytest.approx(32.0)
    assert verdict.permit.max_discharge_current_a == pytest.approx(16.0)
    assert verdict.export_denied is None


@pytest.mark.parametrize("pilot", [PilotState.A, PilotState.B, PilotState.E, PilotState.F, PilotState.INVALID])
def test_pilot_that_left_c_or_d_under_power_is_an_emergency(pilot: PilotState) -> None:
    assert codes(mcu=replace(AC_MCU, pilot=pilot)) == {"pilot-lost"}
    assert not evaluate_ac(ac_good(mcu=replace(AC_MCU, pilot=pilot)), NOW).permit.contactors


@pytest.mark.parametrize("phase", [AcPhase.CLOSING, AcPhase.HOLD, AcPhase.RAMP_DOWN])
def test_pilot_b_without_energy_opens_without_a_fault(phase: AcPhase) -> None:
    verdict = evaluate_ac(ac_good(phase=phase, mcu=replace(AC_MCU, pilot=PilotState.B), meter=metered(0, 0, 0)), NOW)
    assert verdict.faults == ()
    assert not verdict.permit.contactors


@pytest.mark.parametrize("phase", [AcPhase.ENERGY, AcPhase.CLOSING, AcPhase.HOLD, AcPhase.RAMP_DOWN])
def test_stale_board_or_meter_is_an_emergency(phase: AcPhase) -> None:
    assert "pilot-stale" in codes(phase=phase, mcu=replace(AC_MCU, at_s=NOW - 0.31))
    assert "measurement-stale" in codes(phase=phase, meter=replace(AC_METER, at_s=NOW - 1.01))
    assert "measurement-stale" in codes(phase=phase, meter=None)
    assert not evaluate_ac(ac_good(meter=replace(AC_METER, at_s=NOW - 1.01)), NOW).permit.contactors


def test_board_safe_state_and_emergency_stop_open() -> None:
    assert "mcu-safe-state" in codes(mcu=replace(AC_MCU, safe_state=True))
    assert "emergency-stop" in codes(mcu=replace(AC_MCU, emergency_stop=True))
    assert "pilot-lost" in codes(mcu=replace(AC_MCU, pilot_fault="diode"))


def test_contactor_that_opened_by_itself_or_stayed_closed_is_found() -> None:
    assert codes(mcu=replace(AC_MCU, contactor=Contact.OPEN)) == {"contactor-mismatch"}
    assert codes(contactor_commanded=False, phase=AcPhase.CONNECTED, meter=metered(0, 0, 0)) == {"contactor-welded"}
    assert codes(mcu=replace(AC_MCU, contactor=Contact.OPEN), contactor_since_s=NOW - 0.5) == set()
    assert codes(phase=AcPhase.CLOSING, mcu=replace(AC_MCU, contactor=Contact.OPEN), meter=metered(0, 0, 0)) == set()


def test_current_through_a_contactor_that_says_it_is_open_is_a_weld() -> None:
    said = replace(AC_MCU, contactor=Contact.OPEN)
    wrong = {"mcu": said, "contactor_commanded": False, "phase": AcPhase.CONNECTED}
    assert codes(**wrong) == set()
    assert lasting(**wrong) == {"contactor-welded"}
    assert lasting(**wrong, meter=metered(0.5, 0, 0)) == set()


@pytest.mark.parametrize("amps", [(36.3, 0.0, 0.0), (0.0, -36.3, 0.0), (0.0, 0.0, 60.0)])
def test_current_above_the_rating_in_any_phase_opens_at_once(amps: tuple[float, ...]) -> None:
    assert "over-current" in codes(meter=metered(*amps))
    assert not evaluate_ac(ac_good(meter=metered(*amps)), NOW).permit.contactors


def test_current_at_the_rating_is_no_fault() -> None:
    assert lasting(meter=metered(35.0, 34.0, 35.0), told=Told(22_080.0, 0.0)) == set()


@pytest.mark.parametrize(("told", "amps"), [(Told(6_000.0, 0.0), 16.0), (Told(0.0, 0.0), 2.0), (Told(0.0, 3e3), -8.0)])
def test_ev_that_does_not_follow_what_it_was_told_opens(told: Told, amps: float) -> None:
    assert codes(told=told, meter=metered(amps, amps, amps)) == set()
    assert "over-current" in lasting(told=told, meter=metered(amps, amps, amps))


@pytest.mark.parametrize(("told", "amps"), [(Told(11e3, 0.0), 16.0), (Told(0.0, 0.0), 0.3), (Told(0.0, 5e3), -7.5)])
def test_ev_within_what_it_was_told_is_left_alone(told: Told, amps: float) -> None:
    assert lasting(told=told, meter=metered(amps, amps, amps)) == set()


@pytest.mark.parametrize("amps", [(-2.0, -2.0, -2.0), (10.0, 10.0, -1.0)])
def test_power_back_without_permission_is_reverse_power(amps: tuple[float, ...]) -> None:
    told = Told(22_080.0, 0.0)
    assert lasting(told=told, meter=metered(*amps)) == {"reverse-power"}
    assert codes(told=told, meter=metered(*amps)) == set()
    assert lasting(told=told, meter=metered(-0.3, -0.3, -0.3)) == set()


def test_asymmetry_beyond_the_site_is_a_stop_and_an_ev_on_one_phase_is_told_less() -> None:
    plate = replace(PLATE, max_asymmetry_w=4_600.0)
    one = {"plate": plate, "meter": metered(28.0, 0.0, 0.0)}
    assert lasting(**one) == {"phase-asymmetry"}
    assert lasting(plate=plate, meter=metered(30.0, 20.0, 20.0)) == set()
    assert lasting(meter=metered(28.0, 0.0, 0.0)) == set()
    verdict = evaluate_ac(ac_good(**one), NOW)
    assert verdict.charge_rules[0] == "asymmetry"
    assert verdict.charge_rules[1].value == 4_600.0
    assert evaluate_ac(ac_good(plate=plate), NOW).charge_rules[0] != "asymmetry"


def test_over_voltage_of_the_mains_that_lasts_opens() -> None:
    assert lasting(meter=metered(1, 1, 1, volts=266.0)) == {"over-voltage"}
    assert lasting(meter=metered(1, 1, 1, volts=262.0)) == set()


def test_measurement_that_cannot_be_is_an_emergency() -> None:
    nan = replace(AC_METER, phases=(AcPhaseReading(float("nan"), 0.0, 0.0), *phases(0.0, 0.0)))
    assert "measurement-implausible" in codes(meter=nan)
    assert "measurement-implausible" in codes(meter=replace(AC_METER, phases=phases(0.0)))
    lie = replace(AC_METER, phases=(AcPhaseReading(230.0, 1.0, 5_000.0), *phases(0.0, 0.0)))
    assert lasting(meter=lie) == {"measurement-implausible"}


def test_told_power_is_reckoned_with_the_voltage_that_is_there() -> None:
    verdict = evaluate_ac(ac_good(meter=metered(16, 16, 16, volts=207.0)), NOW)
    assert verdict.charge_rules[1].value == pytest.approx(32.0 * 3 * 207.0)
    verdict = evaluate_ac(ac_good(meter=metered(16, 16, 16, volts=250.0)), NOW)
    assert verdict.charge_rules[1].value == pytest.approx(32.0 * 3 * 230.0)


NO_DISCHARGE = replace(AC_EV, max_discharge_w=None)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"service_bidirectional": False}, "no bidirectional service"),
        ({"ev": NO_DISCHARGE}, "no discharge limits"),
        ({"ev": replace(AC_EV, max_discharge_w=PhasePower(0.0))}, "no discharge limits"),
        ({"plate": replace(PLATE, bidirectional=False)}, "not bidirectional"),
        ({"plate": replace(PLATE, max_discharge_current_a=0.0)}, "not bidirectional"),
        ({"plate": replace(PLATE, export_authorised=False)}, "not commissioned"),
        ({"allowance": allowance(export_w=0.0)}, "permits no export"),
        ({"allowance": allowance(stale=True)}, "expired"),
        ({"meter": metered(0, 0, 0, volts=150.0)}, "mains"),
        ({"meter": metered(0, 0, 0, volts=270.0)}, "mains"),
        ({"needs": None}, "not stated its needs"),
        ({"needs": replace(NEEDS, minimum_wh=1000.0)}, "minimum energy"),
        ({"soc": 20.0}, "driver's minimum"),
        ({"soc": 60.0, "driver_minimum_soc": 60}, "driver's minimum 60 %"),
        ({"soc": None, "driver_minimum_soc": 60}, "driver asked for a minimum"),
    ],
)
def test_every_condition_of_the_export_gate_alone_closes_it(changes: dict[str, Any], why: str) -> None:
    verdict = evaluate_ac(ac_good(**changes), NOW)
    assert why in (verdict.export_denied or "")
    assert not verdict.permit.export
    assert verdict.permit.max_discharge_current_a == 0.0
    assert verdict.discharge_rules[1].value == 0.0


def test_expired_site_limit_permits_no_power() -> None:
    expired = replace(allowance(), import_w=Limit(9e9, "site", "x", NOW - 1))
    assert evaluate_ac(ac_good(allowance=expired), NOW).permit.max_charge_current_a == 0.0
    capped = evaluate_ac(ac_good(charge_cap=Limit(5_000.0, "schedule", "x")), NOW)
    assert capped.charge_rules[0] == "schedule"


@pytest.mark.parametrize("phase", [phase for phase in AcPhase if phase is not AcPhase.ENERGY])
def test_only_energy_permits_power(phase: AcPhase) -> None:
    permit = evaluate_ac(ac_good(phase=phase), NOW).permit
    assert (permit.max_charge_current_a, permit.max_discharge_current_a, permit.export) == (0.0, 0.0, False)
    assert permit.contactors == AC_PHASES[phase].contactor


def test_latched_emergency_permits_nothing() -> None:
    fault = Fault(FaultCode.CONTACTOR_WELDED, "mcu", "x", NOW)
    assert not evaluate_ac(ac_good(latched=(fault,)), NOW).permit.contactors


numbers = st.floats(-1e5, 1e5) | st.sampled_from([float("nan"), float("inf")])
readings = st.builds(
    AcOutletReading,
    at_s=st.floats(NOW - 3, NOW),
    phases=st.lists(st.builds(AcPhaseReading, numbers, numbers, numbers), min_size=1, max_size=3).map(tuple),
    import_wh=st.just(0.0),
    export_wh=st.just(0.0),
)


@settings(max_examples=60, deadline=None)
@given(meter=readings, pilot=st.sampled_from(PilotState), phase=st.sampled_from(AcPhase), stale=st.booleans())
def test_no_measurement_whatever_permits_more_than_the_plate(
    meter: AcOutletReading, pilot: PilotState, phase: AcPhase, stale: bool
) -> None:
    inputs = ac_good(meter=meter, mcu=replace(AC_MCU, pilot=pilot), phase=phase, allowance=allowance(stale=stale))
    permit = evaluate_ac(inputs, NOW).permit
    assert 0.0 <= permit.max_charge_current_a <= 32.0 + 1e-9
    assert 0.0 <= permit.max_discharge_current_a <= 16.0 + 1e-9
    assert not (permit.contactors and not pilot.ready)


def test_thresholds_of_ac_keep_their_order() -> None:
    value = {name: row.value for name, row in TABLE.items()}
    assert value["ac-contactor-close"] < 1.5
    assert value["ac-asymmetry-hold"] > value["ac-ev-reaction"] + value["ac-told-hold"]


SOCKET = replace(PLATE, socket=True)


@pytest.mark.parametrize(("cable_a", "amps"), [(20.0, 20.0), (63.0, 32.0), (13.0, 13.0)])
def test_at_a_socket_the_weaker_of_plate_and_cable_rules(cable_a: float, amps: float) -> None:
    mcu = replace(AC_MCU, cable_a=cable_a)
    verdict = evaluate_ac(ac_good(plate=SOCKET, mcu=mcu, meter=metered(5, 5, 5)), NOW)
    assert verdict.permit.max_charge_current_a == pytest.approx(amps)
    assert verdict.permit.max_discharge_current_a <= amps
    assert "over-current" in codes(plate=SOCKET, mcu=mcu, meter=metered(amps * 1.1 + 1.1, 0, 0))
    assert evaluate_ac(ac_good(mcu=mcu), NOW).permit.max_charge_current_a == pytest.approx(32.0)


@pytest.mark.parametrize("cable_a", [None, 0.0])
def test_at_a_socket_without_a_known_cable_nothing_closes_and_power_ends(cable_a: float | None) -> None:
    mcu = replace(AC_MCU, cable_a=cable_a)
    assert codes(plate=SOCKET, mcu=mcu, meter=metered(0, 0, 0)) == {"pilot-lost"}
    closing = ac_good(plate=SOCKET, mcu=mcu, phase=AcPhase.CLOSING, contactor_commanded=False, meter=metered(0, 0, 0))
    assert not evaluate_ac(replace(closing, mcu=replace(mcu, contactor=Contact.OPEN)), NOW).permit.contactors


@pytest.mark.parametrize("phase", [AcPhase.CLOSING, AcPhase.HOLD, AcPhase.RAMP_DOWN])
@pytest.mark.parametrize("pilot", [PilotState.A, PilotState.E, PilotState.F, PilotState.INVALID])
def test_unplugged_or_lost_pilot_with_a_closed_contactor_opens_also_where_pilot_b_may_be(
    phase: AcPhase, pilot: PilotState
) -> None:
    gone = {"phase": phase, "mcu": replace(AC_MCU, pilot=pilot), "meter": metered(0, 0, 0)}
    assert "pilot-lost" in codes(**gone)
    assert not evaluate_ac(ac_good(**gone), NOW).permit.contactors
    assert "pilot-lost" not in codes(**gone, contactor_commanded=False, contactor_since_s=NOW)
    assert "pilot-lost" not in codes(phase=phase, mcu=replace(AC_MCU, pilot=PilotState.B), meter=metered(0, 0, 0))
