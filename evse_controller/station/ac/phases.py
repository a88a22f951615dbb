"""The phase machine of one AC outlet: which phase holds, and whether the contactor should be closed.

    phase        leaves to          when
    idle         connected          pilot B, C or D
    connected    idle               pilot A
                 closing            PowerDelivery(Start), limits known, nothing wrong
    closing      energy             contactor fed back closed
                 ramp-down          not within 1.4 s of Start (the step FAILED), or the session is over: contactor
                                    commanded open at once, the EV was told of no power
    energy       hold               the session holds: told zero, contactor closed
    hold         energy             PowerDelivery(Start) again
    energy, hold ramp-down          stop wanted by the EV, session over, 20 s after a stop that the EV did not heed, or
                                    something (pilot B) opened the contactor
    ramp-down    connected          contactor open: at zero current, at pilot B, or after 5 s whatever flows
    any          emergency          an EMERGENCY fault: contactor opens at once
    emergency    connected          no EMERGENCY fault is left in the book
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from evse_controller.model.commands import AcLoopUpdate, Command, EnergyStart
from evse_controller.model.fault import Fault, FaultCode
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import AcRatings, EvseSnapshot, Step
from evse_controller.safety import AcPhase
from evse_controller.safety import thresholds as t
from evse_controller.station.ac import context
from evse_controller.station.ac.actuator import AcActuator
from evse_controller.station.ac.config import AcOutletDevices, AcStationConfig
from evse_controller.station.ac.context import AcContext
from evse_controller.station.ac.told import ToldLimits
from evse_controller.station.ac.view import AcView, ZeroPhases
from evse_controller.station.outlet import OutletBase
from evse_controller.station.view import Failure
from hal.api import Contact

SERVING = (AcPhase.CLOSING, AcPhase.ENERGY, AcPhase.HOLD)
AT_REST = (AcPhase.IDLE, AcPhase.CONNECTED)
"""Contactor open: the phases in which a new session may take the outlet over."""


class AcPhaseMachine(OutletBase[AcContext]):
    """Phases and sequences of one AC outlet; `AcStation` is its public side."""

    def __init__(self, config: AcStationConfig, devices: AcOutletDevices, latched: tuple[Fault, ...] = ()) -> None:
        super().__init__(latched)
        self.config = config
        self._devices = devices
        self._actuator: AcActuator = AcActuator(devices.mcu)
        self._phase = AcPhase.IDLE
        self._phase_since_s = 0.0
        self._zero: ZeroPhases | None = None
        self._told = ToldLimits()
        self._telling = (0.0, 0.0)  # what the newest snapshot says of charge and discharge
        self._unscheduled = (0.0, 0.0)  # the same without what the schedule says
        self._cable_a: float | None = None
        self._fed_back = False
        self._transitions: dict[AcPhase, Callable[[AcView], AcPhase | Failure | None]] = {
            AcPhase.IDLE: self._from_idle,
            AcPhase.CONNECTED: self._from_connected,
            AcPhase.CLOSING: self._from_closing,
            AcPhase.ENERGY: self._from_energy,
            AcPhase.HOLD: self._from_hold,
            AcPhase.RAMP_DOWN: self._from_ramp_down,
            AcPhase.EMERGENCY: self._from_emergency,
        }

    # -- what the base asks ----------------------------------------------------------------------------------

    def _fresh(self) -> AcContext:
        return AcContext()

    def _retold(self, snapshot: EvseSnapshot) -> EvseSnapshot:
        return replace(snapshot, contactor=self._newest.contactor)

    def _handle(self, session: AcContext, cmd: Command) -> None:
        if isinstance(cmd, EnergyStart) and session is self._session and session.stop_wanted and self._serving:
            self._enter(AcPhase.RAMP_DOWN)  # the stop of this same step comes first: Start closes what it has opened
        context.take(session, cmd, self._now_s)
        if isinstance(cmd, AcLoopUpdate) and session is self._session:
            self._told.tell(*self._told_by(cmd), self._now_s)  # the answer to it carries the newest snapshot

    def _told_by(self, cmd: AcLoopUpdate) -> tuple[float, float]:
        """What the EV may do after the answer to `cmd`. By its schedule it may as far as its clock is excused; what
        holds beside the schedule binds as soon as a target says so, and for discharge in any case."""
        if cmd.by_schedule_w is None:
            return self._telling
        charge_w, discharge_w = cmd.by_schedule_w
        most_charge_w, most_discharge_w = self._unscheduled
        return min(charge_w, most_charge_w) if cmd.target_told else charge_w, min(discharge_w, most_discharge_w)

    @property
    def _phase_name(self) -> str:
        return self._phase.value

    @property
    def _at_rest(self) -> bool:
        return self._phase in AT_REST

    @property
    def _unplugged(self) -> bool:
        return self._phase is AcPhase.IDLE

    @property
    def _serving(self) -> bool:
        return self._phase in SERVING

    def _emergency(self) -> None:
        self._enter(AcPhase.EMERGENCY)

    @property
    def _ratings(self) -> AcRatings:
        """Of the outlet with the cable that is plugged in."""
        return self.config.ratings(self._cable_a)

    # -- transitions -----------------------------------------------------------------------------------------

    def _enter(self, phase: AcPhase) -> None:
        if phase is self._phase:
            return
        self._event("phase", f"{self._phase.value} -> {phase.value}", to=phase.value)
        self._phase, self._phase_since_s = phase, self._now_s
        if phase is AcPhase.CLOSING:
            self._fed_back = False
            self._told.restart(self._now_s)
        if phase is AcPhase.HOLD:
            self._told.tell(0.0, 0.0, self._now_s)  # the answer that led here says so
        if phase in (AcPhase.RAMP_DOWN, AcPhase.EMERGENCY):
            self._session.fail_steps()
            self._zero = ZeroPhases(self.config.zero_samples, self._now_s)
        if phase in AT_REST:
            self._rest()

    def _next_phase(self, view: AcView) -> None:
        for _ in AcPhase:  # at most one pass through every phase in a step
            result = self._transitions[self._phase](view)
            if isinstance(result, tuple):
                self._raise(result, True)
                return
            if result is None:
                return
            self._enter(result)

    def _from_idle(self, view: AcView) -> AcPhase | None:
        return AcPhase.CONNECTED if view.pilot.connected else None

    def _from_connected(self, view: AcView) -> AcPhase | None:
        if view.pilot is PilotState.A:
            return AcPhase.IDLE
        session = self._session
        if session.contactor is Step.RUNNING and session.open:
            if session.ev is not None and self._stopping is None and self._book.worst() is None:
                return AcPhase.CLOSING
            session.fail_steps()
        return None

    def _must_stop(self, view: AcView) -> bool:
        if self._session.stop_wanted is not None or not self._session.open:
            return True
        if self._stopping is None:
            return False
        return self._phase is not AcPhase.ENERGY or view.now_s - self._stopping_since_s > t.STOP_ESCALATION_S

    def _from_closing(self, view: AcView) -> AcPhase | None:
        session = self._session
        if self._must_stop(view):
            return AcPhase.RAMP_DOWN
        if self._actuator.contactors and view.contact is Contact.CLOSED:
            session.contactor, self._fed_back = Step.DONE, True
            return AcPhase.ENERGY
        waited_s = view.now_s - session.started_s
        if waited_s <= t.CONTACTOR_CLOSE_S:
            return None
        # a contactor that does not obey its command is found by safety in this same step
        self._event("refused", f"contactor not closed {waited_s:.1f} s after Start, pilot {view.pilot.value}")
        return AcPhase.RAMP_DOWN

    def _from_energy(self, view: AcView) -> AcPhase | Failure | None:
        session = self._session
        if self._must_stop(view) or not self._actuator.contactors:
            return AcPhase.RAMP_DOWN
        if session.held is not None:
            return AcPhase.HOLD
        heard_s = None if session.update is None else session.update_s
        silence = session.silence(view.now_s, heard_s, self.config.loop_timeout_s)
        if silence is not None:
            return (FaultCode.EV_SILENT, "ev", silence)
        return None

    def _from_hold(self, view: AcView) -> AcPhase | Failure | None:
        if self._must_stop(view) or not self._actuator.contactors:
            return AcPhase.RAMP_DOWN
        if self._session.held is None:
            return AcPhase.ENERGY
        too_long = self._session.overheld(view.now_s)
        return None if too_long is None else (FaultCode.EV_SILENT, "ev", too_long)

    def _from_ramp_down(self, view: AcView) -> AcPhase | None:
        open_now = not self._actuator.contactors and view.contact is Contact.OPEN
        return AcPhase.CONNECTED if open_now else None

    def _from_emergency(self, view: AcView) -> AcPhase | None:
        self._newest.fail_steps()  # also what is asked for while the emergency lasts
        return None if self._book.emergency is not None else AcPhase.CONNECTED

    # -- output ----------------------------------------------------------------------------------------------

    def _closed_wanted(self, view: AcView) -> bool:
        """Whether the contactor should be closed now. The Permit has the last word."""
        if self._phase is AcPhase.CLOSING:
            return view.pilot.ready
        if self._phase in (AcPhase.ENERGY, AcPhase.HOLD):
            return self._actuator.contactors  # what something opened is not closed again without Start
        if self._phase is AcPhase.RAMP_DOWN and self._zero is not None:
            waited = view.now_s - self._phase_since_s >= t.AC_OPEN_S
            return self._fed_back and self._actuator.contactors and not waited and not self._zero.measured(view)
        return False
