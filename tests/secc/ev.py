"""A scripted EV for tests: requests with sensible numbers, a snapshot to change, a session or connection to talk to."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

from evse_controller.messages import decode, encode
from evse_controller.messages.base import Message, Schema
from evse_controller.messages.generated import ac, app_protocol, dc
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import (
    ListOfRootCertificateIDs,
    MessageHeader,
    MeterInfo,
    Processing,
    RationalNumber,
)
from evse_controller.messages.generated.xmldsig import X509IssuerSerial
from evse_controller.messages.rational import rational_nearest as n
from evse_controller.model.commands import Command
from evse_controller.model.offer import OfferTuple, PowerSlot, PriceSlot, ScheduleOffer
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Authorization, DcPresent, DcRatings, EvseSnapshot, MeterTotals, Step
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.connection import Connection
from evse_controller.secc.iso20.session import Iso20Session
from evse_controller.secc.output import Output
from evse_controller.secc.reply import Reply, Transport
from evse_controller.secc.streams import Stream
from evse_controller.secc.surroundings import NOBODY, Surroundings
from evse_controller.secc.v2gtp import PAYLOAD_OF_SCHEMA, SCHEMA_OF_PAYLOAD, FrameReader, PayloadType, encode_frame

UTC_S = 1_700_000_000.0
DC, DC_BPT, MCS, MCS_BPT = 2, 6, 8, 9
SCHEDULED, DYNAMIC = 1, 2

OFFER = ScheduleOffer(
    7,
    int(UTC_S),
    "EUR",
    (
        OfferTuple(
            1,
            (PowerSlot(3600, 50_000.0), PowerSlot(82800, 20_000.0)),
            (PriceSlot(3600, 0.25), PriceSlot(82800, 0.31)),
            (PowerSlot(3600, 0.0), PowerSlot(82800, 10_000.0)),
            (PriceSlot(86400, 0.20),),
        ),
    ),
)

SNAPSHOT = EvseSnapshot(
    utc_s=UTC_S,
    evseid="NLEVCE1",
    bidirectional=True,
    ratings=DcRatings(920.0, 150.0, 200.0, 60_000.0, 100.0, 30_000.0, power_ramp_w_per_s=5000.0),
    present=DcPresent(920.0, 150.0, 200.0, 60_000.0, 100.0, 30_000.0, False, False, False),
    pilot=PilotState.C,
    authorization=Authorization.ACCEPTED,
    cable_check=Step.IDLE,
    precharge=Step.IDLE,
    energy_ready=True,
    stop_done=False,
    present_voltage_v=398.5,
    present_current_a=-12.25,
    meter=MeterTotals("METER-1", 1234.9, 567.8, UTC_S),
    offer=None,
)


def random_bytes() -> Callable[[int], bytes]:
    """A deterministic source: each draw differs."""
    counter = itertools.count(1)
    return lambda length: next(counter).to_bytes(length, "big")


def header(session_id: bytes = bytes(8)) -> MessageHeader:
    return MessageHeader(session_id, int(UTC_S))


def rationals(count: int, value: float = 1.0) -> list[RationalNumber]:
    return [n(value) for _ in range(count)]


def cpd_mode(bidirectional: bool, **changes: float) -> Any:
    """CPD energy transfer mode; changes name fields, e.g. ev_maximum_voltage=100."""
    values = {
        "ev_maximum_charge_power": 80_000.0,
        "ev_minimum_charge_power": 0.0,
        "ev_maximum_charge_current": 180.0,
        "ev_minimum_charge_current": 0.0,
        "ev_maximum_voltage": 450.0,
        "ev_minimum_voltage": 250.0,
    }
    if bidirectional:
        values |= {
            "ev_maximum_discharge_power": 20_000.0,
            "ev_minimum_discharge_power": 0.0,
            "ev_maximum_discharge_current": 50.0,
            "ev_minimum_discharge_current": 0.0,
        }
    values |= changes
    kind = dc.BPT_DC_CPDReqEnergyTransferMode if bidirectional else dc.DC_CPDReqEnergyTransferMode
    return kind(**{name: n(value) for name, value in values.items()}, target_soc=80)


def loop_mode(control_mode: int, bidirectional: bool, **changes: float) -> Any:
    """Control mode block of a DC charge loop request, with only what its schema demands, and changes."""
    energies = {"ev_target_energy_request": 2e4, "ev_maximum_energy_request": 4e4, "ev_minimum_energy_request": -5e3}
    charge = {
        "ev_maximum_charge_power": 80_000.0,
        "ev_minimum_charge_power": 0.0,
        "ev_maximum_charge_current": 180.0,
        "ev_maximum_voltage": 450.0,
        "ev_minimum_voltage": 250.0,
    }
    discharge = {
        "ev_maximum_discharge_power": 20_000.0,
        "ev_minimum_discharge_power": 0.0,
        "ev_maximum_discharge_current": 50.0,
    }
    kind: Any
    if control_mode == SCHEDULED:
        values = {"ev_target_current": 30.0, "ev_target_voltage": 400.0}
        kind = dc.BPT_Scheduled_DC_CLReqControlMode if bidirectional else dc.Scheduled_DC_CLReqControlMode
    else:
        values = energies | charge | (discharge if bidirectional else {})
        kind = dc.BPT_Dynamic_DC_CLReqControlMode if bidirectional else dc.Dynamic_DC_CLReqControlMode
    return kind(**{name: n(value) for name, value in (values | changes).items()})


def profile(tuple_id: int | None, *slots: tuple[int, float], anchor: int = int(UTC_S)) -> cm.EVPowerProfile:
    """An EVPowerProfile of (seconds, signed watts); tuple_id None is the dynamic form."""
    entries = cm.EVPowerProfileEntryList([cm.PowerScheduleEntry(duration, n(power)) for duration, power in slots])
    if tuple_id is None:
        return cm.EVPowerProfile(anchor, entries, dynamic_evppt_control_mode=cm.Dynamic_EVPPTControlMode())
    return cm.EVPowerProfile(
        anchor, entries, scheduled_evppt_control_mode=cm.Scheduled_EVPPTControlMode(tuple_id)
    )


def schedule_request(control_mode: int, points: int = 12, departure_s: int | None = None) -> cm.ScheduleExchangeReq:
    if control_mode == SCHEDULED:
        return cm.ScheduleExchangeReq(
            header(), points, scheduled_se_req_control_mode=cm.Scheduled_SEReqControlMode(departure_s)
        )
    mode = cm.Dynamic_SEReqControlMode(7200, n(20_000), n(40_000), n(-5000))
    return cm.ScheduleExchangeReq(header(), points, dynamic_se_req_control_mode=mode)


def power_delivery(
    progress: cm.ChargeProgress = cm.ChargeProgress.Start,
    processing: Processing = Processing.Finished,
    plan: cm.EVPowerProfile | None = None,
) -> cm.PowerDeliveryReq:
    return cm.PowerDeliveryReq(header(), processing, progress, plan)


def loop(control_mode: int = SCHEDULED, bidirectional: bool = True, meter: bool = False, **changes: float) -> Any:
    return dc.DC_ChargeLoopReq(header(), meter, n(398.0), loop_mode(control_mode, bidirectional, **changes))


def selection(service: int, parameter_set: int, *extra: tuple[int, int]) -> cm.ServiceSelectionReq:
    vas = cm.SelectedServiceList([cm.SelectedService(*pair) for pair in extra]) if extra else None
    return cm.ServiceSelectionReq(header(), cm.SelectedService(service, parameter_set), vas)


def stop(kind: cm.ChargingSession = cm.ChargingSession.Terminate) -> cm.SessionStopReq:
    return cm.SessionStopReq(header(), kind)


def eim() -> cm.AuthorizationReq:
    return cm.AuthorizationReq(
        header(), cm.Authorization.EIM, eim_areq_authorization_mode=cm.EIM_AReqAuthorizationMode()
    )


def pnc() -> cm.AuthorizationReq:
    chain = cm.ContractCertificateChain(b"\x01", cm.SubCertificates([b"\x02"]))
    return cm.AuthorizationReq(
        header(),
        cm.Authorization.PnC,
        pnc_areq_authorization_mode=cm.PnC_AReqAuthorizationMode("id1", bytes(range(16)), chain),
    )


def every_request() -> list[Message]:
    """One of each request type (and each variant that has a response variant of its own)."""
    root = ListOfRootCertificateIDs([X509IssuerSerial("CN=root", 1)])
    ac_parameters = (
        ac.AC_CPDReqEnergyTransferMode(*rationals(2)),
        ac.BPT_AC_CPDReqEnergyTransferMode(*rationals(4)),
    )
    ac_loops = (
        ac.Scheduled_AC_CLReqControlMode(*rationals(1)),
        ac.BPT_Scheduled_AC_CLReqControlMode(*rationals(1)),
        ac.Dynamic_AC_CLReqControlMode(*rationals(7)),
        ac.BPT_Dynamic_AC_CLReqControlMode(*rationals(9)),
    )
    metering = cm.SignedMeteringData(
        "id1", bytes(8), MeterInfo("M", 1), dynamic_smdt_control_mode=cm.Dynamic_SMDTControlMode()
    )
    return [
        cm.SessionSetupReq(header(), "EV1"),
        cm.AuthorizationSetupReq(header()),
        eim(),
        pnc(),
        cm.CertificateInstallationReq(header(), cm.SignedCertificateChain("id1", b"\x01"), root, 1),
        cm.ServiceDiscoveryReq(header()),
        cm.ServiceDetailReq(header(), DC),
        selection(DC, SCHEDULED),
        dc.DC_ChargeParameterDiscoveryReq(header(), cpd_mode(False)),
        dc.DC_ChargeParameterDiscoveryReq(header(), cpd_mode(True)),
        schedule_request(SCHEDULED),
        schedule_request(DYNAMIC),
        dc.DC_CableCheckReq(header()),
        dc.DC_PreChargeReq(header(), Processing.Ongoing, n(1.0), n(400.0)),
        power_delivery(plan=profile(1, (3600, 1000.0))),
        power_delivery(cm.ChargeProgress.Stop),
        *(loop(mode, bidirectional) for mode in (SCHEDULED, DYNAMIC) for bidirectional in (False, True)),
        dc.DC_WeldingDetectionReq(header(), Processing.Ongoing),
        cm.MeteringConfirmationReq(header(), metering),
        stop(),
        cm.VehicleCheckInReq(header(), cm.EvCheckInStatus.CheckIn, cm.ParkingMethod.Manual),
        cm.VehicleCheckOutReq(header(), cm.EvCheckOutStatus.CheckOut, 1),
        *(ac.AC_ChargeParameterDiscoveryReq(header(), mode) for mode in ac_parameters),
        *(ac.AC_ChargeLoopReq(header(), False, mode) for mode in ac_loops),
    ]


BESIDE_THE_LOOP = ("Standby", "ScheduleRenegotiation", "Renegotiated")


@dataclass
class Bench:
    """A session, its snapshot and its time. Sends requests with the right session id and collects commands.

    Every request and response passes through the codec, so that what the session says is proven schema valid.
    """

    config: SeccConfig = field(default_factory=SeccConfig)
    snapshot: EvseSnapshot = SNAPSHOT
    service: int = DC_BPT
    control_mode: int = SCHEDULED
    around: Surroundings = NOBODY
    now_s: float = 1000.0
    commands: list[Command] = field(default_factory=list)
    session: Iso20Session = field(init=False)
    session_id: bytes = bytes(8)
    asked_id: bytes = bytes(8)  # what SessionSetupReq asks for; a paused session, if not zero

    def __post_init__(self) -> None:
        self.session = Iso20Session(self.config, "ISO 15118-20 DC", random_bytes(), self.now_s, self.around)

    @property
    def bidirectional(self) -> bool:
        return self.service in (DC_BPT, MCS_BPT)

    @property
    def state(self) -> str:
        return self.session.state_name

    def set(self, **changes: Any) -> None:
        self.snapshot = replace(self.snapshot, **changes)

    def after(self, seconds: float) -> Self:
        self.now_s += seconds
        self.set(utc_s=self.snapshot.utc_s + seconds)
        return self

    def ask(self, request: Message, session_id: bytes | None = None, stream: Stream = Stream.MAIN) -> Reply:
        """Send a request, with the session's id unless told otherwise."""
        request.header.session_id = self.session_id if session_id is None else session_id  # type: ignore[attr-defined]
        reply = self.session.handle(decode(request.SCHEMA, encode(request)), self.snapshot, self.now_s, stream)
        self.commands += reply.commands
        if reply.response is not None:
            assert decode(reply.response.SCHEMA, encode(reply.response)) == reply.response
            assert request.ELEMENT.removesuffix("Req") + "Res" == reply.response.ELEMENT
        if isinstance(request, cm.PowerDeliveryReq) and request.charge_progress is cm.ChargeProgress.Stop:
            self.set(pilot=PilotState.B)  # as its EV does at once
        return reply

    def say(self, request: Message, stream: Stream = Stream.MAIN) -> Any:
        """Send a request and give its response."""
        return self.ask(request, stream=stream).response

    def commands_of(self, kind: type) -> list[Any]:
        return [command for command in self.commands if isinstance(command, kind)]

    def to(self, state: str) -> Self:
        """Walk the usual way until the session waits in `state`."""
        for _ in range(20):
            if self.state == state:
                return self
            if self.state == "ChargeLoop" and state in BESIDE_THE_LOOP:
                return self._hold(state)
            self._step()
        raise AssertionError(f"{state} not reached, stuck in {self.state}")

    def _hold(self, state: str) -> Self:
        """From the running loop to one of the states in which energy is held back."""
        self.say(self._loop())
        standby = state == "Standby"
        progress = cm.ChargeProgress.Standby if standby else cm.ChargeProgress.ScheduleRenegotiation
        self.after(0.125).say(power_delivery(progress))
        if state == "Renegotiated":
            self.after(0.125).say(schedule_request(self.control_mode))
            self.after(0.5).say(schedule_request(self.control_mode))
        assert self.state == state
        return self

    def _loop(self) -> Message:
        request: Message = loop(self.control_mode, self.bidirectional)
        return request

    def _step(self) -> None:
        state = self.state
        self.after(0.125)  # a power of two, so that timers can be tested at their exact edge
        if state == "SessionSetup":
            self.session_id = self.ask(cm.SessionSetupReq(header(), "EV1"), self.asked_id).response.header.session_id
        elif state == "ScheduleExchange":
            self.say(schedule_request(self.control_mode))
            self.set(offer=OFFER)
        elif state == "CableCheck":
            self.set(pilot=PilotState.C)
            self.say(dc.DC_CableCheckReq(header()))
            self.set(cable_check=Step.DONE)
        elif state == "PowerDelivery":
            self.set(precharge=Step.DONE)
            plan = profile(1 if self.control_mode == SCHEDULED else None, (3600, 10_000.0))
            self.say(power_delivery(plan=plan))
        else:
            self.say(self._usual(state))

    def _usual(self, state: str) -> Message:
        tuple_id = 1 if self.control_mode == SCHEDULED else None
        usual: dict[str, Callable[[], Message]] = {
            "AuthorizationSetup": lambda: cm.AuthorizationSetupReq(header()),
            "Authorization": eim,
            "ServiceDiscovery": lambda: cm.ServiceDiscoveryReq(header()),
            "ServiceDetail": lambda: cm.ServiceDetailReq(header(), self.service),
            "ServiceSelection": lambda: selection(self.service, self.control_mode),
            "ChargeParameterDiscovery": lambda: dc.DC_ChargeParameterDiscoveryReq(
                header(), cpd_mode(self.bidirectional)
            ),
            "PreCharge": lambda: dc.DC_PreChargeReq(header(), Processing.Finished, n(398.0), n(400.0)),
            "ChargeLoop": lambda: power_delivery(cm.ChargeProgress.Stop),
            "WeldingDetection": lambda: dc.DC_WeldingDetectionReq(header(), Processing.Finished),
            "SessionStop": stop,
            "Standby": lambda: power_delivery(cm.ChargeProgress.Stop),
            "ScheduleRenegotiation": lambda: schedule_request(self.control_mode),
            "Renegotiated": lambda: power_delivery(plan=profile(tuple_id, (60, 1e3))),
        }
        return usual[state]()


