"""How the session's commands change what the station remembers: one handler per command, no device touched.

SessionOpened and ServiceReleased are not here: each begins a new context, which may have to wait for the outlet
(`outlet.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evse_controller.model.commands import (
    AcLoopUpdate,
    AuthorizationRequested,
    CableCheckRequested,
    Command,
    ContextDropped,
    ContextKept,
    ContractAccepted,
    EnergyHold,
    EnergyStart,
    EnergyStop,
    EvDcLimits,
    LimitsNegotiated,
    LoopUpdate,
    MeterConfirmed,
    Notified,
    PreChargeRequested,
    ScheduleRequested,
    ServiceSelected,
    SessionEnded,
    WeldingDetectionRequested,
)
from evse_controller.model.snapshot import Step
from evse_controller.station.context import SessionContext, SessionFacts

QUIET = (LoopUpdate, AcLoopUpdate, PreChargeRequested)
"""Commands that come many times a second and are not journalled one by one."""

Handlers = dict[type, Callable[[Any, Any, float], None]]


def take(session: SessionContext, cmd: Command, now_s: float) -> None:
    """Let the session of a DC outlet remember `cmd`."""
    HANDLERS[type(cmd)](session, cmd, now_s)


def _nothing(session: SessionFacts, cmd: Command, now_s: float) -> None:
    """Others act on it: authorisation, store, journal."""


def _service(session: SessionFacts, cmd: ServiceSelected, now_s: float) -> None:
    session.service = cmd


def _limits(session: SessionContext, cmd: LimitsNegotiated, now_s: float) -> None:
    if isinstance(cmd.limits, EvDcLimits):  # without DC limits no cable check begins
        session.negotiated = session.ev = cmd.limits


def _schedule(session: SessionFacts, cmd: ScheduleRequested, now_s: float) -> None:
    session.state(cmd.needs)
    if cmd.needs.present_soc is not None or not cmd.renegotiation:
        session.soc, session.soc_s = cmd.needs.present_soc, now_s


def _cable_check(session: SessionContext, cmd: CableCheckRequested, now_s: float) -> None:
    if session.cable_check is not Step.RUNNING:
        session.cable_check = Step.RUNNING
        session.cable_check_requested_s = now_s
        session.precharge, session.energy_wanted, session.stop_wanted = Step.IDLE, False, None
        session.lost = None
        session.update, session.voltage_v, session.precharge_started_s = None, None, None
        session.held = session.held_s = session.started_quiet_s = None


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
    if session.update is None or session.held is not None:
        session.flow(now_s)
    if session.held is not None:
        session.held, session.update = None, None  # nothing flows before the EV asks for it again


def _loop(session: SessionContext, cmd: LoopUpdate, now_s: float) -> None:
    session.loop(cmd, now_s)


def _hold(session: SessionFacts, cmd: EnergyHold, now_s: float) -> None:
    if session.energy_wanted:
        if session.held is None and not cmd.standby:
            session.held_s = now_s
        session.held = cmd.reason


def _stop(session: SessionFacts, cmd: EnergyStop, now_s: float) -> None:
    session.stop_wanted = cmd.reason


def _welding(session: SessionContext, cmd: WeldingDetectionRequested, now_s: float) -> None:
    session.welding_asked = True


def _ended(session: SessionFacts, cmd: SessionEnded, now_s: float) -> None:
    session.open = False
    session.ended = cmd.kind


COMMON: Handlers = {
    AuthorizationRequested: _nothing,
    ContractAccepted: _nothing,
    ServiceSelected: _service,
    ScheduleRequested: _schedule,
    EnergyHold: _hold,
    EnergyStop: _stop,
    MeterConfirmed: _nothing,
    Notified: _nothing,
    ContextKept: _nothing,
    ContextDropped: _nothing,
    SessionEnded: _ended,
}
"""The same at every outlet."""

HANDLERS: Handlers = {
    **COMMON,
    LimitsNegotiated: _limits,
    CableCheckRequested: _cable_check,
    PreChargeRequested: _precharge,
    EnergyStart: _start,
    LoopUpdate: _loop,
    AcLoopUpdate: _nothing,
    WeldingDetectionRequested: _welding,
}
