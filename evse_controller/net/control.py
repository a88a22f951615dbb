"""The local control socket: JSON-RPC 2.0, one object a line, over a Unix socket. The technician's CLI is its client.

The socket file is 0660: who may reach it is decided by its group. Requests are small: a longer line is skipped and
answered by an error. Every call is answered: an RpcError of its handler becomes the error object, and so does anything
else that goes wrong in it. A peer whose line does not end, or that does not read its answers, is dropped.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

MAX_LINE = 64 * 1024
_MOST_SKIPPED = 1024 * 1024
_MAX_CLIENTS = 16
_MAX_BACKLOG = 256 * 1024  # bytes a slow reader may leave unread


class RpcError(Exception):
    """Refusal of a call. `code` follows JSON-RPC; REFUSED marks an interlock or rule of ours."""

    INVALID_REQUEST, UNKNOWN_METHOD, INVALID_PARAMS, INTERNAL, REFUSED = -32600, -32601, -32602, -32603, -32000

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Caller:
    """Who calls: the peer's user id and process as the kernel knows them, for the audit event."""

    def __init__(self, pid: int, uid: int) -> None:
        self.pid = pid
        self.uid = uid


Handler = Callable[[Mapping[str, Any], Caller], Any]


async def _line(reader: asyncio.StreamReader) -> bytes | None:
    """The next line, None for one beyond MAX_LINE (skipped as it comes, never kept), b"" at the end."""
    skipped = 0
    while skipped <= _MOST_SKIPPED:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            skipped += len(await reader.readexactly(error.consumed))
        except asyncio.IncompleteReadError as error:
            return b"" if skipped else error.partial
        else:
            return None if skipped else line
    raise OSError("a line that does not end")


class ControlServer:
    """Serves `methods`; `watch` is built in: it repeats one method's result every `period_s` until the peer leaves."""

    def __init__(self, path: Path, methods: Mapping[str, Handler]) -> None:
        self.path = path
        self._methods = dict(methods)
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Bind. A socket file that nobody serves any more is replaced; one that answers is an error."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.is_socket():
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(str(self.path))
                except OSError:
                    self.path.unlink()
                else:
                    raise OSError(f"{self.path}: another daemon answers there")
        self._server = await asyncio.start_unix_server(self._serve, str(self.path), limit=MAX_LINE)
        self.path.chmod(0o660)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            self.path.unlink(missing_ok=True)
        for task in list(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._clients) >= _MAX_CLIENTS:
            writer.close()
            return
        self._clients.add(task)
        try:
            raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            pid, uid, _gid = struct.unpack("3i", raw)
            caller = Caller(pid, uid)
            while (line := await _line(reader)) != b"":
                await self._answer(line, caller, writer)
        except OSError:
            writer.transport.abort()  # the peer went away, or has to
        except asyncio.CancelledError:
            writer.transport.abort()  # the daemon closes; asyncio's own callback would log a re-raised cancellation
        finally:
            self._clients.discard(task)
            writer.close()

    async def _answer(self, line: bytes | None, caller: Caller, writer: asyncio.StreamWriter) -> None:
        identifier: Any = None
        try:
            if line is None:
                raise RpcError(RpcError.INVALID_REQUEST, f"a request has at most {MAX_LINE} bytes")
            try:
                request = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise RpcError(RpcError.INVALID_REQUEST, f"not JSON: {error}") from error
            if not isinstance(request, dict) or not isinstance(request.get("method"), str):
                raise RpcError(RpcError.INVALID_REQUEST, "an object with 'method' is needed")
            identifier = request.get("id")
            params = request.get("params", {})
            if not isinstance(params, dict):
                raise RpcError(RpcError.INVALID_PARAMS, "'params' must be an object")
            if request["method"] == "watch":
                await self._watch(identifier, params, caller, writer)
                return
            result = await self._call(request["method"], params, caller)
            reply: dict[str, Any] = {"jsonrpc": "2.0", "id": identifier, "result": result}
        except RpcError as error:
            reply = {"jsonrpc": "2.0", "id": identifier, "error": {"code": error.code, "message": str(error)}}
        await self._send(writer, reply)

    async def _call(self, method: str, params: Mapping[str, Any], caller: Caller) -> Any:
        handler = self._methods.get(method)
        if handler is None:
            raise RpcError(
                RpcError.UNKNOWN_METHOD, f"no method {method!r}; there are {', '.join(sorted(self._methods))}"
            )
        try:
            result = handler(params, caller)
            return await result if isinstance(result, Awaitable) else result
        except RpcError:
            raise
        except Exception as error:
            raise RpcError(RpcError.INTERNAL, f"{method}: {error!r}"[:500]) from error

    async def _watch(
        self, identifier: Any, params: Mapping[str, Any], caller: Caller, writer: asyncio.StreamWriter
    ) -> None:
        method = str(params.get("method", "status"))
        period_s = params.get("period_s", 1.0)
        if not isinstance(period_s, int | float) or not 0.1 <= period_s <= 60:
            raise RpcError(RpcError.INVALID_PARAMS, "period_s must be 0.1 to 60")
        while not writer.is_closing():
            result = await self._call(method, {}, caller)
            await self._send(writer, {"jsonrpc": "2.0", "id": identifier, "result": result})
            await asyncio.sleep(period_s)

    async def _send(self, writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
        if writer.transport.get_write_buffer_size() > _MAX_BACKLOG:
            raise OSError("the peer does not read its answers")
        writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        await asyncio.sleep(0)
