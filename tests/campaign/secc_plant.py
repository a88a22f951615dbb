"""A random EV's messages on the simulated plant: the real station and drivers below them, and the referee above.

At its connector the EV plays by the rules (pilot, its own contactors, voltages); what it says is random. So whatever
the referee objects to is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from evse_controller.messages.base import Message
from evse_controller.messages.generated import dc
from evse_controller.messages.generated.common_types import Processing
from evse_controller.messages.rational import rational_nearest as n
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import EvseSnapshot, Step
from evse_controller.model.wish import EnergyWish
from evse_controller.safety import Phase
from evse_controller.secc.output import Output
from hal.sim.plant import Plant
from tests.secc.ev import SCHEDULED, SNAPSHOT, header, loop
from tests.secc.judge import ENERGY_STATES
from tests.secc.wire import Wire
from tests.station.rig import CAR, POLL_S, Rig

# What a test may say of the outlet; everything else is measured.
_SAID = frozenset({"offer", "notification", "notification_max_delay_s", "meter", "pause_allowed"})
_MATCH_V = 15.0
_SETTLED_S = 20.0


@dataclass
class PlantWire(Wire):
    """`Wire` whose time is the plant's, whose snapshot is the station's, and whose commands are carried out."""

    patience_s: float = 1.0  # a minute of the plant is long
    rig: Rig = field(default_factory=lambda: Rig(Plant(CAR)))
    said: dict[str, Any] = field(default_factory=dict)
    _ended_s: float | None = None

    def __post_init__(self) -> None:
        self.rig.ready()
        self.rig.plant.inlet.plug()
        self.rig.until(lambda: self.rig.phase is Phase.CONNECTED, 2.0)
        self.now_s = self.rig.now_s
        self.snapshot = self._seen()
        super().__post_init__()

    def after(self, seconds: float) -> PlantWire:
        for _ in range(max(1, round(seconds / POLL_S))):
            self._drive()
            self.rig.tick()
        self.now_s = self.rig.now_s
        self.snapshot = self._seen()
        return self

    def set(self, **changes: Any) -> None:
        self.said |= {name: value for name, value in changes.items() if name in _SAID}
        self.snapshot = self._seen()

    def take(self, outputs: list[Output]) -> list[Output]:
        for output in outputs:
            for command in output.commands:
                self.rig.send(command)
        return super().take(outputs)

    def power(self, setpoint_w: float) -> None:
        """What dynamic mode wants."""
        self.rig.wish = EnergyWish(setpoint_w=setpoint_w)

    def settle(self) -> None:
        """The connection is gone: the outlet must come to rest by itself."""
        self.after(_SETTLED_S)
        assert not self.rig.contactor_closed, f"contactor closed long after the end\n{self.rig.story()}"
        self.rig.plant.referee.check()

    def close(self) -> None:
        self.rig.plant.close()

    def _seen(self) -> EvseSnapshot:
        # The meter's registers are those of the test's fixture where it says so, else the station's own.
        return replace(self.rig.snapshot, **self.said)

    def _drive(self) -> None:
        """The car's hardware, honest: pilot C while energy is spoken of, contactors closed on a match, open without."""
        inlet, rig = self.rig.plant.inlet, self.rig
        state = self.state
        if state in ENERGY_STATES:
            inlet.set_pilot(PilotState.C)
            matched = abs(rig.plant.world.outlet_v - inlet.battery_voltage_v) < _MATCH_V
            if state in ("PreCharge", "PowerDelivery") and rig.snapshot.precharge is Step.DONE and matched:
                inlet.close_contactor()
        elif abs(rig.current_a) < 1.0:
            inlet.set_pilot(PilotState.B)
            inlet.open_contactor()

    def _step(self) -> None:
        if self.state == "PowerDelivery" and not self._matched():
            self.after(0.1)
            self.ask(self._pre_charge())
            return
        super()._step()

    def _matched(self) -> bool:
        return self.rig.plant.world.ev_contactor.closed

    def _pre_charge(self) -> Message:
        inlet = self.rig.plant.inlet
        done = Processing.Finished if self._matched() else Processing.Ongoing
        return dc.DC_PreChargeReq(header(), done, n(inlet.inlet_voltage_v), n(inlet.battery_voltage_v))

    def _usual(self, state: str) -> Message:
        return self._pre_charge() if state == "PreCharge" else super()._usual(state)

    def _loop(self) -> Message:
        if self.control_mode != SCHEDULED:
            return super()._loop()
        current = self.chance.uniform(-40.0 if self.bidirectional else 0.0, 60.0)
        request: Message = loop(SCHEDULED, self.bidirectional, ev_target_current=current, ev_target_voltage=450.0)
        return request


assert set(SNAPSHOT.__slots__) >= _SAID
