"""EVPowerProfile against the schedule tuple it claims to follow, and the EV against its profile."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, takewhile
from operator import attrgetter

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import RationalNumber, ResponseCode
from evse_controller.messages.rational import rational_value
from evse_controller.model.commands import ControlMode
from evse_controller.model.offer import PowerProfile, PowerSlot
from evse_controller.model.power import PhasePower
from evse_controller.secc.iso20.data import SentSlot, SentTuple
from evse_controller.secc.iso20.profile_watch import ProfileWatch, Verdict
from evse_controller.secc.iso20.states import Refused, Turn

# Both sides round to 16-bit values; a profile may differ by that much from a cap it copies.
_RELATIVE = 1e-3
_ABSOLUTE_W = 1.0
# A profile whose anchor is further off than this does not mean an absolute time (0 is seen in the field).
_SANE_ANCHOR_S = 7 * 86400


@dataclass(frozen=True, slots=True)
class Planned:
    """One entry of a profile: signed, phase by phase when the EV said so."""

    duration_s: int
    power: PhasePower


@dataclass(frozen=True, slots=True)
class Agreed:
    """What the EV is held to: its plan (None in Dynamic mode without one), and the tuple that the plan obeys.

    The tuple keeps its power tolerance only if the EV confirmed it.
    """

    profile: PowerProfile | None
    chosen: SentTuple | None = None


def accept_profile(turn: Turn, profile: cm.EVPowerProfile | None) -> Agreed | Refused:
    """The EV's plan if it obeys the tuple it names."""
    dynamic = turn.data.selection.control_mode is ControlMode.DYNAMIC
    if profile is None:
        return Agreed(None) if dynamic else _without_profile(turn)
    plan = _plan(profile)
    slots = tuple(PowerSlot(entry.duration_s, entry.power.total_w) for entry in plan)
    if dynamic:
        if profile.scheduled_evppt_control_mode is not None:
            return Refused(ResponseCode.FAILED_EVPowerProfileInvalid, "scheduled profile in dynamic control mode")
        return Agreed(PowerProfile(None, profile.time_anchor, slots))
    chosen = profile.scheduled_evppt_control_mode
    if chosen is None:
        return Refused(ResponseCode.FAILED_EVPowerProfileInvalid, "dynamic profile in scheduled control mode")
    sent = turn.data.tuples.get(chosen.selected_schedule_tuple_id)
    if sent is None:
        return Refused(
            ResponseCode.FAILED_ScheduleSelectionInvalid,
            f"schedule tuple {chosen.selected_schedule_tuple_id} was not offered",
        )
    shift_s = profile.time_anchor - sent.anchor_utc_s
    anchor_utc_s = profile.time_anchor
    if abs(shift_s) > _SANE_ANCHOR_S:
        shift_s, anchor_utc_s = 0, sent.anchor_utc_s
    fault = profile_fault(sent, shift_s, plan)
    if fault is not None:
        return Refused(ResponseCode.FAILED_EVPowerProfileInvalid, fault)
    if turn.config.power_tolerance_required and sent.tolerance_w is not None and not _confirmed(chosen):
        return Refused(
            ResponseCode.FAILED_PowerToleranceNotConfirmed, f"the tolerance of {sent.tolerance_w:g} W is not confirmed"
        )
    plan_of_tuple = PowerProfile(sent.tuple_id, anchor_utc_s, slots, sent.offer_id)
    return Agreed(plan_of_tuple, sent if _confirmed(chosen) else replace(sent, tolerance_w=None))


def warned(turn: Turn, code: ResponseCode) -> str | None:
    """What is said in the log of a loop that is answered with this code."""
    watched = turn.data.watch
    return watched.reason if code is ResponseCode.WARNING_EVPowerProfileViolation and watched is not None else None


