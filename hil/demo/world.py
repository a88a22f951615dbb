"""The world outside the charger, in a process of its own on the vehicle's side of the cable: plant and vehicle.

Started by the demo with a JSON file of settings; reports on standard output, one JSON object a line; obeys lines on
standard input: `plug`, `grid IMPORT_W EXPORT_W` (what the referee holds the connection to), `quit`.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evse_controller.model.commands import ControlMode
from evse_controller.net.tls import PROFILES, Side, TlsContext, TlsError, load_credential, load_roots
from hal.sim.battery import BatteryConfig
from hal.sim.plant import BusConfig, PlantConfig
from hal.sim.ptys import PtyBench
from hal.sim.rtu_slave import READ_HOLDING
from hil.demo.story import Story
from hil.demo.views import SetPointIntegral
from hil.evcc import Evcc, EvccConfig, Exchange
from hil.evcc_net import Client, DiscoveryFailed, NetOptions

_REPORT_S = 0.25


def say(what: str, **data: Any) -> None:
    print(json.dumps({"what": what, **data}), flush=True)


class WorldProcess:
    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.story = Story(**settings["story"])
        self.anchor_s = float(settings["anchor_s"])
        self.settings = settings
        story = self.story
        config = PlantConfig(
            speed=story.speed,
            start_utc_s=self.utc(time.monotonic()),
            battery=BatteryConfig(soc=story.soc),
            bus=BusConfig(imd_self_test_s=5.0, imd_cycle_s=0.25),
        )
        self.bench = PtyBench(Path(settings["ports"]), config)
        plant = self.bench.plant
        plant.set_building(story.building_w)
        plant.set_grid_limits(settings["import_limit_w"], settings["export_limit_w"])
        plant.can.log = []
        self.integral = SetPointIntegral(story.speed)
        self.registers = self._meter_registers()
        self.evcc = Evcc(self._vehicle(), plant.inlet, random.Random(story.seed), self.utc)

    def utc(self, now_s: float) -> float:
        """World time of a monotonic time, as the daemon's configuration says it too."""
        return self.story.start + (now_s - self.anchor_s) * self.story.speed

    def _vehicle(self) -> EvccConfig:
        story = self.story
        return EvccConfig(
            evccid="WMIVDEMO000000001",
            control_mode=ControlMode.SCHEDULED if story.scheduled else ControlMode.DYNAMIC,
            target_soc=story.target_soc,
            minimum_soc=30.0,
            v2x_min_soc=30.0,
            departure_utc_s=story.departure,
            ramp_a_per_s=200.0,
        )

    async def run(self) -> int:
        stop = asyncio.Event()
        plant_task = asyncio.create_task(self.bench.run(stop))
        report_task = asyncio.create_task(self._report())
        commands = await _standard_input()
        say("ready")
        session: asyncio.Task[None] | None = None
        while line := (await commands.readline()).decode().split():
            if line[0] == "plug" and session is None:
                self.bench.plant.inlet.plug()
                session = asyncio.create_task(self._session())
            elif line[0] == "grid":
                self.bench.plant.set_grid_limits(float(line[1]), float(line[2]))
            elif line[0] == "quit":
                break
        if session is not None:
            session.cancel()
        report_task.cancel()
        stop.set()
        await asyncio.gather(plant_task, report_task, *([session] if session else []), return_exceptions=True)
        self._totals()
        self.bench.close()
        return 0

    async def _session(self) -> None:
        tls = self.settings["tls"]
        context = None
        if tls is not None:
            context = TlsContext(
                Side.CLIENT,
                PROFILES[tls["profile"]],
                load_credential(tls["chain"], tls["key"]),
                load_roots(*tls["trust"]),
            )
        network = self.settings["network"]
        options = NetOptions(
            interface=network.get("interface"), direct=network.get("host"), sdp_port=network["sdp_port"], tls=context
        )
        client = Client(
            self.evcc, options, on_exchange=self._exchange, on_open=lambda text: say("connected", text=text)
        )
        try:
            outcome = await client.run()
        except (DiscoveryFailed, OSError, TlsError) as error:
            say("session", completed=False, reason=str(error))
            return
        inlet = self.bench.plant.inlet
        while inlet.inlet_voltage_v > 60.0:  # nobody pulls a live plug
            await asyncio.sleep(0.05)
        inlet.unplug()
        latencies = sorted(outcome.latencies_s())
        say(
            "session",
            completed=outcome.completed,
            reason=outcome.failure or outcome.reason,
            messages=len(latencies),
            round_trip_p50_ms=latencies[len(latencies) // 2] * 1e3,
            round_trip_p99_ms=latencies[int(len(latencies) * 0.99)] * 1e3,
            tls=[outcome.tls_suite, outcome.tls_group],
        )

    def _exchange(self, exchange: Exchange) -> None:
        code = getattr(exchange.response, "response_code", None)
        say(
            "exchange",
            request=exchange.request.ELEMENT,
            code=code.name if code is not None else "-",
            ms=round((exchange.latency_s or 0.0) * 1e3, 2),
        )

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(_REPORT_S)
            plant = self.bench.plant
            if plant.can.log:
                log, plant.can.log = plant.can.log, []
                self.integral.take(log)
            world, inlet = plant.world, plant.inlet
            say(
                "plant",
                utc_s=world.utc_s,
                soc=inlet.soc_percent,
                power_w=world.outlet_v * world.outlet_current_a,
                grid_w=world.grid_power_w,
                building_w=self.story.building_w(world.utc_s),
                bus_load=plant.can.load,
            )

    def _meter_registers(self) -> tuple[int, int]:
        """Energy to the car and from it, Wh, as anybody on the meter's bus would read them (registers 12 to 15)."""
        in_high, in_low, out_high, out_low = self.bench.plant.meter.read(READ_HOLDING, 12, 4)
        return in_high << 16 | in_low, out_high << 16 | out_low

    def _totals(self) -> None:
        plant = self.bench.plant
        if plant.can.log:
            self.integral.take(plant.can.log)
        energy = plant.world.world_energy
        registers = self._meter_registers()
        say(
            "totals",
            meter_charged_wh=registers[0] - self.registers[0],
            meter_discharged_wh=registers[1] - self.registers[1],
            soc=plant.inlet.soc_percent,
            battery_in_wh=energy.battery_in_wh,
            battery_out_wh=energy.battery_out_wh,
            cells_wh=energy.cells_wh,
            resistance_wh=energy.resistance_wh,
            cable_wh=energy.cable_wh,
            set_point_charged_wh=self.integral.charged_wh,
            set_point_discharged_wh=self.integral.discharged_wh,
            peak_bus_load=plant.can.peak_load,
            objections=[f"{o.rule} at {o.at_s:.2f} s: {o.detail}" for o in plant.referee.objections],
            stalled_s=self.bench.stalled_s,
        )


async def _standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


if __name__ == "__main__":
    sys.exit(asyncio.run(WorldProcess(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))).run()))
