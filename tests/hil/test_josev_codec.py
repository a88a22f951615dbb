"""Our codec in the shape of the independent vehicle's codec interface."""

import json

import pytest

from evse_controller.messages import ExiError, Schema, decode
from hil.peers.josev import NativeExiCodec
from tests.campaign.exi_vectors import read_vectors


def test_json_and_exi_both_ways() -> None:
    codec = NativeExiCodec()
    for number, (message, data) in enumerate(read_vectors()):
        if number % 10 == 0:
            text = codec.decode(data, message.SCHEMA.namespace)
            assert list(json.loads(text)) == [message.ELEMENT]
            assert codec.encode(text, message.SCHEMA.namespace) == data


def test_what_the_peer_sends_first() -> None:
    entry = {"ProtocolNamespace": "urn:iso:std:iso:15118:-20:DC", "VersionNumberMajor": 1, "VersionNumberMinor": 0,
             "SchemaID": 1, "Priority": 1}
    text = json.dumps({"supportedAppProtocolReq": {"AppProtocol": [entry]}})
    data = NativeExiCodec().encode(text, "urn:iso:15118:2:2010:AppProtocol")
    assert decode(Schema.APP_PROTOCOL, data)
    assert json.loads(NativeExiCodec().decode(bytearray(data), "urn:iso:15118:2:2010:AppProtocol")) == json.loads(text)


def test_errors_and_version() -> None:
    codec = NativeExiCodec()
    assert codec.get_version().startswith("evse-controller ")
    with pytest.raises(ExiError, match="no coders for namespace"):
        codec.decode(b"\x80\x00", "urn:unknown")
    with pytest.raises(ExiError):
        codec.decode(b"\x80", "urn:iso:std:iso:15118:-20:DC")
