"""Devices that obey at once and write down what they were told: for pure tests of actuator and station."""

from __future__ import annotations

from dataclasses import replace

from hal.api import (
    Contact,
    DcMeterReading,
    IsolationReading,
    IsolationState,
    McuReading,
    PowerCapability,
    PowerMode,
    PowerReading,
)
from tests.safety.facts import CAPABILITY, ISOLATION, MCU, METER, POWER


class FakeDevices:
    """All four devices in one; `log` is the order of output calls. `time` stamps every reading anew."""

    name = meter_id = "fake"

    def __init__(self) -> None:
        self.log: list[str] = []
        self.mcu: McuReading | None = replace(MCU, contactor=Contact.OPEN)
        self.power: PowerReading | None = replace(POWER, voltage_v=0.0, current_a=0.0, on=False)
        self.meter: DcMeterReading | None = replace(METER, voltage_v=0.0, current_a=0.0)
        self.isolation: IsolationReading | None = replace(ISOLATION, state=IsolationState.OFF)
        self.wanted_contactors = False
        self.output = (0.0, 0.0)
        self.duty: float | None = None
        self.refuse_profile = False

    def time(self, now_s: float) -> None:
        """A new reading of every device that still answers."""
        self.mcu = self.mcu and replace(self.mcu, at_s=now_s)
        self.power = self.power and replace(self.power, at_s=now_s)
        self.meter = self.meter and replace(self.meter, at_s=now_s)
        self.isolation = self.isolation and replace(self.isolation, at_s=now_s)

    def capability(self) -> PowerCapability | None:
        return CAPABILITY

    def set_duty(self, duty_percent: float | None) -> None:
        self.duty = duty_percent

    def set_contactors(self, closed: bool) -> None:
        if closed != self.wanted_contactors:
            self.log.append("close" if closed else "open")
        self.wanted_contactors = closed

    def beat(self, now_s: float) -> None:
        self.log.append("beat")
        contact = Contact.CLOSED if self.wanted_contactors else Contact.OPEN
        self.mcu = self.mcu and replace(self.mcu, contactor=contact)

    def set_output(self, voltage_v: float, current_a: float) -> None:
        self.output = (voltage_v, current_a)

    def set_discharge_floor(self, voltage_v: float) -> None:
        self.log.append(f"floor {voltage_v:.0f}")

    def set_mode(self, mode: PowerMode) -> None:
        if self.power is not None and self.power.on:
            raise ValueError("mode change while on")
        self.log.append(mode.value)
        self.power = self.power and replace(self.power, mode=mode)

    def switch(self, on: bool) -> None:
        self.log.append("on" if on else "off")
        self.power = self.power and replace(self.power, on=on)

    def write_grid_profile(self, country_code: int) -> None:
        self.log.append(f"profile {country_code}")
        if not self.refuse_profile:
            self.power = self.power and replace(self.power, grid_profile=country_code)

    def stop(self, now_s: float) -> None:
        self.log.append("stop")
        self.power = self.power and replace(self.power, on=False, current_a=0.0)

    def start_self_test(self) -> None:
        self.log.append("self-test")

    def set_measuring(self, on: bool) -> None:
        self.log.append("measure" if on else "measure-off")
        state = IsolationState.MEASURING if on else IsolationState.OFF
        self.isolation = self.isolation and replace(self.isolation, state=state)

    def open(self) -> None:
        self.log.append("opened")

    def close(self) -> None:
        self.log.append("closed")

    def poll(self, now_s: float) -> None:
        self.time(now_s)

    def problem(self) -> str | None:
        return None


class Face:
    """One device's view of `FakeDevices`: everything of it, with that device's own reading."""

    def __init__(self, devices: FakeDevices, which: str) -> None:
        self._devices = devices
        self._which = which

    def reading(self) -> object:
        return getattr(self._devices, self._which)

    def __getattr__(self, name: str) -> object:
        return getattr(self._devices, name)
