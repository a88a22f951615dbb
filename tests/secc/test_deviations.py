"""Messages that break their schema but are understood: served and told by default, harmless, refused by a switch."""

from __future__ import annotations

import math
import random
from dataclasses import fields, is_dataclass, replace
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.app.describe import agreed_text, needs_text
from evse_controller.messages import decode, encode
from evse_controller.messages.base import Kind, Message, Node, Schema
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated import dc
from evse_controller.messages.generated.common_types import DisplayParameters, ResponseCode
from evse_controller.model import commands as c
from evse_controller.model.offer import PowerSlot
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.connection import Connection
from evse_controller.secc.output import Output
from evse_controller.secc.reply import CloseReason, Transport
from evse_controller.secc.v2gtp import PAYLOAD_OF_SCHEMA, PayloadType, encode_frame
from tests.campaign.secc_sequences import Wire
from tests.secc.ev import (
    DC,
    DC_BPT,
    DYNAMIC,
    NS_DC,
    OFFER,
    SCHEDULED,
    SNAPSHOT,
    Bench,
    every_request,
    frame,
    header,
    loop,
    negotiated,
    random_bytes,
    read,
    sap_request,
    schedule_request,
)


def deviating(session_id: bytes) -> bytes:
    return encode_frame(PayloadType.ISO20_COMMON, encode(cm.AuthorizationSetupReq(header(session_id))) + b"\0")


def test_a_request_that_breaks_its_schema_is_served_and_told_once() -> None:
    link, session_id = negotiated()
    (output,) = link.receive(deviating(session_id), SNAPSHOT, 1000.2)
    assert read(output).response_code is ResponseCode.OK
    assert output.event is not None
    assert output.event.deviations == ("AuthorizationSetupReq: 1 bytes behind the document",)
    (output,) = link.receive(frame(cm.AuthorizationReq(header(session_id), cm.Authorization.EIM,
                                   eim_areq_authorization_mode=cm.EIM_AReqAuthorizationMode())), SNAPSHOT, 1000.3)
    assert output.event is not None
    assert output.event.deviations == ()


def test_a_deviating_protocol_request_is_served_and_told() -> None:
    link = Connection(SeccConfig(), Transport.TLS_1_3_MUTUAL, random_bytes(), 1000.0)
    sap = encode_frame(PayloadType.APP_PROTOCOL, encode(sap_request((NS_DC, 1, 0, 3, 1))) + b"\0")
    (output,) = link.receive(sap, SNAPSHOT, 1000.0)
    assert output.event is not None
    assert output.event.response == "supportedAppProtocolRes"
    assert len(output.event.deviations) == 1


def test_the_switch_refuses_what_breaks_its_schema() -> None:
    """`lab-refuse-deviations`: for a conformance test a deviation is a message that does not decode."""
    link, session_id = negotiated(SeccConfig(refuse_deviations=True))
    (output,) = link.receive(deviating(session_id), SNAPSHOT, 1000.2)
    assert output.close is CloseReason.UNDECODABLE
    assert output.data is None
    assert output.event is not None
    assert "behind the document" in (output.event.reason or "")


@pytest.mark.parametrize(("padding", "handed_out"), [(1, False), (300, True)])
def test_only_longer_deviating_messages_are_handed_out(padding: int, handed_out: bool) -> None:
    """To locate all deviations takes many readings; a short message's are done within the call."""
    link = Connection(SeccConfig(), Transport.TLS_1_3_MUTUAL, random_bytes(), 1000.0, large_bytes=4096)
    sap = encode(sap_request((NS_DC, 1, 0, 3, 1))) + bytes(padding)
    (output,) = link.receive(encode_frame(PayloadType.APP_PROTOCOL, sap), SNAPSHOT, 1000.0)
    assert (output.work is not None) is handed_out
    if output.work is not None:
        (output,) = link.coded(output.work, output.work.run(), SNAPSHOT, 1000.1)
    assert output.event is not None
    assert f"{padding} bytes behind" in output.event.deviations[0]


def test_long_lists_of_deviations_are_told_shortly_and_escaped() -> None:
    link, session_id = negotiated()
    request = cm.AuthorizationSetupReq(header(session_id))
    request._deviations = tuple(_Found(f"A/{index}", index, "bell \a") for index in range(20))  # type: ignore[assignment]
    output = link._ask(PayloadType.ISO20_COMMON, request, SNAPSHOT, 1000.2)
    assert output.event is not None
    assert len(output.event.deviations) == 9
    assert output.event.deviations[0] == "A/0: bell \\x07"
    assert output.event.deviations[-1] == "and 12 more"


