"""What every outlet's station has in common: sessions one after the other, faults, notices to the EV, sleep, events.

A session that opens (or releases its service) while the outlet is not at rest waits until it is: contactors that were
closed for what came before are opened in order, under the limits that were negotiated for it, before anything of the
new one counts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from evse_controller.model.commands import Command, EndKind, ServiceReleased, SessionEnded, SessionOpened
from evse_controller.model.fault import Fault, FaultCode, Severity
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import DriverWishes, EvseSnapshot, Notification
from evse_controller.safety import Verdict
from evse_controller.safety import thresholds as t
from evse_controller.station import commands
from evse_controller.station.context import Account, SessionFacts
from evse_controller.station.faults import FaultBook
from evse_controller.station.notices import Notices
from evse_controller.station.permitted import Permitted
from evse_controller.station.report import StationEvent, StationStatus, untold
from evse_controller.station.sleep import PilotSleep
from evse_controller.station.view import Failure

DUTY_DIGITAL = 5.0
"""PWM duty in % that means: digital communication only (IEC 61851-1)."""

Session = TypeVar("Session", bound=SessionFacts)


class OutletBase(ABC, Generic[Session]):
    """Sessions, faults, notices and events of one outlet; subclasses add phases and devices."""

    _actuator: Permitted

    def __init__(self, latched: tuple[Fault, ...]) -> None:
        self.snapshot: EvseSnapshot | None = None
        self._book = FaultBook(latched, 0.0)
        self._session: Session = self._fresh()
        self._next: Session | None = None
        self._restored: Account | None = None
        self._now_s = 0.0
        self._events: list[StationEvent] = []
        self._notices = Notices()
        self._sleep = PilotSleep()
        self._stopping: str | None = None
        self._stopping_since_s = 0.0
        self._stands = False  # a stop that no new session ends: somebody wanted it
        self._refusal: str | None = None
        self._status: StationStatus | None = None
        self._started_s: float | None = None
        self._driver: DriverWishes | None = None
        self._watch: dict[str, float] = {}  # of safety's newest verdict

    # -- what each kind of outlet says -----------------------------------------------------------------------

    @abstractmethod
    def _fresh(self) -> Session:
        """A context that remembers nothing."""

    @abstractmethod
    def _retold(self, snapshot: EvseSnapshot) -> EvseSnapshot:
        """The newest snapshot with the steps of the newest session: one that was asked for anew is no longer done."""

    @abstractmethod
    def _handle(self, session: Session, cmd: Command) -> None:
        """Let `session` remember `cmd`."""

    @property
    @abstractmethod
    def _phase_name(self) -> str: ...

    @property
    @abstractmethod
    def _at_rest(self) -> bool:
        """Contactors open and nothing energised: a new session may take the outlet over."""

    @property
    @abstractmethod
    def _unplugged(self) -> bool: ...

    @property
    @abstractmethod
    def _serving(self) -> bool:
        """In a phase that a stop has to end."""

    @abstractmethod
    def _emergency(self) -> None:
        """An EMERGENCY fault was raised: go where everything is off."""

    # -- what others call ------------------------------------------------------------------------------------

    def command(self, cmd: Command, now_s: float) -> None:
        """Take in what the session asks. Never raises and never acts on a device: the next step does."""
        self._now_s = now_s
        self._take(cmd)
        if self.snapshot is not None:  # it stands until the next step makes another
            told = self._retold(self.snapshot)
            self.snapshot = untold(told) if isinstance(cmd, SessionOpened) else told

    def guard(self, now_s: float) -> None:
        """Between steps: a permit that ran out while the outlet is energised switches everything off."""
        if self._actuator.expire(now_s):
            self._now_s = now_s
            self._event("refused", "permit expired between control steps: everything off")
            self._raise((FaultCode.DEVICE_ERROR, "station", "control step late: permit expired"), True)

    def fail_safe(self, reason: str, now_s: float) -> None:
        """A control step failed: everything off, told to the board once; then it gets no heartbeat until a step
        succeeds again, which ends the session in order."""
        self._now_s = now_s
        self._raise((FaultCode.DEVICE_ERROR, "station", reason), self._actuator.energised)
        self._actuator.all_off(now_s, reason)

    def request_stop(self, reason: str, now_s: float) -> None:
        """Technician or back office wants the session to end: power to zero, the EV is told, forced after 20 s.

        It stands until the plug is out or somebody is authorised anew (`call`): no other session begins, and the
        oscillator is off when this one is over. A session that sleeps here is over at once."""
        self._now_s = now_s
        if self._newest.open or self._serving or self.asleep:
            self._stands = True
            self._begin_stop(reason)

    def call(self, reason: str, now_s: float) -> None:
        """Somebody may charge: the EV that is plugged in without a session is woken by B1 -> B2, whether it sleeps,
        gave up or was stopped."""
        self._now_s = now_s
        if self._newest.open:
            return
        if self._stands:
            self._stands, self._stopping = False, None
        if not self._sleep.silent:
            self._sleep.keep_off()
        self._sleep.wake(reason)

    def notify(self, kind: Notification, max_delay_s: float, reason: str, now_s: float) -> None:
        """Ask something of the EV, to be heeded within `max_delay_s`; asking again changes nothing. An EV that does
        not pause in time although told is stopped; any other notice just ends, which is an event. Raises ValueError for
        TERMINATE, which is `request_stop`."""
        self._now_s = now_s
        if self._newest.open and self._notices.ask(kind, max_delay_s, reason, now_s):
            self._event("notification", f"{kind.value} within {max_delay_s:.0f} s: {reason}")

    def withdraw(self, kind: Notification, now_s: float) -> None:
        """Take a notice back."""
        self._now_s = now_s
        if self._notices.withdraw(kind):
            self._event("notification", f"{kind.value} withdrawn")

    def wake(self, reason: str, now_s: float) -> bool:
        """Wake the EV of a paused session (B1 -> B2, 3 s after the oscillator went off). False: nobody sleeps."""
        self._now_s = now_s
        return self.asleep and self._sleep.wake(reason)

    def restore_sleep(self) -> None:
        """After a restart, before the first step: a paused session sleeps here, its oscillator is to stay off."""
        self._sleep.go_on()

    def restore_account(self, session_id: str, import_wh: float, export_wh: float) -> None:
        """After a restart: the lifetime registers at which the paused session `session_id` had begun."""
        self._restored = Account(session_id, import_wh, export_wh)

    def clear_fault(self, code: FaultCode, now_s: float) -> bool:
        """A technician clears a fault. False when it is not raised or its cause is still present."""
        self._now_s = now_s
        fault = self._book.clear(code, now_s)
        self._cleared([] if fault is None else [fault])
        return fault is not None

    @property
    def asleep(self) -> bool:
        """A paused session sleeps here."""
        return self._sleep.asleep

    @property
    def silent(self) -> bool:
        """The oscillator is off (or about to be) because no session is wanted, or to call the EV."""
        return self._sleep.silent

    @property
    def stopped(self) -> str | None:
        """The stop that stands after its session, None when the EV may begin another."""
        return self._stopping if self._stands and not self._newest.open else None

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Raised faults now, also between two steps (`status` has those of the newest step)."""
        return self._book.active

    def status(self) -> StationStatus:
        """The newest status. Raises RuntimeError before the first step."""
        if self._status is None:
            raise RuntimeError("station has made no control step yet")
        return self._status

    def drain_events(self) -> list[StationEvent]:
        """Events since the last call, oldest first."""
        events, self._events = self._events, []
        return events

    # -- sessions --------------------------------------------------------------------------------------------

    @property
    def _newest(self) -> Session:
        """The session that the EV talks in: the one that waits for the outlet, else the one that has it."""
        return self._session if self._next is None else self._next

    def _take(self, cmd: Command) -> None:
        """Let the newest session take `cmd`, or begin a new one."""
        self._notices.heed(cmd)
        if isinstance(cmd, SessionOpened):
            if not self._stands:
                self._stopping = None
                self._sleep.end()
            self._succeed(self._opened(cmd))
        elif isinstance(cmd, ServiceReleased):
            if self._newest.open:
                self._succeed(self._released())
        else:
            self._handle(self._newest, cmd)
            if isinstance(cmd, SessionEnded) and self._at_rest and not self._stands:
                self._stopping = None  # what was to be stopped is over
            if isinstance(cmd, SessionEnded) and cmd.kind is EndKind.PAUSED and not self._unplugged:
                self._sleep.begin()
        if not isinstance(cmd, commands.QUIET):
            self._event("command", type(cmd).__name__)

    def _succeed(self, session: Session) -> None:
        if self._at_rest:
            self._session, self._next = session, None
        else:
            self._session.open = False
            self._next = session

    def _opened(self, cmd: SessionOpened) -> Session:
        session = self._fresh()
        session.session_id, session.evccid, session.open = cmd.session_id, cmd.evccid, True
        if cmd.resumed:
            for known in (self._newest, self._session):
                if known.session_id == cmd.session_id:
                    session.first_meter = known.first_meter
            if session.first_meter is None and self._restored and self._restored.session_id == cmd.session_id:
                session.first_meter = self._restored
        return session

    def _released(self) -> Session:
        old, session = self._newest, self._fresh()
        session.session_id, session.evccid, session.open = old.session_id, old.evccid, True
        session.first_meter = old.first_meter
        return session

    def _rest(self) -> None:
        """The outlet came to rest: the session that waited has it now; unplugged, none has."""
        self._session, self._next = self._fresh() if self._unplugged else self._newest, None
        self._stands = self._stands and not self._unplugged
        if not self._session.open and not self._stands:
            self._stopping = None

    # -- notices and pilot -----------------------------------------------------------------------------------

    def _escalate(self) -> None:
        """What the EV was asked for and did not do in its time."""
        for notice in self._notices.expire(self._now_s):
            why = "was not heeded in time" if notice.told else "could not be told to the EV"
            self._event("notification", f"{notice.kind.value} {why}: {notice.reason}")
            if notice.kind is Notification.PAUSE and notice.told:  # who was not asked has refused nothing
                self.request_stop(f"the EV did not pause: {notice.reason}", self._now_s)

    def _duty(self, pilot: PilotState, energised: bool, allowed: bool) -> float | None:
        """Pilot duty of this step: 5 % while a car is there and nothing is wrong; the oscillator is off (X1) while a
        session sleeps, after a stop that stands, while an EV is called, and for a fault."""
        if self.stopped is not None:
            self._sleep.keep_off()
        woken = self._sleep.step(pilot, energised, self._now_s)
        if woken is not None:
            self._event("wake", woken)
        on = pilot.connected and self._book.worst() is None and allowed and not self._sleep.off
        return DUTY_DIGITAL if on else None

    def _power_gone(self) -> str | None:
        """Why power is off for good although the session goes on: an emergency, a stop that the EV did not heed in
        its time (B.11), or an outlet that only a new session may prepare again. The session then ends by FAILED,
        whatever the EV still asks."""
        emergency = self._book.emergency
        if emergency is not None:
            return f"{emergency.code.value}: {emergency.cause}"
        if not self._newest.open:
            return None
        if self._stopping is not None and self._now_s - self._stopping_since_s > t.STOP_ESCALATION_S:
            return f"stopped by force: {self._stopping}"
        return self._newest.lost

    def _begin_stop(self, reason: str) -> None:
        if self._stopping is None:
            self._stopping, self._stopping_since_s = reason, self._now_s
            self._event("stop", reason)

    # -- safety ----------------------------------------------------------------------------------------------

    def _judge(self, evaluate: Callable[[], Verdict]) -> Verdict:
        """Safety's verdict; when it raises an emergency, the verdict of the emergency phase."""
        powered = self._actuator.energised or self._serving
        verdict = evaluate()
        self._watch = dict(verdict.watch)
        before = self._phase_name
        for fault in verdict.faults:
            self._see(fault, powered)
        return verdict if self._phase_name == before else evaluate()

    # -- faults ----------------------------------------------------------------------------------------------

    def _event(self, kind: str, text: str, **data: object) -> None:
        self._events.append(StationEvent(self._now_s, kind, text, {"phase": self._phase_name, **data}))

    def _raise(self, failure: Failure, powered: bool) -> None:
        code, source, cause = failure
        self._see(Fault(code, source, cause, self._now_s), powered)

    def _see(self, fault: Fault, powered: bool) -> None:
        if not self._book.see(fault, self._now_s, powered):
            return
        severity = fault.kind.severity
        self._event("fault", fault.cause, code=fault.code.value, severity=severity.value, source=fault.source)
        if severity is Severity.EMERGENCY:
            self._newest.fail_steps()
            self._emergency()
        elif severity is Severity.STOP and (self._newest.open or self._serving):
            self._begin_stop(fault.cause)

    def _cleared(self, faults: list[Fault]) -> None:
        for fault in faults:
            self._event("fault-cleared", fault.cause, code=fault.code.value)

    def _note_refusal(self, refusal: str | None) -> None:
        if refusal is not None and refusal != self._refusal:
            self._event("refused", refusal)
        self._refusal = refusal
