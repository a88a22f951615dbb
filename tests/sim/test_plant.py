"""The composed plant: configuration as data, faults by name, a controller's whole session by bare bytes, ptys."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import struct
import termios
import time
import tomllib
from pathlib import Path

import can
import pytest

from evse_controller.model.pilot import PilotState
from hal.sim.plant import CHANNELS, Plant, PlantConfig
from hal.sim.ptys import PtyBench
from hal.sim.rtu_slave import sealed
from hal.sim.safety_mcu import frame
from hal.sim.testing import MakePlant, judged

CLOSE = frame(0x06, 1 << 63 | 50 << 48 | 3 << 40)
OPEN = frame(0x06, 1 << 63 | 50 << 48)


class BareController:
    """The least that can run the outlet in the right order: raw frames, no drivers, no product code."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.beat = OPEN
        self.host = plant.channels["can0"]
        self.host.write(b"C\rS4\rO\r")

    def send(self, text: str) -> None:
        self.host.write(f"T02A43FF08{text}\r".encode())

    def run(self, seconds: float) -> None:
        for step in range(round(seconds / 0.05)):
            if self.beat:
                self.plant.channels["mcu"].write(self.beat)
            if step % 20 == 0:
                self.host.write(b"T02A301F081101000000000000\r")
            self.plant.step(0.05)

    def volts(self, volts: float) -> None:
        self.send(f"10010000{round(volts * 1000):08X}")

    def amps(self, amps: float) -> None:
        self.send(f"11020000{round(amps * 1000):08X}")

    def switch(self, on: bool) -> None:
        self.send("11100000000000A0" if on else "11100000000000A1")

    def start(self) -> None:
        plant = self.plant
        self.run(0.5)
        plant.inlet.plug()
        plant.inlet.set_pilot(PilotState.C)
        self.send("31C1000000000001")
        self.beat = CLOSE
        self.run(0.3)
        self.volts(500.0)
        self.amps(1.0)
        self.switch(True)
        self.run(4.0)
        self.switch(False)
        self.run(3.0)
        assert plant.world.outlet_v < 60.0
        self.volts(plant.inlet.battery_voltage_v)
        self.switch(True)
        self.run(2.0)
        plant.inlet.close_contactor()
        self.run(0.2)

    def stop(self) -> None:
        self.amps(0.0)
        self.run(0.5)
        self.switch(False)
        self.plant.inlet.open_contactor()
        self.run(0.1)
        self.beat = OPEN
        self.run(4.0)
        self.plant.inlet.set_pilot(PilotState.B)
        self.plant.inlet.unplug()
        self.run(0.1)


def test_a_session_in_both_directions_by_bare_bytes_meets_no_objection(make_plant: MakePlant) -> None:
    plant = make_plant(PlantConfig(speed=60.0))
    plant.set_grid_limits(60_000.0, 40_000.0)
    controller = BareController(plant)
    controller.start()
    controller.volts(440.0)
    controller.amps(30.0)
    controller.run(5.0)
    assert plant.inlet.current_a == pytest.approx(60.0, abs=0.5)
    controller.amps(0.0)
    controller.run(0.5)
    controller.switch(False)
    controller.run(0.2)
    controller.send("21100000000000A1")
    controller.send("11320000000493E0")
    controller.switch(True)
    controller.amps(20.0)
    controller.run(5.0)
    assert plant.inlet.current_a == pytest.approx(-40.0, abs=0.5)
    assert plant.world.grid_power_w < 0
    controller.stop()
    energy = plant.world.world_energy
    assert plant.inlet.charged_wh == pytest.approx(energy.outlet_in_wh - energy.cable_wh, rel=0.02)
    assert plant.inlet.discharged_wh > 0
    assert plant.can.peak_load < 0.5
    assert not plant.faults


def test_a_killed_controller_ends_in_open_contactors_while_the_modules_feed_on(make_plant: MakePlant) -> None:
    plant = make_plant()
    controller = BareController(plant)
    controller.start()
    controller.volts(440.0)
    controller.amps(30.0)
    controller.run(2.0)
    plant.step(0.6)
    assert not plant.world.evse_contactor.closed
    assert abs(plant.inlet.current_a) < 0.01
    assert plant.world.stages["power.1"].on
    plant.step(10.0)
    assert not plant.world.stages["power.1"].on


def test_the_fixture_fails_a_test_whose_referee_objects() -> None:
    def pull_live() -> None:
        with judged(Plant()) as plant:
            BareController(plant).start()
            plant.inlet.unplug()
            plant.step(0.01)

    with pytest.raises(AssertionError, match="unplugged-live"):
        pull_live()


