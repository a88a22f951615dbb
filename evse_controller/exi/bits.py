"""Reading and writing EXI's built-in datatypes (EXI 1.0, 7.1) on big integers.

Decoding: the whole payload is one int `n`, `e` counts the bits that are left; a value of w bits is
`n >> (e - w) & mask`. Encoding: `x` collects the bits behind a leading one bit that marks the start.
"""

from __future__ import annotations

from evse_controller.exi.errors import ExiError, invalid, unexpected
from evse_controller.exi.leniency import lenient, tolerate

MAX_TEXT = 4096  # characters of a string whose type has no maxLength
MAX_BINARY = 8192  # octets of a binary value whose type has no maxLength
MAX_ITEMS = 128  # items of a list that the schema does not bound
PART = 1 << 8192  # an encoder of a long list starts a new number when the old one has grown to this
GROUPS = 10  # octets of an integer of up to 64 bits
BIG_GROUPS = 29  # octets of an unbounded integer: enough for the serial number of any certificate


def read_more(n: int, e: int, low: int, groups: int) -> tuple[int, int]:
    """The rest of an unsigned integer (7.1.6) whose first octet, `low`, announced more."""
    value = low & 127
    shift = 7
    while True:
        e -= 8
        octet = n >> e & 255
        value |= (octet & 127) << shift
        if octet < 128:
            if not octet:
                tolerate("an integer with needless octets", e)
            return value, e
        shift += 7
        if shift >= 7 * groups:
            raise ExiError(f"an integer of more than {groups} octets", e)


def read_uint(n: int, e: int, groups: int) -> tuple[int, int]:
    """An unsigned integer (7.1.6)."""
    e -= 8
    octet = n >> e & 255
    return (octet, e) if octet < 128 else read_more(n, e, octet, groups)


