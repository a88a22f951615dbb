"""What the station remembers of one session at an AC outlet, and how each command changes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evse_controller.model.commands import (
    AcLoopUpdate,
    CableCheckRequested,
    Command,
    EnergyStart,
    EvAcLimits,
    LimitsNegotiated,
    LoopUpdate,
    PreChargeRequested,
    WeldingDetectionRequested,
)
from evse_controller.model.snapshot import Step
from evse_controller.safety import thresholds as t
from evse_controller.station.commands import COMMON, Handlers
from evse_controller.station.context import SessionFacts


@dataclass(slots=True)
class AcContext(SessionFacts):
    """A session at an AC outlet. `contactor`: what EnergyStart (at `started_s`) asked for; `update`: the newest loop
    request, received at `update_s`; `ev`: the EV's newest limits; `three_phases`: it was seen to load all of
    them."""

    ev: EvAcLimits | None = None
    contactor: Step = Step.IDLE
    started_s: float = 0.0
    update: AcLoopUpdate | None = None
    update_s: float = 0.0
    three_phases: bool = False

    def load(self, powers_w: Sequence[float]) -> None:
        """What the meter says of each phase: an EV that loads all three means three, until it loads one alone."""
        loads = sorted(abs(power_w) for power_w in powers_w)
        if not self.open or len(loads) < 3 or loads[2] <= t.ONE_PHASE_W:
            return
        if loads[0] > t.ONE_PHASE_W:
            self.three_phases = True
        elif loads[1] < t.ONE_PHASE_SHARE * loads[2]:
            self.three_phases = False

    def fail_steps(self) -> None:
        """A requested hardware step can no longer succeed."""
        self.energy_wanted = False
        if self.contactor is Step.RUNNING:
            self.contactor = Step.FAILED
        elif self.contactor is Step.DONE:
            self.contactor = Step.IDLE


def take(session: AcContext, cmd: Command, now_s: float) -> None:
    """Let the session of an AC outlet remember `cmd`."""
    HANDLERS[type(cmd)](session, cmd, now_s)


def _limits(session: AcContext, cmd: LimitsNegotiated, now_s: float) -> None:
    if isinstance(cmd.limits, EvAcLimits):  # without AC limits the contactor stays open
        session.ev = cmd.limits


def _start(session: AcContext, cmd: EnergyStart, now_s: float) -> None:
    if session.contactor is not Step.RUNNING and not session.energy_wanted:
        session.started_s = now_s
        session.contactor = Step.RUNNING
        session.update = session.started_quiet_s = None
    if session.update is None or session.held is not None:
        session.flow(now_s)
    session.energy_wanted, session.stop_wanted = True, None
    if session.held is not None:
        session.held, session.update = None, None


def _loop(session: AcContext, cmd: AcLoopUpdate, now_s: float) -> None:
    session.update, session.update_s, session.ev = cmd, now_s, cmd.limits
    session.heard()
    if cmd.needs is not None:
        session.state(cmd.needs)
    session.show(cmd.soc, now_s)


def _not_here(session: AcContext, cmd: Command, now_s: float) -> None:
    """Steps of a DC session; an AC outlet has nothing to do for them."""


HANDLERS: Handlers = {
    **COMMON,
    LimitsNegotiated: _limits,
    EnergyStart: _start,
    AcLoopUpdate: _loop,
    LoopUpdate: _not_here,
    CableCheckRequested: _not_here,
    PreChargeRequested: _not_here,
    WeldingDetectionRequested: _not_here,
}
