"""The committed fuzz corpus: small inputs that together lead through the codec wherever fuzzing has come.

`python -m tests.campaign.exi_fuzz_corpus FOLDER...` makes the file anew from the present one, the inputs in the
folders (first octet: which schema, as the coverage-guided campaign writes them) and fresh mutations, and keeps only
inputs that add coverage to the vectors: another pair of lines executed after each other in the decoders, or another
reason for an error at another place of a type.
"""

from __future__ import annotations

import lzma
import random
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from evse_controller.messages import ExiError, Schema, decode
from tests.campaign.exi_vectors import read_vectors

FILE = Path(__file__).resolve().parent.parent / "data" / "exi_fuzz_corpus.txt.xz"
LONGEST = 2048  # bytes of an input of the corpus
FRESH = 150_000  # fresh mutations that are tried
_CODERS = re.compile(r"evse_controller/(exi|messages)/")


def read_corpus() -> Iterator[tuple[Schema, bytes]]:
    """The corpus: a schema and a frame each."""
    schemas = {schema.name: schema for schema in Schema}
    for line in lzma.decompress(FILE.read_bytes()).decode("ascii").splitlines():
        name, data = line.split(" ")
        yield schemas[name], bytes.fromhex(data)


def select(octets: bytes) -> tuple[Schema, bytes]:
    """The schema that the first octet selects, and the frame behind it."""
    schemas = sorted(Schema, key=lambda schema: schema.name)
    return schemas[octets[0] % len(schemas)], octets[1:]


def selector(schema: Schema) -> bytes:
    """The octet that selects a schema."""
    return bytes([sorted(s.name for s in Schema).index(schema.name)])


class Coverage:
    """Which pairs of lines follow each other in the codec, and which errors arise where."""

    def __init__(self) -> None:
        self.seen: set[Any] = set()

    def adds(self, schema: Schema, frame: bytes) -> bool:
        """Whether decoding the frame covers anything that nothing before did."""
        found: set[Any] = set()

        def trace(scope: FrameType, event: str, _argument: object) -> Any:
            code = scope.f_code
            if not _CODERS.search(code.co_filename):
                return None
            last = scope.f_lineno

            def lines(scope: FrameType, event: str, _argument: object) -> Any:
                nonlocal last
                found.add((code, last, scope.f_lineno, event))
                last = scope.f_lineno
                return lines

            return lines

        sys.settrace(trace)
        try:
            decode(schema, frame)
        except ExiError as error:
            place = re.sub(r"\[\d+\]", "", error.steps[-1] if error.steps else "")
            kind = (schema.name, place, re.sub(r"-?\d+", "#", error.reason))
        else:
            kind = (schema.name, "", "a message")
        finally:
            sys.settrace(None)
        found.add(kind)
        new = not found <= self.seen
        self.seen |= found
        return new


def minimised(candidates: Iterable[tuple[Schema, bytes]]) -> list[tuple[Schema, bytes]]:
    """The candidates that add coverage to the vectors and to the ones chosen before them, the shortest first."""
    coverage = Coverage()
    for message, data in read_vectors():
        coverage.adds(message.SCHEMA, data)
    first = len(coverage.seen)
    unique = {(schema.name, frame): schema for schema, frame in candidates if len(frame) <= LONGEST}
    chosen = []
    for (_, frame), schema in sorted(unique.items(), key=lambda item: (len(item[0][1]), item[0])):
        if coverage.adds(schema, frame):
            chosen.append((schema, frame))
    # Longer inputs may cover what shorter ones were chosen for.
    coverage.seen = set()
    for message, data in read_vectors():
        coverage.adds(message.SCHEMA, data)
    kept = [one for one in reversed(chosen) if coverage.adds(*one)]
    print(f"{len(kept)} of {len(unique)} inputs kept; the vectors cover {first}, all together {len(coverage.seen)}")
    return sorted(kept, key=lambda one: (one[0].name, len(one[1]), one[1]))


def main(folders: list[str]) -> int:
    """Write the file; the exit code."""
    from tests.campaign.exi_fuzz import Seeds, batches

    candidates = list(read_corpus()) if FILE.exists() else []
    for folder in folders:
        candidates += [select(path.read_bytes()) for path in Path(folder).iterdir() if path.stat().st_size > 1]
    fresh = batches(random.Random(len(candidates)), Seeds(vectors=read_vectors()))
    while len(candidates) < FRESH:
        candidates += next(fresh)
    lines = [f"{schema.name} {frame.hex()}\n" for schema, frame in minimised(candidates)]
    FILE.write_bytes(lzma.compress("".join(lines).encode("ascii"), preset=9 | lzma.PRESET_EXTREME))
    print(f"{FILE.name}: {len(lines)} inputs, {FILE.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
