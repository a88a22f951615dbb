"""What a user's schemas may say that would be coded wrongly, or never end: refused with file and line."""

import re
from pathlib import Path

import pytest

from evse_controller.exi.generator.generate import module_text
from evse_controller.exi.generator.model import SchemaError
from evse_controller.exi.generator.xsd import SchemaFolder

HEAD = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:t" targetNamespace="urn:t">'


def text_of(folder: Path, **bodies: str) -> str:
    for name, body in bodies.items():
        (folder / f"{name}.xsd").write_text(f"{HEAD}\n{body}\n</xs:schema>", encoding="utf-8")
    return module_text(SchemaFolder(folder), "urn:t")


def sequence(content: str) -> str:
    return f'<xs:complexType name="T"><xs:sequence>{content}</xs:sequence></xs:complexType>'


A = '<xs:element name="A" type="xs:int"/>'
CYCLE = """<xs:element name="M" type="T" substitutionGroup="N"/><xs:element name="N" type="T" substitutionGroup="M"/>
""" + sequence(A)


def test_elements_that_substitute_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"t\.xsd:2: element M substitutes itself, by M"):
        text_of(tmp_path, t=CYCLE)


def derived(base: str, mixed: str) -> str:
    return f"""<xs:complexType name="B"{base}><xs:sequence>{A}</xs:sequence></xs:complexType><xs:complexType name="E"/>
<xs:complexType name="T">
<xs:complexContent{mixed}><xs:extension base="B"><xs:sequence><xs:element name="Y" type="xs:string" minOccurs="0"/>
</xs:sequence></xs:extension></xs:complexContent></xs:complexType>"""


def test_mixed_said_of_the_content_counts(tmp_path: Path) -> None:
    mixed = ' mixed="true"'
    with pytest.raises(SchemaError, match=r"t\.xsd:4: complex type T is mixed, but its base is not"):
        text_of(tmp_path, t=derived("", mixed))
    text = text_of(tmp_path, t=derived("", mixed).replace('base="B"', 'base="E"'))
    assert '("CH", -1, ' in text.split("class T(")[1].split("class ")[0]
    assert text_of(tmp_path, t=derived(mixed, mixed)).count("STATES = (") == 2


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (sequence(A), sequence(A.replace("int", "long"))),
        (sequence(A), sequence(A + A.replace('"A"', '"B"'))),
        (A, A.replace("int", "boolean")),
        (sequence(A), '<xs:simpleType name="T"><xs:restriction base="xs:int"/></xs:simpleType>'),
    ],
)
def test_two_declarations_of_one_component_are_refused(tmp_path: Path, one: str, two: str) -> None:
    with pytest.raises(SchemaError, match=r"b\.xsd:2: xs:\w+ [AT] is declared otherwise at .*a\.xsd:2"):
        text_of(tmp_path, a=one, b=two)


def test_copies_of_one_component_are_one(tmp_path: Path) -> None:
    note = "<xs:annotation><xs:documentation>x</xs:documentation></xs:annotation>"
    other = sequence(A.replace("/>", f">{note}</xs:element>")).replace("<xs:sequence>", "\n <xs:sequence>")
    assert "class T(Node):" in text_of(tmp_path, a=sequence(A), b=other + "\n" + A.replace('"A"', '"B"'))
    assert re.search("DOCUMENT_BITS = 1", module_text(SchemaFolder(tmp_path), "urn:t"))


def facets(*pairs: tuple[str, int]) -> str:
    base = "xs:string" if "ength" in pairs[0][0] else "xs:int"
    inner = "".join(f'<xs:{name} value="{value}"/>' for name, value in pairs)
    return f'<xs:simpleType name="S"><xs:restriction base="{base}">{inner}</xs:restriction></xs:simpleType>'


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (facets(("minInclusive", 5), ("maxInclusive", 3)), "simple type S: its facets leave no value"),
        (facets(("minLength", 5), ("maxLength", 3)), "simple type S: its facets leave no value"),
        (facets(("maxLength", -3)), "simple type S: its facets leave no value"),
        (facets(("minLength", -3)), "simple type S: its facets leave no value"),
        (sequence('<xs:element name="A" type="xs:int" minOccur="0"/>'), "xs:element has no attribute minOccur"),
        (sequence('<xs:element type="xs:int"/>'), "an element without a name"),
        ('<xs:element name="A" type="xs:int" abstrac="true"/>', "xs:element has no attribute abstrac"),
        ('<xs:element type="xs:int"/>', "an element without a name"),
        ('<xs:include schemaLocation="nope.xsd"/>', "the included 'nope.xsd' is not in the folder as a schema of"),
        ("<xs:include/>", "the included '' is not in the folder as a schema of"),
        ('<xs:simpleType name="S"><xs:restriction base="S"/></xs:simpleType>', "simple type S restricts itself"),
    ],
)
def test_slips_in_a_schema_are_refused_with_file_and_line(tmp_path: Path, body: str, reason: str) -> None:
    with pytest.raises(SchemaError, match=re.escape(f"t.xsd:2: {reason}")):
        text_of(tmp_path, t=body)


def test_what_is_included_from_the_folder_is_a_part(tmp_path: Path) -> None:
    other = '<xs:simpleType name="S"><xs:restriction base="xs:int"/></xs:simpleType>'
    used = sequence('<xs:element name="A" type="S"/>')
    assert "class T(Node)" in text_of(tmp_path, t=f'<xs:include schemaLocation="./o.xsd"/>{used}', o=other)
