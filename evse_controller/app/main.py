"""`evsed`: arguments, exit codes, console. Exit 0: asked to stop; 2: configuration; 3: a device or file is missing."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from evse_controller import __version__
from evse_controller.config import LAB_SWITCHES, ConfigError, load


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="evsed", description="ISO 15118-20 EVSE controller daemon")
    parser.add_argument("--config", required=True, type=Path, help="TOML file; see evsectl config check")
    parser.add_argument("--version", action="version", version=f"evsed {__version__}")
    args = parser.parse_args(argv)
    try:
        config = load(args.config)
    except OSError as error:
        print(f"evsed: {args.config}: {error.strerror}", file=sys.stderr)
        return 2
    except ConfigError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 2
    for name in config.controller.lab:
        print(f"evsed: LAB SWITCH {name} IS ON: {LAB_SWITCHES[name]}", file=sys.stderr, flush=True)

    # the rooms are imported only now: a wrong configuration is told without waiting for them
    from evse_controller.app.daemon import Daemon, StartError

    try:
        asyncio.run(Daemon(config).run())
    except StartError as error:
        print(f"evsed: {error}", file=sys.stderr)
        return 3
    return 0
