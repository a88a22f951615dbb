"""The pilot board's UART protocol by bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evse_controller.model.pilot import PilotState
from hal.api import Contact, McuReading
from hal.channel import MemoryChannel, memory_pair
from hal.pilot import charge_som
from hal.pilot.charge_som import ChargeSomMcu, FrameDecoder, crc8_j1850, encode_frame

# 5 % PWM on, normal, no pilot error, state C, contactors 0 and 1 closed, 2 unused, E-stops: 0 ok, 1 and 2 unused.
STATE_C = 1 << 63 | 50 << 48 | 3 << 40 | 2 << 24 | 2 << 26 | 3 << 28 | 3 << 18 | 3 << 20


def board() -> tuple[ChargeSomMcu, MemoryChannel]:
    ours, theirs = memory_pair()
    mcu = ChargeSomMcu("mcu", lambda: ours)
    mcu.open()
    return mcu, theirs


def reading_of(word: int) -> McuReading:
    mcu, line = board()
    line.write(encode_frame(0x07, word))
    mcu.poll(1.0)
    reading = mcu.reading()
    assert reading is not None
    return reading


def test_crc8_check_value_of_sae_j1850() -> None:
    assert crc8_j1850(b"123456789") == 0x4B


def test_charge_control_bits() -> None:
    mcu, line = board()
    mcu.set_duty(5.0)
    mcu.set_contactors(True)
    assert line.read() == b""  # nothing but `beat` sends
    mcu.beat(1.0)
    sent = line.read()
    # bit 63 PWM, 57-48 duty 50, bits 40 and 41 the pair
    assert sent[:10] == bytes((0xA5, 0x06)) + bytes.fromhex("8032030000000000")
    assert sent[10] == crc8_j1850(sent[1:10])
    assert sent[11] == 0x03
    mcu.set_contactors(False)
    mcu.set_duty(None)
    mcu.beat(1.05)
    assert line.read()[2:10] == bytes(8)


def test_full_duty_fits_its_ten_bits() -> None:
    mcu, line = board()
    mcu.set_duty(100.0)
    mcu.beat(0.0)
    assert line.read()[2:4] == bytes.fromhex("83E8")
    with pytest.raises(ValueError, match=r"duty must be 0\.\.100"):
        mcu.set_duty(100.1)


def test_poll_never_sends_the_keep_alive() -> None:
    mcu, line = board()
    mcu.set_contactors(True)
    for step in range(200):
        line.write(encode_frame(0x07, STATE_C))
        mcu.poll(step * 0.01)
    assert line.read() == b""


def test_charge_state_is_read_bit_by_bit() -> None:
    reading = reading_of(STATE_C)
    assert reading == McuReading(1.0, PilotState.C, 5.0, Contact.CLOSED, False, False, 0, None)


@pytest.mark.parametrize(
    ("code", "amps"), [(0, None), (1, 13.0), (2, 20.0), (3, 32.0), (4, 63.0), (5, None), (6, None), (7, 0.0)]
)
def test_proximity_tells_what_the_cable_may_carry(code: int, amps: float | None) -> None:
    assert reading_of(STATE_C | code << 32).cable_a == amps


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (0, PilotState.INVALID),
        (1, PilotState.A),
        (2, PilotState.B),
        (3, PilotState.C),
        (4, PilotState.D),
        (5, PilotState.E),
        (6, PilotState.F),
        (7, PilotState.INVALID),
    ],
)
def test_pilot_codes(code: int, state: PilotState) -> None:
    assert reading_of(STATE_C & ~(7 << 40) | code << 40).pilot is state


@pytest.mark.parametrize(
    ("first", "second", "contact"),
    [
        (1, 1, Contact.OPEN),
        (2, 2, Contact.CLOSED),
        (1, 2, Contact.UNDEFINED),
        (2, 0, Contact.UNDEFINED),
        (1, 3, Contact.OPEN),
        (3, 3, Contact.UNDEFINED),
    ],
)
def test_contactor_pair_is_closed_only_when_all_its_contacts_say_so(first: int, second: int, contact: Contact) -> None:
    word = STATE_C & ~(0xF << 24) | first << 24 | second << 26
    assert reading_of(word).contactor is contact


@pytest.mark.parametrize(
    ("shift", "code", "stopped"), [(16, 1, True), (18, 1, True), (20, 1, True), (16, 2, True), (16, 3, False)]
)
def test_any_tripped_emergency_stop_counts(shift: int, code: int, stopped: bool) -> None:
    word = STATE_C & ~(3 << shift) | code << shift
    assert reading_of(word).emergency_stop is stopped


def test_safe_state_and_its_reason_are_reported() -> None:
    mcu, line = board()
    line.write(encode_frame(0x07, STATE_C | 1 << 58 | 0x2A << 8))
    mcu.poll(1.0)
    reading = mcu.reading()
    assert reading is not None
    assert (reading.safe_state, reading.safe_reason) == (True, 0x2A)
    assert "safe state, reason 42" in (mcu.problem() or "")


def test_pilot_errors_are_named() -> None:
    assert reading_of(STATE_C | 1 << 43).pilot_fault == "pilot short circuit"
    assert reading_of(STATE_C | 1 << 44).pilot_fault == "pilot diode fault"


def test_board_error_temperature_and_firmware_frames() -> None:
    mcu, line = board()
    unused = 0x1FFF << 2
    hot = (951 << 2 | 1) << 48 | unused << 32 | unused << 16 | unused
    line.write(encode_frame(0x07, STATE_C) + encode_frame(0x08, hot))
    mcu.poll(1.0)
    assert mcu.problem() == "temperature channel 0 stopped charging at 95.1 degC"
    line.write(encode_frame(0x0E, 1 << 63 | 5 << 48 | 7 << 32 | 0xABCD))
    mcu.poll(1.01)
    assert mcu.problem() == "board error: module 5, reason 7, data 0000ABCD"
    line.write(encode_frame(0x0A, 1 << 56 | 2 << 48 | 3 << 40))
    mcu.poll(1.02)
    assert mcu.firmware == "1.2.3"


def test_silence_grows_old_and_is_named() -> None:
    mcu, line = board()
    line.write(encode_frame(0x07, STATE_C))
    mcu.poll(1.0)
    for step in range(100):
        mcu.poll(1.0 + step * 0.01)
    reading = mcu.reading()
    assert reading is not None
    assert reading.at_s == 1.0
    assert mcu.problem() == "no ChargeState for 1.0 s"


def test_frames_that_waited_while_the_process_stood_still_are_dropped() -> None:
    mcu, line = board()
    mcu.poll(1.0)
    line.write(encode_frame(0x07, STATE_C))
    mcu.poll(5.0)
    assert mcu.reading() is None


@given(before=st.binary(max_size=40), word=st.integers(0, 2**64 - 1))
def test_decoder_finds_the_frame_after_any_garbage(before: bytes, word: int) -> None:
    decoder = FrameDecoder()
    decoder.feed(before)
    # A false start in the garbage can swallow at most 11 bytes; the second frame is found in every case.
    frames = decoder.feed(encode_frame(0x07, word) + encode_frame(0x08, word))
    assert frames[-1] == (0x08, word)


@given(st.binary(max_size=200), st.integers(1, 7))
def test_decoder_does_not_depend_on_how_bytes_arrive(data: bytes, size: int) -> None:
    whole, parts = FrameDecoder(), FrameDecoder()
    stream = data + encode_frame(0x07, STATE_C) + data
    expected = whole.feed(stream)
    found = [frame for at in range(0, len(stream), size) for frame in parts.feed(stream[at : at + size])]
    assert found == expected


@given(st.integers(8, 8 * 11 - 1))
def test_any_flipped_bit_in_id_data_or_crc_is_refused(bit: int) -> None:
    damaged = bytearray(encode_frame(0x07, STATE_C))
    damaged[bit // 8] ^= 1 << bit % 8
    assert FrameDecoder().feed(bytes(damaged)) == []


def test_factory_options() -> None:
    assert charge_som.create("mcu", {"port": "/dev/ttyLP2", "contactors": [0]}).name == "mcu"
    with pytest.raises(ValueError, match=r"option 'contactors' must hold whole numbers 0\.\.2, got 3"):
        charge_som.create("mcu", {"port": "/dev/ttyLP2", "contactors": [3]})
    with pytest.raises(ValueError, match="did you mean 'port'"):
        charge_som.create("mcu", {"port": "/dev/ttyLP2", "prt": 1})
