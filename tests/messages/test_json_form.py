"""The JSON form: the shape of the bridge in the package iso15118, and the places where that bridge loses something."""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from evse_controller.messages import ExiError, Schema, encode, from_json, to_json
from tests.campaign.exi_messages import MessageMaker
from tests.campaign.exi_oracle import Unavailable, java_present
from tests.campaign.json_bridge import Bridge, apart, as_seen, difference, refused, roots

HEADER = {"SessionID": "0011223344556677", "TimeStamp": 1}
SIGNED_INFO = {
    "CanonicalizationMethod": {"Algorithm": "http://www.w3.org/TR/canonical-exi/"},
    "SignatureMethod": {"Algorithm": "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512", "HMACOutputLength": [1]},
    "Reference": [{"URI": "#id1", "DigestMethod": {"Algorithm": "http://www.w3.org/2001/04/xmlenc#sha512"},
                   "DigestValue": "AAEC"}],
}
KEY_VALUE = [{"RSAKeyValue": [{"Modulus": "AAEC", "Exponent": "AQAB"}]}]
SIGNED = {"SessionStopReq": {
    "Header": {**HEADER, "Signature": {"SignedInfo": SIGNED_INFO, "SignatureValue": {"value": "AAEC"},
                                       "KeyInfo": {"KeyValue": KEY_VALUE, "PGPData": [{"PGPKeyID": ["AA=="]}]}}},
    "ChargingSession": "Terminate"}}
SAP_RESPONSE = {"supportedAppProtocolRes": {"ResponseCode": "Failed_NoNegotiation"}}
PRICED = {"SalesTariffEntry": {"RelativeTimeInterval": {"start": 0}}}
SIXTEEN = {"V2G_Message": {"Header": {"SessionID": "00"}, "Body": {"PaymentServiceSelectionReq": {
    "SelectedPaymentOption": "Contract", "SelectedServiceList": {"SelectedService": [{"ServiceID": 1}] * 16}}}}}
DIN_WITH_ID = {"V2G_Message": {"Header": {"SessionID": "00"}, "Body": {"ContractAuthenticationReq": {"Id": "id1"}}}}
PLUGGED = {"ACDP_DisconnectReq": {"Header": HEADER, "EVElectricalChargingDeviceStatus": "State_C"}}


def there_and_back(schema: Schema, form: Any) -> Any:
    return to_json(from_json(schema, json.loads(json.dumps(form))))


def test_shape_of_lists_values_and_empty_elements() -> None:
    assert there_and_back(Schema.ISO20_COMMON, SIGNED) == SIGNED
    empty = {"AuthorizationReq": {
        "Header": HEADER, "SelectedAuthorizationService": "EIM", "EIM_AReqAuthorizationMode": {}}}
    assert there_and_back(Schema.ISO20_COMMON, empty) == empty
    din = {"V2G_Message": {"Header": {"SessionID": "00"}, "Body": {"ServiceDetailRes": {
        "ResponseCode": "OK", "ServiceID": 1, "ServiceParameterList": {"ParameterSet": [
            {"ParameterSetID": 1, "Parameter": [{"Name": "a", "ValueType": "physicalValue",
                                                 "physicalValue": {"Multiplier": 0, "Unit": "W/s", "Value": 1}}]}]}}}}}
    assert there_and_back(Schema.DIN70121, din) == din


def test_single_elements_of_mixed_signature_types_are_lists_and_read_either_way() -> None:
    plain = json.loads(json.dumps(SIGNED).replace("[1]", "1").replace('["AA=="]', '"AA=="'))
    key_info = plain["SessionStopReq"]["Header"]["Signature"]["KeyInfo"]
    key_info["KeyValue"] = [{"RSAKeyValue": KEY_VALUE[0]["RSAKeyValue"][0]}]
    assert plain != SIGNED
    assert there_and_back(Schema.ISO20_COMMON, plain) == SIGNED
    twice = json.loads(json.dumps(SIGNED).replace("[1]", "[1, 2]"))
    with pytest.raises(ExiError, match="not a value of type integer") as caught:
        from_json(Schema.ISO20_COMMON, twice)
    assert caught.value.path.endswith("/SignatureMethod/HMACOutputLength")


def test_characters_without_attributes_may_come_as_plain_text() -> None:
    short = json.loads(json.dumps(SIGNED).replace('{"value": "AAEC"}', '"AAEC"'))
    assert there_and_back(Schema.ISO20_COMMON, short) == SIGNED
    with pytest.raises(ExiError, match="an object is expected"):
        from_json(Schema.ISO20_COMMON, {"SessionStopReq": "text"})


