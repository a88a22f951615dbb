"""What is wrong at start is said in one line with its place, and by the exit code."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hil.bench import Bench, Setting
from tests.e2e.support import newest_record, vehicle

CONFIGURATION, MISSING = 2, 3
LOOPBACK = Setting(network="loopback")


async def _refused(folder: Path, changes: Mapping[str, Any], code: int, *words: str) -> None:
    """The daemon does not start, exits with `code` and says one line that holds `words`."""
    async with Bench(folder, LOOPBACK) as bench:
        bench.write_config({"world": None, **changes})  # a scaled clock would be refused first
        bench.launch()
        assert await bench.ended(15.0) == code, bench.log()
        lines = bench.log().strip().splitlines()
        assert len(lines) == 1, bench.log()
        assert all(word in lines[0] for word in words), lines


async def test_a_typo_in_the_configuration_is_shown_with_its_line(tmp_path: Path) -> None:
    async with Bench(tmp_path, LOOPBACK) as bench:
        text = bench.config_file.read_text(encoding="utf-8").replace("import_limit_w", "import_limt_w")
        bench.config_file.write_text(text, encoding="utf-8")
        number = next(n for n, line in enumerate(text.splitlines(), 1) if "import_limt_w" in line)
        bench.launch()
        assert await bench.ended(15.0) == CONFIGURATION
        assert f"{bench.config_file}:{number}" in bench.log()
        assert "import_limt_w" in bench.log()
        assert "Traceback" not in bench.log()
        checked = await bench.ctl("config", "check", str(bench.config_file))
        assert checked.returncode == 1
        assert "import_limt_w" in checked.stdout + checked.stderr


async def test_a_second_daemon_on_the_same_socket_gives_way(tmp_path: Path) -> None:
    async with Bench(tmp_path, LOOPBACK) as bench:
        await bench.start()
        first = bench.process
        bench.launch()
        assert await bench.ended(15.0) == MISSING
        assert len(bench.log().strip().splitlines()) == 1
        bench.process = first
        assert bench.alive
        assert (await bench.call("status"))["faults"] is not None
        assert await bench.stop() == 0


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("imd", "outlet.isolation"),
        ("meter", "outlet.meter"),
        ("power.2", "outlet.power"),
        ("mcu", "outlet.mcu"),
    ],
)
async def test_a_silent_device_is_named_and_no_car_gets_energy(tmp_path: Path, device: str, name: str) -> None:
    """A device that exists and says nothing: the daemon runs and names it, and no car gets energy."""
    async with Bench(tmp_path) as bench:
        bench.plant.inject(device, "silent")
        await bench.start()
        session = bench.plug_and_charge(vehicle())
        status = await bench.until_status(
            lambda s: any(d["name"] == name and d["problem"] for d in s["devices"]), f"{name} named in status"
        )
        shown = await bench.ctl("status")
        assert shown.returncode == 0
        assert name in shown.stdout, shown.stdout
        assert status["outlet"]["contactor"] in ("open", "undefined")
        await asyncio.sleep(4.0)  # as long as a whole cable check takes with sound devices
        assert bench.contactor_moves == []
        session.task.cancel()
        if device != "mcu":  # without a pilot nobody knows of a car: the station kept silent and there is no session
            await bench.until_status(lambda s: s["session"] is None, "the session's end")
            record = await newest_record(bench)
            assert record["ended_utc_s"] is not None
            assert record["end_reason"]
            assert not record["charged_wh"]
        assert bench.alive
        assert bench.plant.world.world_energy.battery_in_wh == 0.0


async def test_what_is_missing_at_start_is_named_and_ends_the_daemon(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as taken:
        taken.bind(("::1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cases: tuple[tuple[dict[str, Any], tuple[str, ...]], ...] = (
            ({"outlet": {"meter": {"port": "/dev/ttyNONE9"}}}, ("meter", "/dev/ttyNONE9")),
            ({"outlet": {"power": {"channel": "/dev/ttyNONE8"}}}, ("power", "/dev/ttyNONE8")),
            ({"outlet": {"mcu": {"driver": "nobody"}}}, ("outlet.mcu.driver", "nobody")),
            ({"outlet": {"mcu": {"baudrat": 9600}}}, ("outlet.mcu", "baudrat")),
            ({"net": {"tls": {"chain": "/nowhere/chain.pem"}}}, ("/nowhere/chain.pem",)),
            ({"net": {"tcp_port": port}}, (str(port),)),
            ({"net": {"host": None, "interface": "plc77"}}, ("plc77",)),
            ({"energy": {"prices": "/nowhere/prices.csv"}}, ("/nowhere/prices.csv",)),
        )
        for number, (changes, words) in enumerate(cases):
            await _refused(tmp_path / str(number), changes, MISSING, *words)
