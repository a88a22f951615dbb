"""The vehicle's communication controller: sans-IO, one request outstanding, time passed in.

`start` begins once the TCP (or TLS) connection stands; from then on the driver hands in what arrives and calls
`on_timer` when `deadline_s` is reached. Each step names the response it waits for and the handler that continues.
The vehicle acts on its inlet by itself: pilot state C before CableCheck, its own contactors when the outlet matches
the battery (|dV| < 20 V), open again at zero current, pilot state B before welding detection.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import cast

from evse_controller.messages import Message
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated import dc
from evse_controller.messages.generated.common_types import EvseNotification, EVSEStatus, MessageHeader, Processing
from evse_controller.messages.rational import rational_nearest, rational_value
from evse_controller.model.commands import ControlMode
from evse_controller.model.pilot import PilotState
from hal.sim.inlet import Inlet
from hil.evcc import requests
from hil.evcc.config import Deviation, EvccConfig
from hil.evcc.dialogue import Close
from hil.evcc.power import BIDIRECTIONAL_LOOP, DYNAMIC_LOOP, PlanFollower
from hil.evcc.setup import Setup

MATCH_V = 20.0
SAFE_V = 60.0
CABLE_CHECK_TIMEOUT_S, PRECHARGE_TIMEOUT_S = 40.0, 10.0
_MAX_WELDING_POLLS = 40
_SLOW_PERIOD_S = 0.532
_RAMP_DOWN_PATIENCE_S = 3.0


class Evcc(Setup):
    """The whole vehicle: see `Dialogue` for how it is driven, `EvccConfig` for what it wants and how it misbehaves."""

    def __init__(
        self, config: EvccConfig, inlet: Inlet, rng: random.Random, utc: Callable[[float], float]
    ) -> None:
        super().__init__(config, inlet, rng, utc)
        self.notification: EVSEStatus | None = None
        self._loop_began_s = 0.0
        self._stop_requested: str | None = None
        self._stop_since_s = 0.0
        self._welding_polls = 0
        self._follower = PlanFollower()

    @property
    def in_loop(self) -> bool:
        return self.loops > 0 and not self._ending and not self.finished

    def request_stop(self, reason: str) -> None:
        """The driver wants to leave; obeyed with the next charge loop response."""
        if self._stop_requested is None:
            self._stop_requested, self._stop_since_s = reason, self._now_s

    # -- cable check, pre-charge, start -----------------------------------------------------------------------------

    def _check_cable(self, after_s: float) -> None:
        self._ask(
            lambda: dc.DC_CableCheckReq(header=self._header()), dc.DC_CableCheckRes, self._on_cable_check,
            after_s=after_s,
        )

    def _on_cable_check(self, response: dc.DC_CableCheckRes) -> None:
        again = self._still_ongoing(response.evse_processing, CABLE_CHECK_TIMEOUT_S, "CableCheck")
        if again is None:
            return
        if again:
            self._check_cable(self.config.poll_period_s)
        else:
            self._ongoing_since_s = self._now_s
            self._precharge(0.0)

    def _precharge(self, after_s: float) -> None:
        def build() -> Message:
            finished = self._inlet.contactor_closed and not self._deviates(Deviation.NO_PRECHARGE_FINISHED)
            return dc.DC_PreChargeReq(
                header=self._header(),
                ev_processing=Processing.Finished if finished else Processing.Ongoing,
                ev_present_voltage=rational_nearest(round(self._inlet.inlet_voltage_v, 1)),
                ev_target_voltage=rational_nearest(round(self._inlet.battery_voltage_v, 1)),
            )

        self._ask(build, dc.DC_PreChargeRes, self._on_precharge, after_s=after_s)

    def _on_precharge(self, response: dc.DC_PreChargeRes) -> None:
        request = cast(dc.DC_PreChargeReq, self.exchanges[-1].request)
        skips = self._inlet.contactor_closed and self._deviates(Deviation.NO_PRECHARGE_FINISHED)
        if request.ev_processing is Processing.Finished or skips:
            self._ongoing_since_s = None
            repeats = 3 if Deviation.START_THRICE in self.config.deviations else 1
            return self._start_energy(repeats)
        match = abs(self._inlet.inlet_voltage_v - self._inlet.battery_voltage_v) < MATCH_V
        if match or Deviation.CLOSE_EARLY in self.config.deviations:
            self._inlet.close_contactor()
        elif self._ongoing_since_s is not None and self._now_s - self._ongoing_since_s > PRECHARGE_TIMEOUT_S:
            return self._fail(f"no matching voltage after {PRECHARGE_TIMEOUT_S:.0f} s of pre-charge")
        return self._precharge(self.config.poll_period_s)

    def _start_energy(self, repeats: int) -> None:
        def build() -> Message:
            self._make_plan()
            profile = self.plan.message() if self.plan is not None else requests.dynamic_profile(
                int(self._utc(self._now_s)), self.config.ratings.max_charge_power_w,
                self._needs().departure_s or 86400,
            )
            scheduled = profile.scheduled_evppt_control_mode
            if scheduled is not None and Deviation.WRONG_TUPLE in self.config.deviations:
                scheduled.selected_schedule_tuple_id += 1000
            return requests.power_delivery(self._header(), cm.ChargeProgress.Start, profile, ongoing=repeats > 1)

        def started(_: cm.PowerDeliveryRes) -> None:
            if repeats > 1:
                self._start_energy(repeats - 1)
            else:
                self._loop_began_s = self._now_s
                self._loop(0.0)

        self._ask(build, cm.PowerDeliveryRes, started, after_s=self.config.poll_period_s if repeats < 3 else 0.0)

    # -- charge loop -------------------------------------------------------------------------------------------------

    def _loop(self, after_s: float) -> None:
        self._ask(
            self._loop_request, dc.DC_ChargeLoopRes, self._on_loop, self.config.loop_timeout_s, after_s
        )

    def _loop_request(self) -> Message:
        self.loops += 1
        header = self._header()
        if self._deviates(Deviation.WRONG_SESSION_ID):
            header = MessageHeader(session_id=bytes(self._rng.randrange(1, 256) for _ in range(8)),
                                   time_stamp=header.time_stamp)
        elif self._deviates(Deviation.ZERO_SESSION_ID):
            header = MessageHeader(session_id=bytes(8), time_stamp=header.time_stamp)
        if self._deviates(Deviation.UNEXPECTED_REQUEST):
            return cm.ServiceDiscoveryReq(header=header)
        if self._deviates(Deviation.STOP_WITHOUT_POWER_DELIVERY):
            return cm.SessionStopReq(header=header, charging_session=cm.ChargingSession.Terminate)
        missing_wh = (self.config.target_soc - self._inlet.soc_percent) / 100.0 * self._inlet.capacity_wh
        wanted = 0.0 if self._stop_requested else self._follower.power_w(self.plan, self._utc(self._now_s), missing_wh)
        no_voltage = self._deviates(Deviation.TARGET_VOLTAGE_ZERO) and self.loops > 1
        limits = not self._deviates(Deviation.IGNORE_LIMITS) or self._stop_requested is not None
        state = self.control.state(
            self._now_s, wanted, self.bidirectional, target_voltage=not no_voltage, obey_limits=limits
        )
        mode = self.config.control_mode
        if self._deviates(Deviation.WRONG_CONTROL_MODE):
            mode = ControlMode.DYNAMIC if mode is ControlMode.SCHEDULED else ControlMode.SCHEDULED
        return requests.charge_loop(
            header, self.config, self._inlet, self._needs(), state,
            bidirectional=self.bidirectional, control_mode=mode,
        )

    def _on_loop(self, response: dc.DC_ChargeLoopRes) -> None:
        mode = response.cl_res_control_mode
        dynamic = self.config.control_mode is ControlMode.DYNAMIC
        if isinstance(mode, BIDIRECTIONAL_LOOP) != self.bidirectional or isinstance(mode, DYNAMIC_LOOP) != dynamic:
            return self._fail(f"charge loop response of kind {type(mode).__name__}")
        self.control.station.update(mode)
        self._take_notice(response.evse_status)
        self._decide_to_stop()
        if self._deviates(Deviation.SILENT_IN_LOOP):
            return None
        if self._deviates(Deviation.DROP_IN_LOOP):
            self.failure = "dropped the connection on purpose"
            self._ending = self.finished = True
            self._outputs.append(Close(self.failure))
            return None
        if self._deviates(Deviation.PULL_PLUG):
            self._inlet.unplug()
        if self._stop_requested and (dynamic or self._no_target_flows()):
            return self._stop_energy()
        slow = self._deviates(Deviation.SLOW_LOOP)
        return self._loop(_SLOW_PERIOD_S if slow else self.config.loop_period_s)

    def _take_notice(self, status: EVSEStatus | None) -> None:
        self.notification = status
        if status is None or Deviation.IGNORE_NOTIFICATION in self.config.deviations:
            return
        if status.evse_notification in (EvseNotification.Terminate, EvseNotification.Pause):
            self.request_stop(f"the station asked: {status.evse_notification.name}")

    def _decide_to_stop(self) -> None:
        config = self.config
        in_loop_s = self._now_s - self._loop_began_s
        if config.stop_after_loop_s is not None and in_loop_s >= config.stop_after_loop_s:
            self.request_stop("the driver is done")
        elif config.departure_utc_s is not None and self._utc(self._now_s) >= config.departure_utc_s:
            self.request_stop("time to leave")
        elif config.stop_soc is not None and self._inlet.soc_percent >= config.stop_soc:
            self.request_stop(f"{config.stop_soc:.0f} % reached")

    def _no_target_flows(self) -> bool:
        """Scheduled: the stop waits until the station has followed the target of 0, 3 s at most."""
        return self._no_current() or self._now_s - self._stop_since_s > _RAMP_DOWN_PATIENCE_S

    # -- the end -----------------------------------------------------------------------------------------------------

    def _stop_energy(self) -> None:
        self._ending = True
        self._ask(
            lambda: requests.power_delivery(self._header(), cm.ChargeProgress.Stop, None),
            cm.PowerDeliveryRes, self._on_stopped,
        )

    def _on_stopped(self, _: cm.PowerDeliveryRes) -> None:
        self._wait_until(self._no_current, 2.0, self._open)

    def _open(self) -> None:
        self._inlet.open_contactor()
        if Deviation.STAY_IN_STATE_C not in self.config.deviations and self._inlet.plugged:
            self._inlet.set_pilot(PilotState.B)
        if Deviation.SKIP_WELDING_DETECTION in self.config.deviations:
            self._stop_session(self._stop_requested or "done")
        else:
            self._detect_welding(self.config.poll_period_s, Processing.Ongoing)

    def _detect_welding(self, after_s: float, processing: Processing) -> None:
        self._ask(
            lambda: dc.DC_WeldingDetectionReq(header=self._header(), ev_processing=processing),
            dc.DC_WeldingDetectionRes, self._on_welding, after_s=after_s,
        )

    def _on_welding(self, response: dc.DC_WeldingDetectionRes) -> None:
        request = cast(dc.DC_WeldingDetectionReq, self.exchanges[-1].request)
        if request.ev_processing is Processing.Finished:
            return self._stop_session(self._stop_requested or "done")
        self._welding_polls += 1
        safe = rational_value(response.evse_present_voltage) < SAFE_V
        patient = self._welding_polls < _MAX_WELDING_POLLS
        return self._detect_welding(
            self.config.poll_period_s, Processing.Ongoing if patient and not safe else Processing.Finished
        )

    def _stop_session(self, reason: str) -> None:
        """SessionStop(Terminate), then close. A pilot still in C goes to B before."""
        self._ending = True
        if Deviation.STAY_IN_STATE_C not in self.config.deviations and self._inlet.plugged:
            self._inlet.set_pilot(PilotState.B)
        self._ask(
            lambda: cm.SessionStopReq(
                header=self._header(), charging_session=cm.ChargingSession.Terminate,
                ev_termination_explanation=reason[:160],
            ),
            cm.SessionStopRes, lambda _: self._end(reason),
        )
