"""MeteringConfirmation and what goes before it: protocol.md B.10, [V2G20-1081] to [V2G20-1083], [V2G20-1833]."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.identity import XmlSignatures
from evse_controller.messages.base import Message, Node
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import EvseNotification, MeterInfo, ResponseCode
from evse_controller.messages.generated.xmldsig import (
    CanonicalizationMethod,
    DigestMethod,
    Reference,
    Signature,
    SignatureMethod,
    SignatureValue,
    SignedInfo,
)
from evse_controller.model import commands as c
from evse_controller.model.contract import SignatureCheck
from evse_controller.model.snapshot import MeterTotals, Notification
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.streams import Stream
from evse_controller.secc.surroundings import Peer, Surroundings
from tests.secc.ev import UTC_S, Bench, header, loop, power_delivery, stop

INVALID = ResponseCode.FAILED_MeteringSignatureNotValid
SIGNATURE = Signature(
    SignedInfo(
        CanonicalizationMethod("http://www.w3.org/TR/canonical-exi/"),
        SignatureMethod("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512"),
        [Reference(DigestMethod("http://www.w3.org/2001/04/xmlenc#sha512"), bytes(64), uri="#id1")],
    ),
    SignatureValue(bytes(132)),
)


class Checker:
    """Says of every signature what it was told to say, and remembers what it was asked."""

    def __init__(self, verdict: str | None) -> None:
        self.verdict = verdict
        self.asked: list[str] = []

    def verify(self, message: Message, signed: Node, certificate_der: bytes) -> SignatureCheck:
        assert isinstance(message, cm.MeteringConfirmationReq)
        assert signed is message.signed_metering_data
        assert certificate_der == b"contract"
        self.asked.append(message.signed_metering_data.id)
        return SignatureCheck(self.verdict)

    def covers(self, message: Message, signed: Node) -> str | None:
        assert isinstance(message, cm.MeteringConfirmationReq)
        assert signed is message.signed_metering_data
        self.asked.append(f"{signed.id} without a key")
        return self.verdict


def asked(contract: bool = False, **kinds: object) -> tuple[Bench, MeterInfo]:
    """The station asks the EV to confirm a reading; the reading as told."""
    bench = Bench(**kinds).to("ChargeLoop")  # type: ignore[arg-type]
    bench.session._data.contract_der = b"contract" if contract else None
    bench.say(loop())
    bench.set(notification=Notification.METERING_CONFIRMATION, notification_max_delay_s=60)
    answer = bench.after(0.25).say(loop())
    assert answer.evse_status.evse_notification is EvseNotification.MeteringConfirmation
    return bench, answer.meter_info


def confirmation(
    bench: Bench, info: MeterInfo, signed: bool = False, session_id: bytes | None = None
) -> cm.MeteringConfirmationReq:
    data = cm.SignedMeteringData(
        "id1",
        bench.session_id if session_id is None else session_id,
        info,
        scheduled_smdt_control_mode=cm.Scheduled_SMDTControlMode(1),
    )
    request = cm.MeteringConfirmationReq(header(), data)
    request.header.signature = SIGNATURE if signed else None
    return request


@pytest.mark.parametrize("stream", [Stream.METERING, Stream.MAIN])
def test_a_reading_that_was_told_is_confirmed_beside_the_loop(stream: Stream) -> None:
    bench, info = asked()
    deadline_s = bench.session.deadline_s
    answer = bench.after(0.125).say(confirmation(bench, info), stream)
    assert (answer.response_code, bench.state) == (ResponseCode.OK, "ChargeLoop")
    (confirmed,) = bench.commands_of(c.MeterConfirmed)
    assert confirmed == c.MeterConfirmed("METER-1", 1234, 567, int(UTC_S), signed=False)
    if stream is Stream.METERING:
        assert bench.session.deadline_s == deadline_s


@pytest.mark.parametrize("contract", [b"contract", None])
def test_a_joined_session_knows_the_contract_that_pays_for_it(contract: bytes | None) -> None:
    """After a resume a reading is verified by the contract's key as before the pause, and not without a signature."""
    shelf: dict[str, c.PausedSession] = {}
    checker = Checker(None)
    around = Surroundings(Peer(bytes(64)), shelf.get, signatures=checker)
    bench = Bench(around=around).to("ChargeLoop")
    bench.session._data.contract_der = contract
    bench.set(pause_allowed=True, notification=Notification.PAUSE, notification_max_delay_s=60)
    bench.say(loop())
    bench.say(power_delivery(cm.ChargeProgress.Stop))
    bench.to("SessionStop").say(stop(cm.ChargingSession.Pause))
    (kept,) = bench.commands_of(c.ContextKept)
    assert b"contract" not in repr(kept).encode()
    shelf[kept.context.session_id] = kept.context
    again = Bench(around=around, asked_id=bench.session_id).to("ChargeLoop")
    again.say(loop())
    again.set(notification=Notification.METERING_CONFIRMATION, notification_max_delay_s=60)
    info = again.after(0.25).say(loop()).meter_info
    signed = again.say(confirmation(again, info, signed=True)).response_code
    assert signed is ResponseCode.OK
    assert checker.asked == (["id1 without a key"] if contract is None else ["id1"])
    assert [each.signed for each in again.commands_of(c.MeterConfirmed)] == [contract is not None]
    unsigned = again.say(confirmation(again, info)).response_code
    assert unsigned is (ResponseCode.OK if contract is None else INVALID)


