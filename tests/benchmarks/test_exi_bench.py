"""Speed of the coders; run with `pytest tests/benchmarks`. A pair of charge-loop messages has 50 us."""

import json
import math
import os
import shutil
import subprocess
import sys
import time
from itertools import chain
from typing import Any

import pytest

from evse_controller.messages import Message, Schema, decode, encode, to_json
from hil.peers.environment import PeerEnvironmentError, peer_python
from tests.benchmarks.exi_bridge import Bridge
from tests.benchmarks.exi_typical import DC_LOOP_REQUEST, DC_LOOP_RESPONSE, typical_messages

FRAME = encode(DC_LOOP_REQUEST)
WARM_UP, ROUNDS = 15, 15
TURN = 5
FASTER = 500


def pair() -> None:
    decode(Schema.ISO20_DC, FRAME)
    encode(DC_LOOP_RESPONSE)


def test_charge_loop_pair(benchmark: Any) -> None:
    assert decode(Schema.ISO20_DC, FRAME) == DC_LOOP_REQUEST
    benchmark(pair)
    assert benchmark.stats.stats.min <= 50e-6


def ours(message: Message, data: bytes) -> tuple[bytes, Message, float, float]:
    """As the bridge's `measure`, with typed objects in place of JSON text."""
    start = time.perf_counter()
    exi = encode(message)
    middle = time.perf_counter()
    read = decode(message.SCHEMA, data)
    return exi, read, middle - start, time.perf_counter() - middle


def test_against_exificient_through_the_bridge(benchmark: Any) -> None:
    """Encoding and decoding a message once each: geometric mean of the ratios over all typical messages.

    Both sides take turns for a number of rounds of each message, after some to warm up, and count the best. Ours does
    several in each turn, since they are so short that the first finds cold caches. Ours starts and ends at typed
    objects. The bridge starts and ends at JSON text, as `iso15118` hands it over; what that package does to make
    typed objects of it is not counted.
    """
    if shutil.which("java") is None:
        pytest.skip("there is no Java on this machine, so nothing was compared with EXIficient")
    try:
        python = peer_python()
    except PeerEnvironmentError as reason:
        pytest.fail(f"Java is present, so the comparison has to run: {reason}")
    ratios = {}
    print(f"\n{'message':34} bytes  ours: enc, dec [us]  bridge: enc, dec [ms]   ratio")
    with Bridge(python) as bridge:
        for name, message in typical_messages().items():
            data, text = encode(message), json.dumps(to_json(message))
            bridged, own = [], []
            for _ in range(WARM_UP + ROUNDS):
                bridged.append(bridge.measure(message.SCHEMA.namespace, text, data))
                own.append([ours(message, data) for _ in range(TURN)])
            timed = list(chain(*own[WARM_UP:]))
            assert {result[0] for result in (*bridged, *timed)} == {data}, name
            assert bridged[-1][1] == to_json(timed[-1][1]) == to_json(message), name
            best = [min(result[part] for result in side) for side in (timed, bridged[WARM_UP:]) for part in (2, 3)]
            ratios[name] = (best[2] + best[3]) / (best[0] + best[1])
            print(f"{name:34} {len(data):5} {best[0] * 1e6:9.1f} {best[1] * 1e6:9.1f} {best[2] * 1e3:13.2f}"
                  f" {best[3] * 1e3:8.2f} {ratios[name]:9.0f}", flush=True)
            benchmark.extra_info[name] = round(ratios[name])
    mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
    benchmark.extra_info["geometric mean"] = round(mean)
    print(f"geometric mean of {len(ratios)} ratios: {mean:.0f}")
    benchmark(pair)
    assert mean >= FASTER


DC_SET = (
    "from evse_controller.messages import Schema\n"
    "from evse_controller.messages.codec import coders\n"
    "[coders(s) for s in (Schema.APP_PROTOCOL, Schema.ISO20_COMMON, Schema.ISO20_DC)]\n"
)


def bare_python(tmp_path: Any, code: str) -> float:
    """The number that a fresh interpreter with byte-code prints."""
    command = [sys.executable, "-X", f"pycache_prefix={tmp_path}", "-c", code]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return float(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)


def test_import_of_the_dc_set(tmp_path: Any) -> None:
    code = f"import time; t = time.perf_counter()\n{DC_SET}print((time.perf_counter() - t) * 1e3)"
    times = [bare_python(tmp_path, code) for _ in range(6)]
    print(f"\nimport of the DC set with byte-code: {min(times[1:]):.1f} ms")
    assert min(times[1:]) <= 60


def test_memory_of_the_dc_set(tmp_path: Any) -> None:
    """The resident set over that of an interpreter that imported nothing, in MiB; the first runs write byte-code."""
    resident = "print(int(open('/proc/self/smaps_rollup').read().split('Rss:')[1].split()[0]) / 1024)"
    bare = [bare_python(tmp_path, resident) for _ in range(4)]
    loaded = [bare_python(tmp_path, DC_SET + resident) for _ in range(4)]
    print(f"\nmemory of the DC set: {max(loaded[1:]) - min(bare[1:]):.1f} MiB")
    assert max(loaded[1:]) - min(bare[1:]) <= 8
