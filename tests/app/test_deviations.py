"""What a car sent against its schema, and was served with, stays on record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evse_controller.app.network import build_server
from evse_controller.config import __file__ as package_file
from evse_controller.config import load
from evse_controller.messages import encode
from evse_controller.messages.generated.app_protocol import AppProtocol, SupportedAppProtocolReq
from evse_controller.net.ports import LinkInfo
from evse_controller.secc.coding import LARGE_BYTES
from evse_controller.secc.connection import Connection
from evse_controller.secc.v2gtp import PayloadType, encode_frame
from hil.evcc import EvccConfig
from hil.virtual import VirtualBench

EXAMPLE = Path(package_file).with_name("example.toml")


def test_a_served_deviation_is_in_event_log_and_journal_with_path_and_reason(tmp_path: Path) -> None:
    house = VirtualBench(tmp_path, EvccConfig())
    house.arrive()
    house.until(lambda: house.outlet.recorder.record is not None, 10.0)
    assert house.outlet.recorder.record is not None
    session_id = house.outlet.recorder.record.session_id
    request = SupportedAppProtocolReq([AppProtocol("urn:iso:std:iso:15118:-20:DC", 1, 0, 1, 1)])
    link: Any = house.connection
    other = Connection(link.config, link.transport, lambda length: bytes(length), house.now_s)
    data = encode_frame(PayloadType.APP_PROTOCOL, encode(request) + b"\0")
    (output,) = other.receive(data, house.outlet.snapshot(), house.now_s)
    house.outlet.on_output(LinkInfo("[::1]:1", False, house.now_s), output, 0.001)
    house.outlet.recorder.flush()
    told = "supportedAppProtocolReq: 1 bytes behind the document"
    (event,) = (e for e in house.outlet.journal.events(session_id, 1000) if "deviations" in e.data)
    assert event.data["deviations"] == [told]
    assert event.text.endswith(f"; breaks its schema, served: {told}")
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["data"]["deviations"] for line in lines if "deviations" in line["data"]] == [[told]]
    house.close()


def test_the_switch_and_the_limit_of_the_configuration_reach_the_connection(tmp_path: Path) -> None:
    house = VirtualBench(tmp_path, EvccConfig())
    try:
        for switches, strict in (('"lab-tcp"', False), ('"lab-tcp", "lab-refuse-deviations"', True)):
            path = tmp_path / "other.toml"
            path.write_text(configured(tmp_path, switches), encoding="utf-8")
            link: Any = build_server(load(path), house.outlet).connection_factory(LinkInfo("[::1]:1", False, 0.0))
            assert link.config.refuse_deviations is strict
            assert link.config.max_message_bytes == 300 * 1024
            assert link.large_bytes == LARGE_BYTES
    finally:
        house.close()


def configured(folder: Path, switches: str) -> str:
    """The example on a bench without certificates."""
    text = EXAMPLE.read_text(encoding="utf-8")
    text = text[: text.index("[net.tls]")] + text[text.index("[outlet]") :]
    text = text.replace("max_message_kib = 256", "max_message_kib = 300")
    return text.replace("lab = []", f"lab = [{switches}]")
