"""`evsectl decode` and `evsectl encode`: every protocol, every form of input, there and back."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evse_controller.cli.main import main
from evse_controller.messages import Schema, encode, from_json
from evse_controller.messages.routing import NAMESPACES, payload_type_of, schema_of_payload
from evse_controller.net.capture import Address, Capture
from tests.campaign.exi_messages import MessageMaker
from tests.campaign.json_bridge import roots

HEADER = {"SessionID": "0011223344556677", "TimeStamp": 1}
SAP = {"supportedAppProtocolRes": {"ResponseCode": "OK_SuccessfulNegotiation", "SchemaID": 1}}
STOP = {"SessionStopReq": {"Header": HEADER, "ChargingSession": "Terminate"}}
SYSTEM = {"ACDP_SystemStatusReq": {"Header": HEADER, "EVTechnicalStatus": {
    "EVReadyToCharge": True, "EVImmobilizationRequest": False}}}
ASK = {"V2G_Message": {"Header": {"SessionID": "00"}, "Body": {"ContractAuthenticationReq": {}}}}
# what several cars send: a zero byte behind the document
DIN_TRAILING = encode(from_json(Schema.DIN70121, ASK)).hex() + "00"
SIGNATURE = {
    "SignedInfo": {"CanonicalizationMethod": {"Algorithm": "http://www.w3.org/TR/canonical-exi/"},
                   "SignatureMethod": {"Algorithm": "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"},
                   "Reference": [{"DigestMethod": {"Algorithm": "http://www.w3.org/2001/04/xmlenc#sha256"},
                                  "DigestValue": "AAEC"}]},
    "SignatureValue": {"value": "AAEC"}}
SIGNED = {"V2G_Message": {"Header": {"SessionID": "00", "Signature": SIGNATURE},
                          "Body": {"AuthorizationReq": {"Id": "id1"}}}}


def frame(payload_type: int, payload: bytes) -> bytes:
    return bytes.fromhex("01fe") + payload_type.to_bytes(2, "big") + len(payload).to_bytes(4, "big") + payload


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(list(argv))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def decoded(capsys: pytest.CaptureFixture[str], *argv: str) -> list[dict[str, Any]]:
    _, out, _ = run(capsys, "decode", "--json", *argv)
    return [json.loads(line) for line in out.splitlines()]


def test_hex_base64_text_files_binary_files_and_standard_input(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = frame(0x8001, bytes.fromhex("80400040"))
    for name, content in (("hex.txt", data.hex(" ").encode()), ("base64.txt", base64.b64encode(data)), ("raw", data)):
        (tmp_path / name).write_bytes(content)
    inputs = [data.hex(), "0x" + data.hex(":"), base64.b64encode(data).decode()]
    inputs += [str(tmp_path / name) for name in ("hex.txt", "base64.txt", "raw")]
    for source in inputs:
        assert decoded(capsys, source) == [{"payload_type": "0x8001", "schema": "APP_PROTOCOL", **SAP}]
    for content in (data, data.hex().encode() + b"\n"):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        assert decoded(capsys, "-")[0]["supportedAppProtocolRes"] == SAP["supportedAppProtocolRes"]
    bare = base64.b64encode(bytes.fromhex("80400040")).decode()
    assert decoded(capsys, "--format", "base64", "--schema", "sap", bare) == [{"schema": "APP_PROTOCOL", **SAP}]


@pytest.mark.parametrize(("argv", "says"), [
    (["80400040"], "bare EXI does not say its schema"),
    (["--schema", "nonsense", "80400040"], "--schema nonsense: unknown; known are sap, din"),
    (["804"], "3 hex digits"),
    (["--format", "hex", "80x0"], "'x' at digit 2 is no hex digit"),
    (["no-such-file.txt"], "no-such-file.txt: no such file"),
    (["--format", "binary", "none"], "none: no such file"),
    (["--fragment", "80"], "a fragment does not say its schema"),
])  # fmt: skip
def test_unusable_input_says_what_and_where(capsys: pytest.CaptureFixture[str], argv: list[str], says: str) -> None:
    code, out, err = run(capsys, "decode", *argv)
    assert (code, out) == (2, "")
    assert says in err
    assert err.startswith("evsectl: ")


def test_the_second_byte_tells_the_protocols_that_share_a_payload_type(capsys: pytest.CaptureFixture[str]) -> None:
    form = {"V2G_Message": {"Header": {"SessionID": "00"}, "Body": {"SessionStopRes": {"ResponseCode": "OK"}}}}
    for schema in (Schema.DIN70121, Schema.ISO2):
        data = encode(from_json(schema, form))
        assert schema_of_payload(0x8001, data) is schema
        assert decoded(capsys, frame(0x8001, data).hex()) == [
            {"payload_type": "0x8001", "schema": schema.name, **form}]
    seconds = {0x00: Schema.APP_PROTOCOL, 0x7F: Schema.APP_PROTOCOL, 0x98: Schema.ISO2, 0x99: Schema.ISO2,
               0x9A: Schema.DIN70121, 0x9B: Schema.DIN70121}
    assert {second: schema_of_payload(0x8001, bytes([0x80, second, 0])) for second in seconds} == seconds
    for second in ("97", "9c", "80", "ff"):
        (item,) = decoded(capsys, frame(0x8001, bytes.fromhex("80" + second + "00")).hex())
        assert f"second byte 0x{second.upper()}" in item["error"]
    (item,) = decoded(capsys, frame(0x8001, b"\x80").hex())
    assert "no second byte" in item["error"]


def test_every_payload_type_has_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(NAMESPACES) == 11
    maker = MessageMaker(5)
    for payload_type, namespace in NAMESPACES.items():
        if "AC-DER" in namespace:
            (item,) = decoded(capsys, frame(payload_type, b"\x80\x00\x00").hex())
            assert f"needs the schema {namespace}, which has not been generated" in item["error"]
            continue
        message = maker.make(roots(Schema.of(namespace))[0])
        (item,) = decoded(capsys, frame(payload_type, encode(message)).hex())
        assert (item["schema"], item["payload_type"]) == (message.SCHEMA.name, f"0x{payload_type:04X}")
        assert message.ELEMENT in item
    (item,) = decoded(capsys, frame(0x9000, bytes.fromhex("1000")).hex())
    assert item == {"SDPRequest": {"Security": "NONE"}}
    (item,) = decoded(capsys, frame(0x8007, b"\x80").hex())
    assert item["error"] == "payload type 0x8007 carries no EXI message"


def test_frames_back_to_back_and_what_is_no_frame(capsys: pytest.CaptureFixture[str]) -> None:
    one = frame(0x8001, bytes.fromhex("80400040"))
    assert [item["schema"] for item in decoded(capsys, (one * 3).hex())] == ["APP_PROTOCOL"] * 3
    for rest, says in (("01fe", "byte 12: 2 bytes where a V2GTP header has 8"),
                       ("02fe800100000001ff", "byte 12: no V2GTP header, 0x02FE"),
                       ("01fe80010000000980", "byte 12: the frame declares 9 bytes and ends after 1")):
        code, out, err = run(capsys, "decode", one.hex() + rest)
        assert code == 1
        assert json.loads(out) == SAP
        assert says in err


def test_deviations_are_told_and_refused_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    (item,) = decoded(capsys, "--schema", "din", DIN_TRAILING)
    (deviation,) = item["deviations"]
    assert deviation["offset"] is not None
    assert deviation["reason"]
    code, out, err = run(capsys, "decode", "--schema", "din", DIN_TRAILING)
    assert code == 0
    assert list(json.loads(out)) == ["V2G_Message"]
    assert re.fullmatch(rf"evsectl: deviation: DIN70121, .*bit {deviation['offset']}: .+\n", err)
    code, out, err = run(capsys, "decode", "--strict", "--schema", "din", DIN_TRAILING)
    assert (code, out) == (1, "")
    assert re.match(r"evsectl: DIN70121, .*bit \d+: ", err)
    assert run(capsys, "decode", "--strict", "--schema", "din", DIN_TRAILING[:-2])[0] == 0


def test_there_and_back_for_every_schema_and_side_stream(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = MessageMaker(11)
    wire = b""
    for schema in Schema:
        for cls in roots(schema)[:2]:
            wire += frame(payload_type_of(schema), encode(maker.make(cls)))
    wire += frame(0x8103, encode(from_json(Schema.ISO20_ACDP, SYSTEM)))
    _, lines, _ = run(capsys, "decode", "--json", wire.hex())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(lines.encode())))
    code, out, err = run(capsys, "encode", "--frame", "-")
    assert (code, err) == (0, "")
    assert "".join(out.split()) == wire.hex()


def test_encode_finds_the_schema_by_the_element(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Names of -20 messages are unique among the documents, so the name decides; V2G_Message is not."""
    elements = [cls.ELEMENT for schema in Schema for cls in roots(schema) if cls.ELEMENT != "V2G_Message"]
    assert len(elements) == len(set(elements)) > 60
    maker = MessageMaker(17)
    for schema in Schema:
        for cls in roots(schema):
            message = maker.make(cls)
            path = tmp_path / "message.json"
            run(capsys, "decode", encode(message).hex(), "--schema", schema.name)
            path.write_text(json.dumps({cls.ELEMENT: json.loads(json.dumps(_form(message)))}))
            code, out, err = run(capsys, "encode", str(path))
            if cls.ELEMENT == "V2G_Message":
                assert code == 2
                assert "--schema iso2 or --schema din" in err
                code, out, _ = run(capsys, "encode", "--schema", schema.namespace, str(path))
            assert (code, out.strip()) == (0, encode(message).hex())


