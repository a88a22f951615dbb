"""From the handshake to the agreed schedule: the first half of the vehicle's session."""

from __future__ import annotations

import abc
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from evse_controller.messages import Message
from evse_controller.messages.generated import ac, dc
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.app_protocol import ResponseCode as SapCode
from evse_controller.messages.generated.app_protocol import SupportedAppProtocolRes
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.messages.rational import rational_value
from evse_controller.model.commands import ControlMode
from hal.sim.inlet import Inlet
from hil.evcc import ac as onboard
from hil.evcc import requests
from hil.evcc.config import (
    AC_SERVICES,
    BIDIRECTIONAL_SERVICES,
    SERVICE_PARKING_STATUS,
    Deviation,
    EvccConfig,
    Memory,
)
from hil.evcc.contract import Contract
from hil.evcc.dialogue import Dialogue
from hil.evcc.plan import Need, Plan, choose
from hil.evcc.power import PowerControl
from hil.evcc.wire import PARKING_STREAM

_DETAIL_TIMEOUT_S = 5.0
_TOLD_BY_THE_STATION = 2
_UNKNOWN_SERVICE = 4711
CHECK_IN, CHECK_OUT = 1, 2


class Setup(Dialogue):
    """Negotiates: protocol, session, authorisation (EIM or by contract), services, limits, schedule.

    `plan`: what the vehicle keeps to (Scheduled). `resumed`: the station joined the paused session. `value_added`: what
    was selected with the energy service. `refusals`: the WARNINGs that it was not let in with, `installed`: a contract
    certificate that it was given. `told`: what the station said of the driver's wishes (MobilityNeedsMode 2).
    """

    def __init__(
        self, config: EvccConfig, inlet: Inlet, rng: random.Random, utc: Callable[[float], float]
    ) -> None:
        super().__init__(config, inlet, rng, utc)
        self.plan: Plan | None = None
        self.service_id: int | None = None
        self.parameter_set_id = 0
        self.mobility_needs_mode = 1
        self.resumed = False
        self.service_renegotiation_supported = False
        self.value_added: list[tuple[int, int]] = []
        self.told: dict[str, float] = {}
        self.refusals: list[ResponseCode] = []
        self.installed: cm.SignedInstallationData | None = None
        self._challenge = b""
        self._by_contract = False
        self.control = PowerControl(config, inlet)
        self.onboard = onboard.AcControl(config, inlet)
        self._candidates: list[int] = []
        self._extras: list[tuple[int, int | None]] = []
        self._parking: set[int] = set()
        self._offered: list[cm.ScheduleTuple] = []

    @abc.abstractmethod
    def _schedule_agreed(self, go_to_pause: bool) -> None:
        """The schedule is agreed: go on to energy, or to sleep."""

    @abc.abstractmethod
    def _stop_session(self, reason: str) -> None:
        """Leave in good order with SessionStop."""

    @property
    def on_ac(self) -> bool:
        """An AC service was selected."""
        return self.service_id in AC_SERVICES

    @property
    def bidirectional(self) -> bool:
        return self.service_id in BIDIRECTIONAL_SERVICES

    @property
    def dynamic(self) -> bool:
        return self.config.control_mode is ControlMode.DYNAMIC

    def memory(self) -> Memory:
        """What the vehicle keeps of this session when it pauses."""
        assert self.service_id is not None
        return Memory(self.session_id, self.service_id, self.parameter_set_id, self.config.control_mode)

    def _change(self, changes: Mapping[str, Any]) -> None:
        """The driver wants something else from now on."""
        self.config = self.control.config = self.onboard.config = replace(self.config, **changes)

    # -- session -----------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._ask(lambda: requests.supported_protocols(self.config), SupportedAppProtocolRes, self._on_protocol)

    def _on_protocol(self, response: SupportedAppProtocolRes) -> None:
        offered = {entry.schema_id for entry in requests.supported_protocols(self.config).app_protocol}
        if response.response_code is SapCode.Failed_NoNegotiation or response.schema_id not in offered:
            return self._fail(f"handshake: {response.response_code.name}, schema id {response.schema_id}")
        if self.config.resume is not None:
            self.session_id = self.config.resume.session_id
        return self._ask(
            lambda: cm.SessionSetupReq(header=self._header(), evccid=self.config.evccid),
            cm.SessionSetupRes, self._on_session,
        )

    def _on_session(self, response: cm.SessionSetupRes) -> None:
        if response.header.session_id == bytes(8):
            return self._fail("session id 0 assigned")
        memory = self.config.resume
        if response.response_code is ResponseCode.OK_OldSessionJoined:
            if memory is None or response.header.session_id != memory.session_id:
                return self._fail("joined to a session that is not ours")
            self.resumed = True
            self.service_id, self.parameter_set_id = memory.service_id, memory.parameter_set_id
            self._change({"control_mode": memory.control_mode})
            return self._discover_parameters()
        if memory is not None and response.header.session_id == memory.session_id:
            return self._fail("a new session under the id of the paused one")
        self.session_id = response.header.session_id
        return self._ask(
            lambda: cm.AuthorizationSetupReq(header=self._header()), cm.AuthorizationSetupRes, self._on_setup
        )

    def _on_setup(self, response: cm.AuthorizationSetupRes) -> None:
        contract, by_contract = self.config.contract, response.pnc_asres_authorization_mode
        if contract is not None and by_contract is not None:
            self._challenge = by_contract.gen_challenge
            installs = contract.provisioning is not None and response.certificate_installation_service
            return self._install(contract, 0.0) if installs else self._authorize_by(contract, 0.0)
        if cm.Authorization.EIM not in response.authorization_services:
            return self._fail("the station does not offer EIM")
        return self._authorize(0.0)

    def _install(self, contract: Contract, after_s: float) -> None:
        self._ask(
            lambda: contract.installation(self._header()), cm.CertificateInstallationRes, self._on_installation,
            _DETAIL_TIMEOUT_S, after_s=after_s,
        )

    def _on_installation(self, response: cm.CertificateInstallationRes) -> None:
        """With or without a new certificate it goes on with the contract that it has."""
        contract = self.config.contract
        assert contract is not None
        again = self._still_ongoing(response.evse_processing, self.config.ongoing_timeout_s, "CertificateInstallation")
        if again is None:
            return None
        if again:
            return self._install(contract, self.config.poll_period_s)
        if response.response_code is ResponseCode.OK:
            self.installed = response.signed_installation_data
        return self._authorize_by(contract, 0.0)

    def _authorize_by(self, contract: Contract, after_s: float) -> None:
        self._by_contract = True
        self._ask(
            lambda: contract.authorization(self._header(), self._challenge), cm.AuthorizationRes,
            self._on_authorization, after_s=after_s,
        )

    def _authorize(self, after_s: float) -> None:
        self._by_contract = False
        self._ask(
            lambda: requests.authorization(self._header()), cm.AuthorizationRes, self._on_authorization,
            after_s=after_s,
        )

    def _on_authorization(self, response: cm.AuthorizationRes) -> None:
        again = self._still_ongoing(response.evse_processing, self.config.ongoing_timeout_s, "Authorization")
        if again is None:
            return
        contract = self.config.contract
        if again and self._by_contract and contract is not None:
            self._authorize_by(contract, self.config.poll_period_s)
        elif again:
            self._authorize(self.config.poll_period_s)
        elif response.response_code >= ResponseCode.WARNING_AuthorizationSelectionInvalid:
            self.refusals.append(response.response_code)
            if len(self.refusals) < self.config.authorization_tries:
                self._authorize(self.config.poll_period_s)
            else:
                self._stop_session(f"not authorised: {response.response_code.name}")
        else:
            self._discover_services()

    # -- services ----------------------------------------------------------------------------------------------------

    def _discover_services(self) -> None:
        """Also after a service renegotiation: what was selected before is void."""
        self.service_id, self.value_added, self._offered, self.plan = None, [], [], None
        self._parking.clear()
        self._ask(lambda: cm.ServiceDiscoveryReq(header=self._header()), cm.ServiceDiscoveryRes, self._on_services)

    def _on_services(self, response: cm.ServiceDiscoveryRes) -> None:
        self.service_renegotiation_supported = response.service_renegotiation_supported
        offered = {service.service_id for service in response.energy_transfer_service_list.service}
        others = {service.service_id for service in response.vas_list.service} if response.vas_list else set()
        self._candidates = [service for service in self.config.services if service in offered]
        self._extras = [wanted for wanted in self.config.value_added if wanted[0] in others]
        self._ask_detail()

    def _detail(self, service_id: int, handler: Callable[[cm.ServiceDetailRes], None]) -> None:
        self._ask(
            lambda: cm.ServiceDetailReq(header=self._header(), service_id=service_id),
            cm.ServiceDetailRes, handler, _DETAIL_TIMEOUT_S,
        )

    def _ask_detail(self) -> None:
        if not self._candidates:
            return self._stop_session("no wanted energy service is offered")
        return self._detail(self._candidates[0], self._on_detail)

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
                self.service_id, self.parameter_set_id = wanted, offered.parameter_set_id
                self.mobility_needs_mode = values.get("MobilityNeedsMode") or 1
                return self._ask_extras()
        return self._ask_detail()

    def _ask_extras(self) -> None:
        """The details of each wanted value-added service, one after the other, then the selection."""
        if not self._extras:
            return self._select()
        return self._detail(self._extras[0][0], self._on_extra)

    def _on_extra(self, response: cm.ServiceDetailRes) -> None:
        service_id, wanted = self._extras.pop(0)
        if response.service_id != service_id:
            return self._fail(f"details of service {response.service_id} instead of {service_id}")
        for offered in response.service_parameter_list.parameter_set:
            if wanted in (None, offered.parameter_set_id):
                self.value_added.append((service_id, offered.parameter_set_id))
                values = {parameter.name: parameter.int_value for parameter in offered.parameter}
                if service_id == SERVICE_PARKING_STATUS:
                    self._parking.add(values.get("IntendedService") or 0)
                break
        return self._ask_extras()

    def _select(self) -> None:
        value_added = list(self.value_added)
        if Deviation.UNOFFERED_VALUE_ADDED in self.config.deviations:
            value_added.append((_UNKNOWN_SERVICE, 1))
        service_id = self.service_id or 0
        self._ask(
            lambda: requests.service_selection(self._header(), service_id, self.parameter_set_id, value_added),
            cm.ServiceSelectionRes, self._on_selection,
        )

    def _on_selection(self, _: cm.ServiceSelectionRes) -> None:
        if CHECK_IN in self._parking:
            self._ask_beside(
                PARKING_STREAM,
                cm.VehicleCheckInReq(
                    header=self._header(), ev_check_in_status=cm.EvCheckInStatus.CheckIn,
                    parking_method=cm.ParkingMethod.Manual,
                ),
                cm.VehicleCheckInRes, lambda _: None,
            )
        self._discover_parameters()

    # -- limits and schedule -----------------------------------------------------------------------------------------

    def _discover_parameters(self) -> None:
        negative = Deviation.NEGATIVE_LIMIT in self.config.deviations
        build = onboard.charge_parameters if self.on_ac else requests.charge_parameters
        self._ask(
            lambda: build(self._header(), self.config, self.bidirectional, negative),
            ac.AC_ChargeParameterDiscoveryRes if self.on_ac else dc.DC_ChargeParameterDiscoveryRes,
            self._on_ac_parameters if self.on_ac else self._on_dc_parameters,
        )

    def _on_ac_parameters(self, response: ac.AC_ChargeParameterDiscoveryRes) -> None:
        mode = response.ac_cpd_res_energy_transfer_mode
        if isinstance(mode, ac.BPT_AC_CPDResEnergyTransferMode) != self.bidirectional:
            return self._fail("ChargeParameterDiscoveryRes of the wrong kind")
        self.onboard.negotiated(mode)
        return self._exchange_schedule(0.0)

    def _on_dc_parameters(self, response: dc.DC_ChargeParameterDiscoveryRes) -> None:
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

    def _schedule_request(self) -> Message:
        return requests.schedule_exchange(self._header(), self.config, self._needs(), self.bidirectional)

    def _exchange_schedule(self, after_s: float) -> None:
        self._ask(self._schedule_request, cm.ScheduleExchangeRes, self._on_schedule, after_s=after_s)

    def _on_schedule(self, response: cm.ScheduleExchangeRes) -> None:
        again = self._still_ongoing(response.evse_processing, self.config.ongoing_timeout_s, "ScheduleExchange")
        if again is None:
            return None
        if again:
            return self._exchange_schedule(self.config.poll_period_s)
        if not self._take_schedule(response):
            return None
        return self._schedule_agreed(bool(response.go_to_pause))

    def _take_schedule(self, response: cm.ScheduleExchangeRes) -> bool:
        """Take in a finished answer. False: it was of the wrong kind and the session has been given up."""
        scheduled = response.scheduled_se_res_control_mode
        if (scheduled is not None) == self.dynamic:
            self._fail("ScheduleExchangeRes of the wrong control mode")
            return False
        if scheduled is not None:
            self._offered = list(scheduled.schedule_tuple)
        else:
            self._hear(response.dynamic_se_res_control_mode)
        return True

    def _hear(self, mode: object) -> None:
        """MobilityNeedsMode 2: the driver told the station, and the vehicle takes it over."""
        if self.mobility_needs_mode != _TOLD_BY_THE_STATION:
            return
        departure_s = getattr(mode, "departure_time", None)
        if departure_s is not None:
            self.told["departure_utc_s"] = self._utc(self._now_s) + departure_s
        for name in ("target_soc", "minimum_soc"):
            percent = getattr(mode, name, None)
            if percent is not None:
                self.told[name] = float(percent)
        self._change(self.told)

    def _make_plan(self) -> None:
        """Scheduled: choose among the offered tuples with what is known now. Done right before PowerDelivery(Start),
        because cable check and pre-charge have used up a part of the schedule."""
        if not self._offered:
            return
        wanted, ratings, own = self._needs(), self.config.ratings, self.config.ac
        charge_w, discharge_w = ratings.max_charge_power_w, ratings.max_discharge_power_w
        if self.on_ac:
            charge_w, discharge_w = own.max_charge_w, own.max_discharge_w
        need = Need(
            wanted.target_wh, min(0.0, wanted.minimum_wh), max(0.0, wanted.maximum_wh), charge_w,
            discharge_w if self.bidirectional else 0.0, self.config.wear_per_kwh,
        )
        self.plan = choose(self._offered, need, self._utc(self._now_s), self.config.departure_utc_s)

    def _profile(self) -> cm.EVPowerProfile:
        """What PowerDelivery(Start) and (ScheduleRenegotiation) carry; a new plan is made for it."""
        self._make_plan()
        if self.plan is None:
            most_w = self.config.ac.max_charge_w if self.on_ac else self.config.ratings.max_charge_power_w
            return requests.dynamic_profile(int(self._utc(self._now_s)), most_w, self._needs().departure_s or 86400)
        chosen = next(offered for offered in self._offered if offered.schedule_tuple_id == self.plan.tuple_id)
        answer = None
        if self.config.tolerance is not None and chosen.charging_schedule.power_schedule.power_tolerance is not None:
            answer = cm.PowerToleranceAcceptance(int(self.config.tolerance))
        return self.plan.message(answer)
