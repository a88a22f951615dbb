"""Sessions that sleep, are planned anew, or run on mains: daemon, sockets, TLS and vehicle as in the field."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

from evse_controller.model.commands import ControlMode
from hil.bench import START_UTC_S, Bench, Setting
from hil.evcc import EvccConfig
from hil.evcc.config import AC_PROTOCOLS, SERVICE_AC_BPT
from tests.e2e.support import at_full_power, newest_record, vehicle

AC_W = 10_000.0  # the car's own charger takes 11 kW


async def test_a_paused_session_goes_on_after_the_daemon_was_killed(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await bench.start()
        session = await at_full_power(bench)
        asked = await bench.ctl("session", "pause", "--reason", "the tariff is high", "--json")
        assert json.loads(asked.stdout) == {"reason": "the tariff is high"}
        assert (await bench.outcome(session)).completed
        memory = session.evcc.paused
        assert memory is not None
        record = await newest_record(bench)
        assert record["end_kind"] == "paused"
        status = await bench.until_status(lambda s: s["outlet"]["asleep"], "a sleeping car")
        (paused,) = status["paused"]
        bench.signal(signal.SIGKILL)
        await bench.ended(5.0)
        await bench.start()
        status = await bench.until_status(lambda s: bool(s["paused"]), "the paused session")
        assert status["paused"] == [paused]
        bench.plant.inject("mcu", "reset")  # the lost heartbeat left the board in its safe state
        bench.plant.clear("mcu", "reset")
        await _cleared(bench)
        await bench.until_sound()
        again = bench.charge(vehicle(resume=memory, services=(memory.service_id,)))
        await bench.until(lambda: bench.power_w > 5_000 or again.task.done(), "energy again")
        assert not again.task.done(), await bench.story()
        status = await bench.call("status")
        assert (status["session"]["id"], status["paused"]) == (paused["id"], [])
        await bench.ctl("stop")
        assert (await bench.outcome(again)).completed
        ended = await newest_record(bench)
        assert (ended["session_id"], ended["end_kind"]) == (record["session_id"], "terminated")
        assert ended["started_utc_s"] == record["started_utc_s"]
        energy = bench.plant.world.world_energy
        assert abs(ended["charged_wh"] - energy.outlet_in_wh) <= 1.5
        assert len(await bench.call("session.list")) == 1


async def _cleared(bench: Bench) -> None:
    """A technician clears what latched, if the restarted daemon saw the safe state before the board was reset."""
    for _ in range(4):
        await asyncio.sleep(1.0)
        for fault in (await bench.call("faults"))["active"]:
            if fault["latching"]:
                await bench.ctl("faults", "clear", fault["code"])


async def test_an_ac_session_charges_and_its_energy_is_what_the_meter_says(tmp_path: Path) -> None:
    async with Bench(tmp_path, Setting(kind="ac")) as bench:
        await bench.start()
        await bench.until_sound()
        car = EvccConfig(
            services=(SERVICE_AC_BPT,),
            protocols=AC_PROTOCOLS,
            control_mode=ControlMode.DYNAMIC,
            departure_utc_s=START_UTC_S + 8 * 3600.0,
            target_soc=60.0,
        )
        session = bench.plug_and_charge(car)
        await bench.until(lambda: bench.power_w > AC_W or session.task.done(), "the car's full power")
        assert not session.task.done(), await bench.story()
        status = await bench.until_status(lambda s: s["outlet"]["power_w"] > AC_W, "full power in the daemon's view")
        assert (status["outlet"]["kind"], status["session"]["service"]) == ("ac", "AC_BPT")
        assert len(status["outlet"]["phases"]) == 3
        shown = await bench.ctl("status")
        assert max(map(len, shown.stdout.splitlines())) <= 80
        await bench.ctl("stop", "--reason", "enough")
        assert (await bench.outcome(session)).completed
        await bench.until(lambda: not bench.contactors_closed, "an open contactor", 3.0)
        await asyncio.sleep(1.5)  # the meter's registers are read once a second
        record = await newest_record(bench)
        assert record["end_kind"] == "terminated"
        assert abs(record["charged_wh"] - bench.plant.world.world_energy.outlet_in_wh) <= 2.0


async def test_a_cut_of_the_site_ends_in_a_new_schedule(tmp_path: Path) -> None:
    """The old schedule's caps hold until then: the cut itself is obeyed at once, whatever was agreed."""
    setting = Setting(speed=20.0, config={"energy": {"slot_s": 60, "renegotiation_gap_s": 60}})
    async with Bench(tmp_path, setting) as bench:
        await bench.start()
        session = await at_full_power(bench, control_mode=ControlMode.SCHEDULED)
        cut = await bench.ctl("limits", "set", "import", "9000", "--for", "600")
        assert cut.returncode == 0
        await bench.until(lambda: bench.power_w < 9_000, "the cut", 5.0)
        await bench.until_status(
            lambda s: s["outlet"]["notification"] is not None or session.task.done(), "a request to renegotiate", 20.0
        )
        shown = await bench.call("session.show")
        texts = [event["text"] for event in shown["events"]]
        assert any(text.startswith("ScheduleRenegotiation within 60 s") for text in texts)
        await bench.until(lambda: not session.task.done() and _agreed(tmp_path) >= 2, "a second schedule")
        await bench.ctl("stop")
        assert (await bench.outcome(session)).completed


def _agreed(folder: Path) -> int:
    lines = (folder / "state" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return sum("schedule agreed" in line for line in lines)


async def test_a_car_that_was_stopped_waits_and_is_called_by_a_start_from_afar(tmp_path: Path) -> None:
    """Its oscillator is off, and on again when somebody wants it to charge: the car discovers the station anew."""
    async with Bench(tmp_path) as bench:
        await bench.start()
        session = await at_full_power(bench)
        await bench.ctl("stop", "--reason", "closing time")
        assert (await bench.outcome(session)).completed
        inlet = bench.plant.inlet
        await bench.until(lambda: inlet.duty_percent is None, "an oscillator that is off")
        status = await bench.until_status(lambda s: s["outlet"]["phase"] == "connected", "an outlet at rest")
        assert status["outlet"]["stopped"] == "closing time"
        assert await bench.call("session.start") == {"said": "the car that is plugged in may charge"}
        await bench.until(lambda: inlet.duty_percent == 5.0, "a car that is called", 5.0)
        again = bench.charge(vehicle())
        await bench.until(lambda: bench.power_w > 5_000 or again.task.done(), "energy again")
        assert not again.task.done(), await bench.story()
        await bench.ctl("stop")
        assert (await bench.outcome(again)).completed