class _Found(tuple[str, int, str]):
    def __new__(cls, path: str, offset: int, reason: str) -> _Found:
        return super().__new__(cls, (path, offset, reason))

    path = property(lambda self: self[0])
    reason = property(lambda self: self[2])


# What can be no percentage, no id, no number of points


def shown(soc: int) -> Any:
    request = loop(DYNAMIC, True)
    request.display_parameters = DisplayParameters(present_soc=soc)
    return request


@pytest.mark.parametrize(("sent", "known"), [(0, 0.0), (100, 100.0), (101, None), (127, None)])
def test_a_state_of_charge_beyond_100_is_unknown(sent: int, known: float | None) -> None:
    """Seven bits can say 127 %."""
    bench = Bench(service=DC_BPT, control_mode=DYNAMIC).to("ChargeLoop")
    bench.session.handle(_named(shown(sent), bench), bench.snapshot, bench.now_s)
    reply = bench.session.handle(_named(shown(sent), bench), bench.snapshot, bench.now_s)
    (update,) = (command for command in reply.commands if isinstance(command, c.LoopUpdate))
    assert update.soc == known
    assert update.needs is not None
    assert update.needs.present_soc == known


def test_a_floor_beyond_100_percent_forbids_to_discharge_still() -> None:
    bench = Bench(service=DC_BPT, control_mode=DYNAMIC).to("ScheduleExchange")
    request: Any = schedule_request(DYNAMIC)
    request.dynamic_se_req_control_mode.minimum_soc = 127
    reply = bench.session.handle(_named(request, bench), bench.snapshot, bench.now_s)
    (asked,) = (command for command in reply.commands if isinstance(command, c.ScheduleRequested))
    assert asked.needs.minimum_soc == 127.0


def test_a_schedule_has_no_more_points_than_its_schema_allows_whatever_is_asked_for() -> None:
    """Ten bits from 12 on can ask for 1035."""
    bench = Bench(service=DC, control_mode=SCHEDULED).to("ScheduleExchange")
    (short,) = OFFER.tuples
    slots = tuple(PowerSlot(60, 10_000.0 + 1000.0 * (index % 7)) for index in range(1200))
    long = replace(OFFER, tuples=(replace(short, charging=slots),))
    for _ in range(2):
        request: Any = _named(schedule_request(SCHEDULED), bench)
        request.maximum_supporting_points = 1035
        reply = bench.session.handle(request, bench.snapshot, bench.now_s)
        bench.after(0.6).set(offer=long)
    response: Any = reply.response
    assert encode(response)
    (tuple_,) = response.scheduled_se_res_control_mode.schedule_tuple
    entries = tuple_.charging_schedule.power_schedule.power_schedule_entries.power_schedule_entry
    assert 512 < len(entries) <= 1024


def test_an_unknown_service_beyond_its_type_gets_its_refusal() -> None:
    bench = Wire(service=DC, control_mode=DYNAMIC)
    bench.feed(frame(sap_request((NS_DC, 1, 0, 1, 1))))
    bench.to("ServiceDetail")
    request = cm.ServiceDetailReq(header(bench.session_id), 2**20)
    response = read(bench.link._ask(PayloadType.ISO20_COMMON, request, bench.snapshot, bench.now_s))
    assert response.response_code is ResponseCode.FAILED_ServiceIDInvalid


def test_a_refusal_that_does_not_encode_ends_in_silence_with_all_its_commands(monkeypatch: Any) -> None:
    bench = Wire(service=DC, control_mode=DYNAMIC)
    bench.feed(frame(sap_request((NS_DC, 1, 0, 1, 1))))
    bench.to("ChargeLoop")
    bench.ask(loop(DYNAMIC, False))
    monkeypatch.setattr("evse_controller.secc.iso20.session.refusal", _broken)
    output = bench.link._ask(PayloadType.ISO20_COMMON, cm.ServiceDetailReq(header(bench.session_id), 2),
                             bench.snapshot, bench.now_s)
    assert [type(command) for command in output.commands] == [c.EnergyStop, c.SessionEnded]
    assert output.data is None
    assert output.close is CloseReason.FAILED
    assert output.event is not None
    assert "refusal does not encode" in (output.event.reason or "")
    assert bench.link.closed


