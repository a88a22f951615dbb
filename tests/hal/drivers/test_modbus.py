"""Modbus RTU: codec vectors, and the rules of the engine that shares one line between devices."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal import modbus_rtu
from hal.modbus import ModbusBus, Transaction, shared_bus, take_options
from hal.options import Options
from tests.hal.drivers.bench import RegisterDevice, modbus_line, run

ACREL_REQUEST = bytes.fromhex("010300000006C5C8")
ACREL_ANSWER = bytes.fromhex("01030C000000030000000200000 14D3FE5".replace(" ", ""))


def open_bus(baudrate: int = 9600) -> tuple[ModbusBus, RegisterDevice]:
    bus, line = modbus_line(baudrate)
    bus.open()
    return bus, RegisterDevice(line, 1, {0: 7, 1: 8})


def test_crc_check_value() -> None:
    assert modbus_rtu.crc16(b"123456789") == 0x4B37


def test_documented_meter_exchange_is_encoded_and_decoded() -> None:
    request = modbus_rtu.read_request(1, 3, 0, 6)
    assert request.encode() == ACREL_REQUEST
    assert modbus_rtu.find_answer(request, ACREL_ANSWER) == modbus_rtu.Answer((0, 3, 0, 2, 0, 333))


@pytest.mark.parametrize("cut", range(len(ACREL_ANSWER)))
def test_truncated_answer_is_no_answer(cut: int) -> None:
    assert modbus_rtu.find_answer(modbus_rtu.read_request(1, 3, 0, 6), ACREL_ANSWER[:cut]) is None


@given(st.integers(0, 8 * len(ACREL_ANSWER) - 1))
def test_any_flipped_bit_is_no_answer(bit: int) -> None:
    damaged = bytearray(ACREL_ANSWER)
    damaged[bit // 8] ^= 1 << bit % 8
    assert modbus_rtu.find_answer(modbus_rtu.read_request(1, 3, 0, 6), damaged) is None


@given(noise=st.binary(max_size=12))
def test_noise_before_an_answer_is_skipped(noise: bytes) -> None:
    answer = modbus_rtu.find_answer(modbus_rtu.read_request(1, 3, 0, 6), noise + ACREL_ANSWER)
    assert answer == modbus_rtu.Answer((0, 3, 0, 2, 0, 333))


@given(st.binary(max_size=300))
def test_garbage_never_raises_and_never_answers_a_long_read(data: bytes) -> None:
    assert modbus_rtu.find_answer(modbus_rtu.read_request(9, 4, 0, 60), data) is None


def test_answer_of_another_unit_function_or_length_is_refused() -> None:
    request = modbus_rtu.read_request(1, 3, 0, 2)
    good = modbus_rtu.frame(1, bytes((3, 4, 0, 1, 0, 2)))
    assert modbus_rtu.find_answer(request, good) is not None
    assert modbus_rtu.find_answer(request, modbus_rtu.frame(2, bytes((3, 4, 0, 1, 0, 2)))) is None
    assert modbus_rtu.find_answer(request, modbus_rtu.frame(1, bytes((4, 4, 0, 1, 0, 2)))) is None
    assert modbus_rtu.find_answer(request, modbus_rtu.frame(1, bytes((3, 2, 0, 1)))) is None


def test_write_answer_must_repeat_address_and_count() -> None:
    request = modbus_rtu.write_request(3, 3026, (1,))
    assert modbus_rtu.find_answer(request, modbus_rtu.frame(3, bytes.fromhex("100BD20001"))) is not None
    assert modbus_rtu.find_answer(request, modbus_rtu.frame(3, bytes.fromhex("100BD30001"))) is None


def test_exception_answer_ends_the_transaction_with_its_meaning() -> None:
    bus, device = open_bus()
    device.refuse[0] = 2
    transaction = bus.client(1).read(3, 0, 2)
    run(bus.poll, lambda _: device.poll(), 0.0, 0.1)
    assert transaction.done
    assert transaction.error == "device refuses: illegal data address (exception 2)"


def test_silent_device_does_not_starve_the_others() -> None:
    bus, device = open_bus()
    silent, alive = bus.client(2), bus.client(1)
    answered = 0
    waiting: list[Transaction] = []

    def poll(now_s: float) -> None:
        nonlocal answered
        if not silent.queue:
            silent.read(3, 0, 2)
        if not waiting or waiting[0].done:
            answered += bool(waiting and waiting[0].ok)
            waiting[:] = [alive.read(3, 0, 2)]
        bus.poll(now_s)

    run(poll, lambda _: device.poll(), 0.0, 10.0)
    assert silent.problem() is not None
    assert alive.problem() is None
    # 10 s hold about 10 probes of the silent unit of 0.22 s each; the rest belongs to the device that answers.
    assert answered > 250


def test_devices_take_turns_however_busy_one_is() -> None:
    bus, device = open_bus()
    busy, other = bus.client(1), bus.client(2)
    units: list[int] = []

    def poll(now_s: float) -> None:
        for client in (busy, other):
            if len(client.queue) < 5:
                client.read(3, 0, 2)
        bus.poll(now_s)

    def others(_: float) -> None:
        data = device.line.read()
        if data:
            device.unit = data[0]
            units.append(data[0])
            device.line.write(device.answer(data))

    run(poll, others, 0.0, 1.0)
    assert abs(units.count(1) - units.count(2)) <= 1


def test_late_answer_is_not_taken_for_the_next_request() -> None:
    bus, device = open_bus()
    device.mute = True
    client = bus.client(1, timeout_s=0.2)
    first = client.read(3, 0, 2)
    now_s = run(bus.poll, lambda _: device.poll(), 0.0, 0.3)
    assert first.error == "no answer"
    second = client.read(3, 10, 2)
    now_s = run(bus.poll, lambda _: device.poll(), now_s, 0.05)
    device.line.write(device.answer(device.requests[0]))  # the answer to the first request, too late
    run(bus.poll, lambda _: device.poll(), now_s, 0.15)
    assert not second.ok


def test_second_answer_after_a_late_one_is_not_taken_for_the_next_request() -> None:
    """The late answer came after the pause and was taken for the repeat: the repeat's own answer must not shift on."""
    bus, device = open_bus()
    device.mute = True
    client = bus.client(1, timeout_s=0.2)
    client.read(3, 0, 2)
    now_s = run(bus.poll, lambda _: device.poll(), 0.0, 0.3)
    repeat = client.read(3, 0, 2)
    now_s = run(bus.poll, lambda _: device.poll(), now_s, 0.2)
    assert len(device.requests) == 2
    device.line.write(device.answer(device.requests[0]))
    now_s = run(bus.poll, lambda _: device.poll(), now_s, 0.02)
    assert repeat.ok
    other = client.read(3, 10, 2)
    now_s = run(bus.poll, lambda _: device.poll(), now_s, 0.05)
    device.line.write(device.answer(device.requests[1]))
    device.mute = False
    now_s = run(bus.poll, lambda _: device.poll(), now_s, 0.4)
    assert other.registers == (0, 0)


