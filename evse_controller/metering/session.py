"""Session energy: differences of the outlet meter's lifetime registers, per direction, never integrated power."""

from __future__ import annotations

import math
from dataclasses import dataclass

from evse_controller.model.snapshot import MeterTotals


class MeterRegisterError(ValueError):
    """A register fell (rolled over, meter swapped) or is not a number: the reading is refused, totals stand."""


@dataclass(frozen=True, slots=True)
class MeterSample:
    """State at `utc_s`: session energy each way in Wh (>= 0, never falling), and the site of the time before it.

    `building_w`: AC load of the building without the outlet; `max_charge_w`: DC power that limits allowed.
    """

    utc_s: float
    charged_wh: float
    discharged_wh: float
    building_w: float = 0.0
    max_charge_w: float = 0.0


@dataclass(frozen=True, slots=True)
class SessionEnergy:
    """For the session record: registers at start and stop in Wh as the meter shows them, and their differences."""

    meter_id: str
    start_utc_s: float
    stop_utc_s: float
    start_import_wh: float
    stop_import_wh: float
    start_export_wh: float
    stop_export_wh: float
    refused_readings: int

    @property
    def charged_wh(self) -> float:
        return self.stop_import_wh - self.start_import_wh

    @property
    def discharged_wh(self) -> float:
        return self.stop_export_wh - self.start_export_wh


class SessionMeter:
    """Follows one meter through one session. `import_wh`: register of energy to the EV, `export_wh`: from the EV."""

    def __init__(
        self, meter_id: str, import_wh: float, export_wh: float, utc_s: float, keep_every_s: float = 60.0
    ) -> None:
        """Start with the registers of this moment; `keep_every_s`: spacing of the samples kept for settlement."""
        if not (math.isfinite(import_wh) and math.isfinite(export_wh)):
            raise MeterRegisterError(f"{meter_id}: registers {import_wh}, {export_wh} Wh are not numbers")
        self.meter_id = meter_id
        self.refused_readings = 0
        self._start = (import_wh, export_wh, utc_s)
        self._last = (import_wh, export_wh, utc_s)
        self._keep_every_s = keep_every_s
        self._samples = [MeterSample(utc_s, 0.0, 0.0)]
        self._newest = self._samples[0]
        self._weights_s = 0.0
        self._building_ws = 0.0
        self._max_charge_ws = 0.0

    def update(
        self, import_wh: float, export_wh: float, utc_s: float, building_w: float = 0.0, max_charge_w: float = 0.0
    ) -> MeterTotals:
        """Take in a reading. Raises MeterRegisterError, with nothing changed, when a register or the time fell."""
        last_import, last_export, last_utc_s = self._last
        for name, value, last in (("import", import_wh, last_import), ("export", export_wh, last_export)):
            if not math.isfinite(value) or value < last:
                self.refused_readings += 1
                raise MeterRegisterError(f"{self.meter_id}: {name} register went from {last} to {value} Wh")
        if not utc_s >= last_utc_s:
            self.refused_readings += 1
            raise MeterRegisterError(f"{self.meter_id}: time went back by {last_utc_s - utc_s:.3f} s")
        elapsed_s = utc_s - last_utc_s
        self._weights_s += elapsed_s
        self._building_ws += building_w * elapsed_s
        self._max_charge_ws += max_charge_w * elapsed_s
        self._last = (import_wh, export_wh, utc_s)
        mean = self._weights_s or 1.0
        self._newest = MeterSample(
            utc_s,
            import_wh - self._start[0],
            export_wh - self._start[1],
            self._building_ws / mean if self._weights_s else building_w,
            self._max_charge_ws / mean if self._weights_s else max_charge_w,
        )
        if utc_s - self._samples[-1].utc_s >= self._keep_every_s:
            self._samples.append(self._newest)
            self._weights_s = self._building_ws = self._max_charge_ws = 0.0
        return self.totals

    @property
    def totals(self) -> MeterTotals:
        """Energy each way since the session began, for the snapshot."""
        import_wh, export_wh, utc_s = self._last
        return MeterTotals(self.meter_id, import_wh - self._start[0], export_wh - self._start[1], utc_s)

    @property
    def samples(self) -> tuple[MeterSample, ...]:
        """What settlement needs: the first, one per `keep_every_s`, the newest."""
        if self._newest is self._samples[-1]:
            return tuple(self._samples)
        return (*self._samples, self._newest)

    def energy(self) -> SessionEnergy:
        """The session so far, for its record."""
        (start_import, start_export, start_s), (stop_import, stop_export, stop_s) = self._start, self._last
        return SessionEnergy(
            self.meter_id,
            start_s,
            stop_s,
            start_import,
            stop_import,
            start_export,
            stop_export,
            self.refused_readings,
        )
