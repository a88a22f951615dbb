"""What the outlet is: direct current from modules of ours, or mains that the car's own charger draws from."""

from __future__ import annotations

from dataclasses import dataclass

from evse_controller.config.reader import Table
from evse_controller.config.structure import read
from evse_controller.model.snapshot import DcRatings

DC, AC = "dc", "ac"
OUTLET_NAME = "outlet-1"
"""The one outlet of a file; what a token may be bound to."""
DEVICE_ROLES = {DC: ("mcu", "power", "meter", "isolation"), AC: ("mcu", "meter")}


@dataclass(frozen=True, slots=True)
class AcSection:
    """Mains of an AC outlet. `max_current_a`: per phase, the weakest of fuse, cable and contactor; voltages line to
    neutral. `ac_export_authorised`: the site may be fed by the cars' own inverters. `socket`: the driver brings the
    cable, whose rating is read from its proximity contact (see `AcStationConfig`)."""

    max_current_a: float
    phases: int = 3
    nominal_voltage_v: float = 230.0
    nominal_frequency_hz: float = 50.0
    min_current_a: float = 0.0
    ac_export_authorised: bool = False
    max_discharge_current_a: float = 0.0
    max_asymmetry_w: float | None = None
    power_ramp_w_per_s: float | None = None
    socket: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.max_current_a <= 125:
            raise ValueError(f"max_current_a must be above 0 and at most 125, is {self.max_current_a:g}")
        if self.phases not in (1, 3):
            raise ValueError(f"phases must be 1 or 3, is {self.phases}")
        if not 100 <= self.nominal_voltage_v <= 480:
            raise ValueError(f"nominal_voltage_v must be from 100 to 480, is {self.nominal_voltage_v:g}")
        if self.nominal_frequency_hz not in (50.0, 60.0):
            raise ValueError(f"nominal_frequency_hz must be 50 or 60, is {self.nominal_frequency_hz:g}")
        if not 0 <= self.min_current_a < self.max_current_a:
            raise ValueError("min_current_a must be from 0 to below max_current_a")
        if not 0 <= self.max_discharge_current_a <= self.max_current_a:
            raise ValueError("max_discharge_current_a must be from 0 to max_current_a")
        for name in ("max_asymmetry_w", "power_ramp_w_per_s"):
            value: float | None = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be above 0, is {value:g}")

    @property
    def max_charge_w(self) -> float:
        return self.max_current_a * self.nominal_voltage_v * self.phases

    @property
    def max_discharge_w(self) -> float:
        return self.max_discharge_current_a * self.nominal_voltage_v * self.phases


@dataclass(frozen=True, slots=True)
class OutletSection:
    """`kind`: `dc` or `ac`. At an AC outlet `ac` is set, `ratings` are zero and the efficiencies 1.

    `mcs`: a megawatt connector (DC only).
    """

    kind: str
    bidirectional: bool
    mcs: bool
    ratings: DcRatings
    ac: AcSection | None
    grid_profile: int | None
    efficiency_import: float
    efficiency_export: float
    ramp_up_a_per_s: float
    isolation_response_s: float

    @property
    def services(self) -> tuple[str, ...]:
        """The energy services that an outlet of this kind can serve, by name, what it does best first."""
        name = "AC" if self.ac is not None else "MCS" if self.mcs else "DC"
        return (f"{name}_BPT", name) if self.bidirectional else (name,)

    @property
    def max_charge_w(self) -> float:
        return self.ratings.max_charge_power_w if self.ac is None else self.ac.max_charge_w


NO_RATINGS = DcRatings(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def read_outlet(table: Table) -> OutletSection:
    """The devices' tables are the caller's."""
    kind = table.choice("kind", (DC, AC), DC)
    bidirectional = table.flag("bidirectional", False)
    if kind == AC:
        return _ac(table, bidirectional)
    profile = table.integer("grid_profile", 0, 0xFFFF) if "grid_profile" in table else None
    return OutletSection(
        kind=DC,
        bidirectional=bidirectional,
        mcs=table.flag("mcs", False),
        ratings=_ratings(table.table("ratings", required=True), bidirectional),
        ac=None,
        grid_profile=profile,
        efficiency_import=table.number("efficiency_import", 0.5, 1.0, 0.93),
        efficiency_export=table.number("efficiency_export", 0.5, 1.0, 0.93),
        ramp_up_a_per_s=table.number("ramp_up_a_per_s", 0.1, 10_000, 50.0),
        isolation_response_s=table.number("isolation_response_s", 0.1, 5, 5.0),
    )


def _ratings(r: Table, bidirectional: bool) -> DcRatings:
    ratings = DcRatings(
        max_voltage_v=r.number("max_voltage_v", 50, 1500),
        min_voltage_v=r.number("min_voltage_v", 0, 1500),
        max_charge_current_a=r.number("max_charge_current_a", 0, 3000),
        max_charge_power_w=r.number("max_charge_power_w", 0, 4e6),
        max_discharge_current_a=r.number("max_discharge_current_a", 0, 3000, 0.0),
        max_discharge_power_w=r.number("max_discharge_power_w", 0, 4e6, 0.0),
    )
    if ratings.min_voltage_v >= ratings.max_voltage_v:
        r.complain("min_voltage_v", "must be below max_voltage_v")
    if bidirectional and ratings.max_discharge_current_a * ratings.max_discharge_power_w == 0:
        r.complain("max_discharge_power_w", "a bidirectional outlet needs discharge ratings above 0")
    r.done()
    return ratings


def _ac(table: Table, bidirectional: bool) -> OutletSection:
    mains = table.table("ac", required=True)
    section = read(mains, AcSection) if "ac" in table else None
    if section is not None and bidirectional and section.max_discharge_current_a == 0:
        mains.complain("max_discharge_current_a", "a bidirectional outlet needs a discharge current above 0")
    section = section or AcSection(1.0)
    return OutletSection(AC, bidirectional, False, NO_RATINGS, section, None, 1.0, 1.0, 50.0, 5.0)
