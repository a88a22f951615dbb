"""Pause and resume: what is kept while the EV sleeps, and who may come back to it.

A paused session is bound to the vehicle certificate; whoever asks for it without that certificate gets a new session,
without a word about the old one [V2G20-2545].
"""

from __future__ import annotations

import hashlib
import hmac

from evse_controller.messages.generated.common_messages import SessionSetupReq
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model.commands import ContextDropped, ContextKept, ControlMode, PausedSession
from evse_controller.model.offer import PowerProfile
from evse_controller.secc.iso20.catalogue import offered_set, value_added_services
from evse_controller.secc.iso20.data import NO_SESSION_ID, OfferedSet, SentTuple
from evse_controller.secc.iso20.ending import pause_fault
from evse_controller.secc.iso20.states import Refused, Turn


def binding(session_id: bytes, certificate_sha512: bytes) -> str:
    """SHA-512 over the session id and the SHA-512 of the vehicle's leaf certificate, in hex [V2G20-2630]."""
    return hashlib.sha512(session_id + certificate_sha512).hexdigest()


def keep(turn: Turn) -> Refused | None:
    """Writes the session down, or says why it cannot be paused."""
    data, certificate = turn.data, turn.around.peer.certificate_sha512
    why = pause_fault(turn) or _untimely(turn)
    if why is not None:
        return Refused(ResponseCode.FAILED_PauseNotAllowed, why)
    assert certificate is not None  # pause_fault found it
    turn.do(
        ContextKept(
            PausedSession(
                session_id=data.session_id.hex().upper(),
                binding=binding(data.session_id, certificate),
                evccid=data.evccid,
                protocol=turn.protocol,
                service_id=data.selection.service_id,
                parameter_set_id=data.selection.parameter_set_id,
                offered=tuple(sorted(data.offered)),
                paused_utc_s=turn.snapshot.utc_s,
                value_added=data.value_added,
                contract_der=data.contract_der,
            )
        )
    )
    return None


def join(turn: Turn, request: SessionSetupReq) -> PausedSession | None:
    """The paused session that this EV may go on with; its service and offers are remembered by then."""
    asked, certificate = request.header.session_id, turn.around.peer.certificate_sha512
    if asked == NO_SESSION_ID or certificate is None or not turn.config.pause:
        return None
    paused = turn.around.paused(asked.hex().upper())
    if paused is None or not hmac.compare_digest(paused.binding, binding(asked, certificate)):
        return None
    if paused.protocol != turn.protocol:
        return None
    offered = _offers(turn, paused)
    selected = offered.get((paused.service_id, paused.parameter_set_id))
    if selected is None:
        return None  # the outlet has changed meanwhile and does not offer this any more
    turn.data.offered, turn.data.selected = offered, selected
    turn.data.value_added = _extra(turn, paused)
    turn.data.contract_der = paused.contract_der  # who pays is who paid before
    turn.data.offered_extra.update(turn.data.value_added)
    return paused


def gone_on(turn: Turn) -> None:
    """A session that was joined has got somewhere, or is over for good: nobody comes back to what was paused.

    Until then a connection that breaks costs nothing, and the EV may join again.
    """
    if turn.data.kept:
        turn.data.kept = False
        turn.do(ContextDropped(turn.data.session_id.hex().upper()))


def _offers(turn: Turn, paused: PausedSession) -> dict[tuple[int, int], OfferedSet]:
    """What of the paused session's offers still stands, with what it means by today's configuration."""
    found = ((pair, offered_set(turn.config, turn.snapshot, *pair)) for pair in paused.offered)
    return {pair: entry for pair, entry in found if entry is not None}


def _extra(turn: Turn, paused: PausedSession) -> tuple[tuple[int, int], ...]:
    """The value-added services that were chosen, as far as they are still offered: without one energy flows on."""
    known = {(service.service_id, each) for service in value_added_services(turn.config) for each in service.sets}
    return tuple(pair for pair in paused.value_added if pair in known)


def _untimely(turn: Turn) -> str | None:
    """Why a pause is not due: Scheduled mode needs a planned 0 W, Dynamic mode our own word for it."""
    data = turn.data
    leaving_s = turn.now_s if data.stopped_s is None else data.stopped_s
    if data.pause_until_s is not None and leaving_s <= data.pause_until_s:
        return None
    if data.selection.control_mode is ControlMode.DYNAMIC:
        return "in dynamic control the station says when to pause, and it does not"
    if data.profile is None:
        return "nothing was planned yet that could be paused"
    power_w = _planned_w(data.profile, data.chosen, turn.snapshot.utc_s)
    return None if power_w == 0 else f"the EV's profile says {power_w:g} W now"


def _planned_w(profile: PowerProfile, chosen: SentTuple | None, utc_s: float) -> float:
    """What the EV plans for now; beyond the end of its plan, nothing. Without a profile it plans its tuple's caps."""
    into_s = utc_s - profile.anchor_utc_s
    if profile.slots:
        for slot in profile.slots:
            if into_s < slot.duration_s:
                return slot.power_w
            into_s -= slot.duration_s
        return 0.0
    caps = () if chosen is None else (*chosen.charging, *(chosen.discharging or ()))
    return max((cap.power_w for cap in caps if cap.start_s <= into_s < cap.end_s), default=0.0)
