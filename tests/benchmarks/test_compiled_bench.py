"""Speed of the compiled coders; `make compiled` builds them and runs this. The pair of messages has 12 us."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from evse_controller.messages import Schema, decode, encode
from evse_controller.messages import codec as codec_module
from evse_controller.messages.backend import compiled_coders
from tests.benchmarks.test_exi_bench import pair
from tests.messages.test_decoding_is_total import profile

pytest.importorskip("evse_controller_compiled", reason="the compiled coders are not installed (`make compiled`)")


def test_charge_loop_pair(benchmark: Any) -> None:
    benchmark(pair)
    assert benchmark.stats.stats.min <= 12e-6


@pytest.mark.parametrize("entries", [0, 24, 2048])
def test_ratio_to_the_pure(monkeypatch: pytest.MonkeyPatch, entries: int) -> None:
    """The charge-loop pair, then power schedules of 24 and of 2048 entries, decoded and encoded."""
    message = profile(max(entries, 1))
    data = encode(message)

    def schedule() -> None:
        decode(Schema.ISO20_COMMON, data)
        encode(message)

    work = schedule if entries else pair
    repetitions = 20_000 // (entries + 20)
    best = {True: 9.0, False: 9.0}
    for _ in range(7):
        for compiled in best:
            monkeypatch.setattr(codec_module, "compiled_coders", compiled_coders if compiled else lambda schema: None)
            best[compiled] = min(best[compiled], seconds(work, repetitions))
    ratio = best[True] / best[False]
    print(f"{entries} entries: {best[True] * 1e6:.1f} us of {best[False] * 1e6:.1f} us, ratio {ratio:.3f}")
    assert ratio <= 0.5


def seconds(work: Callable[[], None], repetitions: int) -> float:
    started = time.perf_counter()
    for _ in range(repetitions):
        work()
    return (time.perf_counter() - started) / repetitions
