"""`python -m hil.demo`: see `--help`. Exit 0 when the day went as it should, 1 when anything disagrees."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from evse_controller.config import LAB_SWITCHES
from evse_controller.energy.prices import PriceFileError
from hil.demo import story as stories
from hil.demo.run import Demo, DemoFailed


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="make demo", description="A car's day at a bidirectional charger, in a minute."
    )
    parser.add_argument("--seed", type=int, default=1, help="changes building load and battery level at arrival")
    parser.add_argument(
        "--prices", type=Path, help="day-ahead prices (start_utc,eur_per_mwh); default: real Dutch ones"
    )
    parser.add_argument("--cut-at", default="13:40", metavar="HH:MM", help="world time (UTC) of the sudden site cut")
    parser.add_argument("--config", type=Path, help="daemon configuration to start from (see hil/demo/demo.toml)")
    parser.add_argument("--mode", choices=("scheduled", "dynamic"), default="scheduled", help="control mode of the car")
    parser.add_argument("--speed", type=float, default=720.0, help="world seconds per second (control time is real)")
    parser.add_argument("--lab", action="append", default=[], choices=sorted(LAB_SWITCHES), help="turn a lab switch on")
    parser.add_argument("--out", type=Path, help="folder for journal, event log, capture (default: evse-demo/TIME)")
    parser.add_argument("--json", action="store_true", help="only the summary, as JSON")
    args = parser.parse_args(argv)
    if not 10 <= args.speed <= 1500:
        parser.error("--speed must be 10 to 1500: beyond that the cable check alone would take hours of the day")
    folder = (args.out or Path("evse-demo") / time.strftime("%Y%m%d-%H%M%S")).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            parser.error(f"--out: {folder} is not empty; nothing recorded is overwritten")
        return Demo(stories.build(args), args, folder).run()
    except (stories.StoryError, PriceFileError, DemoFailed, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
