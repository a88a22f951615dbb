"""The contracts of devices. A driver is a class that meets one of these Protocols; it is found by its config name.

Every driver is *polled*: `poll(now_s)` is called at least every 20 ms from the control loop, must never block
(budget 1 ms) and sends what is due and takes in what has arrived. Nothing here waits; a command is accepted now and
its effect is seen in a later reading. Readings are immutable and carry `at_s`, the control time at which the device
measured (or the answer arrived); the *caller* judges freshness with the deadline named in each contract. A driver
never repeats an old value with a new time stamp.

Errors: `open` raises DeviceError when the device cannot be reached at all. Afterwards a driver does not raise: a
silent or faulty device shows as a reading that grows old (`reading()` keeps its old `at_s`) and as `problem()` text.
The caller must treat a stale protection input as an emergency stop, a stale site input as the failsafe share.

Every driver class names the class of its readings in `READING`; one whose readings are not those that its table needs
is refused when the configuration is checked, not when the outlet works.

Sign convention: positive = towards the EV (import from the grid), negative = from the EV.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from evse_controller.model.pilot import PilotState


class DeviceError(Exception):
    """A device could not be opened or configured: `device` is its configured name, `reason` what to check."""

    def __init__(self, device: str, reason: str) -> None:
        super().__init__(f"{device}: {reason}")
        self.device = device
        self.reason = reason


class Driver(Protocol):
    """What every driver has in common."""

    @property
    def name(self) -> str:
        """The configured name, used in every message about this device."""
        ...

    def open(self) -> None:
        """Open the bus or port. Raises DeviceError with device and reason."""
        ...

    def poll(self, now_s: float) -> None:
        """Send what is due, take in what has arrived. Never blocks, never raises for a misbehaving device."""
        ...

    def problem(self) -> str | None:
        """What is wrong with the device or its bus right now, in words for a technician; None when all is well."""
        ...

    def close(self) -> None:
        """Release the port. Outputs are not switched off by this: that is the actuator's job before."""
        ...


class Contact(enum.Enum):
    """Feedback of a contactor."""

    UNDEFINED = "undefined"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class McuReading:
    """State of the pilot board. Deadline: 300 ms (three of its 100 ms periods), then emergency stop.

    `safe_state` true: the board opened everything by itself and ignores us until reset; `safe_reason` is its code.
    `cable_a`: what the plugged cable may carry, by its proximity resistor (13, 20, 32 or 63 A); 0 = the resistor is
    none of these; None = no such resistor is seen (no cable, or a tethered one).
    """

    at_s: float
    pilot: PilotState
    duty_percent: float
    contactor: Contact
    emergency_stop: bool
    safe_state: bool
    safe_reason: int
    pilot_fault: str | None = None
    cable_a: float | None = None


class SafetyMcu(Driver, Protocol):
    """Pilot board of an AC or DC outlet: pilot, contactors with feedback, and the heartbeat that keeps them closed.

    The board opens its contactors by itself when no control frame arrives within its time-out. Control frames are
    sent *only* by `beat`, which the control loop calls after a step that made progress; never from a timer.
    """

    def reading(self) -> McuReading | None: ...

    def set_duty(self, duty_percent: float | None) -> None:
        """PWM duty 0..100 in %; 5 = digital communication. None = oscillator off (X1: steady +12/9/6 V)."""
        ...

    def set_contactors(self, closed: bool) -> None:
        """Wanted state of the outlet's contactors. Only the actuator calls this. Takes effect with the next `beat`.

        DC: the contactor pair. AC: the contactor (all its poles, neutral too), which has the same owner and the same
        contract: the board opens it when the pilot leaves C/D, without a heartbeat, and when a residual current trips.
        """
        ...

    def beat(self, now_s: float) -> None:
        """Send the control frame now. Opening is sent at once even between two beats by calling this again."""
        ...


class PowerMode(enum.Enum):
    """Working mode of a bidirectional power supply. CHARGE: rectifier; DISCHARGE: grid-tied inverter."""

    CHARGE = "charge"
    DISCHARGE = "discharge"


@dataclass(frozen=True, slots=True)
class PowerCapability:
    """What the connected modules can do together, as they report it. All >= 0."""

    max_voltage_v: float
    min_voltage_v: float
    max_current_a: float
    max_power_w: float
    bidirectional: bool
    modules: int


