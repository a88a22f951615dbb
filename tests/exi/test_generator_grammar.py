"""From types to grammars: the numbering of productions and states, which decides every event code."""

from pathlib import Path

import pytest

from evse_controller.exi.generator.emit_common import Row
from evse_controller.exi.generator.fragments import FragmentGrammar, relaxed_codes
from evse_controller.exi.generator.grammar import TypePlan, plan_type
from evse_controller.exi.generator.model import Complex, QName
from evse_controller.exi.generator.xsd import SchemaFolder, SchemaSet


def schema(tmp_path: Path, body: str) -> SchemaSet:
    head = ('<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:t" targetNamespace="urn:t" '
            'elementFormDefault="qualified" attributeFormDefault="qualified">')
    (tmp_path / "t.xsd").write_text(f"{head}{body}</xs:schema>", encoding="utf-8")
    return SchemaSet(SchemaFolder(tmp_path), "urn:t")


def plan(tmp_path: Path, content: str) -> TypePlan:
    small = schema(tmp_path, f'<xs:complexType name="T">{content}</xs:complexType>{GROUP}')
    return plan_type(small, small.complex(QName("T", "urn:t")))


def element(name: str, bounds: str = "") -> str:
    return f'<xs:element name="{name}" type="xs:int" {bounds}/>'


GROUP = """
<xs:complexType name="Base" abstract="true"/>
<xs:element name="Head" type="Base" abstract="true"/>
<xs:element name="Zeta" substitutionGroup="Head"><xs:complexType><xs:complexContent><xs:extension base="Base"/>
</xs:complexContent></xs:complexType></xs:element>
<xs:element name="Alpha" substitutionGroup="Zeta"><xs:complexType><xs:complexContent><xs:extension base="Base"/>
</xs:complexContent></xs:complexType></xs:element>
"""


A, B, C = element("A"), element("B"), element("C")
A_, B_ = element("A", 'minOccurs="0"'), element("B", 'minOccurs="0"')


def sequence(*parts: str, bounds: str = "") -> str:
    return f"<xs:sequence {bounds}>{''.join(parts)}</xs:sequence>"


def choice(*parts: str, bounds: str = "") -> str:
    return f"<xs:choice {bounds}>{''.join(parts)}</xs:choice>"


@pytest.mark.parametrize(
    ("content", "productions"),
    [
        (sequence(), [1]),
        (sequence(A, B), [1, 1, 1]),
        # Optional parts compete with what follows, up to and including the next required part or the end.
        (sequence(A_, B_), [3, 2, 1]),
        (sequence(A_, B, C), [2, 1, 1, 1]),
        (choice(A, B, C), [3, 1]),
        (choice(A, B, bounds='minOccurs="0"'), [3, 1]),
        # A substitution group: the head and all members, the abstract ones too.
        (sequence('<xs:element ref="Head"/>'), [3, 1]),
    ],
)
def test_productions_of_each_state(tmp_path: Path, content: str, productions: list[int]) -> None:
    items = plan(tmp_path, content).items
    row = Row(items)
    assert [row.productions(state) for state in range(len(items) + 1)] == productions


def test_members_of_a_substitution_group_are_sorted_by_name(tmp_path: Path) -> None:
    made = plan(tmp_path, '<xs:sequence><xs:element ref="Head"/></xs:sequence>')
    terminals = made.items[0].terminals
    assert [(t.element, t.abstract) for t in terminals] == [("Alpha", False), ("Head", True), ("Zeta", False)]
    assert isinstance(made.slots[0].type, dict)
    assert list(made.slots[0].type) == ["Alpha", "Zeta"]


def test_attributes_come_first_sorted_by_local_name(tmp_path: Path) -> None:
    made = plan(tmp_path, sequence(C) +
                          '<xs:attribute name="b" type="xs:int"/><xs:attribute name="a" type="xs:int" use="required"/>'
                          '<xs:attribute name="d" type="xs:int" use="prohibited"/>')
    assert [(slot.element, slot.place, slot.low) for slot in made.slots] == [
        ("a", "attribute", 1), ("b", "attribute", 0), ("C", "element", 1),
    ]