def test_an_older_reading_may_be_confirmed_while_newer_ones_are_told() -> None:
    bench, info = asked()
    bench.set(meter=MeterTotals("METER-1", 2000.0, 567.8, UTC_S + 5))
    assert bench.say(loop()).meter_info.charged_energy_reading_wh == 2000
    assert bench.say(confirmation(bench, info), Stream.METERING).response_code is ResponseCode.OK
    assert bench.commands_of(c.MeterConfirmed)[0].charged_wh == 1234


def test_nothing_is_confirmed_that_nobody_asked_for() -> None:
    """[V2G20-1083]"""
    bench = Bench().to("ChargeLoop")
    info = bench.say(loop()).meter_info
    code = bench.say(confirmation(bench, info), Stream.METERING).response_code
    assert code is ResponseCode.FAILED_SequenceError


@pytest.mark.parametrize("change", [{"charged_energy_reading_wh": 1}, {"meter_id": "M"}, {"meter_timestamp": 1}])
def test_a_reading_that_was_never_told_is_not_confirmed(change: dict[str, object]) -> None:
    bench, info = asked()
    values = {spec.name: getattr(info, spec.name) for spec in info.FIELDS}
    wrong = MeterInfo(**{**values, **change})
    assert bench.say(confirmation(bench, wrong), Stream.METERING).response_code is ResponseCode.FAILED
    assert bench.commands_of(c.MeterConfirmed) == []


def test_a_reading_of_another_session_is_not_confirmed() -> None:
    bench, info = asked()
    request = confirmation(bench, info, session_id=b"\x09" * 8)
    assert bench.say(request, Stream.METERING).response_code is ResponseCode.FAILED


@pytest.mark.parametrize(
    ("signed", "verdict", "code"),
    [
        (True, None, ResponseCode.OK),
        (True, "digest differs", INVALID),
        (False, None, INVALID),
    ],
)
def test_with_a_contract_the_signature_is_due_and_verified(
    signed: bool, verdict: str | None, code: ResponseCode
) -> None:
    checker = Checker(verdict)
    bench, info = asked(contract=True, around=Surroundings(signatures=checker))
    assert bench.say(confirmation(bench, info, signed), Stream.METERING).response_code is code
    assert checker.asked == (["id1"] if signed else [])
    assert [command.signed for command in bench.commands_of(c.MeterConfirmed)] == ([True] if code < INVALID else [])


def test_a_signature_that_nobody_can_check_is_not_valid() -> None:
    bench, info = asked(contract=True)
    assert bench.say(confirmation(bench, info, signed=True), Stream.METERING).response_code is INVALID


