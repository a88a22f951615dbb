"""The real drivers on a simulated plant: the loop that polls them, and the steps of a session in the right order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from evse_controller.model.pilot import PilotState
from hal.api import Contact, IsolationState
from hal.can_port import SlcanPort
from hal.isolation.bender_isocha425 import BenderIsoCha425
from hal.meters.acrel_djsf1352 import AcrelDjsf1352
from hal.meters.eastron_sdm630 import EastronSdm630
from hal.modbus import ModbusBus
from hal.pilot.charge_som import ChargeSomMcu
from hal.power import infy_beg
from hal.power.infy_beg import InfyBeg
from hal.sim.plant import Plant

STEP_S = 0.01


class Drivers:
    """All five drivers and the loop that polls them every 10 ms and beats every 50 ms."""

    def __init__(
        self, psu: InfyBeg, mcu: ChargeSomMcu, meter: AcrelDjsf1352, imd: BenderIsoCha425, building: EastronSdm630
    ) -> None:
        self.psu, self.mcu, self.meter, self.imd, self.building = psu, mcu, meter, imd, building
        self.all = (psu, mcu, meter, imd, building)
        self._beat_s = 0.0
        for driver in self.all:
            driver.open()

    def poll(self, now_s: float) -> None:
        for driver in self.all:
            driver.poll(now_s)
        if now_s - self._beat_s >= 0.05 - 1e-9:
            self._beat_s = now_s
            self.mcu.beat(now_s)

    def problems(self) -> list[str]:
        return [f"{driver.name}: {text}" for driver in self.all if (text := driver.problem()) is not None]

    def close(self) -> None:
        for driver in self.all:
            driver.close()


class Stack:
    """Plant and drivers in virtual time."""

    def __init__(self, plant: Plant) -> None:
        bus, channels = plant.config.bus, plant.channels
        count = len(bus.module_addresses)
        if plant.virtual_can is not None:
            options = {"interface": "virtual", "channel": plant.virtual_can, "modules": count}
            psu = infy_beg.create("psu", options)
        else:
            psu = InfyBeg("psu", lambda: SlcanPort(channels["can0"], 125_000), modules=count)
        self.plant = plant
        self.drivers = Drivers(
            psu,
            ChargeSomMcu("mcu", lambda: channels["mcu"]),
            AcrelDjsf1352("meter", ModbusBus(lambda: channels["meter"], 9600)),
            BenderIsoCha425("imd", ModbusBus(lambda: channels["imd"], 19200)),
            EastronSdm630("building", ModbusBus(lambda: channels["building"], 9600)),
        )

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.plant.step(STEP_S)
            self.drivers.poll(self.plant.now_s)

    def until(self, condition: Callable[[], bool], limit_s: float = 15.0) -> None:
        for _ in range(round(limit_s / 0.05)):
            if condition():
                return
            self.run(0.05)
        raise AssertionError(f"not within {limit_s} s; problems: {self.drivers.problems()}")

    @property
    def volts(self) -> float:
        reading = self.drivers.meter.reading()
        return 0.0 if reading is None else reading.voltage_v

    @property
    def amps(self) -> float:
        reading = self.drivers.meter.reading()
        return 0.0 if reading is None else reading.current_a

    def cable_check(self) -> None:
        """From plug-in to a tested cable below 60 V."""
        drivers, inlet = self.drivers, self.plant.inlet
        inlet.plug()
        drivers.mcu.set_duty(5.0)
        self.run(0.5)
        inlet.set_pilot(PilotState.C)
        self.until(lambda: drivers.mcu.reading().pilot is PilotState.C)  # type: ignore[union-attr]
        drivers.mcu.set_contactors(True)
        self.until(lambda: drivers.mcu.reading().contactor is Contact.CLOSED)  # type: ignore[union-attr]
        drivers.imd.set_measuring(True)
        drivers.psu.set_output(500.0, 2.0)  # what IEC 61851-23 wants for a car of 450 V
        drivers.psu.switch(True)
        self.until(lambda: self.volts > 490.0)
        self.run(3.0)
        reading = drivers.imd.reading()
        assert reading is not None
        assert (reading.state, reading.valid) == (IsolationState.MEASURING, True)
        assert reading.resistance_ohm == pytest.approx(self.plant.world.isolation_ohm, rel=0.05)
        drivers.psu.switch(False)
        self.until(lambda: self.volts < 60.0)

    def connect(self) -> None:
        """Pre-charge to the battery's voltage; the car closes."""
        drivers, inlet = self.drivers, self.plant.inlet
        battery_v = inlet.battery_voltage_v
        drivers.psu.set_output(battery_v, 2.0)
        drivers.psu.switch(True)
        self.until(lambda: abs(self.volts - battery_v) < 10.0)
        inlet.close_contactor()
        self.run(0.3)
        assert inlet.contactor_closed

    def to_zero(self) -> None:
        """Ramp to zero and off."""
        psu = self.drivers.psu
        psu.set_output(self.plant.inlet.battery_voltage_v, 0.0)
        self.until(lambda: abs(self.amps) < 1.0)
        psu.switch(False)
        self.until(lambda: psu.reading().on is False)  # type: ignore[union-attr]
        self.run(0.3)