def sap_request(*entries: tuple[str, int, int, int, int]) -> app_protocol.SupportedAppProtocolReq:
    """Entries are (namespace, major, minor, schema id, priority)."""
    return app_protocol.SupportedAppProtocolReq([app_protocol.AppProtocol(*entry) for entry in entries])


NS_DC = "urn:iso:std:iso:15118:-20:DC"
NS_AC = "urn:iso:std:iso:15118:-20:AC"


def frame(message: Message, payload_type: int | None = None) -> bytes:
    chosen = PAYLOAD_OF_SCHEMA[message.SCHEMA] if payload_type is None else payload_type
    return encode_frame(chosen, encode(message))


def connection(
    config: SeccConfig | None = None,
    transport: Transport = Transport.TLS_1_3_MUTUAL,
    opened_s: float = 1000.0,
    setup_deadline_s: float | None = None,
    around: Surroundings = NOBODY,
    large_bytes: int | None = None,
) -> Connection:
    return Connection(
        config or SeccConfig(), transport, random_bytes(), opened_s, setup_deadline_s, large_bytes, around
    )


def negotiated(config: SeccConfig | None = None) -> tuple[Connection, bytes]:
    """A connection behind SAP and SessionSetup, and its session id."""
    link = connection(config)
    link.receive(frame(sap_request((NS_DC, 1, 0, 3, 1))), SNAPSHOT, 1000.0)
    (output,) = link.receive(frame(cm.SessionSetupReq(header(), "EV1")), SNAPSHOT, 1000.1)
    return link, read(output).header.session_id


def read(output: Output) -> Any:
    """The message that an output sends."""
    assert output.data is not None
    (sent,) = FrameReader().feed(output.data)
    if sent.payload_type == PayloadType.APP_PROTOCOL:
        return decode(Schema.APP_PROTOCOL, sent.payload)
    return decode(SCHEMA_OF_PAYLOAD[sent.payload_type], sent.payload)