@pytest.mark.parametrize("signed", [False, True])
def test_without_a_contract_a_signature_proves_nothing_and_is_not_due(signed: bool) -> None:
    bench, info = asked()
    assert bench.say(confirmation(bench, info, signed), Stream.METERING).response_code is ResponseCode.OK
    assert not bench.commands_of(c.MeterConfirmed)[0].signed
    bench, info = asked(config=SeccConfig(metering_confirmation_signed=True))
    assert bench.say(confirmation(bench, info, signed), Stream.METERING).response_code is INVALID


@pytest.mark.parametrize("verdict", [None, "digest differs"])
def test_without_a_contract_a_signature_that_is_there_has_to_cover_the_reading(verdict: str | None) -> None:
    checker = Checker(verdict)
    bench, info = asked(around=Surroundings(signatures=checker))
    code = bench.say(confirmation(bench, info, signed=True), Stream.METERING).response_code
    assert code is (ResponseCode.OK if verdict is None else INVALID)
    assert checker.asked == ["id1 without a key"]
    assert [command.signed for command in bench.commands_of(c.MeterConfirmed)] == ([False] if verdict is None else [])


def test_garbage_in_place_of_a_signature_is_refused_whatever_authorised_the_session() -> None:
    bench, info = asked(around=Surroundings(signatures=XmlSignatures()))
    assert bench.say(confirmation(bench, info, signed=True), Stream.METERING).response_code is INVALID


def test_a_reading_is_confirmed_once_for_each_time_that_it_is_asked_for() -> None:
    bench, info = asked()
    for _ in range(3):
        assert bench.say(confirmation(bench, info), Stream.METERING).response_code is ResponseCode.OK
        bench.after(0.25).say(loop())
    assert len(bench.commands_of(c.MeterConfirmed)) == 1
    bench.set(notification=None)
    bench.say(loop())
    bench.set(notification=Notification.METERING_CONFIRMATION)
    bench.say(loop())
    assert bench.say(confirmation(bench, info), Stream.METERING).response_code is ResponseCode.OK
    assert len(bench.commands_of(c.MeterConfirmed)) == 2


def test_a_confirmation_is_of_the_selected_control_mode() -> None:
    bench, info = asked()
    request = confirmation(bench, info)
    request.signed_metering_data.scheduled_smdt_control_mode = None
    request.signed_metering_data.dynamic_smdt_control_mode = cm.Dynamic_SMDTControlMode()
    assert bench.say(request, Stream.METERING).response_code is ResponseCode.FAILED
    assert bench.commands_of(c.MeterConfirmed) == []


def test_without_a_meter_no_confirmation_is_asked_for() -> None:
    bench = Bench()
    bench.set(meter=None)
    bench.to("ChargeLoop").set(notification=Notification.METERING_CONFIRMATION)
    assert bench.say(loop()).evse_status is None


@pytest.mark.parametrize(
    "state", ["Standby", "ScheduleRenegotiation", "Renegotiated", "WeldingDetection", "SessionStop"]
)
def test_a_confirmation_that_is_late_is_heard_too(state: str) -> None:
    bench, info = asked()
    bench.set(notification=None)
    if state in ("WeldingDetection", "SessionStop"):
        bench.to(state)
    else:
        bench._hold(state)
    assert bench.say(confirmation(bench, info), Stream.METERING).response_code is ResponseCode.OK
    assert bench.state == state


def test_meter_info_comes_unasked_in_the_first_loop_of_each_service() -> None:
    """[V2G20-1833]; both directions in a bidirectional service, charging alone in another."""
    bench = Bench().to("ChargeLoop")
    assert bench.say(loop()).meter_info.bpt_discharged_energy_reading_wh == 567
    assert bench.say(loop()).meter_info is None
    bench.to("SessionStop").say(cm.SessionStopReq(header(), cm.ChargingSession.ServiceRenegotiation))
    bench.service = 2
    bench.snapshot = replace(bench.snapshot, offer=None)
    bench.to("ChargeLoop")
    info = bench.say(loop(1, False)).meter_info
    assert (info.charged_energy_reading_wh, info.bpt_discharged_energy_reading_wh) == (1234, None)
