"""SessionSetup: protocol.md B.3 and F.2 cases 14, 15."""

from __future__ import annotations

import secrets

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model import commands as c
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.iso20.session import Iso20Session
from tests.secc.ev import SNAPSHOT, Bench, header


def setup_id(offered: bytes = bytes(8)) -> tuple[ResponseCode, bytes]:
    session = Iso20Session(SeccConfig(), "p", secrets.token_bytes, 0.0)
    answer = session.handle(cm.SessionSetupReq(header(offered), "EV1"), SNAPSHOT, 0.0).response
    assert isinstance(answer, cm.SessionSetupRes)
    return answer.response_code, answer.header.session_id


def test_case_14_ids_are_new_non_zero_and_all_different() -> None:
    ids = {setup_id()[1] for _ in range(10_000)}
    assert len(ids) == 10_000
    assert bytes(8) not in ids
    assert {len(value) for value in ids} == {8}


def test_case_15_unknown_id_gets_a_new_session_with_another_id() -> None:
    first = (1).to_bytes(8, "big")  # exactly what the bench's generator draws first
    bench = Bench()
    answer = bench.ask(cm.SessionSetupReq(header(), "EV1"), first).response
    assert isinstance(answer, cm.SessionSetupRes)
    assert answer.response_code is ResponseCode.OK_NewSessionEstablished
    assert answer.header.session_id not in (first, bytes(8))
    assert answer.evseid == "NLEVCE1"


def test_a_broken_random_generator_gives_no_session() -> None:
    session = Iso20Session(SeccConfig(), "p", bytes, 0.0)
    reply = session.handle(cm.SessionSetupReq(header(), "EV1"), SNAPSHOT, 0.0)
    assert reply.response.response_code is ResponseCode.FAILED  # type: ignore[union-attr]
    assert reply.commands == ()


def test_session_opened_names_the_ev() -> None:
    bench = Bench().to("AuthorizationSetup")
    assert bench.commands == [c.SessionOpened("0000000000000001", "EV1", "ISO 15118-20 DC")]
