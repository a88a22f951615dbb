"""Every plant of these tests is judged by the referee."""

from __future__ import annotations

from hal.sim.testing import make_plant, plant

__all__ = ["make_plant", "plant"]
