"""What a station may be asked for, and when: the order of commands, and where a contactor may be closed.

Written down a second time, apart from the session: a judge watches the commands of one connection.
"""

from __future__ import annotations

from evse_controller.model import commands as c

ENERGY_STATES = frozenset(
    {"CableCheck", "PreCharge", "PowerDelivery", "ChargeLoop", "Standby", "ScheduleRenegotiation", "Renegotiated"}
)


class Judge:
    """Raises AssertionError for a command out of order. `closed`: what an obedient outlet's contactor would be."""

    def __init__(self) -> None:
        self.seen: set[type] = set()
        self.kept: list[c.PausedSession] = []
        self.dropped: list[str] = []
        self.ended = 0
        self.over_with = False
        self.closed = False
        self.resumed = False
        self._service: c.ServiceSelected | None = None
        self._done: set[type] = set()  # of this service
        self._flowing = False
        self._held = False

    def command(self, command: c.Command) -> None:
        kind = type(command)
        name = kind.__name__
        assert not self.ended, f"{name} after SessionEnded"
        assert not self.kept or kind is c.SessionEnded, f"{name} after ContextKept"
        assert (kind is c.SessionOpened) is (c.SessionOpened not in self.seen), f"{name} before or twice SessionOpened"
        getattr(self, f"_{name}", self._any)(command)
        self.seen.add(kind)
        self._done.add(kind)

    def stands_in(self, state: str) -> None:
        """The session waits in this state now."""
        assert not self.closed or state in ENERGY_STATES, f"contactor closed in {state}"

    def over(self) -> None:
        """The connection is gone."""
        self.over_with = True
        assert self.ended == (c.SessionOpened in self.seen), "session left open"
        assert not self.closed, "contactor closed after the end"

    def _any(self, command: c.Command) -> None:
        raise AssertionError(f"nobody knows {command}")

    def _needs(self, *kinds: type) -> None:
        for kind in kinds:
            assert kind in self._done, f"without {kind.__name__} in this service"

    def _SessionOpened(self, command: c.SessionOpened) -> None:
        self.resumed = command.resumed

    def _ContextDropped(self, command: c.ContextDropped) -> None:
        assert self.resumed
        assert not self.dropped, "ContextDropped is said once"
        assert self.seen == {c.SessionOpened, c.ServiceSelected}, "ContextDropped is said when a joined session goes on"
        self.dropped.append(command.session_id)

    def _AuthorizationRequested(self, command: c.AuthorizationRequested) -> None:
        assert c.ServiceSelected not in self.seen, "authorised anew within a session"

    def _ServiceSelected(self, command: c.ServiceSelected) -> None:
        assert self.resumed or c.AuthorizationRequested in self.seen, "a service without authorisation"
        assert self._service is None, "two services at once"
        self._service = command

    def _LimitsNegotiated(self, command: c.LimitsNegotiated) -> None:
        assert self.dropped or not self.resumed, "a joined session went on and could be joined once more"
        self._needs(c.ServiceSelected)
        assert isinstance(command.limits, c.EvAcLimits) is self._selected.ac

    def _ScheduleRequested(self, command: c.ScheduleRequested) -> None:
        self._needs(c.LimitsNegotiated)
        assert command.renegotiation is self._flowing
        assert command.needs.dynamic is (self._selected.control_mode is c.ControlMode.DYNAMIC)

    def _CableCheckRequested(self, command: c.CableCheckRequested) -> None:
        self._needs(c.ScheduleRequested)
        assert not self._selected.ac
        assert c.CableCheckRequested not in self._done, "CableCheckRequested twice"
        self.closed = True

    def _PreChargeRequested(self, command: c.PreChargeRequested) -> None:
        self._needs(c.CableCheckRequested)
        assert not self._flowing, "pre-charge of an outlet that delivers"

    def _EnergyStart(self, command: c.EnergyStart) -> None:
        self._needs(c.ScheduleRequested if self._selected.ac else c.PreChargeRequested)
        assert c.EnergyStop not in self._done, "EnergyStart after EnergyStop"
        if self._selected.control_mode is c.ControlMode.SCHEDULED:
            assert command.profile is not None
            assert command.profile.tuple_id is not None
        self.closed = self._flowing = True
        self._held = False

    def _EnergyHold(self, command: c.EnergyHold) -> None:
        assert self._flowing, "EnergyHold without energy"
        assert not self._held, "EnergyHold twice"
        self._held = True

    def _LoopUpdate(self, command: c.LoopUpdate) -> None:
        self._loop()
        assert not self._selected.ac
        limits = command.limits
        if command.target_current_a is not None:
            assert -(limits.max_discharge_current_a or 0) <= command.target_current_a <= limits.max_charge_current_a
            assert self._selected.bidirectional or command.target_current_a >= 0

    def _AcLoopUpdate(self, command: c.AcLoopUpdate) -> None:
        self._loop()
        assert self._selected.ac

    def _loop(self) -> None:
        assert self._flowing, "a loop without EnergyStart, or after EnergyStop"
        assert not self._held, "a loop while energy is held back"

    def _EnergyStop(self, command: c.EnergyStop) -> None:
        assert self.closed, "EnergyStop without energy"
        self.closed = self._flowing = self._held = False

    def _WeldingDetectionRequested(self, command: c.WeldingDetectionRequested) -> None:
        assert not self.closed, "welding detection of an outlet that delivers"

    def _ServiceReleased(self, command: c.ServiceReleased) -> None:
        self._needs(c.ServiceSelected)
        assert not self.closed, "ServiceReleased while energy may flow"
        self._service = None
        self._done = set()

    def _MeterConfirmed(self, command: c.MeterConfirmed) -> None:
        assert {c.LoopUpdate, c.AcLoopUpdate} & self.seen, "a reading confirmed that nobody told"

    def _Notified(self, command: c.Notified) -> None:
        assert c.ScheduleRequested in self.seen, f"{command.notification.value} has no place here"

    def _ContextKept(self, command: c.ContextKept) -> None:
        assert not self.closed, "paused while energy may flow"
        self.kept.append(command.context)

    def _SessionEnded(self, command: c.SessionEnded) -> None:
        assert not self.closed, "SessionEnded while energy may flow"
        assert (command.kind is c.EndKind.PAUSED) is bool(self.kept), "paused and not kept, or the other way"
        self.ended += 1

    @property
    def _selected(self) -> c.ServiceSelected:
        assert self._service is not None, "without a service"
        return self._service
