"""Names of a user's own schemas that would hide what the generated coders use: given another name, or refused."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evse_controller.exi.__main__ import main
from evse_controller.exi.generator.generate import module_text
from evse_controller.exi.generator.model import SchemaError
from evse_controller.exi.generator.naming import RUNTIME, TAKEN, member_name
from evse_controller.exi.generator.xsd import SchemaFolder
from evse_controller.messages.base import Message

REPOSITORY = Path(__file__).parents[2]
GENERATED = REPOSITORY / "evse_controller" / "messages" / "generated"
HEAD = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:t" targetNamespace="urn:t">\n'
IMPORTED = {name for names in RUNTIME.values() for name in names}


def text_of(tmp_path: Path, body: str) -> str:
    (tmp_path / "t.xsd").write_text(f"{HEAD}{body}</xs:schema>", encoding="utf-8")
    return module_text(SchemaFolder(tmp_path), "urn:t")


def test_no_attribute_has_a_name_that_the_coders_use() -> None:
    """What the committed coders call and keep, apart from the fields of their classes, is in the list."""
    used: set[str] = set()
    for path in GENERATED.glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        fields = {
            node.elts[0].value for node in ast.walk(tree)
            if isinstance(node, ast.Tuple) and node.elts and isinstance(node.elts[0], ast.Constant)
        }
        slots = {
            entry.value for node in ast.walk(tree) if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__slots__"
            for entry in ast.walk(node.value) if isinstance(entry, ast.Constant)
        }
        for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
            names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
            names |= {argument.arg for argument in function.args.args}
            used |= {name for name in names if name == name.lower()} - slots - fields
    used = {name for name in used if not name.startswith(("one_", "decode_", "encode_"))} | {"decode_states"}
    assert used - TAKEN <= {"type", "value"}, used - TAKEN
    assert {name for name in dir(Message) if not name.startswith("_") and name.islower()} <= TAKEN


SPELLED = TAKEN - {"_"} | {"type", "value"}
NAMES = sorted({"".join(word.capitalize() for word in name.split("_")) for name in SPELLED} | SPELLED)
ROUND_TRIP = """
from evse_controller.messages import decode, encode, from_json, to_json
import importlib
g = importlib.import_module("evse_controller.messages.generated.t")
for root in g.ROOT_ENCODERS:
    values = {f.name: [300] * 20 if f.high > 1 else "ab" if f.type.base == "string" else 300 for f in root.FIELDS}
    message = root(**values)
    again = decode(root.SCHEMA, encode(message))
    assert again == message == from_json(root.SCHEMA, to_json(message)) and again.deviations == (), message
    try:
        encode(root(**{**values, root.FIELDS[0].name: None}))
    except ValueError:
        continue
    raise SystemExit(f"{root} takes nothing")
