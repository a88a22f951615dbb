"""One TCP connection of an EV: TLS, pacing, timers and bounds around a sans-IO `V2gConnection`.

Bounds: 16 KiB read at a time, reading paused while anything is unprocessed or unsent, at most `SLICE_BYTES` processed
per turn of the loop (a flood of tiny frames cannot starve the control step), a peer that does not read is cut off.
While a large message of the main stream is coded beside the loop, nothing else of this peer is processed, and no more
is read than fits beside it, but its closing, the timers and the station are heeded at once. One of a side stream lets
the main one go on.
"""

from __future__ import annotations

import asyncio
import socket
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from evse_controller.net.capture import Address, TcpCapture
from evse_controller.net.coder import Job
from evse_controller.net.owner import LinkOwner
from evse_controller.net.ports import LinkInfo, NetEvent, Output, V2gConnection
from evse_controller.net.tls import Handshake, TlsContext, TlsEngine, TlsError
from evse_controller.secc.coding import Coded, Work

READ_BYTES = 16384
SLICE_BYTES = 256
WRITE_HIGH_BYTES = 65536
CLOSE_GRACE_S = 1.0
ENDED = "Ended"


@dataclass(slots=True)
class _Answer:
    """An output with bytes that have not left yet. `asked_s`: when its request came, in seconds of `perf_counter`;
    `computed_s`: our time for it until it was ready, None when something else than our computing was waited for."""

    output: Output
    asked_s: float
    computed_s: float | None


