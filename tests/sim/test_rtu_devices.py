"""Modbus RTU devices: published bytes, register maps, times of the line, silence where a real bus is silent."""

from __future__ import annotations

import struct

import pytest

from hal.channel import MemoryChannel, memory_pair
from hal.sim.bender_imd import BenderIsoCha425, LineSample
from hal.sim.meters import AcrelDjsf1352, AcSample, DcSample, EastronSdm630
from hal.sim.rtu_slave import RtuDevice, RtuLine, sealed


class Desk:
    """One device on one line, asked by raw bytes in virtual time."""

    def __init__(self, device: RtuDevice, baudrate: int = 9600, bits: int = 10) -> None:
        self.host: MemoryChannel
        self.host, end = memory_pair()
        self.line = RtuLine(end, baudrate, bits)
        self.line.add(device)
        self.now_s = 100.0
        self.answered_after_s = 0.0

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.001)):
            self.now_s += 0.001
            self.line.poll(self.now_s)

    def ask(self, request: bytes, patience_s: float = 0.3) -> bytes:
        start_s, answer = self.now_s, b""
        self.host.write(request)
        while self.now_s - start_s < patience_s:
            self.wait(0.001)
            data = self.host.read()
            if data and not answer:
                self.answered_after_s = self.now_s - start_s
            answer += data
        return answer

    def registers(self, unit: int, function: int, address: int, count: int) -> list[int]:
        answer = self.ask(sealed(struct.pack(">BBHH", unit, function, address, count)))
        assert answer == sealed(answer[:-2])
        assert answer[:3] == bytes([unit, function, 2 * count]), answer.hex()
        return list(struct.unpack(f">{count}H", answer[3:-2]))

    def floats(self, unit: int, function: int, address: int, count: int) -> list[float]:
        words = self.registers(unit, function, address, 2 * count)
        return list(struct.unpack(f">{count}f", struct.pack(f">{2 * count}H", *words)))

    def write(self, unit: int, address: int, *values: int) -> bytes:
        head = struct.pack(">BBHHB", unit, 16, address, len(values), 2 * len(values))
        return self.ask(sealed(head + struct.pack(f">{len(values)}H", *values)))


DC = DcSample(401.2, -12.34, 5000.0, 700.0)


def acrel(sample: DcSample = DC, **options: float) -> AcrelDjsf1352:
    return AcrelDjsf1352("meter", lambda: sample, **options)  # type: ignore[arg-type]


def test_the_published_acrel_exchange_byte_for_byte() -> None:
    desk = Desk(acrel(DcSample(0.0, 0.0, 0.0, 0.0), voltage_exponent=3, current_exponent=2))
    answer = desk.ask(bytes.fromhex("010300000006C5C8"))
    assert answer == bytes.fromhex("01030C00000003000000020000014D3FE5")


def test_acrel_decimal_and_float_registers_agree() -> None:
    desk = Desk(acrel())
    words = desk.registers(1, 3, 0, 20)
    signed = struct.unpack(">h", struct.pack(">H", words[2]))[0]
    assert words[0] * 10.0 ** (words[1] - 3) == pytest.approx(401.2)
    assert signed * 10.0 ** (words[3] - 3) == pytest.approx(-12.34)
    power = struct.unpack(">h", struct.pack(">H", words[8]))[0] * 10.0 ** (words[9] - 3)
    assert power == pytest.approx(401.2 * -12.34, abs=5.0)
    volts, amps, kilowatts = desk.floats(1, 3, 50, 3)
    assert [volts, amps] == pytest.approx([401.2, -12.34])
    assert kilowatts == pytest.approx(401.2 * -12.34 / 1000.0)


@pytest.mark.parametrize("lsb_wh", [1.0, 0.1])
def test_acrel_energy_counts_in_its_own_resolution(lsb_wh: float) -> None:
    desk = Desk(
        acrel(DcSample(400.0, 10.0, 12.37, 3.91), energy_lsb_wh=lsb_wh, initial_import_wh=0, initial_export_wh=0)
    )
    words = desk.registers(1, 3, 12, 4)
    assert (words[0] << 16 | words[1]) == int(12.37 / lsb_wh)
    assert (words[2] << 16 | words[3]) == int(3.91 / lsb_wh)


