"""The encoder refuses what the schema forbids and says where."""

import time
from typing import Any

import pytest

from evse_controller.messages import ExiError, Message, Schema, decode, encode, from_json, schema_of
from evse_controller.messages.generated import iso2, xmldsig
from evse_controller.messages.generated.app_protocol import AppProtocol, SupportedAppProtocolReq
from evse_controller.messages.generated.common_messages import (
    Authorization,
    AuthorizationReq,
    EIM_AReqAuthorizationMode,
    Parameter,
    ParameterSet,
    ServiceDetailRes,
    ServiceParameterList,
    SessionSetupReq,
    SessionStopRes,
)
from evse_controller.messages.generated.common_types import MessageHeader, RationalNumber, ResponseCode
from evse_controller.messages.generated.dc import DC_ChargeLoopReq, DC_ChargeParameterDiscoveryReq, DC_PreChargeRes

JSON_HEADER = {"SessionID": "00", "TimeStamp": 1}
HEADER = MessageHeader(session_id=bytes(8), time_stamp=1)
ZERO = RationalNumber(0, 0)


def protocol(**changes: Any) -> Message:
    values: dict[str, Any] = {
        "protocol_namespace": "urn:x",
        "version_number_major": 1,
        "version_number_minor": 0,
        "schema_id": 1,
        "priority": 1,
    }
    return SupportedAppProtocolReq([AppProtocol(**values), AppProtocol(**(values | changes))])


def parameters(**changes: Any) -> Message:
    inner = ServiceParameterList([ParameterSet(1, [Parameter("a", int_value=1), Parameter("b", **changes)])])
    return ServiceDetailRes(HEADER, ResponseCode.OK, 5, inner)


def header(**changes: Any) -> Message:
    return SessionStopRes(MessageHeader(**({"session_id": bytes(8), "time_stamp": 1} | changes)), ResponseCode.OK)


