"""Sessions that are paused and come back, and what the store keeps of them meanwhile."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model import commands as c
from evse_controller.model.snapshot import Step
from evse_controller.secc.surroundings import Peer, Surroundings
from tests.secc.ev import (
    SNAPSHOT,
    Bench,
    header,
    loop,
    power_delivery,
    profile,
    stop,
)

PAUSE = cm.ChargingSession.Pause
LEAF, OTHER = (hashlib.sha512(name).digest() for name in (b"leaf", b"other"))
NOT_ALLOWED = ResponseCode.FAILED_PauseNotAllowed


class Shelf:
    """What the store keeps of paused sessions."""

    def __init__(self) -> None:
        self.contexts: dict[str, c.PausedSession] = {}

    def carry_out(self, bench: Bench) -> Shelf:
        for command in bench.commands:
            if isinstance(command, c.ContextKept):
                self.contexts[command.context.session_id] = command.context
            elif isinstance(command, c.ContextDropped):
                self.contexts.pop(command.session_id, None)
        return self

    def around(self, certificate: bytes | None = LEAF) -> Surroundings:
        return Surroundings(Peer(certificate, "EV1"), self.contexts.get)


def bench_of(shelf: Shelf, certificate: bytes | None = LEAF, **kinds: Any) -> Bench:
    snapshot = replace(SNAPSHOT, pause_allowed=True)
    return Bench(around=shelf.around(certificate), **{"snapshot": snapshot, **kinds})


def ready(bench: Bench) -> Bench:
    bench.to("PowerDelivery").set(precharge=Step.DONE)
    return bench


def planned(*slots: tuple[int, float], **kinds: Any) -> Bench:
    """In the loop of Scheduled mode, by a profile of (seconds, watts)."""
    bench = ready(bench_of(Shelf(), **kinds))
    assert bench.say(power_delivery(plan=profile(1, *slots))).response_code is ResponseCode.OK
    bench.say(loop())
    return bench


def paused(shelf: Shelf, **kinds: Any) -> Bench:
    """A session that the EV has paused, written down."""
    bench = ready(bench_of(shelf, **kinds))
    bench.say(power_delivery(plan=profile(1, (3600, 0.0))))
    bench.to("SessionStop")
    assert bench.say(stop(PAUSE)).response_code is ResponseCode.OK
    shelf.carry_out(bench)
    return bench


def back(shelf: Shelf, old: Bench, certificate: bytes | None = LEAF, **kinds: Any) -> tuple[Bench, Any]:
    """The EV, or another one, comes back on a new connection and asks for the old session."""
    bench = bench_of(shelf, certificate, **kinds)
    answer = bench.ask(cm.SessionSetupReq(header(), "EV1"), old.session_id).response
    assert isinstance(answer, cm.SessionSetupRes)
    bench.session_id = answer.header.session_id
    shelf.carry_out(bench)
    return bench, answer
