"""Schemas that a user has and we do not: generated into a folder of theirs, found by namespace, never mixed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evse_controller.exi.__main__ import main
from tests.campaign.exi_oracle import Unavailable, schema_folder

DATA = Path(__file__).parent / "data"
OWN = DATA / "own_schemas"
REPOSITORY = Path(__file__).parents[2]

# The bytes are EXIficient's, from our schema.
OWN_MESSAGES = """
from evse_controller.messages import Schema, decode, encode, from_json, to_json
from evse_controller.messages.fragments import decode_fragment, encode_fragment
schema = Schema.of("urn:evse-controller:test:GridServices")
from evse_controller.messages.generated.grid_services import *
from evse_controller.messages.generated.parts import Head
assert schema is GridServiceReq.SCHEMA is Schema[schema.name] and schema.name == "GRID_SERVICES", schema
assert schema in list(Schema)
head = Head(bytes(range(8)), 1790000000)
curve = Curve("c1", [Point(f, f - 50) for f in range(49, 52)])
messages = {
    "8060200004080c1014181c407be26a83088200118cc41888000c800003300111003a232b837ba04071580400":
        GridServiceReq(head, FixedMode(-5), Site(Phases.three_wire, "Depot", True, 7, 300), curve),
    "8060200004080c1014181c407be26a8300502080": GridServiceReq(head, DroopMode(40), Site(Phases.one)),
    "8080200004080c1014181c407be26a830825b9bc819dc9a590": GridServiceRes(head, reason="no grid"),
}
for data, message in messages.items():
    assert encode(message).hex() == data, encode(message).hex()
    assert decode(schema, bytes.fromhex(data)) == message == from_json(schema, to_json(message))
assert decode_fragment(schema, encode_fragment(schema, "Curve", curve)) == ("Curve", curve)
try:
    decode(schema, bytes.fromhex("8060200004080c1014181c407be26a8304502080"))
except ValueError as problem:
    print(problem)
"""

AMENDMENT_MESSAGES = """
from evse_controller.messages import Schema, decode, encode
schema = Schema.of("urn:evse-controller:test:-20:AC-DER")
from evse_controller.messages.generated.ac_der import *
header = MessageHeader(bytes(8), 1790000000)
ten = RationalNumber(0, 10)
mode = DER_CLReqControlMode(*[ten] * 4)
for message in (
    DER_ChargeLoopReq(header, False, mode),
    DER_ChargeLoopRes(header, ResponseCode.OK, volt_watt=Curve("c", [ten] * 8)),
):
    assert decode(schema, encode(message)) == message
