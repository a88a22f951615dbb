"""How the session's commands change what the station remembers: one handler per command, no device touched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evse_controller.model.commands import (
    AuthorizationRequested,
    CableCheckRequested,
    Command,
    EnergyStart,
    EnergyStop,
    LimitsNegotiated,
    LoopUpdate,
    PreChargeRequested,
    ScheduleRequested,
    ServiceSelected,
    SessionEnded,
    SessionOpened,
    WeldingDetectionRequested,
)
from evse_controller.model.snapshot import Step
from evse_controller.station.context import SessionContext

QUIET = (LoopUpdate, PreChargeRequested)
"""Commands that come many times a second and are not journalled one by one."""


def take(session: SessionContext, cmd: Command, now_s: float) -> SessionContext:
    """Apply `cmd`; returns the session that holds from now on (a new one for SessionOpened)."""
    handler: Callable[[SessionContext, Any, float], SessionContext | None] = HANDLERS[type(cmd)]
    return handler(session, cmd, now_s) or session


def _opened(session: SessionContext, cmd: SessionOpened, now_s: float) -> SessionContext:
    return SessionContext(session_id=cmd.session_id, evccid=cmd.evccid, open=True)


def _nothing(session: SessionContext, cmd: AuthorizationRequested, now_s: float) -> None:
    return None


def _service(session: SessionContext, cmd: ServiceSelected, now_s: float) -> None:
    session.service = cmd


def _limits(session: SessionContext, cmd: LimitsNegotiated, now_s: float) -> None:
    session.negotiated = session.ev = cmd.limits


def _schedule(session: SessionContext, cmd: ScheduleRequested, now_s: float) -> None:
    session.state(cmd.needs)
    session.soc = cmd.needs.present_soc


def _cable_check(session: SessionContext, cmd: CableCheckRequested, now_s: float) -> None:
    if session.cable_check is not Step.RUNNING:
        session.cable_check = Step.RUNNING
        session.cable_check_requested_s = now_s
        session.precharge, session.energy_wanted, session.stop_wanted = Step.IDLE, False, None
        session.update, session.voltage_v, session.precharge_started_s = None, None, None


def _precharge(session: SessionContext, cmd: PreChargeRequested, now_s: float) -> None:
    if cmd.target_voltage_v != session.precharge_target_v and session.precharge is Step.DONE:
        session.precharge = Step.RUNNING
        session.precharge_started_s = now_s
    session.precharge_target_v = cmd.target_voltage_v
    if session.precharge is Step.IDLE:
        session.precharge = Step.RUNNING
        session.precharge_started_s = now_s


def _start(session: SessionContext, cmd: EnergyStart, now_s: float) -> None:
    session.energy_wanted = True


def _loop(session: SessionContext, cmd: LoopUpdate, now_s: float) -> None:
    session.loop(cmd, now_s)


def _stop(session: SessionContext, cmd: EnergyStop, now_s: float) -> None:
    session.stop_wanted = cmd.reason


def _welding(session: SessionContext, cmd: WeldingDetectionRequested, now_s: float) -> None:
    session.welding_asked = True


def _ended(session: SessionContext, cmd: SessionEnded, now_s: float) -> None:
    session.open = False
    session.ended = cmd.kind


HANDLERS: dict[type, Callable[[SessionContext, Any, float], SessionContext | None]] = {
    SessionOpened: _opened,
    AuthorizationRequested: _nothing,
    ServiceSelected: _service,
    LimitsNegotiated: _limits,
    ScheduleRequested: _schedule,
    CableCheckRequested: _cable_check,
    PreChargeRequested: _precharge,
    EnergyStart: _start,
    LoopUpdate: _loop,
    EnergyStop: _stop,
    WeldingDetectionRequested: _welding,
    SessionEnded: _ended,
}
