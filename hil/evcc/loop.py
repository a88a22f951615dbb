"""The charge loop: what the vehicle asks for and takes, DC and AC alike."""

from __future__ import annotations

import abc
import random
from collections.abc import Callable

from evse_controller.messages import Message
from evse_controller.messages.generated import ac, dc
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import MessageHeader, MeterInfo, ResponseCode
from evse_controller.model.commands import ControlMode
from hal.sim.inlet import Inlet
from hil.evcc import ac as onboard
from hil.evcc import requests
from hil.evcc.config import Deviation, EvccConfig
from hil.evcc.plan import Plan
from hil.evcc.power import BIDIRECTIONAL_LOOP, DYNAMIC_LOOP, PlanFollower
from hil.evcc.start import Start

_SLOW_PERIOD_S = 0.532
_RAMP_DOWN_PATIENCE_S = 3.0
_RESTING_W = 100.0


class Loop(Start):
    """`loops` counts the requests. `meter_info`: the last reading that the station sent. `warnings`: WARNING codes of
    loop and PowerDelivery responses, in order."""

    def __init__(
        self, config: EvccConfig, inlet: Inlet, rng: random.Random, utc: Callable[[float], float]
    ) -> None:
        super().__init__(config, inlet, rng, utc)
        self.loop_began_s: float | None = None
        self.meter_info: MeterInfo | None = None
        self.warnings: list[ResponseCode] = []
        self._follower = PlanFollower()
        self._before: tuple[Plan | None, list[cm.ScheduleTuple]] | None = None  # what holds if no new schedule comes
        self._resting_since_s: float | None = None  # power goes to zero, because something else than energy comes next

    @abc.abstractmethod
    def _after_loop(self) -> None:
        """A loop response was taken in: send what comes next."""

    @property
    @abc.abstractmethod
    def _wants_meter_info(self) -> bool:
        """Ask for a meter reading with the next request."""

    @property
    def in_loop(self) -> bool:
        return self.loops > 0 and not self._ending and not self.finished

    def _energy_flows(self) -> None:
        if self.loop_began_s is None:
            self.loop_began_s = self._now_s
        self._resting_since_s = None
        self._loop(0.0)

    def _loop(self, after_s: float) -> None:
        response = ac.AC_ChargeLoopRes if self.on_ac else dc.DC_ChargeLoopRes
        self._ask(self._loop_request, response, self._on_loop, self.config.loop_timeout_s, after_s)

    def _loop_again(self) -> None:
        slow = self._deviates(Deviation.SLOW_LOOP)
        self._loop(_SLOW_PERIOD_S if slow else self.config.loop_period_s)

    def _foreign_header(self) -> MessageHeader:
        other = bytes(self._rng.randrange(1, 256) for _ in range(8))
        return MessageHeader(session_id=other, time_stamp=self._header().time_stamp)

    def _planned_w(self) -> float:
        """What the vehicle's own plan wants now; 0 while it comes to rest."""
        if self._resting_since_s is not None:
            return 0.0
        if self._deviates(Deviation.LEAVES_PROFILE):
            return self.config.ac.max_charge_w if self.on_ac else self.config.ratings.max_charge_power_w
        missing_wh = (self.config.target_soc - self._inlet.soc_percent) / 100.0 * self._inlet.capacity_wh
        return self._follower.power_w(self.plan, self._utc(self._now_s), missing_wh)

    def _loop_request(self) -> Message:
        self.loops += 1
        header = self._header()
        if self._deviates(Deviation.WRONG_SESSION_ID):
            header = self._foreign_header()
        elif self._deviates(Deviation.ZERO_SESSION_ID):
            header = MessageHeader(session_id=bytes(8), time_stamp=header.time_stamp)
        if self._deviates(Deviation.UNEXPECTED_REQUEST):
            return cm.ServiceDiscoveryReq(header=header)
        if self._deviates(Deviation.STOP_WITHOUT_POWER_DELIVERY):
            return cm.SessionStopReq(header=header, charging_session=cm.ChargingSession.Terminate)
        mode = self.config.control_mode
        if self._deviates(Deviation.WRONG_CONTROL_MODE):
            mode = ControlMode.DYNAMIC if mode is ControlMode.SCHEDULED else ControlMode.SCHEDULED
        return self._ac_request(header, mode) if self.on_ac else self._dc_request(header, mode)

    def _dc_request(self, header: MessageHeader, mode: ControlMode) -> Message:
        no_voltage = self._deviates(Deviation.TARGET_VOLTAGE_ZERO) and self.loops > 1
        limits = not self._deviates(Deviation.IGNORE_LIMITS) or self._resting_since_s is not None
        state = self.control.state(
            self._now_s, self._planned_w(), self.bidirectional, target_voltage=not no_voltage, obey_limits=limits
        )
        return requests.charge_loop(
            header, self.config, self._inlet, self._needs(), state,
            bidirectional=self.bidirectional, control_mode=mode, meter_info=self._wants_meter_info,
        )

    def _ac_request(self, header: MessageHeader, mode: ControlMode) -> Message:
        """The on-board charger is set first: the request says what it takes now."""
        charger = self._inlet.charger
        assert charger is not None, "an AC service at an inlet without on-board charger"
        planned_w = self._planned_w() if not self.dynamic or self._resting_since_s is not None else None
        overdraw = self._deviates(Deviation.OVERDRAWS) and self._resting_since_s is None
        charger.set_power(self.onboard.power_w(planned_w, self.bidirectional, overdraw))
        return onboard.charge_loop(
            header, self.config, self._inlet, self._needs(), self.onboard, bidirectional=self.bidirectional,
            control_mode=mode, meter_info=self._wants_meter_info, present_w=charger.power_w,
        )

    def _on_loop(self, response: dc.DC_ChargeLoopRes | ac.AC_ChargeLoopRes) -> None:
        mode = response.cl_res_control_mode
        kinds = isinstance(mode, BIDIRECTIONAL_LOOP), isinstance(mode, DYNAMIC_LOOP)
        if kinds != (self.bidirectional, self.dynamic):
            return self._fail(f"charge loop response of kind {type(mode).__name__}")
        if self.on_ac:
            self.onboard.told(mode)
        else:
            self.control.station.update(mode)
        self._take_warning(response.response_code)
        if response.meter_info is not None:
            self.meter_info = response.meter_info
        if self.dynamic:
            self._hear(mode)
        self._take_notice(response.evse_status)
        return self._after_loop()

    def _take_warning(self, code: ResponseCode) -> None:
        if code.name.startswith("WARNING"):
            self.warnings.append(code)
        if code is ResponseCode.WARNING_ScheduleRenegotiationFailed and self._before is not None:
            self.plan, self._offered = self._before

    def _rest(self) -> bool:
        """Bring the power to zero. True when it is there: Scheduled waits for it 3 s at most; in Dynamic mode the
        station leads and takes the power away itself, but an on-board charger is the vehicle's own."""
        if self._resting_since_s is None:
            self._resting_since_s = self._now_s
        patience_s = self._now_s - self._resting_since_s
        charger = self._inlet.charger if self.on_ac else None
        if charger is not None:
            charger.set_power(0.0)
            return abs(charger.power_w) < _RESTING_W or patience_s > _RAMP_DOWN_PATIENCE_S
        return self.dynamic or self._no_current() or patience_s > _RAMP_DOWN_PATIENCE_S
