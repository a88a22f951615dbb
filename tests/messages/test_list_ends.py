"""Full lists that end as the common C encoder ends them: as if one more item could follow."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.exi.leniency import most_located
from evse_controller.messages import ExiError, Message, Node, Schema, decode, encode
from evse_controller.messages.base import UNBOUNDED
from evse_controller.messages.codec import coders
from evse_controller.messages.generated import common_messages, iso2
from evse_controller.messages.generated.app_protocol import AppProtocol, SupportedAppProtocolReq
from evse_controller.messages.generated.common_types import MessageHeader
from tests.campaign.exi_fuzz_pieces import Writer
from tests.campaign.exi_grammar import message_classes
from tests.campaign.exi_messages import SCHEMAS, MessageMaker

REASON = "a list at its maximum that ends as if another item could follow"


def lists_of(node: Node, path: str) -> Iterator[tuple[str, Node, Any]]:
    """Every list in a message with its path, in the order in which the lists end."""
    for field in node.FIELDS:
        value = getattr(node, field.name)
        many = isinstance(value, list)
        for index, one in enumerate(value if many else [value]):
            if isinstance(one, Node):
                name = getattr(one, "ELEMENT", "") if field.place == "substitution" else field.element
                yield from lists_of(one, f"{path}/{name}[{index}]" if many else f"{path}/{name}")
        if many:
            yield f"{path}/{field.element}", node, field


def full_lists(message: Message) -> list[str]:
    found = lists_of(message, message.ELEMENT)
    return [
        path for path, node, field in found
        if node.STATES is None and field.high != UNBOUNDED and len(getattr(node, field.name)) == field.high
    ]


def told(message: Message) -> list[str]:
    """The paths of the deviations without the index of the item behind the last one."""
    located = [deviation for deviation in message.deviations if deviation.offset is not None]
    assert all(deviation.reason == REASON for deviation in located)
    return [deviation.path.rpartition("[")[0] for deviation in located]


def check(message: Message) -> None:
    wanted = full_lists(message)
    assert wanted
    data = Writer(c_lists=True).document(message).data()
    assert data != encode(message)
    result = decode(message.SCHEMA, data, limit=1 << 22)
    assert result == message
    most = most_located(len(data))
    assert told(result) == wanted[:most]
    if len(wanted) > most:
        assert result.deviations[-1] == (message.ELEMENT, None, f"and {len(wanted) - most} more")
    assert encode(result) == encode(message)
    with pytest.raises(ExiError):
        decode(message.SCHEMA, data, limit=1 << 22, strict=True)


def sap() -> Message:
    return SupportedAppProtocolReq([AppProtocol(f"urn:{i}", 1, 0, i, i + 1) for i in range(20)])


def profile() -> Message:
    entries = [iso2.ProfileEntry(i, iso2.PhysicalValue(0, iso2.UnitSymbol.W, 11000), 3) for i in range(24)]
    request = iso2.PowerDeliveryReq(iso2.ChargeProgress.Start, 1, iso2.ChargingProfile(entries))
    return iso2.V2G_Message(iso2.MessageHeader(bytes(8)), iso2.Body(request))


def test_lists_that_the_c_encoder_ends() -> None:
    """20 protocols (the message ends behind them), 24 entries of a charging profile (so does it)."""
    check(sap())
    check(profile())


def test_the_bits_of_such_an_end() -> None:
    data, size = Writer(c_lists=True).document(sap())[:2]
    right = Writer().document(sap())
    assert size == right.size + 1
    assert f"{right.bits:b}".endswith("0" "0")  # the last item's end, the list's end
    assert f"{data:b}".endswith("0" "01")  # the same, but code 1 in the two bits of {item, end}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_full_list_of_any_schema(data: st.DataObject) -> None:
    """Whatever follows a full list, the message is the same and each end is told; nothing else gets a remark."""
    schema = data.draw(st.sampled_from(SCHEMAS))
    cls = data.draw(st.sampled_from(message_classes(schema)))
    message = MessageMaker(data.draw(st.integers(0, 10_000))).make(cls)
    document = Writer(c_lists=True).document(message).data()
    result = decode(schema, document, limit=1 << 22)
    wanted = full_lists(message)
    if not wanted:
        assert document == encode(message)
        assert result.deviations == ()
    elif result.deviations:
        assert told(result) == wanted[: most_located(len(document))]
    assert result == message


def followers(schema: Schema) -> dict[str, str]:
    """What follows each bounded list of a schema in its type: the end, an optional or a required element."""
    found = {}
    seen: set[type[Node]] = set()
    waiting: list[Any] = list(coders(schema).ROOT_ENCODERS)
    while waiting:
        cls = waiting.pop()
        if cls in seen or not isinstance(cls, type) or not issubclass(cls, Node):
            continue
        seen.add(cls)
        for field in cls.FIELDS:
            waiting += list(field.type.values()) if isinstance(field.type, dict) else [field.type]
        if cls.STATES is None:
            for index, field in enumerate(cls.FIELDS):
                if 1 < field.high < UNBOUNDED:
                    behind = cls.FIELDS[index + 1:]
                    kind = "end" if not behind else "required" if behind[0].low else "optional"
                    found[f"{cls.__name__}.{field.name}"] = kind
    return found


def test_all_three_kinds_of_followers_exist() -> None:
    kinds = {name: kind for schema in SCHEMAS for name, kind in followers(schema).items()}
    assert set(kinds.values()) == {"end", "optional", "required"}


@pytest.mark.parametrize(("schema", "name", "kind"), [
    (Schema.ISO2, "SAScheduleList.sa_schedule_tuple", "end"),
    (Schema.ISO20_COMMON, "Scheduled_SEResControlMode.schedule_tuple", "end"),
    (Schema.ISO20_COMMON, "PriceRuleStack.price_rule", "end"),
    (Schema.ISO20_COMMON, "AuthorizationSetupRes.authorization_services", "required"),
    (Schema.ISO20_WPT, "WPT_TxRxPackageSpecData.pulse_sequence_order", "required"),
    (Schema.ISO20_WPT, "WPT_LF_TransmitterData.tx_spec_data", "optional"),
    (Schema.ISO20_WPT, "WPT_FinePositioningReq.vendor_specific_data_container", "optional"),
])
def test_what_follows_the_list(schema: Schema, name: str, kind: str) -> None:
    """Lists of each kind, in messages that have them full: three schedules, eight rules, two services..."""
    assert followers(schema)[name] == kind
    slot = name.partition(".")[2]
    for seed in range(100):
        for cls in message_classes(schema):
            message = MessageMaker(seed).make(cls)
            lists = [(node, field) for _, node, field in lists_of(message, "")]
            owners = [(node, f.high) for node, f in lists if f"{type(node).__name__}.{f.name}" == name]
            for node, most in owners:
                setattr(node, slot, (getattr(node, slot) * most)[:most])
            if owners and len(full_lists(message)) < 6:
                check(message)
                return
    raise AssertionError("no message has that list")


def test_a_document_that_both_rules_can_read_is_read_by_the_specification() -> None:
    clean = encode(sap())
    assert decode(Schema.APP_PROTOCOL, clean).deviations == ()
    # With a deviation elsewhere both rules are tried: the C encoder's finds no end there.
    result = decode(Schema.APP_PROTOCOL, clean + b"\0")
    assert [deviation.reason for deviation in result.deviations] == ["1 bytes behind the document"]
    # Both find a message when a one follows the list's end, and wrong padding when another does.
    bits, size, _ = Writer().document(sap())
    assert -size % 8 >= 2
    for behind, reason in (("10", REASON), ("11", "the padding bits are not zero")):
        padded = (bits << 2 | int(behind, 2)) << (-size % 8 - 2)
        result = decode(Schema.APP_PROTOCOL, padded.to_bytes((size + 7) // 8, "big"))
        assert result == sap()
        assert [deviation.reason for deviation in result.deviations] == [reason]


def test_a_facet_and_a_wrong_list_end_in_one_document() -> None:
    message = profile()
    assert isinstance(message, iso2.V2G_Message)
    request = message.body.body_element
    assert isinstance(request, iso2.PowerDeliveryReq)
    assert request.charging_profile is not None
    request.charging_profile.profile_entry[3].charging_profile_entry_max_number_of_phases_in_use = 4
    result = decode(Schema.ISO2, Writer(c_lists=True).document(message).data())
    assert result == message
    assert [deviation.reason for deviation in result.deviations].count(REASON) == 1
    assert any(deviation.reason == "value 4 is outside 1..3" for deviation in result.deviations)


def test_a_list_that_is_not_full_does_not_end_so() -> None:
    message = common_messages.SessionSetupReq(MessageHeader(bytes(8), 1), "x")
    assert Writer(c_lists=True).document(message).data() == encode(message)
