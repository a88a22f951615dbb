"""The committed vectors hit every point of every schema's grammar, and the points are what they say."""

from __future__ import annotations

from enum import IntEnum

import pytest

from evse_controller.messages import Schema, decode, encode
from evse_controller.messages.base import UNBOUNDED, Field, Kind, Node
from evse_controller.messages.codec import coders
from evse_controller.messages.fragments import decode_fragment, encode_fragment
from evse_controller.messages.generated import xmldsig
from tests.campaign.exi_cover import CoverageMaker, covering_messages
from tests.campaign.exi_exact import covering, difference, fullest
from tests.campaign.exi_grammar import Class, Point, all_points, class_of, empty_values, points_of, reachable
from tests.campaign.exi_messages import SCHEMAS
from tests.campaign.exi_vectors import read_empty_texts, read_fragments, read_vectors


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_the_vectors_hit_every_point(schema: Schema) -> None:
    left = all_points(reachable(schema))
    total = len(left)
    for message, data in read_vectors(schema):
        assert encode(message) == data
        read = decode(schema, data, strict=True)
        assert read == message
        left -= points_of(read)
    assert left == empty_values(reachable(schema)), f"{len(left)} of {total} points"
    for message, theirs, ours in read_empty_texts(schema):
        assert encode(message) == ours != theirs
        assert decode(schema, ours) == decode(schema, theirs) == message
        left -= points_of(message)
    assert not left, f"{len(left)} of {total} points"


def test_the_fragments_of_every_element_that_can_be_signed() -> None:
    seen = set()
    for schema, element, data in read_fragments():
        name, node = decode_fragment(schema, data)
        assert name == element
        assert encode_fragment(schema, element, node) == data
        seen.add((schema, element))
    assert seen == {(schema, element) for schema in SCHEMAS for element in coders(schema).FRAGMENT_CODERS}


class Colour(IntEnum):
    Red = 0
    Blue = 1


class Leaf(Node):
    __slots__ = ("flag",)
    FIELDS = (Field("flag", "Flag", "element", Kind("boolean"), 1, 1),)

    def __init__(self, flag: bool) -> None:
        self.flag = flag


class Row(Node):
    """Optional, a choice that must be made, a list of 1 to 3, an optional enumeration."""

    __slots__ = ("colour", "number", "rows", "text", "word")
    FIELDS = (
        Field("number", "Number", "element", Kind("integer", 0, 100), 0, 1),
        Field("text", "Text", "element", Kind("string", max_length=5), 1, 1, 1),
        Field("word", "Word", "element", Kind("hex", min_length=2, max_length=2), 1, 1, 1),
        Field("rows", "Rows", "element", Leaf, 1, 3),
        Field("colour", "Colour", "element", Colour, 0, 1),
    )

    def __init__(self, rows: list[Leaf], number: int | None = None, text: str | None = None,
                 word: bytes | None = None, colour: Colour | None = None) -> None:
        self.number, self.text, self.word, self.rows, self.colour = number, text, word, rows, colour


def told(points: set[Point], what: str) -> set[tuple[str, object]]:
    return {(p.field, p.detail) for p in points if p.what == what}


def test_the_points_of_a_row() -> None:
    points = set(Class(Row).points())
    assert told(points, "production") == {
        ("start", "number"), ("start", "text"), ("start", "word"), ("number", "text"), ("number", "word"),
        ("text", "rows"), ("word", "rows"), ("rows", "colour"), ("rows", "end"), ("full rows", "colour"),
        ("full rows", "end"), ("colour", "end"),
    }
    assert told(points, "length") == {("rows", 1), ("rows", 2), ("rows", 3)}
    assert told(points, "value") == {
        ("number", "0"), ("number", "100"), ("text", "length 0"), ("text", "length 1"), ("text", "length 5"),
        ("text", "two octets"), ("text", "three octets"), ("text", "line"), ("word", "length 2"), ("colour", "Red"),
        ("colour", "Blue"),
    }


def test_a_list_that_may_be_missing_or_is_without_a_maximum() -> None:
    class Two(Node):
        FIELDS = (Field("a", "A", "element", Leaf, 0, 9), Field("b", "B", "element", Leaf, 2, UNBOUNDED))

    points = set(Class(Two).points())
    assert told(points, "length") == {("a", n) for n in (0, 1, 2, 8, 9)} | {("b", n) for n in (2, 3, 17, 127, 128)}
    assert told(points, "production") == {
        ("start", "a"), ("start", "b"), ("a", "b"), ("full a", "b"), ("b", "end"),
    }


def test_what_a_message_hits() -> None:
    node = Row([Leaf(True)] * 3, text="abcde", colour=Colour.Blue)
    points = points_of(node)
    assert told({p for p in points if p.cls is Row}, "production") == {
        ("start", "text"), ("text", "rows"), ("full rows", "colour"), ("colour", "end"),
    }
    assert told(points, "length") == {("rows", 3)}
    assert told(points, "value") == {("colour", "Blue"), ("flag", "true")}


def test_making_messages_ends_when_nothing_is_left() -> None:
    ways = reachable(Schema.APP_PROTOCOL)
    maker = CoverageMaker(ways)
    found = set().union(*map(points_of, maker.nodes()))
    assert found == all_points(ways) - empty_values(ways)
    assert not any(maker.left.values())


def test_full_messages_and_no_limit_of_ours_below_the_schemas() -> None:
    """Everything optional, every list at its maximum; what is still larger is left to the campaign for its time."""
    longest = 0
    for message in fullest(130_000):
        data = encode(message)
        assert decode(message.SCHEMA, data, strict=True) == message
        longest = max(longest, len(data))
    assert longest > 100_000


def test_the_comparison_sees_a_difference() -> None:
    message, data = next(read_vectors(Schema.ISO2))
    other, its = next(pair for pair in read_vectors(Schema.ISO2) if pair[1] != data)
    assert difference(message, data, data) == ""
    assert difference(message, data, its).startswith("encoded differently")
    assert difference(other, data, data).startswith("decoded differently")


def test_a_share_of_the_messages_is_another_one_with_another_seed() -> None:
    whole = [encode(message) for message in covering_messages(Schema.ISO20_ACDP)]
    some = [[encode(m) for m in covering(0.2, seed, (Schema.ISO20_ACDP,))] for seed in range(5)]
    assert sorted(data for chosen in some for data in chosen) == sorted(whole)


def test_only_signature_types_hold_what_typed_messages_cannot_say() -> None:
    """Mixed and foreign content, and the order of a repeated choice, exist in XML signatures alone."""
    for schema in SCHEMAS:
        for cls in reachable(schema):
            assert not class_of(cls).out_of_reach() or cls.__module__ == xmldsig.__name__
