"""`evsectl config check`: reads a configuration as the daemon would, without touching a device."""

from __future__ import annotations

import argparse
import json
import sys


def run(args: argparse.Namespace) -> int:
    from evse_controller.config import ConfigError, load
    from evse_controller.config.devices import DriverError, build

    try:
        config = load(args.file)
        build(config)  # every driver judges its own options; nothing is opened
    except OSError as error:
        print(f"evsectl: {args.file}: {error.strerror}", file=sys.stderr)
        return 2
    except (ConfigError, DriverError) as error:
        problems = error.problems if isinstance(error, ConfigError) else [str(error)]
        if args.json:
            print(json.dumps({"ok": False, "file": args.file, "problems": problems}))
        else:
            print("\n".join(problems), file=sys.stderr)
        return 1
    notes = config.notes()
    if args.json:
        print(json.dumps({"ok": True, "file": args.file, "notes": notes}))
    else:
        print("\n".join([f"{args.file}: ok", *notes]))
    return 0
