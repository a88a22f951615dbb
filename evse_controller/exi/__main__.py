"""Command line of the generator: `python -m evse_controller.exi generate --schemas DIR [--out DIR]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from evse_controller.exi.generator.generate import generate
from evse_controller.exi.generator.xsd import SchemaError


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evse_controller.exi")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("generate", help="write message classes and coders from schema files")
    make.add_argument("--schemas", type=Path, required=True, help="folder that holds the XSD files")
    default = Path(__file__).resolve().parent.parent / "messages" / "generated"
    make.add_argument("--out", type=Path, default=default, help="folder for the modules (default: the package's)")
    make.add_argument("--namespace", action="append", help="only this namespace (repeatable; default: known ones)")
    given = parser.parse_args(arguments)
    try:
        for path in generate(given.schemas, given.out, given.namespace):
            print(path)
    except (SchemaError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