def read_characters(n: int, e: int, most: int, least: int = 0) -> tuple[str, int]:
    """A string as value (7.1.10, 7.3.3): length plus two, then code points; 0 and 1 would be string table hits."""
    start = e
    length, e = read_uint(n, e, 5)
    if length < 2:
        raise ExiError("a string table hit, which charging protocols exclude", start)
    length -= 2
    if not least <= length <= most:
        reason = f"a string of {length} characters where {least} to {most} are allowed"
        _wrong_length(reason, length > max(most, MAX_TEXT), start)
    end = e - 8 * length
    octets = (n >> end & ((1 << 8 * length) - 1)).to_bytes(length, "big")
    if octets.isascii():
        return octets.decode("ascii"), end
    # Some code point takes more than one octet: on through the octets that these characters can take.
    size = min(e // 8, 3 * length)
    octets = (n >> e - 8 * size & ((1 << 8 * size) - 1)).to_bytes(size, "big")
    characters: list[str] = []
    point = shift = 0
    for octet in octets:
        e -= 8
        point |= (octet & 127) << shift
        if octet > 127:
            shift += 7
            if shift > 14:
                raise ExiError("an integer of more than 3 octets", e)
            continue
        if shift and not octet:
            tolerate("an integer with needless octets", e)
        if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
            raise ExiError(f"{point:#x} is no character", e)
        characters.append(chr(point))
        if len(characters) == length:
            return "".join(characters), e
        point = shift = 0
    raise ExiError("the data end inside this element", 0)


def read_octets(n: int, e: int, least: int, most: int) -> tuple[bytes, int]:
    """A binary value (7.1.1)."""
    start = e
    length, e = read_uint(n, e, 5)
    if not least <= length <= most:
        _wrong_length(f"{length} bytes where {least} to {most} are allowed", length > max(most, MAX_BINARY), start)
    e -= 8 * length
    return (n >> e & ((1 << 8 * length) - 1)).to_bytes(length, "big"), e


def read_string(n: int, e: int, most: int, least: int = 0) -> tuple[str, int]:
    """Content and end of a string element. An empty one may also end by the second-level end event `1 000`."""
    e -= 1
    if n >> e & 1:
        return "", read_empty(n, e, least)
    value, e = read_characters(n, e, most, least)
    e -= 1
    if n >> e & 1:
        raise unexpected(e)
    return value, e


def read_binary(n: int, e: int, least: int, most: int) -> tuple[bytes, int]:
    """Content and end of a binary element; an empty one as in `read_string`."""
    e -= 1
    if n >> e & 1:
        return b"", read_empty(n, e, least)
    value, e = read_octets(n, e, least, most)
    e -= 1
    if n >> e & 1:
        raise unexpected(e)
    return value, e


def read_integer(n: int, e: int) -> tuple[int, int]:
    """Content and end of an element whose type is an unbounded integer (7.1.5)."""
    e -= 2
    head = n >> e & 3
    if head > 1:
        raise unexpected(e)
    value, e = read_uint(n, e, BIG_GROUPS)
    e -= 1
    if n >> e & 1:
        raise unexpected(e)
    return (-1 - value if head else value), e


def read_empty(n: int, e: int, least: int = 0) -> int:
    """Accept the second-level end element (8.5.4.4.1) of a value that should have a length of `least`.

    It is the first of seven productions there, and behind an attribute, where xsi:type and xsi:nil cannot come
    any more, of five: 000 in both.
    """
    e -= 3
    if n >> e & 7:
        raise ExiError("a deviation from the schema (second-level event)", e)
    tolerate("an empty value that ends by the second-level end element", e)
    if least:
        tolerate(f"a length of 0 where {least} is the least", e)
    return e


def _wrong_length(reason: str, excessive: bool, left: int) -> None:
    """A length against the facets is tolerable, but what would be read has its bound."""
    if excessive:
        raise ExiError(reason, left)
    tolerate(reason, left)


class Window:
    """A view of a part of a long payload, so that the cost of reading a list stays linear in its length.

    It is slid whenever less than `need` bits are left of it, the most that one item can take.
    """

    __slots__ = ("_data", "_size", "base", "need")

    def __init__(self, n: int, e: int, need: int, lenient_need: int) -> None:
        """Over the last `e` bits of `n`; an item takes up to `need` bits, or `lenient_need` against the facets."""
        e = max(e, 0)
        self._data = (n & ((1 << e) - 1)).to_bytes((e + 7) // 8, "big")
        self.need = lenient_need if lenient() else need
        self._size = self.need + 3 * need + 2048
        self.base = e  # bits below the window

    def slide(self, e: int) -> tuple[int, int]:
        """Move the window to where `e` bits of it are left; the new number and what is left of it."""
        left = e + self.base
        base = max(0, left - self._size) & ~7
        self.base = base
        end = len(self._data) - base // 8
        start = len(self._data) - (left + 7) // 8
        return int.from_bytes(self._data[start:end], "big"), left - base


def put_uint(x: int, value: int) -> int:
    """Append an unsigned integer (7.1.6)."""
    if value < 128:
        return x << 8 | value
    if value < 16384:
        return x << 16 | (value & 127 | 128) << 8 | value >> 7
    while value > 127:
        x = x << 8 | value & 127 | 128
        value >>= 7
    return x << 8 | value


def put_integer(x: int, value: int) -> int:
    """Append content and end of an element whose type is an unbounded integer (7.1.5)."""
    if type(value) is not int:
        raise invalid(value, "an integer")
    if (value if value >= 0 else ~value) >> 7 * BIG_GROUPS:  # more than `read_integer` accepts
        raise invalid(value, f"an integer of at most {7 * BIG_GROUPS} bits")
    return (put_uint(x << 2, value) if value >= 0 else put_uint(x << 2 | 1, -1 - value)) << 1


def put_string(x: int, value: str, most: int, least: int = 0) -> int:
    """Append a string as value (7.1.10): never a table hit."""
    if type(value) is not str or not least <= len(value) <= most:
        raise invalid(value, f"a string of {f'{least} to' if least else 'at most'} {most} characters")
    x = put_uint(x, len(value) + 2)
    if value.isascii():
        return x << 8 * len(value) | int.from_bytes(value.encode("ascii"), "big")
    for character in value:
        point = ord(character)
        if 0xD800 <= point <= 0xDFFF:
            raise ExiError(f"{point:#x} is no character")
        x = put_uint(x, point)
    return x


def put_binary(x: int, value: bytes, least: int, most: int) -> int:
    """Append a binary value (7.1.1)."""
    if type(value) is not bytes or not least <= len(value) <= most:
        raise invalid(value, f"a value of {least} to {most} bytes")
    return put_uint(x, len(value)) << 8 * len(value) | int.from_bytes(value, "big")


def join(parts: list[int]) -> int:
    """Concatenate numbers that each begin with the marking one bit, in n log n instead of n squared."""
    while len(parts) > 1:
        merged = []
        for index in range(0, len(parts) - 1, 2):
            second = parts[index + 1]
            width = second.bit_length() - 1
            merged.append(parts[index] << width | second ^ (1 << width))
        if len(parts) % 2:
            merged.append(parts[-1])
        parts = merged
    return parts[0]
