"""How often and how long a document is read at most, whatever it holds and whether or not it can be read."""

import time
from functools import cache
from typing import Any

import pytest

from evse_controller.exi import leniency
from evse_controller.messages import ExiError, Message, Schema, decode, encode
from evse_controller.messages.generated import din70121, iso2
from evse_controller.messages.generated.app_protocol import AppProtocol, SupportedAppProtocolReq
from evse_controller.messages.generated.common_messages import SessionStopRes
from evse_controller.messages.generated.common_types import MessageHeader, ResponseCode
from evse_controller.secc.coding import FLAWED_BYTES
from tests.campaign.exi_fuzz_heavy import MOST, signature, with_signature
from tests.campaign.exi_fuzz_pieces import Writer

STOPS: dict[Schema, Message] = {
    Schema.ISO20_COMMON: SessionStopRes(MessageHeader(bytes(8), 1), ResponseCode.OK),
    Schema.ISO2: iso2.V2G_Message(
        iso2.MessageHeader(bytes(8)), iso2.Body(iso2.SessionStopRes(iso2.ResponseCode.OK))
    ),
    Schema.DIN70121: din70121.V2G_Message(
        din70121.MessageHeader(bytes(8)), din70121.Body(din70121.SessionStopRes(din70121.ResponseCode.OK))
    ),
}


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each reading but the fast path's."""
    found: list[bool] = []
    read = leniency._read

    def counted(decoder: Any, n: int, e: int, way: Any) -> Any:
        found.append(way.c_lists)
        return read(decoder, n, e, way)

    monkeypatch.setattr(leniency, "_read", counted)
    return found


@cache
def heavy(schema: Schema, most: int) -> bytes:
    """The densest content there is, with 32 deviations behind it, and as many bytes as are allowed."""
    count, data = 1, b""
    while True:
        message = with_signature(STOPS[schema], signature(count, min(count, 64), 32))
        assert message is not None
        larger = Writer(empties=True).document(message).data()
        if len(larger) > most:
            return data
        count, data = count + max(1, (most - len(larger)) * 8 // 20), larger


@pytest.mark.parametrize("schema", STOPS, ids=lambda schema: schema.name)
@pytest.mark.parametrize("size", [FLAWED_BYTES, 1024, 4096, MOST])
def test_no_document_is_read_often(schema: Schema, size: int, readings: list[bool]) -> None:
    """Seven times out of eight such a document would be read in vain, so whether it can be read comes first."""
    data = heavy(schema, size)
    assert size - 64 < len(data) <= size
    with pytest.raises(ExiError, match="the data end") as caught:
        decode(schema, data[:-1])
    assert caught.value.offset == 8 * len(data) - 8
    assert readings == [False]
    readings.clear()
    result = decode(schema, data)
    located = leniency.most_located(len(data))
    assert result.deviations[-1].reason == f"and {32 - located} more"
    assert len(readings) == located
    assert len(readings) <= (9 if size <= 512 else 5 if size <= 1024 else 2 if size <= 4096 else 1)


@pytest.mark.parametrize(("length", "most"), [(101, 11), (250, 3)])
def test_no_document_with_a_full_list_is_read_often(length: int, most: int, readings: list[bool]) -> None:
    """A list that the C encoder ended costs two readings more: one that judges its rule, one that locates the first."""
    protocols = [AppProtocol("x" * length if length > 200 or not i % 2 else "", 1, 0, 1, 1) for i in range(20)]
    message = SupportedAppProtocolReq(protocols)
    data = Writer(c_lists=True).document(message).data()
    assert decode(Schema.APP_PROTOCOL, data) == message
    assert readings[:2] == [False, True]
    assert all(readings[1:])
    assert len(readings) <= most
    # Where it cannot be read by either rule, nothing is located.
    readings.clear()
    with pytest.raises(ExiError):
        decode(Schema.APP_PROTOCOL, data[:-1])
    assert len(readings) <= 2


@pytest.mark.parametrize("schema", STOPS, ids=lambda schema: schema.name)
@pytest.mark.parametrize(("size", "limit"), [(FLAWED_BYTES, 0.01), (1268, 0.05), (MOST, 0.05)])
@pytest.mark.parametrize("tail", [-1, 0])
def test_the_heaviest_document_takes_milliseconds(schema: Schema, size: int, limit: float, tail: int) -> None:
    data = heavy(schema, size)
    data = data[:tail] if tail else data
    best = 9.0
    for _ in range(7):
        started = time.process_time()
        try:
            decode(schema, data)
        except ExiError:
            assert tail
        best = min(best, time.process_time() - started)
    assert best < limit


def test_data_that_end_inside_a_number_end_there() -> None:
    data = encode(SessionStopRes(MessageHeader(bytes(8), (1 << 64) - 1), ResponseCode.OK))
    whole = encode(SessionStopRes(MessageHeader(bytes(8), 1), ResponseCode.OK))
    for end in range(len(whole) - 1, len(data) - 2):
        with pytest.raises(ExiError, match="the data end") as caught:
            decode(Schema.ISO20_COMMON, data[:end])
        assert (caught.value.path, caught.value.offset) == ("SessionStopRes/Header/TimeStamp", 8 * end)
