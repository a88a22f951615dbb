"""A house for tests, peers and virtual time: its story, its configuration file, and the daemon's drivers on a plant."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, replace
from pathlib import Path

from evse_controller.config.devices import Devices
from evse_controller.station import AcOutletDevices, OutletDevices
from hal.can_port import SlcanPort
from hal.isolation.bender_isocha425 import BenderIsoCha425
from hal.meters.acrel_djsf1352 import AcrelDjsf1352
from hal.meters.eastron_sdm630 import EastronSdm630
from hal.meters.eastron_sdm630_outlet import EastronSdm630Outlet
from hal.modbus import ModbusBus
from hal.pilot.charge_som import ChargeSomMcu
from hal.power.infy_beg import InfyBeg
from hal.sim.battery import BatteryConfig
from hal.sim.plant import BusConfig, Plant, PlantConfig
from hal.sim.power_stage import PowerStageConfig

_HEAD = """
[controller]
evseid = "DE*EVC*E000001"
state_dir = "{folder}"
socket = "{folder}/control.sock"
lab = [{lab}]
{extra}"""
_DC_OUTLET = """[outlet]
bidirectional = true
mcs = {mcs}
grid_profile = 1
isolation_response_s = 1.0
efficiency_import = 0.93
efficiency_export = 0.98
ramp_up_a_per_s = {ramp}
[outlet.ratings]
max_voltage_v = 920
min_voltage_v = 150
max_charge_current_a = {rated_a}
max_charge_power_w = {rated_w}
max_discharge_current_a = {rated_a}
max_discharge_power_w = {rated_w}
[outlet.mcu]
driver = "charge-som-uart"
port = "{ports}/mcu"
[outlet.power]
driver = "infy-beg"
interface = "slcan"
channel = "{ports}/can0"
modules = {modules}
[outlet.meter]
driver = "acrel-djsf1352"
port = "{ports}/meter"
unit = 1
[outlet.isolation]
driver = "bender-isocha425hv"
port = "{ports}/imd"
unit = 3
"""
_AC_OUTLET = """[outlet]
kind = "ac"
bidirectional = true
[outlet.ac]
max_current_a = 32
max_discharge_current_a = 32
ac_export_authorised = true
socket = {socket}
[outlet.mcu]
driver = "charge-som-uart"
port = "{ports}/mcu"
[outlet.meter]
driver = "eastron-sdm630"
port = "{ports}/meter"
unit = 1
outlet = true
"""
_HOUSE = """[site]
import_limit_w = {import_w}
export_limit_w = {export_w}
failsafe_import_w = 4200
meter_scope = "grid"
[site.meter]
driver = "eastron-sdm630"
port = "{ports}/building"
unit = 1
[energy]
prices = "{folder}/prices.csv"
currency = "EUR"
buy_surcharge_per_kwh = 0.12
wear_cost_per_kwh = 0.03
slot_s = 900
{energy}[authorization]
mode = "free-vend"
"""


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """The story. Prices are (Unix s, price per MWh), hourly, covering the stay; `speed` is world over control time.

    `plant` may change anything of the world but what stands here; its `kind` makes this a DC or an AC outlet. `config`:
    further tables of the daemon's file, `energy`: lines of its [energy]. `mcs`: the DC connector is a megawatt one.
    `rated_a`, `rated_w`, `ramp_a_per_s`: of the DC outlet, both ways. Powers in W, all >= 0.
    """

    start_utc_s: float = 1_724_752_800.0
    prices: tuple[tuple[float, float], ...] = ()
    speed: float = 600.0
    soc: float = 0.4
    building_w: float = 2_000.0
    import_w: float = 28_000.0
    export_w: float = 10_000.0
    latency_s: float = 0.002
    plant: PlantConfig = field(default_factory=PlantConfig)
    config: str = ""
    mcs: bool = False
    energy: str = ""
    rated_a: float = 70.0
    rated_w: float = 22_000.0
    ramp_a_per_s: float = 100.0


def hourly(start_utc_s: float, prices: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    """Prices per MWh for the hours from the full hour before `start_utc_s` on."""
    first = start_utc_s - start_utc_s % 3600
    return tuple((first + 3600 * index, price) for index, price in enumerate(prices))


def plant_of(soc: float = 0.4, **changes: object) -> PlantConfig:
    """A plant whose isolation monitor is quick, for short tests; `changes` as of PlantConfig."""
    bus = BusConfig(imd_self_test_s=2.0, imd_cycle_s=0.5)
    return replace(PlantConfig(battery=BatteryConfig(soc=soc), bus=bus), **changes)  # type: ignore[arg-type]


def megawatt(**changes: object) -> BenchSettings:
    """A truck at a megawatt connector: 4 power cabinets, 900 A and 640 kW both ways, a battery of 600 kWh at 700 V."""
    truck = BatteryConfig(
        capacity_kwh=600.0, r_int_ohm=0.015,
        ocv_v=((0.0, 600.0), (0.1, 650.0), (0.5, 690.0), (0.9, 730.0), (1.0, 750.0)),
        max_voltage_v=800.0, min_voltage_v=560.0, max_charge_current_a=1_200.0, max_discharge_current_a=900.0,
    )
    plant = PlantConfig(
        battery=truck,
        bus=BusConfig(imd_self_test_s=2.0, imd_cycle_s=0.5, module_addresses=(1, 2, 3, 4)),
        module=PowerStageConfig(max_current_a=240.0, rated_power_w=165_000.0, ramp_a_per_s=250.0),
    )
    settings = BenchSettings(
        plant=plant, mcs=True, rated_a=900.0, rated_w=640_000.0, ramp_a_per_s=1000.0,
        import_w=900_000.0, export_w=700_000.0,
    )
    return replace(settings, **changes)  # type: ignore[arg-type]


def devices(plant: Plant) -> Devices:
    """The daemon's own drivers at the plant's byte channels."""
    ends, bus = plant.channels, plant.config.bus
    building = EastronSdm630(
        "building", ModbusBus(lambda: ends["building"], bus.building_baudrate), bus.building_unit
    )
    meter_bus = ModbusBus(lambda: ends["meter"], bus.meter_baudrate)
    if plant.config.kind == "ac":
        pilot = ChargeSomMcu("mcu", lambda: ends["mcu"])
        meter = EastronSdm630Outlet("meter", meter_bus, bus.meter_unit)
        return Devices(AcOutletDevices(pilot, meter), building, (pilot, meter, building))
    outlet = OutletDevices(
        ChargeSomMcu("mcu", lambda: ends["mcu"]),
        InfyBeg("power", lambda: SlcanPort(ends["can0"], bus.can_bitrate), modules=bus.module_addresses),
        AcrelDjsf1352("meter", meter_bus, bus.meter_unit),
        BenderIsoCha425("imd", ModbusBus(lambda: ends["imd"], bus.imd_baudrate), bus.imd_unit),
    )
    drivers = (outlet.mcu, outlet.supply, outlet.meter, outlet.isolation, building)
    return Devices(outlet, building, drivers)


def write_config(folder: Path, settings: BenchSettings) -> Path:
    """The daemon's file for a bench in virtual time, and its prices."""
    price_file(folder, settings.prices or hourly(settings.start_utc_s, (50.0,) * 48))
    path = folder / "evse.toml"
    extra = '[net]\nhost = "::1"\n' + settings.config
    path.write_text(bench_toml(
        folder, '"lab-tcp"', extra, folder, settings.import_w, settings.export_w,
        ac=settings.plant.kind == "ac", mcs=settings.mcs,
        socket=settings.plant.ac.cable_a > 0, energy=settings.energy,
        rated=(settings.rated_a, settings.rated_w, settings.ramp_a_per_s),
        modules=len(settings.plant.bus.module_addresses),
    ))
    return path


