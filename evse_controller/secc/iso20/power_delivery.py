"""PowerDelivery: from when energy may flow, until when, and what the EV plans to do with it.

One set of handlers for every service. What differs is given with it: what must hold before the first Start, and where
Stop leads. Energy held back (Standby, renegotiation) keeps the contactors closed; Start lets it flow again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evse_controller.messages.generated.common_messages import ChargeProgress, PowerDeliveryReq, PowerDeliveryRes
from evse_controller.messages.generated.common_types import Processing, ResponseCode
from evse_controller.model.commands import EnergyHold, EnergyStart, EnergyStop
from evse_controller.secc.iso20.data import Due
from evse_controller.secc.iso20.ending import evse_status, station_ends
from evse_controller.secc.iso20.profile import Agreed, accept_profile, tolerance_code
from evse_controller.secc.iso20.renegotiation import begin, give_up, overdue
from evse_controller.secc.iso20.standby import NO_LOOP, STANDBY_HOLD, standby_fault
from evse_controller.secc.iso20.states import Accepted, Answer, Handler, Refused, State, Turn

_STANDBY_NOT_NOW = ResponseCode.WARNING_StandbyNotAllowed
_OLD_SCHEDULE = ResponseCode.WARNING_ScheduleRenegotiationFailed


@dataclass(frozen=True, slots=True)
class PowerDelivery:
    """The handlers of one service. `fault`: why the first Start cannot be obeyed; `stopped`: where Stop leads."""

    fault: Callable[[Turn], Refused | None]
    stopped: State

    def before_loop(self, turn: Turn, request: PowerDeliveryReq) -> Answer:
        """Start opens the way to energy once the outlet is ready and the EV's profile obeys its tuple."""
        progress = request.charge_progress
        if progress is ChargeProgress.Stop:
            return self._stop(turn, "PowerDeliveryReq(Stop) before any energy", said=True)
        if (late := _too_late(turn)) is not None:
            return late
        if progress is ChargeProgress.Standby:
            return _answer(turn, turn.state, _STANDBY_NOT_NOW, "standby is for a loop that runs")
        if progress is ChargeProgress.ScheduleRenegotiation:
            return Refused(ResponseCode.FAILED_SequenceError, "schedule renegotiation outside the charge loop")
        if (ending := station_ends(turn.snapshot)) is not None:
            return self._stop(turn, ending)
        if request.ev_processing is not Processing.Finished:
            # The EV is still computing: nothing is checked and nothing happens.
            turn.data.pending_start = request
            return _answer(turn, State.POWER_DELIVERY, reason="the EV is not ready yet")
        return self._start(turn, request) or _taken(turn, request)

    def loop_after_start(self, loop: Handler) -> Handler:
        """The loop of an EV that never said Finished, served at once."""
        return lambda turn, request: self.enter(turn) or loop(turn, request)

    def enter(self, turn: Turn) -> Refused | None:
        """Some EVs repeat Start with Ongoing and then simply enter the loop: the last Start counts as finished."""
        start = turn.data.pending_start
        if start is None:
            return Refused(ResponseCode.FAILED_SequenceError, "charge loop without PowerDelivery(Start)")
        if (ending := station_ends(turn.snapshot)) is not None:
            return Refused(ResponseCode.FAILED, ending)
        return self._start(turn, start)

    def in_loop(self, turn: Turn, request: PowerDeliveryReq) -> Answer:
        """Stop leaves the loop, Standby and renegotiation interrupt it; what is not possible now gets a WARNING."""
        progress = request.charge_progress
        if progress is ChargeProgress.Stop:
            return self._stop(turn, "PowerDeliveryReq(Stop)", said=True)
        if (late := _too_late(turn)) is not None:
            return late
        if progress is ChargeProgress.Standby:
            if (why := standby_fault(turn)) is not None:
                return _answer(turn, State.CHARGE_LOOP, _STANDBY_NOT_NOW, why)
            _hold(turn, STANDBY_HOLD, standby=True)
            return _answer(turn, State.STANDBY)
        if progress is ChargeProgress.ScheduleRenegotiation:
            return _renegotiate(turn, request)
        if turn.data.loops_since_start > 0:
            return Refused(ResponseCode.FAILED_SequenceError, "Start inside the charge loop")
        return _start_repeated(turn, request)

    def in_standby(self, turn: Turn, request: PowerDeliveryReq) -> Answer:
        """Standby again is how the EV stays; Start, with the old profile or a new one, is how it comes back."""
        progress = request.charge_progress
        if progress is ChargeProgress.Stop:
            return self._stop(turn, "PowerDeliveryReq(Stop) in standby", said=True)
        if progress is ChargeProgress.Standby:
            return _answer(turn, State.STANDBY)
        if progress is ChargeProgress.ScheduleRenegotiation:
            return _answer(turn, State.STANDBY, _OLD_SCHEDULE, "no renegotiation in standby; the old schedule holds")
        if (ending := station_ends(turn.snapshot)) is not None:
            return self._stop(turn, ending)
        if request.ev_processing is not Processing.Finished:
            return _answer(turn, State.STANDBY, reason="the EV is not ready yet")
        if request.ev_power_profile is None:
            return self._go_on(turn)
        agreed = _accepted(turn, request)
        if isinstance(agreed, Refused):
            return agreed
        _flow(turn, agreed)
        return _taken(turn, request)

    def before_schedule(self, turn: Turn, request: PowerDeliveryReq) -> Answer:
        """While the new schedule is being made only Stop makes sense."""
        if request.charge_progress is ChargeProgress.Stop:
            return self._stop(turn, "PowerDeliveryReq(Stop) before the new schedule", said=True)
        return Refused(ResponseCode.FAILED_SequenceError, "the new schedule was asked for, but not awaited")

    def renegotiated(self, turn: Turn, request: PowerDeliveryReq) -> Answer:
        """Start takes the new schedule; with a profile that breaks it the old schedule and the old profile hold."""
        progress = request.charge_progress
        if progress is ChargeProgress.Stop:
            return self._stop(turn, "PowerDeliveryReq(Stop) after the new schedule", said=True)
        if (late := _too_late(turn)) is not None:
            return late
        if progress is ChargeProgress.Standby:
            return _answer(turn, State.RENEGOTIATED, _STANDBY_NOT_NOW, "standby is for a loop that runs")
        if progress is ChargeProgress.ScheduleRenegotiation:
            return _answer(turn, State.RENEGOTIATED, reason="the new schedule was told already")
        if (ending := station_ends(turn.snapshot)) is not None:
            return self._stop(turn, ending)
        if request.ev_processing is not Processing.Finished:
            return _answer(turn, State.RENEGOTIATED, reason="the EV is not ready yet")
        agreed = _accepted(turn, request)
        if isinstance(agreed, Refused):
            return self._go_on(turn, _OLD_SCHEDULE, f"{agreed.reason}; the old schedule holds")
        _flow(turn, agreed)
        return _taken(turn, request)

    def stopped_already(self, turn: Turn, request: PowerDeliveryReq) -> Answer:
        """Stop once more, or the first one of an EV that was told Terminate and leaves in the usual order.

        Its pilot has to follow its own first Stop, not what the station had decided before.
        """
        if request.charge_progress is not ChargeProgress.Stop:
            return Refused(ResponseCode.FAILED_SequenceError, "energy was stopped: only Stop may be said again")
        if not turn.data.stop_said:
            turn.data.stop_said, turn.data.stopped_s = True, turn.now_s
        return _answer(turn, turn.state, reason="energy was stopped before")

    def _start(self, turn: Turn, request: PowerDeliveryReq) -> Refused | None:
        """Accepts the profile and lets energy flow, from an outlet that is ready for it."""
        if (fault := self.fault(turn)) is not None:
            return fault
        agreed = _accepted(turn, request)
        if isinstance(agreed, Refused):
            return agreed
        turn.data.energy_possible = True
        _flow(turn, agreed)
        return None

    def _go_on(self, turn: Turn, code: ResponseCode = ResponseCode.OK, reason: str | None = None) -> Answer:
        """By the old schedule and the old profile."""
        if turn.data.renegotiation is not None:
            give_up(turn)
        _flow(turn, Agreed(turn.data.profile, turn.data.chosen))
        return _answer(turn, State.CHARGE_LOOP, code, reason)

    def _stop(self, turn: Turn, reason: str, said: bool = False) -> Answer:
        """`said`: by the EV itself."""
        stop_energy(turn, reason)
        turn.data.stopped_s, turn.data.stop_said = turn.now_s, said
        return _answer(turn, self.stopped, reason=reason)


