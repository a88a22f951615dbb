"""What is read although the schema forbids it: every kind that `exi.leniency` lists, located, and its bounds."""

import random
import time
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.exi.leniency import LOCATED, Deviation, most_located
from evse_controller.messages import ExiError, Message, Node, Schema, decode, encode
from evse_controller.messages.base import Kind
from evse_controller.messages.generated import din70121, iso2, xmldsig
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
from tests.campaign.exi_fuzz_pieces import Writer
from tests.campaign.exi_grammar import message_classes
from tests.campaign.exi_messages import SCHEMAS, MessageMaker

HEADER = MessageHeader(session_id=bytes(8), time_stamp=1)
STOP = SessionStopRes(HEADER, ResponseCode.OK)
LARGE = 1 << 22
EMPTY = "an empty value that ends by the second-level end element"


def packed(bits: str) -> bytes:
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def unpacked(data: bytes) -> str:
    return f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"


def refused(schema: Schema, data: bytes, deviation: Deviation) -> None:
    with pytest.raises(ExiError) as caught:
        decode(schema, data, limit=LARGE, strict=True)
    assert (caught.value.path, caught.value.offset, caught.value.reason) == deviation
    assert caught.value.schema == schema.name


def test_a_clean_message_has_no_deviations() -> None:
    message = decode(Schema.ISO20_COMMON, encode(STOP), strict=True)
    assert message.deviations == STOP.deviations == ()
    assert "deviations" not in repr(message)


def test_deviations_show_in_the_representation_and_count_for_nothing_else() -> None:
    message = decode(Schema.ISO20_COMMON, encode(STOP) + b"\0")
    assert message.deviations
    assert message == STOP
    assert encode(message) == encode(STOP)
    assert repr(message) == repr(STOP)[:-1] + f", deviations={message.deviations!r})"


def wrong_value(kind: Kind, rng: random.Random) -> Any:
    """A value that the bits of the type can carry and its facets forbid; None if there is none."""
    if kind.base == "integer":
        if kind.high is None:
            return None
        low = kind.low
        if low is not None and kind.high - low < 4096:
            room = 1 << (kind.high - low).bit_length()
            return rng.randint(kind.high + 1, low + room - 1) if low + room - 1 > kind.high else None
        if low is not None and low < 0 and rng.random() < 0.5:
            return rng.choice((low - 1, -(1 << 70)))
        return rng.choice((kind.high + 1, (1 << 70) - 1))
    lengths = [kind.min_length - 1, 0] if kind.min_length else []
    if kind.max_length is not None:
        lengths += [kind.max_length + 1, rng.choice((4096, kind.max_length + 7))]
    if kind.base == "boolean" or not lengths:
        return None
    length = rng.choice(lengths)
    return "\u20ac" * length if kind.base == "string" else bytes(length)


def violate(node: Node, path: str, chance: float, rng: random.Random) -> list[str]:
    """Put wrong values into a message; the paths to them, in the order in which they are encoded."""
    found = []
    # Types that a table of states describes are encoded in its order: that of the fields, as the encoder sees it.
    for field in node.FIELDS:
        value = getattr(node, field.name)
        many = isinstance(value, list)
        for index, one in enumerate(value if many else [] if value is None else [value]):
            here = f"{path}/{getattr(one, 'ELEMENT', None) if field.place == 'substitution' else field.element}"
            here += f"[{index}]" if many else ""
            if isinstance(one, Node):
                found += violate(one, here, chance, rng)
            elif isinstance(field.type, Kind) and not isinstance(one, IntEnum) and rng.random() < chance:
                wrong = wrong_value(field.type, rng)
                if wrong is not None:
                    found.append(here)
                    if many:
                        value[index] = wrong
                    else:
                        setattr(node, field.name, wrong)
    return found


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_facets_are_tolerated(data: st.DataObject) -> None:
    """Every value comes as it was sent, and every place is told: by path and in order."""
    schema = data.draw(st.sampled_from(SCHEMAS))
    cls = data.draw(st.sampled_from(message_classes(schema)))
    seed = data.draw(st.integers(0, 10_000))
    message = MessageMaker(seed).make(cls)
    paths = violate(message, message.ELEMENT, data.draw(st.sampled_from((0.02, 0.2, 1.0))), random.Random(seed))
    document = Writer().document(message)
    result = decode(schema, document.data(), limit=LARGE)
    assert result == message
    most = most_located(len(document.data()))
    located = result.deviations[:-1] if len(paths) > most else result.deviations
    assert [deviation.path for deviation in located] == paths[:most]
    offsets = [deviation.offset or 0 for deviation in located]
    assert offsets == sorted(offsets)
    assert all(8 < offset < document.size for offset in offsets)
    if len(paths) > most:
        assert result.deviations[-1] == (message.ELEMENT, None, f"and {len(paths) - most} more")
    if paths:
        refused(schema, document.data(), result.deviations[0])
    else:
        assert encode(result) == document.data()


