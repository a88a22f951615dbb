"""The plant: one world, its simulated devices and the referee, composed from one `PlantConfig`.

In memory and in virtual time: `plant = Plant(PlantConfig())`, drivers take `plant.channels["meter"]` and so on,
`plant.step(0.01)` after each advance of the control clock. For another process see `hal.sim.ptys`. `Inlet` is what a
simulated car codes against.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from hal.channel import ByteChannel, memory_pair
from hal.sim.ac_mains import AcConfig, AcMains
from hal.sim.battery import BatteryConfig
from hal.sim.bender_imd import BenderIsoCha425, LineSample
from hal.sim.can_bus import CanBus
from hal.sim.can_gateway import SlcanGateway, VirtualGateway
from hal.sim.events import BusOverrun, IsolationMeasured, ModeWritten
from hal.sim.faults import Faults
from hal.sim.infy_modules import InfyRack
from hal.sim.inlet import Inlet
from hal.sim.meters import AcrelDjsf1352, AcSample, DcSample, EastronSdm630
from hal.sim.onboard import OnboardConfig
from hal.sim.plant_faults import world_faults
from hal.sim.power_stage import PowerStage, PowerStageConfig
from hal.sim.referee import Referee, RefereeConfig
from hal.sim.rtu_slave import RtuLine
from hal.sim.safety_mcu import McuConfig, SafetyMcu
from hal.sim.world import World, WorldConfig

__all__ = ["CHANNELS", "BusConfig", "Inlet", "Plant", "PlantConfig"]

#: Names of the byte channels a controller connects to. `can0` speaks slcan, `mcu` the pilot board's UART protocol,
#: the others Modbus RTU.
CHANNELS = ("can0", "mcu", "meter", "imd", "building")

_Section = TypeVar("_Section")


@dataclass(frozen=True, slots=True)
class BusConfig:
    """Addresses, speeds and own habits of the devices. Times in s."""

    can_bitrate: int = 125_000
    module_addresses: tuple[int, ...] = (1, 2)
    meter_unit: int = 1
    meter_baudrate: int = 9600
    meter_energy_lsb_wh: float = 1.0
    imd_unit: int = 3
    imd_baudrate: int = 19_200
    imd_self_test_s: float = 8.0
    imd_cycle_s: float = 1.0
    imd_enabled: bool = True
    building_unit: int = 1
    building_baudrate: int = 9600


@dataclass(frozen=True, slots=True)
class PlantConfig:
    """Everything about a plant. `from_dict` takes the same structure as plain (TOML-able) data.

    `kind` "dc" or "ac": at an AC plant the channel `meter` is an SDM630 at the outlet, nobody answers on `can0` and
    `imd`, and `ac` and `onboard` describe mains and car. `building_w` is a constant load; `Plant.set_building` takes a
    function of world time. `start_s` is control time.
    """

    kind: str = "dc"
    speed: float = 1.0
    start_s: float = 1000.0
    start_utc_s: float = 1_704_063_600.0
    building_w: float = 1000.0
    import_limit_w: float | None = None
    export_limit_w: float | None = None
    world: WorldConfig = field(default_factory=WorldConfig)
    battery: BatteryConfig = field(default_factory=BatteryConfig)
    module: PowerStageConfig = field(default_factory=PowerStageConfig)
    bus: BusConfig = field(default_factory=BusConfig)
    mcu: McuConfig = field(default_factory=McuConfig)
    referee: RefereeConfig = field(default_factory=RefereeConfig)
    ac: AcConfig = field(default_factory=AcConfig)
    onboard: OnboardConfig = field(default_factory=OnboardConfig)

    def __post_init__(self) -> None:
        if self.kind not in ("dc", "ac"):
            raise ValueError(f"plant.kind: must be dc or ac, is {self.kind!r}")

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> PlantConfig:
        """Raises ValueError naming the key for anything unknown or of the wrong type."""
        return _section(cls, data, "plant")


def _section(kind: type[_Section], data: Mapping[str, object], where: str) -> _Section:
    default = kind()
    values: dict[str, object] = {}
    known = {item.name for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key, value in data.items():
        if key not in known:
            raise ValueError(f"{where}.{key}: no such option; known: {', '.join(sorted(known))}")
        values[key] = _value(value, getattr(default, key), f"{where}.{key}")
    return kind(**values)


def _value(value: object, default: object, where: str) -> object:
    if dataclasses.is_dataclass(default):
        if not isinstance(value, Mapping):
            raise ValueError(f"{where}: must be a table")
        return _section(type(default), value, where)
    if isinstance(default, tuple):
        if not isinstance(value, list | tuple):
            raise ValueError(f"{where}: must be a list")
        return tuple(tuple(item) if isinstance(item, list) else item for item in value)
    if isinstance(default, str):
        if not isinstance(value, str):
            raise ValueError(f"{where}: must be a text")
        return value
    if isinstance(default, bool) != isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{where}: {value!r} is not {'true or false' if isinstance(default, bool) else 'a number'}")
    if isinstance(default, int) and not isinstance(default, bool) and not isinstance(value, int):
        raise ValueError(f"{where}: {value!r} is not a whole number")
    return float(value) if isinstance(default, float) else value


class Plant:
    """`step(dt_s)` moves world and devices; `inlet` is the car's side; `inject`/`clear` break and mend things.

    `channels` given: the devices' ends of the byte channels (ptys). Not given: memory pairs, whose controller ends are
    then `self.channels`. `virtual_can` names a python-can `virtual` channel that the module bus joins as well.
    """

    STEP_S = 0.005

    def __init__(
        self,
        config: PlantConfig | None = None,
        channels: Mapping[str, ByteChannel] | None = None,
        virtual_can: str | None = None,
    ) -> None:
        self.config = config = config or PlantConfig()
        self.virtual_can = virtual_can
        bus = config.bus
        ac = AcMains(config.ac, config.onboard) if config.kind == "ac" else None
        addresses = () if ac is not None else bus.module_addresses
        names = [f"power.{index + 1}" for index in range(len(addresses))]
        self.world = world = World(
            config.world,
            config.battery,
            dict.fromkeys(names, config.module),
            config.building_w,
            config.start_utc_s,
            config.start_s,
            config.speed,
            ac,
        )
        heartbeat_s = max(config.referee.heartbeat_s, config.mcu.heartbeat_s)
        self.referee = Referee(world, dataclasses.replace(config.referee, heartbeat_s=heartbeat_s))
        self.set_grid_limits(config.import_limit_w, config.export_limit_w)
        self.inlet = Inlet(world)
        self.channels: dict[str, ByteChannel] = {}
        ends: dict[str, ByteChannel] = {}
        for name in CHANNELS:
            if channels is not None:
                ends[name] = channels[name]
            else:
                self.channels[name], ends[name] = memory_pair()
        self.can = CanBus(bus.can_bitrate, self._note_overrun)
        self.rack = InfyRack(
            self.can,
            list(world.stages.values()),
            addresses,
            lambda: world.link_v,
            lambda: world.grid_present,
            self._note_mode,
        )
        self._gateways: list[SlcanGateway | VirtualGateway] = [SlcanGateway(self.can, ends["can0"])]
        if virtual_can is not None:
            self._gateways.append(VirtualGateway(self.can, virtual_can))
        self.mcu = SafetyMcu("mcu", world, ends["mcu"], config.mcu)
        self.meter = AcrelDjsf1352("meter", self._dc_sample, bus.meter_unit, bus.meter_energy_lsb_wh)
        self.imd = BenderIsoCha425(
            "imd",
            lambda: LineSample(world.isolation_ohm, world.outlet_v),
            self._note_isolation,
            bus.imd_unit,
            bus.imd_self_test_s,
            bus.imd_cycle_s,
            enabled=bus.imd_enabled,
        )
        self.building_meter = EastronSdm630("building", self._ac_sample, bus.building_unit)
        # 8E1 has eleven bits a character, 8N1 ten.
        self.lines = {
            "meter": RtuLine(ends["meter"], bus.meter_baudrate, 10),
            "imd": RtuLine(ends["imd"], bus.imd_baudrate, 11),
            "building": RtuLine(ends["building"], bus.building_baudrate, 10),
        }
        self.lines["building"].add(self.building_meter)
        named = [module.faults for module in self.rack.modules]
        named += [self.mcu.faults, self.building_meter.faults]
        self.outlet_meter: EastronSdm630 | None = None
        if ac is not None:
            self.outlet_meter = EastronSdm630("meter", self._outlet_sample, bus.meter_unit, update_s=0.2)
            self.lines["meter"].add(self.outlet_meter)
            named.append(self.outlet_meter.faults)
        else:
            self.lines["meter"].add(self.meter)
            self.lines["imd"].add(self.imd)
            named += [self.meter.faults, self.imd.faults]
        self._device_faults: dict[str, Faults] = {faults.device: faults for faults in named}
        self._world_faults = world_faults(self.world, self.can)
        self._active: dict[tuple[str, str], None] = {}

    # -- time ------------------------------------------------------------------------------------------------------
    @property
    def now_s(self) -> float:
        """Control time."""
        return self.world.now_s

    @property
    def utc_s(self) -> float:
        """World time."""
        return self.world.utc_s

    def step(self, dt_s: float) -> None:
        """Let `dt_s` seconds of control time pass, in slices of at most 5 ms."""
        left = dt_s
        while left > 1e-9:
            slice_s = min(left, self.STEP_S)
            self.world.step(slice_s)
            self.poll()
            left -= slice_s

    def poll(self) -> None:
        """Let every device take in and send what is due now, without time passing."""
        now_s = self.world.now_s
        for gateway in self._gateways:
            gateway.poll(now_s)
        self.can.poll(now_s)
        self.rack.poll(now_s)
        self.mcu.poll(now_s)
        for line in self.lines.values():
            line.poll(now_s)

    def close(self) -> None:
        """Leave the python-can channel, if one was joined."""
        for gateway in self._gateways:
            gateway.close()

    # -- the site's hands ------------------------------------------------------------------------------------------
    def set_building(self, load: Callable[[float], float] | float) -> None:
        """Building load in W (negative = local generation), constant or as a function of world time (Unix s)."""
        self.world.building = load

    def set_grid_limits(self, import_w: float | None, export_w: float | None) -> None:
        """What the referee holds the grid connection to from now on; both >= 0, None = no limit."""
        self.referee.set_grid_limits(import_w, export_w)

    # -- faults ----------------------------------------------------------------------------------------------------
    def inject(self, device: str, fault: str, **parameters: float) -> None:
        """Break something by name. ValueError names what exists. Injecting again only changes the parameters."""
        if device in self._device_faults:
            self._device_faults[device].inject(fault, **parameters)
        elif (device, fault) in self._world_faults:
            self._world_faults[device, fault](True, parameters)
        else:
            known = sorted({*self._device_faults, *(f"{name} {what}" for name, what in self._world_faults)})
            raise ValueError(f"no fault {fault!r} of {device!r}; there are {', '.join(known)}")
        if (device, fault) not in self._active:
            self._active[device, fault] = None
            self.world.note_fault(device, fault, True)

    def clear(self, device: str | None = None, fault: str | None = None) -> None:
        """Mend a fault, all faults of a device, or everything."""
        for key in [key for key in self._active if device in (None, key[0]) and fault in (None, key[1])]:
            if key[0] in self._device_faults:
                self._device_faults[key[0]].clear(key[1])
            else:
                self._world_faults[key](False, {})
            del self._active[key]
            self.world.note_fault(*key, False)

    @property
    def faults(self) -> tuple[tuple[str, str], ...]:
        """All (device, fault) that are active."""
        return tuple(self._active)

    # -- what the devices ask and tell -----------------------------------------------------------------------------
    def _dc_sample(self) -> DcSample:
        world, energy = self.world, self.world.world_energy
        return DcSample(world.outlet_v, world.outlet_current_a, energy.outlet_in_wh, energy.outlet_out_wh)

    def _ac_sample(self) -> AcSample:
        energy = self.world.world_energy
        return AcSample(self.world.grid_power_w, energy.grid_import_wh, energy.grid_export_wh)

    def _outlet_sample(self) -> AcSample:
        energy, ac = self.world.world_energy, self.world.ac
        assert ac is not None  # only an AC plant has this meter
        phases = tuple((ac.voltage_v, amps, watts) for amps, watts in zip(ac.phase_a, ac.phase_w, strict=True))
        return AcSample(ac.power_w, energy.outlet_in_wh, energy.outlet_out_wh, phases)

    def _note_isolation(self, resistance_ohm: float, lowest_v: float) -> None:
        world = self.world
        world.events.append(
            IsolationMeasured(
                world.now_s, resistance_ohm, lowest_v, world.evse_contactor.closed, world.ev_contactor.closed
            )
        )

    def _note_mode(self, stage: PowerStage, wanted: str, accepted: bool) -> None:
        self.world.events.append(
            ModeWritten(
                self.world.now_s, stage.name, stage.mode, wanted, stage.on, self.world.evse_current_a, accepted
            )
        )

    def _note_overrun(self, detail: str, at_s: float) -> None:
        self.world.events.append(BusOverrun(at_s, "can0", detail))
