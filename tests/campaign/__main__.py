"""`make campaign`: every campaign with one scale; prints what each executed, fails at zero cases or any failure.

A campaign that needs something from outside raises Skipped without it; the last line then says so.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
import time
import traceback

import tests.campaign


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.campaign", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full number of cases (0 < scale <= 1)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("names", nargs="*", help="only these campaigns")
    args = parser.parse_args(argv)
    if not 0 < args.scale <= 1:
        parser.error("--scale must be in (0, 1]")
    names = sorted(m.name for m in pkgutil.iter_modules(tests.campaign.__path__) if not m.name.startswith("_"))
    unknown = set(args.names) - set(names)
    if unknown:
        parser.error(f"unknown campaigns {sorted(unknown)}; there are {names}")
    passed, failed, cases = 0, 0, 0
    skipped: list[str] = []
    for name in args.names or names:
        module = importlib.import_module(f"tests.campaign.{name}")
        if not hasattr(module, "run"):
            continue  # a helper of the campaigns, not one itself
        started = time.monotonic()
        try:
            count = module.run(args.scale, args.seed)
        except tests.campaign.Skipped as reason:
            print(f"campaign {name}: SKIPPED, {reason}", flush=True)
            skipped.append(f"{name} ({reason})")
            continue
        except Exception:
            traceback.print_exc()
            print(f"campaign {name}: FAILED after {time.monotonic() - started:.1f} s", flush=True)
            failed += 1
            continue
        print(f"campaign {name}: {count} cases in {time.monotonic() - started:.1f} s", flush=True)
        cases += count
        if count > 0:
            passed += 1
        else:
            print(f"campaign {name}: FAILED, it executed no case", flush=True)
            failed += 1
    print(f"{cases} cases executed")
    print(f"campaigns: {passed} passed, {failed} failed" + (f", skipped: {', '.join(skipped)}" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