def tolerance_code(turn: Turn, profile: cm.EVPowerProfile | None) -> ResponseCode:
    """How an accepted profile is answered: what the EV said about the power tolerance of its tuple."""
    chosen = None if profile is None else profile.scheduled_evppt_control_mode
    if chosen is None or chosen.power_tolerance_acceptance is None:
        return ResponseCode.OK
    sent = turn.data.tuples.get(chosen.selected_schedule_tuple_id)
    if sent is None or sent.tolerance_w is None:
        return ResponseCode.OK  # nothing was offered that could be confirmed
    if _confirmed(chosen):
        return ResponseCode.OK_PowerToleranceConfirmed
    return ResponseCode.WARNING_PowerToleranceNotConfirmed


def _confirmed(chosen: cm.Scheduled_EVPPTControlMode) -> bool:
    return chosen.power_tolerance_acceptance is cm.PowerToleranceAcceptance.PowerToleranceConfirmed


def watch(turn: Turn, power_w: float) -> ResponseCode | Refused:
    """The answer to a charge loop in which this power (signed, all phases together) was measured at the outlet."""
    data, profile = turn.data, turn.data.profile
    if profile is None or data.selection.control_mode is ControlMode.DYNAMIC:
        return ResponseCode.OK
    if data.watch is None or data.watch.profile is not profile:
        chosen = data.chosen
        tolerance_w = None if chosen is None else chosen.tolerance_w
        beyond = None if chosen is None else partial(_caps, chosen)
        data.watch = ProfileWatch(profile, tolerance_w, turn.config.profile_watch, data.watch, beyond)
    verdict = data.watch.judge(power_w, turn.snapshot.utc_s, turn.now_s, *_room(turn))
    if verdict is Verdict.BROKEN:
        return Refused(ResponseCode.FAILED_EVPowerProfileViolation, data.watch.reason)
    if verdict is Verdict.WARNED:
        return ResponseCode.WARNING_EVPowerProfileViolation
    return ResponseCode.OK


def _caps(sent: SentTuple, from_utc_s: float, to_utc_s: float) -> tuple[float, float]:
    """(least, most) that a tuple allows somewhere in this span; discharge is negative."""
    start_s, end_s = from_utc_s - sent.anchor_utc_s, to_utc_s - sent.anchor_utc_s
    discharge_w = 0.0 if sent.discharging is None else _highest(sent.discharging, start_s, end_s)
    return 0.0 - discharge_w, _highest(sent.charging, start_s, end_s)


def by_schedule(turn: Turn) -> tuple[float, float] | None:
    """(charge, discharge) >= 0 that the tuple in force allows around now, as far as the clocks may differ."""
    chosen, utc_s, slack_s = turn.data.chosen, turn.snapshot.utc_s, turn.config.profile_watch.clock_slack_s
    if chosen is None or turn.data.selection.control_mode is ControlMode.DYNAMIC:
        return None
    least_w, most_w = _caps(chosen, utc_s - slack_s, utc_s + slack_s)
    return most_w, -least_w


def _highest(slots: tuple[SentSlot, ...], start_s: float, end_s: float) -> float:
    """The highest cap in a span; before the first slot the first holds, after the last the last."""
    first = min(bisect_right(slots, start_s, key=attrgetter("end_s")), len(slots) - 1)
    later = takewhile(lambda slot: slot.start_s <= end_s, islice(slots, first + 1, None))
    return max(slot.power_w for slot in (slots[first], *later))


def _room(turn: Turn) -> tuple[float, float]:
    """What the station allows now, (charge, discharge) in W; an EV that was told a target is held to no more."""
    snapshot = turn.snapshot
    if snapshot.ac_present is not None:
        charge_w, discharge_w = snapshot.ac_present.max_charge_w.total_w, snapshot.ac_present.max_discharge_w.total_w
        target = turn.data.ac.target
        if target is None:
            return charge_w, discharge_w
        if target.total_w >= 0:
            return min(charge_w, target.total_w), discharge_w
        return charge_w, min(discharge_w, -target.total_w)
    voltage_v, present = snapshot.present_voltage_v or 0.0, snapshot.present
    return (
        min(present.max_charge_power_w, present.max_charge_current_a * voltage_v),
        min(present.max_discharge_power_w, present.max_discharge_current_a * voltage_v),
    )


