"""What `evsectl decode` and `evsectl encode` share: where bytes come from, names of schemas, V2GTP frames."""

from __future__ import annotations

import base64
import binascii
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from evse_controller.messages.base import Schema

PCAPNG = b"\x0a\x0d\x0d\x0a"
LARGEST = 4 * 1024 * 1024  # bytes of one document; the largest legal price schedules have 1.5 MB
_FRAME = struct.Struct(">HHI")
_MAGIC = 0x01FE
_HEX = re.compile(r"(?:0[xX])?[0-9a-fA-F:\s]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
SHORT_NAMES = {
    "sap": "APP_PROTOCOL",
    "din": "DIN70121",
    "common": "ISO20_COMMON",
    "ac": "ISO20_AC",
    "dc": "ISO20_DC",
    "acdp": "ISO20_ACDP",
    "wpt": "ISO20_WPT",
}


class Unreadable(Exception):
    """The input or an option cannot be used; the text says which and why."""


def schema_named(text: str) -> Schema:
    """A schema by its name (any case), a short name, or its namespace; user-generated ones by their namespace."""
    name = SHORT_NAMES.get(text.lower(), text).upper()
    for schema in Schema:
        if name == schema.name:
            return schema
    try:
        return Schema.of(text)
    except (LookupError, ValueError):
        known = ", ".join([*SHORT_NAMES, *(s.name.lower() for s in Schema if s.name not in SHORT_NAMES.values())])
        raise Unreadable(
            f"--schema {text}: unknown; known are {known}, their namespaces, and the namespaces of schemas that you"
            " generated into a folder of EVSE_CONTROLLER_SCHEMAS"
        ) from None
    except Exception as problem:  # a user's module is any code
        said = " ".join(str(problem).split())
        raise Unreadable(f"--schema {text}: its module cannot be loaded: {type(problem).__name__}: {said}") from None


def given(source: str) -> bytes | str:
    """What the user names: the bytes of a file or of standard input (-), or the argument itself."""
    if source == "-":
        return sys.stdin.buffer.read()
    path = Path(source)
    try:
        exists = path.is_file()
    except (OSError, ValueError):  # too long for a path, or no path at all
        exists = False
    if exists:
        return path.read_bytes()
    return source


def binary(source: str, form: str) -> bytes:
    """The bytes that an argument, a file or standard input holds as hex, base64 or themselves.

    `form` auto: hex if there is nothing but hex digits, spaces, colons and a 0x in front; else base64; a file that is
    no text is taken as it is.
    """
    content = source if form != "binary" and _HEX.fullmatch(source) else given(source)
    if isinstance(content, bytes):
        if form == "binary" or content[:4] == PCAPNG:
            return content
        try:
            text = content.decode("ascii")
        except UnicodeDecodeError:
            if form == "auto":
                return content
            raise Unreadable(f"{_shown(source)}: binary, not {form}") from None
    else:
        if form == "binary":
            raise Unreadable(f"{_shown(source)}: no such file")
        text = content
    return _from_text(text.strip(), form, _shown(source))


def _from_text(text: str, form: str, source: str) -> bytes:
    if not text:
        raise Unreadable(f"{source}: empty")
    if form == "hex" or (form == "auto" and _HEX.fullmatch(text)):
        digits = re.sub(r"^0[xX]|[\s:]", "", text)
        wrong = re.search(r"[^0-9a-fA-F]", digits)
        if wrong:
            raise Unreadable(f"{source}: {wrong[0]!r} at digit {wrong.start()} is no hex digit")
        if len(digits) % 2:
            raise Unreadable(f"{source}: {len(digits)} hex digits; a byte has two, so one is missing")
        return bytes.fromhex(digits)
    if form == "base64" or _BASE64.fullmatch(text):
        try:
            return base64.b64decode(re.sub(r"\s", "", text), validate=True)
        except binascii.Error as error:
            if form == "base64":
                raise Unreadable(f"{source}: {error}") from None
    raise Unreadable(f"{source}: no such file, and neither hex digits, base64 nor a pcapng file")


def _shown(source: str) -> str:
    if source == "-":
        return "standard input"
    return source if len(source) <= 60 else f"{source[:57]}..."


class Frame(NamedTuple):
    """A V2GTP frame and where it stands; `payload` is None where `problem` says why there is none."""

    offset: int
    payload_type: int
    payload: bytes | None
    problem: str = ""


def is_framed(data: bytes) -> bool:
    """Whether the data begin with a V2GTP header; an EXI document begins with 0x80."""
    return data[:2] == b"\x01\xfe"


def frames(data: bytes) -> Iterator[Frame]:
    """The V2GTP frames in the data, back to back. The last one says what is wrong if they end in something else."""
    at = 0
    while at < len(data):
        if len(data) - at < _FRAME.size:
            yield Frame(at, 0, None, f"byte {at}: {len(data) - at} bytes where a V2GTP header has {_FRAME.size}")
            return
        magic, payload_type, length = _FRAME.unpack_from(data, at)
        if magic != _MAGIC:
            yield Frame(at, 0, None, f"byte {at}: no V2GTP header, 0x{magic:04X} where 0x01FE begins one")
            return
        begin = at + _FRAME.size
        if length > len(data) - begin:
            yield Frame(at, payload_type, None,
                        f"byte {at}: the frame declares {length} bytes and ends after {len(data) - begin}")
            return
        yield Frame(at, payload_type, data[begin : begin + length])
        at = begin + length