def _form(message: Any) -> Any:
    from evse_controller.messages import to_json

    return to_json(message)[message.ELEMENT]


def test_forms_of_encoded_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    data = encode(from_json(Schema.ISO20_COMMON, STOP))
    text = json.dumps(STOP)
    for argv, wanted in (([], data.hex().encode() + b"\n"), (["--format", "base64"], base64.b64encode(data) + b"\n"),
                         (["--format", "binary"], data),
                         (["--format", "binary", "--frame"], frame(0x8002, data))):
        assert main(["encode", *argv, text]) == 0
        sys.stdout.flush()
        assert capfdbinary.readouterr().out == wanted
    assert main(["encode", "--json", "--frame", text]) == 0
    sys.stdout.flush()
    assert json.loads(capfdbinary.readouterr().out) == {
        "schema": "ISO20_COMMON", "element": "SessionStopReq", "payload_type": "0x8002",
        "hex": frame(0x8002, data).hex()}


def test_binary_does_not_go_to_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, out, err = run(capsys, "encode", "--format", "binary", json.dumps(STOP))
    assert (code, out) == (2, "")
    assert "terminal" in err


@pytest.mark.parametrize(("text", "code", "says"), [
    ('{"SessionStopReq": {"Header": {}}}', 1, "message 1: ISO20_COMMON, SessionStopReq/Header/SessionID: missing"),
    (json.dumps(STOP) + '{"DC_NonsenseReq": 1}', 1, "message 2: ISO20_DC: 'DC_NonsenseReq' is no message"),
    ('{"DC_EVStatus": {}}', 2, "DC_EVStatus stands in several schemas"),
    ('{"a": \n  nonsense}', 2, "line 2 column 3: Expecting value"),
    ('{"SessionStopRes": {"Header": {"TimeStamp": ' + "9" * 5000 + "}}}", 2, "a number of too many digits"),
    ('{"a": ' * 100_000, 2, "nested too deeply"),
    ('{"SessionStopReq": {}, "SessionStopRes": {}}', 1, "one element is expected"),
    ('{"error": "broken", "hex": "80"}', 1, "it was not decoded: broken"),
    ('{"SDPRequest": {"Security": "TLS"}}', 1, "SDPRequest is a datagram of SDP"),
    ('{"schema": "nonsense", "X": {}}', 2, "--schema nonsense: unknown"),
    (json.dumps({"payload_type": "many", **STOP}), 2, "payload_type 'many'"),
    ("no-such.json", 2, "no-such.json: no such file"),
    (json.dumps({"SessionSetupReq": {"Header": HEADER, "EVCCID": "x" * 300}}), 1, "SessionSetupReq/EVCCID"),
])  # fmt: skip
def test_what_cannot_be_encoded_says_where(
    capsys: pytest.CaptureFixture[str], text: str, code: int, says: str
) -> None:
    found, _, err = run(capsys, "encode", "--frame", text)
    assert says in err
    assert found == code
    assert err.startswith("evsectl: ")


