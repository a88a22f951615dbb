"""What the station remembers of one protocol session, and how each command changes it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from evse_controller.model.commands import EndKind, EvDcLimits, LoopUpdate, ServiceSelected
from evse_controller.model.offer import EnergyNeeds
from evse_controller.model.snapshot import Step
from evse_controller.safety import thresholds as t


class Registers(Protocol):
    """What every outlet meter's reading has: lifetime registers in Wh, to the EV and from it."""

    @property
    def import_wh(self) -> float: ...

    @property
    def export_wh(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Account:
    """Registers at which the account of a session begins, restored after a restart."""

    session_id: str
    import_wh: float
    export_wh: float


def _minima(needs: EnergyNeeds) -> tuple[float | None, float | None]:
    return needs.minimum_wh, needs.v2x_minimum_wh


@dataclass(slots=True)
class SessionFacts:
    """Facts of any running session; a new SessionSetup starts a new one.

    `held`: why energy rests although it was started. `needs_meter`: the registers when the energies of `needs` were
    stated, `first_meter` those when the session began. `held_s`: since when it rests for what may not last.
    `started_quiet_s`: the first Start since the last loop request, whatever holds between; `looped`: there was one.
    `lost`: why energy that was started cannot flow again in this session, although nobody asked it to stop.
    """

    session_id: str = ""
    evccid: str = ""
    open: bool = False
    service: ServiceSelected | None = None
    needs: EnergyNeeds | None = None
    needs_meter: Registers | None = None
    soc: float | None = None
    soc_s: float = 0.0
    energy_wanted: bool = False
    held: str | None = None
    held_s: float | None = None
    started_quiet_s: float | None = None
    looped: bool = False
    stop_wanted: str | None = None
    lost: str | None = None
    ended: EndKind | None = None
    first_meter: Registers | None = None

    def show(self, soc: float | None, now_s: float) -> None:
        """Take in the state of charge that the EV shows; None says nothing new."""
        if soc is not None:
            self.soc, self.soc_s = soc, now_s

    def flow(self, now_s: float) -> None:
        """Energy may flow, or flow again: from now on the EV owes a loop request."""
        self.held_s = None
        if self.started_quiet_s is None:
            self.started_quiet_s = now_s

    def heard(self) -> None:
        """A loop request: the newest one counts from here."""
        self.looped, self.started_quiet_s = True, None

    def silence(self, now_s: float, update_s: float | None, loop_timeout_s: float) -> str | None:
        """Why the EV is silent while energy may flow, None if it is not. `update_s`: its newest loop request."""
        if update_s is not None:
            silent_s, most_s = now_s - update_s, loop_timeout_s + t.EV_SILENT_MARGIN_S
            return f"no charge-loop request for {silent_s:.2f} s" if silent_s > most_s else None
        if self.started_quiet_s is None:
            return None
        quiet_s = now_s - self.started_quiet_s
        most_s = max(t.LOOP_AGAIN_S, loop_timeout_s + t.EV_SILENT_MARGIN_S) if self.looped else t.FIRST_LOOP_S
        return f"no charge-loop request {quiet_s:.1f} s after Start" if quiet_s > most_s else None

    def overheld(self, now_s: float) -> str | None:
        """Why energy has rested for too long, None if it has not."""
        if self.held_s is None or now_s - self.held_s <= t.HOLD_S:
            return None
        return f"held for {now_s - self.held_s:.0f} s: {self.held}"

    def state(self, needs: EnergyNeeds) -> None:
        """Take in what the EV needs. New energies start their account anew; a repetition of the old ones does not."""
        if self.needs is None or _minima(needs) != _minima(self.needs):
            self.needs_meter = None
        self.needs = needs

    def account(self, meter: Registers | None) -> None:
        """Note the registers from which energy is counted, as soon as the meter has answered."""
        if self.open and self.first_meter is None:
            self.first_meter = meter
        if self.needs is not None and self.needs_meter is None:
            self.needs_meter = meter

    def moved_wh(self, meter: Registers | None) -> tuple[float, float]:
        """Energy to the EV and from it since it stated its needs; NaN when the registers are unknown."""
        since = self.needs_meter
        if since is None or meter is None:
            return math.nan, math.nan
        return meter.import_wh - since.import_wh, meter.export_wh - since.export_wh

    def fail_steps(self) -> None:
        """A requested hardware step can no longer succeed."""
        raise NotImplementedError


@dataclass(slots=True)
class SessionContext(SessionFacts):
    """A session at a DC outlet.

    `negotiated` are the trip levels, `ev` the newest limits. `update` is the newest loop request, received at
    `update_s`. `voltage_v` keeps the last non-zero target voltage (real EVs send 0 later).
    """

    negotiated: EvDcLimits | None = None
    ev: EvDcLimits | None = None
    cable_check: Step = Step.IDLE
    precharge: Step = Step.IDLE
    cable_check_requested_s: float | None = None
    precharge_started_s: float | None = None
    precharge_target_v: float = 0.0
    update: LoopUpdate | None = None
    update_s: float = 0.0
    voltage_v: float | None = None
    welding_asked: bool = False

    def loop(self, update: LoopUpdate, now_s: float) -> None:
        """Take in a charge-loop request: newest limits, needs, SoC, targets."""
        self.update, self.update_s, self.ev = update, now_s, update.limits
        self.heard()
        if update.target_voltage_v:
            self.voltage_v = update.target_voltage_v
        if update.needs is not None:
            self.state(update.needs)
        self.show(update.soc, now_s)

    def fail_steps(self) -> None:
        """A requested hardware step can no longer succeed."""
        if self.cable_check is Step.RUNNING:
            self.cable_check = Step.FAILED
        if self.precharge in (Step.RUNNING, Step.DONE):
            self.precharge = Step.FAILED
