"""Power that went while it rested: no session lives on at a dead outlet, and the next one charges again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.model.commands import ControlMode
from evse_controller.model.pilot import PilotState
from hil.evcc import SERVICE_DC_BPT, Act, EvccConfig, Step
from hil.virtual import BenchSettings, plant_of
from tests.hil.house import MakeBench

DAY = BenchSettings(speed=60.0, plant=plant_of())
CAR = EvccConfig(target_soc=90.0, departure_utc_s=DAY.start_utc_s + 2 * 3600, services=(SERVICE_DC_BPT,))


@pytest.mark.parametrize(
    ("mode", "act"),
    [
        (ControlMode.SCHEDULED, Act.RENEGOTIATE),
        (ControlMode.SCHEDULED, Act.STANDBY),
        (ControlMode.DYNAMIC, Act.STANDBY),
    ],
)
def test_pilot_b_in_a_hold_ends_the_session_and_another_charges(
    bench: MakeBench, mode: ControlMode, act: Act
) -> None:
    house = bench(replace(CAR, control_mode=mode, script=(Step(act, 3.0, hold_s=8.0),)))
    inlet, outlet = house.plant.inlet, house.outlet
    house.arrive()
    house.until(lambda: outlet.station.status().phase == "hold", 60.0)
    inlet.set_pilot(PilotState.B)
    house.run(0.3)
    inlet.set_pilot(PilotState.C)
    house.until(lambda: house.evcc.finished, 15.0)
    assert house.evcc.failure is not None
    assert "the contactors had to open" in house.refusals[-1]
    house.until(lambda: outlet.at_rest, 30.0)
    house.come_back(replace(CAR, control_mode=mode), None)
    house.until(lambda: house.samples[-1].current_a > 20.0, 60.0)
