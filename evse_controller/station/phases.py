"""The phase machine of one DC outlet: which phase holds, and what it asks of the outputs.

One control step: read devices -> `_next_phase` (table `_transitions`, until nothing changes) -> safety verdict ->
faults -> `_demand` (table `_demands`) -> actuator -> snapshot and status -> heartbeat. A step that raises does not
reach the heartbeat, and the pilot board then opens the contactors by itself.

    phase        leaves to          when
    idle         connected          pilot B, C or D
    connected    idle               pilot A
                 cable-check        the session asked for it, limits known
    cable-check  precharge          tested, session asked for pre-charge
    precharge    energy             outlet matched the EV's voltage, PowerDelivery(Start)
    energy       hold               the session holds: zero current, modules off, contactors closed
    hold         energy             PowerDelivery(Start) again
    (these 4)    ramp-down          stop wanted by EV, station or a STOP fault; session over; B.11 escalation
    ramp-down    welding            zero current measured, modules off, contactors open
    welding      discharge          session over, unplugged, asked for another cable check, or 60 s
    discharge    connected          link below 60 V; a session opened meanwhile takes the outlet over here
    any          emergency          an EMERGENCY fault: stop frame, then contactors, without waiting
    emergency    discharge          no EMERGENCY fault is left in the book
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from evse_controller.model.commands import CableCheckRequested, Command
from evse_controller.model.fault import Fault, FaultCode
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import EvseSnapshot, Step
from evse_controller.model.wish import EnergyWish
from evse_controller.safety import Phase, Verdict, envelope
from evse_controller.safety import thresholds as t
from evse_controller.station import commands, report, setpoint
from evse_controller.station.actuator import ALL_OFF, Actuator, Demand
from evse_controller.station.cable_check import CableCheck
from evse_controller.station.config import OutletDevices, StationConfig
from evse_controller.station.context import SessionContext
from evse_controller.station.direction import DirectionChange, Hold, RampDown
from evse_controller.station.outlet import OutletBase
from evse_controller.station.view import Failure, View
from hal.api import PowerMode

SESSION_PHASES = (Phase.CABLE_CHECK, Phase.PRECHARGE, Phase.ENERGY, Phase.HOLD)
AT_REST = (Phase.IDLE, Phase.CONNECTED)
"""Contactors open and link discharged: the phases in which a new session may take the outlet over."""


class PhaseMachine(OutletBase[SessionContext]):
    """Phases and sequences of one DC outlet; `Station` is its public side."""

    def __init__(self, config: StationConfig, devices: OutletDevices, latched: tuple[Fault, ...] = ()) -> None:
        super().__init__(latched)
        self.config = config
        self._devices = devices
        self._actuator: Actuator = Actuator(devices.mcu, devices.supply, devices.isolation)
        self._phase = Phase.IDLE
        self._phase_since_s = 0.0
        self._check: CableCheck | None = None
        self._change: DirectionChange | None = None
        self._changed_s = 0.0
        self._ramp_down: RampDown | None = None
        self._hold: Hold | None = None
        self._ramp = setpoint.Ramp(config.ramp_up_a_per_s)
        self._wanted_a = 0.0
        self._transitions: dict[Phase, Callable[[View], Phase | Failure | None]] = {
            Phase.IDLE: self._from_idle,
            Phase.CONNECTED: self._from_connected,
            Phase.CABLE_CHECK: self._from_cable_check,
            Phase.PRECHARGE: self._from_precharge,
            Phase.ENERGY: self._from_energy,
            Phase.HOLD: self._from_hold,
            Phase.RAMP_DOWN: self._from_ramp_down,
            Phase.WELDING: self._from_welding,
            Phase.DISCHARGE: self._from_discharge,
            Phase.EMERGENCY: self._from_emergency,
        }

    # -- what the base asks ----------------------------------------------------------------------------------

    def _fresh(self) -> SessionContext:
        return SessionContext()

    def _retold(self, snapshot: EvseSnapshot) -> EvseSnapshot:
        return replace(snapshot, cable_check=self._newest.cable_check, precharge=self._newest.precharge)

    def _handle(self, session: SessionContext, cmd: Command) -> None:
        anew = isinstance(cmd, CableCheckRequested) and session.cable_check is not Step.RUNNING
        if anew and session is self._session and session.stop_wanted and self._serving:
            self._enter(Phase.RAMP_DOWN)  # the stop of this same step comes first: the check begins when it is done
        commands.take(session, cmd, self._now_s)

    @property
    def _phase_name(self) -> str:
        return self._phase.value

    @property
    def _at_rest(self) -> bool:
        return self._phase in AT_REST

    @property
    def _unplugged(self) -> bool:
        return self._phase is Phase.IDLE

    @property
    def _serving(self) -> bool:
        return self._phase in SESSION_PHASES

    def _emergency(self) -> None:
        self._enter(Phase.EMERGENCY)

    # -- transitions -----------------------------------------------------------------------------------------

    def _enter(self, phase: Phase) -> None:
        if phase is self._phase:
            return
        self._event("phase", f"{self._phase.value} -> {phase.value}", to=phase.value)
        self._phase, self._phase_since_s = phase, self._now_s
        self._change = None
        if phase is not Phase.ENERGY:
            self._ramp.reset()
        if phase is Phase.CABLE_CHECK:
            self._start_cable_check()
        if phase in (Phase.RAMP_DOWN, Phase.EMERGENCY):
            self._note_loss()
        if phase is Phase.RAMP_DOWN:
            self._session.fail_steps()
            self._ramp_down = RampDown(self._now_s, self.config.zero_samples)
        if phase is Phase.HOLD:
            self._hold = Hold(self._now_s, self.config.zero_samples)
        if phase in AT_REST:
            self._check = self._ramp_down = None
            self._rest()

    def _note_loss(self) -> None:
        """Contactors that open without a stop (pilot B in a hold, an emergency that is soon over) leave the EV in a
        session that thinks it has power: Start repeats neither cable check nor pre-charge."""
        session = self._session
        if session.open and session.energy_wanted and session.stop_wanted is None and self._stopping is None:
            session.lost = "the contactors had to open: they close again only in a new session"

    def _start_cable_check(self) -> None:
        negotiated = self._session.negotiated
        assert negotiated is not None  # `_from_connected` entered only with limits
        ratings = report.hardware_ratings(self.config, self._devices.supply.capability())
        self._check = CableCheck(
            self._session.cable_check_requested_s or self._now_s,
            envelope.cable_test_voltage(negotiated.max_voltage_v, ratings.max_voltage_v),
            envelope.isolation_threshold_ohm(ratings.max_voltage_v, self.config.mcs),
            self.config.isolation_response_s,
        )

    def _next_phase(self, view: View) -> None:
        for _ in Phase:  # at most one pass through every phase in a step
            result = self._transitions[self._phase](view)
            if isinstance(result, tuple):
                self._raise(result, True)
                return
            if result is None:
                return
            self._enter(result)

    def _from_idle(self, view: View) -> Phase | None:
        return Phase.CONNECTED if view.pilot_connected else None

    def _from_connected(self, view: View) -> Phase | None:
        if view.mcu is not None and view.mcu.pilot is PilotState.A:
            return Phase.IDLE
        session = self._session
        if session.cable_check is Step.RUNNING and session.open:
            if session.negotiated is not None and self._stopping is None and self._book.worst() is None:
                return Phase.CABLE_CHECK
            session.fail_steps()
        return None

    def _must_stop(self, view: View) -> bool:
        session = self._session
        if session.stop_wanted is not None or not session.open:
            return True
        if self._closed_before() and not self._actuator.contactors:
            return True  # something opened them: only a new cable check may close them again
        if self._stopping is None:
            return False
        return self._phase is not Phase.ENERGY or view.now_s - self._stopping_since_s > t.STOP_ESCALATION_S

    def _closed_before(self) -> bool:
        return self._phase is not Phase.CABLE_CHECK or (self._check is not None and self._check.closed)

    def _from_cable_check(self, view: View) -> Phase | Failure | None:
        if self._must_stop(view) or (not view.pilot_connected and not self._actuator.contactors):
            return Phase.RAMP_DOWN
        assert self._check is not None  # set on entering
        failure = self._check.advance(view)
        if failure is not None:
            return failure
        if self._check.done:
            self._session.cable_check = Step.DONE
            if self._session.precharge is Step.RUNNING:
                return Phase.PRECHARGE
        return None

    def _from_precharge(self, view: View) -> Phase | Failure | None:
        session = self._session
        if self._must_stop(view):
            return Phase.RAMP_DOWN
        started = self._phase_since_s if session.precharge_started_s is None else session.precharge_started_s
        gap = None if view.meter is None else abs(view.meter.voltage_v - session.precharge_target_v)
        fresh = view.meter is not None and view.meter.at_s > started
        if fresh and gap is not None and gap <= t.PRECHARGE_MATCH_V:
            session.precharge = Step.DONE
        if session.precharge is Step.DONE:
            return Phase.ENERGY if session.energy_wanted else None
        if view.now_s - started > t.PRECHARGE_S:
            volts = "unknown" if view.meter is None else f"{view.meter.voltage_v:.0f} V"
            cause = f"outlet at {volts}, EV wants {session.precharge_target_v:.0f} V"
            return (FaultCode.PRECHARGE_TIMEOUT, "station", cause)
        return None

    def _from_energy(self, view: View) -> Phase | Failure | None:
        session = self._session
        if self._must_stop(view):
            return Phase.RAMP_DOWN
        if session.held is not None:
            return Phase.HOLD
        heard_s = None if session.update is None else session.update_s
        silence = session.silence(view.now_s, heard_s, self.config.loop_timeout_s)
        if silence is not None:
            return (FaultCode.EV_SILENT, "ev", silence)
        if self._change is not None:
            failure = self._change.advance(view, self._actuator)
            if failure is not None:
                return failure
            if self._change.sub.value == "done":
                self._event("direction", f"working mode {self._change.wanted.value} confirmed")
                self._change, self._changed_s = None, view.now_s
        return None

    def _from_hold(self, view: View) -> Phase | Failure | None:
        if self._must_stop(view):
            return Phase.RAMP_DOWN
        if self._session.held is None:
            return Phase.ENERGY
        if (too_long := self._session.overheld(view.now_s)) is not None:
            return (FaultCode.EV_SILENT, "ev", too_long)
        assert self._hold is not None  # set on entering
        return self._hold.advance(view, self._actuator)

    def _from_ramp_down(self, view: View) -> Phase | Failure | None:
        assert self._ramp_down is not None  # set on entering
        failure = self._ramp_down.advance(view, self._actuator)
        if failure is not None:
            return failure
        return Phase.WELDING if self._ramp_down.done else None

    def _from_welding(self, view: View) -> Phase | None:
        session = self._session
        again = session.cable_check is Step.RUNNING
        over = view.now_s - self._phase_since_s > t.WELDING_S
        return Phase.DISCHARGE if not session.open or not view.pilot_connected or again or over else None

    def _from_discharge(self, view: View) -> Phase | Failure | None:
        if view.link_safe:
            if not view.outlet_safe and view.meter is not None:
                volts = view.meter.voltage_v
                self._event("device", f"outlet still at {volts:.0f} V behind open contactors: EV contactors closed?")
            return Phase.CONNECTED
        if view.now_s - self._phase_since_s > t.DISCHARGE_S:
            return self._why_live(view)
        return None

    def _why_live(self, view: View) -> Failure:
        link = None if view.power is None else view.power.voltage_v
        outlet = None if view.meter is None else view.meter.voltage_v
        if link is not None and outlet is not None and abs(link - outlet) < t.MATCH_VOLTAGE_V:
            cause = f"link {link:.0f} V follows the outlet {outlet:.0f} V with contactors commanded open"
            return (FaultCode.CONTACTOR_WELDED, "station", cause)
        seen = "unknown" if link is None else f"{link:.0f} V"
        return (FaultCode.DISCHARGE_TIMEOUT, "power", f"link {seen} after {t.DISCHARGE_S:.0f} s")

    def _from_emergency(self, view: View) -> Phase | None:
        self._newest.fail_steps()  # also what is asked for while the emergency lasts
        return None if self._book.emergency is not None else Phase.DISCHARGE

    # -- outputs ---------------------------------------------------------------------------------------------

    def _monitor_isolation(self, now_s: float) -> None:
        check, phase = self._check, self._phase
        tested = phase in (Phase.PRECHARGE, Phase.ENERGY, Phase.HOLD, Phase.RAMP_DOWN) and self._actuator.contactors
        testing = phase is Phase.CABLE_CHECK and check is not None and check.measuring
        self._actuator.set_measuring(tested or testing, now_s)

    def _demand(self, view: View, verdict: Verdict, wish: EnergyWish) -> Demand:
        phase = self._phase
        self._wanted_a = 0.0
        if phase is Phase.CABLE_CHECK and self._check is not None:
            return self._check.demand()
        if phase is Phase.PRECHARGE:
            volts = self._session.precharge_target_v
            return Demand(contactors=True, on=True, voltage_v=volts, current_a=t.SMALL_CURRENT_A)
        if phase is Phase.ENERGY:
            return self._energy(view, verdict, wish)
        if phase is Phase.HOLD and self._hold is not None:
            return self._hold.demand(self._actuator)
        if phase is Phase.RAMP_DOWN and self._ramp_down is not None:
            return self._ramp_down.demand(self._actuator)
        return ALL_OFF

    def _energy(self, view: View, verdict: Verdict, wish: EnergyWish) -> Demand:
        permit, mode, session = verdict.permit, self._actuator.mode, self._session
        volts = 1.0 if view.meter is None else view.meter.voltage_v
        self._wanted_a = setpoint.wanted_current_a(session, wish, volts)
        target = setpoint.clip_a(self._wanted_a, permit)
        ceiling_v = permit.max_voltage_v
        volts_set = ceiling_v if session.voltage_v is None else min(ceiling_v, session.voltage_v)
        floor = session.ev.min_voltage_v if session.ev is not None else 0.0
        if self._change is None:
            wanted = setpoint.direction(target, mode, permit)
            rested = view.now_s - self._changed_s >= self.config.direction_dwell_s
            if wanted is not mode and (rested or not permit.export):
                self._event("direction", f"changing working mode to {wanted.value}")
                self._change = DirectionChange(wanted, view.now_s, self.config.zero_samples, ceiling_v, floor)
        elif self._change.wanted is PowerMode.DISCHARGE and not permit.export:
            self._change.abandon(view.now_s)
        if self._change is not None:
            self._ramp.reset()
            return self._change.demand(self._actuator)
        discharging = mode is PowerMode.DISCHARGE
        amps = self._ramp.step(max(0.0, -target if discharging else target), view.now_s)
        return Demand(
            contactors=True,
            on=True,
            mode=mode,
            voltage_v=ceiling_v if discharging else volts_set,
            current_a=amps,
            floor_v=floor,
        )

    def _sub_step(self) -> str:
        if self._phase is Phase.CABLE_CHECK and self._check is not None:
            return self._check.sub.value
        if self._phase is Phase.ENERGY:
            return self._actuator.mode.value if self._change is None else f"direction-{self._change.sub.value}"
        if self._phase is Phase.RAMP_DOWN and self._ramp_down is not None:
            return self._ramp_down.sub.value
        return ""
