"""Blocking client of the control socket. Standard library only and no asyncio: it decides how fast `evsectl` starts."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any


class DaemonUnreachable(Exception):
    """Nobody serves the socket; the text names it."""


class Refused(Exception):
    """The daemon answered with an error; `code` is its JSON-RPC code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Client:
    def __init__(self, path: str, timeout_s: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(path)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DaemonUnreachable(
                f"{path}: {reason}; is evsed running, and is this its socket (--socket)?"
            ) from error
        self._stream = self._socket.makefile("rb")

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """One call, one result. Raises Refused, DaemonUnreachable or TimeoutError."""
        self._request(method, params or {})
        return self._result()

    def watch(self, method: str, period_s: float) -> Iterator[Any]:
        """Results of `method`, one a period, until the daemon goes away."""
        self._request("watch", {"method": method, "period_s": period_s})
        while True:
            yield self._result()

    def _request(self, method: str, params: Mapping[str, Any]) -> None:
        line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n"
        self._socket.sendall(line.encode())

    def _result(self) -> Any:
        line = self._stream.readline()
        if not line:
            raise DaemonUnreachable("the daemon closed the connection")
        reply = json.loads(line)
        if "error" in reply:
            raise Refused(reply["error"]["code"], reply["error"]["message"])
        return reply["result"]

    def close(self) -> None:
        self._stream.close()
        self._socket.close()
