"""`evsectl config check`: reads a configuration as the daemon would, without touching a device."""

from __future__ import annotations

import argparse
import json
import sys


def run(args: argparse.Namespace) -> int:
    from evse_controller.config import ConfigError, load

    try:
        config = load(args.file)
    except OSError as error:
        print(f"evsectl: {args.file}: {error.strerror}", file=sys.stderr)
        return 2
    except ConfigError as error:
        if args.json:
            print(json.dumps({"ok": False, "file": args.file, "problems": error.problems}))
        else:
            print("\n".join(error.problems), file=sys.stderr)
        return 1
    notes = config.notes()
    if args.json:
        print(json.dumps({"ok": True, "file": args.file, "notes": notes}))
    else:
        print("\n".join([f"{args.file}: ok", *notes]))
    return 0
