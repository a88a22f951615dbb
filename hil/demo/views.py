"""The energy of a session seen four ways that know nothing of each other; they must agree within the meter's class.

1. the meter's registers as the meter itself holds them, 2. the daemon's journal, 3. the battery plus the losses
between it and the meter, 4. the set-points on the CAN bus times the voltage that the modules report, integrated.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from hal.sim.can_bus import Frame

METER_CLASS = 0.01  # IEC 62053-41 / EN 50470-4 class B
SET_POINT_TOLERANCE = 0.04  # of sessions so short that ramps are a good part of them
_WRITE, _READ = 0x24, 0x23


@dataclass(frozen=True, slots=True)
class View:
    """Energy to the EV and from it, Wh of world time, as one source sees it. `tolerance`: relative, to the meter."""

    name: str
    charged_wh: float
    discharged_wh: float
    tolerance: float


def battery_view(in_wh: float, out_wh: float, cable_wh: float) -> View:
    """What the battery's terminals saw, carried to the meter: the cable between them burns a share both ways."""
    share = in_wh / (in_wh + out_wh) if in_wh + out_wh > 0 else 0.0
    return View("battery and losses", in_wh + cable_wh * share, out_wh - cable_wh * (1 - share), METER_CLASS)


def disagreements(meter: View, others: Iterable[View], floor_wh: float) -> list[str]:
    """One sentence for each view that differs from the meter by more than its tolerance plus `floor_wh`."""
    found = []
    for other in others:
        for way in ("charged_wh", "discharged_wh"):
            reference, value = getattr(meter, way), getattr(other, way)
            allowed = other.tolerance * reference + floor_wh
            if abs(value - reference) > allowed:
                found.append(f"{other.name}: {way} {value:.0f} Wh, meter {reference:.0f} Wh, allowed {allowed:.0f} Wh")
    return found


class SetPointIntegral:
    """Reads module frames off the bus: set current, mode, on/off as written; voltage as the modules report it.

    The current follows its set-point with the modules' ramps (A/s of the group), which the data sheet tells.
    """

    def __init__(self, speed: float, rise_a_per_s: float = 200.0, fall_a_per_s: float = 4000.0) -> None:
        self._speed = speed
        self._ramps = (rise_a_per_s, fall_a_per_s)
        self._flow_a = 0.0
        self._at_s: float | None = None
        self._current_a = 0.0
        self._voltage_v = 0.0
        self._on = False
        self._discharge = False
        self.charged_wh = 0.0
        self.discharged_wh = 0.0

    def take(self, log: Iterable[tuple[float, str, Frame]]) -> None:
        """Frames in the order they left the bus: (control time s, sender, frame)."""
        for at_s, _sender, frame in log:
            self._integrate(at_s)
            if len(frame.data) != 8:
                continue
            command = frame.identifier >> 16 & 0x3F
            register = frame.data[0] << 8 | frame.data[1]
            value = struct.unpack(">i", frame.data[4:8])[0]
            from_module = frame.identifier & 0xFF < 0xF0
            if command == _WRITE and not from_module:
                self._written(register, value)
            elif command == _READ and from_module and register == 0x1101:
                self._voltage_v = value / 1000.0

    def _written(self, register: int, value: int) -> None:
        if register == 0x1002:
            self._current_a = value / 1000.0
        elif register == 0x1110:
            self._on = value & 0xFF == 0xA0
        elif register == 0x2110:
            self._discharge = value & 0xFF == 0xA1

    def _integrate(self, at_s: float) -> None:
        """Up to `at_s` with what was set until then: first the ramp, then what is left of the time at the set-point."""
        before_s, self._at_s = self._at_s, at_s
        if before_s is None or at_s <= before_s:
            return
        wanted_a = self._current_a if self._on else 0.0
        rise, fall = self._ramps
        change_a = wanted_a - self._flow_a
        span_s = at_s - before_s
        ramp_s = min(span_s, abs(change_a) / (rise if change_a > 0 else fall))
        reached_a = wanted_a if ramp_s < span_s else self._flow_a + (rise if change_a > 0 else -fall) * ramp_s
        charge_as = (self._flow_a + reached_a) / 2.0 * ramp_s + wanted_a * (span_s - ramp_s)
        self._flow_a = reached_a if ramp_s >= span_s else wanted_a
        energy_wh = charge_as * self._voltage_v * self._speed / 3600.0
        if self._discharge:
            self.discharged_wh += energy_wh
        else:
            self.charged_wh += energy_wh
