"""Importing the package loads no generated module; a DC session loads only its own."""

import subprocess
import sys

GENERATED = "[m.rsplit('.', 1)[1] for m in sys.modules if m.startswith('evse_controller.messages.generated.')]"


def loaded(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*{GENERATED})"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


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


DAY = """
import sys, tempfile
from pathlib import Path
from hil.evcc import SERVICE_DC_BPT, EvccConfig
from hil.virtual import BenchSettings, VirtualBench, hourly, plant_of
START = 1_724_752_800.0
settings = BenchSettings(start_utc_s=START, prices=hourly(START, (100.0,) * 48), speed=600.0, plant=plant_of())
vehicle = EvccConfig(target_soc=52.0, departure_utc_s=START + 3600, services=(SERVICE_DC_BPT,))
with tempfile.TemporaryDirectory() as folder:
    house = VirtualBench(Path(folder) / "house", vehicle, settings)
    house.session()
    house.close()
assert house.evcc.failure is None, house.evcc.failure
"""


def test_a_whole_dc_session_loads_its_three_schemas_only() -> None:
    assert loaded(DAY) == {"app_protocol", "common_messages", "dc", "common_types", "xmldsig"}


def test_the_daemon_loads_no_protocol_before_a_car_comes() -> None:
    assert loaded("import evse_controller.app.main, evse_controller.app.daemon") <= {"app_protocol"}
