"""A serial port as a `ByteChannel`: raw, non-blocking, standard library only, for real ttys and ptys.

Bring-up: `ls -l /dev/serial/by-id/` names USB adapters for good (use those paths, `ttyUSB0` changes with the plug
order); the daemon's user must be in group `dialout`; a port held by another program (ModemManager, getty) is refused.
Silent line: check A/B (RS-485) or RX/TX swapped, baud rate, parity, termination and common ground.

A pty cannot do parity (its driver drops PARENB and termios then reports EINVAL), so on a pty the port falls back to
no parity and says so in `note`. A port that vanishes (EIO, ENODEV: adapter unplugged, other end of a pty closed) is
closed and opened again with a growing pause; meanwhile `read` gives b"", and `problem` says why.
"""

from __future__ import annotations

import errno
import fcntl
import os
import termios
import time
from collections.abc import Callable

from hal.api import DeviceError

PARITIES = ("N", "E", "O")
_PTY_MAJORS = range(136, 144)
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_MOST_PENDING = 4096


class SerialPort:
    """One serial port. `open` raises DeviceError; afterwards nothing raises for a line that misbehaves.

    `clock_s` only times the pauses between attempts to open a vanished port again.
    """

    def __init__(
        self,
        path: str,
        baudrate: int = 9600,
        parity: str = "N",
        stop_bits: int = 1,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        speed = getattr(termios, f"B{baudrate}", None)
        if speed is None or baudrate <= 0:
            raise ValueError(f"{path}: baud rate {baudrate} is not one the serial driver knows")
        if parity not in PARITIES:
            raise ValueError(f"{path}: parity must be one of N, E, O, got {parity!r}")
        if stop_bits not in (1, 2):
            raise ValueError(f"{path}: stop bits must be 1 or 2, got {stop_bits}")
        self.path = path
        self.note: str | None = None
        self._speed: int = speed
        self._parity = parity
        self._stop_bits = stop_bits
        self._clock_s = clock_s
        self._fd: int | None = None
        self._wanted = False
        self._pending = bytearray()
        self._problem: str | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._retry_at_s = 0.0

    def open(self) -> None:
        """Open and configure the port. Raises DeviceError with what to check."""
        self._wanted = True
        if self._fd is not None:
            return
        try:
            self._fd = self._open_fd()
        except OSError as error:
            self._problem = _explain(error)
            raise DeviceError(self.path, self._problem) from error
        self._problem = None

    def read(self) -> bytes:
        if not self._ready():
            return b""
        self._flush()
        chunks: list[bytes] = []
        try:
            while self._fd is not None:
                chunk = os.read(self._fd, 4096)
                if not chunk:  # VMIN is 1, so nothing at all means hang-up, not silence
                    self._lost("line hung up")
                    break
                chunks.append(chunk)
                if len(chunk) < 4096:
                    break
        except BlockingIOError:
            pass  # no byte waiting: the normal case
        except OSError as error:
            self._lost(_explain(error))
        return b"".join(chunks)

    def write(self, data: bytes) -> None:
        if not self._ready():
            return
        self._pending += data
        if len(self._pending) > _MOST_PENDING:
            # The other side does not take our bytes. Half a frame is worth nothing, old frames less.
            self._pending.clear()
            self._problem = "line does not take our bytes (flow control, dead adapter)"
            return
        self._flush()

    def problem(self) -> str | None:
        return self._problem

    def close(self) -> None:
        self._wanted = False
        self._shut()

    def _ready(self) -> bool:
        if self._fd is not None:
            return True
        if not self._wanted or self._clock_s() < self._retry_at_s:
            return False
        try:
            self._fd = self._open_fd()
        except OSError as error:
            self._problem = _explain(error)
            self._back_off()
            return False
        self._problem = None
        return True

    def _flush(self) -> None:
        if self._fd is None or not self._pending:
            return
        try:
            sent = os.write(self._fd, self._pending)
            self._pause_s = _FIRST_PAUSE_S
            del self._pending[:sent]
            if not self._pending:
                self._problem = None
        except BlockingIOError:
            pass  # the output buffer is full: the rest goes with the next call
        except OSError as error:
            self._lost(_explain(error))

    def _lost(self, reason: str) -> None:
        self._shut()
        self._problem = reason
        self._back_off()

    def _back_off(self) -> None:
        self._retry_at_s = self._clock_s() + self._pause_s
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)

    def _shut(self) -> None:
        self._pending.clear()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open_fd(self) -> int:
        fd = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._configure(fd)
            termios.tcflush(fd, termios.TCIFLUSH)
        except termios.error as error:
            os.close(fd)
            raise OSError(*error.args) from error
        except OSError:
            os.close(fd)
            raise
        return fd

    def _configure(self, fd: int) -> None:
        parity = self._parity
        if parity != "N" and _is_pty(fd):
            self.note = f"{self.path} is a pty: parity {parity} is not possible there, using none"
            parity = "N"
        cflag = termios.CREAD | termios.CLOCAL | termios.CS8
        if self._stop_bits == 2:
            cflag |= termios.CSTOPB
        iflag = termios.IGNBRK
        if parity != "N":
            cflag |= termios.PARENB | (termios.PARODD if parity == "O" else 0)
            iflag |= termios.INPCK | termios.IGNPAR  # a byte with wrong parity is dropped; the frame's CRC then fails
        attributes = termios.tcgetattr(fd)
        control = attributes[6]
        control[termios.VMIN], control[termios.VTIME] = 1, 0
        termios.tcsetattr(fd, termios.TCSANOW, [iflag, 0, cflag, 0, self._speed, self._speed, control])


def _is_pty(fd: int) -> bool:
    return os.major(os.fstat(fd).st_rdev) in _PTY_MAJORS


def _explain(error: OSError) -> str:
    hints = {
        errno.ENOENT: "port does not exist: is the adapter plugged in, the path right?",
        errno.ENODEV: "device is gone: adapter unplugged",
        errno.ENXIO: "device is gone: adapter unplugged",
        errno.EIO: "device is gone: adapter unplugged or other end closed",
        errno.EACCES: "no permission: add the user to group dialout",
        errno.EBUSY: "port is in use by another program",
        errno.EAGAIN: "port is in use by another program",
        errno.ENOTTY: "not a serial port",
    }
    return hints.get(error.errno or 0, os.strerror(error.errno) if error.errno else str(error))