CASES: list[tuple[Message, str]] = [
    (protocol(priority=0), "supportedAppProtocolReq/AppProtocol[1]/Priority"),
    (protocol(priority=21), "supportedAppProtocolReq/AppProtocol[1]/Priority"),
    (protocol(priority=True), "supportedAppProtocolReq/AppProtocol[1]/Priority"),
    (protocol(priority=1.0), "supportedAppProtocolReq/AppProtocol[1]/Priority"),
    (protocol(version_number_major=2**32), "supportedAppProtocolReq/AppProtocol[1]/VersionNumberMajor"),
    (protocol(version_number_major=-1), "supportedAppProtocolReq/AppProtocol[1]/VersionNumberMajor"),
    (protocol(protocol_namespace="x" * 101), "supportedAppProtocolReq/AppProtocol[1]/ProtocolNamespace"),
    (protocol(protocol_namespace="\ud800"), "supportedAppProtocolReq/AppProtocol[1]/ProtocolNamespace"),
    (protocol(protocol_namespace=b"x"), "supportedAppProtocolReq/AppProtocol[1]/ProtocolNamespace"),
    (SupportedAppProtocolReq([]), "supportedAppProtocolReq/AppProtocol"),
    (SupportedAppProtocolReq([None] * 21), "supportedAppProtocolReq/AppProtocol"),  # type: ignore[list-item]
    (SupportedAppProtocolReq(None), "supportedAppProtocolReq/AppProtocol"),  # type: ignore[arg-type]
    (header(session_id=bytes(7)), "SessionStopRes/Header/SessionID"),
    (header(session_id="00"), "SessionStopRes/Header/SessionID"),
    (header(time_stamp=None), "SessionStopRes/Header/TimeStamp"),
    (header(time_stamp=2**64), "SessionStopRes/Header/TimeStamp"),
    (SessionStopRes(HEADER, 1), "SessionStopRes/ResponseCode"),  # type: ignore[arg-type]
    (SessionStopRes(None, ResponseCode.OK), "SessionStopRes/Header"),  # type: ignore[arg-type]
    (SessionSetupReq(HEADER, None), "SessionSetupReq/EVCCID"),  # type: ignore[arg-type]
    (parameters(), "ServiceDetailRes/ServiceParameterList/ParameterSet[0]/Parameter[1]"),
    (parameters(int_value=1, bool_value=True), "ServiceDetailRes/ServiceParameterList/ParameterSet[0]/Parameter[1]"),
    (parameters(byte_value=128), "ServiceDetailRes/ServiceParameterList/ParameterSet[0]/Parameter[1]/byteValue"),
    (parameters(short_value=-32769), "ServiceDetailRes/ServiceParameterList/ParameterSet[0]/Parameter[1]/shortValue"),
    (AuthorizationReq(HEADER, Authorization.EIM), "AuthorizationReq"),
    (AuthorizationReq(HEADER, Authorization.EIM, EIM_AReqAuthorizationMode(), 3), "AuthorizationReq"),  # type: ignore[arg-type]
    (DC_PreChargeRes(HEADER, ResponseCode.OK, RationalNumber(0, 40000)), "DC_PreChargeRes/EVSEPresentVoltage/Value"),
    (DC_PreChargeRes(HEADER, ResponseCode.OK, 400), "DC_PreChargeRes/EVSEPresentVoltage"),  # type: ignore[arg-type]
    (DC_ChargeLoopReq(HEADER, False, ZERO, ZERO), "DC_ChargeLoopReq/CLReqControlMode"),  # type: ignore[arg-type]
    (header(time_stamp=10**5000), "SessionStopRes/Header/TimeStamp"),
    (
        xmldsig.X509Data(x509_issuer_serial=[xmldsig.X509IssuerSerial("x", 2**203)]),
        "X509Data/X509IssuerSerial[0]/X509SerialNumber",
    ),
    (DC_ChargeParameterDiscoveryReq(HEADER, None), "DC_ChargeParameterDiscoveryReq/DC_CPDReqEnergyTransferMode"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("message", "path"), CASES)
def test_refused_with_the_path(message: Message, path: str) -> None:
    with pytest.raises(ExiError) as caught:
        encode(message)
    assert caught.value.path == path
    assert caught.value.schema == schema_of(message).name
    assert caught.value.offset is None
    assert caught.value.reason


def test_only_messages_are_encoded() -> None:
    with pytest.raises(ExiError, match="not a message"):
        encode(HEADER)  # type: ignore[arg-type]


def test_a_class_without_a_root_element_is_refused() -> None:
    class Own(SessionStopRes):
        """A class that no generated module knows."""

    with pytest.raises(ExiError, match="Own is the class of no element") as caught:
        encode(Own(HEADER, ResponseCode.OK))
    assert caught.value.schema == "ISO20_COMMON"
    with pytest.raises(ExiError, match="Message is the class of no element"):
        encode(Message())


def test_a_global_element_without_content_that_is_supported_is_no_document() -> None:
    with pytest.raises(ExiError, match="required content is missing, and foreign content not supported"):
        encode(xmldsig.SignatureProperty(target="x"))
    with pytest.raises(ExiError, match="KeyValue: element"):
        encode(xmldsig.KeyValue(xmldsig.DSAKeyValue(y=b"x"), xmldsig.RSAKeyValue(b"x", b"x")))


@pytest.mark.parametrize("serial", [2**203 - 1, -(2**203), 2**160, 0])
def test_a_serial_number_that_is_encoded_is_decoded(serial: int) -> None:
    message = xmldsig.X509Data(x509_issuer_serial=[xmldsig.X509IssuerSerial("x", serial)])
    assert decode(Schema.XMLDSIG, encode(message), strict=True) == message


@pytest.mark.parametrize("serial", [2**203, -(2**203) - 1, 1 << 400_000], ids=lambda value: str(value.bit_length()))
def test_a_serial_number_that_could_not_be_decoded_is_refused(serial: int) -> None:
    message = xmldsig.X509Data(x509_issuer_serial=[xmldsig.X509IssuerSerial("x", serial)])
    started = time.process_time()
    with pytest.raises(ExiError, match=r"is not an integer \(at most 203 bits\)") as caught:
        encode(message)
    assert time.process_time() - started < 0.1
    assert caught.value.path == "X509Data/X509IssuerSerial[0]/X509SerialNumber"


class Nameless:
    def __repr__(self) -> str:
        raise KeyError("no name")


@pytest.mark.parametrize(("value", "shown"), [
    (10**5000, "an integer of 16610 bits"), (-(10**5000), "an integer of 16610 bits"), (1 << 64, f"{1 << 64}"),
    ("x" * 10**6, "'" + "x" * 56 + "..."), ([HEADER] * 4, "a list of 4"), (HEADER, "a MessageHeader"),
    (Nameless(), "a Nameless"),
], ids=lambda value: type(value).__name__)
def test_the_reason_shows_a_wrong_value_whatever_it_is(value: Any, shown: str) -> None:
    with pytest.raises(ExiError) as caught:
        encode(header(time_stamp=value))
    assert caught.value.path == "SessionStopRes/Header/TimeStamp"
    assert caught.value.reason == f"{shown} is not an integer (0..18446744073709551615)"


def test_a_message_that_contains_itself_is_refused_and_can_be_shown() -> None:
    message = SessionStopRes(HEADER, ResponseCode.OK)
    message.header = message  # type: ignore[assignment]
    with pytest.raises(ExiError, match="a SessionStopRes is not a MessageHeader") as caught:
        encode(message)
    assert caught.value.path == "SessionStopRes/Header"
    assert repr(message) == "SessionStopRes(header=..., response_code=OK)"


@pytest.mark.parametrize("evse_id", ["DE*EVC", "x" * 38, ""])
def test_a_string_has_a_least_length_where_the_schema_says_so(evse_id: str) -> None:
    response = iso2.SessionSetupRes(iso2.ResponseCode.OK, evse_id)
    with pytest.raises(ExiError, match="is not a string of 7 to 37 characters") as caught:
        encode(iso2.V2G_Message(iso2.MessageHeader(bytes(8)), iso2.Body(response)))
    assert caught.value.path == "V2G_Message/Body/SessionSetupRes/EVSEID"


@pytest.mark.parametrize(
    ("form", "path"),
    [
        ({}, ""),
        ([], ""),
        ({"Nonsense": {}}, ""),
        ({"SessionSetupReq": []}, "SessionSetupReq"),
        ({"SessionSetupReq": {"EVCCID": "x"}}, "SessionSetupReq/Header"),
        ({"SessionSetupReq": {"Header": {"SessionID": "0g", "TimeStamp": 1}}}, "SessionSetupReq/Header/SessionID"),
        ({"SessionSetupReq": {"Header": {"SessionID": "00", "TimeStamp": "1"}}}, "SessionSetupReq/Header/TimeStamp"),
        ({"SessionStopRes": {"Header": JSON_HEADER, "ResponseCode": "?"}}, "SessionStopRes/ResponseCode"),
        ({"SessionStopRes": {"Header": JSON_HEADER, "ResponseCode": "OK", "X": 1}}, "SessionStopRes"),
    ],
)
def test_json_refused_with_the_path(form: Any, path: str) -> None:
    with pytest.raises(ExiError) as caught:
        from_json(Schema.ISO20_COMMON, form)
    assert caught.value.path == path