def test_json_nested_deeply_ends_in_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    for depth in (100, 500, 900, 5000):
        text = '{"a": ' * depth + "1" + "}" * depth
        for argv in ([], ["--fragment", "b"], ["--schema", "common"]):
            code, _, err = run(capsys, "encode", *argv, text)
            assert code in (1, 2)
            assert err.startswith("evsectl: ")
            assert err.count("\n") == 1


def test_fragments_there_and_back(capsys: pytest.CaptureFixture[str]) -> None:
    real = "80ec0202a4a21a40045111505090cc4c8ccd0d4d8dce0e567d3d00"  # an eMAID as vehicles sign it
    code, out, _ = run(capsys, "decode", "--fragment", "--schema", "iso2", real)
    assert code == 0
    assert json.loads(out) == {"eMAID": {"Id": "ID4", "value": "DEABC123456789Y"}}
    assert run(capsys, "encode", "--fragment", "eMAID", "--schema", "iso2", out)[1].strip() == real
    text = json.dumps({"schema": "ISO2", **SIGNED})
    _, request, _ = run(capsys, "encode", "--fragment", "AuthorizationReq", text)
    assert decoded(capsys, "--fragment", "--schema", "iso2", request.strip()) == [
        {"schema": "ISO2", "AuthorizationReq": {"Id": "id1"}}]
    _, info, _ = run(capsys, "encode", "--fragment", "SignedInfo", text)
    assert decoded(capsys, "--fragment", "--schema", "xmldsig", info.strip()) == [
        {"schema": "XMLDSIG", "SignedInfo": SIGNATURE["SignedInfo"]}]
    _, other, _ = run(capsys, "encode", "--fragment", "SignedInfo", "--schema", "iso2", text)
    assert other != info
    code, _, err = run(capsys, "encode", "--fragment", "SalesTariff", text)
    assert code == 1
    assert "no elements of this name" in err
    code, _, err = run(capsys, "decode", "--fragment", "--schema", "iso2", "80ff00")
    assert code == 1
    assert "element code 255" in err