def test_inherited_content_comes_first(tmp_path: Path) -> None:
    small = schema(tmp_path, f"""
        <xs:complexType name="Parent"><xs:sequence>{element('Z')}</xs:sequence></xs:complexType>
        <xs:complexType name="Child"><xs:complexContent><xs:extension base="Parent">
        <xs:sequence>{element('A')}</xs:sequence></xs:extension></xs:complexContent></xs:complexType>""")
    made = plan_type(small, small.complex(QName("Child", "urn:t")))
    assert [slot.element for slot in made.slots] == ["Z", "A"]


@pytest.mark.parametrize(
    ("content", "states"),
    [
        # An optional group is no row: states by Glushkov, one per position behind the start.
        (sequence(A, sequence(B, C, bounds='minOccurs="0"')), ["A1", "B2 EE", "C3", "EE"]),
        (sequence(A, B, bounds='maxOccurs="unbounded"'), ["A1", "B2", "A1 EE"]),
        (choice(A, B, bounds='maxOccurs="2"'), ["A1 B2", "A3 B4 EE", "A3 B4 EE", "EE", "EE"]),
        # A wildcard holds its place behind all elements.
        (sequence(A_, '<xs:any namespace="##other"/>'), ["A1 *2", "*2", "EE"]),
    ],
)
def test_states_of_irregular_types(tmp_path: Path, content: str, states: list[str]) -> None:
    made = plan(tmp_path, content)
    assert made.states is not None
    shown = []
    for edges in made.states:
        names = [edge.slot.element if edge.slot else edge.event.removeprefix("SE") for edge in edges]
        shown.append(" ".join(n if n == "EE" else f"{n}{edge.target}" for n, edge in zip(names, edges, strict=True)))
    assert shown == states


@pytest.mark.parametrize(
    ("content", "lists"),
    [
        (sequence(A, sequence(B, bounds='minOccurs="0"'), A), ["A"]),  # one A behind the other: both are kept
        (choice(sequence(A, B), sequence(A, C)), []),  # either of the two
        (choice(A, B, bounds='maxOccurs="3"'), ["A", "B"]),
    ],
)
def test_what_may_come_again_is_a_list(tmp_path: Path, content: str, lists: list[str]) -> None:
    assert [slot.element for slot in plan(tmp_path, content).slots if slot.is_list] == lists


def test_the_fragment_grammar_numbers_unique_names(tmp_path: Path) -> None:
    small = schema(tmp_path, """
        <xs:element name="M" type="MType"/>
        <xs:complexType name="MType"><xs:sequence><xs:element name="S" type="SType"/><xs:element name="X" type="IType"/>
        </xs:sequence></xs:complexType>
        <xs:complexType name="NType"><xs:sequence><xs:element name="S" type="SType"/>
        <xs:element name="X" type="xs:string"/></xs:sequence></xs:complexType>
        <xs:complexType name="SType"><xs:sequence/><xs:attribute name="Id" type="xs:ID"/></xs:complexType>
        <xs:complexType name="IType"><xs:simpleContent><xs:extension base="xs:string">
        <xs:attribute name="Id" type="xs:ID" use="required"/></xs:extension></xs:simpleContent></xs:complexType>""")
    grammar = FragmentGrammar(small)
    assert [name.local for name in grammar.names] == ["M", "S", "X"]
    assert (grammar.end, grammar.bits) == (4, 3)
    assert [(s.name.local, s.code, s.relaxed) for s in grammar.signable] == [("S", 1, False), ("X", 2, True)]
    assert isinstance(grammar.signable[0].type, Complex)
    # AT(Id) AT(*) SE(M) SE(S) SE(X) SE(*) EE CH, then without the attributes; one code more for the second level.
    codes = relaxed_codes(grammar)
    assert (list(codes.attributes.values()), codes.characters, codes.start_bits) == ([0], 7, 4)
    assert (codes.end, codes.end_bits) == (4, 3)
