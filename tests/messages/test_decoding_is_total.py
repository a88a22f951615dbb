"""Any bytes give a message or an ExiError that says where; never another exception, never much time."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.messages import ExiError, Message, Schema, decode, encode
from evse_controller.messages.codec import NO_ROOT
from evse_controller.messages.generated.app_protocol import AppProtocol, SupportedAppProtocolReq
from evse_controller.messages.generated.common_messages import (
    ChargeProgress,
    Dynamic_EVPPTControlMode,
    EVPowerProfile,
    EVPowerProfileEntryList,
    PowerDeliveryReq,
    PowerScheduleEntry,
    SessionSetupReq,
    SessionStopRes,
)
from evse_controller.messages.generated.common_types import MessageHeader, Processing, RationalNumber, ResponseCode
from tests.campaign.exi_grammar import message_classes
from tests.campaign.exi_messages import SCHEMAS, MessageMaker
from tests.campaign.exi_vectors import read_vectors

HEADER = MessageHeader(session_id=bytes(8), time_stamp=1)


def decodes(schema: Schema, data: bytes) -> Message | ExiError:
    result: Message | ExiError
    try:
        result = decode(schema, data)
    except ExiError as error:
        result = error
    if isinstance(result, ExiError):
        assert result.schema == schema.name
        assert result.reason
        assert result.offset is not None
        assert 0 <= result.offset <= 8 * len(data)
        return result
    # What was tolerated is told; if nothing is told, the data are what the encoder writes.
    if not result.deviations:
        assert encode(result) == data
    for deviation in result.deviations:
        assert deviation.path.split("/")[0] == result.ELEMENT
        assert deviation.reason
        assert deviation.offset is None or 8 < deviation.offset <= 8 * len(data)
    return result


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SCHEMAS), st.binary(max_size=300))
def test_random_bytes(schema: Schema, data: bytes) -> None:
    decodes(schema, data)
    decodes(schema, b"\x80" + data)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_mutated_frames(data: st.DataObject) -> None:
    schema = data.draw(st.sampled_from(SCHEMAS))
    cls = data.draw(st.sampled_from(message_classes(schema)))
    frame = bytearray(encode(MessageMaker(data.draw(st.integers(0, 1000))).make(cls)))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, 8 * len(frame) - 1))
        frame[position // 8] ^= 1 << position % 8
    decodes(schema, bytes(frame))


def test_many_mutated_bytes() -> None:
    """How long each may take is judged by the campaign: a unit test's clock is the machine's load."""
    rng = random.Random(5)
    frames = [(m.SCHEMA, data) for m, data in read_vectors()]
    for _ in range(10_000):
        schema, data = rng.choice(frames)
        frame = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            frame[rng.randrange(1, len(frame))] = rng.choice((0, 255, 0x7F, 0x80, rng.randrange(256)))
        decodes(schema, bytes(frame))


def test_every_truncation_is_an_error_inside_the_message() -> None:
    for cls in message_classes(Schema.ISO20_DC):
        data = encode(MessageMaker(3).make(cls))
        for length in range(len(data)):
            result = decodes(Schema.ISO20_DC, data[:length])
            assert isinstance(result, ExiError)


def test_an_error_names_schema_path_offset_and_reason() -> None:
    message = SupportedAppProtocolReq([AppProtocol("urn:a", 1, 0, 1, 1), AppProtocol("urn:b", 1, 0, 2, 2)])
    with pytest.raises(ExiError) as caught:
        decode(Schema.APP_PROTOCOL, encode(message)[:-4])
    error = caught.value
    assert error.schema == "APP_PROTOCOL"
    assert error.path == "supportedAppProtocolReq/AppProtocol[1]/VersionNumberMinor"
    assert error.offset is not None
    assert "end" in error.reason
    assert str(error).startswith("APP_PROTOCOL, supportedAppProtocolReq/AppProtocol[1]/VersionNumberMinor, bit ")


@pytest.mark.parametrize("length", [0, 1])
def test_string_table_hits_are_refused(length: int) -> None:
    data = encode(SessionSetupReq(HEADER, ""))
    value = int.from_bytes(data, "big")
    bits = f"{value:b}"
    at = bits.rindex("0000001000")
    changed = bits[:at] + f"{length:08b}" + bits[at + 8:]
    with pytest.raises(ExiError, match="string table hit"):
        decode(Schema.ISO20_COMMON, int(changed, 2).to_bytes(len(data), "big"))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\xfc", b"\x90\x00\x00", b"$EXI\x80\x00", b"\x80" + b"\xff" * 40])
def test_no_document(data: bytes) -> None:
    assert isinstance(decodes(Schema.ISO20_DC, data), ExiError)


@pytest.mark.parametrize("header", [0x00, 0x81, 0x90, 0xA0, 0xC0])
def test_another_header_is_refused(header: int) -> None:
    data = encode(SessionStopRes(HEADER, ResponseCode.OK))
    with pytest.raises(ExiError, match="no EXI header"):
        decode(Schema.ISO20_COMMON, bytes([header]) + data[1:])


def test_the_size_limit_comes_first() -> None:
    with pytest.raises(ExiError, match="bytes where 100 are allowed"):
        decode(Schema.ISO20_DC, b"\x80" * 101, limit=100)


@pytest.mark.parametrize(("data", "words"), [
    (b"\x80" * 101, "ISO20_DC, bit 0: 101 bytes where 100 are allowed"),
    (b"\x90\x00\x00", "ISO20_DC, bit 0: no EXI header (0x80) with a document behind it"),
    (b"\x80\xfc", f"ISO20_DC, bit 8: root element code 63 {NO_ROOT}"),
])
def test_data_that_are_no_document_have_an_error_with_schema_and_place(data: bytes, words: str) -> None:
    with pytest.raises(ExiError) as caught:
        decode(Schema.ISO20_DC, data, limit=100)
    assert str(caught.value) == words
    assert caught.value.path == ""


@pytest.mark.parametrize(("bit", "element"), [(19, "SchemaID"), (9, "SchemaID"), (8, "Priority"), (0, "Priority")])
def test_an_error_in_a_read_of_several_elements_names_the_right_one(bit: int, element: str) -> None:
    """SchemaID and Priority are read at once; the wrong bit tells which of them is meant, and its own place."""
    data = encode(SupportedAppProtocolReq([AppProtocol("urn:a", 1, 0, 255, 1)]))
    # Two ends and the start of SchemaID, 8 bits of value, its end, the start of Priority, 5 bits, two ends: 21 bits.
    n = int.from_bytes(data, "big")
    left = next(place for place in range(40) if n >> place & 0xFF == 0xFF) - 10 + bit
    with pytest.raises(ExiError) as caught:
        decode(Schema.APP_PROTOCOL, (n ^ 1 << left).to_bytes(len(data), "big"))
    assert caught.value.path == f"supportedAppProtocolReq/AppProtocol[0]/{element}"
    assert caught.value.offset == 8 * len(data) - left


def profile(count: int) -> PowerDeliveryReq:
    entries = [PowerScheduleEntry(900 + i, RationalNumber(3, -i % 300), RationalNumber(0, i)) for i in range(count)]
    mode = Dynamic_EVPPTControlMode()
    whole = EVPowerProfile(17, EVPowerProfileEntryList(entries), dynamic_evppt_control_mode=mode)
    return PowerDeliveryReq(HEADER, Processing.Finished, ChargeProgress.Start, whole)


@pytest.mark.parametrize("count", [1, 2, 16, 17, 63, 2047, 2048])
def test_long_lists(count: int) -> None:
    message = profile(count)
    assert decode(Schema.ISO20_COMMON, encode(message)) == message


def test_work_is_linear_in_the_length() -> None:
    def seconds(message: PowerDeliveryReq) -> float:
        data = encode(message)
        best = 9.0
        for _ in range(5):
            started = time.process_time()
            decode(Schema.ISO20_COMMON, data)
            encode(message)
            best = min(best, time.process_time() - started)
        return best

    assert seconds(profile(2048)) < 16 * seconds(profile(256))  # 8 times as many entries, and some room for noise


def test_an_error_in_a_long_list_has_its_index_and_its_place() -> None:
    data = encode(profile(2048))
    with pytest.raises(ExiError) as caught:
        decode(Schema.ISO20_COMMON, data[: len(data) // 2])
    assert "EVPowerProfileEntry[10" in caught.value.path
    assert abs((caught.value.offset or 0) - 4 * len(data)) < 64
    # In the middle of complete data the place is inside a window that does not reach the end.
    middle = len(data) // 2
    with pytest.raises(ExiError) as caught:
        decode(Schema.ISO20_COMMON, data[:middle] + b"\xff" * 20 + data[middle + 20:])
    assert "EVPowerProfileEntry[10" in caught.value.path
    assert abs((caught.value.offset or 0) - 8 * middle) < 200


@pytest.mark.parametrize(("schema", "data", "words"), [
    (Schema.XMLDSIG, "80180504", "root element code 3 is no message of this schema, or an element that no document"),
    (Schema.ISO20_DC, "809d406f0836f0f0f072f074", "or an element that no document begins with"),
])
def test_global_elements_that_are_no_documents(schema: Schema, data: str, words: str) -> None:
    """DigestValue, whose type is simple, and Signature in a set of messages; as EXIficient writes them."""
    with pytest.raises(ExiError, match=words):
        decode(schema, bytes.fromhex(data))