def test_captures_of_all_protocols(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    here, car, clock = Address("fe80::1%lo", 50001), Address("fe80::2", 50002), iter(range(1, 1000))
    capture = Capture(tmp_path / "a.pcapng", utc_s=lambda: float(next(clock)))
    tcp = capture.tcp(here, car)
    tcp.received(frame(0x8001, bytes.fromhex("80400040")) + frame(0x8001, bytes.fromhex(DIN_TRAILING)))
    tcp.sent(frame(0x8103, encode(from_json(Schema.ISO20_ACDP, SYSTEM))))
    capture.close()
    items = decoded(capsys, str(capture.path))
    assert [(item["from"], item["schema"]) for item in items] == [
        ("EV", "APP_PROTOCOL"), ("EV", "DIN70121"), ("EVSE", "ISO20_ACDP")]
    assert [len(item.get("deviations", ())) for item in items] == [0, 1, 0]
    code, out, err = run(capsys, "decode", str(capture.path))
    assert code == 0
    assert "EVSE {" in out
    assert re.match(r"evsectl: \S+ EV deviation: DIN70121, ", err)
    assert ["error" in item for item in decoded(capsys, "--strict", str(capture.path))] == [False, True, False]


XSD = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:example:wall-box:Ping"
  xmlns="urn:example:wall-box:Ping" elementFormDefault="qualified">
  <xs:element name="PingReq" type="PingReqType"/>
  <xs:complexType name="PingReqType"><xs:sequence>
    <xs:element name="Number" type="xs:unsignedShort"/>
  </xs:sequence></xs:complexType>
</xs:schema>"""


def test_a_users_own_schema(tmp_path: Path) -> None:
    (tmp_path / "ping.xsd").write_text(XSD)
    made = tmp_path / "made"
    subprocess.run([sys.executable, "-m", "evse_controller.exi", "generate", "--schemas", str(tmp_path), "--out",
                    str(made), "--namespace", "urn:example:wall-box:Ping"], check=True, capture_output=True)
    environment = {**os.environ, "EVSE_CONTROLLER_SCHEMAS": str(made)}

    def evsectl(*argv: str) -> str:
        return subprocess.run([sys.executable, "-m", "evse_controller.cli", *argv], check=True, text=True,
                              capture_output=True, env=environment).stdout

    form = {"PingReq": {"Number": 7}}
    data = evsectl("encode", "--schema", "urn:example:wall-box:Ping", json.dumps(form)).strip()
    assert json.loads(evsectl("decode", "--schema", "urn:example:wall-box:Ping", data)) == form


@pytest.mark.parametrize("command", ["decode", "encode"])
def test_the_examples_of_the_help_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    examples = re.findall(r"^  evsectl .*(?:\n      .*)*", text.split("examples:")[1], re.MULTILINE)
    assert len(examples) >= 4
    monkeypatch.chdir(tmp_path)
    capture = Capture(tmp_path / "capture.pcapng")
    capture.tcp(Address("fe80::1%lo", 1), Address("fe80::2", 2)).received(frame(0x8001, bytes.fromhex("80400040")))
    capture.close()
    (tmp_path / "message.json").write_text(json.dumps(SIGNED))
    (tmp_path / "message.exi").write_bytes(bytes.fromhex("80ec0202a4a21a40045111505090cc4c8ccd0d4d8dce0e567d3d00"))
    tool = f"{shlex.quote(sys.executable)} -m evse_controller.cli"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    for example in examples:
        done = subprocess.run(example.replace("evsectl", tool), shell=True, capture_output=True, check=False,
                              env=environment)
        assert done.returncode == 0, (example, done.stderr)
        assert (tmp_path / "message.exi").stat().st_size if ">" in example else done.stdout


def test_decoding_loads_one_schema() -> None:
    message = encode(from_json(Schema.ISO20_COMMON, STOP))
    script = ("import sys; from evse_controller.cli.main import main\n"
              f"main(['decode', '{frame(0x8002, message).hex()}'])\n"
              "print(*[m for m in sys.modules if m.startswith(('evse_controller.messages.generated.', 'asyncio', "
              "'evse_controller.net', 'evse_controller.secc'))], file=sys.stderr)")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(done.stderr.split()) == {
        f"evse_controller.messages.generated.{name}" for name in ("common_messages", "common_types", "xmldsig")}


def test_a_users_module_that_cannot_be_loaded_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("class A(\n", encoding="utf-8")
    environment = {**os.environ, "EVSE_CONTROLLER_SCHEMAS": str(tmp_path)}
    command = [sys.executable, "-m", "evse_controller.cli", "decode", "--schema", "urn:x:Broken", "80400040"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode != 0
    assert result.stderr.count("\n") == 1, result.stderr
    assert "--schema urn:x:Broken: its module cannot be loaded: SyntaxError: " in result.stderr
