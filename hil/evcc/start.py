"""From the agreed schedule to energy: cable check and pre-charge (DC), the pilot, PowerDelivery(Start)."""

from __future__ import annotations

import abc
from typing import cast

from evse_controller.messages import Message
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated import dc
from evse_controller.messages.generated.common_types import EVSEStatus, Processing, ResponseCode
from evse_controller.messages.rational import rational_nearest
from evse_controller.model.pilot import PilotState
from hil.evcc import requests
from hil.evcc.config import Deviation
from hil.evcc.setup import Setup

MATCH_V = 20.0
CABLE_CHECK_TIMEOUT_S, PRECHARGE_TIMEOUT_S = 40.0, 10.0
_PILOT_AFTER_START_S = 0.05


class Start(Setup):
    """Brings energy to flow. DC: pilot state C before CableCheck, its own contactors when the outlet matches the
    battery (|dV| < 20 V). AC: pilot state C within 250 ms after PowerDelivery(Start) was sent [V2G20-847]."""

    @abc.abstractmethod
    def _energy_flows(self) -> None:
        """PowerDelivery(Start) was accepted: begin the charge loop."""

    @abc.abstractmethod
    def _take_warning(self, code: ResponseCode) -> None:
        """A WARNING code of PowerDelivery or of the loop; any other means nothing here."""

    @abc.abstractmethod
    def _take_notice(self, status: EVSEStatus | None) -> None:
        """What the station wants of the vehicle."""

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
        request = cast(dc.DC_PreChargeReq, self._request)
        skips = self._inlet.contactor_closed and self._deviates(Deviation.NO_PRECHARGE_FINISHED)
        if request.ev_processing is Processing.Finished or skips:
            self._ongoing_since_s = None
            return self._first_start()
        match = abs(self._inlet.inlet_voltage_v - self._inlet.battery_voltage_v) < MATCH_V
        if match or Deviation.CLOSE_EARLY in self.config.deviations:
            self._inlet.close_contactor()
        elif self._ongoing_since_s is not None and self._now_s - self._ongoing_since_s > PRECHARGE_TIMEOUT_S:
            return self._fail(f"no matching voltage after {PRECHARGE_TIMEOUT_S:.0f} s of pre-charge")
        return self._precharge(self.config.poll_period_s)

    def _first_start(self) -> None:
        self._start_energy(3 if Deviation.START_THRICE in self.config.deviations else 1)

    def _start_energy(self, repeats: int = 1) -> None:
        """PowerDelivery(Start); all but the last of `repeats` say that the vehicle is still computing."""

        def build() -> Message:
            profile = self._profile()
            scheduled = profile.scheduled_evppt_control_mode
            if scheduled is not None and Deviation.WRONG_TUPLE in self.config.deviations:
                scheduled.selected_schedule_tuple_id += 1000
            if self.on_ac and repeats == 1 and Deviation.STAYS_IN_STATE_B not in self.config.deviations:
                self._next = (self._now_s + _PILOT_AFTER_START_S, lambda: self._inlet.set_pilot(PilotState.C))
            return requests.power_delivery(self._header(), cm.ChargeProgress.Start, profile, ongoing=repeats > 1)

        def started(response: cm.PowerDeliveryRes) -> None:
            self._take_warning(response.response_code)
            self._take_notice(response.evse_status)
            if repeats > 1:
                self._start_energy(repeats - 1)
            else:
                self._energy_flows()

        self._ask(build, cm.PowerDeliveryRes, started, after_s=self.config.poll_period_s if repeats < 3 else 0.0)