def _broken(request: Message, code: ResponseCode, head: Any) -> Any:
    return cm.AuthorizationSetupRes(head, code, [], True)


def beyond(node: Node, chance: random.Random, share: float) -> None:
    """Puts this share of all values of a request to what its bits can say and its schema forbids."""
    for spec in node.FIELDS:
        value = getattr(node, spec.name)
        for part in value if isinstance(value, list) else (value,):
            if isinstance(part, Node):
                beyond(part, chance, share)
        simple = isinstance(value, int | str | bytes) and not isinstance(value, bool | IntEnum)
        if simple and isinstance(spec.type, Kind) and spec.name != "session_id" and chance.random() < share:
            setattr(node, spec.name, _wild(spec.type, chance))


def _wild(kind: Kind, chance: random.Random) -> Any:
    if kind.base == "string":
        return chance.choice(("", "\0" * 64, "x" * 4096, "\U0010ffff"))
    if kind.base in ("hex", "base64"):
        return chance.randbytes(chance.choice((0, 1, 8192)))
    if kind.base == "boolean":
        return True
    low, high = kind.low, kind.high
    if low is None or high is None:
        return chance.choice((-(2**203), 2**203))
    if high - low < 4096:
        return low + chance.choice((0, (1 << (high - low).bit_length()) - 1))
    octets = -(-high.bit_length() // 7)
    most = 2 ** (7 * octets) - 1
    return chance.choice((-most - 1, -1, 0, most)) if low < 0 else chance.choice((0, most))


@settings(max_examples=150, deadline=None)
@given(
    state=st.sampled_from(("ServiceDetail", "ServiceSelection", "ChargeParameterDiscovery", "ScheduleExchange",
                           "CableCheck", "PreCharge", "PowerDelivery", "ChargeLoop")),
    service=st.sampled_from((DC, DC_BPT)),
    mode=st.sampled_from((SCHEDULED, DYNAMIC)),
    share=st.sampled_from((0.1, 0.5, 1.0)),
    chance=st.randoms(use_true_random=False),
)
def test_values_that_no_schema_allows_get_one_answer_and_do_no_harm(
    state: str, service: int, mode: int, share: float, chance: random.Random
) -> None:
    """Every answer encodes, every number that is commanded is finite, every text for the log can be made."""
    bench = Wire(service=service, control_mode=mode)
    bench.feed(frame(sap_request((NS_DC, 1, 0, 1, 1))))
    bench.to(state)
    requests = every_request()
    for _ in range(4):
        if bench.link.state_name == "Ended":
            break
        request: Any = chance.choice(requests)
        beyond(request, chance, share)
        output = bench.link._ask(PAYLOAD_OF_SCHEMA[request.SCHEMA], _named(request, bench), bench.snapshot, bench.now_s)
        _harmless(output)
        if output.data is not None:
            assert request.ELEMENT.removesuffix("Req") + "Res" == read(output).ELEMENT
        bench.after(0.1)


def _harmless(output: Output) -> None:
    for command in output.commands:
        _finite(command)
        if isinstance(command, c.ScheduleRequested):
            assert needs_text(command.needs)
        if isinstance(command, c.EnergyStart):
            assert agreed_text(command.profile, None)


def _finite(value: Any) -> None:
    if isinstance(value, float):
        assert math.isfinite(value)
    elif is_dataclass(value):
        for spec in fields(value):
            _finite(getattr(value, spec.name))
    elif isinstance(value, tuple):
        for part in value:
            _finite(part)


def _named(request: Any, bench: Any) -> Any:
    request.header.session_id = bench.session_id
    return request


def test_the_wildest_values_are_what_the_decoder_tolerates() -> None:
    """One of them from the wire: a state of charge beyond 100 is understood, and told."""
    request = shown(100)
    data = bytearray(encode(request))
    for position in range(8 * len(data)):  # somewhere in it stand the seven bits of the percentage
        changed = int.from_bytes(data, "big") | 0b11111 << position
        try:
            found: Any = decode(Schema.ISO20_DC, changed.to_bytes(len(data), "big"))
        except ValueError:
            continue
        display = found.display_parameters if isinstance(found, dc.DC_ChargeLoopReq) else None
        if display is not None and (display.present_soc or 0) > 100:
            assert found.deviations
            return
    raise AssertionError("no state of charge beyond 100 was understood")
