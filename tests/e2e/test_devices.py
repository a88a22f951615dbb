"""Devices that fall silent while a car charges: what happens to power, to the car and to the record."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hil.bench import Bench, Setting
from tests.e2e.support import FULL_W, at_full_power, newest_record

FAILSAFE_W = 4200.0


async def test_a_silent_module_opens_the_contactors_and_the_next_car_is_served(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await bench.start()
        session = await at_full_power(bench)
        bench.plant.inject("power.1", "silent")
        opened_s = await bench.until(lambda: not bench.contactors_closed, "open contactors")
        print(f"silent power module: contactors open after {opened_s:.2f} s")
        assert opened_s <= 1.5
        outcome = await bench.outcome(session)
        assert (outcome.failure or outcome.reason) == "DC_ChargeLoopRes: FAILED"
        await bench.until_status(lambda s: s["session"] is None, "the session's end")
        record = await newest_record(bench)
        assert "power-module-silent" in record["end_reason"]
        assert record["ended_utc_s"] is not None
        assert record["charged_wh"] > 0
        told = await bench.ctl("faults")
        assert told.returncode == 1
        assert "power-module-silent" in told.stdout
        await bench.unplug()
        bench.plant.clear("power.1", "silent")
        await bench.until_status(lambda s: not s["faults"], "the fault gone after the plug was pulled")
        again = await at_full_power(bench)
        again.evcc.request_stop("enough")
        assert (await bench.outcome(again)).completed


@pytest.mark.parametrize("direction", ["charging", "discharging"])
async def test_a_silent_building_meter_means_the_failsafe_share(tmp_path: Path, direction: str) -> None:
    setting = Setting(prices="cheap-now") if direction == "charging" else Setting(prices="dear-now", soc=0.8)
    async with Bench(tmp_path, setting) as bench:
        await bench.start()
        await at_full_power(bench)
        moves = len(bench.contactor_moves)
        bench.plant.inject("building", "silent")
        if direction == "charging":
            took_s = await bench.until(lambda: abs(bench.power_w) <= FAILSAFE_W, "failsafe share", 8.0)
        else:
            took_s = await bench.until(lambda: bench.plant.world.ac_power_w >= -50.0, "export at zero", 8.0)
        print(f"silent building meter while {direction}: failsafe after {took_s:.2f} s")
        assert took_s <= 4.0
        shown = await bench.ctl("limits", "--json")
        text = await bench.ctl("limits")
        limits = await bench.call("limits")
        assert shown.returncode == text.returncode == 0
        assert limits["stale"]
        assert "failsafe" in text.stdout
        ruling = {row["direction"]: row for row in limits["limits"] if row["rules"]}
        assert ruling["import"]["value"] == FAILSAFE_W
        assert ruling["export"]["value"] == 0
        await asyncio.sleep(1.0)
        assert bench.contactors_closed
        assert len(bench.contactor_moves) == moves
        assert bench.power_w <= FAILSAFE_W
        assert bench.plant.world.ac_power_w >= -50.0
        bench.plant.clear("building", "silent")
        await bench.until(lambda: abs(bench.power_w) > FULL_W, "full power again", 15.0)
        assert not (await bench.call("status"))["faults"]
