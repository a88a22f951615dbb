"""Every number that safety and station compare against, in one table, each with unit and source.

"IEC" means the reference chapter E.4 (IEC 61851-23) of the project; "contract" the docstring in `hal.api`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Threshold:
    """One row: `value` in `unit`, and where it comes from."""

    name: str
    value: float
    unit: str
    source: str


TABLE: dict[str, Threshold] = {}


def _row(name: str, value: float, unit: str, source: str) -> float:
    if name in TABLE:
        raise ValueError(f"threshold {name} appears twice")
    TABLE[name] = Threshold(name, value, unit, source)
    return value


# ages of protection inputs
MCU_DEADLINE_S = _row("mcu-deadline", 0.3, "s", "contract McuReading: three 100 ms periods")
POWER_DEADLINE_S = _row("power-deadline", 0.5, "s", "contract PowerReading")
METER_DEADLINE_S = _row("meter-deadline", 1.0, "s", "contract DcMeterReading")
ISOLATION_DEADLINE_S = _row("isolation-deadline", 2.0, "s", "contract IsolationReading")
PERMIT_LIFE_S = _row("permit-life", 0.25, "s", "five control steps of 50 ms; below the MCU deadline")

# voltage
OVER_VOLTAGE_SHARE = _row("over-voltage-share", 0.02, "1", "tolerance above the limit: meter class 0.5 plus ripple")
OVER_VOLTAGE_MARGIN_V = _row("over-voltage-margin", 5.0, "V", "smallest tolerance: resolution of module read-back")
SAFE_VOLTAGE_V = _row("safe-voltage", 60.0, "V", "IEC: output below 60 V before and after")
MATCH_VOLTAGE_V = _row("match-voltage", 20.0, "V", "IEC: the EV closes within 20 V of its target")
PRECHARGE_MATCH_V = _row("precharge-match", 10.0, "V", "half of what the EV accepts, so that it surely does")
EV_VOLTAGE_HOLD_S = _row("ev-voltage-hold", 1.0, "s", "an EV maximum lowered in the loop: the clamp acts first")
VOLTAGE_PLAUSIBLE_V = _row("voltage-plausible", 20.0, "V", "meter against modules, closed contactors: 20 V")
VOLTAGE_PLAUSIBLE_SHARE = _row("voltage-plausible-share", 0.05, "1", "or 5 % of the larger, whichever is more")

# current
ZERO_CURRENT_A = _row("zero-current", 1.0, "A", "IEC: contactors open and modes change below 1 A")
SMALL_CURRENT_A = _row("small-current", 2.0, "A", "IEC: cable check and pre-charge at 2 A or less")
SHORT_CURRENT_A = _row("short-current", 5.0, "A", "IEC: short-circuit test limit in cable check")
OVER_CURRENT_SHARE = _row("over-current-share", 0.1, "1", "tolerance above the limit: sharing and regulation")
OVER_CURRENT_MARGIN_A = _row("over-current-margin", 3.0, "A", "smallest tolerance")
OVER_CURRENT_HOLD_S = _row("over-current-hold", 0.5, "s", "a lowered limit needs one module period to act")
PERMIT_CURRENT_HOLD_S = _row("permit-current-hold", 1.0, "s", "a cut of the permit: module period, its slope, meter")
HARD_OVER_CURRENT_SHARE = _row("hard-over-current-share", 0.25, "1", "above the hardware rating: no waiting")
CURRENT_PLAUSIBLE_A = _row("current-plausible", 5.0, "A", "meter against modules")
CURRENT_PLAUSIBLE_SHARE = _row("current-plausible-share", 0.1, "1", "or 10 % of the larger, whichever is more")
PLAUSIBLE_HOLD_S = _row("plausible-hold", 1.5, "s", "meter period plus module period plus ramp")

# contactors and pilot
CONTACTOR_TIME_S = _row("contactor-time", 0.6, "s", "coil 100 ms, MCU period 100 ms, control frame 100 ms, twice")
PILOT_READY_S = _row("pilot-ready", 1.5, "s", "E.3: pilot C or D within 1.5 s of the first cable check request")
MODULE_DISAGREE_S = _row("module-disagree", 1.0, "s", "modules confirm a mode within two status rounds")

# isolation
ISOLATION_OHM_PER_V = _row("isolation-ohm-per-volt", 100.0, "ohm/V", "IEC: fault below 100 ohm/V of the maximum")
ISOLATION_LEAST_OHM = _row("isolation-least", 100_000.0, "ohm", "IEC: fault below 100 kohm whatever the voltage")
ISOLATION_LEAST_MCS_OHM = _row("isolation-least-mcs", 125_000.0, "ohm", "E.4: fault below 125 kohm at an MCS connector")
ISOLATION_INVALID_S = _row("isolation-invalid", 10.0, "s", "monitor's response time below 10 s")
ISOLATION_RESPONSE_S = _row("isolation-response", 8.0, "s", "longest that lets N samples end well within 35 s")
ISOLATION_SAMPLES = _row("isolation-samples", 3.0, "1", "N valid samples at test voltage")
TEST_CLASS_V = _row("test-class", 500.0, "V", "IEC CC.4.1.2: formula changes at an EV maximum of 500 V")
TEST_ADD_V = _row("test-add", 50.0, "V", "IEC CC.4.1.2: EV maximum + 50 V, at most 500 V")
TEST_SHARE = _row("test-share", 1.1, "1", "IEC CC.4.1.2: 1.1 x EV maximum above 500 V")

# AC outlet
CONTACTOR_CLOSE_S = _row("ac-contactor-close", 1.4, "s", "C.3: PowerDelivery(Start) is answered within 1.5 s")
EV_REACTION_S = _row("ac-ev-reaction", 5.0, "s", "IEC 61851-1: the EV follows a lowered limit within 5 s")
EV_DEAF_S = _row("ac-ev-deaf", 15.0, "s", "thrice the reaction time: told nothing in a direction, it never came down")
AC_OPEN_S = _row("ac-open", 5.0, "s", "IEC 61851-1: after 5 s the contactor opens, current or not")
TOLD_SHARE = _row("ac-told-share", 0.1, "1", "regulation of on-board chargers")
TOLD_MARGIN_W = _row("ac-told-margin", 300.0, "W", "smallest tolerance: half an ampere a phase")
TOLD_HOLD_S = _row("ac-told-hold", 1.0, "s", "meter period and one loop, after the reaction time")
FUSE_SHARE = _row("ac-fuse-share", 0.1, "1", "above rating by regulation and meter class: not a fault yet")
FUSE_MARGIN_A = _row("ac-fuse-margin", 1.0, "A", "smallest tolerance; beyond it nothing is waited for")
REVERSE_W = _row("ac-reverse", 100.0, "W", "a phase that feeds back: filters and meter noise stay below")
REVERSE_HOLD_S = _row("ac-reverse-hold", 1.0, "s", "switching of the converter shows in a meter period")
OPEN_CURRENT_HOLD_S = _row("ac-open-current-hold", 1.0, "s", "contactor 0.1 s, MCU and meter periods, twice")
ASYMMETRY_SHARE = _row("ac-asymmetry-share", 0.05, "1", "meter class of both phases")
ASYMMETRY_MARGIN_W = _row("ac-asymmetry-margin", 100.0, "W", "smallest tolerance")
ASYMMETRY_HOLD_S = _row("ac-asymmetry-hold", 10.0, "s", "a told limit comes first: twice the EV's reaction")
ONE_PHASE_W = _row("ac-one-phase", 500.0, "W", "from here on it shows which phases an EV loads")
ONE_PHASE_SHARE = _row("ac-one-phase-share", 0.1, "1", "a phase with less than this of the largest is not used")
MAINS_LEAST_SHARE = _row("mains-least", 0.8, "1", "EN 50549-1: under-voltage stage; below it there is no grid")
MAINS_MOST_SHARE = _row("mains-most", 1.15, "1", "EN 50549-1: over-voltage stage")
MAINS_HOLD_S = _row("mains-hold", 1.0, "s", "surges of switching are over by then")
APPARENT_SHARE = _row("ac-apparent-share", 0.1, "1", "active power above the apparent one by meter class only")
APPARENT_MARGIN_W = _row("ac-apparent-margin", 100.0, "W", "smallest tolerance")

# driver's minimum
BATTERY_SHARE = _row("battery-share", 0.95, "1", "one way through a battery at its worst: errs to the driver's side")

SOC_SHOWN_S = _row("soc-shown", 60.0, "s", "a state of charge that was not shown for longer is not known any more")

# times of sequences
CHECK_CURRENT_S = _row("cable-check-current", 1.0, "s", "1 A into a cable that ends open: five meter periods")
CABLE_CHECK_S = _row("cable-check-total", 35.0, "s", "E.4: below the EV's 40 s")
PRECHARGE_S = _row("precharge-total", 10.0, "s", "B.8: the EV's pre-charge timer")
RAMP_DOWN_S = _row("ramp-down-total", 2.0, "s", "zero current long before the EV's 2 s message timer twice")
DIRECTION_CHANGE_S = _row("direction-change-total", 5.0, "s", "module mode change with read-back takes below 2 s")
DISCHARGE_S = _row("discharge-total", 15.0, "s", "bleeder of module and link below 60 V")
WELDING_S = _row("welding-total", 60.0, "s", "C.3: SECC sequence timer outside the loop")
STEP_X1_S = _row("step-x1", 3.0, "s", "E.5: we wake the EV not earlier after the oscillator went off")
RESTORED_SLEEP_S = _row("restored-sleep", 30.0, "s", "after a restart another EV may be plugged in, and waits")
STOP_ESCALATION_S = _row("stop-escalation", 20.0, "s", "B.11: stop at hardware level when the EV does not react")
NOTICE_MARGIN_S = _row("notice-margin", 2.0, "s", "the EV hears of a notice a message later than we reckon")
FIRST_LOOP_S = _row("first-loop", 65.0, "s", "station backstop: the session gives the first loop its sequence timer")
LOOP_AGAIN_S = _row("loop-again", 15.0, "s", "station backstop: the session gives 10 s from the Start that ends a hold")
HOLD_S = _row("hold-total", 130.0, "s", "station backstop: the session gives renegotiation 120 s; standby may last")
EV_SILENT_MARGIN_S = _row("ev-silent-margin", 0.5, "s", "station backstop behind the session's own loop timer")
FAULT_GONE_S = _row("fault-gone", 1.0, "s", "a cause must be gone this long before its fault clears by itself")
