"""The generated text: what is fused, what is not there, and that all of it reads alike."""

import itertools
import re
from pathlib import Path

import pytest

from evse_controller.exi.generator.emit_bits import BitRun, PutRun
from evse_controller.exi.generator.emit_common import Code
from evse_controller.exi.generator.generate import PACKAGE_FOLDER, module_text
from evse_controller.exi.generator.layout import bracketed, union
from evse_controller.exi.generator.xsd import SchemaFolder

MODULES = sorted(path for path in PACKAGE_FOLDER.glob("*.py") if path.name != "__init__.py")


def test_fixed_width_pieces_become_one_read() -> None:
    code = Code()
    run = BitRun(code)
    run.zero()
    run.value(3, "a", "({}) + 1")
    run.zero(2)
    run.value(1, "b", "({}) == 1")
    run.flush()
    assert code.lines == [
        "e -= 7", "v = n >> e & 0x7f", "if v & 0x46:", "    raise unexpected(e, v & 0x46)",
        "a = (v >> 3 & 7) + 1", "b = (v & 1) == 1",
    ]


def test_fixed_width_pieces_become_one_append() -> None:
    code = Code()
    run = PutRun(code)
    run.put(2, 1)
    run.variable(3, "a")
    run.put(1)
    run.variable(4, "b + 1")
    run.flush()
    assert code.lines == ["x = x << 10 | a << 5 | (b + 1) | 0x100"]
    assert run.take() == "x"


def test_the_element_is_named_where_it_changes() -> None:
    code = Code(2)
    for element in ("A", "A", "B"):
        code.name(element)
    assert code.tried() == ['    at = "A"', "    try:", '        at = "B"']


def test_lists_wrap_at_the_line_length() -> None:
    assert bracketed("f(", ["a", "b"], ")", 4) == ["    f(a, b)"]
    assert bracketed("f(", ["a"], ")", 0) == ["f(a,)"]
    lines = bracketed("f(", ["a" * 50, "b" * 50, "c" * 50], ")", 4)
    assert lines == ["    f(", f"        {'a' * 50}, {'b' * 50},", f"        {'c' * 50},", "    )"]
    assert union("x: ", ["A" * 80, "B" * 80], " = None", 4)[0] == "    x: ("


SMALL = """
<xs:simpleType name="Sort"><xs:restriction base="xs:string"><xs:enumeration value="a"/><xs:enumeration value="b"/>
</xs:restriction></xs:simpleType>
<xs:element name="M"><xs:complexType><xs:sequence>
<xs:element name="K" type="Sort"/><xs:element name="Flag" type="xs:boolean"/>
<xs:element name="Text" type="xs:string" minOccurs="0"/>
<xs:element name="Many" type="xs:unsignedByte" minOccurs="2" maxOccurs="3"/></xs:sequence></xs:complexType></xs:element>
"""


def text(tmp_path: Path, body: str) -> str:
    head = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:t" targetNamespace="urn:t">'
    (tmp_path / "t.xsd").write_text(f"{head}{body}</xs:schema>", encoding="utf-8")
    return module_text(SchemaFolder(tmp_path), "urn:t")


def test_the_docstring_tells_cardinalities_and_limits(tmp_path: Path) -> None:
    made = text(tmp_path, SMALL)
    assert """class M(Message):
    \"\"\"Element M.

    k: required
    flag: required
    text: optional
    many: 2..3 items; 0..255
    \"\"\"""" in made
    assert made == text(tmp_path, SMALL), "the order is stable"


def test_only_what_is_used_is_imported(tmp_path: Path) -> None:
    made = text(tmp_path, SMALL)
    assert "Window" not in made
    assert "from evse_controller.exi.bits import put_string, read_string\n" in made


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_committed_modules_have_nothing_dead(path: Path) -> None:
    source = path.read_text("utf-8")
    for before, line in itertools.pairwise(source.splitlines()):
        assert not (before.strip().startswith("at = ") and line.strip().startswith("at = ")), "a name without use"
        ends = re.fullmatch(r"( *)(?:raise .*|return .*[^(]|break|continue)", before)
        assert not (ends and re.match(ends[1] + r"[^ )\]}]", line)), "a line that nothing reaches"
    assert not re.search(r"\b(pass|if True|if False|x << 0|>> 0)\b|\| 0x0\b", source)
    # Within one straight stretch an element is named once.
    for stretch in re.split(r"\n(?: *(?:def|if|elif|else|for|while|except|try)\b.*)", source):
        names = re.findall(r'^ *at = ("\w*")$', stretch, flags=re.MULTILINE)
        assert all(one != other for one, other in itertools.pairwise(names))
