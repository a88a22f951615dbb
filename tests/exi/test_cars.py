"""The campaign of real cars' frames judges each frame rightly; the frames here are made by hand, none is a car's."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evse_controller.messages import Schema, encode
from evse_controller.messages.generated.app_protocol import AppProtocol, SupportedAppProtocolReq
from evse_controller.messages.generated.iso2 import Body, MessageHeader, SessionSetupReq, V2G_Message
from tests.campaign import Skipped, exi_cars
from tests.campaign import __main__ as campaigns

SAP = encode(SupportedAppProtocolReq([AppProtocol("urn:din:70121:2012:MsgDef", 2, 0, 1, 1)]))
ISO2 = encode(V2G_Message(MessageHeader(bytes(8)), Body(SessionSetupReq(bytes(6)))))
HANDSHAKE = {"p": "SAP", "hex": SAP.hex(), "msg": "supportedAppProtocolReq", "src": "Make/one"}
SETUP = {"p": "ISO2", "hex": ISO2.hex(), "msg": "SessionSetupReq", "src": "Other/two", "n": 3}
EMPTY = {"p": "ISO2", "hex": encode(V2G_Message(MessageHeader(bytes(8)), Body())).hex(), "msg": "", "src": "Make/none"}


def judge(row: dict[str, Any]) -> tuple[str, list[str]]:
    quirks: Counter[str] = Counter()
    return exi_cars.problem_with(row, quirks), list(quirks)


def test_clean_frames() -> None:
    assert [judge(row) for row in (HANDSHAKE, SETUP, EMPTY)] == [("", [])] * 3
    assert exi_cars.schema_of_row({"p": "ISO20_DC"}) is Schema.ISO20_DC


def test_a_trailing_byte_is_told_and_nothing_else_may_change() -> None:
    assert judge(SETUP | {"hex": ISO2.hex() + "00"}) == ("", ["SessionSetupReq: 1 bytes behind the document"])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"hex": ISO2.hex()[:-8]}, "does not decode"),
        ({"msg": "SessionStopReq"}, "is a SessionSetupReq"),
        ({"p": "DIN"}, ""),
    ],
)
def test_what_is_wrong_is_told(change: dict[str, Any], problem: str) -> None:
    found, _ = judge(SETUP | change)
    assert found
    assert found.startswith(problem)


def test_a_frame_that_encodes_to_something_else_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exi_cars, "encode", lambda message: b"\x80")
    assert judge(SETUP)[0] == "encodes to 80"
    assert judge(SETUP | {"hex": ISO2.hex() + "00"})[0] == "encodes to 80", "not only the end differs"


def test_the_campaign_counts_by_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "frames.jsonl.gz"
    rows = [HANDSHAKE, SETUP, SETUP | {"hex": ISO2.hex() + "00"}]
    file.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    monkeypatch.setenv(exi_cars.VARIABLE, str(file))
    assert exi_cars.run(1.0, 1) == 3
    assert capsys.readouterr().out.splitlines() == [
        "exi_cars: Make: 1 distinct frames",
        "exi_cars: Other: 2 distinct frames, 1 x SessionSetupReq: 1 bytes behind the document",
    ]
    file.write_text(json.dumps(SETUP | {"msg": "SessionStopReq"}))
    with pytest.raises(AssertionError, match=r"1 of 1 frames\nOther/two ISO2 SessionStopReq is a SessionSetupReq"):
        exi_cars.run(1.0, 1)


def test_without_a_file_it_is_skipped_openly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(exi_cars.VARIABLE, raising=False)
    with pytest.raises(Skipped):
        exi_cars.run(1.0, 1)
    assert campaigns.main(["exi_cars"]) == 1, "nothing at all was executed"
    assert capsys.readouterr().out.splitlines()[-1] == (
        "campaigns: 0 passed, 0 failed, skipped: exi_cars (EVSE_CAR_FRAMES names no file of real cars' frames)"
    )