def test_configuration_is_plain_data() -> None:
    data = tomllib.loads("""
        speed = 120
        import_limit_w = 17000
        [battery]
        capacity_kwh = 40.0
        ocv_v = [[0.0, 300.0], [1.0, 400.0]]
        [bus]
        module_addresses = [1, 2, 3]
        [referee]
        required_grid_profile = 1
    """)
    with pytest.raises(ValueError, match="required_grid_profile"):
        PlantConfig.from_dict({"referee": {"required_grid_profile": "one"}})
    config = PlantConfig.from_dict(data)
    assert config.speed == 120.0
    assert config.battery.ocv_v == ((0.0, 300.0), (1.0, 400.0))
    plant = Plant(config)
    assert list(plant.world.stages) == ["power.1", "power.2", "power.3"]
    assert plant.referee.import_limit_w == 17000
    assert plant.referee.config.required_grid_profile == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"sped": 1}, r"plant\.sped: no such option"),
        ({"battery": {"capacity": 1}}, r"plant\.battery\.capacity: no such option"),
        ({"battery": 3}, r"plant\.battery: must be a table"),
        ({"speed": "fast"}, r"plant\.speed: 'fast' is not a number"),
        ({"bus": {"meter_unit": 1.5}}, r"plant\.bus\.meter_unit: 1.5 is not a whole number"),
        ({"bus": {"imd_enabled": 1}}, r"plant\.bus\.imd_enabled: 1 is not true or false"),
        ({"bus": {"module_addresses": 1}}, r"plant\.bus\.module_addresses: must be a list"),
        ({"module": {"efficiency": 1.2}}, r"efficiency must be 0.5..1"),
    ],
)
def test_a_typo_in_the_configuration_is_named(data: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PlantConfig.from_dict(data)


def test_faults_are_injected_and_cleared_by_name(make_plant: MakePlant) -> None:
    plant = make_plant()
    world = plant.world
    plant.inject("contactor", "welded")
    plant.inject("cable", "isolation", ohm=5000.0)
    plant.inject("power.1", "silent")
    plant.inject("power.1", "silent")
    plant.inject("grid", "absent")
    assert world.faults == set(plant.faults)
    assert world.evse_contactor.welded
    assert world.isolation_ohm < 5001.0
    assert not world.grid_present
    assert set(plant.faults) == {
        ("contactor", "welded"), ("cable", "isolation"), ("power.1", "silent"), ("grid", "absent")
    }
    plant.clear("contactor")
    assert not world.evse_contactor.welded
    plant.clear()
    assert world.faults == set()
    assert plant.faults == ()
    assert world.grid_present
    assert world.isolation_ohm > 1e6
    for device, fault in (("toaster", "silent"), ("cable", "melted"), ("power.1", "melted")):
        with pytest.raises(ValueError, match="fault"):
            plant.inject(device, fault)


def _open_raw(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    termios.tcflush(fd, termios.TCIOFLUSH)
    return fd


def test_another_process_finds_the_devices_behind_stable_names(tmp_path: Path) -> None:
    bench = PtyBench(tmp_path / "plant")
    try:
        assert sorted(path.name for path in bench.directory.iterdir()) == sorted(CHANNELS)
        meter = _open_raw(bench.path("meter"))
        mcu = _open_raw(bench.path("mcu"))
        with can.Bus(
            interface="slcan", channel=str(bench.path("can0")), bitrate=125_000, sleep_after_open=0
        ) as port:
            os.write(meter, sealed(bytes.fromhex("010300000006")))
            port.send(
                can.Message(arbitration_id=0x02A301F0, data=bytes.fromhex("1130000000000000"), is_extended_id=True)
            )
            bench.run_for(0.6)
            answer = os.read(meter, 256)
            assert answer == sealed(answer[:-2])
            assert struct.unpack(">BBB", answer[:3]) == (1, 3, 12)
            assert os.read(mcu, 12)[:2] == b"\xa5\x07"
            message = port.recv(0.1)
            assert message is not None
            assert message.arbitration_id == 0x02A3F001
        os.close(meter)
        os.close(mcu)
    finally:
        bench.close()
    assert list(bench.directory.iterdir()) == []


def test_the_bench_runs_in_real_time_and_a_stall_is_not_a_missing_heartbeat(tmp_path: Path) -> None:
    async def story() -> PtyBench:
        config = dataclasses.replace(PlantConfig(), speed=10.0)
        bench = PtyBench(tmp_path, config)
        start_s, start_utc_s = bench.plant.now_s, bench.plant.utc_s
        stop = asyncio.Event()
        task = asyncio.create_task(bench.run(stop))
        await asyncio.sleep(0.2)
        time.sleep(0.5)
        await asyncio.sleep(0.2)
        stop.set()
        await task
        elapsed_s = bench.plant.now_s - start_s
        assert bench.stalled_s >= 0.35
        assert elapsed_s == pytest.approx(0.9 - bench.stalled_s, abs=0.15)
        assert bench.plant.utc_s - start_utc_s == pytest.approx(10.0 * (elapsed_s + bench.stalled_s), rel=0.01)
        return bench

    asyncio.run(story()).close()
