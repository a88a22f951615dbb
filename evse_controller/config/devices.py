"""Drivers by their configured name, through entry points, so that a manufacturer's package counts like ours."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from evse_controller.config.load import Config, DeviceConfig
from evse_controller.station import AcOutletDevices, OutletDevices
from hal.api import AcMeter, AcOutletMeter, DcMeter, DeviceError, Driver, IsolationMonitor, PowerSupply, SafetyMcu

GROUP = "evse_controller.drivers"
_SIMULATED_BUSES = ("virtual", "udp_multicast")


class DriverError(Exception):
    """A device cannot be built from its configuration; the text names the table and the reason."""


@dataclass(frozen=True, slots=True)
class Devices:
    outlet: OutletDevices | AcOutletDevices
    building: AcMeter | None
    drivers: tuple[Driver, ...]


def build(config: Config) -> Devices:
    """Create every driver, unopened. Raises DriverError."""
    made = {role: _create(device) for role, device in config.devices.items()}
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


def _create(device: DeviceConfig) -> Driver:
    points = importlib.metadata.entry_points(group=GROUP)
    if device.driver not in points.names:
        raise DriverError(
            f"{device.key}.driver: no driver {device.driver!r}; installed are {', '.join(sorted(points.names))}"
        )
    factory = points[device.driver].load()
    try:
        return cast(Driver, factory(device.key, device.options))
    except (ValueError, DeviceError) as error:
        raise DriverError(f"{device.key}: {error}") from error


def simulated(options: Mapping[str, Any]) -> bool:
    """True when the device can only be a simulated one: a pseudo-terminal or an in-host bus."""
    if options.get("interface") in _SIMULATED_BUSES:
        return True
    port = options.get("port", options.get("channel"))
    return isinstance(port, str) and str(Path(port).resolve()).startswith("/dev/pts/")


def real_devices(config: Config) -> list[str]:
    """Names of devices that are not provably simulated: with any of them the world clock may not be scaled."""
    return [device.key for device in config.devices.values() if not simulated(device.options)]
