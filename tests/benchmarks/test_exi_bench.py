"""Speed of the coders; run with `pytest tests/benchmarks`. A pair of charge-loop messages has 50 us."""

import subprocess
import sys
from typing import Any

from evse_controller.messages import Schema, decode, encode
from evse_controller.messages.generated.common_types import (
    EvseNotification,
    EVSEStatus,
    MessageHeader,
    MeterInfo,
    RationalNumber,
    ResponseCode,
)
from evse_controller.messages.generated.dc import (
    BPT_Dynamic_DC_CLReqControlMode,
    BPT_Dynamic_DC_CLResControlMode,
    DC_ChargeLoopReq,
    DC_ChargeLoopRes,
)

HEADER = MessageHeader(session_id=bytes(range(8)), time_stamp=1_790_000_000)
REQUEST = DC_ChargeLoopReq(
    HEADER, False, RationalNumber(-1, 3987),
    BPT_Dynamic_DC_CLReqControlMode(*[RationalNumber(0, 11000)] * 11, departure_time=7200),
)
RESPONSE = DC_ChargeLoopRes(
    HEADER, ResponseCode.OK, RationalNumber(-1, 300), RationalNumber(-1, 3987), False, True, False,
    BPT_Dynamic_DC_CLResControlMode(*[RationalNumber(0, 11000)] * 8),
    evse_status=EVSEStatus(0, EvseNotification.ServiceRenegotiation),
    meter_info=MeterInfo("METER-0001", 123456, bpt_discharged_energy_reading_wh=2345),
)
FRAME = encode(REQUEST)


def pair() -> None:
    decode(Schema.ISO20_DC, FRAME)
    encode(RESPONSE)


def test_charge_loop_pair(benchmark: Any) -> None:
    assert decode(Schema.ISO20_DC, FRAME) == REQUEST
    benchmark(pair)
    assert benchmark.stats.stats.min <= 50e-6


def test_import_of_the_dc_set(tmp_path: Any) -> None:
    code = (
        "import time; t = time.perf_counter()\n"
        "from evse_controller.messages.codec import *\n"
        "[coders(s) for s in (Schema.APP_PROTOCOL, Schema.ISO20_COMMON, Schema.ISO20_DC)]\n"
        "print((time.perf_counter() - t) * 1e3)"
    )
    code = f"import sys; sys.dont_write_bytecode = False\n{code}"
    command = [sys.executable, "-X", f"pycache_prefix={tmp_path}", "-c", code]
    times = [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(6)]
    print(f"import of the DC set with byte-code: {min(times[1:]):.1f} ms")
    assert min(times[1:]) <= 60
