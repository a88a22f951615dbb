"""The list of schema sets, and that each module has the document grammar that the protocols use on the wire."""

import copy
import pickle

import pytest

from evse_controller.exi.generator.modules import KNOWN
from evse_controller.messages import Schema
from evse_controller.messages.codec import coders


def test_the_generator_and_the_messages_know_the_same_schemas() -> None:
    generated = {(module.schema, module.root, module.name) for module in KNOWN if module.schema}
    assert {(schema.name, schema.namespace, schema.module) for schema in Schema} == generated


def test_a_schema_is_one_unchangeable_object() -> None:
    dc = Schema.of("urn:iso:std:iso:15118:-20:DC")
    assert dc is Schema.ISO20_DC is Schema["ISO20_DC"] is copy.deepcopy(dc) is pickle.loads(pickle.dumps(dc))
    assert repr(dc) == "Schema.ISO20_DC"
    with pytest.raises(AttributeError):
        dc.name = "other"
    with pytest.raises(LookupError):
        Schema.of("urn:nobody:has:this")
    with pytest.raises(KeyError):
        Schema["NONE"]
    with pytest.raises(ValueError, match="module is called DC already"):
        Schema.declare("DC", "urn:other:DC", "dc")


@pytest.mark.parametrize(
    ("schema", "bits", "roots"),
    [
        (Schema.APP_PROTOCOL, 2, {"supportedAppProtocolReq": 0, "supportedAppProtocolRes": 1}),
        (Schema.DIN70121, 7, {"V2G_Message": 77}),
        (Schema.ISO2, 7, {"V2G_Message": 76}),
        (Schema.XMLDSIG, 5, {}),
        (Schema.ISO20_COMMON, 6, {"SessionSetupReq": 35}),
        (Schema.ISO20_AC, 6, {}),
        (Schema.ISO20_DC, 6, {"DC_ChargeLoopReq": 13}),
        (Schema.ISO20_WPT, 6, {}),
        (Schema.ISO20_ACDP, 6, {
            "ACDP_ConnectReq": 0, "ACDP_ConnectRes": 1, "ACDP_DisconnectReq": 2, "ACDP_DisconnectRes": 3,
        }),
    ],
)
def test_document_grammars(schema: Schema, bits: int, roots: dict[str, int]) -> None:
    module = coders(schema)
    codes = {element: code for code, (element, _) in module.ROOT_DECODERS.items()}
    assert bits == module.DOCUMENT_BITS
    assert {element: codes[element] for element in roots} == roots
    assert {cls.ELEMENT: code for cls, (code, _) in module.ROOT_ENCODERS.items()} == codes
