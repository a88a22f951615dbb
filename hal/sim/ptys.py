"""The plant for another process: each byte channel is a pty, found under a stable name in one directory.

`DIR/can0` (slcan), `DIR/mcu`, `DIR/meter`, `DIR/imd`, `DIR/building` are symbolic links to the pty's far end. The plant
is stepped in real time by `PtyBench.run` (asyncio) or by `run_for` (plain loop).
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import os
import time
import tty
from pathlib import Path

from hal.sim.plant import CHANNELS, Plant, PlantConfig


class PtyChannel:
    """The device's end of a pty, as a ByteChannel. Keeps the far end open, so that a controller may come and go."""

    def __init__(self) -> None:
        self._fd, self._far = os.openpty()
        tty.setraw(self._far)
        os.set_blocking(self._fd, False)
        self.path = os.ttyname(self._far)
        self.dropped = 0

    def read(self) -> bytes:
        try:
            return os.read(self._fd, 65536)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO:  # nobody has the far end open
                return b""
            raise

    def write(self, data: bytes) -> None:
        """A real line does not wait for its reader either: what does not fit in the pty is lost and counted."""
        try:
            sent = os.write(self._fd, data)
        except BlockingIOError:
            sent = 0
        self.dropped += len(data) - sent

    def problem(self) -> str | None:
        return None if self._fd >= 0 else "pty is closed"

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            os.close(self._far)
            self._fd = -1


class PtyBench:
    """A plant behind ptys in `directory` (made if missing). Control time follows the machine's monotonic clock."""

    PERIOD_S = 0.005
    STALL_S = 0.1

    def __init__(self, directory: Path, config: PlantConfig | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._ends = {name: PtyChannel() for name in CHANNELS}
        for name, end in self._ends.items():
            link = directory / name
            link.unlink(missing_ok=True)
            link.symlink_to(end.path)
        config = dataclasses.replace(config or PlantConfig(), start_s=time.monotonic())
        self.plant = Plant(config, self._ends)
        self.stalled_s = 0.0

    def path(self, name: str) -> Path:
        """The stable name of one channel, e.g. `path("can0")`."""
        return self.directory / name

    def catch_up(self) -> None:
        """Step the world to now.

        When this process was held up for longer than `STALL_S`, the devices' time stands still for the rest: bytes
        that arrived meanwhile carry no time stamp, and a board that ran on would see a missing heartbeat that was
        sent. World time goes on, so that prices and load profiles stay aligned with the controller's world clock.
        """
        behind_s = time.monotonic() - self.stalled_s - self.plant.now_s
        if behind_s > self.STALL_S:
            lost_s = behind_s - self.STALL_S
            self.stalled_s += lost_s
            self.plant.world.utc_s += lost_s * self.plant.world.speed
            behind_s = self.STALL_S
        if behind_s > 0:
            self.plant.step(behind_s)

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Step in real time until `stop` is set (or the task is cancelled)."""
        while stop is None or not stop.is_set():
            self.catch_up()
            await asyncio.sleep(self.PERIOD_S)

    def run_for(self, seconds: float) -> None:
        """Step in real time for `seconds`."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.catch_up()
            time.sleep(self.PERIOD_S)

    def close(self) -> None:
        """Remove the links and close the ptys."""
        for name, end in self._ends.items():
            (self.directory / name).unlink(missing_ok=True)
            end.close()
