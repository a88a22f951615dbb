"""What the independent vehicle is told before it starts. Standard library only: both Python environments read it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

SCHEDULED, DYNAMIC = 1, 2
EVCCID = "WMIV1234567890ABCDEX"
"""What the vehicle calls itself."""


@dataclass(frozen=True, slots=True)
class PeerOptions:
    """Numbers and choices. Energies in Wh relative to arrival (+ = to be charged), currents in A (- = discharge).

    `legs`: (loop requests, target) in order, the target a current, or with an AC service the power in W of all phases;
    in Dynamic mode, where the station leads, only their number of requests counts. `service` is AC, AC_BPT, DC or
    DC_BPT; `codec` is native (ours) or own (EXIficient, needs Java). `channel` is
    the Unix socket of an `InletServer`; `pki_path` the folder of `josev_pki`, needed with `tls`.
    """

    interface: str
    channel: str
    service: str = "DC_BPT"
    control_mode: int = SCHEDULED
    tls: bool = False
    codec: str = "native"
    pki_path: str | None = None
    legs: tuple[tuple[int, float], ...] = ((20, 20.0), (20, -15.0))
    loop_delay_s: float = 0.15
    departure_s: int = 7200
    target_wh: float = 20_000.0
    maximum_wh: float = 27_000.0
    minimum_wh: float = -15_000.0
    v2x_maximum_wh: float = 20_000.0
    v2x_minimum_wh: float = -15_000.0
    max_voltage_v: float = 450.0
    min_voltage_v: float = 250.0
    max_charge_current_a: float = 100.0
    max_charge_power_w: float = 30_000.0
    max_discharge_current_a: float = 60.0
    max_discharge_power_w: float = 20_000.0
    ac_max_power_w: float = 11_000.0
    seed: int = 1

    @property
    def by_ac(self) -> bool:
        return self.service in ("AC", "AC_BPT")

    @property
    def both_ways(self) -> bool:
        return self.service.endswith("_BPT")

    def dumps(self) -> str:
        return json.dumps(asdict(self))


def loads(text: str) -> PeerOptions:
    data: dict[str, Any] = json.loads(text)
    data["legs"] = tuple((int(count), float(current)) for count, current in data["legs"])
    return PeerOptions(**data)
