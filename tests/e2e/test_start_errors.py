"""What is wrong at start is said in one line with its place, and by the exit code."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hil.bench import Bench, Setting
from tests.e2e.support import newest_record, together, vehicle

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


async def _typo(folder: Path) -> None:
    async with Bench(folder, LOOPBACK) as bench:
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


async def _second_daemon(folder: Path) -> None:
    async with Bench(folder, LOOPBACK) as bench:
        await bench.start()
        first = bench.process
        bench.launch()
        assert await bench.ended(15.0) == MISSING
        assert len(bench.log().strip().splitlines()) == 1
        bench.process = first
        assert bench.alive
        assert (await bench.call("status"))["faults"] is not None
        assert await bench.stop() == 0


async def _silent(folder: Path, device: str, name: str) -> None:
    """A device that exists and says nothing: the daemon runs and names it, and no car gets energy."""
    async with Bench(folder) as bench:
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


def test_what_is_missing_at_start_is_named_and_ends_the_daemon(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as taken:
        taken.bind(("::1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        together(
            _refused(tmp_path / "a", {"outlet": {"meter": {"port": "/dev/ttyNONE9"}}}, MISSING, "meter", "ttyNONE9"),
            _refused(tmp_path / "b", {"outlet": {"power": {"channel": "/dev/ttyNONE8"}}}, MISSING, "power", "ttyNONE8"),
            _refused(tmp_path / "c", {"outlet": {"mcu": {"driver": "nobody"}}}, MISSING, "outlet.mcu.driver", "nobody"),
            _refused(tmp_path / "d", {"outlet": {"mcu": {"baudrat": 9600}}}, MISSING, "outlet.mcu", "baudrat"),
            _typo(tmp_path / "e"),
        )
        together(
            _refused(tmp_path / "f", {"net": {"tls": {"chain": "/nowhere/chain.pem"}}}, MISSING, "/nowhere/chain.pem"),
            _refused(tmp_path / "g", {"net": {"tcp_port": port}}, MISSING, str(port)),
            _refused(tmp_path / "h", {"net": {"host": None, "interface": "plc77"}}, MISSING, "plc77"),
            _refused(tmp_path / "i", {"energy": {"prices": "/nowhere/prices.csv"}}, MISSING, "/nowhere/prices.csv"),
            _second_daemon(tmp_path / "j"),
        )


def test_a_silent_device_is_named_and_no_car_gets_energy(tmp_path: Path) -> None:
    together(
        _silent(tmp_path / "i", "imd", "outlet.isolation"),
        _silent(tmp_path / "d", "meter", "outlet.meter"),
        _silent(tmp_path / "p", "power.2", "outlet.power"),
        _silent(tmp_path / "m", "mcu", "outlet.mcu"),
    )
