"""The generator: names, normal forms, refusals, and that it reproduces the committed code byte for byte."""

import re
from pathlib import Path

import pytest

from evse_controller.exi.__main__ import main
from evse_controller.exi.generator.generate import generate, module_text
from evse_controller.exi.generator.grammar import code_bits, plan_type
from evse_controller.exi.generator.model import SchemaError
from evse_controller.exi.generator.naming import class_name, member_name, snake
from evse_controller.exi.generator.xsd import SchemaFolder, SchemaSet
from evse_controller.exi.naming import module_name
from tests.campaign.exi_oracle import Unavailable, schema_folder

GENERATED = Path(__file__).resolve().parents[2] / "evse_controller" / "messages" / "generated"


def test_committed_code_is_what_the_generator_writes(tmp_path: Path) -> None:
    try:
        schemas = schema_folder()
    except Unavailable as reason:
        pytest.skip(f"no schemas: EVSE_SCHEMAS is not set and {reason}")
    written = generate(schemas, tmp_path, everything=True)
    committed = sorted(path.name for path in GENERATED.glob("*.py") if path.name != "__init__.py")
    assert sorted(path.name for path in written) == committed
    for path in written:
        assert path.read_bytes() == (GENERATED / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("element", "attribute"),
    [
        ("EVTargetCurrent", "ev_target_current"),
        ("EVSEPresentVoltage", "evse_present_voltage"),
        ("SessionID", "session_id"),
        ("EVCCID", "evccid"),
        ("EVSEID", "evseid"),
        ("PnC_AReqAuthorizationMode", "pnc_areq_authorization_mode"),
        ("EIM_AReqAuthorizationMode", "eim_areq_authorization_mode"),
        ("MaximumV2XEnergyRequest", "maximum_v2x_energy_request"),
        ("TargetSOC", "target_soc"),
        ("Power_L2", "power_l2"),
        ("BPT_DischargedEnergyReadingWh", "bpt_discharged_energy_reading_wh"),
        ("SupportedServiceIDs", "supported_service_ids"),
        ("finiteString", "finite_string"),
        ("EVRESSSOC", "ev_ress_soc"),
        ("RemainingTimeToFullSoC", "remaining_time_to_full_soc"),
        ("eMAID", "emaid"),
        ("at", "at_"),
        ("class", "class_"),
    ],
)
def test_attribute_names(element: str, attribute: str) -> None:
    assert snake(element) == attribute


def test_other_names() -> None:
    assert class_name("DC_ChargeLoopReqType") == "DC_ChargeLoopReq"
    assert class_name("processingType") == "Processing"
    assert member_name("AC_three-phase core") == "AC_three_phase_core"
    assert member_name("3ph") == "_3ph"
    assert module_name("urn:iso:std:iso:15118:-20:AC-DER-IEC") == "ac_der_iec"


@pytest.mark.parametrize(("productions", "bits"), [(1, 1), (2, 2), (3, 2), (4, 3), (7, 3), (8, 4), (36, 6)])
def test_event_code_widths_leave_room_for_the_second_level(productions: int, bits: int) -> None:
    assert code_bits(productions) == bits


HEAD = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:t" targetNamespace="urn:t">'


def schema(tmp_path: Path, body: str) -> SchemaFolder:
    (tmp_path / "t.xsd").write_text(f"{HEAD}{body}</xs:schema>", encoding="utf-8")
    return SchemaFolder(tmp_path)


SMALL = """
<xs:complexType name="InnerType"><xs:sequence>
  <xs:element name="A" type="xs:unsignedByte" minOccurs="0"/>
  <xs:element name="B" type="xs:string" maxOccurs="3"/>
  <xs:choice minOccurs="0"><xs:element name="C" type="xs:boolean"/><xs:element name="D" type="xs:int"/></xs:choice>
</xs:sequence><xs:attribute name="Id" type="xs:ID"/></xs:complexType>
<xs:element name="Message" type="InnerType"/>
"""


def test_a_row_of_items(tmp_path: Path) -> None:
    small = SchemaSet(schema(tmp_path, SMALL), "urn:t")
    kind = small.type_of(next(iter(small.elements.values())))
    plan = plan_type(small, kind)  # type: ignore[arg-type]
    assert [(s.name, s.low, s.high, s.choice) for s in plan.slots] == [
        ("id", 0, 1, 0), ("a", 0, 1, 0), ("b_", 1, 3, 0), ("c_", 0, 1, 1), ("d", 0, 1, 1),
    ]
    assert plan.states is None


MIXED = """
<xs:complexType name="InnerType" mixed="true">
  <xs:choice maxOccurs="unbounded"><xs:element name="A" type="xs:string"/><xs:any namespace="##other"/></xs:choice>
</xs:complexType>
<xs:element name="Message" type="InnerType"/>
"""