print(len(g.ROOT_ENCODERS))
"""


def run(code: str, folder: Path) -> str:
    environment = {**os.environ, "EVSE_CONTROLLER_SCHEMAS": str(folder), "PYTHONPATH": str(REPOSITORY)}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_elements_of_every_such_name_are_coded(tmp_path: Path) -> None:
    body = ""
    for number, name in enumerate(NAMES):
        part = f'<xs:element name="{name}" type="xs:{{}}"{{}}/>'
        parts = part.format("unsignedInt", "") + '<xs:element name="Several" type="xs:unsignedInt" maxOccurs="20"/>'
        more = part.format("unsignedInt", ' maxOccurs="20"')
        more += '<xs:element name="Words" type="xs:string" minOccurs="0"/>'
        text = part.format("string", "") + '<xs:element name="Number" type="xs:unsignedInt" minOccurs="0"/>'
        for kind, content in (("A", parts), ("B", more), ("C", text)):
            body += f'<xs:element name="{kind}{number}"><xs:complexType><xs:sequence>{content}</xs:sequence>' \
                    "</xs:complexType></xs:element>"
    (tmp_path / "t.xsd").write_text(f"{HEAD}{body}</xs:schema>", encoding="utf-8")
    assert main(["generate", "--schemas", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    assert run(ROUND_TRIP, tmp_path / "out") == f"{3 * len(NAMES)}\n"


def in_sequence(content: str, name: str = "T") -> str:
    return f'<xs:complexType name="{name}"><xs:sequence>{content}</xs:sequence></xs:complexType>'


def enum(*values: str) -> str:
    inner = "".join(f'<xs:enumeration value="{value}"/>' for value in values)
    return f'<xs:simpleType name="S"><xs:restriction base="xs:string">{inner}</xs:restriction></xs:simpleType>'


A = '<xs:element name="A" type="xs:int"/>'


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (in_sequence('<xs:element name="_" type="xs:int"/>'), "type T: no attribute of a class can be named after _"),
        (in_sequence('<xs:element name="_3D" type="xs:int"/>'), "no attribute of a class can be named after _3D"),
        (in_sequence('<xs:element name="Ab" type="xs:int" maxOccurs="2"/><xs:element name="OneAb" type="xs:int"/>'
         '<xs:element name="Cd" type="xs:int" maxOccurs="2"/>'),
         "type T: two parts are called one_ab"),
        ('<xs:complexType name="T"><xs:simpleContent><xs:extension base="xs:int">'
         '<xs:attribute name="Value" type="xs:int"/></xs:extension></xs:simpleContent></xs:complexType>',
         "type T: two parts are called value"),
        (in_sequence(A, "AC-DER_CurveType"), "type AC-DER_CurveType would become class 'AC-DER_Curve'"),
        (in_sequence(A, "NoneType"), "type NoneType would become class 'None'"),
        (in_sequence(A, "_"), "type _ would become class '_'"),
        (enum("a", "&quot;"), "simple type S: value '\"' cannot become a member"),
        (enum("a", "b\\"), "simple type S: value 'b\\\\' cannot become a member"),
        (enum("a&#10;b"), "simple type S: value 'a\\nb' cannot become a member"),
        (enum("a", ""), "simple type S: value '' cannot become a member"),
        (enum("__x__"), "simple type S: value '__x__' cannot become a member"),
        (enum("__x"), "simple type S: value '__x' cannot become a member"),
        (enum("_x_"), "simple type S: value '_x_' cannot become a member"),
        (enum("a b", "a-b"), "simple type S: several values would become member a_b"),
        (enum("a", "a"), "simple type S: several values would become member a"),
    ],
)
def test_names_that_cannot_be_used_are_refused_with_file_and_line(tmp_path: Path, body: str, reason: str) -> None:
    with pytest.raises(SchemaError, match=re.escape(reason)) as refusal:
        text_of(tmp_path, body)
    assert str(refusal.value).startswith(f"{tmp_path / 't.xsd'}:2: ")


CAPITAL = {name for name in IMPORTED if name[0].isupper()}


@pytest.mark.parametrize("name", sorted(CAPITAL | {"IntEnum", "ValueError", "SCHEMA_SET"}))
def test_a_class_does_not_hide_what_the_module_imports(tmp_path: Path, name: str) -> None:
    for body in (in_sequence(A, name), in_sequence(A, f"{name}Type"), enum("a").replace('"S"', f'"{name}"')):
        with pytest.raises(SchemaError, match=rf"t\.xsd:2: type {name}(Type)? would become class '{name}'"):
            text_of(tmp_path, body)


def test_enumerations_of_awkward_values_work(tmp_path: Path) -> None:
    values = ["mro", "name", "value", "real", "SCHEMA_VALUES", "None", "True", "1", "01", "Q(U)", "RED "]
    assert [member_name(value) for value in ("mro", "None", "1")] == ["mro_", "None_", "_1"]
    body = enum(*values) + '<xs:element name="M">' + in_sequence('<xs:element name="Level" type="S"/>').replace(
        ' name="T"', "") + "</xs:element>"
    (tmp_path / "t.xsd").write_text(f"{HEAD}{body}</xs:schema>", encoding="utf-8")
    assert main(["generate", "--schemas", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    code = """
from evse_controller.messages import Schema, decode, encode, from_json, to_json
Schema.of("urn:t")
from evse_controller.messages.generated.t import M, S
for member in S:
    message = M(member)
    assert decode(M.SCHEMA, encode(message)).level is member is from_json(M.SCHEMA, to_json(message)).level
print(len(S))
"""
    assert run(code, tmp_path / "out") == f"{len(values)}\n"


OTHER = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:o">'


@pytest.mark.parametrize("twin", [in_sequence(A, "TwinType"), enum("a").replace('"S"', '"TwinType"')])
def test_a_type_named_like_an_imported_one_is_refused(tmp_path: Path, twin: str) -> None:
    (tmp_path / "o.xsd").write_text(f"{OTHER}{twin}</xs:schema>", encoding="utf-8")
    user = in_sequence('<xs:element name="O" xmlns:o="urn:o" type="o:TwinType"/>')
    body = f'<xs:import namespace="urn:o"/>{user}'
    text_of(tmp_path, body)
    reason = "t.xsd:2: types {urn:t}TwinType and {urn:o}TwinType would both become class Twin"
    for own in (in_sequence(A, "TwinType"), enum("b").replace('"S"', '"TwinType"')):
        with pytest.raises(SchemaError, match=re.escape(reason)):
            text_of(tmp_path, body + own)


def test_tables_of_two_enumerations_are_not_one(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="several things called AB_MEMBERS"):
        text_of(tmp_path, enum("a").replace('"S"', '"Ab"') + enum("a").replace('"S"', '"AB"'))
