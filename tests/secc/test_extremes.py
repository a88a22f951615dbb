"""Every number that an EV can send, at the extremes of its schema: nothing raises, each request is answered once."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.messages import decode, encode
from evse_controller.messages.generated.common_types import ResponseCode
from tests.campaign.secc_sequences import Wire, stretch
from tests.secc.ev import DC, DC_BPT, DYNAMIC, NS_DC, OFFER, SCHEDULED, every_request, frame, loop, sap_request
from tests.secc.ev import schedule_request as schedule

STATES = ("ServiceDetail", "ServiceSelection", "ChargeParameterDiscovery", "PreCharge", "PowerDelivery", "ChargeLoop")


def wire(state: str, service: int, mode: int, chance: random.Random) -> Wire:
    bench = Wire(service=service, control_mode=mode, chance=chance)
    bench.feed(frame(sap_request((NS_DC, 1, 0, 1, 1))))
    bench.to(state)
    return bench


def end(bench: Wire) -> None:
    bench.take(bench.link.on_disconnect(bench.now_s))
    assert bench.judge.ended == 1


@settings(max_examples=150, deadline=None)
@given(
    state=st.sampled_from(STATES),
    service=st.sampled_from((DC, DC_BPT)),
    mode=st.sampled_from((SCHEDULED, DYNAMIC)),
    share=st.sampled_from((0.1, 0.5, 1.0)),
    chance=st.randoms(use_true_random=False),
)
def test_extreme_numbers_in_any_request_get_one_paired_response(
    state: str, service: int, mode: int, share: float, chance: random.Random
) -> None:
    """`Wire.ask` asserts that each request has exactly one answer, of its type, that decodes."""
    bench = wire(state, service, mode, chance)
    bench.stretched = share
    for _ in range(4):
        if bench.state == "ChargeLoop":
            bench.ask(loop(mode, service == DC_BPT))
        elif bench.state != "Ended":
            bench._step()
    end(bench)


@settings(max_examples=60, deadline=None)
@given(
    departure_s=st.none() | st.sampled_from((0, 2**31, 2**32 - 1)) | st.integers(0, 2**32 - 1),
    points=st.integers(12, 1024),
    waited_s=st.sampled_from((0.1, 40.3, 54.9)),
    planned=st.booleans(),
    service=st.sampled_from((DC, DC_BPT)),
)
def test_any_departure_and_any_number_of_points_get_a_schedule(
    departure_s: int | None, points: int, waited_s: float, planned: bool, service: int
) -> None:
    bench = wire("ScheduleExchange", service, SCHEDULED, random.Random(0))
    bench.ask(schedule(SCHEDULED, points, departure_s))
    bench.after(waited_s).set(offer=OFFER if planned else None)
    assert bench.ask(schedule(SCHEDULED, points, departure_s)).response.response_code is ResponseCode.OK
    end(bench)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_stretching_reaches_the_numbers_and_keeps_the_schema(share: float) -> None:
    changed = 0
    for index in range(len(every_request())):
        request: Any = every_request()[index]
        stretch(request, random.Random(index), share)
        assert decode(request.SCHEMA, encode(request)) == request
        changed += request != every_request()[index]
    assert (changed > 20) is (share == 1.0)
