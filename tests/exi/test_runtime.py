"""The coders' runtime: EXI's datatypes on big integers, windows, joining, tables of states."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evse_controller.exi.bits import (
    BIG_GROUPS,
    Window,
    join,
    put_binary,
    put_integer,
    put_string,
    put_uint,
    read_characters,
    read_integer,
    read_octets,
    read_string,
    read_uint,
)
from evse_controller.exi.errors import ExiError
from evse_controller.exi.irregular import decode_states, encode_states
from evse_controller.messages.generated.xmldsig import (
    CanonicalizationMethod,
    DSAKeyValue,
    KeyInfo,
    KeyValue,
    decode_CanonicalizationMethod,
    decode_DSAKeyValue,
    decode_KeyInfo,
    encode_CanonicalizationMethod,
    encode_DSAKeyValue,
    encode_KeyInfo,
)


def size(x: int) -> int:
    return x.bit_length() - 1


@given(st.integers(0, 2**203 - 1))
def test_unsigned_integers(value: int) -> None:
    x = put_uint(1, value)
    assert read_uint(x, size(x), BIG_GROUPS) == (value, 0)


def test_the_octets_of_an_unsigned_integer() -> None:
    # EXI 1.0, 7.1.6: seven bits an octet, the least significant first, the top bit says that more follow
    assert put_uint(1, 0) == 0x100
    assert put_uint(1, 127) == 0x17F
    assert put_uint(1, 128) == 0x18001
    assert put_uint(1, 16384) == 0x1808001


@given(st.integers(-(2**202), 2**202))
def test_integers(value: int) -> None:
    x = put_integer(1, value)
    assert read_integer(x, size(x)) == (value, 0)


@given(st.text(st.characters(codec="utf-8"), max_size=50))
def test_strings(value: str) -> None:
    x = put_string(1, value, 50)
    assert read_characters(x, size(x), 50) == (value, 0)
    x <<= 1
    boxed = (x ^ (1 << size(x))) | 1 << size(x) + 1  # content event 0 in front, end event 0 behind
    assert read_string(boxed, size(boxed), 50) == (value, 0)


@given(st.binary(max_size=50))
def test_binaries(value: bytes) -> None:
    x = put_binary(1, value, 0, 50)
    assert read_octets(x, size(x), 0, 50) == (value, 0)


@pytest.mark.parametrize("point", [0xD800, 0xDFFF, 0x110000])
def test_code_points_that_are_no_characters(point: int) -> None:
    x = put_uint(put_uint(1, 1 + 2), point)
    with pytest.raises(ExiError, match="is no character"):
        read_characters(x, size(x), 10)


def test_a_string_that_ends_early_or_has_a_character_without_end() -> None:
    x = put_string(1, "\u20ac\u20ac", 2)
    with pytest.raises(ExiError, match="the data end"):
        read_characters(x >> 8, size(x) - 8, 2)
    with pytest.raises(ExiError, match="more than 3 octets"):
        read_characters(put_uint(1, 1 + 2) << 32 | 0xFFFFFFFF, 40, 10)


@pytest.mark.parametrize("value", [1 << 203, -(1 << 203) - 1])
def test_integers_that_could_not_be_read_are_not_written(value: int) -> None:
    with pytest.raises(ExiError, match="an integer of at most 203 bits"):
        put_integer(1, value)
    least = value - 1 if value > 0 else value + 1
    x = put_integer(1, least)
    assert read_integer(x, size(x)) == (least, 0)


def test_bounds_come_before_allocation() -> None:
    x = put_uint(1, 2**34)
    with pytest.raises(ExiError, match="where 0 to 10 are allowed"):
        read_characters(x, size(x), 10)
    with pytest.raises(ExiError, match="bytes where 0 to 10 are allowed"):
        read_octets(x, size(x), 0, 10)
    endless = (1 << 8 * 40) - 1
    with pytest.raises(ExiError, match="more than 10 octets"):
        read_uint(endless, 320, 10)


@given(st.lists(st.tuples(st.integers(0, 70), st.integers(0, 2**70 - 1)), min_size=1, max_size=40))
def test_join(pieces: list[tuple[int, int]]) -> None:
    parts = [1 << width | value & (1 << width) - 1 for width, value in pieces]
    text = "1" + "".join(f"{part:b}"[1:] for part in parts)
    assert join(parts) == int(text, 2)


def test_a_window_sees_every_bit_in_order() -> None:
    rng = random.Random(1)
    total = 100_003
    n = rng.getrandbits(total)
    bits = f"{n:0{total}b}"
    window = Window(n, total, 50, 5000)
    assert window.need == 50  # and 5000 only where values against the facets are read
    view, left = window.slide(0)
    seen = []
    while left or window.base:
        if left < 50 and window.base:
            view, left = window.slide(left)
        width = min(rng.randint(1, 50), left)
        left -= width
        seen.append(f"{view >> left & (1 << width) - 1:0{width}b}")
    assert "".join(seen) == bits


def test_types_described_by_states() -> None:
    info = KeyInfo(id="k", key_name=["a", "b"], key_value=[KeyValue(dsa_key_value=DSAKeyValue(y=b"1", j=b"2"))])
    x = encode_KeyInfo(1, info)
    assert decode_KeyInfo(x, size(x)) == (info, 0)
    whole = DSAKeyValue(p=b"p", q=b"q", g=b"g", y=b"y", j=b"j", seed=b"s", pgen_counter=b"c")
    x = encode_DSAKeyValue(1, whole)
    assert decode_DSAKeyValue(x, size(x)) == (whole, 0)


def test_content_against_the_states_is_refused() -> None:
    with pytest.raises(ExiError, match="missing"):
        encode_KeyInfo(1, KeyInfo())
    with pytest.raises(ExiError, match="element Y is not allowed here"):
        encode_DSAKeyValue(1, DSAKeyValue(p=b"p", y=b"y"))  # P without Q
    with pytest.raises(ExiError, match="is not a list"):
        encode_KeyInfo(1, KeyInfo(key_name="a"))  # type: ignore[arg-type]


def test_mixed_and_foreign_content_is_refused_and_located() -> None:
    x = encode_CanonicalizationMethod(1, CanonicalizationMethod("urn:x"))
    assert decode_CanonicalizationMethod(x, size(x)) == (CanonicalizationMethod("urn:x"), 0)
    for code, reason in ((0, "foreign"), (2, "foreign"), (3, "does not have here")):
        changed = x >> 2 << 2 | code
        with pytest.raises(ExiError, match=reason):
            decode_CanonicalizationMethod(changed, size(changed))


def test_repetition_is_bounded() -> None:
    states = ((("SE", 0, 0), ("EE", -1, -1)),)
    names = (("A", True),)
    x = encode_states(1, [[1] * 32], states, names, (lambda x, v: x << 8 | v,))
    assert decode_states(x, size(x), states, names, (lambda n, e: (n >> e - 8 & 255, e - 8),))[0] == [[1] * 32]
    for count in (0, 33):
        with pytest.raises(ExiError, match="list of 1 to 32") as caught:
            encode_states(1, [[1] * count], states, names, (lambda x, v: x << 8 | v,))
        assert caught.value.path == "A"
    x = int("1" + "00" "00000001" * 33 + "01", 2)
    with pytest.raises(ExiError, match="more than 32"):
        decode_states(x, size(x), states, names, (lambda n, e: (n >> e - 8 & 255, e - 8),))