class Link(asyncio.BufferedProtocol):
    """asyncio protocol of one accepted connection; created by the listener, owned by the server."""

    def __init__(self, owner: LinkOwner, tls: TlsContext | None) -> None:
        self.info: LinkInfo | None = None
        self.connection: V2gConnection | None = None
        self.ended = False
        self._owner = owner
        self._tls_context = tls
        self._engine: TlsEngine | None = None
        self._peer = "?"
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(READ_BYTES)
        self._pending = bytearray()
        self._outbox: deque[_Answer] = deque()
        self._asked_s = 0.0
        self._close_when_sent = False
        self._last_sent_s: float | None = None
        self._writable = True
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._pump_queued = False
        self._jobs: set[Job[Coded]] = set()
        self._deaf: Job[Coded] | None = None
        self._captured: TcpCapture | None = None
        self._opened_s = 0.0

    @property
    def lingering(self) -> bool:
        """The session is over; only the delayed close is awaited, so a new connection may take its place."""
        return self.connection is not None and self.connection.state_name == ENDED

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._opened_s = self._owner.hooks.now_s()
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self._peer = f"[{peer[0]}]:{peer[1]}" if peer else "?"
        refusal = self._owner.admit(self)
        if refusal is not None:
            self.ended = True
            self._owner.event("connection-refused", f"{self._peer}: {refusal}")
            transport.abort()
            return
        _tune(transport.get_extra_info("socket"))
        transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES)
        if self._owner.capture is not None and peer and local:
            self._captured = self._owner.capture.tcp(Address(local[0], local[1]), Address(peer[0], peer[1]))
        if self._tls_context is not None:
            self._engine = self._tls_context.engine()
        self._after("handshake", self._owner.handshake_timeout_s, self._handshake_timeout)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self.ended:
            return
        started_s = time.perf_counter()
        data = bytes(memoryview(self._buffer)[:nbytes])
        self._guarded(lambda: self._take(data, started_s))

    def eof_received(self) -> bool:
        return False  # asyncio closes; connection_lost tells the session

    def pause_writing(self) -> None:
        self._writable = False
        self._update_reading()

    def resume_writing(self) -> None:
        self._writable = True
        self._guarded(self._pump)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._stop_coding()
        if self._captured is not None:
            self._captured.finished(by_peer=not self._close_when_sent, reset=exc is not None)
        if self.connection is not None:
            connection = self.connection
            while self._outbox:
                self._tell(self._outbox.popleft().output, None)
            self._guarded(lambda: self._hand_over(connection.on_disconnect(self._owner.hooks.now_s())))
            why = f": {exc}" if exc else ""
            self._owner.event("connection-closed", f"{self._peer} closed{why}", self.info)
        self._owner.gone(self)

    def abort(self, reason: str) -> None:
        """Give the connection up from our side; the session is ended, TCP closed."""
        if self.ended:
            return
        if self.connection is not None:
            connection = self.connection
            self._guarded(lambda: self._carry_out(connection.abort(reason, self._owner.hooks.now_s()), None))
        self._end()

    def _take(self, data: bytes, started_s: float) -> None:
        if self._engine is None:
            self._capture_received(data)
            self._pending += data
        elif not self._decrypt(self._engine, data):
            return
        if self._pending and self.connection is None and not self._become_active():
            return
        self._pump(started_s)

    def _decrypt(self, engine: TlsEngine, data: bytes) -> bool:
        """Feed the engine, send what it wants sent. False when the connection is over."""
        try:
            engine.feed(data)
        except TlsError as error:
            self._owner.event("tls-failed", f"{self._peer}: {error.reason}", self.info)
            self._log_keys(engine)
            self._capture_received(data)
            self._write(engine.take_ciphertext())
            self._end()
            return False
        # The secrets that this data made known stand before it in the capture, as a one-pass reader needs them.
        self._log_keys(engine)
        self._capture_received(data)
        self._write(engine.take_ciphertext())
        if engine.state is Handshake.RUNNING:
            return True
        if self.connection is None and engine.state is Handshake.DONE and not self._become_active():
            return False
        self._pending += engine.read()
        if engine.state is Handshake.CLOSED and not self._pending:
            self._end()
            return False
        return True

    def _become_active(self) -> bool:
        self._cancel("handshake")
        engine = self._engine
        self.info = LinkInfo(
            peer=self._peer,
            tls=engine is not None,
            opened_s=self._opened_s,
            setup_deadline_s=self._owner.setup_deadline_s(),
            tls_profile=self._tls_context.profile.name if self._tls_context else None,
            suite=engine.suite if engine else None,
            group=engine.group if engine else None,
            peer_leaf_der=engine.peer_certificate if engine else None,
            peer_common_name=engine.peer_common_name if engine else None,
        )
        refusal = self._owner.promote(self)
        if refusal is not None:
            self._owner.event("connection-refused", f"{self._peer}: {refusal}", self.info)
            self._end()
            return False
        self.connection = self._owner.connection_factory(self.info)
        how = f"TLS {self.info.tls_profile} {self.info.suite} {self.info.group}" if engine else "plain TCP (lab-tcp)"
        self._owner.event("connection-opened", f"{self._peer} over {how}", self.info)
        self._schedule_deadline()
        return True

    def _pump(self, started_s: float | None = None) -> None:
        """Process one slice; the rest waits for the loop's next turn, or until a paced response has left."""
        connection = self.connection
        if connection is None or self.ended or self._outbox or self._deaf is not None or not self._writable:
            self._update_reading()
            return
        if self._pending:
            began_s = self._asked_s = time.perf_counter() if started_s is None else started_s
            piece = bytes(self._pending[:SLICE_BYTES])
            del self._pending[:SLICE_BYTES]
            hooks = self._owner.hooks
            self._carry_out(connection.receive(piece, hooks.snapshot(), hooks.now_s()), began_s)
        if self._pending and not self.ended and not self._outbox and not self._deaf and not self._pump_queued:
            self._pump_queued = True
            asyncio.get_running_loop().call_soon(self._pump_again)
        self._update_reading()

    def _pump_again(self) -> None:
        self._pump_queued = False
        self._guarded(self._pump)

    def _carry_out(self, outputs: Iterable[Output], began_s: float | None) -> None:
        outputs = list(outputs)
        self._hand_over(outputs)
        for output in outputs:
            if output.data:
                asked_s, computed_s = self._asked_s, None
                if began_s is not None:
                    asked_s, computed_s = began_s, time.perf_counter() - began_s
                self._outbox.append(_Answer(output, asked_s, computed_s))
            if output.close is not None:
                self._close_when_sent = True
            if output.work is not None:
                self._code(output.work, output.beside, began_s)
        self._send_outbox(began_s)
        self._schedule_deadline()

    def _code(self, work: Work, beside: bool, began_s: float | None) -> None:
        def done(job: Job[Coded]) -> None:
            self._jobs.discard(job)
            self._deaf = None if self._deaf is job else self._deaf
            self._guarded(lambda: self._coded(work, job.result(), began_s))

        job = self._owner.coder.submit(work.run, done)
        self._jobs.add(job)
        if not beside:
            self._deaf = job

    def _coded(self, work: Work, result: Coded, began_s: float | None) -> None:
        if self.connection is not None and not self.ended:
            hooks = self._owner.hooks
            self._carry_out(self.connection.coded(work, result, hooks.snapshot(), hooks.now_s()), began_s)
            self._pump()

    def _stop_coding(self) -> None:
        for job in self._jobs:
            job.cancel()
        self._jobs.clear()
        self._deaf = None

    def _hand_over(self, outputs: Iterable[Output]) -> None:
        """Commands before anything is sent, and what nothing is sent for; answers are told when they have left."""
        for output in outputs:
            if output.commands:
                self._owner.hooks.on_commands(output.commands)
            if not output.data:
                self._tell(output, None)

    def _tell(self, output: Output, took_s: float | None) -> None:
        if self.info is not None:
            self._owner.hooks.on_output(self.info, output, took_s)

    def _send_outbox(self, began_s: float | None = None) -> None:
        hooks = self._owner.hooks
        while self._outbox and not self.ended:
            wait_s = self._pacing_wait_s(hooks.now_s())
            if wait_s > 0:
                self._after("pacing", wait_s, self._paced)
                return
            answer = self._outbox.popleft()
            data = answer.output.data or b""
            if self._engine is None:
                self._write(data)
            else:
                self._engine.write(data)
                self._write(self._engine.take_ciphertext())
            left_s = time.perf_counter()
            if answer.computed_s is not None:
                # Without pacing the write belongs to our time; a paced response counts until it was ready.
                self._owner.latency.add(answer.computed_s if began_s is None else left_s - answer.asked_s)
            now_s = self._last_sent_s = hooks.now_s()
            if self.connection is not None:
                self.connection.on_sent(now_s)
            self._tell(answer.output, left_s - answer.asked_s)
        if self._close_when_sent:
            self._end()

    def _pacing_wait_s(self, now_s: float) -> float:
        if self._last_sent_s is None or not self._owner.min_response_interval_s:
            return 0.0
        return self._last_sent_s + self._owner.min_response_interval_s - now_s

    def _paced(self) -> None:
        def go_on() -> None:
            self._send_outbox()
            self._schedule_deadline()
            self._pump()

        self._guarded(go_on)

    def _schedule_deadline(self) -> None:
        self._cancel("deadline")
        deadline_s = None if self.connection is None or self.ended else self.connection.next_deadline_s
        if deadline_s is not None:
            self._after("deadline", max(0.0, deadline_s - self._owner.hooks.now_s()), self._deadline)

    def _deadline(self) -> None:
        connection, hooks = self.connection, self._owner.hooks
        if connection is not None and not self.ended:
            self._guarded(lambda: self._carry_out(connection.on_timer(hooks.now_s(), hooks.snapshot()), None))

    def _handshake_timeout(self) -> None:
        what = "TLS handshake not finished" if self._engine else "nothing received"
        self._owner.event("handshake-timeout", f"{self._peer}: {what} within {self._owner.handshake_timeout_s:g} s")
        self._end()

    def _guarded(self, action: Callable[[], None]) -> None:
        """A defect of ours ends this connection and is told with its traceback; it never stops the daemon."""
        try:
            action()
        except TlsError as error:
            self._owner.event("tls-failed", f"{self._peer}: {error.reason}", self.info)
            self._end()
        except Exception as error:
            self._owner.event("internal-error", f"{self._peer}: {error!r}\n{traceback.format_exc()}", self.info)
            if not self.ended:
                self._end()

    def _write(self, data: bytes) -> None:
        if not data or self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._captured is not None:
            self._captured.sent(data)

    def _capture_received(self, data: bytes) -> None:
        if self._captured is not None:
            self._captured.received(data)

    def _log_keys(self, engine: TlsEngine) -> None:
        lines = engine.take_keylog()
        if lines and self._owner.capture is not None:
            self._owner.capture.secrets(lines)

    def _update_reading(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._writable and not self._pending and not self._outbox:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _end(self) -> None:
        """Close TCP: what was written still leaves, but a peer that does not read is cut off after a grace time."""
        if self.ended or self._transport is None:
            return
        self._close_when_sent = True
        self._stop_coding()
        if self._engine is not None:
            self._engine.close()
            self._write(self._engine.take_ciphertext())
        self.ended = True
        transport = self._transport
        transport.close()
        self._after("abort", CLOSE_GRACE_S, transport.abort)

    def _after(self, name: str, delay_s: float, action: Callable[[], None]) -> None:
        self._cancel(name)
        self._timers[name] = asyncio.get_running_loop().call_later(delay_s, action)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()


def _tune(sock: socket.socket) -> None:
    """No Nagle delay; a vanished peer is noticed by the kernel within about 25 s even if nothing else does."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


__all__ = ["Link", "LinkOwner", "NetEvent"]