def test_the_car_that_uses_four_phases() -> None:
    """A make of car sends 4 in the 2 bits of ChargingProfileEntryMaxNumberOfPhasesInUse, where 1 to 3 are allowed."""
    entry = iso2.ProfileEntry(0, iso2.PhysicalValue(0, iso2.UnitSymbol.W, 11000), 4)
    request = iso2.PowerDeliveryReq(iso2.ChargeProgress.Start, 1, iso2.ChargingProfile([entry]))
    message = iso2.V2G_Message(iso2.MessageHeader(bytes(8)), iso2.Body(request))
    data = Writer().document(message).data()
    result = decode(Schema.ISO2, data)
    assert result == message
    (deviation,) = result.deviations
    assert deviation.path.endswith("/ProfileEntry[0]/ChargingProfileEntryMaxNumberOfPhasesInUse")
    assert deviation.reason == "value 4 is outside 1..3"
    with pytest.raises(ExiError, match="PhasesInUse"):
        encode(result)


@pytest.mark.parametrize("length", [*range(10), 200])
def test_session_ids_of_0_to_8_bytes(length: int) -> None:
    """Cars send 0, 1, 6 and 8 bytes. -2 allows up to 8, -20 exactly 8; what differs is flagged."""
    edition20: Message = SessionStopRes(MessageHeader(b"\xff" * length, 1), ResponseCode.OK)
    edition2: Message = iso2.V2G_Message(iso2.MessageHeader(b"\xff" * length), iso2.Body())
    for message, least in ((edition20, 8), (edition2, 0)):
        result = decode(message.SCHEMA, Writer().document(message).data())
        assert result == message
        assert bool(result.deviations) == (not least <= length <= 8)
        for deviation in result.deviations:
            assert deviation.path == f"{message.ELEMENT}/Header/SessionID"
            assert deviation.reason == f"{length} bytes where {least} to 8 are allowed"


@pytest.mark.parametrize("count", [4097, 1 << 34])
def test_longer_values_than_that_are_refused_before_they_are_read(count: int) -> None:
    bits = unpacked(encode(SessionSetupReq(HEADER, "")))
    at = bits.rindex("0000001000")
    groups = [count + 2 >> 7 * i & 127 | (128 if count + 2 >> 7 * (i + 1) else 0) for i in range(6)]
    length = "".join(f"{g:08b}" for g in groups[: next(i for i, g in enumerate(groups) if g < 128) + 1])
    with pytest.raises(ExiError, match=f"a string of {count} characters where 0 to 255") as caught:
        decode(Schema.ISO20_COMMON, packed(bits[:at] + length))
    assert caught.value.path == "SessionSetupReq/EVCCID"


@pytest.mark.parametrize(("octets", "value"), [("10000001" "00000000", 1), ("10000000" "10000000" "00000000", 0)])
def test_needless_octets_of_an_integer(octets: str, value: int) -> None:
    message = SupportedAppProtocolReq([AppProtocol("", value, 0, 1, 1)])
    bits = unpacked(encode(message))
    at = bits.index("0" "00000010" "0" "0" "0" f"{value:08b}") + 12  # the namespace, EE, SE, CH, VersionNumberMajor
    data = packed(bits[:at] + octets + bits[at + 8:])
    result = decode(Schema.APP_PROTOCOL, data)
    assert result == message
    (deviation,) = result.deviations
    assert deviation.path == "supportedAppProtocolReq/AppProtocol[0]/VersionNumberMajor"
    assert deviation.reason == "an integer with needless octets"
    refused(Schema.APP_PROTOCOL, data, deviation)


def test_needless_octets_of_a_length_and_a_character() -> None:
    message = SupportedAppProtocolReq([AppProtocol("a\u20ac", 1, 0, 1, 1)])
    bits = unpacked(encode(message))
    plain = "00000100" f"{ord('a'):08b}"
    at = bits.index(plain)
    other = bits[:at] + "10000100" "00000000" + f"1{ord('a'):07b}" "00000000" + bits[at + 16:]
    result = decode(Schema.APP_PROTOCOL, packed(other))
    assert result == message
    assert [d.path.rsplit("/", 1)[1] for d in result.deviations] == ["ProtocolNamespace"] * 2


