"""The scripted EV at an AC outlet: requests with sensible numbers, a snapshot of an AC outlet, a session to talk to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from evse_controller.messages import decode, encode
from evse_controller.messages.base import Message
from evse_controller.messages.generated import ac
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import DisplayParameters
from evse_controller.messages.rational import rational_nearest as n
from evse_controller.messages.rational import rational_value
from evse_controller.model.power import PhasePower
from evse_controller.model.snapshot import AcPresent, AcRatings, DcPresent, DcRatings, EvseSnapshot, Step
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.reply import Reply
from tests.secc.ev import DYNAMIC, SCHEDULED, SNAPSHOT, Bench, header, power_delivery, profile, selection

AC, AC_BPT = 1, 5
_NOTHING = DcRatings(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
PHASE_W = 7360.0
NO_POWER = PhasePower(0.0, 0.0, 0.0)


def three(power_w: float) -> PhasePower:
    return PhasePower(power_w, power_w, power_w)


RATINGS = AcRatings(
    three(PHASE_W),
    three(3680.0),
    three(0.0),
    three(0.0),
    230.0,
    50.0,
    3,
    max_asymmetry_w=4600.0,
    power_ramp_w_per_s=5000.0,
)
PRESENT = AcPresent(three(PHASE_W), three(3680.0), three(2000.0), three(1500.0))
AC_SNAPSHOT: EvseSnapshot = replace(
    SNAPSHOT,
    ratings=_NOTHING,
    present=DcPresent(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, False, False, False),
    present_voltage_v=None,
    present_current_a=None,
    ac_ratings=RATINGS,
    ac_present=PRESENT,
)
SINGLE = replace(
    RATINGS,
    max_charge_w=PhasePower(7360.0),
    max_discharge_w=PhasePower(3680.0),
    min_charge_w=PhasePower(0.0),
    min_discharge_w=PhasePower(0.0),
    phases=1,
)
_PHASES = ("", "_l2", "_l3")


def phases(name: str, *powers: float) -> dict[str, float]:
    return {name + suffix: power for suffix, power in zip(_PHASES, powers, strict=False)}


def cpd_mode(bidirectional: bool, **changes: float) -> Any:
    """AC CPD energy transfer mode of three phases; changes name fields."""
    values = phases("ev_maximum_charge_power", 3680.0, 3680.0, 3680.0) | phases("ev_minimum_charge_power", 0, 0, 0)
    if bidirectional:
        values |= phases("ev_maximum_discharge_power", 3000.0, 3000.0, 3000.0)
        values |= phases("ev_minimum_discharge_power", 0, 0, 0)
    kind: Any = ac.BPT_AC_CPDReqEnergyTransferMode if bidirectional else ac.AC_CPDReqEnergyTransferMode
    return kind(**{name: n(value) for name, value in (values | changes).items()})


def loop_mode(control_mode: int, bidirectional: bool, **changes: float) -> Any:
    """Control mode block of an AC charge loop request, with only what its schema demands, and changes."""
    values = {"ev_present_active_power": 1500.0}
    if control_mode == DYNAMIC:
        values |= {
            "ev_target_energy_request": 2e4,
            "ev_maximum_energy_request": 4e4,
            "ev_minimum_energy_request": -5e3,
            "ev_maximum_charge_power": 11040.0,
            "ev_minimum_charge_power": 0.0,
            "ev_present_reactive_power": 0.0,
        }
        if bidirectional:
            values |= {"ev_maximum_discharge_power": 9000.0, "ev_minimum_discharge_power": 0.0}
    kinds: dict[tuple[int, bool], Any] = {
        (SCHEDULED, False): ac.Scheduled_AC_CLReqControlMode,
        (SCHEDULED, True): ac.BPT_Scheduled_AC_CLReqControlMode,
        (DYNAMIC, False): ac.Dynamic_AC_CLReqControlMode,
        (DYNAMIC, True): ac.BPT_Dynamic_AC_CLReqControlMode,
    }
    return kinds[control_mode, bidirectional](**{name: n(value) for name, value in (values | changes).items()})


def loop(control_mode: int, bidirectional: bool, meter: bool = False, soc: int | None = None, **changes: float) -> Any:
    shown = None if soc is None else DisplayParameters(present_soc=soc)
    return ac.AC_ChargeLoopReq(header(), meter, loop_mode(control_mode, bidirectional, **changes), shown)


def told(response: Any, name: str = "evse_target_active_power") -> tuple[float | None, ...]:
    """The three numbers of a power in a loop response."""
    mode = response.cl_res_control_mode
    numbers = (getattr(mode, name + suffix) for suffix in _PHASES)
    return tuple(None if number is None else rational_value(number) for number in numbers)


@dataclass
class AcBench(Bench):
    """The bench of an AC outlet. Its contactor is closed by the time that a Start is heard, unless told otherwise."""

    config: SeccConfig = field(default_factory=lambda: SeccConfig(services=(AC, AC_BPT)))
    snapshot: EvseSnapshot = AC_SNAPSHOT
    service: int = AC_BPT
    parameter_set: int | None = None

    @property
    def bidirectional(self) -> bool:
        return self.service == AC_BPT

    def start(self) -> cm.PowerDeliveryReq:
        return power_delivery(plan=profile(1 if self.control_mode == SCHEDULED else None, (3600, 3000.0)))

    def _loop(self) -> Message:
        request: Message = loop(self.control_mode, self.bidirectional)
        return request

    def _step(self) -> None:
        if self.state == "PowerDelivery":
            self.after(0.125).set(contactor=Step.DONE)
            self.say(self.start())
        else:
            super()._step()

    def _usual(self, state: str) -> Message:
        if state == "ChargeParameterDiscovery":
            return ac.AC_ChargeParameterDiscoveryReq(header(), cpd_mode(self.bidirectional))
        if state == "ServiceSelection" and self.parameter_set is not None:
            return selection(self.service, self.parameter_set)
        return super()._usual(state)

    def waited(self, seconds: float) -> Reply | None:
        """Time passes in small steps until there is an answer, or `seconds` are over."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.after(0.0625)
            reply = self.session.on_timer(self.now_s, self.snapshot)
            if reply is not None:
                self.commands += reply.commands
                if reply.response is not None:
                    assert decode(reply.response.SCHEMA, encode(reply.response)) == reply.response
                if reply.response is not None or reply.close is not None:
                    return reply
        return None


