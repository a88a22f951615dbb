"""Cable check: the cable is tested with the EVSE contactors closed and the EV's open (IEC 61851-23, E.4).

Sub-steps, in order; any of them ends the check when 35 s in total are over:

    wait-ready  pilot C or D (1.5 s), devices known, isolation self-test passed, modules in charge mode
    link-safe   link and outlet below 60 V
    close       EVSE contactors close; feedback within its allowance (safety watches)
    raise       test voltage at 2 A or less
    measure     isolation monitor on; N valid samples, none below the threshold. It is switched on at test voltage and
                has its whole response time before each sample, so that none shows what the line was before
    lower       modules off; link and outlet below 60 V
    done

A current of 1 A that lasts while the cable is under test means that the EV closed its contactors: a fault.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from evse_controller.model.fault import FaultCode
from evse_controller.safety import thresholds as t
from evse_controller.station.actuator import Demand
from evse_controller.station.view import Failure, View
from hal.api import Contact, IsolationState, PowerMode

AT_VOLTAGE_SHARE = 0.95
"""Share of the test voltage from which an isolation sample counts."""


class Sub(enum.Enum):
    WAIT_READY = "wait-ready"
    LINK_SAFE = "link-safe"
    CLOSE = "close"
    RAISE = "raise"
    MEASURE = "measure"
    LOWER = "lower"
    DONE = "done"


class CableCheck:
    """One run. `advance` moves through the sub-steps, `demand` says what the outputs should do meanwhile."""

    def __init__(self, started_s: float, test_voltage_v: float, threshold_ohm: float, response_s: float) -> None:
        self.sub = Sub.WAIT_READY
        self.test_voltage_v = test_voltage_v
        self.samples: list[float] = []
        self._started_s = started_s
        self._threshold_ohm = threshold_ohm
        self._response_s = response_s
        self._sample_due_s = started_s
        self._current_since_s: float | None = None
        self._steps: dict[Sub, Callable[[View], Sub | Failure | None]] = {
            Sub.WAIT_READY: self._wait_ready,
            Sub.LINK_SAFE: self._link_safe,
            Sub.CLOSE: self._close,
            Sub.RAISE: self._raise,
            Sub.MEASURE: self._measure,
            Sub.LOWER: self._lower,
            Sub.DONE: lambda view: None,
        }

    @property
    def done(self) -> bool:
        return self.sub is Sub.DONE

    @property
    def measuring(self) -> bool:
        """The isolation monitor belongs on the line from the moment that the test voltage is reached."""
        return self.sub in (Sub.MEASURE, Sub.LOWER, Sub.DONE)

    @property
    def closed(self) -> bool:
        """The contactors have been seen closed; from here on they are never closed anew."""
        return self.sub not in (Sub.WAIT_READY, Sub.LINK_SAFE, Sub.CLOSE)

    def advance(self, view: View) -> Failure | None:
        """One control step. Returns why the check failed, or None."""
        result = self._steps[self.sub](view)
        if isinstance(result, tuple):
            return result
        if result is not None:
            self.sub = result
        if not self.done and view.now_s - self._started_s > t.CABLE_CHECK_S:
            cause = f"not finished after {t.CABLE_CHECK_S:.0f} s, in sub-step {self.sub.value}"
            return (FaultCode.CABLE_CHECK_TIMEOUT, "station", cause)
        return None

    def demand(self) -> Demand:
        closed = self.sub not in (Sub.WAIT_READY, Sub.LINK_SAFE)
        if self.sub in (Sub.RAISE, Sub.MEASURE):
            return Demand(contactors=True, on=True, voltage_v=self.test_voltage_v, current_a=t.SMALL_CURRENT_A)
        return Demand(contactors=closed)

    def _wait_ready(self, view: View) -> Sub | Failure | None:
        if not view.pilot_ready:
            if view.now_s - self._started_s > t.PILOT_READY_S:
                pilot = "unknown" if view.mcu is None else view.mcu.pilot.value
                return (FaultCode.PILOT_LOST, "mcu", f"pilot {pilot} instead of C or D during cable check")
            return None
        isolation = view.isolation
        tested = isolation is not None and isolation.self_test_ok is True
        if not tested or isolation is None or isolation.state is IsolationState.SELF_TEST:
            return None
        known = view.capability is not None and view.power is not None and view.meter is not None
        ready = known and view.power is not None and view.power.mode is PowerMode.CHARGE
        return Sub.LINK_SAFE if ready else None

    def _link_safe(self, view: View) -> Sub | None:
        return Sub.CLOSE if view.link_safe and view.outlet_safe else None

    def _close(self, view: View) -> Sub | None:
        mcu = view.mcu
        return Sub.RAISE if mcu is not None and mcu.contactor is Contact.CLOSED else None

    def _at_voltage(self, view: View) -> bool:
        return view.meter is not None and view.meter.voltage_v >= AT_VOLTAGE_SHARE * self.test_voltage_v

    def _raise(self, view: View) -> Sub | Failure | None:
        self._restart(view)
        return self._steady_current(view) or (Sub.MEASURE if self._at_voltage(view) else None)

    def _restart(self, view: View) -> None:
        """No sample so far counts; the next one is due when the monitor has had its response time."""
        self.samples.clear()
        self._sample_due_s = view.now_s + self._response_s

    def _steady_current(self, view: View) -> Failure | None:
        """A cable that ends at open contactors takes no current, of either sign, once it is charged."""
        amps = 0.0 if view.meter is None else view.meter.current_a
        if abs(amps) < t.ZERO_CURRENT_A:
            self._current_since_s = None
            return None
        since = self._current_since_s = self._current_since_s or view.now_s
        if view.now_s - since < t.CHECK_CURRENT_S:
            return None
        return (FaultCode.OVER_CURRENT, "meter", f"{amps:.1f} A in cable check: EV contactors closed, or a short")

    def _measure(self, view: View) -> Sub | Failure | None:
        failure = self._steady_current(view)
        if failure is not None:
            return failure
        isolation = view.isolation
        if not self._at_voltage(view):
            self._restart(view)
            return None
        if isolation is None or isolation.at_s < self._sample_due_s:
            return None
        if isolation.state is not IsolationState.MEASURING or not isolation.valid:
            self._restart(view)
            return None
        if not isolation.resistance_ohm >= self._threshold_ohm:
            cause = f"isolation {isolation.resistance_ohm:.0f} ohm below {self._threshold_ohm:.0f} ohm in cable check"
            return (FaultCode.ISOLATION_FAULT, "isolation", cause)
        self.samples.append(isolation.resistance_ohm)
        self._sample_due_s = isolation.at_s + self._response_s
        return Sub.LOWER if len(self.samples) >= t.ISOLATION_SAMPLES else None

    def _lower(self, view: View) -> Sub | None:
        off = view.power is not None and not view.power.on
        return Sub.DONE if off and view.link_safe and view.outlet_safe else None