print(schema.name)
"""


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "EVSE_CONTROLLER_SCHEMAS": str(folder), "PYTHONPATH": path}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)


def test_a_schema_of_ones_own_is_generated_found_and_coded(tmp_path: Path) -> None:
    out = tmp_path / "modules"
    assert main(["generate", "--schemas", str(OWN), "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["grid_services.py", "parts.py"]
    result = run(OWN_MESSAGES, out)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("GRID_SERVICES, GridServiceReq/EveryMode, bit ")
    assert result.stdout.endswith(": an abstract element stands in the data\n")


def test_an_asked_for_namespace_brings_what_it_imports(tmp_path: Path) -> None:
    wanted = ["--namespace", "urn:evse-controller:test:GridServices"]
    assert main(["generate", "--schemas", str(OWN), "--out", str(tmp_path), *wanted]) == 0
    assert (tmp_path / "parts.py").is_file()


def test_without_the_folder_the_schema_is_unknown(tmp_path: Path) -> None:
    result = run(OWN_MESSAGES, tmp_path)
    assert "LookupError: no schema of namespace 'urn:evse-controller:test:GridServices'" in result.stderr


def test_a_module_cannot_take_the_place_of_ours(tmp_path: Path) -> None:
    (tmp_path / "dc.py").write_text("raise SystemExit('not ours')\n")
    code = "from evse_controller.messages.codec import Schema, coders\ncoders(Schema.ISO20_DC)"
    assert run(code, tmp_path).returncode == 0


def test_a_fault_inside_a_users_module_is_not_hidden(tmp_path: Path) -> None:
    (tmp_path / "grid_services.py").write_text("import a_module_that_nobody_has\n")
    result = run("from evse_controller.messages import *\nSchema.of('urn:x:GridServices')", tmp_path)
    assert "No module named 'a_module_that_nobody_has'" in result.stderr


@pytest.fixture
def amendment(tmp_path: Path) -> Path:
    """A folder as a user has it: the amendment's schema beside the standard's own that it imports."""
    try:
        schemas = schema_folder()
    except Unavailable as reason:
        pytest.skip(f"no schemas: EVSE_SCHEMAS is not set and {reason}")
    folder = tmp_path / "schemas"
    folder.mkdir()
    for path in (DATA / "amendment" / "der.xsd", schemas / "iso15118_20" / "V2G_CI_CommonTypes.xsd",
                 schemas / "xmldsig-core-schema.xsd"):
        shutil.copy(path, folder)
    return folder


def test_an_amendment_stands_on_our_common_types(amendment: Path, tmp_path: Path) -> None:
    out = tmp_path / "modules"
    assert main(["generate", "--schemas", str(amendment), "--out", str(out)]) == 0
    assert [path.name for path in out.iterdir()] == ["ac_der.py"]
    result = run(AMENDMENT_MESSAGES, out)
    assert (result.returncode, result.stdout) == (0, "AC_DER\n"), result.stderr


def test_another_edition_of_a_known_namespace_is_refused(
    amendment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = amendment / "V2G_CI_CommonTypes.xsd"
    text = common.read_text("utf-8")
    changed = text.replace('<xs:maxLength value="32"/>', '<xs:maxLength value="33"/>')
    assert changed != text
    common.write_text(changed, encoding="utf-8")
    assert main(["generate", "--schemas", str(amendment), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "'urn:iso:std:iso:15118:-20:CommonTypes' in the folder is another edition than" in said
    assert "common_types" in said
    assert not (tmp_path / "out").exists()


def test_a_missing_import_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(OWN / "grid.xsd", tmp_path)
    assert main(["generate", "--schemas", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "no schema of namespace 'urn:evse-controller:test:Parts' in the folder, imported by" in said


def schema(folder: Path, uri: str, body: str) -> None:
    name = uri.replace(":", "_")
    head = f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="{uri}" targetNamespace="{uri}">'
    (folder / f"{name}.xsd").write_text(f"{head}\n{body}\n</xs:schema>", encoding="utf-8")


MESSAGE = '<xs:element name="M" type="T"/><xs:complexType name="T"><xs:sequence/></xs:complexType>'


@pytest.mark.parametrize("uri", ["urn:other:DC", "urn:other:ISO2", "urn:other:iso20_dc"])
def test_a_namespace_that_would_take_a_known_name_is_refused(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema(tmp_path, uri, MESSAGE)
    assert main(["generate", "--schemas", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "which holds another namespace" in capsys.readouterr().err


def test_two_namespaces_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema(tmp_path, "urn:one:Grid", MESSAGE)
    schema(tmp_path, "urn:two:Grid", MESSAGE)
    assert main(["generate", "--schemas", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "several namespaces would become one module" in capsys.readouterr().err


def test_a_type_that_would_mean_another_grammar_here_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new member of a group changes the codes of an imported type, whose module already has coders."""
    base = '<xs:complexType name="BaseType" abstract="true"/><xs:element name="Head" type="BaseType" abstract="true"/>'
    holder = '<xs:complexType name="HolderType"><xs:sequence><xs:element ref="Head"/></xs:sequence></xs:complexType>'
    schema(tmp_path, "urn:t:Old", base + holder)
    member = """<xs:import namespace="urn:t:Old"/><xs:element name="M" xmlns:o="urn:t:Old" type="o:{used}Type"/>
        <xs:element name="More" xmlns:o="urn:t:Old" substitutionGroup="o:Head"><xs:complexType><xs:complexContent>
        <xs:extension base="o:BaseType"/></xs:complexContent></xs:complexType></xs:element>
        <xs:complexType name="UserType"><xs:sequence xmlns:o="urn:t:Old"><xs:element name="H" type="o:{held}Type"/>
        </xs:sequence></xs:complexType>"""
    schema(tmp_path, "urn:t:New", member.format(used="Base", held="Holder"))
    assert main(["generate", "--schemas", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "type HolderType: its grammar depends on the schema set urn:t:New" in capsys.readouterr().err


def test_into_the_package_itself_goes_no_other_edition_of_a_part(
    amendment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "package"
    shutil.copytree(REPOSITORY / "evse_controller" / "messages" / "generated", home)
    monkeypatch.setattr("evse_controller.exi.generator.generate.PACKAGE_FOLDER", home)
    assert main(["generate", "--schemas", str(amendment), "--out", str(home)]) == 0
    assert (home / "ac_der.py").is_file()
    common = amendment / "V2G_CI_CommonTypes.xsd"
    before = (home / "common_types.py").read_bytes()
    text = common.read_text("utf-8").replace('<xs:maxLength value="32"/>', '<xs:maxLength value="33"/>')
    common.write_text(text, encoding="utf-8")
    for wanted in ([], ["--namespace", "urn:iso:std:iso:15118:-20:CommonTypes"]):
        assert main(["generate", "--schemas", str(amendment), "--out", str(home), *wanted]) == 1
        assert "is another edition than the package's module common_types has" in capsys.readouterr().err
    assert (home / "common_types.py").read_bytes() == before
