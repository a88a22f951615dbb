"""A small live comparison with EXIficient; the full one is the campaign `exi_exact`."""

import os
import shutil
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import pytest

from evse_controller.exi.generator.xsd import SchemaFolder, SchemaSet
from evse_controller.messages import Schema, decode, encode
from evse_controller.messages.generated.common_messages import SessionSetupReq
from evse_controller.messages.generated.common_types import MessageHeader
from tests.campaign import exi_oracle
from tests.campaign.exi_exact import chance, check_fragments, compare, covering, difference, empty_texts
from tests.campaign.exi_grammar import message_classes
from tests.campaign.exi_messages import SCHEMAS
from tests.campaign.exi_oracle import Oracle, Unavailable, java_present, schema_folder
from tests.campaign.exi_vectors import read_vectors
from tests.campaign.exi_xml import XmlWriter

NO_JAVA = "there is no Java on this machine (no `java` on the PATH); tests/messages compares with committed vectors"


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    with started_or_failed() as running:
        yield running


def started_or_failed() -> Oracle:
    """The running oracle. Only a machine without any Java may do without it; everything else that lacks is red."""
    if not java_present():
        pytest.skip(NO_JAVA)
    try:
        return Oracle(SCHEMAS)
    except Unavailable as reason:
        pytest.fail(f"Java is present, so the live comparison has to run: {reason}")


def test_bytes_are_exificients(oracle: Oracle) -> None:
    count = 0
    for message, ours, theirs in compare(chain(covering(0.02, 42), chance(250, 42)), oracle):
        assert not difference(message, ours, theirs)
        count += 1
    assert count >= 300


def test_fragments_are_exificients(oracle: Oracle) -> None:
    elements = {(schema, element) for schema, element, _ in check_fragments(0.02, 42, oracle)}
    assert len(elements) >= 31
    assert (Schema.ISO2, "eMAID") in elements, "the one that follows the relaxed grammar"


def test_elements_without_text_differ_and_both_codecs_read_both_forms(oracle: Oracle) -> None:
    """EXIficient ends an empty element by a second-level event; we write, as cars do, characters of length 0."""
    message = SessionSetupReq(MessageHeader(session_id=bytes(8), time_stamp=1), "")
    theirs = oracle.encode(Schema.ISO20_COMMON, XmlWriter(schema_folder(), Schema.ISO20_COMMON).write(message))
    assert theirs != encode(message)
    assert decode(Schema.ISO20_COMMON, theirs) == message
    assert "EVCCID/>" in oracle.decode(Schema.ISO20_COMMON, encode(message))
    for schema in (Schema.APP_PROTOCOL, Schema.DIN70121):
        found = list(empty_texts(schema, oracle))
        assert found
        assert all(ours != theirs for _, ours, theirs in found)


def test_our_roots_are_the_schemas_global_elements() -> None:
    """All of them but those that no message can be: abstract heads, and XML signature elements in another's set.

    Of the signature schema itself the three of simple type have no class, and two hold nothing but foreign elements.
    """
    if not java_present():
        pytest.skip(NO_JAVA + "; so the schemas are not fetched")
    folder = SchemaFolder(schema_folder())
    for schema in SCHEMAS:
        declared = SchemaSet(folder, schema.namespace)
        wanted = {
            name.local for name, element in declared.elements.items()
            if name.uri != Schema.XMLDSIG.namespace or schema is Schema.XMLDSIG
            if not element.abstract and not getattr(declared.type_of(element), "abstract", False)
        }
        if schema is Schema.XMLDSIG:
            wanted -= {"DigestValue", "KeyName", "MgmtData", "SignatureProperty", "SignatureProperties"}
        assert {cls.ELEMENT for cls in message_classes(schema)} == wanted


def test_the_oracle_reports_errors(oracle: Oracle) -> None:
    with pytest.raises(RuntimeError):
        oracle.encode(Schema.ISO20_DC, "<unfinished")


def _hide(monkeypatch: pytest.MonkeyPatch, *programs: str) -> None:
    which = shutil.which
    monkeypatch.setattr(
        exi_oracle.shutil, "which", lambda name, *more, **named: None if name in programs else which(name)
    )


@pytest.mark.skipif(not java_present(), reason=NO_JAVA)
def test_without_javac_java_compiles_the_source_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    _hide(monkeypatch, "javac")
    with Oracle((Schema.APP_PROTOCOL,)) as oracle:
        for message, data in islice(read_vectors(Schema.APP_PROTOCOL), 5):
            assert oracle.encode(Schema.APP_PROTOCOL, XmlWriter(schema_folder(), Schema.APP_PROTOCOL).write(message)) \
                == data


def test_java_without_the_wheel_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline() -> Path:
        raise Unavailable("pip cannot download it")

    monkeypatch.setattr(exi_oracle, "java_present", lambda: True)
    monkeypatch.setattr(exi_oracle, "wheel_folder", offline)
    monkeypatch.setitem(globals(), "java_present", lambda: True)
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception), match="pip cannot download it") as outcome:
        started_or_failed()
    assert outcome.type is pytest.fail.Exception, "a skip would leave this test skipped, too"


@pytest.mark.skipif(not java_present(), reason=NO_JAVA)
def test_java_without_a_compiler_is_red_and_says_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / "java"
    runtime.write_text("#!/bin/sh\necho 'error: no module jdk.compiler' >&2\nexit 1\n")
    runtime.chmod(0o755)
    _hide(monkeypatch, "javac")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(pytest.fail.Exception, match=r"needs a JDK.*: error: no module jdk\.compiler"):
        started_or_failed()


def test_only_a_machine_without_any_java_may_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    _hide(monkeypatch, "java", "javac")
    with pytest.raises(pytest.skip.Exception, match="no Java on this machine"):
        started_or_failed()