def test_an_answer_comes_after_request_turnaround_and_its_own_characters() -> None:
    desk = Desk(acrel(turnaround_s=0.005))
    desk.ask(sealed(struct.pack(">BBHH", 1, 3, 0, 20)))
    char_s = 10 / 9600
    earliest_s = 8 * char_s + 3.5 * char_s + 0.005 + char_s
    assert earliest_s - 1e-6 <= desk.answered_after_s <= earliest_s + 0.004
    desk = Desk(acrel())
    desk.host.write(sealed(struct.pack(">BBHH", 1, 3, 0, 20)))
    desk.wait(8 * char_s + 3.5 * char_s + 0.005 + 20 * char_s)
    assert 15 <= len(desk.host.read()) < 45


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (sealed(bytes.fromhex("020300000006")), "another unit"),
        (bytes.fromhex("010300000006C5C9"), "a wrong checksum"),
        (bytes.fromhex("0103"), "a torn request"),
    ],
)
def test_a_real_bus_is_silent_for(request_: bytes, why: str) -> None:
    desk = Desk(acrel())
    assert desk.ask(request_) == b"", why
    assert desk.registers(1, 3, 0, 1), f"still works after {why}"


def test_exceptions_for_wrong_function_and_address() -> None:
    desk = Desk(acrel())
    assert desk.ask(sealed(bytes.fromhex("010400000001")))[:3] == bytes.fromhex("018402")[:1] + b"\x84\x01"
    assert desk.ask(sealed(bytes.fromhex("010300FF0002")))[:3] == b"\x01\x83\x02"
    assert desk.ask(sealed(bytes.fromhex("010300000000")))[:3] == b"\x01\x83\x03"


def test_sdm630_power_and_energy_registers() -> None:
    desk = Desk(EastronSdm630("building", lambda: AcSample(-4321.5, 1500.4, 250.0), initial_import_wh=0.0))
    assert desk.floats(1, 4, 0x34, 1)[0] == pytest.approx(-4321.5)
    assert desk.floats(1, 4, 0x48, 2) == [pytest.approx(1.5), pytest.approx(120.25)]
    assert sum(desk.floats(1, 4, 12, 3)) == pytest.approx(-4321.5)
    assert desk.floats(1, 4, 342, 1)[0] == pytest.approx(121.75)
    assert desk.ask(sealed(bytes.fromhex("010300340002")))[1] == 0x83
    assert desk.ask(sealed(bytes.fromhex("010400000052")))[1] == 0x84


class Line:
    """What the isolation monitor hangs on."""

    def __init__(self) -> None:
        self.ohm = 2e6
        self.volts = 450.0
        self.measured: list[tuple[float, float]] = []

    def imd(self, **options: float) -> BenderIsoCha425:
        return BenderIsoCha425(
            "imd",
            lambda: LineSample(self.ohm, self.volts),
            lambda ohm, lowest_v: self.measured.append((ohm, lowest_v)),
            **options,  # type: ignore[arg-type]
        )


def insulation(desk: Desk) -> tuple[float, int, int, int, int]:
    """R_F in ohm, alarm, test, unit, validity."""
    words = desk.registers(3, 3, 1000, 4)
    value = struct.unpack(">f", struct.pack(">HH", words[0], words[1]))[0]
    high, low = words[2] >> 8, words[2] & 0xFF
    return value, high & 7, high >> 6, low & 0x1F, low >> 6


def test_the_imd_is_invalid_until_a_cycle_is_over_then_measures() -> None:
    line = Line()
    desk = Desk(line.imd(cycle_s=1.0), 19_200, 11)
    assert insulation(desk)[4] == 3
    desk.wait(1.0)
    value, *status = insulation(desk)
    assert value == pytest.approx(2e6)
    assert status == [0, 0, 2, 0]
    assert line.measured
    line.ohm = 50e6
    desk.wait(5.0)
    assert insulation(desk)[4] == 2


def test_the_imd_tells_the_lowest_voltage_of_each_cycle() -> None:
    line = Line()
    desk = Desk(line.imd(cycle_s=1.0), 19_200, 11)
    line.volts = 20.0
    desk.wait(0.5)
    line.volts = 500.0
    desk.wait(1.6)
    assert [volts for _, volts in line.measured] == [20.0, 500.0]


