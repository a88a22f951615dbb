"""What both emitters do with fixed-width pieces that follow each other: one read or one append for all of them."""

from __future__ import annotations

from evse_controller.exi.generator.emit_common import Code

PLACE = "<place>"


class BitRun:
    """Fixed-width pieces not yet written to the source."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.element = ""  # to which the next piece belongs; empty where `at` tells it better
        self.parts: list[tuple[int, str, str]] = []
        self.after: list[tuple[int, str]] = []

    def zero(self, width: int = 1) -> None:
        """Bits that must be zero: the only first-level event code of a state."""
        self.parts.append((width, "", self.element))

    def value(self, width: int, target: str, form: str = "{}", after: tuple[str, ...] = ()) -> None:
        """Bits that become a variable by the expression `form`.

        `after` lines follow the whole read; there, PLACE stands for the number of bits left behind the value.
        """
        self.parts.append((width, f"{target}\t{form}", self.element))
        self.after += [(len(self.parts), line) for line in after]

    def flush(self) -> None:
        """Write one read for all pieces."""
        if not self.parts:
            return
        total = sum(width for width, _, _ in self.parts)
        add = self.code.add
        add(f"e -= {total}")
        mask = 0
        left = total
        values = []
        places = [total]  # bits left of the run behind each piece
        for width, what, _ in self.parts:
            left -= width
            places.append(left)
            if what:
                target, form = what.split("\t")
                values.append((left, width, target, form))
            else:
                mask |= ((1 << width) - 1) << left
        if not values and total == 1:
            add("if n >> e & 1:")
            add("    raise unexpected(e)")
        elif len(self.parts) == 1:
            _, width, target, form = values[0]
            add(f"{target} = {form.format(f'n >> e & {(1 << width) - 1}')}")
        else:
            add(f"v = n >> e & {hex((1 << total) - 1)}")
            if mask:
                add(f"if v & {hex(mask)}:")
                later = [
                    f'({places[i]}, "{self.parts[i][2]}")'
                    for i in range(1, len(self.parts)) if self.parts[i][2] != self.parts[i - 1][2]
                ]
                add(f"    raise unexpected({', '.join(['e', f'v & {hex(mask)}', *later])})")
            for shift, width, target, form in values:
                expression = f"v >> {shift} & {(1 << width) - 1}" if shift else f"v & {(1 << width) - 1}"
                if shift + width == total:
                    expression = f"v >> {shift}" if shift else "v"
                add(f"{target} = {form.format(expression)}")
        for part, line in self.after:
            add(line.replace(PLACE, f"e + {places[part]}" if places[part] else "e"))
        self.parts, self.after = [], []


class PutRun:
    """Constant and variable bits not yet appended in the source."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.width = 0
        self.constant = 0
        self.values: list[tuple[str, int]] = []  # expression and its width, position counted from the run's start
        self.starts: list[int] = []

    def put(self, width: int, value: int = 0) -> None:
        """Constant bits."""
        self.constant = self.constant << width | value
        self.width += width

    def variable(self, width: int, expression: str) -> None:
        """Bits from an expression that is known to fit."""
        self.starts.append(self.width)
        self.values.append((expression, width))
        self.put(width)

    def take(self) -> str:
        """The expression for x with everything appended."""
        if not self.width:
            return "x"
        words = [f"x << {self.width}"]
        for (expression, width), start in zip(self.values, self.starts, strict=True):
            shift = self.width - start - width
            inner = expression if expression.isidentifier() else f"({expression})"
            words.append(f"{inner} << {shift}" if shift else inner)
        if self.constant:
            words.append(hex(self.constant))
        self.width = self.constant = 0
        self.values, self.starts = [], []
        return " | ".join(words)

    def flush(self) -> None:
        """Append to x."""
        if self.width:
            self.code.add(f"x = {self.take()}")
