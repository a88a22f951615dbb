"""The plant for a session of the independent vehicle: devices on ptys, inlet on a Unix socket, a verdict at the end.

Run as `python -m hil.peers.plant_process JSON`; says `ready`, works until its standard input ends, then writes what
flowed and what the referee said to the result file.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from hal.sim.plant import PlantConfig
from hal.sim.ptys import PtyBench
from hil.demo.views import SetPointIntegral
from hil.peers.channel import InletServer


async def serve(options: dict[str, Any]) -> None:
    bench = PtyBench(Path(options["ports"]), PlantConfig.from_dict(options["plant"]))
    plant = bench.plant
    plant.can.log = []
    set_points = SetPointIntegral(plant.world.speed)
    inlet = InletServer(plant.inlet, options["channel"])
    await inlet.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    print("ready", flush=True)
    highest = lowest = highest_w = lowest_w = 0.0
    frames, loop, tested_wh = 0, False, 0.0
    while not stop.is_set():
        bench.catch_up()
        current = plant.world.outlet_current_a
        highest, lowest = max(highest, current), min(lowest, current)
        charger = plant.inlet.charger
        power = plant.world.outlet_v * current if charger is None else charger.power_w
        highest_w, lowest_w = max(highest_w, power), min(lowest_w, power)
        frames += len(plant.can.log)
        set_points.take(plant.can.log)
        if not loop and plant.inlet.contactor_closed:
            # cable check and pre-charge set currents that no battery takes
            loop, tested_wh = True, set_points.charged_wh
        plant.can.log.clear()
        await asyncio.sleep(bench.PERIOD_S)
    await inlet.stop()
    energy = plant.world.world_energy
    Path(options["result"]).write_text(json.dumps({
        "highest_a": highest, "lowest_a": lowest, "highest_w": highest_w, "lowest_w": lowest_w,
        "can_frames": frames,
        "set_point_charged_wh": set_points.charged_wh - tested_wh, "set_point_discharged_wh": set_points.discharged_wh,
        "meter_in_wh": energy.outlet_in_wh, "meter_out_wh": energy.outlet_out_wh,
        "battery_in_wh": energy.battery_in_wh,
        "battery_out_wh": energy.battery_out_wh, "contactor_closed": plant.world.evse_contactor.closed,
        "objections": [f"{o.rule} at {o.at_s:.2f} s: {o.detail}" for o in plant.referee.objections],
    }))
    bench.close()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
