"""What the end-to-end tests share: vehicles that charge or discharge at full power."""

from __future__ import annotations

from typing import Any

from evse_controller.model.commands import ControlMode
from hil.bench import START_UTC_S, Bench, VehicleSession
from hil.evcc import EvccConfig

FULL_W = 19_000.0  # the outlet is rated 22 kW, the car discharges with 20 kW: above this a test calls it full power


def vehicle(**changes: Any) -> EvccConfig:
    """A car in Dynamic mode that stays for eight hours and leaves the plan to the station."""
    settings: dict[str, Any] = {
        "control_mode": ControlMode.DYNAMIC,
        "departure_utc_s": START_UTC_S + 8 * 3600.0,
        "target_soc": 60.0,
        "minimum_soc": 30.0,
        "v2x_min_soc": 30.0,
        "ramp_a_per_s": 200.0,
    }
    return EvccConfig(**settings | changes)


async def at_full_power(bench: Bench, **changes: Any) -> VehicleSession:
    """Plug in at a sound station and wait for full power, in the direction that the bench's prices ask for."""
    await bench.until_sound()
    session = bench.plug_and_charge(vehicle(**changes))
    await bench.until(lambda: abs(bench.power_w) > FULL_W or session.task.done(), "full power")
    assert not session.task.done(), f"the session ended early: {session.task!r}\n{await bench.story()}"
    return session


async def newest_record(bench: Bench) -> dict[str, Any]:
    shown: dict[str, Any] = await bench.call("session.show")
    record: dict[str, Any] = shown["session"]
    return record
