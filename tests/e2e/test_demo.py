"""The demo's day, twice as fast as `make demo` shows it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from hil.bench import environment


async def test_the_demo_lives_through_its_day_without_a_problem(tmp_path: Path) -> None:
    options = ["--json", "--mode", "dynamic", "--speed", "1440", "--out", str(tmp_path / "demo")]
    argv = [sys.executable, "-m", "hil.demo", *options]
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment())
        try:
            async with asyncio.timeout(80.0):
                while process.poll() is None:
                    await asyncio.sleep(0.2)
        finally:
            process.terminate()  # the demo ends its own processes then
            await asyncio.to_thread(process.wait)
    said = (tmp_path / "err").read_text(encoding="utf-8")
    summary = json.loads((tmp_path / "out").read_text(encoding="utf-8") or "{}")
    assert process.returncode == 0, f"{summary.get('problems')}\n{said}"
    assert summary["problems"] == []
    assert summary["session"]["completed"]
    assert summary["record"]["charged_wh"] > 5_000
    assert summary["record"]["discharged_wh"] > 2_000
    assert summary["cut"]["obeyed_s"] <= 2.0
    assert (tmp_path / "demo" / "v2g.pcapng").stat().st_size > 10_000
