"""Runs the independent vehicle as a process and judges by its own log."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hil.peers.environment import peer_python
from hil.peers.options import PeerOptions

_CHECKOUT = Path(__file__).resolve().parents[2]
_LOOPS_FIRST = 25
_COMPLETED = "Communication session terminated"
_GAVE_UP = ("SDPFailedError", "Reason: TimeoutError", "Reason: TCP peer closed", "occurred while processing message",
            "Negative response code", "when trying to connect", "not accepted in state", "Security mismatch",
            "Traceback (most recent call last)", "EXIDecodingError", "EXIEncodingError")
_NO_WAY_ON = "FaultyStateImplementationError"
"""After SessionStopRes to a service renegotiation this vehicle has no message to go on with, and hangs up."""
_RENEGOTIATES = re.compile(r'"EVSENotification": ?"ServiceRenegotiation"')
_SENT = re.compile(r"\): Sent (\w+)")
_RECEIVED = re.compile(r"\): (\w+) received$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PeerResult:
    """`completed`: the vehicle's own log says that it stopped in good order after SessionStopRes.

    `failure` is the first line of its log that says why it gave up, None when completed. `sent` and `received` are
    message names in order.
    """

    completed: bool
    failure: str | None
    log: str
    sent: tuple[str, ...]
    received: tuple[str, ...]
    seconds: float


def judge(log: str, seconds: float, timed_out: bool = False, renegotiates: bool = False) -> PeerResult:
    """Read a verdict out of the vehicle's log. `renegotiates`: its session is to end by a service renegotiation, as far
    as this vehicle can go: it heard of it, its SessionStopReq was answered well, and its own gap ended it."""
    completed = _COMPLETED in log and "SessionStopRes received" in log
    if renegotiates:
        said = _RENEGOTIATES.search(log) is not None and _SENT.findall(log)[-1:] == ["SessionStopReq"]
        completed = said and _RECEIVED.findall(log)[-1:] == ["SessionStopRes"] and _NO_WAY_ON in log
    failure = None
    if not completed:
        lines = [line for line in log.splitlines() if any(sign in line for sign in _GAVE_UP)]
        failure = lines[0] if lines else ("no end in time" if timed_out else "ended without a word")
    return PeerResult(
        completed, failure, log, tuple(_SENT.findall(log)), tuple(_RECEIVED.findall(log)), seconds
    )


def run_josev(
    options: PeerOptions, log_path: Path, *,
    command: Callable[[Sequence[str]], list[str]] = list, timeout_s: float = 90.0,
    in_loop: Callable[[], None] | None = None,
) -> PeerResult:
    """Start the vehicle, wait for its end, return its verdict. Its log goes to `log_path`.

    `in_loop` is called once when its log shows some charge loop responses: the station then asks for a service
    renegotiation, and the verdict is about that.

    `command` wraps the command line, e.g. `link.ev.command` to run it on the vehicle's side of a `hil.netns.Link`.
    The vehicle lingers 5 s after its session; that is cut short once its log says how the session ended. Raises
    PeerEnvironmentError when its Python environment cannot be made.
    """
    python = peer_python()
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": str(_CHECKOUT), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1",
    }
    argv = command([str(python), "-m", "hil.peers.josev_evcc", options.dumps()])
    began, renegotiates = time.monotonic(), in_loop is not None
    with log_path.open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=log_path.parent)
        timed_out = True
        try:
            while time.monotonic() - began < timeout_s:
                ended = process.poll() is not None
                text = log_path.read_text(errors="replace")
                verdict = judge(text, 0.0, renegotiates=renegotiates)
                if in_loop is not None and text.count("ChargeLoopRes received") >= _LOOPS_FIRST:
                    in_loop()
                    in_loop = None
                if ended or verdict.completed or any(sign in text for sign in _GAVE_UP):
                    timed_out = False
                    break
                time.sleep(0.1)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    return judge(log_path.read_text(errors="replace"), time.monotonic() - began, timed_out, renegotiates)
