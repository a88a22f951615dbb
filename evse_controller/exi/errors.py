"""The one error of the coders."""

from __future__ import annotations


class ExiError(ValueError):
    """Bytes that are no message of the schema, or a message that the schema forbids.

    `schema` is the name of the schema set, `path` the elements from the root to the fault, `offset` the bit
    offset in the data at which the fault was noticed (None while encoding), `reason` what is wrong there.
    """

    def __init__(self, reason: str, left: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.schema = ""
        self.offset: int | None = None
        self.steps: list[str] = []
        self.left = left  # bits not yet read when the fault was noticed, counted in the innermost window

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


def within(error: ValueError, step: str, left: int | None = None) -> ExiError:
    """The error with one more step of the path in front of it.

    The straight-line decoders let a shift by a negative count fail when the data end early; that is the only
    ValueError that is not an ExiError there, and this is where it gets its meaning.
    """
    if not isinstance(error, ExiError):
        error = ExiError("the data end inside this element", 0 if left is None else max(left, 0))
    if step:
        error.steps.insert(0, step)
    return error