@dataclass(frozen=True, slots=True)
class PowerReading:
    """State of the power supply. Deadline: 500 ms under power. `current_a` signed (+ to the EV).

    `at_s` is the age of the *oldest* module's answer, so that one silent module shows at once. `mode` is read back
    from the modules, None while they disagree. `grid_profile` is the country code read back, None = not yet.
    """

    at_s: float
    voltage_v: float
    current_a: float
    on: bool
    mode: PowerMode | None
    modules_online: int
    grid_profile: int | None
    fault: str | None


class PowerSupply(Driver, Protocol):
    """A group of power modules acting as one DC source (and sink, when bidirectional).

    Order of a direction change is the caller's duty: zero current, `switch(False)`, zero measured, `set_mode`,
    mode read back equal, `switch(True)`. A driver refuses `set_mode` while on by raising ValueError.
    """

    def capability(self) -> PowerCapability | None: ...

    def reading(self) -> PowerReading | None: ...

    def set_output(self, voltage_v: float, current_a: float) -> None:
        """Set-point: voltage >= 0 and current magnitude >= 0 (direction comes only from the mode)."""
        ...

    def set_discharge_floor(self, voltage_v: float) -> None:
        """Voltage below which the inverter mode stops drawing current."""
        ...

    def set_mode(self, mode: PowerMode) -> None: ...

    def switch(self, on: bool) -> None: ...

    def write_grid_profile(self, country_code: int) -> None:
        """Write the grid profile; it counts only when `reading().grid_profile` returns the same."""
        ...

    def stop(self, now_s: float) -> None:
        """Off, now: goes onto the bus before every queued frame, repeated until read back."""
        ...


@dataclass(frozen=True, slots=True)
class DcMeterReading:
    """DC meter at the outlet (vehicle side of the contactors). Deadline: 1 s under power.

    Registers are lifetime totals in Wh: `import_wh` energy delivered to the EV, `export_wh` taken from it.
    """

    at_s: float
    voltage_v: float
    current_a: float
    power_w: float
    import_wh: float
    export_wh: float


class DcMeter(Driver, Protocol):
    @property
    def meter_id(self) -> str: ...

    def reading(self) -> DcMeterReading | None: ...


@dataclass(frozen=True, slots=True)
class AcPhaseReading:
    """One phase: voltage to neutral, current and active power. Both signed (+ to the EV)."""

    voltage_v: float
    current_a: float
    power_w: float


@dataclass(frozen=True, slots=True)
class AcOutletReading:
    """AC meter at an outlet, on the supply side of its contactor: voltage is there with the contactor open too.

    Deadline: 1 s under power. `at_s`: when the phases were measured, all of them at once. Registers are lifetime totals
    in Wh, at most 2 s older: `import_wh` energy delivered to the EV, `export_wh` taken from it.
    """

    at_s: float
    phases: tuple[AcPhaseReading, ...]
    import_wh: float
    export_wh: float
    frequency_hz: float | None = None

    @property
    def power_w(self) -> float:
        """All phases together, signed."""
        return sum(phase.power_w for phase in self.phases)


class AcOutletMeter(Driver, Protocol):
    """Meter of an AC outlet; `phases` of its readings are as many as the outlet has (1 or 3)."""

    @property
    def meter_id(self) -> str: ...

    @property
    def phases(self) -> int:
        """How many phases each reading has."""
        ...

    def reading(self) -> AcOutletReading | None: ...


class IsolationState(enum.Enum):
    """What the isolation monitor is doing. Only MEASURING with `valid` says anything about the cable."""

    OFF = "off"
    SELF_TEST = "self-test"
    MEASURING = "measuring"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class IsolationReading:
    """Deadline: 2 s while measuring. `self_test_ok`: result of the newest self-test, None = none finished yet."""

    at_s: float
    state: IsolationState
    resistance_ohm: float
    valid: bool
    self_test_ok: bool | None


class IsolationMonitor(Driver, Protocol):
    def reading(self) -> IsolationReading | None: ...

    def start_self_test(self) -> None:
        """Begin a self-test (up to 30 s); done before plug-in so that CableCheck stays within 35 s."""
        ...

    def set_measuring(self, on: bool) -> None:
        """Connect to (or leave) the line; only one monitor may be on the line."""
        ...


@dataclass(frozen=True, slots=True)
class AcMeterReading:
    """Building meter. Deadline: 3 s, then the failsafe share. `power_w`: import positive, export negative."""

    at_s: float
    power_w: float
    import_wh: float
    export_wh: float


class AcMeter(Driver, Protocol):
    @property
    def meter_id(self) -> str: ...

    def reading(self) -> AcMeterReading | None: ...
