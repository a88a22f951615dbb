"""Direction change (ARCHITECTURE rule 5), ramp down and hold: sequences that need measured zero current.

Direction change:  zero -> off -> mode -> on -> done      (5 s in total, else a fault)
Ramp down:         zero -> off -> open -> done            (2 s in total, else a fault)
Hold:              zero -> off                            (zero within 2 s, else a fault)
"""

from __future__ import annotations

import enum

from evse_controller.model.fault import FaultCode
from evse_controller.safety import thresholds as t
from evse_controller.station.actuator import Actuator, Demand
from evse_controller.station.view import Failure, View, ZeroCurrent
from hal.api import Contact, PowerMode


class Sub(enum.Enum):
    ZERO = "zero"
    OFF = "off"
    MODE = "mode"
    ON = "on"
    OPEN = "open"
    DONE = "done"


class DirectionChange:
    """One change of working mode under closed contactors. `wanted` is the mode it ends in."""

    def __init__(self, wanted: PowerMode, now_s: float, samples: int, voltage_v: float, floor_v: float) -> None:
        self.wanted = wanted
        self.sub = Sub.ZERO
        self._samples = samples
        self._started_s = now_s
        self._zero = ZeroCurrent(samples, now_s)
        self._voltage_v = voltage_v
        self._floor_v = floor_v

    def abandon(self, now_s: float) -> None:
        """Go back to charge mode instead (export was withdrawn meanwhile); starts over from modules off."""
        self.wanted = PowerMode.CHARGE
        self.sub = Sub.OFF
        self._zero = ZeroCurrent(self._samples, now_s)

    def advance(self, view: View, actuator: Actuator) -> Failure | None:
        power = view.power
        if self.sub is Sub.ZERO:
            if self._zero.measured(view):
                self.sub, self._zero = Sub.OFF, ZeroCurrent(self._samples, view.now_s)
        elif self.sub is Sub.OFF:
            still = self._zero.measured(view)
            if power is not None and not power.on and not actuator.switched_on and still:
                self.sub = Sub.MODE
        elif self.sub is Sub.MODE:
            written = actuator.mode is self.wanted and power is not None and power.at_s > actuator.mode_written_s
            if written and power is not None and power.mode is self.wanted:
                self.sub = Sub.ON
        elif self.sub is Sub.ON and power is not None and power.on and power.mode is self.wanted:
            self.sub = Sub.DONE
        if self.sub is not Sub.DONE and view.now_s - self._started_s > t.DIRECTION_CHANGE_S:
            mode = None if power is None or power.mode is None else power.mode.value
            cause = f"change to {self.wanted.value} stuck in sub-step {self.sub.value}, modules report {mode}"
            return (FaultCode.DIRECTION_CHANGE_FAILED, "power", cause)
        return None

    def demand(self, actuator: Actuator) -> Demand:
        on = self.sub in (Sub.ZERO, Sub.ON, Sub.DONE)
        mode = actuator.mode if self.sub in (Sub.ZERO, Sub.OFF) else self.wanted
        return Demand(
            contactors=True, on=on, mode=mode, voltage_v=self._voltage_v, current_a=0.0, floor_v=self._floor_v
        )


class RampDown:
    """Orderly end: zero current measured, modules off, contactors open at less than 1 A."""

    def __init__(self, now_s: float, samples: int) -> None:
        self.sub = Sub.ZERO
        self._started_s = now_s
        self._zero = ZeroCurrent(samples, now_s)

    @property
    def done(self) -> bool:
        return self.sub is Sub.DONE

    def advance(self, view: View, actuator: Actuator) -> Failure | None:
        power, mcu = view.power, view.mcu
        if self.sub is Sub.ZERO and (self._zero.measured(view) or not actuator.energised):
            self.sub = Sub.OFF
        elif self.sub is Sub.OFF and not actuator.switched_on and power is not None and not power.on:
            self.sub = Sub.OPEN
        elif self.sub is Sub.OPEN and not actuator.contactors and mcu is not None and mcu.contactor is Contact.OPEN:
            self.sub = Sub.DONE
        if not self.done and view.now_s - self._started_s > t.RAMP_DOWN_S:
            amps = "unknown" if view.meter is None else f"{view.meter.current_a:.1f} A"
            cause = f"ramp down stuck in sub-step {self.sub.value} with {amps} after {t.RAMP_DOWN_S:.0f} s"
            return (FaultCode.POWER_MODULE_FAULT, "power", cause)
        return None

    def demand(self, actuator: Actuator) -> Demand:
        if self.sub is Sub.ZERO:
            volts = actuator.output_voltage_v
            return Demand(actuator.contactors, on=actuator.switched_on, mode=actuator.mode, voltage_v=volts)
        return Demand(contactors=self.sub is Sub.OFF and actuator.contactors, mode=actuator.mode)


class Hold:
    """Energy rests with closed contactors: zero current measured, then the modules are off until it goes on."""

    def __init__(self, now_s: float, samples: int) -> None:
        self.sub = Sub.ZERO
        self._started_s = now_s
        self._zero = ZeroCurrent(samples, now_s)

    def advance(self, view: View, actuator: Actuator) -> Failure | None:
        if self.sub is Sub.ZERO and (self._zero.measured(view) or not actuator.switched_on):
            self.sub = Sub.OFF
        if self.sub is Sub.ZERO and view.now_s - self._started_s > t.RAMP_DOWN_S:
            amps = "unknown" if view.meter is None else f"{view.meter.current_a:.1f} A"
            return (FaultCode.POWER_MODULE_FAULT, "power", f"hold: still {amps} after {t.RAMP_DOWN_S:.0f} s")
        return None

    def demand(self, actuator: Actuator) -> Demand:
        on = self.sub is Sub.ZERO and actuator.switched_on
        return Demand(actuator.contactors, on=on, mode=actuator.mode, voltage_v=actuator.output_voltage_v)