def price_file(folder: Path, prices: tuple[tuple[float, float], ...]) -> None:
    """Write `prices.csv`, which `bench_toml` names."""
    lines = [f"{_iso(start_s)},{price}" for start_s, price in prices]
    (folder / "prices.csv").write_text("\n".join(["start_utc,eur_per_mwh", *lines]) + "\n")


def bench_toml(
    folder: Path, lab: str, extra: str, ports: Path, import_w: float = 28_000.0, export_w: float = 10_000.0,
    *, ac: bool = False, mcs: bool = False, socket: bool = False, energy: str = "",
    rated: tuple[float, float, float] = (70.0, 22_000.0, 100.0), modules: int = 2,
) -> str:
    """The daemon's file for a bench: state in `folder`, devices under `ports`; `extra` holds [net] and so on."""
    return (_HEAD + (_AC_OUTLET if ac else _DC_OUTLET) + _HOUSE).format(
        folder=folder, lab=lab, extra=extra, ports=ports, import_w=import_w, export_w=export_w, mcs=str(mcs).lower(),
        socket=str(socket).lower(), energy=energy, rated_a=rated[0], rated_w=rated[1], ramp=rated[2], modules=modules,
    )


def _iso(utc_s: float) -> str:
    return datetime.datetime.fromtimestamp(utc_s, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
