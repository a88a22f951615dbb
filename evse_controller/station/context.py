"""What the station remembers of one protocol session, and how each command changes it."""

from __future__ import annotations

from dataclasses import dataclass

from evse_controller.model.commands import EndKind, EvDcLimits, LoopUpdate, ServiceSelected
from evse_controller.model.offer import EnergyNeeds
from evse_controller.model.snapshot import Step
from hal.api import DcMeterReading


@dataclass(slots=True)
class SessionContext:
    """Facts of the running session; a new SessionSetup starts a new one.

    `negotiated` are the trip levels, `ev` the newest limits. `update` is the newest loop request, received at
    `update_s`. `voltage_v` keeps the last non-zero target voltage (real EVs send 0 later).
    """

    session_id: str = ""
    evccid: str = ""
    open: bool = False
    service: ServiceSelected | None = None
    negotiated: EvDcLimits | None = None
    ev: EvDcLimits | None = None
    needs: EnergyNeeds | None = None
    soc: float | None = None
    cable_check: Step = Step.IDLE
    precharge: Step = Step.IDLE
    cable_check_requested_s: float | None = None
    precharge_started_s: float | None = None
    precharge_target_v: float = 0.0
    energy_wanted: bool = False
    update: LoopUpdate | None = None
    update_s: float = 0.0
    voltage_v: float | None = None
    stop_wanted: str | None = None
    welding_asked: bool = False
    ended: EndKind | None = None
    first_meter: DcMeterReading | None = None

    def loop(self, update: LoopUpdate, now_s: float) -> None:
        """Take in a charge-loop request: newest limits, needs, SoC, targets."""
        self.update, self.update_s, self.ev = update, now_s, update.limits
        if update.target_voltage_v:
            self.voltage_v = update.target_voltage_v
        if update.needs is not None:
            self.needs = update.needs
        if update.soc is not None:
            self.soc = update.soc

    def fail_steps(self) -> None:
        """A requested hardware step can no longer succeed."""
        if self.cable_check is Step.RUNNING:
            self.cable_check = Step.FAILED
        if self.precharge in (Step.RUNNING, Step.DONE):
            self.precharge = Step.FAILED
