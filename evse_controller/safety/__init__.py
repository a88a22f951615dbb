"""Pure safety rules: measurements with age, ratings, negotiated and site limits, faults in; an expiring Permit out.

Nothing here keeps state, waits or touches a device. `evaluate` is a fold: what must persist between two control
steps (since when a contradiction lasts) goes out in `Verdict.watch` and comes back in `Inputs.watch`.
"""

from __future__ import annotations

from evse_controller.safety.ac_evaluate import evaluate_ac
from evse_controller.safety.ac_inputs import AcInputs, AcPlate, Told
from evse_controller.safety.ac_phase import AC_PHASES, AcPhase, AcPhaseRule
from evse_controller.safety.evaluate import evaluate
from evse_controller.safety.inputs import Inputs, NamedLimit, Verdict
from evse_controller.safety.phase import PHASES, Phase, PhaseRule

__all__ = [
    "AC_PHASES",
    "PHASES",
    "AcInputs",
    "AcPhase",
    "AcPhaseRule",
    "AcPlate",
    "Inputs",
    "NamedLimit",
    "Phase",
    "PhaseRule",
    "Told",
    "Verdict",
    "evaluate",
    "evaluate_ac",
]
