"""EVPowerProfile against the schedule tuple it claims to follow."""

from __future__ import annotations

from bisect import bisect_right
from itertools import islice, takewhile
from operator import attrgetter

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.messages.rational import rational_value
from evse_controller.model.commands import ControlMode
from evse_controller.model.offer import PowerProfile, PowerSlot
from evse_controller.secc.iso20.data import SentSlot, SentTuple
from evse_controller.secc.iso20.states import Refused, Turn

# Both sides round to 16-bit values; a profile may differ by that much from a cap it copies.
_RELATIVE = 1e-3
_ABSOLUTE_W = 1.0
# A profile whose anchor is further off than this does not mean an absolute time (0 is seen in the field).
_SANE_ANCHOR_S = 7 * 86400


def accept_profile(turn: Turn, profile: cm.EVPowerProfile | None) -> PowerProfile | Refused | None:
    """The EV's plan if it obeys the tuple it names; None in Dynamic mode without a profile."""
    dynamic = turn.data.selection.control_mode is ControlMode.DYNAMIC
    if profile is None:
        return None if dynamic else _without_profile(turn)
    slots = _slots(profile)
    if dynamic:
        if profile.scheduled_evppt_control_mode is not None:
            return Refused(ResponseCode.FAILED_EVPowerProfileInvalid, "scheduled profile in dynamic control mode")
        return PowerProfile(None, profile.time_anchor, slots)
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
    fault = profile_fault(sent, shift_s, slots)
    if fault is not None:
        return Refused(ResponseCode.FAILED_EVPowerProfileInvalid, fault)
    return PowerProfile(sent.tuple_id, anchor_utc_s, slots)


def _without_profile(turn: Turn) -> PowerProfile | Refused:
    """Some EVs send none. With a single tuple it is clear what they accept, and the tuple itself is the cap."""
    if len(turn.data.tuples) != 1:
        return Refused(ResponseCode.FAILED_ScheduleSelectionInvalid, "no EVPowerProfile, several tuples were offered")
    (sent,) = turn.data.tuples.values()
    return PowerProfile(sent.tuple_id, sent.anchor_utc_s, ())


def _slots(profile: cm.EVPowerProfile) -> tuple[PowerSlot, ...]:
    """Signed powers, - = discharge."""
    return tuple(
        PowerSlot(entry.duration, rational_value(entry.power))
        for entry in profile.ev_power_profile_entries.ev_power_profile_entry
    )


def profile_fault(sent: SentTuple, shift_s: int, slots: tuple[PowerSlot, ...]) -> str | None:
    """The first place where a profile that starts `shift_s` after the tuple's anchor breaks it, None if nowhere.

    Only power is judged: a profile may last longer than the schedule, whose last cap then holds on.
    """
    start_s = shift_s
    for slot in slots:
        end_s = start_s + max(1, slot.duration_s)
        if slot.power_w >= 0:
            cap_w = _lowest(sent.charging, start_s, end_s)
        else:
            cap_w = 0.0 if sent.discharging is None else _lowest(sent.discharging, start_s, end_s)
        if abs(slot.power_w) > cap_w * (1 + _RELATIVE) + _ABSOLUTE_W:
            return f"{slot.power_w:g} W from {start_s} s to {end_s} s, tuple {sent.tuple_id} allows {cap_w:g} W"
        start_s += slot.duration_s
    return None


def _lowest(slots: tuple[SentSlot, ...], start_s: int, end_s: int) -> float:
    """The lowest cap in a span; before the first slot the first holds, after the last the last."""
    # Searched, not scanned: 2048 entries of a profile against 1024 slots would hold the loop for 90 ms.
    first = bisect_right(slots, start_s, key=attrgetter("end_s"))
    touched = [slot.power_w for slot in takewhile(lambda slot: slot.start_s < end_s, islice(slots, first, None))]
    if end_s > slots[-1].end_s:
        touched.append(slots[-1].power_w)
    if start_s < 0:
        touched.append(slots[0].power_w)
    return min(touched)