def test_answer_that_waited_while_the_process_stood_still_is_dropped() -> None:
    bus, device = open_bus()
    transaction = bus.client(1).read(3, 0, 2)
    bus.poll(0.0)
    device.poll()
    bus.poll(5.0)
    assert transaction.done
    assert transaction.error is not None


def test_gap_between_frames_is_kept() -> None:
    bus, device = open_bus()
    client = bus.client(1, gap_s=0.05)
    client.read(3, 0, 1)
    client.read(3, 1, 1)
    times: list[float] = []

    def others(now_s: float) -> None:
        before = len(device.requests)
        device.poll()
        if len(device.requests) > before:
            times.append(now_s)

    run(bus.poll, others, 0.0, 0.3)
    assert len(times) == 2
    assert times[1] - times[0] >= 0.05


@settings(max_examples=60)
@given(st.lists(st.one_of(st.binary(max_size=20), st.none()), max_size=20))
def test_engine_survives_anything_on_the_line(chunks: list[bytes | None]) -> None:
    bus, device = open_bus()
    client = bus.client(1, timeout_s=0.05)
    now_s = 0.0
    for chunk in chunks:
        if not client.queue:
            client.read(3, 0, 2)
        bus.poll(now_s)
        if chunk is None:
            device.poll()
        else:
            device.line.write(chunk)
        now_s += 0.01
    while client.queue:
        now_s = run(bus.poll, lambda _: device.poll(), now_s, 0.1)
    last = client.read(3, 0, 2)
    run(bus.poll, lambda _: device.poll(), now_s, 1.5)
    assert last.registers == (7, 8)


def test_devices_on_one_port_share_one_bus_and_must_agree_on_its_settings() -> None:
    options = {"port": "/dev/tty-of-test"}
    first = Options("meter", options)
    bus = shared_bus(first, take_options(first, 1, 9600, "N"))
    second = Options("imd", {**options, "baudrate": 9600})
    assert shared_bus(second, take_options(second, 3, 19200, "N")) is bus
    third = Options("imd", options)
    with pytest.raises(ValueError, match="imd: option 'baudrate' is 19200, but another device"):
        shared_bus(third, take_options(third, 3, 19200, "N"))


def test_same_unit_twice_on_one_line_is_refused() -> None:
    bus, _ = open_bus()
    bus.client(1)
    with pytest.raises(ValueError, match="unit 1 is configured twice"):
        bus.client(1)
