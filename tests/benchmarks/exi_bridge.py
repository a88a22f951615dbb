"""EXIficient through the bridge of the package `iso15118`: JSON text in, bytes out, and back.

Run as a script by the interpreter of that package's environment, it answers one line of JSON for each it is given:
[namespace, JSON text, EXI in hex] -> [EXI in hex, JSON text, seconds to encode, seconds to decode].
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any


class Bridge:
    """The child process with the bridge; times are taken inside it, around the bridge's own methods."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen(
            [str(python), __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def measure(self, namespace: str, text: str, data: bytes) -> tuple[bytes, Any, float, float]:
        """The bytes of a message, its JSON form, and the times to encode and to decode in seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([namespace, text, data.hex()]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the bridge ended, see its complaints above")
        exi, form, encoding, decoding = json.loads(line)
        return bytes.fromhex(exi), json.loads(form), encoding, decoding

    def __enter__(self) -> Bridge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()


def serve() -> None:
    from iso15118.shared.exificient_exi_codec import ExificientEXICodec

    codec = ExificientEXICodec()
    for line in sys.stdin:
        namespace, text, data = json.loads(line)
        wanted = bytes.fromhex(data)
        start = time.perf_counter()
        exi = codec.encode(text, namespace)
        middle = time.perf_counter()
        form = codec.decode(wanted, namespace)
        end = time.perf_counter()
        print(json.dumps([bytes(exi).hex(), form, middle - start, end - middle]), flush=True)
    codec.gateway.shutdown()


if __name__ == "__main__":
    serve()
