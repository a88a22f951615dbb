"""Drivers by their configured name, through entry points, so that a manufacturer's package counts like ours."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from evse_controller.config.load import Config, DeviceConfig
from evse_controller.station import AcOutletDevices, OutletDevices
from hal.api import (
    AcMeter,
    AcMeterReading,
    AcOutletMeter,
    AcOutletReading,
    DcMeter,
    DcMeterReading,
    DeviceError,
    Driver,
    IsolationMonitor,
    IsolationReading,
    McuReading,
    PowerReading,
    PowerSupply,
    SafetyMcu,
)

GROUP = "evse_controller.drivers"
_SIMULATED_BUSES = ("virtual", "udp_multicast")


class DriverError(Exception):
    """A device cannot be built from its configuration; the text is `file:line: key: what is wrong`."""


@dataclass(frozen=True, slots=True)
class Devices:
    outlet: OutletDevices | AcOutletDevices
    building: AcMeter | None
    drivers: tuple[Driver, ...]


def build(config: Config) -> Devices:
    """Create every driver, unopened. Raises DriverError."""
    made = {role: _create(config, role, device) for role, device in config.devices.items()}
    mcu = cast(SafetyMcu, made["mcu"])
    outlet: OutletDevices | AcOutletDevices
    if config.outlet.ac is not None:
        outlet = AcOutletDevices(mcu=mcu, meter=cast(AcOutletMeter, made["meter"]))
    else:
        outlet = OutletDevices(
            mcu=mcu,
            supply=cast(PowerSupply, made["power"]),
            meter=cast(DcMeter, made["meter"]),
            isolation=cast(IsolationMonitor, made["isolation"]),
        )
    return Devices(outlet, cast(AcMeter | None, made.get("building")), tuple(made.values()))


_READINGS: Mapping[str, type] = {
    "mcu": McuReading, "power": PowerReading, "isolation": IsolationReading, "building": AcMeterReading,
}
_HINTS: Mapping[type, str] = {
    AcOutletReading: "; the meter of an AC outlet needs outlet = true",
    AcMeterReading: "; outlet = true is for the meter of an AC outlet only",
}


def _create(config: Config, role: str, device: DeviceConfig) -> Driver:
    """The driver for `role`, of the kind that the outlet reads there."""

    def wrong(key: str, what: str) -> DriverError:
        line = device.lines.get(key, device.lines[""])
        return DriverError(f"{config.path}:{line}: {device.key}{'.' if key else ''}{key}: {what}")

    points = importlib.metadata.entry_points(group=GROUP)
    if device.driver not in points.names:
        raise wrong("driver", f"no driver {device.driver!r}; installed are {', '.join(sorted(points.names))}")
    factory = points[device.driver].load()
    try:
        made = cast(Driver, factory(device.key, device.options))
    except (ValueError, DeviceError) as error:
        text = str(error).removeprefix(f"{device.key}: ")
        named = re.search(r"option '(\w+)'", text)
        raise wrong(named[1] if named else "", text) from error
    ac = config.outlet.ac
    wanted = _READINGS.get(role) or (DcMeterReading if ac is None else AcOutletReading)
    reading = getattr(made, "READING", None)
    if reading is not wanted:
        key = "outlet" if "outlet" in device.options else "driver"
        given = "something else" if reading is None else reading.__name__
        hint = _HINTS.get(wanted, "") if AcOutletReading in (wanted, reading) else ""
        raise wrong(key, f"gives {given}, {wanted.__name__} is needed here{hint}")
    if ac is not None and role == "meter" and (phases := cast(AcOutletMeter, made).phases) != ac.phases:
        raise wrong("phases", f"measures {phases} phases, the outlet has {ac.phases} (outlet.ac.phases)")
    return made


def simulated(options: Mapping[str, Any]) -> bool:
    """True when the device can only be a simulated one: a pseudo-terminal or an in-host bus."""
    if options.get("interface") in _SIMULATED_BUSES:
        return True
    port = options.get("port", options.get("channel"))
    return isinstance(port, str) and str(Path(port).resolve()).startswith("/dev/pts/")


def real_devices(config: Config) -> list[str]:
    """Names of devices that are not provably simulated: with any of them the world clock may not be scaled."""
    return [device.key for device in config.devices.values() if not simulated(device.options)]
