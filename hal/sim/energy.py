"""Energy of every branch of the world, so that conservation can be checked."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(slots=True)
class EnergyTotals:
    """Sums in Wh since the world began. Losses and one-way registers are >= 0; `cells_wh` and `dc_wh` are signed.

    `outlet_*` is what a meter at the outlet sees; `battery_*` what passes the battery terminals; `cells_wh` what is
    stored behind the internal resistance; `commutation_wh` what charging a capacitor through a contact burns.
    """

    grid_import_wh: float = 0.0
    grid_export_wh: float = 0.0
    building_wh: float = 0.0
    ac_wh: float = 0.0
    dc_wh: float = 0.0
    converter_loss_wh: float = 0.0
    bleeder_wh: float = 0.0
    contact_wh: float = 0.0
    divider_wh: float = 0.0
    short_wh: float = 0.0
    cable_wh: float = 0.0
    resistance_wh: float = 0.0
    outlet_in_wh: float = 0.0
    outlet_out_wh: float = 0.0
    battery_in_wh: float = 0.0
    battery_out_wh: float = 0.0
    cells_wh: float = 0.0
    commutation_wh: float = 0.0

    def at_grid(self, grid_w: float, building_w: float, hours: float) -> None:
        """What the grid connection and the building counted in this time."""
        if grid_w >= 0:
            self.grid_import_wh += grid_w * hours
        else:
            self.grid_export_wh -= grid_w * hours
        self.building_wh += building_w * hours

    def plus(self, other: EnergyTotals, factor: float) -> EnergyTotals:
        """This plus `factor` times `other`, a new object."""
        return EnergyTotals(*(getattr(self, f.name) + factor * getattr(other, f.name) for f in fields(self)))

    @property
    def losses_wh(self) -> float:
        """Everything that became heat between the grid point and the cells."""
        return (
            self.converter_loss_wh
            + self.bleeder_wh
            + self.contact_wh
            + self.divider_wh
            + self.short_wh
            + self.cable_wh
            + self.resistance_wh
            + self.commutation_wh
        )

    @property
    def throughput_wh(self) -> float:
        return self.grid_import_wh + self.grid_export_wh + self.outlet_in_wh + self.outlet_out_wh
