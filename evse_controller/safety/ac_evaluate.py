"""Verdict over one control step of an AC outlet: which faults are present, and the Permit for the next 250 ms.

The EV's converter makes the power. What the outlet can do is close or open its contactor and tell the EV limits, so
the Permit governs both: contactor, and the currents per phase from which the told powers come.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from evse_controller.model.fault import Fault, FaultCode
from evse_controller.model.permit import Permit
from evse_controller.safety import ac_envelope as envelope
from evse_controller.safety import thresholds as t
from evse_controller.safety.ac_inputs import AcInputs
from evse_controller.safety.ac_phase import AC_PHASES, AcPhase
from evse_controller.safety.envelope import ruling
from evse_controller.safety.findings import Finding, Held, emergency_denies, lasting, no_permit, stale_s
from evse_controller.safety.inputs import NamedLimit, Verdict
from hal.api import AcPhaseReading, Contact

AC_HOLD_S: dict[str, float] = {
    "power-told": t.TOLD_HOLD_S,
    "reverse-power": t.REVERSE_HOLD_S,
    "current-open": t.OPEN_CURRENT_HOLD_S,
    "asymmetry": t.ASYMMETRY_HOLD_S,
    "mains-voltage": t.MAINS_HOLD_S,
    "power-contradiction": t.PLAUSIBLE_HOLD_S,
}
"""Conditions that must last before they are a fault. Everything else acts in the step that sees it."""


def evaluate_ac(inputs: AcInputs, now_s: float) -> Verdict:
    """Judge one control step. Pure: the same inputs and time always give the same verdict."""
    faults = [Fault(code, source, cause, now_s) for check in CHECKS for code, source, cause in check(inputs, now_s)]
    lasted, watch = lasting(_held(inputs), inputs.watch, AC_HOLD_S, now_s)
    faults += lasted
    denied = envelope.export_denied(inputs, now_s)
    charge = envelope.charge_limits(inputs, now_s)
    discharge = envelope.discharge_limits(inputs, now_s, denied)
    charge_rules, discharge_rules = ruling(charge, now_s), ruling(discharge, now_s)
    return Verdict(
        permit=_permit(inputs, now_s, tuple(faults), charge_rules, discharge_rules, denied),
        faults=tuple(faults),
        charge=charge,
        discharge=discharge,
        charge_rules=charge_rules,
        discharge_rules=discharge_rules,
        export_denied=denied,
        trip_voltage_v=t.MAINS_MOST_SHARE * inputs.plate.nominal_voltage_v,
        watch=watch,
    )


def _permit(
    inputs: AcInputs,
    now_s: float,
    faults: tuple[Fault, ...],
    charge_rules: NamedLimit,
    discharge_rules: NamedLimit,
    denied: str | None,
) -> Permit:
    nothing = emergency_denies((*faults, *inputs.latched), now_s)
    if nothing is not None:
        return nothing
    if not AC_PHASES[inputs.phase].contactor or inputs.mcu is None or inputs.meter is None:
        return no_permit(now_s, "station", f"phase {inputs.phase.value} keeps the contactor open")
    expires = now_s + t.PERMIT_LIFE_S
    closed = inputs.mcu.pilot.ready and envelope.rated_a(inputs) > 0.0
    volts = t.MAINS_MOST_SHARE * inputs.plate.nominal_voltage_v
    if inputs.phase is not AcPhase.ENERGY or not closed:
        carries = f"cable for {envelope.rated_a(inputs):.0f} A"
        reason = f"phase {inputs.phase.value}, pilot {inputs.mcu.pilot.value}, {carries}: no current"
        return Permit(now_s, expires, closed, volts, 0.0, 0.0, False, "station", reason)
    per_a = inputs.plate.phases * envelope.working_voltage_v(inputs)
    name, limit = charge_rules
    return Permit(
        issued_at_s=now_s,
        expires_at_s=expires,
        contactors=True,
        max_voltage_v=volts,
        max_charge_current_a=charge_rules[1].value / per_a,
        max_discharge_current_a=discharge_rules[1].value / per_a if denied is None else 0.0,
        export=denied is None,
        source=limit.source,
        reason=f"{name}: {limit.reason}",
    )


def _pilot_board(inputs: AcInputs, now_s: float) -> Iterator[Finding]:
    mcu = inputs.mcu
    age = stale_s(None if mcu is None else mcu.at_s, inputs.started_s, t.MCU_DEADLINE_S, now_s)
    if age is not None:
        yield FaultCode.PILOT_STALE, "mcu", f"pilot board silent for {age:.2f} s"
    if mcu is None:
        return
    if mcu.emergency_stop:
        yield FaultCode.EMERGENCY_STOP, "mcu", "emergency stop is pressed"
    if mcu.safe_state:
        yield FaultCode.MCU_SAFE_STATE, "mcu", f"pilot board in safe state, reason {mcu.safe_reason}"
    if not (AC_PHASES[inputs.phase].contactor and inputs.contactor_commanded):
        return
    if mcu.pilot_fault is not None:
        yield FaultCode.PILOT_LOST, "mcu", f"pilot fault under power: {mcu.pilot_fault}"
    elif AC_PHASES[inputs.phase].pilot_ready and not mcu.pilot.ready:
        yield FaultCode.PILOT_LOST, "mcu", f"pilot left C/D under power: {mcu.pilot.value}"
    elif not mcu.pilot.connected:
        yield FaultCode.PILOT_LOST, "mcu", f"pilot {mcu.pilot.value} while the contactor is closed"
    elif not envelope.rated_a(inputs) > 0.0:
        yield FaultCode.PILOT_LOST, "mcu", "proximity lost under power: no cable that may carry current"


def _contactor(inputs: AcInputs, now_s: float) -> Iterator[Finding]:
    mcu = inputs.mcu
    if mcu is None or mcu.at_s < inputs.contactor_since_s + t.CONTACTOR_TIME_S:
        return
    # the board opens by itself for these, and each is a fault of its own: its right answer must not latch a second one
    opened_itself = not mcu.pilot.ready or mcu.emergency_stop or mcu.safe_state or mcu.pilot_fault is not None
    closed = mcu.contactor is Contact.CLOSED
    if not inputs.contactor_commanded:
        if closed:
            yield FaultCode.CONTACTOR_WELDED, "mcu", "contactor commanded open, feedback closed"
    elif inputs.phase is not AcPhase.CLOSING and not closed and not opened_itself:  # closing has a time of its own
        yield FaultCode.CONTACTOR_MISMATCH, "mcu", f"contactor commanded closed, feedback {mcu.contactor.value}"


def _meter(inputs: AcInputs, now_s: float) -> Iterator[Finding]:
    meter = inputs.meter
    if not AC_PHASES[inputs.phase].measured:
        return
    age = stale_s(None if meter is None else meter.at_s, inputs.started_s, t.METER_DEADLINE_S, now_s)
    if age is not None:
        yield FaultCode.MEASUREMENT_STALE, "meter", f"outlet meter silent for {age:.2f} s"
    if meter is None:
        return
    if len(meter.phases) != inputs.plate.phases:
        yield FaultCode.MEASUREMENT_IMPLAUSIBLE, "meter", f"{len(meter.phases)} phases measured"
    for name, phase in _named(meter.phases):
        if not all(math.isfinite(value) for value in (phase.voltage_v, phase.current_a, phase.power_w)):
            yield FaultCode.MEASUREMENT_IMPLAUSIBLE, "meter", f"{name}: measurement is not a number"


def _fuse(inputs: AcInputs, now_s: float) -> Iterator[Finding]:
    if inputs.meter is None or not AC_PHASES[inputs.phase].contactor:
        return
    rated_a = envelope.rated_a(inputs) or inputs.plate.max_current_a  # a lost cable is a fault of its own
    most_a = rated_a * (1 + t.FUSE_SHARE) + t.FUSE_MARGIN_A
    for name, phase in _named(inputs.meter.phases):
        if abs(phase.current_a) > most_a:
            yield FaultCode.OVER_CURRENT, "meter", f"{name}: {phase.current_a:.1f} A, rated for {rated_a:.1f} A"


def _site(inputs: AcInputs, now_s: float) -> Iterator[Finding]:
    allowance = inputs.allowance
    if allowance.stale or not allowance.import_w.valid(now_s):
        yield FaultCode.SITE_INPUT_STALE, "site", f"site input ran out ({allowance.import_w.source}), failsafe rules"


CHECKS: tuple[Callable[[AcInputs, float], Iterator[Finding]], ...] = (_pilot_board, _contactor, _meter, _fuse, _site)


def _named(phases: tuple[AcPhaseReading, ...]) -> Iterator[tuple[str, AcPhaseReading]]:
    for index, phase in enumerate(phases, 1):
        yield f"L{index}", phase


def _held(inputs: AcInputs) -> Iterator[Held]:
    """Conditions of `AC_HOLD_S` that are true now."""
    meter, plate = inputs.meter, inputs.plate
    if meter is None:
        return
    if not inputs.contactor_commanded:
        for name, phase in _named(meter.phases):
            if abs(phase.current_a) >= t.ZERO_CURRENT_A:
                cause = f"{name}: {phase.current_a:.1f} A through a contactor that is commanded open"
                yield "current-open", FaultCode.CONTACTOR_WELDED, "meter", cause
                break
        return
    told, power_w = inputs.told, meter.power_w
    for word, measured_w, told_w in (("charges", power_w, told.charge_w), ("discharges", -power_w, told.discharge_w)):
        if told_w > 0.0 or word == "charges":
            over = measured_w > told_w * (1 + t.TOLD_SHARE) + t.TOLD_MARGIN_W
            if over:
                cause = f"EV {word} {measured_w:.0f} W, told {told_w:.0f} W within {t.EV_REACTION_S:.0f} s"
                yield "power-told", FaultCode.OVER_CURRENT, "meter", cause
    if not told.discharge_w > 0.0 and min(phase.power_w for phase in meter.phases) < -t.REVERSE_W:
        cause = f"{power_w:.0f} W in all with discharge not permitted"
        yield "reverse-power", FaultCode.REVERSE_POWER, "meter", cause
    powers = [phase.power_w for phase in meter.phases]
    if plate.max_asymmetry_w is not None:
        gap_w = max(powers) - min(powers)
        if len(powers) > 1 and gap_w > plate.max_asymmetry_w * (1 + t.ASYMMETRY_SHARE) + t.ASYMMETRY_MARGIN_W:
            cause = f"{gap_w:.0f} W between phases, {plate.max_asymmetry_w:.0f} W allowed"
            yield "asymmetry", FaultCode.PHASE_ASYMMETRY, "meter", cause
    highest_v = max(phase.voltage_v for phase in meter.phases)
    if highest_v > t.MAINS_MOST_SHARE * plate.nominal_voltage_v:
        yield "mains-voltage", FaultCode.OVER_VOLTAGE, "meter", f"mains at {highest_v:.1f} V"
    for name, phase in _named(meter.phases):
        apparent_w = phase.voltage_v * abs(phase.current_a)
        if abs(phase.power_w) > apparent_w * (1 + t.APPARENT_SHARE) + t.APPARENT_MARGIN_W:
            cause = f"{name}: {phase.power_w:.0f} W with {apparent_w:.0f} VA"
            yield "power-contradiction", FaultCode.MEASUREMENT_IMPLAUSIBLE, "meter", cause
            break
