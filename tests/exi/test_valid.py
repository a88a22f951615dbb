"""libxml2 agrees with the bounds that our classes know, and would tell if one were wrong."""

from pathlib import Path

import pytest

from evse_controller.messages import Schema
from evse_controller.messages.base import UNBOUNDED, Field, Kind
from evse_controller.messages.generated.app_protocol import AppProtocol, SupportedAppProtocolReq
from tests.campaign import exi_grammar
from tests.campaign.exi_oracle import Unavailable, java_present, prepare_schemas
from tests.campaign.exi_valid import beyond, check


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schemas")
    try:
        prepare_schemas(folder)
    except Unavailable as reason:
        if java_present():
            pytest.fail(f"the live comparisons have to run here: {reason}")
        pytest.skip(f"no schemas on this machine: {reason}")
    return folder


@pytest.mark.parametrize("schema", [Schema.APP_PROTOCOL, Schema.ISO20_ACDP], ids=lambda schema: schema.name)
def test_messages_are_valid_and_one_step_more_is_not(schema: Schema, schemas: Path) -> None:
    assert check(schema, 1, 1, schemas) > 10


@pytest.mark.parametrize(("high", "said"), [(19, "wider than ours"), (21, "")])
def test_a_wrong_bound_is_noticed(high: int, said: str, schemas: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    field = SupportedAppProtocolReq.FIELDS[0]
    assert field.high == 20
    monkeypatch.setattr(SupportedAppProtocolReq, "FIELDS", (field._replace(high=high),))
    monkeypatch.setattr(exi_grammar, "_CLASSES", {})
    with pytest.raises(AssertionError if said else (AssertionError, ValueError)) as problem:
        check(Schema.APP_PROTOCOL, 1, 1, schemas)
    assert said in str(problem.value)


def test_steps_beyond_each_bound() -> None:
    entry = AppProtocol("urn:a", 1, 0, 1, 1)

    def steps(kind: Kind | type[AppProtocol], low: int, high: int, value: object) -> dict[str, object]:
        return dict(beyond(Field("a", "A", "element", kind, low, high), value))

    assert steps(AppProtocol, 1, UNBOUNDED, [entry]) == {}
    assert steps(AppProtocol, 0, 2, [entry] * 2) == {"too many": [entry] * 3}
    assert steps(AppProtocol, 2, 3, [entry] * 2) == {"too few": [entry]}
    assert steps(Kind("integer", 1, 9), 1, 1, 9) == {"too high": 10}
    assert steps(Kind("integer", 1, 9), 1, 1, 1) == {"too low": 0}
    assert steps(Kind("hex", None, None, 2, 2), 1, 1, b"ab") == {"too long": b"aba", "too short": b"a"}
    assert steps(Kind("string", None, None, 0, 2), 1, 9, ["a", "ab"]) == {"item too long": ["a", "aba"]}