def _without_profile(turn: Turn) -> Agreed | Refused:
    """Some EVs send none. With a single tuple it is clear what they accept, and the tuple itself is the cap."""
    if len(turn.data.tuples) != 1:
        return Refused(ResponseCode.FAILED_ScheduleSelectionInvalid, "no EVPowerProfile, several tuples were offered")
    (sent,) = turn.data.tuples.values()
    if turn.config.power_tolerance_required and sent.tolerance_w is not None:
        return Refused(ResponseCode.FAILED_PowerToleranceNotConfirmed, "no EVPowerProfile to confirm a tolerance")
    return Agreed(PowerProfile(sent.tuple_id, sent.anchor_utc_s, (), sent.offer_id), replace(sent, tolerance_w=None))


def _plan(profile: cm.EVPowerProfile) -> tuple[Planned, ...]:
    """Signed powers, - = discharge."""
    return tuple(
        Planned(entry.duration, PhasePower(rational_value(entry.power), _w(entry.power_l2), _w(entry.power_l3)))
        for entry in profile.ev_power_profile_entries.ev_power_profile_entry
    )


def _w(number: RationalNumber | None) -> float | None:
    return None if number is None else rational_value(number)


def profile_fault(sent: SentTuple, shift_s: int, plan: tuple[Planned, ...]) -> str | None:
    """The first place where a profile that starts `shift_s` after the tuple's anchor breaks it, None if nowhere.

    Only power is judged: a profile may last longer than the schedule, whose last cap then holds on. Phases are compared
    where both sides tell them apart.
    """
    start_s = shift_s
    for entry in plan:
        end_s = start_s + max(1, entry.duration_s)
        fault = _entry_fault(sent, start_s, end_s, entry.power)
        if fault is not None:
            return fault
        start_s += entry.duration_s
    return None


def _entry_fault(sent: SentTuple, start_s: int, end_s: int, power: PhasePower) -> str | None:
    parts = (power.l1_w, power.l2_w or 0.0, power.l3_w or 0.0)
    if min(parts) < 0 < max(parts):
        return f"from {start_s} s to {end_s} s phases go in different directions"
    caps = sent.charging if power.total_w >= 0 else sent.discharging
    cap_w = 0.0 if caps is None else _lowest(caps, start_s, end_s, attrgetter("power_w"))
    if _above(power.total_w, cap_w):
        return f"{power.total_w:g} W from {start_s} s to {end_s} s, tuple {sent.tuple_id} allows {cap_w:g} W"
    if not power.per_phase or caps is None or caps[0].phases_w is None:
        return None
    for phase, part_w in enumerate(parts):
        cap_w = _lowest(caps, start_s, end_s, _of_phase(phase))
        if _above(part_w, cap_w):
            return (
                f"{part_w:g} W on L{phase + 1} from {start_s} s to {end_s} s, "
                f"tuple {sent.tuple_id} allows {cap_w:g} W"
            )
    return None


def _of_phase(phase: int) -> Callable[[SentSlot], float]:
    return lambda slot: 0.0 if slot.phases_w is None else slot.phases_w[phase]


def _above(power_w: float, cap_w: float) -> bool:
    return abs(power_w) > cap_w * (1 + _RELATIVE) + _ABSOLUTE_W


def _lowest(slots: tuple[SentSlot, ...], start_s: int, end_s: int, power_w: Callable[[SentSlot], float]) -> float:
    """The lowest cap in a span; before the first slot the first holds, after the last the last."""
    # Searched, not scanned: 2048 entries of a profile against 1024 slots would hold the loop for 90 ms.
    first = bisect_right(slots, start_s, key=attrgetter("end_s"))
    touched = [power_w(slot) for slot in takewhile(lambda slot: slot.start_s < end_s, islice(slots, first, None))]
    if end_s > slots[-1].end_s:
        touched.append(power_w(slots[-1]))
    if start_s < 0:
        touched.append(power_w(slots[0]))
    return min(touched)
