"""Serial ports on ptys, slcan against python-can's own backend, Modbus against pymodbus."""

from __future__ import annotations

import asyncio
import os
import pty
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import can
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from hal import modbus_rtu
from hal.api import DeviceError
from hal.can_port import PythonCanPort, SlcanPort
from hal.channel import memory_pair
from hal.modbus import ModbusBus, Transaction
from hal.serial_port import SerialPort
from tests.hal.drivers.bench import FakeBus

PATIENCE_S = 5.0


@pytest.fixture
def joined() -> Iterator[tuple[int, str]]:
    """A pty: its master end as file descriptor, and the path of its slave end."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    path = os.ttyname(slave)
    os.set_blocking(master, False)
    yield master, path
    for fd in (master, slave):
        os.close(fd)


def wait_for(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s, "nothing happened in time"
        time.sleep(0.002)


def drain(fd: int) -> bytes:
    try:
        return os.read(fd, 4096)
    except BlockingIOError:
        return b""


def test_all_byte_values_pass_a_pty_unchanged(joined: tuple[int, str]) -> None:
    master, path = joined
    port = SerialPort(path, 115200)
    port.open()
    every = bytes(range(256))
    os.write(master, every)
    got = bytearray()
    wait_for(lambda: got.extend(port.read()) is None and len(got) == 256)
    assert got == every
    port.write(every)
    back = bytearray()
    wait_for(lambda: back.extend(drain(master)) is None and len(back) == 256)
    assert back == every
    assert port.problem() is None
    port.close()


def test_read_does_not_wait(joined: tuple[int, str]) -> None:
    port = SerialPort(joined[1])
    port.open()
    start_s = time.perf_counter()
    assert all(port.read() == b"" for _ in range(200))
    assert time.perf_counter() - start_s < 1.0  # a wait of 10 ms in each would be seen
    port.close()


@pytest.mark.parametrize("parity", ["E", "O"])
def test_parity_on_a_pty_falls_back_to_none_and_says_so(joined: tuple[int, str], parity: str) -> None:
    port = SerialPort(joined[1], 19200, parity)
    port.open()
    assert port.note is not None
    assert f"parity {parity} is not possible" in port.note
    port.close()
    port.open()  # and again: the second configuration of a pty is where parity failed late
    port.close()


def test_missing_port_is_a_device_error_that_says_what_to_check(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="port does not exist: is the adapter plugged in"):
        SerialPort(str(tmp_path / "ttyUSB9")).open()
    plain = tmp_path / "file"
    plain.touch()
    with pytest.raises(DeviceError, match="not a serial port"):
        SerialPort(str(plain)).open()


def test_port_in_use_is_refused(joined: tuple[int, str]) -> None:
    first, second = SerialPort(joined[1]), SerialPort(joined[1])
    first.open()
    with pytest.raises(DeviceError, match="in use"):
        second.open()
    first.close()


def test_full_line_neither_blocks_nor_grows(joined: tuple[int, str]) -> None:
    master, path = joined
    port = SerialPort(path)
    port.open()
    start_s = time.perf_counter()
    for _ in range(200):
        port.write(bytes(1000))  # nobody reads the other end
    assert time.perf_counter() - start_s < 5.0
    assert "does not take our bytes" in (port.problem() or "")
    while drain(master):
        pass
    port.write(b"x")
    assert port.problem() is None
    port.close()


def test_vanished_port_is_opened_again_with_pauses(tmp_path: Path) -> None:
    now_s = [0.0]
    master, slave = pty.openpty()
    link = tmp_path / "tty"
    link.symlink_to(os.ttyname(slave))
    port = SerialPort(str(link), clock_s=lambda: now_s[0])
    port.open()
    os.close(slave)
    os.close(master)
    assert port.read() == b""
    assert "gone" in (port.problem() or "") or "hung up" in (port.problem() or "")
    link.unlink()
    now_s[0] += 1.0
    assert port.read() == b""
    assert "does not exist" in (port.problem() or "")
    master, slave = pty.openpty()
    tty.setraw(slave)
    link.symlink_to(os.ttyname(slave))
    assert port.read() == b""
    assert port.problem() is not None  # still within its pause
    now_s[0] += 6.0
    port.read()
    assert port.problem() is None
    os.write(master, b"back")
    got = bytearray()
    wait_for(lambda: got.extend(port.read()) is None and bytes(got) == b"back")
    port.close()
    os.close(master)
    os.close(slave)


def test_unknown_line_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="baud rate 12345"):
        SerialPort("/dev/null", 12345)
    with pytest.raises(ValueError, match="parity"):
        SerialPort("/dev/null", parity="X")


def test_slcan_against_the_backend_of_python_can(joined: tuple[int, str]) -> None:
    master, path = joined
    # A pty master has no path that python-can could open, so two slaves are bridged.
    other_master, other_slave = pty.openpty()
    tty.setraw(other_slave)
    os.set_blocking(other_master, False)
    peer = can.Bus(interface="slcan", channel=os.ttyname(other_slave), bitrate=125_000, sleep_after_open=0)
    port = SerialPort(path)
    port.open()
    ours = SlcanPort(port, 125_000)

    def bridge() -> None:
        for source, sink in ((master, other_master), (other_master, master)):
            data = drain(source)
            if data:
                os.write(sink, data)

    ours.send(0x02A43FF0, bytes.fromhex("10010000000B71B0"))
    received: list[can.Message] = []

    def peer_has_it() -> bool:
        bridge()
        message = peer.recv(0.01)
        if message is not None:
            received.append(message)
        return bool(received)

    wait_for(peer_has_it)
    assert received[0].arbitration_id == 0x02A43FF0
    assert received[0].is_extended_id
    assert bytes(received[0].data) == bytes.fromhex("10010000000B71B0")
    peer.send(can.Message(arbitration_id=0x123, data=b"\x01", is_extended_id=False))
    peer.send(can.Message(arbitration_id=0x02A3F001, data=bytes(range(8)), is_extended_id=True))
    got: list[tuple[int, bytes]] = []

    def we_have_it() -> bool:
        bridge()
        frame = ours.receive()
        if frame is not None:
            got.append(frame)
        return bool(got)

    wait_for(we_have_it)
    assert got == [(0x02A3F001, bytes(range(8)))]
    ours.close()
    peer.shutdown()
    for fd in (other_master, other_slave):
        os.close(fd)


@given(st.binary(max_size=120))
def test_slcan_survives_any_bytes_and_finds_the_next_frame(noise: bytes) -> None:
    ours, theirs = memory_pair()
    port = SlcanPort(ours)
    theirs.write(noise + b"\r" + b"T02A3F0018000102030405060" + b"7\r")
    got = []
    while (frame := port.receive()) is not None:
        got.append(frame)
    assert got[-1] == (0x02A3F001, bytes(range(8)))
    assert all(can_id <= 0x1FFFFFFF and len(data) <= 8 for can_id, data in got)


def test_slcan_sets_its_bit_rate_again_when_the_adapter_comes_back() -> None:
    ours, theirs = memory_pair()
    state: list[str | None] = [None]
    ours.problem = lambda: state[0]  # type: ignore[method-assign]
    port = SlcanPort(ours, 125_000)
    assert theirs.read() == b"C\rS4\rO\r"
    state[0] = "unplugged"
    port.receive()
    state[0] = None
    port.receive()
    assert theirs.read() == b"C\rS4\rO\r"
    with pytest.raises(ValueError, match="slcan knows no bit rate 111"):
        SlcanPort(ours, 111)


def test_python_can_bus_that_fails_is_opened_again() -> None:
    now_s = [0.0]
    dead, good = FakeBus(), FakeBus()
    dead.broken = "no such device"
    port = PythonCanPort(dead, lambda: good, clock_s=lambda: now_s[0])
    assert not port.send(1, b"")
    assert port.problem() == "CAN bus: no such device"
    now_s[0] = 1.5
    assert port.send(1, b"")
    assert port.problem() is None
    assert len(good.sent) == 1


def test_modbus_master_against_the_server_of_pymodbus(joined: tuple[int, str]) -> None:
    """An independent implementation on the other end of a pty pair: FC3, FC4, FC6, FC16 and an exception."""
    master, path = joined
    other_master, other_slave = pty.openpty()
    tty.setraw(other_slave)
    os.set_blocking(other_master, False)
    server_path = os.ttyname(other_slave)
    stop = threading.Event()
    ready = threading.Event()

    def serve() -> None:
        async def main() -> None:
            device = SimDevice(3, simdata=[SimData(1000, values=list(range(20)), datatype=DataType.REGISTERS)])
            server = ModbusSerialServer(device, framer=FramerType.RTU, port=server_path, baudrate=19200)
            await server.serve_forever(background=True)
            ready.set()
            while not stop.is_set():
                for source, sink in ((master, other_master), (other_master, master)):
                    data = drain(source)
                    if data:
                        os.write(sink, data)
                await asyncio.sleep(0.001)
            await server.shutdown()

        asyncio.run(main())

    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(PATIENCE_S)

    def make_channel() -> SerialPort:
        port = SerialPort(path, 19200)
        port.open()
        return port

    bus = ModbusBus(make_channel, 19200)
    bus.open()
    client = bus.client(3, timeout_s=1.0)

    def finish(transaction: Transaction) -> Transaction:
        def done() -> bool:
            bus.poll(time.monotonic())
            return transaction.done

        wait_for(done)
        return transaction

    try:
        assert finish(client.read(modbus_rtu.READ_HOLDING, 1000, 4)).registers == (0, 1, 2, 3)
        assert finish(client.read(modbus_rtu.READ_INPUT, 1004, 2)).registers == (4, 5)
        assert finish(client.write(1002, (0x5445, 7))).ok
        assert finish(client.write_single(1001, 9)).ok
        assert finish(client.read(modbus_rtu.READ_HOLDING, 1000, 4)).registers == (0, 9, 0x5445, 7)
        assert "illegal data address" in (finish(client.read(modbus_rtu.READ_HOLDING, 5000, 1)).error or "")
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        bus.close()
        for fd in (other_master, other_slave):
            os.close(fd)
