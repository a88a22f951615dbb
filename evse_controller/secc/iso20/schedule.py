"""ScheduleExchange: the EV's needs go to the energy room, its offer comes back as schedule tuples."""

from __future__ import annotations

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import Processing, RationalNumber, ResponseCode
from evse_controller.messages.rational import rational_value
from evse_controller.model.commands import ControlMode, ScheduleRequested
from evse_controller.model.offer import EnergyNeeds, ScheduleOffer
from evse_controller.secc.iso20 import tuples
from evse_controller.secc.iso20.fillers import placeholder_schedule
from evse_controller.secc.iso20.states import Accepted, Answer, Refused, State, Turn
from evse_controller.secc.iso20.timers import SNAPSHOT_SETTLE_S


def schedule_exchange(turn: Turn, request: cm.ScheduleExchangeReq) -> Answer:
    """The control mode must be the selected one and is answered in kind [V2G20-1600].

    Scheduled: Ongoing until the plan is there; by `local_schedule_s` the session answers with its own. Dynamic:
    nothing to wait for, and with MobilityNeedsMode 1 nothing to say either.
    """
    data = turn.data
    dynamic = data.selection.control_mode is ControlMode.DYNAMIC
    if dynamic is not (request.dynamic_se_req_control_mode is not None):
        return Refused(ResponseCode.FAILED, f"control mode is not the selected {data.selection.control_mode.name}")
    if data.schedule_asked_s is None:
        data.schedule_asked_s = turn.now_s
        data.offer_before = None if turn.snapshot.offer is None else turn.snapshot.offer.offer_id
        needs = needs_of(turn, request)
        data.departure_utc_s = needs.departure_utc_s
        turn.do(ScheduleRequested(needs))
    waited_s = turn.now_s - data.schedule_asked_s
    if dynamic:
        response = cm.ScheduleExchangeRes(
            turn.header(),
            ResponseCode.OK,
            Processing.Finished,
            dynamic_se_res_control_mode=cm.Dynamic_SEResControlMode(),
        )
        return Accepted(response, State.CABLE_CHECK)
    offer, reason = _offer(turn, waited_s)
    if offer is None:
        response = cm.ScheduleExchangeRes(
            turn.header(),
            ResponseCode.OK,
            Processing.Ongoing,
            scheduled_se_res_control_mode=placeholder_schedule(),
        )
        return Accepted(response, State.SCHEDULE_EXCHANGE, reason)
    schedule, data.tuples = tuples.build(
        offer,
        turn.config,
        data.selection.pricing,
        data.selection.bidirectional,
        request.maximum_supporting_points,
        data.departure_utc_s,
    )
    response = cm.ScheduleExchangeRes(
        turn.header(),
        ResponseCode.OK,
        Processing.Finished,
        scheduled_se_res_control_mode=cm.Scheduled_SEResControlMode(schedule),
    )
    return Accepted(response, State.CABLE_CHECK, reason)


def _offer(turn: Turn, waited_s: float) -> tuple[ScheduleOffer | None, str]:
    """The offer to send, or None to wait. One that stood there before we asked answers somebody else's question."""
    offer = turn.snapshot.offer
    if offer is not None and waited_s > 0:
        fresh = offer.offer_id != turn.data.offer_before or waited_s >= SNAPSHOT_SETTLE_S
        if fresh and tuples.usable(offer):
            return offer, f"offer {offer.offer_id}"
    if waited_s < turn.config.timers.local_schedule_s:
        return None, "the plan is being made"
    memory = turn.data.dc
    assert memory.rated is not None
    assert memory.limits is not None
    power_w = min(memory.rated.max_charge_power_w, memory.limits.max_charge_power_w)
    local = tuples.local_offer(int(turn.snapshot.utc_s), power_w, turn.config)
    return local, f"no plan within {waited_s:.0f} s: local schedule"


def needs_of(turn: Turn, request: cm.ScheduleExchangeReq) -> EnergyNeeds:
    """What the EV said; times relative to the message become UTC by our own clock."""
    utc_s, target_soc = turn.snapshot.utc_s, percent(turn.data.target_soc)
    dynamic = request.dynamic_se_req_control_mode
    if dynamic is not None:
        upper, lower = v2x_window(dynamic.ev_maximum_v2x_energy_request, dynamic.ev_minimum_v2x_energy_request)
        return EnergyNeeds(
            dynamic=True,
            max_supporting_points=request.maximum_supporting_points,
            departure_utc_s=utc_s + dynamic.departure_time,
            target_wh=rational_value(dynamic.ev_target_energy_request),
            maximum_wh=rational_value(dynamic.ev_maximum_energy_request),
            minimum_wh=rational_value(dynamic.ev_minimum_energy_request),
            v2x_maximum_wh=upper,
            v2x_minimum_wh=lower,
            # A floor beyond 100 % stays one: it forbids to discharge, unknown it would not.
            minimum_soc=None if dynamic.minimum_soc is None else float(dynamic.minimum_soc),
            target_soc=target_soc if dynamic.target_soc is None else percent(dynamic.target_soc),
        )
    scheduled = request.scheduled_se_req_control_mode or cm.Scheduled_SEReqControlMode()
    return EnergyNeeds(
        dynamic=False,
        max_supporting_points=request.maximum_supporting_points,
        departure_utc_s=None if scheduled.departure_time is None else utc_s + scheduled.departure_time,
        target_wh=optional(scheduled.ev_target_energy_request),
        maximum_wh=optional(scheduled.ev_maximum_energy_request),
        minimum_wh=optional(scheduled.ev_minimum_energy_request),
        target_soc=target_soc,
    )


def v2x_window(upper: RationalNumber | None, lower: RationalNumber | None) -> tuple[float | None, float | None]:
    """Both edges or none [V2G20-2681]: half a window is no window, and so no leave to discharge."""
    if upper is None or lower is None:
        return None, None
    return rational_value(upper), rational_value(lower)


def optional(number: RationalNumber | None) -> float | None:
    return None if number is None else rational_value(number)


def percent(number: int | None) -> float | None:
    """A state of charge; what is no percentage (7 bits can say 127) is not known."""
    return None if number is None or not 0 <= number <= 100 else float(number)
