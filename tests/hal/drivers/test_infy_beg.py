"""The power module driver by frames, against scripted modules that know only registers."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.api import PowerMode
from hal.power import infy_beg
from hal.power import infy_frames as frames
from hal.power.infy_beg import FRAME_BITS, InfyBeg
from tests.hal.drivers.bench import STEP_S, FakeBus
from tests.hal.drivers.infy_bench import DC_OFF, Bench, Scripted

OFF_FRAME = (0x02A43FF0, bytes.fromhex("11100000000000A1"))
ON_FRAME = (0x02A43FF0, bytes.fromhex("11100000000000A0"))

def test_documented_vectors() -> None:
    assert frames.identifier(frames.WRITE, frames.BROADCAST) == 0x02A43FF0
    assert frames.identifier(frames.READ, 1) == 0x02A301F0
    assert frames.payload(0x1001, 750_000) == bytes.fromhex("10010000000B71B0")
    assert frames.payload(0x1102, 16_000) == bytes.fromhex("1102000000003E80")


def test_set_points_go_to_all_in_millivolt_and_milliampere() -> None:
    bench = Bench()
    since_s = bench.now_s
    bench.psu.set_output(750.0, 16.0)
    bench.run(0.2)
    sent = bench.sent(since_s)
    assert (0x02A43FF0, bytes.fromhex("10010000000B71B0")) in sent
    assert (0x02A43FF0, bytes.fromhex("1002000000003E80")) in sent


def test_modules_are_found_and_their_capability_added_up() -> None:
    bench = Bench((0, 7, 60))
    capability = bench.psu.capability()
    assert capability is not None
    assert (capability.max_voltage_v, capability.min_voltage_v) == (1000.0, 150.0)
    assert (capability.max_current_a, capability.max_power_w) == (219.0, 66_000.0)
    assert (capability.bidirectional, capability.modules) == (True, 3)
    assert bench.psu.problem() is None


def test_missing_module_is_named_and_the_others_offer_nothing_without_it() -> None:
    """It may hear broadcasts all the same: then twice the wanted current would flow."""
    bus = FakeBus()
    modules = Scripted(bus, (1,))
    psu = InfyBeg("psu", bus=bus, modules=2)
    psu.open()
    seen = 0
    for step in range(300):
        psu.poll(step * STEP_S)
        seen = modules.poll(seen)
    assert psu.capability() is None
    assert psu.problem() == "1 of 2 modules found"


@pytest.mark.parametrize(
    ("count", "refresh_s"), [(1, 0.25), (2, 0.25), (4, 0.25), (8, 0.3), (12, 0.4), (16, 0.6), (30, 1.3)]
)
def test_refresh_and_bus_load_for_up_to_thirty_modules(count: int, refresh_s: float) -> None:
    """Set-points change twenty times a second meanwhile, as the control loop does."""
    bench = Bench(tuple(range(count)), country_code=1)
    bench.start()
    start_s, answered = bench.now_s, bench.modules.frames_answered
    oldest_s = 0.0
    for step in range(200):
        bench.psu.set_output(400.0, 20.0 + step % 7)
        bench.run(0.05)
        reading = bench.psu.reading()
        assert reading is not None
        oldest_s = max(oldest_s, bench.now_s - reading.at_s)
    frames_total = len(bench.sent(start_s)) + bench.modules.frames_answered - answered
    assert frames_total * FRAME_BITS / (bench.now_s - start_s) <= 0.5 * 125_000
    assert oldest_s <= refresh_s


def test_bus_load_stays_below_half_in_every_second_from_power_up() -> None:
    bench = Bench(tuple(range(30)), found=False, country_code=1)
    bench.psu.set_output(400.0, 20.0)
    for _ in range(10):
        start_s, answered = bench.now_s, bench.modules.frames_answered
        bench.run(1.0)
        total = len(bench.sent(start_s)) + bench.modules.frames_answered - answered
        assert total * FRAME_BITS <= 0.5 * 125_000


def test_reading_is_as_old_as_the_oldest_module() -> None:
    bench = Bench()
    bench.start()
    bench.modules.mute = {2}
    silent_s = bench.now_s
    bench.run(1.2)
    reading = bench.psu.reading()
    assert reading is not None
    assert reading.at_s <= silent_s
    assert reading.modules_online == 1
    assert bench.psu.problem() == "no answer from module 2"


def test_current_sign_comes_from_the_mode() -> None:
    bench = Bench(country_code=1)
    for table in bench.modules.tables.values():
        table[0x1102] = 30_000
    bench.start(PowerMode.CHARGE)
    reading = bench.psu.reading()
    assert reading is not None
    assert (reading.current_a, reading.mode) == (60.0, PowerMode.CHARGE)
    bench.psu.switch(False)
    bench.run(0.5)
    for table in bench.modules.tables.values():
        table[0x1111] = 1
    bench.start(PowerMode.DISCHARGE)
    reading = bench.psu.reading()
    assert reading is not None
    assert (reading.current_a, reading.mode) == (-60.0, PowerMode.DISCHARGE)


def test_mode_is_refused_while_on() -> None:
    bench = Bench()
    bench.start()
    with pytest.raises(ValueError, match="mode discharge refused while the modules are on"):
        bench.psu.set_mode(PowerMode.DISCHARGE)


def test_mode_is_not_written_before_all_modules_read_off() -> None:
    bench = Bench(country_code=1)
    bench.start()
    bench.modules.deaf_to_off = True
    bench.psu.switch(False)
    since_s = bench.now_s
    bench.psu._wanted_mode = PowerMode.DISCHARGE  # the caller's own check is bypassed: the wire must still be clean
    bench.run(1.0)
    assert not any(data[:2] == b"\x21\x10" and can_id >> 16 & 0x3F == 0x24 for can_id, data in bench.sent(since_s))


def test_on_waits_for_the_mode_read_back_and_an_echo_is_none() -> None:
    bench = Bench(country_code=1)
    bench.modules.ignore_mode = True
    bench.psu.set_mode(PowerMode.DISCHARGE)
    bench.psu.set_output(400.0, 10.0)
    bench.psu.switch(True)
    bench.run(3.0)
    assert ON_FRAME not in bench.sent(0.0)
    assert "confirm mode discharge" in (bench.psu.problem() or "")
    assert bench.psu.reading().mode is not PowerMode.DISCHARGE  # type: ignore[union-attr]


def test_echo_confirms_the_mode_where_it_cannot_be_read() -> None:
    bench = Bench(found=False, country_code=1)
    bench.modules.mode_readable = False
    bench.run(6.0)
    bench.psu.set_mode(PowerMode.DISCHARGE)
    bench.run(1.0)
    assert bench.psu.reading().mode is PowerMode.DISCHARGE  # type: ignore[union-attr]


def test_discharge_waits_for_the_written_grid_profile() -> None:
    bench = Bench()
    bench.start(PowerMode.DISCHARGE)
    assert ON_FRAME not in bench.sent(0.0)
    assert bench.psu.problem() == "discharge needs a grid profile and none was written"
    bench.psu.switch(False)
    bench.psu.write_grid_profile(1)
    bench.run(1.0)
    assert bench.psu.reading().grid_profile == 1  # type: ignore[union-attr]
    bench.psu.switch(True)
    bench.run(1.0)
    assert bench.psu.reading().on is True  # type: ignore[union-attr]


def test_a_grid_profile_that_an_earlier_daemon_wrote_counts_only_when_written_again() -> None:
    bench = Bench()
    for table in bench.modules.tables.values():
        table[0x31C1] = 1
    bench.run(3.0)
    assert bench.psu.reading().grid_profile is None  # type: ignore[union-attr]
    bench.psu.write_grid_profile(1)
    bench.run(1.0)
    assert bench.psu.reading().grid_profile == 1  # type: ignore[union-attr]
    bench.start(PowerMode.DISCHARGE)
    assert bench.psu.reading().on  # type: ignore[union-attr]


def test_profile_zero_is_written_even_where_an_unwritten_module_reads_zero() -> None:
    bench = Bench()
    bench.psu.write_grid_profile(0)
    since_s = bench.now_s
    bench.run(1.0)
    assert (0x02A43FF0, bytes.fromhex("31C1000000000000")) in bench.sent(since_s)


def test_discharge_limits_are_written_before_on() -> None:
    bench = Bench(country_code=1)
    bench.psu.set_discharge_floor(320.0)
    bench.start(PowerMode.DISCHARGE)
    sent = bench.sent(0.0)
    on = sent.index(ON_FRAME)
    assert (0x02A43FF0, frames.payload(0x1132, 320_000)) in sent[:on]
    assert (0x02A43FF0, frames.payload(0x1131, 400_000)) in sent[:on]


def test_stop_is_the_next_frame_and_does_not_wait_for_poll_or_budget() -> None:
    bench = Bench(tuple(range(8)))
    bench.start()
    for step in range(20):  # use up the budget
        bench.psu.set_output(400.0 + step, 10.0)
        bench.run(STEP_S)
    count = len(bench.bus.sent)
    bench.psu.stop(bench.now_s)
    assert bench.bus.sent[count][1:] == OFF_FRAME


def test_off_repeats_until_every_module_reads_off() -> None:
    bench = Bench()
    bench.start()
    bench.modules.deaf_to_off = True
    bench.psu.stop(bench.now_s)
    since_s = bench.now_s
    bench.run(1.0)
    assert bench.sent(since_s).count(OFF_FRAME) >= 10
    bench.modules.deaf_to_off = False
    bench.run(1.0)
    assert bench.psu.reading().on is False  # type: ignore[union-attr]
    since_s = bench.now_s
    bench.run(1.0)
    assert OFF_FRAME not in bench.sent(since_s)


def test_modules_that_run_when_we_start_are_switched_off() -> None:
    bench = Bench(found=False)
    for table in bench.modules.tables.values():
        table[0x1110] = 0
    bench.run(1.0)
    assert all(table[0x1110] == DC_OFF for table in bench.modules.tables.values())


def test_module_that_goes_off_by_itself_is_not_switched_on_again() -> None:
    bench = Bench()
    bench.start()
    bench.modules.tables[2][0x1110] = DC_OFF | 1 << 12
    since_s = bench.now_s
    bench.run(3.0)
    assert ON_FRAME not in bench.sent(since_s)
    assert bench.psu.problem() == "module 2 went off by itself"
    assert bench.psu.reading().fault == "module 2: over-temperature"  # type: ignore[union-attr]


@pytest.mark.parametrize("state", [DC_OFF, 0])
def test_a_module_that_remembers_an_interrupted_bus_is_at_fault_only_while_it_is_on(state: int) -> None:
    """It switched itself off after 10 s alone. Nothing in the documents says that the bit clears by itself."""
    bench = Bench(addresses=(1,))
    bench.modules.tables[1][0x1110] = 1 << 15 | state
    bench.modules.deaf_to_off = True
    bench.run(0.5)
    reading = bench.psu.reading()
    assert reading is not None
    assert reading.fault == (None if state == DC_OFF else "module 1: CAN interrupted")
    assert bench.psu.problem() == "module 1 was without CAN traffic and switched itself off"


def test_set_points_are_repeated_as_keep_alive() -> None:
    bench = Bench()
    bench.start()
    since_s = bench.now_s
    bench.run(10.0)
    sent = bench.sent(since_s)
    for register in (b"\x10\x01", b"\x10\x02"):
        assert 8 <= sum(data[:2] == register for _, data in sent) <= 12


def test_negative_set_points_are_refused() -> None:
    psu = Bench().psu
    with pytest.raises(ValueError, match="magnitudes"):
        psu.set_output(400.0, -1.0)
    with pytest.raises(ValueError, match="magnitudes"):
        psu.set_output(-1.0, 1.0)


def test_refused_command_is_shown() -> None:
    bench = Bench()
    bench.modules.answer(2, frames.WRITE, 0x31C1, 1, error=3)
    bench.run(STEP_S)
    assert bench.psu.problem() == "module 2 refuses register 31C1: data invalid"


def test_answers_that_waited_while_the_process_stood_still_are_dropped() -> None:
    bench = Bench()
    before_s = bench.psu.reading().at_s  # type: ignore[union-attr]
    for register in (0x1101, 0x1102, 0x1110, 0x1111):
        for address in (1, 2):
            bench.modules.answer(address, frames.READ, register, 0)
    bench.psu.poll(bench.now_s + 5.0)
    assert bench.psu.reading().at_s == before_s  # type: ignore[union-attr]


def test_dead_bus_is_a_problem_and_not_an_exception() -> None:
    bench = Bench()
    bench.bus.broken = "network is down"
    bench.run(1.0)
    bench.psu.stop(bench.now_s)
    assert "network is down" in (bench.psu.problem() or "")
    bench.bus.broken = None
    bench.run(1.0)
    assert bench.psu.problem() is None


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 0x1FFFFFFF), st.binary(max_size=8), st.booleans()), max_size=60), st.integers()
)
def test_any_traffic_leaves_the_readings_of_the_modules_alone(noise: list[tuple[int, bytes, bool]], seed: int) -> None:
    bench = Bench((1,))
    dice = random.Random(seed)
    for can_id, data, extended in noise:
        # Another pair of devices on the same bus, and plain garbage: never a frame from module 1 to us.
        if can_id & 0xFF == 1:
            can_id ^= 0x80
        if can_id & 0xFF <= 60:
            can_id = can_id & ~0xFF | 0xF1
        bench.bus.put(can_id, data, extended)
        if dice.random() < 0.3:
            bench.run(STEP_S)
    bench.run(0.5)
    reading = bench.psu.reading()
    assert reading is not None
    assert (reading.voltage_v, reading.current_a, reading.modules_online) == (400.0, 0.0, 1)


def test_factory_options() -> None:
    good = {"interface": "slcan", "channel": "/dev/ttyX"}
    assert infy_beg.create("psu", {**good, "modules": [1, 2], "country_code": 1}).name == "psu"
    with pytest.raises(ValueError, match="psu: option 'channel' is missing"):
        infy_beg.create("psu", {"interface": "slcan"})
    with pytest.raises(ValueError, match="option 'modules' names something twice"):
        infy_beg.create("psu", {**good, "modules": [1, 1]})
    with pytest.raises(ValueError, match="option 'bitrte' is unknown; did you mean 'bitrate'"):
        infy_beg.create("psu", {**good, "bitrte": 1})
