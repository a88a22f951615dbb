"""From the handshake to the agreed schedule: the first half of the vehicle's session."""

from __future__ import annotations

import abc
import random
from collections.abc import Callable

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated import dc
from evse_controller.messages.generated.app_protocol import ResponseCode as SapCode
from evse_controller.messages.generated.app_protocol import SupportedAppProtocolRes
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.messages.rational import rational_value
from evse_controller.model.commands import ControlMode
from evse_controller.model.pilot import PilotState
from hal.sim.inlet import Inlet
from hil.evcc import requests
from hil.evcc.config import SERVICE_DC_BPT, Deviation, EvccConfig
from hil.evcc.dialogue import Dialogue
from hil.evcc.plan import Need, Plan, choose
from hil.evcc.power import PowerControl

_DETAIL_TIMEOUT_S = 5.0


class Setup(Dialogue):
    """Negotiates: protocol, session, authorisation (EIM), service, limits, schedule."""

    def __init__(
        self, config: EvccConfig, inlet: Inlet, rng: random.Random, utc: Callable[[float], float]
    ) -> None:
        super().__init__(config, inlet, rng, utc)
        self.plan: Plan | None = None
        self.service_id: int | None = None
        self.control = PowerControl(config, inlet)
        self._candidates: list[int] = []
        self._offered: list[cm.ScheduleTuple] = []

    @abc.abstractmethod
    def _check_cable(self, after_s: float) -> None:
        """The schedule is agreed and the pilot in state C: go on with the power path."""

    @abc.abstractmethod
    def _stop_session(self, reason: str) -> None:
        """Leave in good order with SessionStop."""

    def _begin(self) -> None:
        self._ask(lambda: requests.supported_protocols(self.config), SupportedAppProtocolRes, self._on_protocol)

    def _on_protocol(self, response: SupportedAppProtocolRes) -> None:
        offered = {entry.schema_id for entry in requests.supported_protocols(self.config).app_protocol}
        if response.response_code is SapCode.Failed_NoNegotiation or response.schema_id not in offered:
            return self._fail(f"handshake: {response.response_code.name}, schema id {response.schema_id}")
        return self._ask(
            lambda: cm.SessionSetupReq(header=self._header(), evccid=self.config.evccid),
            cm.SessionSetupRes, self._on_session,
        )

    def _on_session(self, response: cm.SessionSetupRes) -> None:
        if response.header.session_id == bytes(8):
            return self._fail("session id 0 assigned")
        self.session_id = response.header.session_id
        return self._ask(
            lambda: cm.AuthorizationSetupReq(header=self._header()), cm.AuthorizationSetupRes, self._on_setup
        )

    def _on_setup(self, response: cm.AuthorizationSetupRes) -> None:
        if cm.Authorization.EIM not in response.authorization_services:
            return self._fail("the station does not offer EIM")
        return self._authorize(0.0)

    def _authorize(self, after_s: float) -> None:
        self._ask(
            lambda: requests.authorization(self._header()), cm.AuthorizationRes, self._on_authorization,
            after_s=after_s,
        )

    def _on_authorization(self, response: cm.AuthorizationRes) -> None:
        again = self._still_ongoing(response.evse_processing, self.config.ongoing_timeout_s, "Authorization")
        if again is None:
            return
        if again:
            self._authorize(self.config.poll_period_s)
        elif response.response_code >= ResponseCode.WARNING_AuthorizationSelectionInvalid:
            self._stop_session(f"not authorised: {response.response_code.name}")
        else:
            self._ask(
                lambda: cm.ServiceDiscoveryReq(header=self._header()), cm.ServiceDiscoveryRes, self._on_services
            )

    def _on_services(self, response: cm.ServiceDiscoveryRes) -> None:
        offered = {service.service_id for service in response.energy_transfer_service_list.service}
        self._candidates = [service for service in self.config.services if service in offered]
        self._ask_detail()

    def _ask_detail(self) -> None:
        if not self._candidates:
            return self._stop_session("no wanted energy service is offered")
        wanted = self._candidates[0]
        return self._ask(
            lambda: cm.ServiceDetailReq(header=self._header(), service_id=wanted),
            cm.ServiceDetailRes, self._on_detail, _DETAIL_TIMEOUT_S,
        )

    def _on_detail(self, response: cm.ServiceDetailRes) -> None:
        wanted = self._candidates.pop(0)
        if response.service_id != wanted:
            return self._fail(f"details of service {response.service_id} instead of {wanted}")
        for offered in response.service_parameter_list.parameter_set:
            values = {parameter.name: parameter.int_value for parameter in offered.parameter}
            mode = self.config.mobility_needs_mode
            if values.get("ControlMode") == self.config.control_mode.value and (
                mode is None or values.get("MobilityNeedsMode") == mode
            ):
                self.service_id = wanted
                return self._select(wanted, offered.parameter_set_id)
        return self._ask_detail()

    def _select(self, service_id: int, parameter_set_id: int) -> None:
        self._ask(
            lambda: requests.service_selection(self._header(), service_id, parameter_set_id),
            cm.ServiceSelectionRes, self._on_selection,
        )

    @property
    def bidirectional(self) -> bool:
        return self.service_id == SERVICE_DC_BPT

    def _on_selection(self, _: cm.ServiceSelectionRes) -> None:
        negative = Deviation.NEGATIVE_LIMIT in self.config.deviations
        self._ask(
            lambda: requests.charge_parameters(self._header(), self.config, self.bidirectional, negative),
            dc.DC_ChargeParameterDiscoveryRes, self._on_parameters,
        )

    def _on_parameters(self, response: dc.DC_ChargeParameterDiscoveryRes) -> None:
        mode = response.dc_cpd_res_energy_transfer_mode
        if isinstance(mode, dc.BPT_DC_CPDResEnergyTransferMode) != self.bidirectional:
            return self._fail("ChargeParameterDiscoveryRes of the wrong kind")
        self.control.station.update(mode)
        battery_v = self._inlet.battery_voltage_v
        if not rational_value(mode.evse_minimum_voltage) <= battery_v <= rational_value(mode.evse_maximum_voltage):
            return self._stop_session(f"the station cannot reach {battery_v:.0f} V")
        return self._exchange_schedule(0.0)

    def _needs(self) -> requests.Needs:
        return requests.needs(self.config, self._inlet, self._utc(self._now_s))

    def _exchange_schedule(self, after_s: float) -> None:
        self._ask(
            lambda: requests.schedule_exchange(self._header(), self.config, self._needs(), self.bidirectional),
            cm.ScheduleExchangeRes, self._on_schedule, after_s=after_s,
        )

    def _on_schedule(self, response: cm.ScheduleExchangeRes) -> None:
        again = self._still_ongoing(response.evse_processing, self.config.ongoing_timeout_s, "ScheduleExchange")
        if again is None:
            return None
        if again:
            return self._exchange_schedule(self.config.poll_period_s)
        scheduled = response.scheduled_se_res_control_mode
        if (scheduled is not None) != (self.config.control_mode is ControlMode.SCHEDULED):
            return self._fail("ScheduleExchangeRes of the wrong control mode")
        if scheduled is not None:
            self._offered = list(scheduled.schedule_tuple)
        self._inlet.set_pilot(PilotState.C)
        return self._check_cable(0.0)

    def _make_plan(self) -> None:
        """Scheduled: choose among the offered tuples with what is known now. Done right before PowerDelivery(Start),
        because cable check and pre-charge have used up a part of the schedule."""
        if not self._offered:
            return
        wanted, ratings = self._needs(), self.config.ratings
        need = Need(
            wanted.target_wh, min(0.0, wanted.minimum_wh), max(0.0, wanted.maximum_wh),
            ratings.max_charge_power_w, ratings.max_discharge_power_w if self.bidirectional else 0.0,
            self.config.wear_per_kwh,
        )
        self.plan = choose(self._offered, need, self._utc(self._now_s), self.config.departure_utc_s)
