"""The vehicle's communication controller: sans-IO, one request outstanding on each stream, time passed in.

`start` begins once the TCP (or TLS) connection stands; from then on the driver hands in what arrives and calls
`on_timer` when `deadline_s` is reached. Each step names the response it waits for and the handler that continues.
The vehicle acts on its inlet by itself: pilot, its own contactors (DC), its on-board charger (AC).

A session is told in the order of the classes: `Setup` (handshake to schedule), `Start` (to energy), `Loop`, `Life`
(what else may happen in the loop), and here its end: power off, welding detection, SessionStop.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import cast

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated import dc
from evse_controller.messages.generated.common_types import Processing
from evse_controller.messages.rational import rational_value
from evse_controller.model.pilot import PilotState
from hal.sim.inlet import Inlet
from hil.evcc import requests
from hil.evcc.config import Deviation, EvccConfig, Memory
from hil.evcc.life import Life
from hil.evcc.setup import CHECK_OUT
from hil.evcc.wire import PARKING_STREAM

SAFE_V = 60.0
_MAX_WELDING_POLLS = 40


class Evcc(Life):
    """The whole vehicle: see `Dialogue` for how it is driven, `EvccConfig` for what it wants and how it misbehaves.

    `paused`: what it remembers when it ended by a pause, else None.
    """

    def __init__(
        self, config: EvccConfig, inlet: Inlet, rng: random.Random, utc: Callable[[float], float]
    ) -> None:
        super().__init__(config, inlet, rng, utc)
        self.paused: Memory | None = None
        self._welding_polls = 0
        self._leaving = cm.ChargingSession.Terminate
        self._leaving_for = ""

    def _after_loop(self) -> None:
        self._decide_to_stop()
        super()._after_loop()

    def _decide_to_stop(self) -> None:
        config = self.config
        in_loop_s = self._now_s - (self.loop_began_s or self._now_s)
        if config.stop_after_loop_s is not None and in_loop_s >= config.stop_after_loop_s:
            self.request_stop("the driver is done")
        elif config.departure_utc_s is not None and self._utc(self._now_s) >= config.departure_utc_s:
            self.request_stop("time to leave")
        elif config.stop_soc is not None and self._inlet.soc_percent >= config.stop_soc:
            self.request_stop(f"{config.stop_soc:.0f} % reached")

    # -- energy off --------------------------------------------------------------------------------------------------

    def _leave(self, how: cm.ChargingSession, reason: str) -> None:
        self._leaving, self._leaving_for = how, reason
        self._ending = True
        self._ask(
            lambda: requests.power_delivery(self._header(), cm.ChargeProgress.Stop, None),
            cm.PowerDeliveryRes, self._on_stopped,
        )

    def _on_stopped(self, _: cm.PowerDeliveryRes) -> None:
        self._wait_until(self._no_current, 2.0, self._open)

    def _open(self) -> None:
        self._inlet.open_contactor()
        self._to_state_b()
        self._welding_polls = 0
        if self.on_ac or Deviation.SKIP_WELDING_DETECTION in self.config.deviations:
            self._stop_as_planned()
        else:
            self._detect_welding(self.config.poll_period_s, Processing.Ongoing)

    def _to_state_b(self) -> None:
        if Deviation.STAY_IN_STATE_C not in self.config.deviations and self._inlet.plugged:
            self._inlet.set_pilot(PilotState.B)

    def _detect_welding(self, after_s: float, processing: Processing) -> None:
        self._ask(
            lambda: dc.DC_WeldingDetectionReq(header=self._header(), ev_processing=processing),
            dc.DC_WeldingDetectionRes, self._on_welding, after_s=after_s,
        )

    def _on_welding(self, response: dc.DC_WeldingDetectionRes) -> None:
        request = cast(dc.DC_WeldingDetectionReq, self._request)
        if request.ev_processing is Processing.Finished:
            return self._stop_as_planned()
        self._welding_polls += 1
        safe = rational_value(response.evse_present_voltage) < SAFE_V
        patient = self._welding_polls < _MAX_WELDING_POLLS
        return self._detect_welding(
            self.config.poll_period_s, Processing.Ongoing if patient and not safe else Processing.Finished
        )

    # -- SessionStop -------------------------------------------------------------------------------------------------

    def _stop_as_planned(self) -> None:
        if self._leaving is cm.ChargingSession.Pause:
            self._pause_session()
        elif self._leaving is cm.ChargingSession.ServiceRenegotiation:
            self._session_stop(self._leaving, self._leaving_for, self._on_service_released)
        else:
            self._stop_session(self._leaving_for)

    def _stop_session(self, reason: str) -> None:
        """SessionStop(Terminate), then close. A pilot still in C goes to B before."""
        if CHECK_OUT in self._parking:
            self._ask_beside(
                PARKING_STREAM,
                cm.VehicleCheckOutReq(
                    header=self._header(), ev_check_out_status=cm.EvCheckOutStatus.CheckOut,
                    check_out_time=int(self._utc(self._now_s)),
                ),
                cm.VehicleCheckOutRes, lambda _: None,
            )
        self._session_stop(cm.ChargingSession.Terminate, reason, lambda _: self._end(reason))

    def _pause_session(self) -> None:
        def asleep(_: cm.SessionStopRes) -> None:
            self.paused = self.memory()
            self._finish_step()
            self._end("paused")

        self._session_stop(cm.ChargingSession.Pause, "pause", asleep)

    def _session_stop(
        self, how: cm.ChargingSession, reason: str, handler: Callable[[cm.SessionStopRes], None]
    ) -> None:
        self._ending = True
        self._to_state_b()
        self._ask(
            lambda: cm.SessionStopReq(
                header=self._header(), charging_session=how, ev_termination_explanation=reason[:160]
            ),
            cm.SessionStopRes, handler,
        )

    def _on_service_released(self, _: cm.SessionStopRes) -> None:
        step = self._step
        self._finish_step()
        if Deviation.CLOSES_AFTER_SERVICE_RENEGOTIATION in self.config.deviations:
            return self._drop("closed after the service renegotiation on purpose")
        if step is not None:
            self._change(step.changes)
        self._ending = False
        return self._discover_services()
