"""The whole house of a test, at any point of a session, and the calls of its operator."""

from __future__ import annotations

from evse_controller.app import rpc
from evse_controller.model.commands import ControlMode
from evse_controller.net.control import Caller
from hil.evcc import EvccConfig
from hil.virtual import BenchSettings, VirtualBench

START_S = BenchSettings().start_utc_s
DYNAMIC = EvccConfig(control_mode=ControlMode.DYNAMIC, departure_utc_s=START_S + 8 * 3600, services=(6,))
ME = Caller(1, 0)


def charging(house: VirtualBench) -> None:
    outlet = house.outlet
    house.until(lambda: outlet.station.status().phase == "energy" and abs(house.samples[-1].power_w) > 2_000, 40.0)


def call(house: VirtualBench, method: str, **params: object) -> dict[str, object]:
    answer = rpc.methods(house.outlet, 0.0)[method](params, ME)
    assert isinstance(answer, dict)
    return answer