def stop_energy(turn: Turn, reason: str) -> None:
    """Before anything that ends, pauses or changes the service: hardware first, once."""
    turn.data.due = None
    if turn.data.energy_possible:
        turn.data.energy_possible = False
        turn.do(EnergyStop(reason))


def _renegotiate(turn: Turn, request: PowerDeliveryReq) -> Answer:
    """A schedule told on the side stream takes effect now; without one the EV will ask for it on the main stream."""
    data, renegotiation = turn.data, turn.data.renegotiation
    if (ending := station_ends(turn.snapshot)) is not None:
        return _answer(turn, State.CHARGE_LOOP, _OLD_SCHEDULE, ending)
    if data.loops_since_start == 0:
        return _answer(turn, State.CHARGE_LOOP, _OLD_SCHEDULE, NO_LOOP)
    if renegotiation is None:
        _hold(turn, "schedule renegotiation")
        limit_s = turn.config.timers.renegotiation_s
        data.due = Due(turn.now_s + limit_s, f"Start within {limit_s:g} s of the request for a new schedule")
        begin(turn)
        return _answer(turn, State.SCHEDULE_RENEGOTIATION)
    if not renegotiation.told:
        return _answer(turn, State.CHARGE_LOOP, _OLD_SCHEDULE, "the new schedule is still being made")
    if request.ev_processing is not Processing.Finished:
        return _answer(turn, State.CHARGE_LOOP, reason="the EV is not ready yet")
    agreed = _accepted(turn, request)
    if isinstance(agreed, Refused):
        give_up(turn)
        return _answer(turn, State.CHARGE_LOOP, _OLD_SCHEDULE, f"{agreed.reason}; the old schedule holds")
    loops = data.loops_since_start
    _flow(turn, agreed)
    data.loops_since_start, data.due = loops, None  # the loop was never left
    return _taken(turn, request, "the new schedule holds")


