"""Fixtures of the station's tests: plants that the referee judges."""

from hal.sim.testing import make_plant

__all__ = ["make_plant"]