def test_an_error_names_the_item_of_a_list() -> None:
    entry = {"ProtocolNamespace": "a", "VersionNumberMajor": 1, "VersionNumberMinor": 0, "SchemaID": 1, "Priority": 1}
    form = {"supportedAppProtocolReq": {"AppProtocol": [entry, {**entry, "Priority": "high"}]}}
    with pytest.raises(ExiError) as caught:
        from_json(Schema.APP_PROTOCOL, form)
    assert caught.value.path == "supportedAppProtocolReq/AppProtocol[1]/Priority"
    assert caught.value.schema == "APP_PROTOCOL"


def test_absent_stays_absent() -> None:
    """The bridge makes zeroes of these (difference 1), we do not."""
    assert there_and_back(Schema.APP_PROTOCOL, SAP_RESPONSE) == SAP_RESPONSE
    assert there_and_back(Schema.ISO2, PRICED) == PRICED


@pytest.fixture(scope="module")
def bridge() -> Iterator[Bridge]:
    if not java_present() or shutil.which("javac") is None:
        pytest.skip("the bridge needs java and javac on the PATH; the other tests here hold its shape without it")
    try:
        running = Bridge()
    except Unavailable as reason:
        pytest.fail(f"Java is present, so the comparison with the bridge has to run: {reason}")
    with running:
        yield running


@pytest.mark.peer
def test_json_is_the_bridges(bridge: Bridge) -> None:
    """One message of each schema; the campaign `json_bridge` takes every element."""
    maker, compared = MessageMaker(3), 0
    for schema in Schema:
        for cls in roots(schema)[:1]:
            message = maker.make(cls)
            assert refused(message) or difference(bridge, message) == ""
            compared += not refused(message)
    assert compared >= 7


@pytest.mark.peer
def test_the_bridge_makes_absent_numbers_zero(bridge: Bridge) -> None:
    data = encode(from_json(Schema.APP_PROTOCOL, SAP_RESPONSE))
    theirs = {"supportedAppProtocolRes": {"ResponseCode": "Failed_NoNegotiation", "SchemaID": 0}}
    assert bridge.decode(Schema.APP_PROTOCOL, data) == theirs == as_seen(SAP_RESPONSE, Schema.APP_PROTOCOL)
    assert bridge.encode(Schema.APP_PROTOCOL, SAP_RESPONSE) == encode(from_json(Schema.APP_PROTOCOL, theirs)) != data


@pytest.mark.peer
def test_the_bridge_refuses_ids_of_din(bridge: Bridge) -> None:
    message = from_json(Schema.DIN70121, DIN_WITH_ID)
    assert refused(message)
    with pytest.raises(RuntimeError):
        bridge.decode(Schema.DIN70121, encode(message))


@pytest.mark.peer
def test_the_bridge_ends_full_lists_wrongly(bridge: Bridge) -> None:
    message = from_json(Schema.ISO2, SIXTEEN)
    assert refused(message)
    with pytest.raises(RuntimeError, match="Premature EOS"):
        bridge.decode(Schema.ISO2, encode(message))
    theirs, ours = bridge.encode(Schema.ISO2, SIXTEEN), encode(message)
    assert theirs != ours
    assert theirs[:36] == ours[:36]  # up to the end of the sixteenth service


@pytest.mark.peer
def test_the_bridge_cannot_encode_acdp(bridge: Bridge) -> None:
    data = encode(from_json(Schema.ISO20_ACDP, PLUGGED))
    assert apart(bridge.decode(Schema.ISO20_ACDP, data), PLUGGED) == ""
    assert bridge.encode(Schema.ISO20_ACDP, PLUGGED) != data


@pytest.mark.peer
def test_the_bridge_cannot_carry_what_xml_cannot_and_writes_empty_strings_otherwise(bridge: Bridge) -> None:
    def named(text: str) -> Any:
        return {"SessionSetupReq": {"Header": HEADER, "EVCCID": text}}

    nul, empty = (from_json(Schema.ISO20_COMMON, named(text)) for text in ("\0", ""))
    assert to_json(nul) == named("\0")
    with pytest.raises(RuntimeError):
        bridge.decode(Schema.ISO20_COMMON, encode(nul))
    assert bridge.encode(Schema.ISO20_COMMON, named("")) != encode(empty)
