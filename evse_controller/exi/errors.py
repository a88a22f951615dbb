"""The one error of the coders."""

from __future__ import annotations

SHOWN = 60  # characters of a wrong value that an error shows

class ExiError(ValueError):
    """Bytes that are no message of the schema, or a message that the schema forbids.

    `schema` is the name of the schema set, `path` the elements from the root to the fault, with the index in a list
    (empty if it is not about an element: data of another kind), `offset` the bit offset in the data at which the
    fault was noticed (None while encoding), `reason` what is wrong there.
    """

    def __init__(self, reason: str, left: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.schema = ""
        self.offset: int | None = None
        self.steps: list[str] = []
        self.left = left  # bits not yet read when the fault was noticed, counted in the innermost window
        self.element = ""  # the innermost step, where the fault knows it better than the place that catches it

    @property
    def path(self) -> str:
        """The element path, root first, separated by slashes."""
        return "/".join(self.steps)

    def __str__(self) -> str:
        words = [self.schema or "EXI"]
        if self.steps:
            words.append(self.path)
        if self.offset is not None:
            words.append(f"bit {self.offset}")
        return f"{', '.join(words)}: {self.reason}"


class Tolerable(ExiError):
    """A fault that leaves no doubt about what was meant; `exi.leniency` lets it go unless strictness is asked for."""


def within(error: ValueError, step: str, left: int | None = None, base: int = 0) -> ExiError:
    """The error with one more step of the path in front of it.

    The straight-line decoders let a shift by a negative count fail when the data end early; that is the only
    ValueError there that is not an ExiError, and this is where it gets its meaning. What decodes gives `left`, the
    bits not yet read, and `base`, the number of bits below the window in which the step was decoded; what encodes
    gives neither.
    """
    if not isinstance(error, ExiError):
        error = ExiError(str(error)) if left is None else ExiError("the data end inside this element", 0)
    if base and error.left is not None:
        error.left += base
    if error.element or step:
        error.steps.insert(0, error.element or step)
        error.element = ""
    return error


def unexpected(left: int, wrong: int = 0, *later: tuple[int, str]) -> ExiError:
    """An event code that leads away from the schema's productions.

    Of several pieces read at once, `wrong` has the bits that should be zero, and `later` tells the elements behind
    the first, each with the number of bits at which it begins.
    """
    error = ExiError("an event code that the schema does not have here", left + max(wrong.bit_length() - 1, 0))
    for bits, element in later:
        if wrong.bit_length() <= bits:
            error.element = element
    return error


def out_of_range(value: object, allowed: str, left: int, element: str = "") -> ExiError:
    """An index that stands for no value."""
    error = ExiError(f"value {value} is outside {allowed}", left)
    error.element = element
    return error


def invalid(value: object, wanted: str) -> ExiError:
    """A value that the encoder was given and the schema does not allow."""
    if value is None:
        return ExiError(f"missing, {wanted} is required")
    return ExiError(f"{_shown(value)} is not {wanted}")


def _shown(value: object) -> str:
    """A few characters that tell what a value is, whatever it is."""
    if isinstance(value, int) and value.bit_length() > 256:  # Python writes no number of thousands of digits
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, str | bytes):
        value = value[:SHOWN]
    elif isinstance(value, list):
        return f"a list of {len(value)}"
    elif hasattr(value, "FIELDS"):  # a part of a message: it may be large, and contain itself
        return f"a {type(value).__name__}"
    try:
        text = repr(value)
    except Exception:  # the value is anybody's, and so is what its representation raises
        text = f"a {type(value).__name__}"
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def count_set(*values: object) -> int:
    """How many of a choice's alternatives are set."""
    return len(values) - values.count(None)


def wrong_choice(wanted: str, *names: str) -> ExiError:
    """Too many or too few alternatives of a choice are set."""
    return ExiError(f"{wanted} one of {', '.join(names)} may be set")
