"""The real drivers against the simulated devices, which were written apart from them: in memory and over ptys.

Every plant here is watched by the referee, so the story also proves that drivers used in the right order harm nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from evse_controller.model.pilot import PilotState
from hal.api import (
    AcMeter,
    Contact,
    DcMeter,
    DeviceError,
    Driver,
    IsolationMonitor,
    IsolationState,
    PowerMode,
    PowerSupply,
    SafetyMcu,
)
from hal.isolation import bender_isocha425
from hal.meters import acrel_djsf1352, eastron_sdm630
from hal.pilot import charge_som
from hal.power import infy_beg
from hal.sim.plant import BusConfig, PlantConfig
from hal.sim.ptys import PtyBench
from hal.sim.testing import MakePlant
from tests.hal.stack import STEP_S, Drivers, Stack


@pytest.fixture
def stack(make_plant: MakePlant) -> Stack:
    return Stack(make_plant())


def test_all_devices_are_found_and_well(stack: Stack) -> None:
    stack.run(3.0)
    assert stack.drivers.problems() == []
    capability = stack.drivers.psu.capability()
    assert capability is not None
    assert (capability.max_voltage_v, capability.max_current_a, capability.max_power_w) == (1000.0, 146.0, 44_000.0)
    assert stack.drivers.mcu.firmware == "1.4.2"
    building = stack.drivers.building.reading()
    assert building is not None
    assert building.power_w == pytest.approx(stack.plant.world.grid_power_w, rel=0.05)
    assert building.import_wh >= 8_000_000.0
    now_s = stack.plant.now_s
    for reading, deadline_s in (
        (stack.drivers.mcu.reading(), 0.3),
        (stack.drivers.psu.reading(), 0.5),
        (stack.drivers.meter.reading(), 1.0),
        (stack.drivers.imd.reading(), 2.0),
        (building, 3.0),
    ):
        assert reading is not None
        assert now_s - reading.at_s < deadline_s


@pytest.mark.parametrize("virtual_can", [False, True], ids=["slcan", "python-can virtual"])
def test_charge_change_direction_discharge(make_plant: MakePlant, virtual_can: bool) -> None:
    stack = Stack(make_plant(virtual_can=virtual_can))
    drivers, inlet = stack.drivers, stack.plant.inlet
    psu = drivers.psu
    stack.run(2.0)
    drivers.imd.start_self_test()
    stack.until(lambda: drivers.imd.reading().self_test_ok is True)  # type: ignore[union-attr]
    stack.cable_check()
    stack.connect()

    psu.set_output(inlet.battery_voltage_v + 20.0, 20.0)
    stack.run(3.0)
    reading = psu.reading()
    assert reading is not None
    assert reading.mode is PowerMode.CHARGE
    assert reading.current_a == pytest.approx(20.0, abs=0.5)
    assert stack.amps == pytest.approx(20.0, abs=0.5)
    assert inlet.current_a == pytest.approx(20.0, abs=0.5)

    stack.to_zero()
    psu.write_grid_profile(1)
    stack.until(lambda: psu.reading().grid_profile == 1)  # type: ignore[union-attr]
    psu.set_mode(PowerMode.DISCHARGE)
    stack.until(lambda: psu.reading().mode is PowerMode.DISCHARGE)  # type: ignore[union-attr]
    psu.set_discharge_floor(300.0)
    psu.set_output(inlet.battery_voltage_v + 30.0, 0.0)
    psu.switch(True)
    stack.until(lambda: psu.reading().on)  # type: ignore[union-attr,arg-type,return-value]
    psu.set_output(inlet.battery_voltage_v + 30.0, 15.0)
    stack.run(3.0)
    reading = psu.reading()
    assert reading is not None
    assert reading.mode is PowerMode.DISCHARGE
    assert reading.current_a == pytest.approx(-15.0, abs=0.5)
    assert stack.amps == pytest.approx(-15.0, abs=0.5)
    assert inlet.current_a == pytest.approx(-15.0, abs=0.5)

    stack.to_zero()
    inlet.open_contactor()
    stack.run(0.2)
    drivers.mcu.set_contactors(False)
    stack.until(lambda: drivers.mcu.reading().contactor is Contact.OPEN)  # type: ignore[union-attr]
    assert stack.drivers.problems() == []
    drivers.close()
    assert stack.plant.can.load <= 0.5


def test_can_bus_is_never_more_than_half_busy_with_twelve_modules(make_plant: MakePlant) -> None:
    stack = Stack(make_plant(PlantConfig(bus=BusConfig(module_addresses=tuple(range(12))))))
    worst = oldest_s = 0.0
    for step in range(100):
        stack.drivers.psu.set_output(400.0 + step, 5.0)
        stack.run(0.1)
        worst = max(worst, stack.plant.can.load)
        reading = stack.drivers.psu.reading()
        if step > 40:
            assert reading is not None
            oldest_s = max(oldest_s, stack.plant.now_s - reading.at_s)
    assert worst <= 0.5
    assert oldest_s < 0.5


def test_stop_under_power_ends_the_current_within_a_tenth_of_a_second(stack: Stack) -> None:
    stack.run(2.0)
    stack.cable_check()
    stack.connect()
    stack.drivers.psu.set_output(stack.plant.inlet.battery_voltage_v + 30.0, 40.0)
    stack.run(3.0)
    assert stack.plant.inlet.current_a > 35.0
    stack.drivers.psu.stop(stack.plant.now_s)
    stack.run(0.1)
    assert abs(stack.plant.inlet.current_a) < 1.0
    stack.run(0.5)
    assert stack.drivers.psu.reading().on is False  # type: ignore[union-attr]


def test_silent_module_shows_within_half_a_second_and_is_named(stack: Stack) -> None:
    stack.run(2.0)
    stack.plant.inject("power.2", "silent")
    stack.run(1.3)
    reading = stack.drivers.psu.reading()
    assert reading is not None
    assert stack.plant.now_s - reading.at_s > 1.0
    assert reading.modules_online == 1
    assert stack.drivers.psu.problem() == "no answer from module 2"
    stack.plant.clear()
    stack.run(1.0)
    assert stack.drivers.psu.problem() is None


def test_module_that_ignores_its_mode_never_gets_on(stack: Stack) -> None:
    stack.run(2.0)
    stack.plant.inject("power.1", "mode_ignored")
    psu = stack.drivers.psu
    psu.write_grid_profile(1)
    psu.set_mode(PowerMode.DISCHARGE)
    psu.set_output(400.0, 5.0)
    psu.switch(True)
    stack.run(3.0)
    reading = psu.reading()
    assert reading is not None
    assert (reading.on, reading.mode) == (False, None)
    assert "confirm mode discharge" in (psu.problem() or "")


@pytest.mark.parametrize("fault", ["silent", "corrupt"])
def test_meter_that_fails_grows_old_and_recovers(stack: Stack, fault: str) -> None:
    stack.run(1.0)
    stack.plant.inject("meter", fault)
    failed_s = stack.plant.now_s
    stack.run(2.5)
    reading = stack.drivers.meter.reading()
    assert reading is not None
    assert reading.at_s <= failed_s + 0.1
    assert stack.drivers.meter.problem() is not None
    stack.plant.clear()
    stack.run(2.0)
    assert stack.drivers.meter.problem() is None
    assert stack.plant.now_s - stack.drivers.meter.reading().at_s < 0.3  # type: ignore[union-attr]


def test_failed_self_test_is_reported(stack: Stack) -> None:
    stack.run(1.0)
    stack.plant.inject("imd", "self_test_fails")
    stack.drivers.imd.start_self_test()
    stack.run(12.0)
    reading = stack.drivers.imd.reading()
    assert reading is not None
    assert (reading.state, reading.self_test_ok) == (IsolationState.FAULT, False)


def test_board_whose_heartbeat_stops_goes_to_its_safe_state(stack: Stack) -> None:
    stack.run(1.0)
    for _ in range(100):
        stack.plant.step(STEP_S)
        stack.drivers.mcu.poll(stack.plant.now_s)  # no beat
    reading = stack.drivers.mcu.reading()
    assert reading is not None
    assert reading.safe_state
    assert "safe state" in (stack.drivers.mcu.problem() or "")


MISSING = "port does not exist: is the adapter plugged in, the path right?"


@pytest.mark.parametrize(
    ("create", "options"),
    [
        (infy_beg.create, {"interface": "slcan", "channel": "/dev/nowhere"}),
        (charge_som.create, {"port": "/dev/nowhere"}),
        (acrel_djsf1352.create, {"port": "/dev/nowhere0"}),
        (bender_isocha425.create, {"port": "/dev/nowhere1"}),
        (eastron_sdm630.create, {"port": "/dev/nowhere2"}),
    ],
)
def test_missing_device_is_an_error_in_the_name_of_the_device(
    create: Callable[[str, Mapping[str, object]], Driver], options: dict[str, object]
) -> None:
    driver = create("box", options)
    with pytest.raises(DeviceError) as caught:
        driver.open()
    assert caught.value.device == "box"
    assert caught.value.reason == f"{options.get('port', '/dev/nowhere')}: {MISSING}"
    driver.poll(0.0)
    assert driver.problem() is not None
    driver.close()


def test_missing_can_interface_is_an_error_in_the_name_of_the_device() -> None:
    driver = infy_beg.create("psu", {"interface": "nonsense", "channel": "can9"})
    with pytest.raises(DeviceError, match="psu: nonsense can9: "):
        driver.open()


def test_drivers_meet_their_contracts(stack: Stack) -> None:
    """For the type checker as much as for the reader."""
    psu: PowerSupply = stack.drivers.psu
    mcu: SafetyMcu = stack.drivers.mcu
    dc_meter: DcMeter = stack.drivers.meter
    monitor: IsolationMonitor = stack.drivers.imd
    ac_meter: AcMeter = stack.drivers.building
    assert [driver.name for driver in (psu, mcu, dc_meter, monitor, ac_meter)] == [
        "psu", "mcu", "meter", "imd", "building"
    ]  # fmt: skip


def test_all_drivers_over_ptys_by_their_factories(tmp_path: Path) -> None:
    """Real time, real file descriptors, the options as they stand in a configuration."""
    bench = PtyBench(tmp_path / "plant")
    drivers = Drivers(
        infy_beg.create("psu", {"interface": "slcan", "channel": str(bench.path("can0")), "modules": 2}),
        charge_som.create("mcu", {"port": str(bench.path("mcu"))}),
        acrel_djsf1352.create("meter", {"port": str(bench.path("meter"))}),
        bender_isocha425.create("imd", {"port": str(bench.path("imd"))}),  # its default parity E, on a pty
        eastron_sdm630.create("building", {"port": str(bench.path("building"))}),
    )
    longest_s = 0.0
    try:
        bench.plant.inlet.plug()
        drivers.mcu.set_duty(5.0)
        end_s = time.monotonic() + 10.0
        while time.monotonic() < end_s:
            bench.catch_up()
            start_s = time.perf_counter()
            drivers.poll(time.monotonic())
            longest_s = max(longest_s, time.perf_counter() - start_s)
            time.sleep(0.005)
            if drivers.psu.capability() and not drivers.problems() and drivers.building.reading():
                break
        assert drivers.problems() == []
        assert drivers.mcu.reading().pilot is PilotState.B  # type: ignore[union-attr]
        assert drivers.psu.capability().modules == 2  # type: ignore[union-attr]
        assert drivers.meter.reading() is not None
        assert drivers.imd.reading() is not None
        assert longest_s < 0.5  # nothing waits; the rest is this machine's load
    finally:
        drivers.close()
        bench.close()
    bench.plant.referee.check()
