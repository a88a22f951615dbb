"""The scripted EV of an AC outlet on a connection."""

from __future__ import annotations

from dataclasses import dataclass

from evse_controller.model.snapshot import EvseSnapshot, Step
from tests.secc.ev_ac import AC, AC_BPT, AC_SNAPSHOT, AcBench
from tests.secc.wire import Wire

AC_SERVICES = (AC, AC_BPT)


@dataclass
class AcWire(Wire, AcBench):
    """`Wire` with the requests of `AcBench`; its contactor may be slow, or never close."""

    snapshot: EvseSnapshot = AC_SNAPSHOT
    service: int = AC_BPT

    def _step(self) -> None:
        if self.state == "PowerDelivery" and self.chance.random() < 0.2:
            self.set(contactor=self.chance.choice((Step.RUNNING, Step.FAILED, Step.DONE)))
            self.say(self.start())
            return
        AcBench._step(self)
