"""Requests of services that are not offered get their paired refusal: WPT, ACDP, AC_DER (F.2 cases 16 and 17)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evse_controller.messages import decode, encode
from evse_controller.messages.base import Field, Kind, Message, Node
from evse_controller.messages.generated import ac, acdp, wpt
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.secc.iso20.fillers import UnpairedMessage, refusal
from evse_controller.secc.iso20.fillers_ac import AC_FILLERS
from evse_controller.secc.iso20.fillers_other import fill, paired_response
from evse_controller.secc.reply import CloseReason
from evse_controller.secc.v2gtp import PayloadType, encode_frame
from tests.secc.ev import SNAPSHOT, Bench, every_request, frame, header, negotiated, read

REPOSITORY = Path(__file__).parents[2]


def least(kind: type[Node]) -> Any:
    """An object with the least that its schema demands."""
    values: dict[str, Any] = {}
    for field in kind.FIELDS:
        if field.low and field.name != "header":
            one = least_value(field)
            values[field.name] = [one] * field.low if field.high > 1 else one
            if field.choice:
                break
    if any(field.name == "header" for field in kind.FIELDS):
        values["header"] = header()
    return kind(**values)


def least_value(field: Field) -> Any:
    kind = field.type
    if isinstance(kind, Kind):
        simple = {"boolean": False, "integer": kind.low if (kind.low or 0) > 0 else 0, "string": "x"}
        return simple.get(kind.base, bytes(kind.min_length))
    if isinstance(kind, dict):
        return least(next(iter(kind.values())))
    return least(kind) if issubclass(kind, Node) else next(iter(kind))


FOREIGN = [
    kind for module in (acdp, wpt) for kind in module.ROOT_ENCODERS if kind.ELEMENT.endswith("Req")
]


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.ELEMENT)
@pytest.mark.parametrize("state", ["AuthorizationSetup", "ServiceSelection", "ChargeLoop"])
def test_case_17_requests_of_other_services_get_their_own_refusal(kind: type[Message], state: str) -> None:
    bench = Bench().to(state)
    reply = bench.ask(least(kind))  # asserts the pairing and that the response encodes
    response: Any = reply.response
    assert response.response_code is ResponseCode.FAILED_SequenceError
    assert response.header.session_id == bench.session_id
    assert reply.close is CloseReason.FAILED
    assert bench.state == "Ended"


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.ELEMENT)
def test_case_16_foreign_session_ids_are_found_first_there_too(kind: type[Message]) -> None:
    reply = Bench().to("ChargeParameterDiscovery").ask(least(kind), b"\xff" * 8)
    assert reply.response is not None
    assert reply.response.response_code is ResponseCode.FAILED_UnknownSession  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "payload_type"),
    [
        (acdp.ACDP_ConnectReq, PayloadType.ISO20_ACDP),
        (acdp.ACDP_SystemStatusReq, PayloadType.ACDP_SYSTEM_STATUS),
        (wpt.WPT_PairingReq, PayloadType.ISO20_WPT),
    ],
)
def test_case_17_the_refusal_has_the_payload_type_that_was_asked(kind: type[Message], payload_type: int) -> None:
    link, session_id = negotiated()
    request = least(kind)
    request.header.session_id = session_id
    (output,) = link.receive(encode_frame(payload_type, encode(request)), SNAPSHOT, 1000.2)
    assert output.payload_type == payload_type
    assert read(output).response_code is ResponseCode.FAILED_SequenceError
    assert frame(read(output), payload_type) == output.data


@pytest.mark.parametrize("kind", [acdp.ACDP_ConnectRes, wpt.WPT_PairingRes], ids=lambda kind: kind.ELEMENT)
def test_a_response_from_an_ev_has_no_answer(kind: type[Message]) -> None:
    with pytest.raises(UnpairedMessage):
        refusal(least(kind), ResponseCode.FAILED, header())


@pytest.mark.parametrize(
    "request_",
    [request for request in every_request() if request.ELEMENT in AC_FILLERS],
    ids=lambda request: type(getattr(request, request.FIELDS[-1].name)).__name__,
)
def test_the_general_way_mirrors_variants_as_the_special_one_does(request_: Message) -> None:
    """AC_DER has loops of many variants, which no test here knows: AC stands for it."""
    kind = paired_response(request_)
    assert kind is not None
    general: Any = fill(kind, request_, header(), ResponseCode.FAILED)
    special: Any = AC_FILLERS[request_.ELEMENT](request_, header(), ResponseCode.FAILED)
    assert general == special
    assert decode(general.SCHEMA, encode(general)) == general


DER = """
from evse_controller.messages import decode, encode
from evse_controller.messages.base import Schema
from evse_controller.messages.generated import ac_der_iec as der
from evse_controller.messages.rational import rational_nearest as n
from evse_controller.secc.v2gtp import PayloadType, encode_frame, schema_of
from tests.secc.ev import SNAPSHOT, FrameReader, header, negotiated

link, session_id = negotiated()
request = der.AC_ChargeParameterDiscoveryReq(header(session_id), der.AC_CPDReqEnergyTransferMode(n(1), n(0)))
assert request.SCHEMA is schema_of(0x8010) is Schema.of("urn:iso:std:iso:15118:-20:AC-DER-IEC")
(output,) = link.receive(encode_frame(0x8010, encode(request)), SNAPSHOT, 1000.2)
(sent,) = FrameReader().feed(output.data)
response = decode(request.SCHEMA, sent.payload)
module = type(response).__module__.rpartition(".")[2]
print(hex(sent.payload_type), module, response.ELEMENT, response.response_code.name)
"""


def test_case_17_ac_der_is_refused_in_kind_once_a_user_has_generated_its_messages(tmp_path: Path) -> None:
    """The schemas of Amendment 1 are not ours to ship; the AC messages under its namespace take their place."""
    source = Path(str(ac.__file__)).read_text()
    declared = 'Schema.declare("AC_DER_IEC", "urn:iso:std:iso:15118:-20:AC-DER-IEC", "ac_der_iec")'
    (tmp_path / "ac_der_iec.py").write_text(source.replace("Schema.ISO20_AC", declared))
    environment = os.environ | {"EVSE_CONTROLLER_SCHEMAS": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    found = subprocess.run(
        [sys.executable, "-c", DER], env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert found.stdout.split() == [
        "0x8010", "ac_der_iec", "AC_ChargeParameterDiscoveryRes", "FAILED_SequenceError"
    ], found.stderr


def test_case_01_ac_der_is_an_unknown_payload_type_while_nobody_has_generated_it() -> None:
    link, _ = negotiated()
    assert link.receive(encode_frame(PayloadType.ISO20_DER_IEC, b"\x80"), SNAPSHOT, 1000.2) == []
    assert link.ignored == {"unknown payload type": 1}
