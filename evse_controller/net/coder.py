"""Codes large messages in one thread beside the loop, so that control steps and charge loops go on meanwhile.

Why a thread, when nothing else runs beside the loop: a worker process would have to give the message back as objects,
and unpickling those of a 1.5 MB price schedule holds the loop longer than the coding may (measured: 110 ms, pickling
450 ms, against 13 ms at worst beside the thread). The coder touches nothing but the message, and two settings of the
interpreter keep it polite while it runs:

- the switch interval, after which the loop gets the interpreter back that it asked for, goes from 5 ms to 0.5 ms;
- no garbage collection: a collection of the hundred thousands of objects of one message would hold everybody 80 ms.
  They form no cycles, and are gone before it is switched on again.

One message is coded at a time; the others wait in their order. What nobody waits for any more does not begin.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

SWITCH_INTERVAL_S = 0.0005

T = TypeVar("T")


class _Manners:
    """The interpreter's settings while any coding is in the works; they are its own for the whole process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # garbage may be collected, and so a lease returned, while it is held
        self._jobs = 0
        self._interval_s = sys.getswitchinterval()
        self._collecting = True

    def lease(self) -> _Lease:
        self._enter()
        return _Lease(self._leave)

    def _enter(self) -> None:
        with self._lock:
            self._jobs += 1
            if self._jobs == 1:
                self._interval_s, self._collecting = sys.getswitchinterval(), gc.isenabled()
                sys.setswitchinterval(min(self._interval_s, SWITCH_INTERVAL_S))
                gc.disable()

    def _leave(self) -> None:
        with self._lock:
            self._jobs -= 1
            if self._jobs == 0:
                sys.setswitchinterval(self._interval_s)
                if self._collecting:
                    gc.enable()


class _Lease:
    """The manners of one job: it gives them back once, at the latest when nobody holds it any more."""

    def __init__(self, back: Callable[[], None]) -> None:
        self._back: Callable[[], None] | None = back

    def end(self) -> None:
        back, self._back = self._back, None
        if back is not None:
            back()

    __del__ = end


_MANNERS = _Manners()


class Job(Generic[T]):
    """One coding in the works. `done` is called on the loop, with the job for its result, unless it was cancelled."""

    def __init__(self, executor: ThreadPoolExecutor, run: Callable[[], T], done: Callable[[Job[T]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._run = run
        self._done: Callable[[Job[T]], None] | None = done
        self._result: list[T] = []
        self._error: Exception | None = None
        self._future = executor.submit(self._work)
        self._lease: _Lease | None = _MANNERS.lease()
        self._future.add_done_callback(self._finished)

    def result(self) -> T:
        """What `run` returned, once; or raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._result.pop()

    def cancel(self) -> None:
        """Nobody waits any more: it does not begin, or its result is dropped."""
        self._done = None
        self._future.cancel()

    def _work(self) -> None:
        # Kept here, not returned: the thread would hold on to it for longer than the loop needs it.
        try:
            self._result.append(self._run())
        except Exception as error:
            self._error = error

    def _finished(self, future: Future[None]) -> None:
        """In the thread, or where it was cancelled."""
        # From here on the delivery alone holds the lease: a loop that is closed before it comes to it drops both.
        lease, self._lease = self._lease, None
        assert lease is not None
        try:
            self._loop.call_soon_threadsafe(self._deliver, lease)
        except RuntimeError:  # the loop is closed: the daemon has stopped
            self._result.clear()
            lease.end()

    def _deliver(self, lease: _Lease) -> None:
        done, self._done = self._done, None
        try:
            if done is not None:
                done(self)
        finally:
            del done
            self._result.clear()  # the message goes before garbage is looked for
            lease.end()


class Coder:
    """The worker; its thread begins with the first large message. One serves every outlet of a process."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "large-messages")

    def submit(self, run: Callable[[], T], done: Callable[[Job[T]], None]) -> Job[T]:
        """From the loop's thread. `run` must share nothing that changes meanwhile."""
        return Job(self._executor, run, done)

    def close(self) -> None:
        """What has not begun will not; what runs ends by itself, within seconds."""
        self._executor.shutdown(wait=False, cancel_futures=True)
