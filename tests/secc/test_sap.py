"""supportedAppProtocol: protocol.md A.5 and F.2 cases 7 to 12."""

from __future__ import annotations

import pytest

from evse_controller.messages.generated.app_protocol import ResponseCode
from evse_controller.secc import sap
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.reply import Transport
from tests.secc.ev import NS_AC, NS_DC, sap_request

OK, MINOR, NO = ResponseCode


def choose(
    *entries: tuple[str, int, int, int, int],
    transport: Transport = Transport.TLS_1_3_MUTUAL,
    config: SeccConfig | None = None,
) -> tuple[ResponseCode, int | None]:
    response, kind = sap.select(sap_request(*entries), sap.served(config or SeccConfig(), transport))
    assert (kind is None) is (response.response_code is NO)
    return response.response_code, response.schema_id


def test_case_07_best_priority_wins_against_document_order() -> None:
    two = (sap.ProtocolKind("a", "urn:a", 1, 0, False, False), sap.ProtocolKind("b", "urn:b", 1, 0, False, False))
    response, kind = sap.select(sap_request(("urn:a", 1, 0, 9, 2), ("urn:b", 1, 0, 4, 1)), two)
    assert (response.response_code, response.schema_id, kind) == (OK, 4, two[1])


def test_case_08_unknown_vendor_at_priority_one_is_filtered_first() -> None:
    assert choose(("urn:vendor", 0, 7, 2, 1), (NS_DC, 1, 0, 1, 2)) == (OK, 1)


@pytest.mark.parametrize(
    "namespace", [NS_AC, "urn:iso:std:iso:15118:-20:CommonMessages", "urn:iso:15118:2:2013:MsgDef"]
)
def test_case_09_10_what_is_not_served_is_not_negotiated(namespace: str) -> None:
    assert choose((namespace, 1, 0, 1, 1)) == (NO, None)


@pytest.mark.parametrize("services", [(1,), (5, 1)])
def test_case_09_an_ac_outlet_serves_ac_and_nothing_else(services: tuple[int, ...]) -> None:
    config = SeccConfig(services=services)
    assert choose((NS_DC, 1, 0, 1, 1), config=config) == (NO, None)
    assert choose((NS_DC, 1, 0, 1, 1), (NS_AC, 1, 0, 2, 2), config=config) == (OK, 2)


@pytest.mark.parametrize("services", [(2,), (6, 2), (8,), (9, 8, 2)])
def test_case_09_a_dc_or_mcs_outlet_serves_dc_and_nothing_else(services: tuple[int, ...]) -> None:
    config = SeccConfig(services=services)
    assert choose((NS_AC, 1, 0, 1, 1), config=config) == (NO, None)
    assert choose((NS_AC, 1, 0, 1, 1), (NS_DC, 1, 0, 2, 2), config=config) == (OK, 2)


@pytest.mark.parametrize("name", ["WPT", "ACDP", "AC-DER-IEC", "AC-DER-SAE", "CommonTypes"])
def test_services_that_are_not_offered_are_not_negotiated(name: str) -> None:
    namespace = f"urn:iso:std:iso:15118:-20:{name}"
    for services in ((1, 5), (2, 6, 8, 9)):
        assert choose((namespace, 1, 0, 1, 1), config=SeccConfig(services=services)) == (NO, None)


def test_case_11_minor_version_differs() -> None:
    assert choose((NS_DC, 1, 5, 3, 1)) == (MINOR, 3)


def test_major_version_differs() -> None:
    assert choose((NS_DC, 2, 0, 3, 1)) == (NO, None)


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS_1_2, Transport.TLS_1_3])
def test_case_12_iso20_needs_mutual_tls_1_3(transport: Transport) -> None:
    assert choose((NS_DC, 1, 0, 1, 1), transport=transport) == (NO, None)
    assert choose((NS_AC, 1, 0, 1, 1), transport=transport, config=SeccConfig(services=(1, 5))) == (NO, None)


def test_lab_tcp_opens_plain_tcp_and_nothing_else() -> None:
    lab = SeccConfig(lab_tcp=True)
    assert choose((NS_DC, 1, 0, 1, 1), transport=Transport.TCP, config=lab) == (OK, 1)
    assert choose((NS_DC, 1, 0, 1, 1), transport=Transport.TLS_1_2, config=lab) == (NO, None)


def test_equal_priorities_are_decided_by_document_order() -> None:
    assert choose((NS_DC, 1, 0, 8, 1), (NS_DC, 1, 0, 9, 1)) == (OK, 8)