def test_second_level_end_of_an_empty_string() -> None:
    """EXIficient ends an empty string element by the second-level event `1 000` instead of characters of length 0."""
    message = SessionSetupReq(HEADER, "")
    bits = unpacked(encode(message))
    at = bits.rindex("0" "00000010" "0" "0")  # CH, length 0 + 2, EE of EVCCID, EE of the message
    data = packed(bits[:at] + "1000" + "0")
    result = decode(Schema.ISO20_COMMON, data)
    assert result == message
    assert result.deviations == (("SessionSetupReq/EVCCID", at + 4, EMPTY),)
    refused(Schema.ISO20_COMMON, data, result.deviations[0])
    assert decode(Schema.ISO20_COMMON, encode(message)).deviations == ()
    for event in range(1, 8):
        with pytest.raises(ExiError, match="second-level event"):
            decode(Schema.ISO20_COMMON, packed(bits[:at] + f"1{event:03b}" + "0"))


@pytest.mark.parametrize(("data", "places"), [
    ("8098448c", ["Header/SessionID"]),
    (
        "8098441800c240600000040361800d8a00363800",
        ["Header/SessionID", "Body/CertificateInstallationRes/SAProvisioningCertificateChain/Certificate",
         "Body/CertificateInstallationRes/ContractSignatureEncryptedPrivateKey/value",
         "Body/CertificateInstallationRes/DHpublickey/value", "Body/CertificateInstallationRes/eMAID/value",
         "Body/CertificateInstallationRes/eMAID/value"],
    ),
])
def test_second_level_end_as_exificient_writes_it(data: str, places: list[str]) -> None:
    """Bytes made with EXIficient from messages whose session id, certificate, key and contract id are empty."""
    result = decode(Schema.ISO2, bytes.fromhex(data))
    assert [d.path for d in result.deviations] == [f"V2G_Message/{place}" for place in places]
    assert {d.reason for d in result.deviations} <= {EMPTY, "a length of 0 where 14 is the least"}


@pytest.mark.parametrize("name", [None, "q"])
def test_second_level_end_of_text_behind_attributes(name: str | None) -> None:
    """A SignatureValue has an optional Id: `10 000` without it, `1 000` behind it."""
    message = xmldsig.SignatureValue(value=b"", id=name)
    document = Writer().document(message)
    bits = unpacked(document.data())[: document.size]
    empty = "00000000" "0"  # length 0, EE
    assert bits.endswith(("01" if name is None else "0") + empty)
    start, escape = (len(bits) - len(empty) - 2, "10") if name is None else (len(bits) - len(empty) - 1, "1")
    result = decode(Schema.XMLDSIG, packed(bits[:start] + escape + "000"))
    assert result == message
    assert [d[::2] for d in result.deviations] == [("SignatureValue/value", EMPTY)]


@pytest.mark.parametrize(("tail", "count"), [("00", 1), ("00ff", 2), ("80" * 30, 30)])
def test_trailing_bytes_are_tolerated(tail: str, count: int) -> None:
    data = encode(STOP)
    result = decode(Schema.ISO20_COMMON, data + bytes.fromhex(tail))
    assert result == STOP
    assert result.deviations == (("SessionStopRes", 8 * len(data), f"{count} bytes behind the document"),)
    refused(Schema.ISO20_COMMON, data + bytes.fromhex(tail), result.deviations[0])


def test_a_trailing_byte_as_a_car_sends_it() -> None:
    """DIN 70121 ContractAuthenticationReq with a zero byte behind it, as field logs have it."""
    request = din70121.V2G_Message(
        din70121.MessageHeader(bytes(8)), din70121.Body(din70121.ContractAuthenticationReq())
    )
    result = decode(Schema.DIN70121, encode(request) + b"\0")
    assert result == request
    assert [d.reason for d in result.deviations] == ["1 bytes behind the document"]


def test_padding_is_tolerated() -> None:
    document = Writer().document(STOP)
    free = -document.size % 8
    assert free
    data = document.data()
    for bit in range(free):
        other = data[:-1] + bytes([data[-1] | 1 << bit])
        result = decode(Schema.ISO20_COMMON, other)
        assert result == STOP
        assert result.deviations == (("SessionStopRes", document.size, "the padding bits are not zero"),)
        refused(Schema.ISO20_COMMON, other, result.deviations[0])


