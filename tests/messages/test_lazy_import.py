"""Who loads message classes: nobody by the package or a configuration; a session, and a daemon, those of their kind."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import evse_controller.config
from tests.secc.ev import DYNAMIC, NS_AC, NS_DC, SCHEDULED, Bench, frame, sap_request
from tests.secc.ev_ac import AcBench

GENERATED = "[m.rsplit('.', 1)[1] for m in sys.modules if m.startswith('evse_controller.messages.generated.')]"


def loaded(code: str, given: object = None) -> set[str]:
    """What a process has loaded that ran this code; it may unpickle what is `given` from its standard input."""
    script = f"import sys\n{code}\nprint(*{GENERATED})"
    run = subprocess.run([sys.executable, "-c", script], input=pickle.dumps(given), capture_output=True, check=False)
    assert run.returncode == 0, run.stderr.decode()
    return set(run.stdout.decode().split())


def test_the_package_alone() -> None:
    assert loaded("import evse_controller.messages, evse_controller.messages.json_form") == set()


def test_helpers_load_no_protocol() -> None:
    """A helper for -2 and DIN costs a -20 session nothing, and the other way round."""
    code = "from evse_controller.messages import fragments, physical, routing, scaling"
    assert loaded(code) == set()
    assert loaded("import evse_controller.messages.rational") == {"common_types", "xmldsig"}


def test_the_first_message_loads_its_schema_only() -> None:
    sap = "from evse_controller.messages import *; decode(Schema.APP_PROTOCOL, bytes.fromhex('80400040'))"
    assert loaded(sap) == {"app_protocol"}
    names = "app_protocol", "xmldsig", "common_types", "common_messages", "dc"
    assert loaded(f"{sap}\nfrom evse_controller.messages.codec import coders\n"
                  "coders(Schema.ISO20_COMMON), coders(Schema.ISO20_DC)") == set(names)


def test_lxml_is_the_generators_alone() -> None:
    code = "from evse_controller.messages.codec import *\n[coders(s) for s in Schema]\nassert 'lxml' not in sys.modules"
    assert "ac" in loaded(code)


ALWAYS = {"app_protocol", "common_messages", "common_types", "xmldsig"}
KINDS = pytest.mark.parametrize("ac", [False, True], ids=["dc", "ac"])

SESSION = """
import itertools, pickle
from evse_controller.secc.connection import Connection
from evse_controller.secc.reply import Transport
config, heard = pickle.load(sys.stdin.buffer)
draws = itertools.count(1)
secc = Connection(config, Transport.TLS_1_3_MUTUAL, lambda length: next(draws).to_bytes(length, "big"), heard[0][2])
outputs = [output for arrived in heard for output in secc.receive(*arrived)]
assert len(outputs) == len(heard) and all(output.data for output in outputs), outputs
assert secc.state_name == "Ended", secc.state_name
"""


def heard(bench: Bench, namespace: str) -> list[tuple[Any, ...]]:
    """A whole session as it comes to a station: frames, each with the snapshot and the time at which it came."""
    log: list[tuple[Any, ...]] = [(frame(sap_request((namespace, 1, 0, 1, 1))), bench.snapshot, bench.now_s)]
    handle: Any = bench.session.handle

    def noted(message: Any, snapshot: Any, now_s: float, stream: Any) -> Any:
        log.append((frame(message), snapshot, now_s))
        return handle(message, snapshot, now_s, stream)

    bench.session.handle = noted  # type: ignore[assignment, method-assign]
    bench.to("ChargeLoop").say(bench._loop())
    bench.to("Ended")
    return log


@KINDS
@pytest.mark.parametrize("mode", [SCHEDULED, DYNAMIC], ids=["scheduled", "dynamic"])
def test_a_whole_session_loads_the_classes_of_its_kind_only(ac: bool, mode: int) -> None:
    """SAP, Common, its own, and the two that they use."""
    bench = AcBench(control_mode=mode) if ac else Bench(control_mode=mode)
    given = bench.config, heard(bench, NS_AC if ac else NS_DC)
    assert loaded(SESSION, given) == {*ALWAYS, "ac" if ac else "dc"}


@KINDS
def test_a_configuration_is_read_without_any_protocol(ac: bool) -> None:
    example = Path(evse_controller.config.__file__).with_name("example_ac.toml" if ac else "example.toml")
    assert loaded(f"from evse_controller.config import load\nload({str(example)!r})") == set()


@KINDS
def test_before_its_first_heartbeat_a_daemon_loads_what_its_outlet_serves_and_nothing_else(ac: bool) -> None:
    """By then at the latest, as no import may come between heartbeat and control loop; and for no other kind."""
    code = "from evse_controller.app import daemon"
    assert loaded(code) <= {"app_protocol", "xmldsig"}
    assert loaded(f"{code}\ndaemon.load_protocols({ac})") == {*ALWAYS, "ac" if ac else "dc"}
