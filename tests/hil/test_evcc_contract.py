"""The vehicle with a contract against the real SECC: well signed, forged, refused, and let in at the second try."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model import commands as c
from evse_controller.model.contract import ContractAnswer, NoCertificate, NoInstallation, Verdict
from evse_controller.model.snapshot import Authorization
from hil.evcc import EvccConfig
from hil.evcc.contract import Contract, Forgery
from hil.evcc.signer import holder
from tests.hil.fake_house import House
from tests.identity.contracts import LabContracts
from tests.secc.test_certificate_installation import from_the_back_office

CONTRACT = Contract(holder("P-521"), thief=holder("P-521", "thief"), provisioning=holder("P-521", "maker"))
CAR = EvccConfig(stop_after_loop_s=2.0, contract=CONTRACT)


def ended(house: House) -> c.EndKind:
    (end,) = house.outlet.of(c.SessionEnded)
    assert isinstance(end, c.SessionEnded)
    return end.kind


@pytest.mark.parametrize("kind", ["P-521", "Ed448"])
def test_a_contract_that_is_well_signed_charges(kind: str) -> None:
    contracts = LabContracts()
    house = House(replace(CAR, contract=Contract(holder(kind))), contracts=contracts).run()
    assert ended(house) is c.EndKind.TERMINATED
    assert [command.contract_id for command in house.outlet.of(c.ContractAccepted)] == ["DEABCC123456789"]
    assert [chain.leaf for chain in contracts.asked] == [holder(kind).certificate]
    assert house.outlet.of(c.AuthorizationRequested) == []
    assert house.evcc.refusals == []


@pytest.mark.parametrize("forgery", list(Forgery))
def test_a_forged_contract_charges_nothing_by_it_and_the_driver_may_show_a_card(forgery: Forgery) -> None:
    contracts = LabContracts()
    forged = replace(CAR, contract=replace(CONTRACT, forgery=forgery))
    house = House(forged, contracts=contracts).run()
    assert house.outlet.of(c.ContractAccepted) == []
    assert house.outlet.of(c.EnergyStart) == []
    assert contracts.asked == [], "nobody is asked about a contract whose holder proved nothing"
    house = House(replace(forged, authorization_tries=2), contracts=contracts).run()
    assert house.outlet.of(c.ContractAccepted) == []
    if house.evcc.refusals:
        assert ended(house) is c.EndKind.TERMINATED
        assert house.outlet.of(c.EnergyStart)
    else:
        assert ended(house) is c.EndKind.FAILED


def test_a_contract_that_is_refused_is_followed_by_a_card() -> None:
    refused = LabContracts(answer=ContractAnswer(Verdict.REVOKED))
    house = House(replace(CAR, authorization_tries=2), contracts=refused).run()
    assert house.evcc.refusals == [ResponseCode.WARNING_CertificateRevoked]
    assert ended(house) is c.EndKind.TERMINATED
    assert len(house.outlet.of(c.AuthorizationRequested)) == 1


def test_a_card_that_is_refused_is_followed_by_another_as_often_as_the_driver_tries() -> None:
    for tries, charges in ((1, False), (2, False), (3, True)):
        house = House(EvccConfig(stop_after_loop_s=2.0, authorization_tries=tries))
        house.outlet.answers = [Authorization.REJECTED, Authorization.REJECTED]
        house.run()
        assert house.evcc.refusals == [ResponseCode.WARNING_EIMAuthorizationFailure] * min(tries, 2)
        assert bool(house.outlet.of(c.EnergyStart)) is charges


@pytest.mark.parametrize("given", [True, False])
def test_a_contract_certificate_is_asked_for_first_where_that_is_offered(given: bool) -> None:
    installation = from_the_back_office() if given else NoInstallation(NoCertificate.NO_CERTIFICATE)
    contracts = LabContracts(installs=True, installation=installation)
    house = House(CAR, contracts=contracts).run()
    assert len(contracts.install_asked) == 1
    assert (house.evcc.installed is not None) is given
    assert ended(house) is c.EndKind.TERMINATED
    asked = [type(exchange.request) for exchange in house.evcc.exchanges]
    assert asked.index(cm.CertificateInstallationReq) < asked.index(cm.AuthorizationReq)
