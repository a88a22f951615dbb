"""What a bench looks like, and the daemon's configuration file for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from certs import LabPki
from certs.profile import Role

START_UTC_S = 1_724_925_600  # a full hour

PRICES = {
    "cheap-now": (0, 200, 400, 400),
    "dear-now": (900, 50, 50, 50),
    "flat": (100, 100, 100, 100),
}
"""EUR/MWh of the hours from the start on: what makes a car charge, or discharge, at full power at once."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a bench looks like. `config` is merged into the daemon's file, table by table (None removes a key).

    `network`: `auto`, or `loopback` to use `::1` in any case. `prices`: a key of PRICES. `kind`: `dc`, or `ac`: mains
    of 32 A and `phases`, which the car may feed; `mcs`: the DC connector is a megawatt one. `speed`: of world
    time.
    """

    prices: str = "cheap-now"
    soc: float = 0.5
    building_w: float = 2000.0
    import_limit_w: float = 40_000.0
    export_limit_w: float = 30_000.0
    lab: tuple[str, ...] = ()
    network: str = "auto"
    kind: str = "dc"
    phases: int = 3
    mcs: bool = False
    speed: float = 1.0
    config: Mapping[str, Any] = field(default_factory=dict)


def daemon_tables(
    setting: Setting, pki: LabPki, devices: Path, state: Path, socket: Path, prices: Path
) -> dict[str, Any]:
    """The tables of the daemon's file. `devices` is the folder of ptys; the network's address is the caller's."""
    secc = pki.files(Role.SECC)
    return {
        "controller": {
            "evseid": "DE*EVC*E000001",
            "state_dir": str(state),
            "socket": str(socket),
            "lab": list(setting.lab),
        },
        "world": {"start": datetime.fromtimestamp(START_UTC_S, UTC), "speed": setting.speed},
        "net": {
            "tls": {
                "chain": str(secc.chain),
                "key": str(secc.key),
                "trust": [str(path) for path in pki.trust_of_secc],
            },
        },
        "outlet": _ac_outlet(setting, devices) if setting.kind == "ac" else _dc_outlet(setting, devices),
        "site": {
            "import_limit_w": setting.import_limit_w,
            "export_limit_w": setting.export_limit_w,
            "failsafe_import_w": 4200,
            "margin_w": 300,
            "meter_scope": "grid",
            "meter": {"driver": "eastron-sdm630", "port": str(devices / "building"), "unit": 1},
        },
        "energy": {"prices": str(prices), "wear_cost_per_kwh": 0.02},
        "authorization": {"mode": "free-vend"},
    }


def _dc_outlet(setting: Setting, devices: Path) -> dict[str, Any]:
    return {
        "bidirectional": True,
        "mcs": setting.mcs,
        "grid_profile": 1,
        "isolation_response_s": 0.45,
        "efficiency_import": 0.93,
        "efficiency_export": 0.98,
        "ramp_up_a_per_s": 200.0,
        "ratings": {
            "max_voltage_v": 920,
            "min_voltage_v": 150,
            "max_charge_current_a": 70,
            "max_charge_power_w": 22000,
            "max_discharge_current_a": 70,
            "max_discharge_power_w": 22000,
        },
        "mcu": {"driver": "charge-som-uart", "port": str(devices / "mcu")},
        "power": {"driver": "infy-beg", "interface": "slcan", "channel": str(devices / "can0"), "modules": 2},
        "meter": {"driver": "acrel-djsf1352", "port": str(devices / "meter"), "unit": 1},
        "isolation": {"driver": "bender-isocha425hv", "port": str(devices / "imd"), "unit": 3},
    }


def _ac_outlet(setting: Setting, devices: Path) -> dict[str, Any]:
    meter = {"driver": "eastron-sdm630", "port": str(devices / "meter"), "unit": 1, "outlet": True}
    return {
        "kind": "ac",
        "bidirectional": True,
        "ac": {
            "max_current_a": 32,
            "phases": setting.phases,
            "max_discharge_current_a": 32,
            "ac_export_authorised": True,
        },
        "mcu": {"driver": "charge-som-uart", "port": str(devices / "mcu"), "contactors": [0]},
        "meter": meter | {"phases": setting.phases},
    }


def price_lines(kind: str) -> str:
    """The price file of a kind of PRICES: two days, the last price goes on."""
    lines = ["start_utc,eur_per_mwh"]
    prices = PRICES[kind]
    for hour in range(48):
        at = datetime.fromtimestamp(START_UTC_S + hour * 3600, UTC)
        lines.append(f"{at:%Y-%m-%dT%H:%M:%SZ},{prices[min(hour, len(prices) - 1)]}")
    return "\n".join(lines) + "\n"


def merge(into: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Put `changes` into nested tables; None removes."""
    for key, value in changes.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value
