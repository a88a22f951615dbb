"""What a vehicle does beside taking energy: by its script, by its driver, or because the station asks.

At most one `Step` is in hand. Those that need the main stream wait for zero power first; a new schedule by 0x8101 and
a metering confirmation run beside the loop.
"""

from __future__ import annotations

import abc
import random
from collections.abc import Callable

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import EvseNotification, EVSEStatus, Processing, ResponseCode
from evse_controller.model.pilot import PilotState
from hal.sim.inlet import Inlet
from hil.evcc import requests
from hil.evcc.config import Act, Deviation, EvccConfig, Step
from hil.evcc.dialogue import Close
from hil.evcc.loop import Loop
from hil.evcc.wire import METERING_STREAM, SCHEDULE_STREAM

_READING_OFFSET_WH = 1000
_ASKED_FOR = {
    EvseNotification.ServiceRenegotiation: Act.CHANGE_SERVICE,
    EvseNotification.MeteringConfirmation: Act.CONFIRM_METER,
    EvseNotification.Pause: Act.PAUSE,
}


class Life(Loop):
    """`done`: the acts that were finished, in order. `notification`: what the station said last."""

    def __init__(
        self, config: EvccConfig, inlet: Inlet, rng: random.Random, utc: Callable[[float], float]
    ) -> None:
        super().__init__(config, inlet, rng, utc)
        self.notification: EVSEStatus | None = None
        self.done: list[Act] = []
        self._script = list(config.script)
        self._step: Step | None = None
        self._asked: Step | None = None
        self._heeded: EvseNotification | None = None
        self._free_since_s = 0.0
        self._stop_requested: str | None = None
        self._standby_until_s = 0.0
        self._beside_s: float | None = None  # when to ask (again) for a new schedule on 0x8101
        self._agreed_beside = False
        self._renegotiating = False

    @abc.abstractmethod
    def _leave(self, how: cm.ChargingSession, reason: str) -> None:
        """End the energy transfer in good order, then the session (or this service of it)."""

    def request_stop(self, reason: str) -> None:
        """The driver wants to leave; obeyed with the next charge loop response."""
        if self._stop_requested is None:
            self._stop_requested = reason

    # -- what comes next ---------------------------------------------------------------------------------------------

    def _take_notice(self, status: EVSEStatus | None) -> None:
        self.notification = status
        if status is None:
            self._heeded = None
            return
        asked = status.evse_notification
        if Deviation.IGNORE_NOTIFICATION in self.config.deviations or asked is self._heeded:
            return
        self._heeded = asked
        if asked is EvseNotification.Terminate or (asked is EvseNotification.Pause and not self.config.accepts_pause):
            self.request_stop(f"the station asked: {asked.name}")
        elif asked is EvseNotification.ScheduleRenegotiation:
            self._asked = Step(self.config.schedule_by)
        elif asked in _ASKED_FOR:
            self._asked = Step(_ASKED_FOR[asked])

    def _next_step(self) -> Step | None:
        """The driver's stop goes before what the station asks, and that before the script."""
        if self._stop_requested is not None:
            return Step(Act.STOP)
        if self._step is not None:
            return self._step
        if self._asked is not None:
            step, self._asked = self._asked, None
            return step
        begun_s = max(self._free_since_s, self.loop_began_s or 0.0)
        if self._script and self._now_s - begun_s >= self._script[0].after_s:
            return self._script.pop(0)
        return None

    def _finish_step(self) -> None:
        if self._step is not None:
            self.done.append(self._step.act)
        self._step, self._free_since_s = None, self._now_s

    @property
    def _wants_meter_info(self) -> bool:
        return self.config.wants_meter_info or (self._step is not None and self._step.act is Act.CONFIRM_METER)

    def _after_loop(self) -> None:
        step = self._next_step()
        if step is not self._step and step is not None:
            self._step = step
            if step.changes and step.act is not Act.CHANGE_SERVICE:
                self._change(step.changes)
        if self._deviates(Deviation.SILENT_IN_LOOP):
            return None
        if self._deviates(Deviation.DROP_IN_LOOP):
            return self._drop("dropped the connection on purpose")
        if self._deviates(Deviation.PULL_PLUG):
            self._inlet.unplug()
        if step is None or not self._perform(step):
            return self._loop_again()
        return None

    def _drop(self, reason: str) -> None:
        self.failure = reason
        self._ending = self.finished = True
        self._outputs.append(Close(reason))

    def _perform(self, step: Step) -> bool:
        """True when the main stream is used by it; False: the loop goes on."""
        if step.act is Act.RENEGOTIATE_BESIDE:
            return self._renegotiate_beside()
        if step.act is Act.CONFIRM_METER:
            self._confirm_meter()
            return False
        if step.act is Act.PAUSE and not self._may_pause():
            return False
        if not self._rest():
            return False
        if step.act is Act.RENEGOTIATE:
            self._renegotiate()
        elif step.act is Act.STANDBY:
            self._stand_by()
        elif step.act is Act.PAUSE:
            self._leave(cm.ChargingSession.Pause, "pause")
        elif step.act is Act.CHANGE_SERVICE:
            self._leave(cm.ChargingSession.ServiceRenegotiation, "another service")
        else:
            self._leave(cm.ChargingSession.Terminate, self._stop_requested or "the driver is done")
        return True

    # -- a new schedule ----------------------------------------------------------------------------------------------

    def _renegotiate(self) -> None:
        def build() -> cm.PowerDeliveryReq:
            return requests.power_delivery(self._header(), cm.ChargeProgress.ScheduleRenegotiation, None)

        def accepted(answer: cm.PowerDeliveryRes) -> None:
            self._take_warning(answer.response_code)
            if answer.response_code is not ResponseCode.OK:
                self._finish_step()
                self._resting_since_s = None
                return self._loop_again()
            if Deviation.NO_NEW_SCHEDULE in self.config.deviations:
                return self._loop(0.0)
            self._renegotiating, self._before = True, (self.plan, self._offered)
            return self._exchange_schedule(0.0)

        self._ask(build, cm.PowerDeliveryRes, accepted)

    def _renegotiate_beside(self) -> bool:
        """Asks on 0x8101 while the loop goes on; what came of it is taken into force by PowerDelivery."""
        if self._agreed_beside:
            self._agreed_beside = False
            self._ask(self._renegotiated, cm.PowerDeliveryRes, self._in_force)
            return True
        if self._beside_s is None or self._now_s >= self._beside_s:
            self._beside_s = self._now_s + self.config.ongoing_timeout_s
            request = self._schedule_request()
            if Deviation.SIDE_WRONG_SESSION_ID in self.config.deviations:
                request.header = self._foreign_header()  # type: ignore[attr-defined]
            for _ in range(2 if Deviation.TWICE_BESIDE in self.config.deviations else 1):
                self._ask_beside(SCHEDULE_STREAM, request, cm.ScheduleExchangeRes, self._on_schedule_beside)
        return False

    def _on_schedule_beside(self, response: cm.ScheduleExchangeRes) -> None:
        if response.evse_processing is not Processing.Finished:
            self._beside_s = self._now_s + self.config.poll_period_s
            return
        self._beside_s, self._before = None, (self.plan, self._offered)
        self._take_warning(response.response_code)
        if response.response_code is ResponseCode.WARNING_ScheduleRenegotiationFailed:
            self._finish_step()
        elif self._take_schedule(response):
            self._agreed_beside = True

    def _renegotiated(self) -> cm.PowerDeliveryReq:
        profile = self._profile()
        if profile.scheduled_evppt_control_mode is not None and Deviation.NEW_WRONG_TUPLE in self.config.deviations:
            profile.scheduled_evppt_control_mode.selected_schedule_tuple_id += 1000
        return requests.power_delivery(self._header(), cm.ChargeProgress.ScheduleRenegotiation, profile)

    def _in_force(self, response: cm.PowerDeliveryRes) -> None:
        self._take_warning(response.response_code)
        self._finish_step()
        self._take_notice(response.evse_status)
        self._loop_again()

    def _schedule_agreed(self, go_to_pause: bool) -> None:
        heeds = self.config.accepts_pause and Deviation.IGNORE_NOTIFICATION not in self.config.deviations
        if self._renegotiating:
            self._renegotiating = False
            self._finish_step()
            self._start_energy()
        elif go_to_pause and heeds:
            self._pause_session()
        elif self.on_ac:
            self._first_start()
        else:
            self._inlet.set_pilot(PilotState.C)
            self._check_cable(0.0)

    @abc.abstractmethod
    def _pause_session(self) -> None:
        """No energy flows: SessionStop(Pause)."""

    # -- standby and pause -------------------------------------------------------------------------------------------

    def _stand_by(self) -> None:
        self._ask(
            lambda: requests.power_delivery(self._header(), cm.ChargeProgress.Standby, None),
            cm.PowerDeliveryRes, self._on_standby,
        )

    def _on_standby(self, response: cm.PowerDeliveryRes) -> None:
        self._take_warning(response.response_code)
        if response.response_code is ResponseCode.WARNING_StandbyNotAllowed:
            self._finish_step()
            self._resting_since_s = None
            return self._loop_again()
        assert self._step is not None
        self._standby_until_s = self._now_s + self._step.hold_s
        if Deviation.SILENT_AFTER_STANDBY in self.config.deviations:
            return None
        if Deviation.SLEEPS_IN_STANDBY in self.config.deviations:
            return self._wait_until(self._no_current, 2.0, self._fall_asleep)
        return self._in_standby(response)

    def _fall_asleep(self) -> None:
        self._inlet.open_contactor()
        self._inlet.set_pilot(PilotState.B)
        self._wait_until(lambda: self._now_s >= self._standby_until_s, self.config.ongoing_timeout_s, self._give_up)

    def _give_up(self) -> None:
        self._leave(cm.ChargingSession.Terminate, "slept in Standby")

    def _in_standby(self, response: cm.PowerDeliveryRes) -> None:
        """Poll until the time is over, or the station wakes or sends the vehicle away."""
        self._take_notice(response.evse_status)
        woken = self.notification is not None and self.notification.evse_notification is EvseNotification.ExitStandby
        if self._stop_requested is not None:
            return self._leave(cm.ChargingSession.Terminate, self._stop_requested)
        if woken or self._now_s >= self._standby_until_s:
            self._finish_step()
            return self._start_energy()
        left_s = max(0.1, self._standby_until_s - self._now_s)
        return self._ask(
            lambda: requests.power_delivery(self._header(), cm.ChargeProgress.Standby, None),
            cm.PowerDeliveryRes, self._in_standby, after_s=min(self.config.standby_poll_s, left_s),
        )

    def _may_pause(self) -> bool:
        """Dynamic: the station asked for it. Scheduled: the vehicle's own plan rests now."""
        if Deviation.PAUSES_UNASKED in self.config.deviations:
            return True
        if self.notification is not None and self.notification.evse_notification is EvseNotification.Pause:
            return True
        return self.plan is not None and self.plan.power_w(self._utc(self._now_s)) == 0.0

    # -- the meter ---------------------------------------------------------------------------------------------------

    def _confirm_meter(self) -> None:
        """Once, as soon as a reading has come and the station wants it confirmed."""
        asked = self.notification
        wanted = asked is not None and asked.evse_notification is EvseNotification.MeteringConfirmation
        wanted = wanted or self._heeded is EvseNotification.MeteringConfirmation
        if self.meter_info is None or METERING_STREAM in self._waiting:
            return
        if not wanted and Deviation.CONFIRMS_UNASKED not in self.config.deviations:
            return
        if Deviation.CONFIRMS_OTHER_READING in self.config.deviations:
            self.meter_info.charged_energy_reading_wh += _READING_OFFSET_WH
        tuple_id = self.plan.tuple_id if self.plan is not None else None
        self._ask_beside(
            METERING_STREAM, requests.metering_confirmation(self._header(), self.meter_info, tuple_id),
            cm.MeteringConfirmationRes, lambda _: self._finish_step(),
        )