def test_characters_that_xml_cannot_carry() -> None:
    """A make of car sends 64 NULs as ServiceScope; EXI carries them, and they are encoded again as they came."""
    request = iso2.ServiceDiscoveryReq(service_scope="\0" * 64)
    message = iso2.V2G_Message(iso2.MessageHeader(bytes(8)), iso2.Body(request))
    result = decode(Schema.ISO2, encode(message), strict=True)
    assert result == message
    assert result.deviations == ()


def test_interleaved_children_are_a_deviation() -> None:
    """KeyName, MgmtData, KeyName: the message keeps each name's values, not the order between the names."""
    info = xmldsig.KeyInfo(key_name=["a", "b"], mgmt_data=["m"])
    bits = unpacked(encode(info))
    first, second, third = ("00000011" + f"{ord(c):08b}" for c in "abm")
    a, b, m = (bits.index(text) for text in (first, second, third))
    assert decode(Schema.XMLDSIG, encode(info)).deviations == ()
    # Both run from the code of the element to the end of its characters, and both codes are of one width.
    width = b - a
    assert m - b == width
    swapped = bits[:b + 16 - width] + bits[b + 16:m + 16] + bits[b + 16 - width:b + 16] + bits[m + 16:]
    result = decode(Schema.XMLDSIG, packed(swapped))
    assert result == info
    (deviation,) = result.deviations
    assert deviation[::2] == ("KeyInfo", "children in another order than the message keeps")
    refused(Schema.XMLDSIG, packed(swapped), deviation)


def test_many_deviations_are_counted() -> None:
    entries = [AppProtocol("x" * 101, 1 << 33, 1 << 34, 1, 21) for _ in range(20)]
    data = Writer().document(SupportedAppProtocolReq(entries)).data()
    result = decode(Schema.APP_PROTOCOL, data)
    assert result == SupportedAppProtocolReq(entries)
    assert most_located(100) == 1 + LOCATED == 9
    assert most_located(4097) == most_located(1 << 20) == 1
    most = most_located(len(data))
    assert most == 2
    assert len(result.deviations) == most + 1
    assert result.deviations[1].path == "supportedAppProtocolReq/AppProtocol[0]/VersionNumberMajor"
    assert result.deviations[-1] == ("supportedAppProtocolReq", None, f"and {4 * 20 - most} more")


def test_values_against_the_facets_in_a_long_list() -> None:
    """Long lists are read through a window; it is wide enough for values that are longer than their type allows."""
    message = SupportedAppProtocolReq([AppProtocol("\u20ac" * 4000, 1, 0, 1, 1) for _ in range(20)])
    result = decode(Schema.APP_PROTOCOL, Writer().document(message).data())
    assert result == message
    assert result.deviations[-1].reason == "and 19 more"


def test_a_fault_behind_deviations_is_the_error() -> None:
    data = encode(SessionSetupReq(MessageHeader(bytes(8), 1), "abc"))
    bits = unpacked(Writer().document(SessionSetupReq(MessageHeader(b"12", 1), "abc")).data())
    at = bits.index("00000101" f"{ord('a'):08b}")
    with pytest.raises(ExiError, match="string table hit") as caught:
        decode(Schema.ISO20_COMMON, packed(bits[:at] + "00000001" + bits[at + 8:]))
    assert caught.value.path == "SessionSetupReq/EVCCID"
    with pytest.raises(ExiError, match="the data end"):
        decode(Schema.ISO20_COMMON, data[:-3])


def test_two_hundred_deviations_cost_little_more_than_none() -> None:
    """A document of 8 KiB with 200 entries against the schema takes less than 50 ms of CPU."""
    entries = [PowerScheduleEntry(900, RationalNumber(3, 1), RationalNumber(0, 1)) for _ in range(440)]
    entries += [PowerScheduleEntry(900, RationalNumber(3, 40_000), RationalNumber(0, 1)) for _ in range(200)]
    mode = Dynamic_EVPPTControlMode()
    profile = EVPowerProfile(17, EVPowerProfileEntryList(entries), dynamic_evppt_control_mode=mode)
    request = PowerDeliveryReq(HEADER, Processing.Finished, ChargeProgress.Start, profile)
    data = Writer().document(request).data()
    assert 6000 < len(data) < 8192
    best = 9.0
    for _ in range(5):
        started = time.process_time()
        result = decode(Schema.ISO20_COMMON, data)
        best = min(best, time.process_time() - started)
    assert result == request
    assert result.deviations[-1].reason == f"and {200 - most_located(len(data))} more"
    assert best < 0.05

