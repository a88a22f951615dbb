"""PowerDelivery(Start) of an AC service: the answer waits for the contactor, 1.4 s at most.

The response says nothing but done or failed, so it is held back until one of both is known. What counts is that the
contactor is closed, not that it has just closed: one that stayed closed through a hold is done at once.
"""

from __future__ import annotations

from collections.abc import Callable

from evse_controller.messages.base import Message
from evse_controller.messages.generated.common_messages import PowerDeliveryReq, PowerDeliveryRes
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model.commands import EnergyStart
from evse_controller.model.snapshot import Step
from evse_controller.secc.iso20.ending import evse_status, station_ends
from evse_controller.secc.iso20.states import Accepted, Answer, Handler, Pending, Refused, Turn
from evse_controller.secc.iso20.timers import SNAPSHOT_SETTLE_S


def once_closed(start: Handler) -> Handler:
    """`start` with its answer held back while the contactor that it asked for is not closed."""

    def handler(turn: Turn, request: PowerDeliveryReq) -> Answer:
        memory = turn.data.ac
        if memory.held is None:
            answer = start(turn, request)
            if not isinstance(answer, Accepted) or not any(isinstance(done, EnergyStart) for done in turn.commands):
                return answer
            memory.held, memory.contactor_asked_s = answer, turn.now_s
            memory.contactor_before = turn.snapshot.contactor
        elif station_ends(turn.snapshot) is not None:
            # It wants to end instead of closing: the same request is answered as if it had come now.
            memory.held = None
            return start(turn, request)
        waits = _contactor(turn)
        if isinstance(waits, Pending):
            return waits
        held, memory.held = memory.held, None
        if waits is not None:
            return waits
        response = held.response
        assert isinstance(response, PowerDeliveryRes)
        response.header, response.evse_status = turn.header(), evse_status(turn, held.next_state)
        return held

    return handler


def loop_once_closed(start: Callable[[Turn], Refused | None], loop: Handler) -> Handler:
    """A first loop request that counts as Start waits for the contactor as Start does, and is then served."""

    def handler(turn: Turn, request: Message) -> Answer:
        memory = turn.data.ac
        if not memory.entering:
            if (refused := start(turn)) is not None:
                return refused
            memory.entering, memory.contactor_asked_s = True, turn.now_s
            memory.contactor_before = turn.snapshot.contactor
        elif (ending := station_ends(turn.snapshot)) is not None:
            return Refused(ResponseCode.FAILED, ending)
        waits = _contactor(turn)
        if isinstance(waits, Pending):
            return waits
        memory.entering = False
        return loop(turn, request) if waits is None else waits

    return handler


def _contactor(turn: Turn) -> Pending | Refused | None:
    """None: it is closed."""
    memory, step, limit_s = turn.data.ac, turn.snapshot.contactor, turn.config.timers.contactor_s
    assert memory.contactor_asked_s is not None
    waited_s = turn.now_s - memory.contactor_asked_s
    if step is Step.DONE:
        return None
    # A failure that stood there before we asked belongs to another try.
    fresh = step is not memory.contactor_before or waited_s >= SNAPSHOT_SETTLE_S
    pilot = f", pilot in state {turn.snapshot.pilot.value}"
    if step is Step.FAILED and fresh:
        return Refused(ResponseCode.FAILED_ContactorError, f"the contactor did not close{pilot}")
    if waited_s >= limit_s:
        return Refused(ResponseCode.FAILED_ContactorError, f"contactor not closed within {limit_s:g} s{pilot}")
    return Pending()


def nothing_first(turn: Turn) -> Refused | None:
    """Before an AC contactor closes nothing has to be prepared; whether it closes is seen afterwards."""
    return None
