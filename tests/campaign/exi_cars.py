"""Frames of real cars: every one decodes to the message it is said to be and encodes to the same bytes again.

EVSE_CAR_FRAMES names a file of JSON lines, packed by gzip or not, each with `p` (SAP, DIN, ISO2 or a name of Schema),
`hex` (the EXI document), `msg` (the root element, or the element in the body of DIN 70121 and ISO 15118-2) and
`src` (where it comes from, the make first). Such files are not ours to hand on, so none is here.

What cars send against the schema is told by `message.deviations`; only such a frame may encode to something else,
or be refused by the encoder, and what is only too long must begin with what we encode. The campaign prints what it
met, by make.
"""

from __future__ import annotations

import gzip
import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evse_controller.messages import ExiError, Message, Schema, decode, encode
from tests.campaign import Skipped

VARIABLE = "EVSE_CAR_FRAMES"
_SCHEMAS = {"SAP": Schema.APP_PROTOCOL, "DIN": Schema.DIN70121, "ISO2": Schema.ISO2}


def read_frames(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file of frames."""
    packed = file.read_bytes()
    text = gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed
    return (json.loads(line) for line in text.decode("utf-8").splitlines() if line.strip())


def schema_of_row(row: dict[str, Any]) -> Schema:
    """The schema that the payload type or the negotiated protocol told."""
    return _SCHEMAS.get(row["p"]) or Schema[row["p"]]


def element_of(message: Message) -> str:
    """The element that names the message: the one in the body, where there is a body."""
    body = getattr(message, "body", None)
    if body is None:
        return message.ELEMENT
    return "" if body.body_element is None else str(body.body_element.ELEMENT)


def problem_with(row: dict[str, Any], quirks: Counter[str]) -> str:
    """What is wrong with our reading of a frame, or nothing; what the car did wrong is counted."""
    data = bytes.fromhex(row["hex"])
    try:
        message = decode(schema_of_row(row), data)
    except ExiError as error:
        return f"does not decode: {error}"
    if row["msg"] not in (element_of(message), message.ELEMENT):
        return f"is a {element_of(message)}"
    for deviation in message.deviations:
        quirks[f"{element_of(message)}: {deviation.reason}"] += 1
    try:
        again = encode(message)
    except ExiError as error:
        return "" if message.deviations else f"does not encode again: {error}"
    behind = [deviation for deviation in message.deviations if deviation.reason.endswith(" bytes behind the document")]
    if len(behind) < len(message.deviations):
        return ""
    wanted = data[: len(data) - sum(int(deviation.reason.split()[0]) for deviation in behind)]
    return "" if again == wanted else f"encodes to {again.hex()}"


def run(scale: float, seed: int) -> int:
    """The campaign; the number of frames. Without a file it is skipped, and says so."""
    given = os.environ.get(VARIABLE)
    if not given:
        raise Skipped(f"{VARIABLE} names no file of real cars' frames")
    rows = list(read_frames(Path(given)))
    if scale < 1:
        rows = random.Random(seed).sample(rows, max(1, round(len(rows) * scale)))
    frames: Counter[str] = Counter()
    quirks: dict[str, Counter[str]] = {}
    problems = []
    for row in rows:
        make = str(row.get("src", "unknown")).split("/")[0]
        frames[make] += 1
        problem = problem_with(row, quirks.setdefault(make, Counter()))
        if problem:
            problems.append(f"{row.get('src')} {row['p']} {row['msg']} {problem}\n  {row['hex']}")
    for make, count in sorted(frames.items()):
        told = "; ".join(f"{number} x {quirk}" for quirk, number in sorted(quirks[make].items()))
        print(f"exi_cars: {make}: {count} distinct frames{', ' + told if told else ''}")
    if problems:
        raise AssertionError("\n".join([f"{len(problems)} of {len(rows)} frames", *problems[:10]]))
    return len(rows)
