"""Command line of the generator: `python -m evse_controller.exi generate --schemas DIR [--out DIR] [--namespace URI]`.

Message classes for schemas that the package does not bring, for instance an amendment's:

    python -m evse_controller.exi generate --schemas DIR --out OTHER
    export EVSE_CONTROLLER_SCHEMAS=OTHER

DIR holds the schema files and all that they import. `Schema.of(namespace)` then finds the new schema set, and its
classes are imported from `evse_controller.messages.generated` like all others.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from evse_controller.exi.generator.generate import PACKAGE_FOLDER, generate
from evse_controller.exi.generator.model import SchemaError


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evse_controller.exi")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("generate", help="write message classes and coders from schema files")
    make.add_argument("--schemas", type=Path, required=True, help="folder that holds the XSD files, at any depth")
    make.add_argument("--out", type=Path, default=PACKAGE_FOLDER,
                      help="folder for the modules (default: the package's own); see EVSE_CONTROLLER_SCHEMAS")
    make.add_argument("--namespace", action="append",
                      help="only this namespace and what it imports (repeatable; default: all in the folder)")
    make.add_argument("--all", action="store_true", help="write the namespaces of the package to another folder, too")
    given = parser.parse_args(arguments)
    try:
        for path in generate(given.schemas, given.out, given.namespace, given.all):
            print(path)
    except (SchemaError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
