"""ScheduleExchange: the EV's needs go to the energy room, its offer comes back as schedule tuples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import Processing, ResponseCode
from evse_controller.model.commands import ControlMode, EvAcLimits, ScheduleRequested
from evse_controller.model.offer import OfferTuple, PowerSlot, ScheduleOffer
from evse_controller.model.snapshot import Notification
from evse_controller.secc.iso20 import tuples
from evse_controller.secc.iso20.dynamic import tell_wishes
from evse_controller.secc.iso20.ending import pause_fault, pause_withdrawn
from evse_controller.secc.iso20.ev_offer import ev_offer
from evse_controller.secc.iso20.fillers import placeholder_schedule
from evse_controller.secc.iso20.needs import needs_of
from evse_controller.secc.iso20.phases import PhaseCaps, phase_caps
from evse_controller.secc.iso20.states import Refused, Turn
from evse_controller.secc.iso20.timers import SNAPSHOT_SETTLE_S


@dataclass(frozen=True, slots=True)
class Exchanged:
    """An answer to ScheduleExchangeReq; `finished` False: the EV asks again. `failed`: the old schedule holds."""

    response: cm.ScheduleExchangeRes
    finished: bool
    reason: str | None = None
    failed: bool = False


def exchange(turn: Turn, request: cm.ScheduleExchangeReq) -> Exchanged | Refused:
    """The control mode must be the selected one and is answered in kind [V2G20-1600].

    Scheduled: Ongoing until the plan is there, whoever negotiates it; by `local_schedule_s` the session answers with
    its own, or, when an older schedule is in force, with that one and a WARNING. Dynamic: nothing to wait for.
    """
    data = turn.data
    dynamic = data.selection.control_mode is ControlMode.DYNAMIC
    if dynamic is not (request.dynamic_se_req_control_mode is not None):
        return Refused(ResponseCode.FAILED, f"control mode is not the selected {data.selection.control_mode.name}")
    if data.schedule_asked_s is None:
        _ask(turn, request)
    response = cm.ScheduleExchangeRes(turn.header(), ResponseCode.OK, Processing.Finished)
    if dynamic:
        response.dynamic_se_res_control_mode = cm.Dynamic_SEResControlMode()
        tell_wishes(turn, response.dynamic_se_res_control_mode)
        _may_pause(turn, response, ())
        return Exchanged(response, True)
    waited_s = turn.now_s - (data.schedule_asked_s or 0.0)
    offer, reason = _offer(turn, waited_s)
    if offer is None and data.renegotiating and waited_s >= turn.config.timers.local_schedule_s:
        response.response_code = ResponseCode.WARNING_ScheduleRenegotiationFailed
        response.scheduled_se_res_control_mode = cm.Scheduled_SEResControlMode(data.schedule_sent)
        return Exchanged(response, True, f"no plan within {waited_s:.0f} s: the old schedule holds", failed=True)
    if offer is None:
        response.evse_processing = Processing.Ongoing
        response.scheduled_se_res_control_mode = placeholder_schedule()
        return Exchanged(response, False, reason)
    data.schedule_sent, data.tuples = tuples.build(
        offer,
        turn.config,
        data.selection.pricing,
        data.selection.bidirectional,
        request.maximum_supporting_points,
        data.departure_utc_s,
        _phases(turn),
    )
    response.scheduled_se_res_control_mode = cm.Scheduled_SEResControlMode(data.schedule_sent)
    _may_pause(turn, response, offer.tuples)
    return Exchanged(response, True, reason)


def _ask(turn: Turn, request: cm.ScheduleExchangeReq) -> None:
    """The first request of an exchange states the needs; those that follow only poll."""
    data = turn.data
    data.schedule_asked_s = turn.now_s
    data.offer_before = None if turn.snapshot.offer is None else turn.snapshot.offer.offer_id
    if request.dynamic_se_req_control_mode is not None:
        data.minimum_soc = request.dynamic_se_req_control_mode.minimum_soc
        if request.dynamic_se_req_control_mode.target_soc is not None:
            data.target_soc = request.dynamic_se_req_control_mode.target_soc
    needs = needs_of(turn, request)
    data.departure_utc_s = needs.departure_utc_s
    turn.do(ScheduleRequested(needs, ev_offer(request, turn.snapshot.utc_s), data.renegotiating))


def _offer(turn: Turn, waited_s: float) -> tuple[ScheduleOffer | None, str]:
    """The offer to send, or None to wait. One that stood there before we asked answers somebody else's question."""
    offer = turn.snapshot.offer
    if offer is not None and waited_s > 0:
        fresh = offer.offer_id != turn.data.offer_before or waited_s >= SNAPSHOT_SETTLE_S
        if fresh and tuples.usable(offer):
            return offer, f"offer {offer.offer_id}"
    if turn.data.renegotiating or waited_s < turn.config.timers.local_schedule_s:
        return None, "the plan is being made"
    local = tuples.local_offer(int(turn.snapshot.utc_s), _local_w(turn), turn.config)
    return local, f"no plan within {waited_s:.0f} s: local schedule"


def _local_w(turn: Turn) -> float:
    """What both sides can do by ChargeParameterDiscovery; the station holds the site's limits whatever was said."""
    ac, dc = turn.data.ac, turn.data.dc
    limits = _ac_limits(turn)
    if ac.rated is not None and limits is not None:
        return limits.max_charge_w.within(ac.rated.max_charge_w).total_w
    assert dc.rated is not None
    assert dc.limits is not None
    return min(dc.rated.max_charge_power_w, dc.limits.max_charge_power_w)


def _ac_limits(turn: Turn) -> EvAcLimits | None:
    present = turn.snapshot.ac_present
    return turn.data.ac.usable(present is not None and present.three_phases)


def _phases(turn: Turn) -> PhaseCaps | None:
    """What each phase can do, at an AC outlet whose phases differ."""
    rated, limits = turn.data.ac.rated, _ac_limits(turn)
    if rated is None or limits is None:
        return None
    discharge_w = rated.max_discharge_w if turn.data.selection.bidirectional else None
    return phase_caps(limits, rated.max_charge_w, discharge_w)


def _may_pause(turn: Turn, response: cm.ScheduleExchangeRes, offered: Sequence[OfferTuple]) -> None:
    """GoToPause: when the station wants the EV to sleep, or has nothing to offer for long enough to be worth it."""
    after_s = turn.config.go_to_pause_after_s
    asleep = turn.snapshot.notification is Notification.PAUSE
    if after_s is not None and offered:
        asleep = asleep or min(_idle_s(entry) for entry in offered) >= after_s
    if asleep and pause_fault(turn) is None:
        response.go_to_pause, turn.data.pause_until_s = True, math.inf
    else:
        pause_withdrawn(turn)


def _idle_s(entry: OfferTuple) -> int:
    """How long this tuple offers nothing, in either direction."""
    spans = [_leading_zeros_s(entry.charging)]
    if entry.discharging is not None:
        spans.append(_leading_zeros_s(entry.discharging))
    return min(spans)


def _leading_zeros_s(caps: Sequence[PowerSlot]) -> int:
    length_s = 0
    for slot in caps:
        if slot.power_w > 0 and slot.duration_s > 0:
            break
        length_s += slot.duration_s
    return length_s
