"""What is read although the schema or the EXI specification forbids it, and how it is told.

The generated decoders stop at the first fault, and that is all that happens on the fast path. Only when one has
stopped, or when something is left behind the document, the document is read again, tolerating all faults: that
tells whether it can be read at all, and how many faults it has. Only a document that can be read is then read some
times more, tolerating one fault more in each pass, so that each is caught on its way up and learns its path and its
place. The fast path has located the first; at most `LOCATED` more are, in fewer passes the larger the document is
(`most_located`), and the rest are only counted. So nothing is read more often than 12 times, and nothing over 4 KiB
more than 4 times, whatever it holds (test_no_document_is_read_often). A pass tells the helpers below what to let
go by a ContextVar, so the decoders need no parameter for it and other threads and tasks are not touched.

Tolerated, and named in `message.deviations` (the evidence is what cars and stations have been seen to send):

* A number, string or binary value outside its facets. A make of car sends `MaxNumberOfPhasesInUse` 4 where 3 is
  the most; session ids come with 0, 1, 6 and 8 bytes; an eMAID in a field log is longer than the schema's.
  The value is kept as it came. Held to: strings 4096 characters, binaries 8192 bytes (or the schema's own bound
  if larger), integers of at most 64 bits 10 octets.
  (test_facets_are_tolerated, test_session_ids_of_0_to_8_bytes)
* An unsigned integer with needless octets: nothing forbids it to an encoder, but ours would write it shorter.
  (test_needless_octets_of_an_integer)
* A string or binary element, or text behind attributes, that ends at once by the second-level end element
  `1 000` (EXI 1.0, 8.5.4.4.1): EXIficient, and with it every charger that uses it, writes empty values so.
  (test_second_level_end_of_an_empty_string and its neighbours)
* A list of as many items as the schema allows whose end is written as if one more could follow: the C code
  generator that most chargers in the field use does that (`full_list_end`, test_lists_that_the_c_encoder_ends).
* Bytes behind the document: a widespread car and an open-source test vehicle append a zero byte.
  (test_trailing_bytes_are_tolerated)
* Ones in the padding of the last byte. (test_padding_is_tolerated)
* Children of an XML signature's KeyInfo or X509Data that alternate: the message keeps them by name, not in their
  order. Nothing that is signed depends on it. (test_interleaved_children_are_a_deviation)

Read without a remark, because it is encoded again as it came: characters that XML has no way to write; a make
of car fills a string with NULs. (test_characters_that_xml_cannot_carry)

Refused always, because no value could be given that is not guessed: enumeration indices without a value, string
table hits, all other second-level events, wildcard and mixed content, abstract elements, code points that are no
characters, more items than a list may have, integers without an end, and anything that ends early.

Encoding tolerates nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Generic, NamedTuple, TypeVar

from evse_controller.exi.errors import ExiError, Tolerable, unexpected, within

T = TypeVar("T")
LOCATED = 8  # deviations of one document that are told one by one, beside the first
WORK = 4 * 1024  # bytes that may be read again to locate those


class Deviation(NamedTuple):
    """One tolerated fault: the elements from the root to it, the bit at which it was noticed, and what it is.

    `offset` is None in the last entry of a long list, which only says how many more there are.
    """

    path: str
    offset: int | None
    reason: str


class _Pass:
    """What one reading of a document lets go, and what it met."""

    __slots__ = ("c_lists", "full", "let_go", "list_ends", "patience")

    def __init__(self, patience: int, c_lists: bool) -> None:
        self.patience = patience
        self.c_lists = c_lists  # lists at their maximum end as the C encoder ends them
        self.let_go = 0
        self.list_ends = 0  # how many of those were such ends
        self.full = False  # a list reached its maximum, and ended by the specification


_PASS: ContextVar[_Pass | None] = ContextVar("exi_pass", default=None)


class _Reading(NamedTuple, Generic[T]):
    """A document that could be read, and the pass that read it."""

    node: T
    left: int
    way: _Pass

    def excuses(self, n: int) -> int:
        """How many faults a wrong list end does not explain."""
        return self.way.let_go - self.way.list_ends + len(padding(n, self.left))


def most_located(size: int) -> int:
    """How many deviations of a document of that many bytes are located; each but the first takes a pass over it."""
    return 1 + min(LOCATED, WORK // max(size, 1))


def let_go(fault: Tolerable) -> None:
    """Raise the fault, unless the present pass tolerates it."""
    present = _PASS.get()
    if present is None or present.let_go >= present.patience:
        raise fault
    present.let_go += 1


def tolerate(reason: str, left: int) -> None:
    """Say that something deviates in a way that can be read; returns if the present pass tolerates it."""
    let_go(Tolerable(reason, left))


def outside(value: object, allowed: str, left: int, element: str = "") -> None:
    """A decoded number outside the bounds of its type: tolerable."""
    fault = Tolerable(f"value {value} is outside {allowed}", left)
    fault.element = element
    let_go(fault)


def lenient() -> bool:
    """Whether the present pass tolerates anything: then values may be longer than their types allow."""
    return _PASS.get() is not None


def full_list_end(n: int, e: int, productions: int) -> tuple[int, int]:
    """The event code behind the last item that a list may have; `productions` may follow it there.

    The C encoder writes the code of the state in which another item could follow: one production more, which
    comes first and shifts the others.
    """
    present = _PASS.get()
    if present is not None and present.c_lists:
        e -= (productions + 1).bit_length()
        c = (n >> e & (1 << (productions + 1).bit_length()) - 1) - 1
        if not 0 <= c < productions:
            raise unexpected(e)
        tolerate("a list at its maximum that ends as if another item could follow", e)
        present.list_ends += 1
        return c, e
    if present is not None:
        present.full = True
    e -= productions.bit_length()
    c = n >> e & (1 << productions.bit_length()) - 1
    if c >= productions:
        raise unexpected(e)
    return c, e


def padding(n: int, left: int) -> list[Tolerable]:
    """The faults in what is left behind a document."""
    faults = []
    bits = left % 8
    if n >> left - bits & (1 << bits) - 1:
        faults.append(Tolerable("the padding bits are not zero", left))
    if left > 7:
        faults.append(Tolerable(f"{left // 8} bytes behind the document", left - bits))
    return faults


def _read(decoder: Callable[[int, int], tuple[T, int]], n: int, e: int, way: _Pass) -> _Reading[T]:
    """Read a document with the patience of a pass."""
    token = _PASS.set(way)
    try:
        return _Reading(*decoder(n, e), way)
    finally:
        _PASS.reset(token)


def read_again(
    decoder: Callable[[int, int], tuple[T, int]], n: int, e: int, element: str, total: int, first: ExiError | None
) -> tuple[T, tuple[Deviation, ...]]:
    """A document that is not clean, and how it deviates; ExiError if it cannot be read at all.

    `first` is the fault that the fast path stopped at; None if it read the document and only the padding is wrong.
    A full list may have been ended by the C encoder's rule. If one was met and the document is not clean, or if it
    cannot be read, it is read by that rule too; the reading that needs fewer other excuses counts, the
    specification's if they are equal.
    """
    reading = None
    problem = first
    full = True  # or not known
    if first is None or isinstance(first, Tolerable):
        way = _Pass(sys.maxsize, False)
        try:
            reading = _read(decoder, n, e, way)
        except ValueError as error:
            problem = within(error, "", e)
        full = way.full
    faults = [first] if isinstance(first, Tolerable) else []
    if full:
        try:
            other = _read(decoder, n, e, _Pass(sys.maxsize, True))
        except ValueError:
            other = None
        if other and other.way.list_ends and (reading is None or other.excuses(n) < reading.excuses(n)):
            reading, faults = other, []
    if reading is None:
        assert problem is not None
        raise problem
    located = min(reading.way.let_go, most_located(total // 8))
    for patience in range(len(faults), located):
        try:
            _read(decoder, n, e, _Pass(patience, reading.way.c_lists))
        except Tolerable as fault:
            faults.append(fault)
    told = [*faults, *padding(n, reading.left)]
    found = [Deviation("/".join([element, *f.steps]), total - (f.left or 0), f.reason) for f in told]
    if reading.way.let_go > len(faults):
        found.append(Deviation(element, None, f"and {reading.way.let_go - len(faults)} more"))
    return reading.node, tuple(found)
