"""How much power an AC outlet allows now: every limit by name, in W of all phases together, and the gate of export."""

from __future__ import annotations

from evse_controller.model.limits import Limit
from evse_controller.safety import envelope
from evse_controller.safety import thresholds as t
from evse_controller.safety.ac_inputs import AcInputs
from evse_controller.safety.ac_phase import AcPhase
from evse_controller.safety.inputs import NamedLimit


def working_voltage_v(inputs: AcInputs) -> float:
    """Voltage that turns W into A: the lowest phase as measured, never above nominal, so that no told power is more
    than the rated current."""
    nominal_v = inputs.plate.nominal_voltage_v
    if inputs.meter is None:
        return nominal_v
    measured = [phase.voltage_v for phase in inputs.meter.phases if phase.voltage_v >= t.MAINS_LEAST_SHARE * nominal_v]
    return min([nominal_v, *measured])


def rated_a(inputs: AcInputs) -> float:
    """What one phase may carry: the plate, and at a socket outlet the plugged cable; nothing without a known one."""
    plate, mcu = inputs.plate, inputs.mcu
    if not plate.socket:
        return plate.max_current_a
    return 0.0 if mcu is None else min(plate.max_current_a, mcu.cable_a or 0.0)


def mains_present(inputs: AcInputs) -> bool:
    """Every phase within what a grid has; what a car's converter may feed."""
    nominal_v, meter = inputs.plate.nominal_voltage_v, inputs.meter
    lowest_v, highest_v = t.MAINS_LEAST_SHARE * nominal_v, t.MAINS_MOST_SHARE * nominal_v
    return meter is not None and all(lowest_v <= phase.voltage_v <= highest_v for phase in meter.phases)


def export_denied(inputs: AcInputs, now_s: float) -> str | None:
    """The first condition of the export gate (ARCHITECTURE rule 5) that does not hold; None = export permitted."""
    plate, ev, site = inputs.plate, inputs.ev, inputs.allowance.export_w
    if not inputs.service_bidirectional:
        return "no bidirectional service selected"
    if ev is None or ev.max_discharge_w is None or not ev.max_discharge_w.total_w > 0:
        return "EV gave no discharge limits"
    if not plate.bidirectional or not plate.max_discharge_current_a > 0:
        return "EVSE is not bidirectional"
    if not plate.export_authorised:
        return "this site is not commissioned for cars that feed it"
    if inputs.allowance.stale or not site.valid(now_s):
        return f"site export limit expired ({site.source})"
    if not site.value > 0:
        return f"site permits no export ({site.source}: {site.reason})"
    if not mains_present(inputs):
        return "mains voltage is missing or out of range"
    return envelope.minimum_kept(inputs)


def _common(inputs: AcInputs) -> list[NamedLimit]:
    limits: list[NamedLimit] = []
    if inputs.phase is not AcPhase.ENERGY:
        limits.append(("phase", Limit(0.0, "station", f"no energy in phase {inputs.phase.value}")))
    if inputs.stopping:
        limits.append(("stop", Limit(0.0, "station", "the station is stopping")))
    imbalance_w = inputs.plate.max_asymmetry_w
    if imbalance_w is not None and on_one_phase(inputs):
        limits.append(("asymmetry", Limit(imbalance_w, "ratings", "the EV loads one phase of three")))
    return limits


def on_one_phase(inputs: AcInputs) -> bool:
    """Whether the EV uses one of the outlet's three phases only."""
    if inputs.meter is None or len(inputs.meter.phases) < 3:
        return False
    powers = sorted(abs(phase.power_w) for phase in inputs.meter.phases)
    return powers[2] > t.ONE_PHASE_W and powers[1] < t.ONE_PHASE_SHARE * powers[2]


def _carried_w(inputs: AcInputs, amps: float) -> NamedLimit:
    """What `amps` in every phase that the EV uses amount to. One that tells no phases apart puts on a single phase all
    that it is told, as soon as it uses no other."""
    phases = inputs.plate.phases
    if inputs.ev is not None and not inputs.ev.max_charge_w.per_phase and on_one_phase(inputs):
        phases = 1
    watts = amps * phases * working_voltage_v(inputs)
    return "rating-current", Limit(watts, "ratings", f"{amps:.0f} A a phase")


def charge_limits(inputs: AcInputs, now_s: float) -> tuple[NamedLimit, ...]:
    """Every limit on charging, in W of all phases together."""
    amps = rated_a(inputs)
    limits = _common(inputs)
    limits.append(_carried_w(inputs, amps))
    limits.append(envelope.site_limit(inputs.allowance.import_w, 1.0, now_s))
    if inputs.charge_cap is not None and inputs.charge_cap.valid(now_s):
        limits.append(("schedule", inputs.charge_cap))
    if inputs.ev is not None:
        ev_w = max(0.0, inputs.ev.max_charge_w.total_w)
        limits.append(("ev-power", Limit(ev_w, "ev", "EV charge power limit")))
    return tuple(limits)


def discharge_limits(inputs: AcInputs, now_s: float, denied: str | None) -> tuple[NamedLimit, ...]:
    """Every limit on discharging, in W of all phases together, including the export gate."""
    plate = inputs.plate
    amps = min(plate.max_discharge_current_a, rated_a(inputs))
    limits = _common(inputs)
    if denied is not None:
        limits.append(("export-gate", Limit(0.0, "safety", denied)))
    limits.append(_carried_w(inputs, amps))
    limits.append(envelope.site_limit(inputs.allowance.export_w, 1.0, now_s))
    if inputs.discharge_cap is not None and inputs.discharge_cap.valid(now_s):
        limits.append(("schedule", inputs.discharge_cap))
    if inputs.ev is not None:
        ev_w = 0.0 if inputs.ev.max_discharge_w is None else max(0.0, inputs.ev.max_discharge_w.total_w)
        limits.append(("ev-power", Limit(ev_w, "ev", "EV discharge power limit")))
    return tuple(limits)
