"""The plant: world, devices and referee composed. `Inlet` is what a simulated car codes against."""

from __future__ import annotations

from hal.sim.inlet import Inlet

__all__ = ["Inlet"]