def test_the_imd_alarms_follow_its_thresholds() -> None:
    line = Line()
    desk = Desk(line.imd(cycle_s=0.5), 19_200, 11)
    line.ohm = 300_000.0
    desk.wait(2.0)
    assert insulation(desk)[1] == 1
    desk.write(3, 3007, 400)
    assert insulation(desk)[1] == 5
    assert desk.registers(3, 3, 3007, 1) == [400]


def test_a_self_test_takes_its_time_and_suspends_measuring() -> None:
    line = Line()
    desk = Desk(line.imd(self_test_s=8.0), 19_200, 11)
    desk.wait(1.5)
    echo = desk.write(3, 8005, 0x5445)
    assert echo[:6] == bytes.fromhex("03101F450001")
    assert insulation(desk)[2:] == (2, 2, 3)
    cycles = len(line.measured)
    desk.wait(7.0)
    assert insulation(desk)[2] == 2
    assert len(line.measured) == cycles
    desk.wait(2.5)
    assert insulation(desk)[1:] == (0, 0, 2, 0)
    assert desk.write(3, 8005, 0x1234)[1] == 0x90


def test_a_failed_self_test_is_a_device_error_until_the_next_good_one() -> None:
    imd = Line().imd(self_test_s=1.0)
    desk = Desk(imd, 19_200, 11)
    imd.faults.inject("self_test_fails")
    desk.write(3, 8005, 0x5445)
    desk.wait(3.0)
    assert insulation(desk)[1] == 2
    imd.faults.clear("self_test_fails")
    desk.write(3, 8005, 0x5445)
    desk.wait(3.0)
    assert insulation(desk)[1] == 0


def test_a_disabled_imd_does_not_measure() -> None:
    line = Line()
    desk = Desk(line.imd(), 19_200, 11)
    desk.wait(1.5)
    desk.write(3, 3026, 0)
    cycles = len(line.measured)
    desk.wait(2.0)
    assert insulation(desk)[4] == 3
    assert len(line.measured) == cycles


def test_imd_identification_and_voltages() -> None:
    desk = Desk(Line().imd(), 19_200, 11)
    words = desk.registers(3, 3, 9800, 10)
    assert struct.pack(">10H", *words).startswith(b"isoCHA425HV")
    assert desk.registers(3, 3, 9820, 4)[1] > 500
    assert desk.floats(3, 3, 1008, 1) == [450.0]
    assert desk.floats(3, 3, 1016, 1) == [225.0]
    assert desk.registers(3, 3, 1010, 1)[0] & 0x1F == 4


def test_common_faults_of_a_measuring_device() -> None:
    sample = [DcSample(400.0, 10.0, 0.0, 0.0)]
    meter = AcrelDjsf1352("meter", lambda: sample[0])
    desk = Desk(meter)

    def volts() -> float:
        desk.wait(0.2)
        return desk.floats(1, 3, 50, 1)[0]

    assert volts() == 400.0
    meter.faults.inject("wrong", factor=1.05, offset=1.0)
    assert volts() == pytest.approx(421.0)
    meter.faults.clear("wrong")
    meter.faults.inject("frozen")
    sample[0] = DcSample(200.0, 10.0, 0.0, 0.0)
    assert volts() == pytest.approx(421.0)
    meter.faults.clear("frozen")
    meter.faults.inject("drifting", per_s=0.1)
    assert 201.0 < volts() < 220.0
    meter.faults.clear("drifting")
    meter.faults.inject("noise", relative=0.05)
    assert len({volts() for _ in range(4)}) == 4
    meter.faults.clear("noise")
    meter.faults.inject("silent")
    assert desk.ask(sealed(bytes.fromhex("010300000001"))) == b""
    meter.faults.clear("silent")
    meter.faults.inject("corrupt")
    answer = desk.ask(sealed(bytes.fromhex("010300000001")))
    assert answer != b""
    assert answer != sealed(answer[:-2])
    meter.faults.clear("corrupt")
    meter.faults.inject("late", delay_s=1.0)
    assert desk.ask(sealed(bytes.fromhex("010300000001"))) == b""
    desk.wait(1.0)
    assert desk.host.read() != b""
    with pytest.raises(ValueError, match="meter has no fault 'melted'"):
        meter.faults.inject("melted")
