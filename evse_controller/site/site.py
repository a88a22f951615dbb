"""What the grid connection leaves for the outlet, decided anew in every control step.

The rule is one line: building + outlet must stay inside the ruling import and export limit, less a margin. Decreases
count at once; increases are ramped, so that a building load that comes and goes is not answered with full power.

The building's load is not always measured directly: see `site.grid_meter` for meter scope `GRID`.

A stale building meter or an expired lease means the commissioned failsafe share and no export. The share is what the
commissioning reserved beside the largest load the building can have; a tighter limit therefore takes from the share,
and losing an input never raises what was allowed before.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from evse_controller.model.limits import Limit, SiteAllowance
from evse_controller.site.grid_meter import GridMeter
from evse_controller.site.limits import Direction, LimitBook, LimitStatus
from hal.api import AcMeterReading

_FUTURE_TOLERANCE_S = 0.1


class MeterScope(enum.Enum):
    """Where the building meter sits: BUILDING: own power not in its reading; GRID: at the grid connection."""

    BUILDING = "building"
    GRID = "grid"


@dataclass(frozen=True, slots=True)
class SiteConfig:
    """Commissioned numbers of the grid connection; powers in W >= 0, times in s of control time.

    `failsafe_import_w`: the outlet's share while the building is not measured (0 allowed). `margin_w`: kept free in
    both directions. `increase_w_per_s`: how fast an allowance may rise. `stale_after_s`: age limit of the reading.
    `meter_lag_s`, `own_lag_s`: how much older than its `at_s` a building reading, or own power, may be (`GRID` only).
    """

    import_limit_w: float
    export_limit_w: float
    failsafe_import_w: float
    margin_w: float = 0.0
    meter_scope: MeterScope = MeterScope.BUILDING
    meter_lag_s: float = 1.0
    own_lag_s: float = 0.3
    stale_after_s: float = 3.0
    increase_w_per_s: float = 5000.0

    def __post_init__(self) -> None:
        limits = ("import_limit_w", "export_limit_w", "failsafe_import_w", "margin_w")
        for name in (*limits, "meter_lag_s", "own_lag_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise ValueError(f"{name} must be a number >= 0, got {value}")
        for name in ("stale_after_s", "increase_w_per_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"{name} must be a number > 0, got {value}")
        if self.failsafe_import_w > self.import_limit_w:
            raise ValueError(
                f"failsafe_import_w {self.failsafe_import_w} is above import_limit_w {self.import_limit_w}"
            )


@dataclass(frozen=True, slots=True)
class SiteOutlook:
    """What planning may count on: ruling limits less the margin, and the building's load now (None: not known).

    `import_later`, `export_later`: (in how many s of control time, limit in W then), rising, as limits run out.
    """

    import_limit_w: float
    export_limit_w: float
    building_w: float | None
    failsafe_import_w: float
    import_later: tuple[tuple[float, float], ...] = ()
    export_later: tuple[tuple[float, float], ...] = ()


class Site:
    """One grid connection with one outlet behind it."""

    def __init__(self, config: SiteConfig) -> None:
        self.config = config
        self._book = LimitBook(config.import_limit_w, config.export_limit_w)
        self._grid = GridMeter(config.meter_lag_s, config.own_lag_s, config.stale_after_s)
        self._building_w: float | None = None
        self._stepped_at_s: float | None = None
        self._import_w = config.failsafe_import_w
        self._export_w = 0.0
        self._held_w = config.failsafe_import_w
        self._stale: str | None = "no building reading yet"

    def set_limit(
        self,
        direction: Direction,
        value_w: float,
        source: str,
        reason: str,
        ttl_s: float | None,
        now_s: float,
        lease: bool = False,
    ) -> None:
        """Limit the grid connection from outside (CLI, back office). Counts from the next `step`.

        One entry per source and direction; `ttl_s` None: until cleared. `lease`: the source must renew it in time,
        otherwise the failsafe rules. Raises ValueError for a senseless value.
        """
        self._book.set(direction, value_w, source, reason, ttl_s, now_s, lease)

    def clear_limit(self, source: str, direction: Direction | None = None) -> bool:
        """Take back what `source` set; false when there was nothing. The way up is ramped."""
        return self._book.clear(source, direction)

    @property
    def building_w(self) -> float | None:
        """The building's load without the outlet (+ import), None while it is not known."""
        return self._building_w if self._stale is None else None

    @property
    def stale(self) -> str | None:
        """Why the failsafe rules, None when it does not."""
        return self._stale

    def step(
        self, now_s: float, building: AcMeterReading | None, own_power_w: float, own_at_s: float | None = None
    ) -> SiteAllowance:
        """Judge the inputs and say what the outlet may do at its AC connection until the allowance's expiry.

        `own_power_w`: the outlet's AC power, + import, as its meter said at `own_at_s` (None: now). Not finite counts
        as not known: failsafe.
        """
        self._book.purge(now_s)
        if math.isfinite(own_power_w):
            self._grid.own(now_s if own_at_s is None else own_at_s, own_power_w)
        else:
            self._grid.own_unknown()
        allowance = self._decide(now_s, building, own_power_w)
        self._grid.allowed(now_s, allowance.import_w.value, allowance.export_w.value)
        return allowance

    def _decide(self, now_s: float, building: AcMeterReading | None, own_power_w: float) -> SiteAllowance:
        self._stale = self._judge(now_s, building, own_power_w)
        elapsed_s = 0.0 if self._stepped_at_s is None else max(0.0, now_s - self._stepped_at_s)
        self._stepped_at_s = now_s
        rise_w = self.config.increase_w_per_s * elapsed_s
        import_limit = self._book.ruling(Direction.IMPORT, now_s)
        export_limit = self._book.ruling(Direction.EXPORT, now_s)
        if self._stale is not None or building is None or self._building_w is None:
            return self._failsafe(import_limit, rise_w)
        load_w, export_load_w, margin_w = self._building_w, self._building_w, self.config.margin_w
        highest_w, lowest_w = load_w, load_w
        if self.config.meter_scope is MeterScope.GRID:
            export_load_w = load_w if self._grid.export_load_w is None else self._grid.export_load_w
            highest_w, lowest_w = self._grid.highest_w, self._grid.lowest_w
        import_w = max(0.0, import_limit.value - margin_w - load_w)
        export_w = max(0.0, export_limit.value - margin_w + export_load_w)
        sure_import_w = import_limit.value - margin_w - highest_w
        sure_export_w = export_limit.value - margin_w + lowest_w
        self._import_w = min(import_w, max(self._import_w, min(self._import_w + rise_w, sure_import_w)))
        self._export_w = min(export_w, max(self._export_w, min(self._export_w + rise_w, sure_export_w)))
        self._held_w = self._import_w
        fresh_until_s = building.at_s + self.config.stale_after_s
        may_import = self._limit(Direction.IMPORT, import_limit, self._import_w, import_w, fresh_until_s, now_s)
        may_export = self._limit(Direction.EXPORT, export_limit, self._export_w, export_w, fresh_until_s, now_s)
        return SiteAllowance(may_import, may_export, False)

    def limits(self, now_s: float) -> list[LimitStatus]:
        """All valid limits of the grid connection; per direction exactly one `rules`. For the CLI."""
        rows: list[LimitStatus] = []
        for direction in Direction:
            limits = self._book.all(direction, now_s)
            if self._stale is not None:
                share = self.config.failsafe_import_w if direction is Direction.IMPORT else 0.0
                limits.append(Limit(share, "site-failsafe", self._stale))
            winner = min(limits, key=lambda limit: limit.value)
            for limit in limits:
                left = None if limit.expires_at_s is None else limit.expires_at_s - now_s
                rows.append(LimitStatus(direction, limit.value, limit.source, limit.reason, left, limit is winner))
        return rows

    def outlook(self, now_s: float) -> SiteOutlook:
        """The limits and load a plan should be made with."""
        margin_w = self.config.margin_w
        (import_now, *import_later), (export_now, *export_later) = (
            [(in_s, max(0.0, value_w - margin_w)) for in_s, value_w in self._book.course(direction, now_s)]
            for direction in (Direction.IMPORT, Direction.EXPORT)
        )
        return SiteOutlook(
            import_now[1],
            export_now[1],
            self.building_w,
            self.config.failsafe_import_w,
            tuple(import_later),
            tuple(export_later),
        )

    def _judge(self, now_s: float, building: AcMeterReading | None, own_power_w: float) -> str | None:
        """Why the failsafe must rule, None when all inputs are good; takes a new reading into the estimate."""
        if building is None:
            return "no building reading yet"
        age_s = now_s - building.at_s
        if not -_FUTURE_TOLERANCE_S <= age_s <= self.config.stale_after_s:
            return f"building meter silent for {age_s:.1f} s (allowed {self.config.stale_after_s:.1f} s)"
        if not math.isfinite(building.power_w):
            return f"building meter reports {building.power_w} W"
        if not math.isfinite(own_power_w):
            return "own AC power is not known"
        for direction in Direction:
            expired = self._book.expired_leases(direction, now_s)
            if expired:
                return f"{direction.value} lease of {expired[0]} ran out"
        if self.config.meter_scope is MeterScope.BUILDING:
            self._building_w = building.power_w
            return None
        self._grid.take(building, now_s)
        if self._grid.frozen:
            return f"building meter frozen at {building.power_w:.0f} W while the outlet's own power changed"
        judged_at_s = self._grid.judged_at_s
        if judged_at_s is None or now_s - judged_at_s > self.config.stale_after_s:
            self._grid.forget()
            return "own AC power around the building reading is not known"
        self._building_w = self._grid.import_load_w
        return None

    def _failsafe(self, import_limit: Limit, rise_w: float) -> SiteAllowance:
        cut_w = self.config.import_limit_w - import_limit.value
        share_w = max(0.0, self.config.failsafe_import_w - cut_w)
        self._import_w = min(share_w, self._held_w, self._import_w + rise_w)
        self._export_w = 0.0
        self._building_w = None
        reason = f"failsafe share {self.config.failsafe_import_w:.0f} W: {self._stale}"
        if cut_w > 0.0:
            reason += f"; import limit cut by {cut_w:.0f} W ({import_limit.source})"
        return SiteAllowance(
            Limit(self._import_w, "site-failsafe", reason),
            Limit(0.0, "site-failsafe", f"no export: {self._stale}"),
            True,
        )

    def _limit(
        self, direction: Direction, ruling: Limit, value_w: float, goal_w: float, fresh_until_s: float, now_s: float
    ) -> Limit:
        sign = "-" if direction is Direction.IMPORT else "+"
        reason = f"{ruling.reason}: {ruling.value:.0f} W {sign} building {self._building_w or 0.0:.0f} W"
        if self.config.margin_w:
            reason += f" - margin {self.config.margin_w:.0f} W"
        if value_w < goal_w:
            reason += ", rising"
        expiry = [fresh_until_s]
        lease_s = self._book.earliest_expiry_s(direction, now_s)
        if lease_s is not None:
            expiry.append(lease_s)
        return Limit(value_w, ruling.source, reason, min(expiry))
