"""Verdict over one control step: which faults are present, and what the outputs may do for the next 250 ms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from evse_controller.model.fault import Fault, FaultCode
from evse_controller.model.permit import Permit
from evse_controller.safety import envelope
from evse_controller.safety import thresholds as t
from evse_controller.safety.findings import Finding, Held, emergency_denies, lasting, no_permit, stale_s
from evse_controller.safety.inputs import Inputs, NamedLimit, Verdict
from evse_controller.safety.phase import PHASES, Phase
from hal.api import Contact, IsolationState, PowerMode

HOLD_S: dict[str, float] = {
    "current-limit": t.OVER_CURRENT_HOLD_S,
    "current-permit": t.PERMIT_CURRENT_HOLD_S,
    "ev-voltage": t.EV_VOLTAGE_HOLD_S,
    "voltage-contradiction": t.PLAUSIBLE_HOLD_S,
    "current-contradiction": t.PLAUSIBLE_HOLD_S,
    "module-mode": t.MODULE_DISAGREE_S,
    "isolation-invalid": t.ISOLATION_INVALID_S,
}
"""Conditions that must last before they are a fault. Everything else acts in the step that sees it."""


def evaluate(inputs: Inputs, now_s: float) -> Verdict:
    """Judge one control step. Pure: the same inputs and time always give the same verdict."""
    faults = [Fault(code, source, cause, now_s) for check in CHECKS for code, source, cause in check(inputs, now_s)]
    denied = envelope.export_denied(inputs, now_s)
    charge = envelope.charge_limits(inputs, now_s)
    discharge = envelope.discharge_limits(inputs, now_s, denied)
    charge_rules = envelope.ruling(charge, now_s)
    discharge_rules = envelope.ruling(discharge, now_s)
    held = _held(inputs, charge_rules[1].value, discharge_rules[1].value)
    lasted, watch = lasting(held, inputs.watch, HOLD_S, now_s)
    faults += lasted
    return Verdict(
        permit=_permit(inputs, now_s, tuple(faults), charge_rules, discharge_rules, denied),
        faults=tuple(faults),
        charge=charge,
        discharge=discharge,
        charge_rules=charge_rules,
        discharge_rules=discharge_rules,
        export_denied=denied,
        trip_voltage_v=envelope.trip_voltage_v(inputs),
        watch=watch,
    )


def _permit(
    inputs: Inputs,
    now_s: float,
    faults: tuple[Fault, ...],
    charge_rules: NamedLimit,
    discharge_rules: NamedLimit,
    denied: str | None,
) -> Permit:
    nothing = emergency_denies((*faults, *inputs.latched), now_s)
    if nothing is not None:
        return nothing
    rule = PHASES[inputs.phase]
    if not rule.contactors or inputs.mcu is None:
        return no_permit(now_s, "station", f"phase {inputs.phase.value} keeps the contactors open")
    expires = now_s + t.PERMIT_LIFE_S
    contactors = inputs.mcu.pilot.ready  # an EV that goes to B gets open contactors at once (E.3)
    if inputs.phase in (Phase.RAMP_DOWN, Phase.HOLD):
        reason = f"phase {inputs.phase.value}: no current"
        return Permit(now_s, expires, contactors, envelope.max_voltage_v(inputs), 0.0, 0.0, False, "station", reason)
    if rule.small_current:
        amps = min(t.SMALL_CURRENT_A, inputs.ratings.max_charge_current_a) if contactors else 0.0
        reason = f"{inputs.phase.value} at {t.SMALL_CURRENT_A:.0f} A or less"
        return Permit(now_s, expires, contactors, envelope.max_voltage_v(inputs), amps, 0.0, False, "station", reason)
    volts = envelope.working_voltage_v(inputs)
    discharging = inputs.mode is PowerMode.DISCHARGE
    name, limit = discharge_rules if discharging else charge_rules
    export = denied is None
    return Permit(
        issued_at_s=now_s,
        expires_at_s=expires,
        contactors=contactors,
        max_voltage_v=envelope.max_voltage_v(inputs),
        max_charge_current_a=charge_rules[1].value / volts if contactors else 0.0,
        max_discharge_current_a=discharge_rules[1].value / volts if contactors and export else 0.0,
        export=export,
        source=limit.source,
        reason=f"{name}: {limit.reason}",
    )


def _at_s(reading: object) -> float | None:
    at_s = getattr(reading, "at_s", None)
    return at_s if isinstance(at_s, (int, float)) else None


def _pilot_board(inputs: Inputs, now_s: float) -> Iterator[Finding]:
    age = stale_s(_at_s(inputs.mcu), inputs.started_s, t.MCU_DEADLINE_S, now_s)
    if age is not None:
        yield FaultCode.PILOT_STALE, "mcu", f"pilot board silent for {age:.2f} s"
    mcu = inputs.mcu
    if mcu is None:
        return
    if mcu.emergency_stop:
        yield FaultCode.EMERGENCY_STOP, "mcu", "emergency stop is pressed"
    if mcu.safe_state:
        yield FaultCode.MCU_SAFE_STATE, "mcu", f"pilot board in safe state, reason {mcu.safe_reason}"
    live = PHASES[inputs.phase].contactors and inputs.contactors_commanded
    if not live:
        return
    if mcu.pilot_fault is not None:
        yield FaultCode.PILOT_LOST, "mcu", f"pilot fault under power: {mcu.pilot_fault}"
    elif PHASES[inputs.phase].pilot_ready and not mcu.pilot.ready:
        yield FaultCode.PILOT_LOST, "mcu", f"pilot left C/D under power: {mcu.pilot.value}"
    elif not mcu.pilot.connected:
        yield FaultCode.PILOT_LOST, "mcu", f"pilot {mcu.pilot.value} while contactors are closed"


def _contactors(inputs: Inputs, now_s: float) -> Iterator[Finding]:
    mcu = inputs.mcu
    if mcu is None or mcu.at_s < inputs.contactors_since_s + t.CONTACTOR_TIME_S:
        return
    # the board opens by itself for these, and each is a fault of its own: its right answer must not latch a second one
    opened_itself = not mcu.pilot.ready or mcu.emergency_stop or mcu.safe_state or mcu.pilot_fault is not None
    if inputs.contactors_commanded and mcu.contactor is not Contact.CLOSED and not opened_itself:
        yield FaultCode.CONTACTOR_MISMATCH, "mcu", f"contactors commanded closed, feedback {mcu.contactor.value}"
    elif not inputs.contactors_commanded and mcu.contactor is Contact.CLOSED:
        yield FaultCode.CONTACTOR_WELDED, "mcu", "contactors commanded open, feedback closed"


def _modules(inputs: Inputs, now_s: float) -> Iterator[Finding]:
    if not PHASES[inputs.phase].output:
        return
    age = stale_s(_at_s(inputs.power), inputs.started_s, t.POWER_DEADLINE_S, now_s)
    if age is not None:
        yield FaultCode.POWER_MODULE_SILENT, "power", f"oldest module answer is {age:.2f} s old"
    power = inputs.power
    if power is None:
        return
    expected = 0 if inputs.capability is None else inputs.capability.modules
    if power.modules_online < expected:
        yield FaultCode.POWER_MODULE_SILENT, "power", f"{power.modules_online} of {expected} modules answer"
    if power.fault is not None:
        yield FaultCode.POWER_MODULE_FAULT, "power", power.fault


def _meter(inputs: Inputs, now_s: float) -> Iterator[Finding]:
    if not PHASES[inputs.phase].measured:
        return
    age = stale_s(_at_s(inputs.meter), inputs.started_s, t.METER_DEADLINE_S, now_s)
    if age is not None:
        yield FaultCode.MEASUREMENT_STALE, "meter", f"outlet meter silent for {age:.2f} s"


def _voltage(inputs: Inputs, now_s: float) -> Iterator[Finding]:
    if not PHASES[inputs.phase].output:
        return
    trip = envelope.trip_voltage_v(inputs)
    for source, reading in (("meter", inputs.meter), ("power", inputs.power)):
        if reading is None:
            continue
        if math.isnan(reading.voltage_v) or math.isnan(reading.current_a):
            yield FaultCode.MEASUREMENT_IMPLAUSIBLE, source, "measurement is not a number"
        elif reading.voltage_v > trip:
            yield FaultCode.OVER_VOLTAGE, source, f"{reading.voltage_v:.1f} V above the trip level {trip:.1f} V"


def _hard_current(inputs: Inputs, now_s: float) -> Iterator[Finding]:
    if not PHASES[inputs.phase].output:
        return
    limit = max(inputs.ratings.max_charge_current_a, inputs.ratings.max_discharge_current_a)
    hard = limit * (1 + t.HARD_OVER_CURRENT_SHARE) + t.OVER_CURRENT_MARGIN_A
    for source, reading in (("meter", inputs.meter), ("power", inputs.power)):
        if reading is not None and abs(reading.current_a) > hard:
            yield FaultCode.OVER_CURRENT, source, f"{reading.current_a:.1f} A above the hard level {hard:.1f} A"


def _isolation(inputs: Inputs, now_s: float) -> Iterator[Finding]:
    since = inputs.isolation_since_s
    reading = inputs.isolation
    if since is None:
        if PHASES[inputs.phase].isolation:
            yield FaultCode.ISOLATION_MONITOR_MISSING, "isolation", "isolation is not monitored under power"
        return
    # right after the order to measure, the monitor gets one deadline to connect to the line
    age = now_s - max(since, since if reading is None else reading.at_s)
    if age > t.ISOLATION_DEADLINE_S:
        yield FaultCode.ISOLATION_MONITOR_MISSING, "isolation", f"isolation monitor silent for {age:.2f} s"
    if reading is None or reading.at_s <= since:
        return
    if reading.state is IsolationState.FAULT or reading.self_test_ok is False:
        yield FaultCode.ISOLATION_MONITOR_MISSING, "isolation", "isolation monitor reports a fault of its own"
    elif PHASES[inputs.phase].isolation and reading.self_test_ok is not True:
        yield FaultCode.ISOLATION_MONITOR_MISSING, "isolation", "isolation monitor has not passed a self-test"
    elif reading.state is not IsolationState.MEASURING and now_s - since > t.ISOLATION_DEADLINE_S:
        yield FaultCode.ISOLATION_MONITOR_MISSING, "isolation", f"isolation monitor is {reading.state.value}"
    threshold = envelope.isolation_threshold_ohm(inputs.ratings.max_voltage_v, inputs.mcs)
    if (
        reading.state is IsolationState.MEASURING
        and reading.valid
        and not reading.resistance_ohm >= threshold  # also true for NaN
    ):
        cause = f"isolation {reading.resistance_ohm:.0f} ohm below {threshold:.0f} ohm"
        yield FaultCode.ISOLATION_FAULT, "isolation", cause


def _site(inputs: Inputs, now_s: float) -> Iterator[Finding]:
    allowance = inputs.allowance
    if allowance.stale or not allowance.import_w.valid(now_s):
        yield FaultCode.SITE_INPUT_STALE, "site", f"site input ran out ({allowance.import_w.source}), failsafe rules"


CHECKS: tuple[Callable[[Inputs, float], Iterator[Finding]], ...] = (
    _pilot_board,
    _contactors,
    _modules,
    _meter,
    _voltage,
    _hard_current,
    _isolation,
    _site,
)


def _held(inputs: Inputs, charge_w: float, discharge_w: float) -> Iterator[Held]:
    """Conditions of `HOLD_S` that are true now, while the ruling limits are `charge_w` and `discharge_w`."""
    if not PHASES[inputs.phase].output:
        return
    meter, power = inputs.meter, inputs.power
    if meter is not None:
        ruled = _ruled_a(inputs, charge_w, discharge_w)
        for name, allowed in (("current-limit", _rated_a(inputs)), ("current-permit", ruled)):
            cause = _current_beyond(meter.current_a, *allowed)
            if cause is not None:
                yield name, FaultCode.OVER_CURRENT, "meter", f"{cause} ({name})"
        newest = None if inputs.ev is None or envelope.at_test_voltage(inputs) else inputs.ev.max_voltage_v
        if newest is not None and meter.voltage_v > envelope.above_v(newest):
            cause = f"{meter.voltage_v:.1f} V above the {newest:.1f} V that the EV permits by now"
            yield "ev-voltage", FaultCode.OVER_VOLTAGE, "meter", cause
    if meter is not None and power is not None and inputs.contactors_commanded:
        gap_v = abs(meter.voltage_v - power.voltage_v)
        larger_v = max(abs(meter.voltage_v), abs(power.voltage_v))
        if gap_v > max(t.VOLTAGE_PLAUSIBLE_V, t.VOLTAGE_PLAUSIBLE_SHARE * larger_v):
            cause = f"meter {meter.voltage_v:.1f} V, modules {power.voltage_v:.1f} V with contactors closed"
            yield "voltage-contradiction", FaultCode.MEASUREMENT_IMPLAUSIBLE, "meter", cause
        gap_a = abs(meter.current_a - power.current_a)
        larger_a = max(abs(meter.current_a), abs(power.current_a))
        if gap_a > max(t.CURRENT_PLAUSIBLE_A, t.CURRENT_PLAUSIBLE_SHARE * larger_a):
            cause = f"meter {meter.current_a:.1f} A, modules {power.current_a:.1f} A"
            yield "current-contradiction", FaultCode.MEASUREMENT_IMPLAUSIBLE, "meter", cause
    if power is not None and power.on and not inputs.changing_direction and power.mode is not inputs.mode:
        mode = "disagree" if power.mode is None else power.mode.value
        cause = f"modules work in mode {mode}, commanded {inputs.mode.value}"
        yield "module-mode", FaultCode.POWER_MODULE_FAULT, "power", cause
    isolation = inputs.isolation
    if inputs.isolation_since_s is not None and isolation is not None and not isolation.valid:
        yield "isolation-invalid", FaultCode.ISOLATION_MONITOR_MISSING, "isolation", "no valid isolation measurement"


def _rated_a(inputs: Inputs) -> tuple[float, float]:
    """What phase and mode may carry by the ratings of EVSE and EV: to the EV, from the EV."""
    if PHASES[inputs.phase].small_current:
        return t.SMALL_CURRENT_A, 0.0
    ev, ratings = inputs.ev or inputs.negotiated, inputs.ratings
    charge, discharge = ratings.max_charge_current_a, ratings.max_discharge_current_a
    if ev is not None:
        charge, discharge = min(charge, ev.max_charge_current_a), min(discharge, ev.max_discharge_current_a or 0.0)
    if inputs.changing_direction:
        return charge, discharge
    return (0.0, discharge) if inputs.mode is PowerMode.DISCHARGE else (charge, 0.0)


def _ruled_a(inputs: Inputs, charge_w: float, discharge_w: float) -> tuple[float, float]:
    """What the limits that rule now leave: to the EV, from the EV. A change of direction leaves nothing."""
    if PHASES[inputs.phase].small_current:
        return t.SMALL_CURRENT_A, 0.0
    volts = envelope.working_voltage_v(inputs)
    if inputs.changing_direction:
        return 0.0, 0.0
    return (0.0, discharge_w / volts) if inputs.mode is PowerMode.DISCHARGE else (charge_w / volts, 0.0)


def _current_beyond(amps: float, charge: float, discharge: float) -> str | None:
    """Why `amps` is beyond what may flow in its direction, with tolerance; None when it is not."""
    for name, measured, limit in (("charge", amps, charge), ("discharge", -amps, discharge)):
        if measured > limit * (1 + t.OVER_CURRENT_SHARE) + t.OVER_CURRENT_MARGIN_A:
            return f"{name} current {measured:.1f} A above {limit:.1f} A"
    return None
