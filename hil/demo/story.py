"""What happens in the demo, and the daemon's configuration for it: all of it data made from the command line."""

from __future__ import annotations

import argparse
import random
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from evse_controller.energy.prices import DayAhead, load_day_ahead, packaged_day_ahead
from hil.toml_text import toml_text

CUT_WORLD_S, CUT_AT_LEAST_S = 4320.0, 3.0


class StoryError(Exception):
    """An option or file of the demo cannot be used; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Story:
    """Times are Unix seconds of world time. The daemon starts at `start`, the car is plugged at `plug`.

    `cut`: the grid operator cuts the import limit to `cut_import_w` for `cut_ttl_s` of control time. The battery
    starts at `soc` (0..1) and shall hold `target_soc` (%) at `departure`.
    """

    start: float
    plug: float
    cut: float
    departure: float
    speed: float
    seed: int
    soc: float
    target_soc: float
    cut_import_w: float
    scheduled: bool

    @property
    def cut_ttl_s(self) -> float:
        """About an hour of world time, but long enough to be seen."""
        return max(CUT_AT_LEAST_S, CUT_WORLD_S / self.speed)

    def building_w(self, utc_s: float) -> float:
        """Load of the building: a base, an evening peak, and a ripple of its own for every seed."""
        hour = utc_s % 86400 / 3600
        evening = max(0.0, 1.0 - abs(hour - 18.5) / 3.0)
        ripple = random.Random(f"{self.seed} {int(utc_s // 1800)}").uniform(-200.0, 200.0)
        return 3500.0 + 9000.0 * evening + ripple


def prices(path: Path | None) -> DayAhead:
    return packaged_day_ahead() if path is None else load_day_ahead(path)


def build(args: argparse.Namespace) -> Story:
    """Raises StoryError or PriceFileError."""
    known = prices(args.prices)
    day = _day(known)
    rng = random.Random(args.seed)
    story = Story(
        start=day + 9.0 * 3600,
        plug=day + 11.2 * 3600,
        cut=_clock(day, args.cut_at),
        departure=day + 20.25 * 3600,
        speed=args.speed,
        seed=args.seed,
        soc=0.38 + rng.uniform(-0.04, 0.04),
        target_soc=60.0,
        cut_import_w=6000.0,
        scheduled=args.mode == "scheduled",
    )
    if not story.plug < story.cut < story.departure:
        raise StoryError(
            f"--cut-at: the car is there {_hhmm(story.plug)} to {_hhmm(story.departure)}, not at {args.cut_at}"
        )
    return story


def _hhmm(utc_s: float) -> str:
    return datetime.fromtimestamp(utc_s, UTC).strftime("%H:%M")


def _day(known: DayAhead) -> float:
    """Midnight (UTC) of the day in the price file whose evening is dearest compared with its noon."""
    best, spread = None, float("-inf")
    first = known.starts_s[0] - known.starts_s[0] % 86400
    for number in range(max(1, int((known.known_until_s - first) // 86400))):
        midnight = first + number * 86400
        here = known.at(midnight + 18 * 3600) - known.at(midnight + 12.5 * 3600)
        if midnight >= known.starts_s[0] and midnight + 86400 <= known.known_until_s and here > spread:
            best, spread = midnight, here
    if best is None:
        raise StoryError("the price file holds no whole day (00:00 to 24:00 UTC)")
    return best


def _clock(day: float, text: str) -> float:
    try:
        hour, minute = text.split(":")
        seconds = int(hour) * 3600 + int(minute) * 60
    except ValueError:
        raise StoryError(f"--cut-at: a time of day like 14:00 is needed, not {text!r}") from None
    if not (0 <= seconds < 86400 and 0 <= int(minute) < 60):
        raise StoryError(f"--cut-at: {text} is no time of day")
    return day + seconds


def write_config(
    story: Story,
    args: argparse.Namespace,
    folder: Path,
    network: Mapping[str, Any],
    tls: Mapping[str, Any],
    anchor_s: float,
) -> Path:
    """The daemon's file: the user's (or the demo's own) with devices, network and paths of this run put in."""
    if args.config is not None:
        try:
            data = tomllib.loads(args.config.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:  # ValueError: not TOML, or not UTF-8
            raise StoryError(f"{args.config}: {error}") from error
        for table in ("controller", "outlet", "site", "energy"):
            if not isinstance(data.get(table, {}), dict):
                raise StoryError(f"{args.config}: {table} must be a table")
        if "import_limit_w" not in data.get("site", {}):
            raise StoryError(f"{args.config}: site.import_limit_w is missing")
    else:
        data = tomllib.loads(resources.files("hil.demo").joinpath("demo.toml").read_text(encoding="utf-8"))
    controller = data.setdefault("controller", {})
    controller |= {"state_dir": str(folder), "socket": str(folder / "control.sock"), "capture": True}
    controller["lab"] = sorted({*controller.get("lab", ()), *args.lab})
    data["world"] = {
        "start": datetime.fromtimestamp(story.start, UTC),
        "speed": story.speed,
        "anchor_s": anchor_s,
    }
    data["net"] = {**network, "tls": dict(tls)}
    ports = folder / "dev"
    outlet = data.setdefault("outlet", {})
    outlet["mcu"] = {"driver": "charge-som-uart", "port": str(ports / "mcu")}
    outlet["power"] = {"driver": "infy-beg", "interface": "slcan", "channel": str(ports / "can0"), "modules": 2}
    outlet["meter"] = {"driver": "acrel-djsf1352", "port": str(ports / "meter"), "unit": 1}
    outlet["isolation"] = {"driver": "bender-isocha425hv", "port": str(ports / "imd"), "unit": 3}
    data.setdefault("site", {})["meter"] = {"driver": "eastron-sdm630", "port": str(ports / "building"), "unit": 1}
    if args.prices is not None:
        data.setdefault("energy", {})["prices"] = str(args.prices.resolve())
    elif "prices" not in data.setdefault("energy", {}):
        data["energy"]["prices"] = str(folder / "prices.csv")
        excerpt = resources.files("evse_controller.energy").joinpath("data", "nl_day_ahead_excerpt.csv")
        (folder / "prices.csv").write_text(excerpt.read_text(encoding="utf-8"), encoding="utf-8")
    path = folder / "evse.toml"
    path.write_text("# written by the demo\n" + toml_text(data), encoding="utf-8")
    return path