def test_mixed_content_and_wildcards_hold_their_place(tmp_path: Path) -> None:
    small = SchemaSet(schema(tmp_path, MIXED), "urn:t")
    plan = plan_type(small, small.type_of(next(iter(small.elements.values()))))  # type: ignore[arg-type]
    assert plan.states is not None
    events = [[edge.event for edge in edges] for edges in plan.states]
    assert events == [["SE", "SE*", "CH"], ["SE", "SE*", "EE", "CH"], ["SE", "SE*", "EE", "CH"]]


def in_type(content: str) -> str:
    return f'\n<xs:complexType name="T">{content}</xs:complexType>'


def in_simple(content: str) -> str:
    return f'\n<xs:simpleType name="S">{content}</xs:simpleType><xs:element name="E" type="S"/>'


def in_sequence(content: str) -> str:
    return in_type(f"<xs:sequence>{content}</xs:sequence>")


GROUP = """<xs:complexType name="B"/><xs:complexType name="C"/>
<xs:element name="H" type="B"/><xs:element name="M" type="C" substitutionGroup="H"/>"""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (in_sequence('<xs:element name="A" type="xs:decimal"/>'), "built-in type xs:decimal is not supported"),
        (in_type('<xs:all><xs:element name="A" type="xs:int"/></xs:all>'), "complex type T: xs:all is not supported"),
        (in_type("<xs:anyAttribute/>"), "complex type T: xs:anyAttribute is not supported"),
        (in_type('<xs:attribute name="a"/>'), "attribute a has no type"),
        (in_type('<xs:attribute ref="a"/>'), "an attribute by reference is not supported"),
        (in_sequence('<xs:element name="A" type="xs:int" nillable="true"/>'), "nillable element A"),
        (in_sequence('<xs:element name="A" type="T"/>'), "type T: it contains itself"),
        (in_sequence('<xs:element name="A" type="Missing"/>'), "simple type {urn:t}Missing is not declared"),
        (in_sequence('<xs:element ref="Missing"/>'), "element Missing is not declared"),
        (in_sequence('<xs:element name="A"/>'), "element A has no type"),
        (in_sequence('<xs:element name="A" type="xs:int" minOccurs="2"/>'), "bounds 2 to 1 are not supported"),
        (in_sequence('<xs:element name="A" type="xs:int" maxOccurs="many"/>'), "bounds 1 to many are not supported"),
        (in_type('<xs:choice><xs:element ref="H"/></xs:choice>') + GROUP, "a substitution group (H) inside a choice"),
        (in_sequence('<xs:element ref="H" maxOccurs="2"/>') + GROUP, "a list of a substitution group"),
        (in_sequence('<xs:group ref="G"/>'), "xs:group in a content model is not supported"),
        (in_sequence('<xs:any namespace="##local"/>'), "a wildcard that lists namespaces"),
        (in_sequence('<xs:element name="a" type="xs:int"/><xs:element name="A" type="xs:int"/>'),
         "type T: two parts are called a"),
        (in_type('<xs:complexContent><xs:extension base="T"/></xs:complexContent>'), "type T extends itself"),
        (in_type('<xs:complexContent><xs:restriction base="T"/></xs:complexContent>'), "only extensions are supported"),
        ('\n<xs:group name="G"><xs:sequence/></xs:group>', "xs:group at the top level is not supported"),
        ('\n<xs:element name="A" type="xs:int" substitutionGroup="H"/>', "{urn:t}H, the head, is not declared"),
        (in_simple('<xs:restriction base="xs:string"><xs:pattern value="a"/></xs:restriction>'),
         "simple type S: facet pattern is not supported"),
        (in_simple('<xs:restriction base="xs:int"><xs:minInclusive value="x"/></xs:restriction>'),
         "facet minInclusive with value 'x'"),
        (in_simple("<xs:restriction/>"), "simple type S: a base without a name"),
        (in_simple('<xs:list itemType="xs:int"/>'), "simple type S: only restrictions are supported"),
    ],
)
def test_what_is_not_supported_is_refused_with_file_and_line(tmp_path: Path, body: str, reason: str) -> None:
    with pytest.raises(SchemaError, match=re.escape(reason)) as refusal:
        module_text(schema(tmp_path, body), "urn:t")
    assert str(refusal.value).startswith(f"{tmp_path / 't.xsd'}:2: ")


def test_what_is_no_xml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"t\.xsd: no XML: "):
        schema(tmp_path, "<xs:element")


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema(tmp_path, SMALL)
    assert main(["generate", "--schemas", str(tmp_path), "--out", str(tmp_path / "out"), "--namespace", "urn:t"]) == 0
    assert (tmp_path / "out" / "t.py").is_file()
    assert main(["generate", "--schemas", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 1
    assert "no schema below" in capsys.readouterr().err
