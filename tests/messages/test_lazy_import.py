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


def test_the_first_message_loads_its_schema_only() -> None:
    sap = "from evse_controller.messages import *; decode(Schema.APP_PROTOCOL, bytes.fromhex('80400040'))"
    assert loaded(sap) == {"app_protocol"}
    names = "app_protocol", "xmldsig", "common_types", "common_messages", "dc"
    assert loaded(f"{sap}\nfrom evse_controller.messages.codec import coders\n"
                  "coders(Schema.ISO20_COMMON), coders(Schema.ISO20_DC)") == set(names)


def test_lxml_is_the_generators_alone() -> None:
    code = "from evse_controller.messages.codec import *\n[coders(s) for s in Schema]\nassert 'lxml' not in sys.modules"
    assert "ac" in loaded(code)