def _start_repeated(turn: Turn, request: PowerDeliveryReq) -> Answer:
    """Before the first loop EVs may say Start again, and reckon their plan anew from that moment: it is judged like the
    first one, and holds instead. The loop is due when it was."""
    if request.ev_processing is Processing.Finished and request.ev_power_profile is not None:
        agreed = _accepted(turn, request)
        if isinstance(agreed, Refused):
            return agreed
        if agreed != Agreed(turn.data.profile, turn.data.chosen):
            _hold_to(turn, agreed)
    return _taken(turn, request, "Start repeated before the first loop")


def _accepted(turn: Turn, request: PowerDeliveryReq) -> Agreed | Refused:
    return accept_profile(turn, request.ev_power_profile)


def _taken(turn: Turn, request: PowerDeliveryReq, reason: str | None = None) -> Accepted:
    """A profile was accepted; the code says what became of the power tolerance."""
    code = tolerance_code(turn, request.ev_power_profile)
    if code is ResponseCode.WARNING_PowerToleranceNotConfirmed:
        unconfirmed = "the EV does not confirm the power tolerance of its tuple: it is held to the tuple itself"
        reason = unconfirmed if reason is None else f"{reason}; {unconfirmed}"
    return _answer(turn, State.CHARGE_LOOP, code, reason)


def _hold_to(turn: Turn, agreed: Agreed) -> None:
    """Energy may flow by this, and by nothing that was planned before."""
    turn.data.profile, turn.data.chosen = agreed.profile, agreed.chosen
    turn.do(EnergyStart(agreed.profile))


def _flow(turn: Turn, agreed: Agreed) -> None:
    """Energy may flow, or flow again; the EV owes a loop request from now on."""
    data = turn.data
    data.renegotiation = None
    data.loops_since_start = 0
    limit_s = turn.config.timers.to_loop_s(data.loops > 0)
    data.due = Due(turn.now_s + limit_s, f"charge loop within {limit_s:g} s of Start")
    _hold_to(turn, agreed)


def _hold(turn: Turn, reason: str, standby: bool = False) -> None:
    data = turn.data
    if data.renegotiating:
        give_up(turn)
    # The time to enter the loop is counted anew from the Start that ends the hold.
    data.start_asked_s = data.due = None
    turn.do(EnergyHold(reason, standby))


def _too_late(turn: Turn) -> Refused | None:
    """An EV that only ever announces its start would hold a live outlet: its first loop must come in time."""
    data, limit_s = turn.data, turn.config.timers.ev_ongoing_s
    if (late := overdue(turn)) is not None:
        return late
    if data.start_asked_s is None:
        data.start_asked_s = turn.now_s
    if data.loops_since_start == 0 and turn.now_s - data.start_asked_s >= limit_s:
        return Refused(ResponseCode.FAILED, f"no charge loop within {limit_s:g} s of the first PowerDeliveryReq")
    return None


def _answer(
    turn: Turn, then: State, code: ResponseCode = ResponseCode.OK, reason: str | None = None
) -> Accepted:
    return Accepted(PowerDeliveryRes(turn.header(), code, evse_status(turn, then)), then, reason)
